// OEE of the hour before each minute, its last point live.

import { useSignal } from "@preact/signals";
import { useMemo, useRef } from "preact/hooks";
import uPlot from "uplot";

import { percent, timeWithDay } from "../format.ts";
import { locale, t } from "../i18n/index.ts";
import { zone } from "../session.ts";
import type { RollingTable } from "../series.ts";
import { Chart } from "./chart.tsx";
import { timeAxis, token, valueAxis } from "./style.ts";

interface Props {
  from: number;
  to: number;
  hours: number;
  table: RollingTable;
  target: number | null;
}

export function RollingChart({ from, to, hours, table, target }: Props) {
  const hovered = useSignal<number | null>(null);
  const live = useRef({ from, to, target });
  live.current = { from, to, target };
  const data = useMemo(() => table.arrays(from, to) as uPlot.AlignedData, [table, from, to]);

  const options = () => ({
    cursor: { y: false, drag: { x: false, y: false }, points: { size: 6 } },
    legend: { show: false },
    scales: {
      x: { time: true, range: (): [number, number] => [live.current.from / 1000, live.current.to / 1000] },
      y: { range: (_c: uPlot, _min: number, max: number): [number, number] => [0, Math.max(1, max ?? 0) * 1.02] },
    },
    tzDate: (at: number) => uPlot.tzDate(new Date(at * 1000), zone.value),
    axes: [timeAxis(locale.value, zone.value), valueAxis((value) => percent(value, locale.value, 0))],
    series: [{}, { stroke: token("series"), width: 2, points: { show: false } }],
    hooks: {
      draw: [(chart: uPlot) => drawTarget(chart, live.current.target)],
      setCursor: [(chart: uPlot) => (hovered.value = chart.cursor.idx ?? null)],
    },
  });

  const pointed = hovered.value === null ? null : (data[0][hovered.value] ?? null);
  const value = hovered.value === null ? null : data[1]?.[hovered.value];
  return (
    <figure class="panel">
      <figcaption>
        <h2>{t("line.rolling")}</h2>
        {target !== null && (
          <span class="quiet target-key">{t("figure.target", { value: percent(target, locale.value, 0) })}</span>
        )}
        <span class="grow" />
        <output class="readout">
          {pointed !== null &&
            `${timeWithDay(pointed * 1000, to, locale.value, zone.value)} · ${percent(value, locale.value)}`}
        </output>
      </figcaption>
      <Chart
        options={options}
        version={`${locale.value} ${zone.value} ${hours}`}
        data={data}
        height={180}
        label={t("line.chart.oee", { hours })}
        drawn={target}
      />
    </figure>
  );
}

function drawTarget(chart: uPlot, target: number | null): void {
  if (target === null) return;
  const { ctx, bbox } = chart;
  const y = chart.valToPos(target, "y", true);
  ctx.save();
  ctx.strokeStyle = token("target");
  ctx.setLineDash([6, 6]);
  ctx.beginPath();
  ctx.moveTo(bbox.left, y);
  ctx.lineTo(bbox.left + bbox.width, y);
  ctx.stroke();
  ctx.restore();
}
