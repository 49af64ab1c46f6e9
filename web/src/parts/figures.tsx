// The four figures of a window, with everything a reader must know beside them.

import { useFeed } from "../live/page.ts";
import { figureFeed, figureKey, type LineNow } from "../feeds.ts";
import { clockDuration, count, percent } from "../format.ts";
import { locale, t } from "../i18n/index.ts";
import { current, emptyState, progress } from "../model.ts";
import { busyMs, type Figure, LIVE_WINDOWS, type LiveWindow } from "../shapes.ts";
import { ProgressBar } from "./progress.tsx";

interface Props {
  item: LineNow;
  lineNow: number;
  window: LiveWindow;
  onWindow: (window: LiveWindow) => void;
}

export function Figures({ item, lineNow, window, onWindow }: Props) {
  const sub = useFeed(figureFeed, { line: [item.line], window });
  const figure = current(sub.value.items.get(figureKey(item.line, window)), lineNow);
  const waiting = sub.value.status === "waiting";
  return (
    <section class="panel figures" aria-label={t("figure.oee")}>
      <div class="figures-head">
        <div class="segmented" role="group" aria-label={t("window.label")}>
          {LIVE_WINDOWS.map((one) => (
            <button type="button" key={one} aria-pressed={one === window} onClick={() => onWindow(one)}>
              {t(`window.${one}`)}
            </button>
          ))}
        </div>
        {figure && <Finality figure={figure} />}
      </div>
      <dl class="kpis">
        <Kpi name="oee" figure={figure} target={item.oee_target} />
        <Kpi name="availability" figure={figure} target={item.availability_target} />
        <Kpi name="performance" figure={figure} target={null} />
        <Kpi name="quality" figure={figure} target={null} />
      </dl>
      {figure ? (
        <Details figure={figure} item={item} />
      ) : (
        <p class="quiet">{waiting ? t("line.loading") : t(window === "shift" ? "figure.noShift" : "figure.none")}</p>
      )}
    </section>
  );
}

function Finality({ figure }: { figure: Figure }) {
  return figure.state === "final" ? (
    <span class="badge">{t("figure.final")}</span>
  ) : (
    <span class="badge" title={t("figure.provisional.hint")}>
      {t("figure.provisional")}
    </span>
  );
}

interface KpiProps {
  name: "oee" | "availability" | "performance" | "quality";
  figure: Figure | null;
  target: number | null | undefined;
}

function Kpi({ name, figure, target }: KpiProps) {
  const value = figure?.[name] ?? null;
  const below = value !== null && target != null && value < target;
  const empty = figure && value === null ? emptyState(figure) : null;
  return (
    <div class={`kpi kpi-${name} ${below ? "below" : ""}`} title={t(`figure.${name}.formula`)}>
      <dt>{t(`figure.${name}`)}</dt>
      <dd>
        <span class="kpi-value">{percent(value, locale.value)}</span>
        {target != null && (
          <span class="kpi-note">
            {below && <span aria-hidden="true">▼ </span>}
            {t("figure.target", { value: percent(target, locale.value, 0) })}
          </span>
        )}
        {empty && <span class="kpi-note">{t(`state.${empty}`)}</span>}
        {name === "quality" && figure?.flags.includes("quality_not_measured") && <span class="kpi-note">*</span>}
      </dd>
    </div>
  );
}

function Details({ figure, item }: { figure: Figure; item: LineNow }) {
  const { pieces } = figure;
  const interval = figure.oee_interval;
  return (
    <div class="details">
      <ProgressBar progress={progress(figure, item)} oeeTarget={item.oee_target} />
      <ul class="facts">
        {pieces.reject > 0 && <li>{t("figure.rejects", { count: count(pieces.reject, locale.value) })}</li>}
        <li>
          {t("figure.stops.value", {
            stops: count(figure.stops, locale.value),
            micro: count(figure.micro_stops, locale.value),
          })}
        </li>
        {busyMs(figure) > 0 && (
          <li>
            {t("state.stopped")} {clockDuration(figure.buckets_ms.stopped)}
          </li>
        )}
        {figure.completeness !== null && figure.completeness < 1 && (
          <li>{t("figure.completeness", { value: percent(figure.completeness, locale.value) })}</li>
        )}
      </ul>
      {interval && (
        <p class="warning">
          {t("figure.oee")}{" "}
          {t("figure.interval", { low: percent(interval[0], locale.value), high: percent(interval[1], locale.value) })}:{" "}
          {t("figure.interval.hint")}
        </p>
      )}
      {figure.flags.map((flag) => (
        <p class={flag === "quality_not_measured" ? "quiet" : "warning"} key={flag}>
          {flag === "quality_not_measured" ? "* " : ""}
          {t(`flag.${flag}`)}
        </p>
      ))}
    </div>
  );
}
