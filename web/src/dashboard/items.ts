// Items of widgets as the server tells them.

import type { Feed } from "../live/reducer.ts";
import type { Buckets, Figure, LineState, Stop } from "../shapes.ts";

export interface Item {
  key: string;
}

/** What an answer is about: its first item. */
export interface About extends Item {
  lines: string[];
  from: string | null;
  to: string | null;
  as_of: string | null;
  /** The widget is about stops, which are not shown for several lines together. */
  hidden?: "several_lines";
  interval?: string;
  /** There are more than these. */
  more?: boolean;
  [more: string]: unknown;
}

export interface Kpi extends Item {
  /** Null: the total of several. */
  line: string | null;
  title: string | null;
  value: number | null;
  target: number | null;
  figure: Figure;
}

export interface Weight extends Item {
  line: string | null;
  title: string | null;
  value: number;
  output: number;
  without_weight: number;
}

export interface Cut extends Item {
  from: string;
  to: string;
  buckets_ms: Buckets;
  outside_ms: number;
  pieces: { total: number; good: number; reject: number };
  quantity: number | null;
  oee: number | null;
}

export interface PartsCut extends Item {
  from: string;
  to: string;
  input: number;
  process: number;
  output: number;
  reject: number;
}

export interface LineCut extends Item {
  line: string;
  title: string;
  from: string;
  to: string;
  buckets_ms: Buckets;
}

export interface OfArea extends Item {
  line: string;
  title: string;
  area_id: number;
  name: string | null;
  role: string | null;
  place: number;
  quantity: number;
}

export interface OfProduct extends Item {
  product_id: number;
  name: string | null;
  color: string | null;
  output: number;
  reject: number;
  rank: number;
  share: number | null;
  weight_g: number | null;
}

export interface OfReason extends Item {
  reason_code: string | null;
  name: string | null;
  planned: boolean;
  stops: number;
  duration_ms: number;
  longest_ms: number;
  rank: number;
  cumulative_ms: number;
}

export interface Hour extends Item {
  from: string;
  to: string;
  actual: number;
  plan: number | null;
  buckets_ms: Buckets;
  outside_ms: number;
  oee: number | null;
}

export interface Step extends Item {
  order: number;
  kind: "whole" | "loss" | "rest";
  ms: number | null;
}

export interface Camera extends Item {
  line: string;
  title: string;
  camera_id: number;
  areas: string[];
  health: "online" | "offline" | "unknown";
  told_at: string | null;
  seen_at: string | null;
}

export interface AndonTile extends Item {
  line: string;
  title: string;
  state: LineState;
  since: string;
  as_of: string;
  made: number | null;
  due: number | null;
  oee: number | null;
  oee_target: number | null;
  stop: Stop | null;
}

export type StopItem = Stop & Item;

const isItem = (item: unknown): item is Item =>
  typeof item === "object" && item !== null && typeof (item as Item).key === "string";

const feeds = new Map<string, Feed<Item>>();

/** The feed of a widget; one and the same for every caller. */
export function widgetFeed(widget: string): Feed<Item> {
  let feed = feeds.get(widget);
  if (feed === undefined) {
    feed = { widget, read: (item) => (isItem(item) ? item : null), key: (item) => item.key };
    feeds.set(widget, feed);
  }
  return feed;
}

export function aboutOf(items: ReadonlyMap<string, Item>): About | null {
  return (items.get("about") as About | undefined) ?? null;
}

/** All but what they are about. */
export function itemsOf<T extends Item>(items: ReadonlyMap<string, Item>): T[] {
  return [...items.values()].filter((item) => item.key !== "about") as T[];
}

/** Cuts of time and, beside them, stops. */
export function cutsAndStops(items: ReadonlyMap<string, Item>): [Cut[], Stop[]] {
  const cuts: Cut[] = [];
  const stops: Stop[] = [];
  for (const item of itemsOf<Item>(items)) {
    if ("stop" in item) stops.push(item.stop as Stop);
    else cuts.push(item as Cut);
  }
  cuts.sort((a, b) => Date.parse(a.from) - Date.parse(b.from));
  return [cuts, stops];
}
