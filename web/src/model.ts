// What a tile, a row or a headline says of a line. Pure: time is an argument.

import type { FigureNow, LineNow } from "./feeds.ts";
import type { Figure, LineState, Stop } from "./shapes.ts";
import { targetPieces } from "./shapes.ts";

/** A line that has not been heard of for longer is shown dimmed. */
export const STALE_MS = 30_000;
/** Ages below this are shown as one word, so that a healthy screen does not flicker. */
export const FRESH_MS = 5_000;

export interface Timing {
  /** The line's clock now: the last word's, carried on at the pace of the server's time. */
  lineNow: number;
  /** How long the state has held. */
  heldMs: number;
  /** Between the line's clock and now: the age of what is shown. */
  ageMs: number;
  stale: boolean;
}

/**
 * Times of a line. `linkHeard` is the server time of the last frame while the link is down: then the state is as old
 * as that and does not tick on, because nobody knows whether it still holds.
 */
export function timing(item: LineNow, serverNow: number, linkHeard: number | null): Timing {
  const asOf = Date.parse(item.as_of);
  const heard = Number.isFinite(item.heard) ? item.heard : asOf;
  const until = linkHeard === null ? serverNow : Math.min(serverNow, linkHeard);
  const lineNow = asOf + Math.max(0, until - heard);
  const silence = Math.max(0, serverNow - heard);
  return {
    lineNow,
    heldMs: Math.max(0, lineNow - Date.parse(item.since)),
    ageMs: Math.max(0, serverNow - asOf),
    stale: linkHeard !== null || silence > STALE_MS,
  };
}

export interface Progress {
  made: number;
  /** Null when the line has no ideal rate or no target. */
  target: number | null;
  /** made ÷ target, null without one. */
  ratio: number | null;
}

export function progress(figure: Figure, item: LineNow): Progress {
  const made = figure.pieces.good;
  const target = targetPieces(figure, item);
  return { made, target, ratio: target !== null && target >= 1 ? made / target : null };
}

/** A shift's figure stays this long after its end, until the next shift's has come. */
const HANDOVER_MS = 5_000;

/** The figure if its period holds at the line's clock: between shifts there is none. */
export function current(figure: FigureNow | undefined, lineNow: number): FigureNow | null {
  if (!figure) return null;
  if (figure.window !== "shift") return figure;
  return Date.parse(figure.from) <= lineNow && lineNow < Date.parse(figure.to) + HANDOVER_MS ? figure : null;
}

/** Why a figure has no OEE: where most of its time went. */
export function emptyState(figure: Figure): LineState | null {
  const { unscheduled, planned_stop, no_data, running, micro_stop, stopped } = figure.buckets_ms;
  if (running + micro_stop + stopped > 0) return null;
  const most = Math.max(unscheduled, planned_stop, no_data);
  if (most === 0) return null;
  if (most === no_data) return "no_data";
  return most === planned_stop ? "planned_stop" : "unscheduled";
}

/** The stop that a line is in, if any. */
export function openStop(stops: ReadonlyMap<string, Stop>, line: string): Stop | null {
  let found: Stop | null = null;
  for (const stop of stops.values()) {
    if (stop.line !== line || stop.status !== "open") continue;
    if (found === null || stop.started_at > found.started_at) found = stop;
  }
  return found;
}

/** Columns of a wall for `count` tiles on a screen: those that make the tiles' smaller side largest. */
export function wallColumns(count: number, width: number, height: number): number {
  let best = 1;
  let bestScore = 0;
  for (let columns = 1; columns <= count; columns += 1) {
    const rows = Math.ceil(count / columns);
    // A tile reads best at about 16:10; empty places at the end cost a little.
    const score = Math.min(width / columns / 1.6, height / rows) * (1 - 0.02 * (columns * rows - count));
    if (score > bestScore) {
      best = columns;
      bestScore = score;
    }
  }
  return best;
}

/** Lines in the order people expect: `Line 2` before `Line 10`. */
export function byTitle(locale: string): (a: LineNow, b: LineNow) => number {
  const collator = new Intl.Collator(locale, { numeric: true });
  return (a, b) => collator.compare(a.title, b.title) || collator.compare(a.line, b.line);
}
