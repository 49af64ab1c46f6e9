// Charts over time: production with its stops, input beside output.

import { useSignal } from "@preact/signals";
import { useMemo, useRef } from "preact/hooks";
import uPlot from "uplot";

import { Chart } from "../../chart/chart.tsx";
import { type Band, bandAt, drawBands, drawStretches, timeAxis, token, valueAxis } from "../../chart/style.ts";
import { decimal, percent } from "../../format.ts";
import { outsideOf } from "../../history.ts";
import { locale, t } from "../../i18n/index.ts";
import type { Stretch } from "../../series.ts";
import { zone } from "../../session.ts";
import { theme } from "../../theme.ts";
import { type Cut, cutsAndStops, itemsOf, type Kpi, type PartsCut } from "../items.ts";
import { Bar, moment, shownSpan, type WidgetProps } from "./parts.tsx";

interface Series {
  label: string;
  color: string;
  fill?: string;
  values: (number | null)[];
}

interface PlotProps extends WidgetProps {
  xs: number[];
  series: Series[];
  bands: Band[];
  stretches: Stretch[];
  label: string;
  /** Said while nothing is pointed at. */
  unit: string;
  onBand?: (id: string) => void;
}

/** Steps over time. Dragging zooms, a click on a band chooses it, two clicks show everything again. */
function Plot({ xs, series, bands, stretches, label, unit, onBand, about, look, height, onZoom }: PlotProps) {
  const hovered = useSignal<number | null>(null);
  const span = shownSpan(about, look.value);
  const live = useRef({ span, bands, stretches, onBand, onZoom });
  live.current = { span, bands, stretches, onBand, onZoom };
  const data = useMemo(() => [xs, ...series.map((one) => one.values)] as uPlot.AlignedData, [xs, series]);
  const options = () => ({
    cursor: { y: false, drag: { x: true, y: false, setScale: false, dist: 6 }, points: { size: 6 } },
    legend: { show: false },
    scales: {
      x: { time: true, range: (): [number, number] => [live.current.span.from / 1e3, live.current.span.to / 1e3] },
      y: { range: (_c: uPlot, _min: number, max: number): [number, number] => [0, Math.max(max ?? 0, 1) * 1.08] },
    },
    tzDate: (at: number) => uPlot.tzDate(new Date(at * 1000), zone.value),
    axes: [timeAxis(locale.value, zone.value), valueAxis((value) => decimal(value, locale.value))],
    series: [
      {},
      ...series.map((one) => ({
        stroke: token(one.color),
        ...(one.fill ? { fill: token(one.fill) } : {}),
        width: 1.5,
        points: { show: false },
        paths: uPlot.paths.stepped!({ align: 1 as const }),
      })),
    ],
    hooks: {
      drawClear: [
        (chart: uPlot) => drawStretches(chart, live.current.stretches),
        (chart: uPlot) => drawBands(chart, live.current.bands, null),
      ],
      setCursor: [(chart: uPlot) => (hovered.value = chart.cursor.idx ?? null)],
      setSelect: [
        (chart: uPlot) => {
          if (chart.select.width < 6) return;
          const at = (left: number) => Math.round(chart.posToVal(left, "x") / 60) * 60_000;
          const zoom = { from: at(chart.select.left), to: at(chart.select.left + chart.select.width) };
          chart.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
          if (zoom.to - zoom.from >= 60_000) live.current.onZoom(zoom);
        },
      ],
    },
  });
  const index = hovered.value;
  const at = index === null ? null : (xs[index] ?? null);
  return (
    <div class="plot">
      <output class="readout">
        {at === null && unit}
        {at !== null && moment(at * 1000, about)}
        {at !== null &&
          series.map((one) => {
            const value = one.values[index ?? 0] ?? null;
            return ` · ${value === null ? "—" : decimal(value, locale.value)} ${one.label}`;
          })}
      </output>
      <Chart
        options={options}
        version={`${locale.value} ${zone.value} ${theme.value} ${series.length}`}
        data={data}
        height={Math.max(80, height - 24)}
        label={label}
        drawn={`${bands.length} ${bands.at(-1)?.to} ${span.from} ${span.to} ${stretches.length}`}
        onMade={(chart) => {
          chart.over.addEventListener("click", (event) => {
            const band = bandAt(chart, live.current.bands, event.offsetX);
            if (band) live.current.onBand?.(band.id);
          });
          chart.over.addEventListener("dblclick", () => live.current.onZoom(null));
        }}
      />
    </div>
  );
}

