// What there is now: tiles, hours of the shift, states over time, cameras.

import { now } from "../../clock.ts";
import { age, count, percent, tileDuration } from "../../format.ts";
import { locale, t } from "../../i18n/index.ts";
import { StateWord } from "../../parts/state.tsx";
import { reasonName } from "../../reasons.ts";
import { LINE_STATES } from "../../shapes.ts";
import { linkLost } from "../../live/page.ts";
import { type AndonTile, type Camera, type Hour, itemsOf, type LineCut } from "../items.ts";
import { Bar, longest, moment, shownSpan, type WidgetProps } from "./parts.tsx";

export function AndonWidget({ items, about, onStop }: WidgetProps) {
  const tiles = itemsOf<AndonTile>(items).sort((a, b) => about.lines.indexOf(a.line) - about.lines.indexOf(b.line));
  if (tiles.length === 0) return <p class="quiet">{t("overview.empty")}</p>;
  return (
    <ul class={`andons ${tiles.length === 1 ? "single" : ""}`}>
      {tiles.map((tile) => (
        <li key={tile.key} class={`andon andon-${tile.state}`}>
          <a href={`/line/${encodeURIComponent(tile.line)}`}>{tile.title}</a>
          <StateWord state={tile.state} />
          <span class="number">{tileDuration(Date.parse(tile.as_of) - Date.parse(tile.since))}</span>
          <span class="quiet andon-note">
            {tile.stop ? (
              <button type="button" class="reason-button" onClick={() => tile.stop && onStop(tile.stop)}>
                {tile.stop.reason_code ? reasonName(tile.stop.reason_code) : t("wall.noReason")}
              </button>
            ) : (
              tile.made !== null &&
              (tile.due === null
                ? t("wall.piecesOnly", { made: count(tile.made, locale.value) })
                : t("wall.pieces", {
                    made: count(tile.made, locale.value),
                    target: count(Math.floor(tile.due), locale.value),
                  }))
            )}
          </span>
        </li>
      ))}
    </ul>
  );
}

/** Milliseconds that are accounted for: of hours before the first detection none. */
function known(hour: Hour): number {
  return LINE_STATES.reduce((sum, state) => sum + hour.buckets_ms[state], 0);
}

export function HoursWidget({ items, about }: WidgetProps) {
  const asOf = Date.parse(about.as_of ?? "");
  const hours = itemsOf<Hour>(items)
    .filter((hour) => Date.parse(hour.to) > asOf || known(hour) > 0)
    .sort((a, b) => Date.parse(a.from) - Date.parse(b.from));
  const most = Math.max(1, ...hours.map((hour) => Math.max(hour.actual, hour.plan ?? 0)));
  if (hours.length === 0) return <p class="quiet">{t("figure.noShift")}</p>;
  return (
    <table class="grid-table hours">
      <thead>
        <tr>
          <th scope="col">{t("dash.hour")}</th>
          <th scope="col" class="number">
            {t("dash.plan")}
          </th>
          <th scope="col" class="number">
            {t("dash.actual")}
          </th>
          <th scope="col">
            <span class="visually-hidden">{t("dash.actual")}</span>
          </th>
          <th scope="col" class="number">
            {t("figure.oee")}
          </th>
        </tr>
      </thead>
      <tbody>
        {hours.map((hour) => {
          const isOver = Date.parse(hour.to) <= asOf;
          const isAhead = Date.parse(hour.from) > asOf;
          const isBehind = isOver && hour.plan !== null && hour.actual < hour.plan;
          return (
            <tr key={hour.key} class={isAhead ? "quiet" : ""}>
              <th scope="row">{moment(Date.parse(hour.from), about)}</th>
              <td class="number">{hour.plan === null ? "—" : count(Math.round(hour.plan), locale.value)}</td>
              <td class="number strong">{isAhead ? "" : count(hour.actual, locale.value)}</td>
              <td class="hour-bar">
                {!isAhead && <Bar share={hour.actual / most} kind={isBehind ? "behind" : ""} />}
                {isBehind && <span class="visually-hidden">{t("dash.behind")}</span>}
              </td>
              <td class="number">{isAhead ? "" : percent(hour.oee, locale.value, 0)}</td>
            </tr>
          );
        })}
      </tbody>
    </table>
  );
}

