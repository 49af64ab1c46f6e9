// One number, and below it those of each line where there are several.

import { clockDuration, count, decimal, percent } from "../../format.ts";
import { locale, t } from "../../i18n/index.ts";
import { emptyState } from "../../model.ts";
import type { Figure } from "../../shapes.ts";
import { itemsOf, type Kpi, type Weight } from "../items.ts";
import { Bar, type WidgetProps } from "./parts.tsx";

const isRatio = (widget: string) => !["kpi_production", "kpi_downtime"].includes(widget);

function words(widget: string, value: number | null): string {
  if (value === null) return "—";
  if (widget === "kpi_downtime") return clockDuration(value);
  return isRatio(widget) ? percent(value, locale.value) : count(value, locale.value);
}

export function KpiWidget({ widget, items }: WidgetProps) {
  const all = itemsOf<Kpi>(items);
  const head = all.find((item) => item.line === null) ?? all[0];
  if (!head) return <p class="quiet">{t("figure.noShift")}</p>;
  const lines = all.filter((item) => item !== head);
  const { value, target, figure } = head;
  const isBelow = value !== null && target !== null && value < target;
  const empty = value === null ? emptyState(figure) : null;
  return (
    <div class="kpi-body">
      <p class={`kpi-value ${isBelow ? "below" : ""}`}>{words(widget, value)}</p>
      <p class="kpi-notes quiet">
        {empty && <span>{t(`state.${empty}`)}</span>}
        {target !== null && <span>{t("figure.target", { value: words(widget, Math.floor(target * 1e3) / 1e3) })}</span>}
        {widget === "kpi_downtime" && (
          <span>{t("figure.stops.value", { stops: figure.stops, micro: figure.micro_stops })}</span>
        )}
        {widget === "kpi_production" && figure.pieces.reject > 0 && (
          <span>{t("figure.rejects", { count: count(figure.pieces.reject, locale.value) })}</span>
        )}
        {widget === "kpi_oee" && figure.oee_interval && (
          <span title={t("figure.interval.hint")}>
            {t("figure.interval", {
              low: percent(figure.oee_interval[0], locale.value),
              high: percent(figure.oee_interval[1], locale.value),
            })}
          </span>
        )}
        {flagsOf(widget, figure, head.line === null && lines.length > 0)}
      </p>
      {lines.length > 0 && (
        <ul class="kpi-lines">
          {lines.map((item) => (
            <li key={item.key}>
              <span class="grow">{item.title}</span>
              <span class="number">{words(widget, item.value)}</span>
            </li>
          ))}
        </ul>
      )}
    </div>
  );
}

/** What has to be known of this number; one of several lines may have a flag for one of them. */
function flagsOf(widget: string, figure: Figure, isOfSeveral: boolean) {
  const flags = figure.flags.filter(
    (flag) =>
      (flag === "standard_too_low" && (widget === "kpi_performance" || widget === "kpi_oee")) ||
      ((flag === "quality_not_measured" || flag === "quality_above_one") && widget === "kpi_quality") ||
      flag === "no_production_time",
  );
  return flags.map((flag) => (
    <span key={flag} class={flag === "quality_not_measured" ? "" : "warning"}>
      {t(flag === "quality_not_measured" && isOfSeveral ? "flag.quality_not_measured.some" : `flag.${flag}`)}
    </span>
  ));
}

export function WeightWidget({ items }: WidgetProps) {
  const all = itemsOf<Weight>(items);
  const head = all.find((item) => item.line === null) ?? all[0];
  if (!head) return <p class="quiet">{t("figure.noShift")}</p>;
  const lines = all.filter((item) => item !== head);
  return (
    <div class="kpi-body">
      <p class="kpi-value">{weight(head.value)}</p>
      <p class="kpi-notes quiet">
        {head.without_weight > 0 && (
          <span class="warning">{t("dash.withoutWeight", { count: count(head.without_weight, locale.value) })}</span>
        )}
      </p>
      {lines.length > 0 && (
        <ul class="kpi-lines">
          {lines.map((item) => (
            <li key={item.key}>
              <span class="grow">{item.title}</span>
              <Bar share={head.value > 0 ? item.value / head.value : 0} />
              <span class="number">{weight(item.value)}</span>
            </li>
          ))}
        </ul>
      )}
    </div>
  );
}

/** Grams as people say them. */
export function weight(grams: number): string {
  if (grams >= 1e6) return `${decimal(grams / 1e6, locale.value)} t`;
  return grams >= 1e3 ? `${decimal(grams / 1e3, locale.value)} kg` : `${decimal(grams, locale.value)} g`;
}
