// The raw feeds as the pages read them.

import type { Feed } from "./live/reducer.ts";
import { type Figure, LINE_STATES, type StateItem, type Stop } from "./shapes.ts";

/** A value and when it was told. */
export interface Heard {
  /** Server time at which the line told it, else at which its frame was sent; milliseconds, NaN when neither is known. */
  heard: number;
}

export type LineNow = StateItem & Heard;
export type FigureNow = Figure & Heard;

type Json = Record<string, unknown>;
const isObject = (value: unknown): value is Json => typeof value === "object" && value !== null;
const has = (item: Json, ...names: string[]): boolean => names.every((name) => typeof item[name] === "string");

export const stateFeed: Feed<LineNow> = {
  widget: "feed_state",
  read(item, sentAt) {
    if (!isObject(item) || !has(item, "line", "state", "since", "as_of")) return null;
    if (!(LINE_STATES as readonly unknown[]).includes(item["state"])) return null;
    const title = typeof item["title"] === "string" && item["title"] !== "" ? item["title"] : item["line"];
    const told = typeof item["published_at"] === "string" ? Date.parse(item["published_at"]) : sentAt;
    return { ...item, title, heard: told } as LineNow;
  },
  key: (item) => item.line,
};

export const figureFeed: Feed<FigureNow> = {
  widget: "feed_oee",
  read(item, sentAt) {
    if (!isObject(item) || !has(item, "line", "window", "from", "to", "as_of")) return null;
    if (!isObject(item["buckets_ms"]) || !isObject(item["pieces"])) return null;
    return { ...item, heard: sentAt } as unknown as FigureNow;
  },
  key: (figure) => figureKey(figure.line ?? "", figure.window),
};

export const figureKey = (line: string, window: string): string => `${line} ${window}`;

function readStop(item: unknown): Stop | null {
  if (!isObject(item) || !has(item, "downtime_id", "line", "status", "started_at")) return null;
  return item as unknown as Stop;
}

const stopFeed: Feed<Stop> = {
  widget: "feed_downtime",
  read: readStop,
  key: (stop) => stop.downtime_id,
  revision: (stop) => stop.revision,
};

/** Only what stands right now: enough for a wall. */
export const openStopFeed: Feed<Stop> = { ...stopFeed, keep: (stop) => stop.status === "open" };

/** All stops of a span of time up to now, `keepMs` long by the server's clock; retracted ones stay as a word to go. */
export function recentStopFeed(keepMs: number, serverNow: () => number): Feed<Stop> {
  return {
    ...stopFeed,
    keep: (stop) => stop.status === "open" || Date.parse(stop.ended_at ?? stop.started_at) > serverNow() - keepMs,
  };
}
