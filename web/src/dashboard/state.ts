// What a page looks at, kept in its address: it can be sent to somebody, and back and forward work.

import { LIVE_WINDOWS, type LiveWindow } from "../shapes.ts";

export interface Look {
  /** A line or a group; null: all. */
  line: string | null;
  /** Null beside a range. */
  window: LiveWindow | null;
  /** Milliseconds since the epoch. */
  range: { from: number; to: number } | null;
  interval: string | null;
  area: number | null;
  product: number | null;
  shift: string | null;
  reason: string | null;
  /** The part of the time that charts show; null: all of it. */
  zoom: { from: number; to: number } | null;
}

export const EVERYTHING: Look = {
  line: null,
  window: "shift",
  range: null,
  interval: null,
  area: null,
  product: null,
  shift: null,
  reason: null,
  zoom: null,
};

const isWindow = (text: string | null): text is LiveWindow => (LIVE_WINDOWS as readonly (string | null)[]).includes(text);

function span(from: string | null, to: string | null): { from: number; to: number } | null {
  const [a, b] = [Date.parse(from ?? ""), Date.parse(to ?? "")];
  return Number.isFinite(a) && Number.isFinite(b) && a < b ? { from: a, to: b } : null;
}

function whole(text: string | null): number | null {
  const number = Number(text);
  return text !== null && text !== "" && Number.isInteger(number) ? number : null;
}

/** What an address says; what it does not say, or says wrongly, is as at first. */
export function lookOf(search: string): Look {
  const query = new URLSearchParams(search);
  const range = span(query.get("from"), query.get("to"));
  const window = query.get("window");
  const zoom = query.get("zoom")?.split("~") ?? [];
  return {
    line: query.get("line") || null,
    window: range ? null : isWindow(window) ? window : "shift",
    range,
    interval: query.get("interval") || null,
    area: whole(query.get("area")),
    product: whole(query.get("product")),
    shift: query.get("shift") || null,
    reason: query.get("reason") || null,
    zoom: span(zoom[0] ?? null, zoom[1] ?? null),
  };
}

const iso = (at: number): string => new Date(at).toISOString();

/** The query of an address; what is as at first is left out. */
export function searchOf(look: Look): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(paramsOf(look))) {
    if (name !== "window" || value !== EVERYTHING.window) query.set(name, String(value));
  }
  if (look.zoom) query.set("zoom", `${iso(look.zoom.from)}~${iso(look.zoom.to)}`);
  const text = query.toString();
  return text === "" ? "" : `?${text}`;
}

/** What widgets are asked with. */
export function paramsOf(look: Look): Record<string, unknown> {
  const params: Record<string, unknown> = {};
  if (look.line !== null) params["line"] = look.line;
  if (look.range) {
    params["from"] = iso(look.range.from);
    params["to"] = iso(look.range.to);
  } else {
    params["window"] = look.window ?? EVERYTHING.window;
  }
  for (const name of ["interval", "area", "product", "shift", "reason"] as const) {
    if (look[name] !== null) params[name] = look[name];
  }
  return params;
}

/** A widget's own parameters before the page's; a period of its own before any of the page's. */
export function merged(page: Record<string, unknown>, own: Record<string, unknown> = {}): Record<string, unknown> {
  const all = { ...page };
  if ("window" in own || "from" in own || "to" in own) {
    delete all["window"];
    delete all["from"];
    delete all["to"];
  }
  return { ...all, ...own };
}

/** An instant of a wall clock, `2026-01-01T06:00`, in a zone; of one that comes twice the first, of none the next. */
export function instantOf(wall: string, zone: string): number | null {
  const asUtc = Date.parse(`${wall}Z`);
  if (!Number.isFinite(asUtc)) return null;
  // The offset at the wall time is found by looking at it from both sides of a change.
  const candidates = [asUtc - offsetAt(asUtc - 86_400_000, zone), asUtc - offsetAt(asUtc + 86_400_000, zone)];
  const fitting = candidates.filter((at) => wallOf(at, zone) === wall.slice(0, 16));
  return fitting.length > 0 ? Math.min(...fitting) : Math.max(...candidates);
}

/** The wall clock of an instant in a zone: `2026-01-01T06:00`. */
export function wallOf(at: number, zone: string): string {
  return new Date(at + offsetAt(at, zone)).toISOString().slice(0, 16);
}

function offsetAt(at: number, zone: string): number {
  const parts = new Intl.DateTimeFormat("en-US", {
    timeZone: zone,
    hourCycle: "h23",
    year: "numeric",
    month: "numeric",
    day: "numeric",
    hour: "numeric",
    minute: "numeric",
    second: "numeric",
  }).formatToParts(at);
  const part = (type: string) => Number(parts.find((one) => one.type === type)?.value);
  const wall = Date.UTC(
    part("year"),
    part("month") - 1,
    part("day"),
    part("hour"),
    part("minute"),
    part("second"),
  );
  return wall - Math.floor(at / 1000) * 1000;
}
