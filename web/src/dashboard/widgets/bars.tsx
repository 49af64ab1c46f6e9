// Bars: areas, products, reasons, losses.

import { clockDuration, count, percent } from "../../format.ts";
import { locale, t } from "../../i18n/index.ts";
import { reasonName } from "../../reasons.ts";
import { itemsOf, type OfArea, type OfProduct, type OfReason, type Step } from "../items.ts";
import { weight } from "./kpi.tsx";
import { Bar, type WidgetProps } from "./parts.tsx";

export function AreasWidget({ items, about }: WidgetProps) {
  const areas = itemsOf<OfArea>(items).sort(
    (a, b) => about.lines.indexOf(a.line) - about.lines.indexOf(b.line) || a.place - b.place,
  );
  const most = Math.max(1, ...areas.map((area) => area.quantity));
  if (areas.length === 0) return <p class="quiet">{t("dash.empty")}</p>;
  return (
    <ul class="rows">
      {areas.map((area) => (
        <li key={area.key}>
          <span class="grow">
            {area.name ?? `#${area.area_id}`}
            {about.lines.length > 1 && <span class="quiet"> {area.title}</span>}
          </span>
          <Bar share={area.quantity / most} kind={area.role === "reject" ? "stopped" : ""} />
          <span class="number">{count(area.quantity, locale.value)}</span>
        </li>
      ))}
    </ul>
  );
}

/** Colours for products without their own; told apart by the legend as well. */
const WHEEL = ["#74a9f5", "#4cc38a", "#f5b83d", "#c792ea", "#ff8f8f", "#7fdbca", "#d3a373", "#9fb8d3"];
const colorOf = (product: OfProduct): string => product.color ?? WHEEL[(product.rank - 1) % WHEEL.length] ?? "#9fb8d3";
/** Slices told apart; the rest is one. */
const SLICES = 7;

export function ProductsPie({ items, height }: WidgetProps) {
  const products = itemsOf<OfProduct>(items).sort((a, b) => a.rank - b.rank);
  const total = products.reduce((sum, product) => sum + product.output, 0);
  if (total === 0) return <p class="quiet">{t("dash.empty")}</p>;
  const shown = products.slice(0, SLICES);
  let turned = 0;
  const slice = (product: OfProduct) => {
    const share = product.output / total;
    const dash = `${share * 100} ${100 - share * 100}`;
    const at = turned;
    turned += share * 100;
    return (
      <circle
        key={product.key}
        class="slice"
        cx="21"
        cy="21"
        r="15.9155"
        stroke={colorOf(product)}
        stroke-dasharray={dash}
        stroke-dashoffset={25 - at}
      />
    );
  };
  return (
    <div class="pie">
      <svg viewBox="0 0 42 42" height={Math.min(height, 220)} role="img" aria-label={t("dash.pieLabel")}>
        <circle class="pie-track" cx="21" cy="21" r="15.9155" />
        {shown.map(slice)}
        <text x="21" y="22.6" class="pie-total">
          {count(total, locale.value)}
        </text>
      </svg>
      <ul class="rows">
        {products.map((product) => (
          <li key={product.key}>
            <svg class="swatch" viewBox="0 0 10 10" aria-hidden="true">
              <rect width="10" height="10" fill={product.rank <= SLICES ? colorOf(product) : "#5d6875"} />
            </svg>
            <span class="grow">{product.name ?? `#${product.product_id}`}</span>
            <span class="number">{count(product.output, locale.value)}</span>
            <span class="number quiet">{percent(product.share, locale.value)}</span>
          </li>
        ))}
      </ul>
    </div>
  );
}

export function ProductRanking({ items }: WidgetProps) {
  const products = itemsOf<OfProduct>(items).sort((a, b) => a.rank - b.rank);
  if (products.length === 0) return <p class="quiet">{t("dash.empty")}</p>;
  return (
    <table class="grid-table">
      <thead>
        <tr>
          <th scope="col" class="number">
            #
          </th>
          <th scope="col">{t("dash.product")}</th>
          <th scope="col" class="number">
            {t("dash.part.output")}
          </th>
          <th scope="col" class="number">
            {t("dash.part.reject")}
          </th>
          <th scope="col" class="number">
            {t("dash.weight")}
          </th>
        </tr>
      </thead>
      <tbody>
        {products.map((product) => (
          <tr key={product.key}>
            <td class="number">{product.rank}</td>
            <th scope="row">{product.name ?? `#${product.product_id}`}</th>
            <td class="number">{count(product.output, locale.value)}</td>
            <td class="number">{count(product.reject, locale.value)}</td>
            <td class="number">{product.weight_g === null ? "—" : weight(product.weight_g)}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

export function ParetoWidget({ items, about }: WidgetProps) {
  const reasons = itemsOf<OfReason>(items).sort((a, b) => a.rank - b.rank);
  const total = Number(about["total_ms"] ?? 0);
  const most = Math.max(1, ...reasons.map((reason) => reason.duration_ms));
  if (reasons.length === 0) return <p class="quiet">{t("stops.none")}</p>;
  return (
    <ul class="rows pareto">
      {reasons.map((reason) => (
        <li key={reason.key}>
          <span class="grow">
            {reason.reason_code ? (reason.name ?? reasonName(reason.reason_code)) : t("stops.noReason")}
            {reason.planned && <span class="badge">{t("stops.planned")}</span>}
            <span class="quiet"> ×{reason.stops}</span>
          </span>
          <Bar share={reason.duration_ms / most} kind={reason.planned ? "planned" : "stopped"} />
          <span class="number">{clockDuration(reason.duration_ms)}</span>
          <span class="number quiet">{percent(total > 0 ? reason.cumulative_ms / total : null, locale.value, 0)}</span>
        </li>
      ))}
    </ul>
  );
}

const KINDS: Record<string, string> = {
  unscheduled: "idle",
  planned_stop: "planned",
  no_data: "idle",
  availability: "stopped",
  performance: "behind",
  quality: "stopped",
};

export function WaterfallWidget({ items }: WidgetProps) {
  const steps = itemsOf<Step>(items).sort((a, b) => a.order - b.order);
  const whole = steps[0]?.ms ?? 0;
  if (whole === 0) return <p class="quiet">{t("figure.none")}</p>;
  let left = whole;
  return (
    <ul class="rows waterfall">
      {steps.map((step) => {
        const ms = step.ms ?? 0;
        // A loss hangs from what was left before it; what is left begins at nothing.
        const from = step.kind === "loss" ? left - ms : 0;
        left = step.kind === "loss" ? left - ms : ms;
        return (
          <li key={step.key} class={step.kind === "loss" ? "" : "strong"}>
            <span class="grow">{t(`dash.step.${step.key as "all"}`)}</span>
            <svg
              class={`bar ${step.kind === "loss" ? (KINDS[step.key] ?? "") : "whole"}`}
              viewBox="0 0 100 10"
              preserveAspectRatio="none"
              aria-hidden="true"
            >
              <rect class="track" width="100" height="10" />
              <rect class="fill" x={(Math.max(0, from) / whole) * 100} width={(Math.abs(ms) / whole) * 100} height="10" />
            </svg>
            <span class="number">{step.ms === null ? "—" : `${ms < 0 ? "−" : ""}${clockDuration(Math.abs(ms))}`}</span>
          </li>
        );
      })}
    </ul>
  );
}
