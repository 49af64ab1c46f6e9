// The grid: widgets in their places, moved and resized by pointer or keyboard while the page is edited.

import type { Signal } from "@preact/signals";
import { useEffect, useRef, useState } from "preact/hooks";

import { locale, t } from "../i18n/index.ts";
import { linkLost, useFeed } from "../live/page.ts";
import { theme } from "../theme.ts";
import type { Stop } from "../shapes.ts";
import { aboutOf, widgetFeed } from "./items.ts";
import { COLUMNS, type Layout, moved, type Placed, removed } from "./layout.ts";
import { type Look, merged, paramsOf } from "./state.ts";
import type { WidgetType } from "./store.ts";
import { AreasWidget, ParetoWidget, ProductRanking, ProductsPie, WaterfallWidget } from "./widgets/bars.tsx";
import { KpiWidget, WeightWidget } from "./widgets/kpi.tsx";
import { AndonWidget, CamerasWidget, HoursWidget, TimelineWidget } from "./widgets/now.tsx";
import { moment, type WidgetProps } from "./widgets/parts.tsx";
import { StopScatter, StopTable } from "./widgets/stops.tsx";
import { ComparisonWidget, ProductionWidget } from "./widgets/time.tsx";

const RENDERERS: Record<string, (props: WidgetProps) => preact.ComponentChild> = {
  kpi_production: KpiWidget,
  kpi_weight: WeightWidget,
  kpi_oee: KpiWidget,
  kpi_availability: KpiWidget,
  kpi_performance: KpiWidget,
  kpi_quality: KpiWidget,
  kpi_downtime: KpiWidget,
  chart_production: ProductionWidget,
  chart_area: AreasWidget,
  chart_product: ProductsPie,
  chart_comparison: ComparisonWidget,
  scatter_stops: StopScatter,
  table_stops: StopTable,
  ranking_products: ProductRanking,
  pareto_downtime: ParetoWidget,
  timeline_state: TimelineWidget,
  tile_andon: AndonWidget,
  hours_plan: HoursWidget,
  waterfall_losses: WaterfallWidget,
  health_cameras: CamerasWidget,
};

/** Pixels of a row, and between widgets; as in the style sheet. */
const ROW = 156;
const GAP = 12;
const HEAD = 40;
const PADDING = 14;

interface Props {
  layout: Layout;
  catalogue: ReadonlyMap<string, WidgetType>;
  look: Signal<Look>;
  editing: boolean;
  onLayout: (layout: Layout) => void;
  onStop: (stop: Stop) => void;
  onZoom: (zoom: Look["zoom"]) => void;
  announce: (text: string) => void;
}

export function Grid(props: Props) {
  const { layout, catalogue, editing } = props;
  const place = useRef<HTMLDivElement>(null);
  return (
    <div class={`grid ${editing ? "editing" : ""}`} ref={place}>
      {layout.widgets.map((placed) => {
        const type = catalogue.get(placed.widget);
        return type ? <Cell key={placed.id} {...props} placed={placed} type={type} grid={place} /> : null;
      })}
    </div>
  );
}

interface CellProps extends Props {
  placed: Placed;
  type: WidgetType;
  grid: { current: HTMLDivElement | null };
}

