// Pieces per minute with the stops behind them.

import { useSignal } from "@preact/signals";
import { useMemo, useRef } from "preact/hooks";
import uPlot from "uplot";

import { decimal, timeWithDay } from "../format.ts";
import { locale, t } from "../i18n/index.ts";
import { zone } from "../session.ts";
import type { MinuteTable, Stretch } from "../series.ts";
import { LINE_STATES, type LineState } from "../shapes.ts";
import { Chart } from "./chart.tsx";
import { type Band, bandAt, drawBands, drawStretches, timeAxis, token, valueAxis } from "./style.ts";

interface Props {
  /** Milliseconds since the epoch. */
  from: number;
  to: number;
  hours: number;
  table: MinuteTable;
  bands: readonly Band[];
  chosen: string | null;
  idealPerMinute: number | null;
  onChoose: (id: string) => void;
}

export function ProductionChart({ from, to, hours, table, bands, chosen, idealPerMinute, onChoose }: Props) {
  const hovered = useSignal<number | null>(null);
  // The chart is made once; what it draws changes under it.
  const stretches = useMemo(() => table.stretches(from, to), [table, from, to]);
  const live = useRef({ from, to, bands, stretches, chosen, onChoose, idealPerMinute });
  live.current = { from, to, bands, stretches, chosen, onChoose, idealPerMinute };
  const data = useMemo(() => table.arrays(from, to) as uPlot.AlignedData, [table, from, to]);

  const options = () => ({
    cursor: { y: false, drag: { x: false, y: false }, points: { size: 6 } },
    legend: { show: false },
    scales: {
      x: { time: true, range: (): [number, number] => [live.current.from / 1000, live.current.to / 1000] },
      y: {
        range: (_c: uPlot, _min: number, max: number): [number, number] => [
          0,
          Math.max(max ?? 0, live.current.idealPerMinute ?? 0, 1) * 1.08,
        ],
      },
    },
    tzDate: (at: number) => uPlot.tzDate(new Date(at * 1000), zone.value),
    axes: [timeAxis(locale.value, zone.value), valueAxis((value) => decimal(value, locale.value))],
    series: [
      {},
      {
        stroke: token("series"),
        fill: token("series-fill"),
        width: 1.5,
        points: { show: false },
        paths: uPlot.paths.stepped!({ align: 1 }),
      },
    ],
    hooks: {
      drawClear: [
        (chart: uPlot) => drawStretches(chart, live.current.stretches),
        (chart: uPlot) => drawBands(chart, live.current.bands, live.current.chosen),
      ],
      draw: [(chart: uPlot) => drawIdeal(chart, live.current.idealPerMinute)],
      setCursor: [(chart: uPlot) => (hovered.value = chart.cursor.idx ?? null)],
    },
  });

  const pointed = hovered.value === null ? null : (data[0][hovered.value] ?? null);
  const value = hovered.value === null ? null : (data[1]?.[hovered.value] ?? null);
  const outside =
    pointed === null ? undefined : stretches.find(({ from, to }) => from <= pointed * 1000 && pointed * 1000 < to);
  return (
    <figure class="panel">
      <figcaption>
        <h2>{t("line.production")}</h2>
        <span class="quiet">{t("line.production.unit")}</span>
        {idealPerMinute !== null && (
          <span class="quiet ideal-key">{t("line.ideal", { rate: decimal(idealPerMinute, locale.value) })}</span>
        )}
        <span class="grow" />
        <output class="readout">
          {pointed !== null &&
            `${timeWithDay(pointed * 1000, to, locale.value, zone.value)} · ${value === null ? "—" : decimal(value, locale.value)}`}
          {outside && ` · ${t(`state.${outside.outside}`)}`}
        </output>
      </figcaption>
      <Chart
        options={options}
        version={`${locale.value} ${zone.value} ${hours}`}
        data={data}
        height={260}
        label={t("line.chart.production", { hours, stops: bands.length })}
        drawn={`${chosen} ${bands.length} ${bands.at(-1)?.to} ${idealPerMinute}`}
        onMade={(chart) => {
          chart.over.addEventListener("click", (event) => {
            const band = bandAt(chart, live.current.bands, event.offsetX);
            if (band) live.current.onChoose(band.id);
          });
        }}
      />
      <Legend bands={bands} stretches={stretches} />
    </figure>
  );
}

/** What the colours behind the curve mean: only those that are there. */
function Legend({ bands, stretches }: { bands: readonly Band[]; stretches: readonly Stretch[] }) {
  const lies = (outside: LineState) => stretches.some((stretch) => stretch.outside === outside);
  const there: Partial<Record<LineState, boolean>> = {
    stopped: bands.some((band) => !band.planned),
    planned_stop: bands.some((band) => band.planned) || lies("planned_stop"),
    no_data: lies("no_data"),
    unscheduled: lies("unscheduled"),
  };
  const shown = LINE_STATES.filter((state) => there[state]);
  return (
    <ul class="legend">
      {shown.map((state) => (
        <li key={state} class={`legend-${state}`}>
          {t(`state.${state}`)}
        </li>
      ))}
    </ul>
  );
}

function drawIdeal(chart: uPlot, perMinute: number | null): void {
  if (perMinute === null) return;
  const { ctx, bbox } = chart;
  const y = chart.valToPos(perMinute, "y", true);
  ctx.save();
  ctx.strokeStyle = token("ink-quiet");
  ctx.setLineDash([6, 6]);
  ctx.beginPath();
  ctx.moveTo(bbox.left, y);
  ctx.lineTo(bbox.left + bbox.width, y);
  ctx.stroke();
  ctx.restore();
}
