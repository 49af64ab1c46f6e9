// All lines in a list: the way to a line's page.

import { useComputed } from "@preact/signals";
import { useEffect } from "preact/hooks";

import { now } from "../clock.ts";
import { type FigureNow, figureFeed, figureKey, type LineNow, openStopFeed, stateFeed } from "../feeds.ts";
import { age, percent, tileDuration } from "../format.ts";
import { locale, t } from "../i18n/index.ts";
import { linkLost, useFeed } from "../live/page.ts";
import { byTitle, current, FRESH_MS, openStop, progress, timing } from "../model.ts";
import { Announce } from "../parts/announce.tsx";
import { ProgressBar } from "../parts/progress.tsx";
import { StateWord } from "../parts/state.tsx";
import { reasonName } from "../reasons.ts";
import { busyMs, type Stop } from "../shapes.ts";

const SHIFT_WINDOW = { window: "shift" };
const ALL = {};

export function OverviewPage() {
  const states = useFeed(stateFeed, ALL);
  const figures = useFeed(figureFeed, SHIFT_WINDOW);
  const stops = useFeed(openStopFeed, ALL);
  const lines = useComputed(() => [...states.value.items.values()].sort(byTitle(locale.value)));
  useEffect(() => {
    document.title = `${t("overview.title")} · ${t("app.name")}`;
  }, [locale.value]);

  const all = lines.value;
  const running = all.filter((line) => line.state === "running").length;
  return (
    <main id="main" tabIndex={-1} class={`page ${linkLost.value === null ? "" : "held"}`}>
      <div class="page-head">
        <h1>{t("overview.title")}</h1>
        {all.length > 0 && <p class="quiet">{t("overview.summary", { running, total: all.length })}</p>}
      </div>
      <Announce lines={all} />
      {all.length === 0 ? (
        <p class="quiet">{states.value.status === "live" ? t("overview.empty") : t("link.connecting")}</p>
      ) : (
        <table class="lines">
          <thead>
            <tr>
              <th scope="col">{t("overview.line")}</th>
              <th scope="col">{t("overview.state")}</th>
              <th scope="col" class="number">
                {t("overview.since")}
              </th>
              <th scope="col">{t("overview.reason")}</th>
              <th scope="col" class="number">
                {t("overview.shiftOee")}
              </th>
              <th scope="col">{t("overview.pieces")}</th>
              <th scope="col" class="number">
                {t("overview.age")}
              </th>
            </tr>
          </thead>
          <tbody>
            {all.map((line) => (
              <Row
                key={line.line}
                item={line}
                figure={figures.value.items.get(figureKey(line.line, "shift"))}
                stop={openStop(stops.value.items, line.line)}
              />
            ))}
          </tbody>
        </table>
      )}
    </main>
  );
}

function Row({ item, figure, stop }: { item: LineNow; figure: FigureNow | undefined; stop: Stop | null }) {
  const times = timing(item, now.value, linkLost.value);
  const shift = current(figure, times.lineNow);
  return (
    <tr class={`row-${item.state} ${times.stale ? "stale" : ""}`}>
      <th scope="row">
        <a href={`/line/${encodeURIComponent(item.line)}`}>{item.title}</a>
        {item.group && <span class="quiet"> {item.group}</span>}
      </th>
      <td>
        <StateWord state={item.state} />
      </td>
      <td class="number">{tileDuration(times.heldMs)}</td>
      <td>{item.state === "stopped" && (stop?.reason_code ? reasonName(stop.reason_code) : t("wall.noReason"))}</td>
      <td class="number strong">
        {shift ? percent(shift.oee, locale.value) : <span class="quiet">{t("figure.noShift")}</span>}
      </td>
      <td>
        {shift && busyMs(shift) > 0 && <ProgressBar progress={progress(shift, item)} oeeTarget={item.oee_target} />}
      </td>
      <td class="number quiet">{times.ageMs < FRESH_MS ? t("age.live") : age(times.ageMs)}</td>
    </tr>
  );
}