function Cell({ placed, type, look, editing, layout, onLayout, onStop, onZoom, announce, grid }: CellProps) {
  const name = placed.title ?? type.title[locale.value];
  const height = placed.h * ROW + (placed.h - 1) * GAP - HEAD - 2 * PADDING;
  const params = merged(paramsOf(look.value), placed.params);
  const sub = useFeed(widgetFeed(placed.widget), params);
  const { items, status, problem } = sub.value;
  const about = aboutOf(items);
  const Body = RENDERERS[placed.widget];
  const style = { gridColumn: `${placed.x + 1} / span ${placed.w}`, gridRow: `${placed.y + 1} / span ${placed.h}` };

  const change = (to: Partial<Placed>) => {
    const next = moved(layout, placed.id, to);
    const now = next.widgets.find((one) => one.id === placed.id);
    onLayout(next);
    if (now) announce(t("dash.placed", { name, column: now.x + 1, row: now.y + 1, w: now.w, h: now.h }));
  };
  const keyed = (event: KeyboardEvent) => {
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (!step) return;
    event.preventDefault();
    const [dx = 0, dy = 0] = step;
    if (event.shiftKey) change({ w: placed.w + dx, h: placed.h + dy });
    else change({ x: placed.x + dx, y: Math.max(0, placed.y + dy) });
  };
  const drag = useDrag(grid, placed, change);

  return (
    <section class={`cell panel ${status === "live" ? "" : "waiting"}`} style={style} aria-label={name} data-widget={placed.widget}>
      <header class="cell-head">
        {editing && (
          <button
            type="button"
            class="handle"
            aria-label={t("dash.move", { name })}
            title={t("dash.move.hint")}
            onKeyDown={keyed}
            onPointerDown={drag("move")}
          >
            <svg viewBox="0 0 16 16" aria-hidden="true">
              <path d="M5 2v12M11 2v12" />
            </svg>
          </button>
        )}
        <h2>{name}</h2>
        <span class="grow" />
        {about?.as_of && <span class="quiet cell-time">{moment(Date.parse(about.as_of), about)}</span>}
        {editing && (
          <button
            type="button"
            class="plain remove"
            aria-label={t("dash.remove", { name })}
            onClick={() => onLayout(removed(layout, placed.id))}
          >
            ×
          </button>
        )}
      </header>
      {/* Scrolls by keyboard as well. */}
      <div class="cell-body" tabIndex={isScrolled(type) ? 0 : undefined} role={isScrolled(type) ? "group" : undefined} aria-label={isScrolled(type) ? name : undefined}>
        {status === "refused" ? (
          <p class="problem">{t("error.failed", { detail: problem ?? "" })}</p>
        ) : about === null ? (
          <p class="quiet">{linkLost.value === null ? t("line.loading") : "—"}</p>
        ) : about.hidden ? (
          <p class="quiet">{t("dash.oneLine")}</p>
        ) : Body ? (
          <Body
            key={theme.value}
            widget={placed.widget}
            items={items}
            about={about}
            height={height}
            look={look}
            onStop={onStop}
            onZoom={onZoom}
          />
        ) : (
          <p class="quiet">{t("dash.newer")}</p>
        )}
      </div>
      {editing && (
        <button
          type="button"
          class="corner"
          aria-label={t("dash.resize", { name })}
          title={t("dash.resize.hint")}
          onKeyDown={(event) => {
            // The corner resizes with and without Shift.
            const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
            if (!step) return;
            event.preventDefault();
            change({ w: placed.w + (step[0] ?? 0), h: placed.h + (step[1] ?? 0) });
          }}
          onPointerDown={drag("resize")}
        />
      )}
    </section>
  );
}

/** Lists and tables can be longer than their place. */
const isScrolled = (type: WidgetType): boolean =>
  type.group !== "chart" || ["chart_area", "pareto_downtime", "chart_product", "timeline_state", "waterfall_losses"].includes(type.widget);

/** Follows the pointer in steps of the grid. */
function useDrag(grid: { current: HTMLDivElement | null }, placed: Placed, change: (to: Partial<Placed>) => void) {
  const latest = useRef({ placed, change });
  latest.current = { placed, change };
  const [stop, setStop] = useState<(() => void) | null>(null);
  useEffect(() => () => stop?.(), [stop]);
  return (how: "move" | "resize") => (event: PointerEvent) => {
    const place = grid.current;
    if (place === null || event.button !== 0) return;
    event.preventDefault();
    (event.currentTarget as HTMLElement).focus();
    const start = { x: event.clientX, y: event.clientY, top: place.getBoundingClientRect().top };
    const from = { ...latest.current.placed };
    const column = (place.clientWidth + GAP) / COLUMNS;
    let last = "";
    const follow = (next: PointerEvent) => {
      const scrolled = start.top - place.getBoundingClientRect().top;
      const dx = Math.round((next.clientX - start.x) / column);
      const dy = Math.round((next.clientY - start.y + scrolled) / (ROW + GAP));
      if (last === `${dx} ${dy}`) return;
      last = `${dx} ${dy}`;
      const to = how === "move" ? { x: from.x + dx, y: Math.max(0, from.y + dy) } : { w: from.w + dx, h: from.h + dy };
      latest.current.change(to);
    };
    const end = () => {
      removeEventListener("pointermove", follow);
      removeEventListener("pointerup", end);
      removeEventListener("pointercancel", end);
      setStop(null);
    };
    addEventListener("pointermove", follow);
    addEventListener("pointerup", end);
    addEventListener("pointercancel", end);
    setStop(() => end);
  };
}
