// Colours, axes and bands that the charts share.

import type uPlot from "uplot";

import { timeOfDay } from "../format.ts";
import type { Stretch } from "../series.ts";

/** A colour of the page's style sheet. */
export function token(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

const FONT = "12px system-ui, sans-serif";

export function timeAxis(locale: string, zone: string): uPlot.Axis {
  return {
    stroke: token("ink-quiet"),
    font: FONT,
    size: 32,
    grid: { stroke: token("rule"), width: 1 },
    ticks: { stroke: token("rule"), width: 1, size: 5 },
    space: 70,
    values: (_chart, splits) => splits.map((at) => timeOfDay(at * 1000, locale, zone)),
  };
}

export function valueAxis(format: (value: number) => string): uPlot.Axis {
  return {
    stroke: token("ink-quiet"),
    font: FONT,
    size: 52,
    grid: { stroke: token("rule"), width: 1 },
    ticks: { show: false },
    values: (_chart, splits) => splits.map(format),
  };
}

/** A span drawn behind a chart; seconds since the epoch. */
export interface Band {
  id: string;
  from: number;
  to: number;
  planned: boolean;
}

/** Draws what is no production time behind the data: hatched where nothing was seen. */
export function drawStretches(chart: uPlot, stretches: readonly Stretch[]): void {
  const { ctx, bbox } = chart;
  ctx.save();
  for (const { from, to, outside } of stretches) {
    const left = Math.max(bbox.left, chart.valToPos(from / 1000, "x", true));
    const right = Math.min(bbox.left + bbox.width, chart.valToPos(to / 1000, "x", true));
    if (right <= left) continue;
    ctx.fillStyle =
      outside === "no_data" ? hatch(ctx) : token(outside === "planned_stop" ? "band-planned" : "band-idle");
    ctx.fillRect(left, bbox.top, right - left, bbox.height);
  }
  ctx.restore();
}

function hatch(ctx: CanvasRenderingContext2D): CanvasPattern | string {
  const size = 12 * devicePixelRatio;
  const tile = document.createElement("canvas");
  tile.width = tile.height = size;
  const pen = tile.getContext("2d");
  if (pen === null) return token("band-idle");
  pen.strokeStyle = token("rule-strong");
  pen.lineWidth = 2 * devicePixelRatio;
  pen.beginPath();
  for (const shift of [-size, 0, size]) {
    pen.moveTo(shift, size);
    pen.lineTo(shift + size, 0);
  }
  pen.stroke();
  return ctx.createPattern(tile, "repeat") ?? token("band-idle");
}

/** Draws the bands behind the data, none narrower than a pixel, the chosen one framed. */
export function drawBands(chart: uPlot, bands: readonly Band[], chosen: string | null): void {
  const { ctx, bbox } = chart;
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
  ctx.clip();
  for (const planned of [true, false]) {
    ctx.fillStyle = token(planned ? "band-planned" : "band-stopped");
    for (const band of bands) {
      if (band.planned !== planned) continue;
      const left = chart.valToPos(band.from, "x", true);
      const right = chart.valToPos(band.to, "x", true);
      ctx.fillRect(left, bbox.top, Math.max(devicePixelRatio, right - left), bbox.height);
    }
  }
  const frame = bands.find((band) => band.id === chosen);
  if (frame) {
    const left = chart.valToPos(frame.from, "x", true);
    const right = chart.valToPos(frame.to, "x", true);
    ctx.strokeStyle = token("focus");
    ctx.lineWidth = 2 * devicePixelRatio;
    ctx.strokeRect(left, bbox.top + ctx.lineWidth / 2, Math.max(2, right - left), bbox.height - ctx.lineWidth);
  }
  ctx.restore();
}

/** The band at a place of the chart, some pixels of grace for the narrow ones. */
export function bandAt(chart: uPlot, bands: readonly Band[], left: number): Band | null {
  const grace = 4;
  const from = chart.posToVal(left - grace, "x");
  const to = chart.posToVal(left + grace, "x");
  const at = chart.posToVal(left, "x");
  const touched = bands.filter((band) => band.from <= to && band.to >= from);
  const distance = (band: Band) => Math.max(0, band.from - at, at - band.to);
  touched.sort((a, b) => distance(a) - distance(b) || a.to - a.from - (b.to - b.from));
  return touched[0] ?? null;
}
