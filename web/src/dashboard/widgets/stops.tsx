// Stops: as a table and as dots by time and length.

import { pending } from "../../classify.ts";
import { clockDuration } from "../../format.ts";
import { t } from "../../i18n/index.ts";
import { reasonName } from "../../reasons.ts";
import { now } from "../../clock.ts";
import { stopMs } from "../../stops.ts";
import type { Stop } from "../../shapes.ts";
import { itemsOf, type StopItem } from "../items.ts";
import { moment, shownSpan, type WidgetProps } from "./parts.tsx";

const newestFirst = (a: Stop, b: Stop): number => Date.parse(b.started_at) - Date.parse(a.started_at);

const reasonOf = (stop: Stop): string => (stop.reason_code ? reasonName(stop.reason_code) : t("stops.noReason"));

export function StopTable({ items, about, onStop }: WidgetProps) {
  const stops = itemsOf<StopItem>(items).sort(newestFirst);
  if (stops.length === 0) return <p class="quiet">{t("stops.none")}</p>;
  const several = about.lines.length > 1;
  return (
    <table class="grid-table stop-table">
      <thead>
        <tr>
          <th scope="col">{t("stops.start")}</th>
          {several && <th scope="col">{t("overview.line")}</th>}
          <th scope="col" class="number">
            {t("stops.duration")}
          </th>
          <th scope="col">{t("stops.reason")}</th>
        </tr>
      </thead>
      <tbody>
        {stops.map((stop) => (
          <tr key={stop.key} class={stop.status} data-stop={stop.downtime_id}>
            <td>
              {moment(Date.parse(stop.started_at), about)}
              {stop.status === "open" && <span class="badge badge-open">{t("stops.open")}</span>}
            </td>
            {several && <td>{stop.line}</td>}
            <td class="number">{clockDuration(stop.duration_ms)}</td>
            <td>
              <button type="button" class="reason-button" onClick={() => onStop(stop)}>
                <span class={stop.reason_code ? "" : "quiet"}>{reasonOf(stop)}</span>
                {stop.planned && <span class="badge">{t("stops.planned")}</span>}
                {["sent", "slow"].includes(pending.value.get(stop.downtime_id)?.status ?? "") && <span class="quiet"> …</span>}
                {stop.comment && <span class="stop-comment">{stop.comment}</span>}
              </button>
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

const PAD = { left: 46, right: 12, top: 8, bottom: 24 };
/** Lengths at which a line is drawn. */
const MARKS = [10_000, 60_000, 600_000, 3_600_000, 36_000_000];

export function StopScatter({ items, about, look, height, onStop }: WidgetProps) {
  const span = shownSpan(about, look.value);
  const stops = itemsOf<StopItem>(items).filter((stop) => Date.parse(stop.started_at) < span.to);
  if (stops.length === 0) return <p class="quiet">{t("stops.none")}</p>;
  const width = 640;
  const lengths = stops.map((stop) => Math.max(1_000, stopMs(stop, now.value)));
  const [least, most] = [Math.min(...lengths) / 1.5, Math.max(...lengths) * 1.5];
  const x = (at: number) =>
    PAD.left + ((Math.max(span.from, at) - span.from) / (span.to - span.from)) * (width - PAD.left - PAD.right);
  const y = (ms: number) =>
    height - PAD.bottom - (Math.log(ms / least) / Math.log(most / least)) * (height - PAD.top - PAD.bottom);
  const times = [0.02, 0.34, 0.66, 0.98].map((share) => span.from + share * (span.to - span.from));
  return (
    <svg class="scatter" viewBox={`0 0 ${width} ${height}`} role="img" aria-label={t("dash.scatterLabel", { count: stops.length })}>
      {MARKS.filter((ms) => ms > least && ms < most).map((ms) => (
        <g key={ms}>
          <line class="scatter-grid" x1={PAD.left} x2={width - PAD.right} y1={y(ms)} y2={y(ms)} />
          <text class="scatter-mark" x={PAD.left - 6} y={y(ms) + 4} text-anchor="end">
            {clockDuration(ms)}
          </text>
        </g>
      ))}
      {times.map((at, index) => (
        <text
          key={index}
          class="scatter-mark"
          x={x(at)}
          y={height - 6}
          text-anchor={index === 0 ? "start" : index === 3 ? "end" : "middle"}
        >
          {moment(at, about)}
        </text>
      ))}
      {stops.map((stop, index) => (
        <circle
          key={stop.key}
          class={`dot ${stop.planned ? "planned" : "stopped"} ${stop.reason_code ? "" : "without"}`}
          cx={x(Date.parse(stop.started_at))}
          cy={y(lengths[index] ?? 1_000)}
          r="5"
          onClick={() => onStop(stop)}
        >
          <title>
            {`${moment(Date.parse(stop.started_at), about)} · ${clockDuration(stop.duration_ms)} · ${reasonOf(stop)}`}
          </title>
        </circle>
      ))}
    </svg>
  );
}