const WIDTH = 1000;

export function TimelineWidget({ items, about, look, height }: WidgetProps) {
  const span = shownSpan(about, look.value);
  const cuts = itemsOf<LineCut>(items);
  const lines = about.lines.filter((line) => cuts.some((cut) => cut.line === line));
  if (lines.length === 0) return <p class="quiet">{t("figure.none")}</p>;
  const titles = new Map(cuts.map((cut) => [cut.line, cut.title]));
  const place = (at: number) => ((at - span.from) / (span.to - span.from)) * WIDTH;
  const row = Math.max(14, Math.min(40, (height - 40) / lines.length - 6));
  const states = LINE_STATES.filter((state) => cuts.some((cut) => cut.buckets_ms[state] > 0));
  const drawn = (cut: LineCut) => {
    const [from, to] = [Math.max(span.from, Date.parse(cut.from)), Math.min(span.to, Date.parse(cut.to))];
    if (to <= from) return null;
    const length = LINE_STATES.reduce((sum, state) => sum + cut.buckets_ms[state], 0);
    const state = longest(cut.buckets_ms);
    let top = 0;
    return LINE_STATES.filter((one) => cut.buckets_ms[one] > 0).map((one) => {
      const part = (cut.buckets_ms[one] / length) * 100;
      top += part;
      return (
        <rect
          key={`${cut.key} ${one}`}
          class={`lane-${one}`}
          x={place(from)}
          width={Math.max(0.5, place(to) - place(from))}
          y={top - part}
          height={part}
        >
          {state === one && <title>{`${moment(from, about)} · ${t(`state.${one}`)}`}</title>}
        </rect>
      );
    });
  };
  return (
    <div class="lanes">
      {lines.map((line) => (
        <div class="lane" key={line}>
          <a class="lane-title" href={`/line/${encodeURIComponent(line)}`}>
            {titles.get(line)}
          </a>
          <svg
            viewBox={`0 0 ${WIDTH} 100`}
            preserveAspectRatio="none"
            height={row}
            role="img"
            aria-label={t("dash.timelineLabel", { line: titles.get(line) ?? line })}
          >
            {cuts.filter((cut) => cut.line === line).map(drawn)}
          </svg>
        </div>
      ))}
      <div class="lane-times quiet">
        {[0, 0.25, 0.5, 0.75, 1].map((share) => (
          <span key={share}>{moment(span.from + share * (span.to - span.from), about)}</span>
        ))}
      </div>
      <ul class="legend">
        {states.map((state) => (
          <li key={state} class={`legend-${state}`}>
            {t(`state.${state}`)}
          </li>
        ))}
      </ul>
    </div>
  );
}

export function CamerasWidget({ items, about }: WidgetProps) {
  const cameras = itemsOf<Camera>(items).sort(
    (a, b) => about.lines.indexOf(a.line) - about.lines.indexOf(b.line) || a.camera_id - b.camera_id,
  );
  if (cameras.length === 0) return <p class="quiet">{t("dash.noCameras")}</p>;
  const at = linkLost.value ?? now.value;
  const ago = (time: string | null) => (time === null ? "—" : age(Math.max(0, at - Date.parse(time))));
  return (
    <table class="grid-table">
      <thead>
        <tr>
          <th scope="col">{t("dash.camera")}</th>
          <th scope="col">{t("overview.line")}</th>
          <th scope="col">{t("overview.state")}</th>
          <th scope="col" class="number">
            {t("dash.lastSeen")}
          </th>
        </tr>
      </thead>
      <tbody>
        {cameras.map((camera) => (
          <tr key={camera.key}>
            <th scope="row">
              {camera.camera_id} <span class="quiet">{camera.areas.join(", ")}</span>
            </th>
            <td>{camera.title}</td>
            <td class={`camera-${camera.health}`}>{t(`dash.camera.${camera.health}`)}</td>
            <td class="number">{ago(camera.seen_at ?? camera.told_at)}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
