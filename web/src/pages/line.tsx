// One line: figures, production with its stops, the stops themselves, rolling OEE.

import { useComputed, useSignal } from "@preact/signals";
import { useEffect, useMemo } from "preact/hooks";

import { ProductionChart } from "../chart/production.tsx";
import { RollingChart } from "../chart/rolling.tsx";
import type { Band } from "../chart/style.ts";
import { confirmed, forgetConfirmed, settle } from "../classify.ts";
import { now, serverNow } from "../clock.ts";
import { figureFeed, figureKey, type LineNow, recentStopFeed, stateFeed } from "../feeds.ts";
import { clockDuration, age, timeWithDay } from "../format.ts";
import { locale, t } from "../i18n/index.ts";
import { linkLost, useFeed } from "../live/page.ts";
import { FRESH_MS, openStop, timing } from "../model.ts";
import { Announce } from "../parts/announce.tsx";
import { Figures } from "../parts/figures.tsx";
import { StateWord } from "../parts/state.tsx";
import { StopList } from "../parts/stop-list.tsx";
import { reasonName } from "../reasons.ts";
import { zone } from "../session.ts";
import type { LiveWindow, Stop } from "../shapes.ts";
import { mergeStops } from "../stops.ts";
import { useHistory } from "./line-history.ts";

const HOURS = [2, 8, 24] as const;
const HOUR_MS = 3_600_000;
const LONGEST_MS = 25 * HOUR_MS;
/** The right edge moves on in such steps, so that a chart is not drawn anew every second. */
const EDGE_MS = 15_000;

const stopsOf = recentStopFeed(LONGEST_MS, serverNow);

export function LinePage({ line }: { line: string }) {
  const states = useFeed(stateFeed, { line: [line] });
  const item = states.value.items.get(line);
  if (item) return <Line item={item} />;
  const known = states.value.status;
  return (
    <main id="main" tabIndex={-1} class="page">
      <a class="back" href="/lines">
        ← {t("nav.back")}
      </a>
      <p>{known === "waiting" ? t("link.connecting") : t("line.unknown", { line })}</p>
    </main>
  );
}

function Line({ item }: { item: LineNow }) {
  const { line } = item;
  const hours = useSignal<number>(2);
  const window = useSignal<LiveWindow>("shift");
  const chosen = useSignal<string | null>(null);
  const live = useFeed(stopsOf, { line: [line] });
  const hourNow = useFeed(figureFeed, { line: [line], window: "1h" });

  const times = timing(item, now.value, linkLost.value);
  const to = Math.ceil(times.lineNow / EDGE_MS) * EDGE_MS;
  const from = to - hours.value * HOUR_MS;
  const history = useHistory(
    line,
    hours.value,
    () => Math.ceil(timing(item, serverNow(), null).lineNow / EDGE_MS) * EDGE_MS,
  );

  useEffect(() => forgetConfirmed, [line]);
  useEffect(() => {
    document.title = `${item.title} · ${t("app.name")}`;
  }, [item.title, locale.value]);

  const stops = useMemo(
    () => mergeStops([history.stops.value, live.value.items.values(), confirmed.value.values()], line, from, to),
    [history.stops.value, live.value.items, confirmed.value, line, from, to],
  );
  useEffect(() => settle(stops), [stops]);
  const bands = useMemo(() => stops.map((stop) => bandOf(stop, to)).reverse(), [stops, to]);

  const hourFigure = hourNow.value.items.get(figureKey(line, "1h"));
  const rolling = useComputed(() => history.rolling.value);
  const table = useMemo(
    () => (hourFigure ? rolling.value.merged([[Date.parse(hourFigure.as_of), hourFigure.oee]], from) : rolling.value),
    [rolling.value, hourFigure, from],
  );
  const stop = openStop(live.value.items, line);
  const ideal = item.ideal_cycle_ns ? 60e9 / item.ideal_cycle_ns : null;

  return (
    <main
      id="main"
      tabIndex={-1}
      class={`page line-page ${times.stale ? "stale" : ""} ${linkLost.value === null ? "" : "held"}`}
    >
      <a class="back" href="/lines">
        ← {t("nav.back")}
      </a>
      <Announce lines={useMemo(() => [item], [item])} />
      <div class={`line-head line-${item.state}`}>
        <h1>{item.title}</h1>
        <StateWord state={item.state} />
        <span class="line-held">{clockDuration(times.heldMs)}</span>
        <span class="quiet">
          {t("state.since", { time: timeWithDay(Date.parse(item.since), now.value, locale.value, zone.value, true) })}
        </span>
        {item.state === "stopped" && (
          <button type="button" class="plain" onClick={() => (chosen.value = stop?.downtime_id ?? null)}>
            {stop?.reason_code ? reasonName(stop.reason_code) : t("wall.noReason")}
          </button>
        )}
        <span class="grow" />
        <span class="quiet age">
          {times.ageMs < FRESH_MS ? t("age.live") : t("age.data", { age: age(times.ageMs) })}
        </span>
      </div>

      <Figures item={item} lineNow={times.lineNow} window={window.value} onWindow={(next) => (window.value = next)} />

      <div class="line-grid">
        <div class="charts">
          <div class="segmented range" role="group" aria-label={t("line.range")}>
            {HOURS.map((one) => (
              <button type="button" key={one} aria-pressed={hours.value === one} onClick={() => (hours.value = one)}>
                {t(`line.range.${one}`)}
              </button>
            ))}
            {history.problem.value !== "" && (
              <span class="problem" role="status">
                {t("error.failed", { detail: history.problem.value })}
              </span>
            )}
          </div>
          <ProductionChart
            from={from}
            to={to}
            hours={hours.value}
            table={history.minutes.value}
            bands={bands}
            chosen={chosen.value}
            idealPerMinute={ideal}
            onChoose={(id) => (chosen.value = id)}
          />
          <RollingChart from={from} to={to} hours={hours.value} table={table} target={item.oee_target ?? null} />
        </div>
        <StopList
          stops={stops}
          hours={hours.value}
          lineNow={times.lineNow}
          chosen={chosen.value}
          onChoose={(id) => (chosen.value = id)}
          loading={history.loading.value}
        />
      </div>
    </main>
  );
}

function bandOf(stop: Stop, to: number): Band {
  return {
    id: stop.downtime_id,
    from: Date.parse(stop.started_at) / 1000,
    to: (stop.ended_at === null ? to : Date.parse(stop.ended_at)) / 1000,
    planned: stop.planned,
  };
}
