// The stops of a line; the chosen one can be given its reason.

import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";

import { pending } from "../classify.ts";
import { clockDuration, timeWithDay } from "../format.ts";
import { locale, t } from "../i18n/index.ts";
import { reasonName } from "../reasons.ts";
import { zone } from "../session.ts";
import type { Stop } from "../shapes.ts";
import { stopMs } from "../stops.ts";
import { ReasonEditor } from "./reason-editor.tsx";

const ROWS_AT_FIRST = 40;

interface Props {
  stops: readonly Stop[];
  hours: number;
  lineNow: number;
  chosen: string | null;
  onChoose: (id: string | null) => void;
  loading: boolean;
}

export function StopList({ stops, hours, lineNow, chosen, onChoose, loading }: Props) {
  const rows = useSignal(ROWS_AT_FIRST);
  const place = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (chosen === null) return;
    const index = stops.findIndex((stop) => stop.downtime_id === chosen);
    if (index >= rows.value) rows.value = index + ROWS_AT_FIRST;
    place.current?.querySelector(`[data-stop="${CSS.escape(chosen)}"]`)?.scrollIntoView({ block: "nearest" });
  }, [chosen]);

  return (
    <section class="panel stops" aria-label={t("stops.title")} aria-busy={loading}>
      <div class="panel-head">
        <h2>{t("stops.title")}</h2>
        <span class="quiet">{t("stops.count", { count: stops.length, hours })}</span>
      </div>
      {stops.length === 0 ? (
        <p class="quiet">{loading ? t("line.loading") : t("stops.none")}</p>
      ) : (
        <div class="stop-rows" ref={place}>
          <div class="stop-row stop-labels" aria-hidden="true">
            <span>{t("stops.start")}</span>
            <span class="number">{t("stops.duration")}</span>
            <span>{t("stops.shift")}</span>
            <span>{t("stops.reason")}</span>
          </div>
          <ul>
            {stops.slice(0, rows.value).map((stop) => (
              <Row
                key={stop.downtime_id}
                stop={stop}
                lineNow={lineNow}
                chosen={stop.downtime_id === chosen}
                onChoose={onChoose}
              />
            ))}
          </ul>
          {stops.length > rows.value && (
            <button type="button" class="plain" onClick={() => (rows.value += ROWS_AT_FIRST)}>
              {t("stops.more", { count: Math.min(ROWS_AT_FIRST, stops.length - rows.value) })}
            </button>
          )}
        </div>
      )}
    </section>
  );
}

function Row({
  stop,
  lineNow,
  chosen,
  onChoose,
}: {
  stop: Stop;
  lineNow: number;
  chosen: boolean;
  onChoose: (id: string | null) => void;
}) {
  const id = stop.downtime_id;
  const start = timeWithDay(Date.parse(stop.started_at), lineNow, locale.value, zone.value, true);
  const waits = pending.value.get(id);
  const button = useRef<HTMLButtonElement>(null);
  return (
    <li data-stop={id} class={`${stop.status} ${chosen ? "chosen" : ""} ${stop.planned ? "planned" : ""}`}>
      <button
        type="button"
        ref={button}
        class="stop-row"
        aria-expanded={chosen}
        aria-controls={chosen ? `editor-${id}` : undefined}
        onClick={() => onChoose(chosen ? null : id)}
      >
        <span>
          {start}
          {stop.status === "open" && <span class="badge badge-open">{t("stops.open")}</span>}
        </span>
        <span class="number strong">{clockDuration(stopMs(stop, lineNow))}</span>
        <span>{stop.shift ?? <span class="quiet">{t("stops.noShift")}</span>}</span>
        <span class="stop-reason">
          {stop.reason_code ? reasonName(stop.reason_code) : <span class="quiet">{t("stops.noReason")}</span>}
          {stop.planned && <span class="badge">{t("stops.planned")}</span>}
          {waits && (waits.status === "sent" || waits.status === "slow") && (
            <span class="quiet"> → {waits.reason_code ? reasonName(waits.reason_code) : t("stops.noReason")} …</span>
          )}
          {stop.comment && <span class="stop-comment">{stop.comment}</span>}
        </span>
      </button>
      {chosen && (
        <ReasonEditor
          key={id}
          stop={stop}
          start={start}
          onClose={() => {
            onChoose(null);
            button.current?.focus();
          }}
        />
      )}
    </li>
  );
}