export function ProductionWidget(props: WidgetProps) {
  const { items, about, look } = props;
  const [cuts, stops] = useMemo(() => cutsAndStops(items), [items]);
  const end = Date.parse(about.to ?? "");
  const bands = useMemo(
    () =>
      stops
        .map((stop) => ({
          id: stop.downtime_id,
          from: Date.parse(stop.started_at) / 1e3,
          to: (stop.ended_at === null ? end : Date.parse(stop.ended_at)) / 1e3,
          planned: stop.planned,
        }))
        .reverse(),
    [stops, end],
  );
  const { area, product } = look.value;
  const filtered = area !== null || product !== null;
  const lines = Math.max(1, about.lines.length);
  const rate = (cut: Cut) => perMinute(cut, filtered ? (cut.quantity ?? 0) : cut.pieces.good, lines);
  const xs = useMemo(() => closed(cuts), [cuts]);
  const series = useMemo(
    () => [
      {
        label: t("line.production.unit"),
        color: "series",
        fill: "series-fill",
        values: [...cuts.map((cut) => (isBlind(cut) ? null : rate(cut))), null],
      },
    ],
    [cuts, filtered, lines, locale.value],
  );
  const stretches = useMemo(() => stretchesOf(cuts), [cuts]);
  const chosen = (id: string) => {
    const stop = stops.find((one) => one.downtime_id === id);
    if (stop) props.onStop(stop);
  };
  return (
    <Plot
      {...props}
      xs={xs}
      series={series}
      bands={bands}
      stretches={stretches}
      label={t("dash.productionLabel", { cuts: cuts.length, stops: stops.length })}
      unit={t("line.production.unit")}
      onBand={chosen}
    />
  );
}

/** Of a stretch that is not over, or began before the first detection, the rate of what is known of it. */
function perMinute(cut: Cut, pieces: number, lines: number): number | null {
  const length = Date.parse(cut.to) - Date.parse(cut.from);
  const known = length - cut.outside_ms / lines;
  return known < Math.min(10_000, length) ? null : (pieces * 60_000) / known;
}

/** Nothing was seen and nothing came: a blind stretch is not an empty one. */
function isBlind(cut: Cut): boolean {
  return cut.pieces.total === 0 && outsideOf({ ...cut.buckets_ms }) === "no_data";
}

/** The beginnings in seconds, and the last end: a step reaches to the next. */
function closed(cuts: readonly { from: string; to: string }[]): number[] {
  const last = cuts.at(-1);
  return [...cuts.map((cut) => Date.parse(cut.from) / 1e3), ...(last ? [Date.parse(last.to) / 1e3] : [])];
}

function stretchesOf(cuts: readonly Cut[]): Stretch[] {
  const found: Stretch[] = [];
  for (const cut of cuts) {
    const outside = outsideOf({ ...cut.buckets_ms });
    if (outside === null) continue;
    const [from, to] = [Date.parse(cut.from), Date.parse(cut.to)];
    const last = found.at(-1);
    if (last && last.to === from && last.outside === outside) last.to = to;
    else found.push({ from, to, outside });
  }
  return found;
}

const PARTS = [
  { part: "input", color: "blue" },
  { part: "output", color: "green" },
  { part: "reject", color: "red-ink" },
] as const;

export function ComparisonWidget(props: WidgetProps) {
  const { items } = props;
  const all = itemsOf<Kpi | PartsCut>(items);
  if (all.some((item) => "figure" in item)) return <LinesCompared lines={all as Kpi[]} />;
  return <PartsCompared {...props} />;
}

function PartsCompared(props: WidgetProps) {
  const cuts = useMemo(
    () => itemsOf<PartsCut>(props.items).sort((a, b) => Date.parse(a.from) - Date.parse(b.from)),
    [props.items],
  );
  const xs = useMemo(() => closed(cuts), [cuts]);
  const series = useMemo(
    () =>
      PARTS.filter(({ part }) => part === "output" || cuts.some((cut) => cut[part] > 0)).map(({ part, color }) => ({
        label: t(`dash.part.${part}`),
        color,
        values: [...cuts.map((cut) => cut[part]), null],
      })),
    [cuts, locale.value],
  );
  return (
    <>
      <ul class="legend compared">
        {series.map((one) => (
          <li key={one.color} class={`legend-${one.color}`}>
            {one.label}
          </li>
        ))}
      </ul>
      <Plot
        {...props}
        height={props.height - 26}
        xs={xs}
        series={series}
        bands={[]}
        stretches={[]}
        label={t("dash.comparisonLabel", { cuts: cuts.length })}
        unit={`${t("figure.pieces")} / ${t(`dash.interval.${(props.about.interval ?? "hour") as "hour"}`)}`}
      />
    </>
  );
}

function LinesCompared({ lines }: { lines: Kpi[] }) {
  return (
    <ul class="rows">
      {lines.map((line) => (
        <li key={line.key} class={line.line === null ? "strong" : ""}>
          <span class="grow">{line.title ?? t("dash.total")}</span>
          <Bar share={line.value ?? 0} kind={line.target !== null && (line.value ?? 1) < line.target ? "behind" : ""} />
          <span class="number">{percent(line.value, locale.value)}</span>
        </li>
      ))}
    </ul>
  );
}
