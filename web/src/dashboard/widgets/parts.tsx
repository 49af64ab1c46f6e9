// What widgets share.

import type { Signal } from "@preact/signals";

import { timeWithDay } from "../../format.ts";
import { locale } from "../../i18n/index.ts";
import { zone } from "../../session.ts";
import type { Buckets, LineState, Stop } from "../../shapes.ts";
import { LINE_STATES } from "../../shapes.ts";
import type { About, Item } from "../items.ts";
import type { Look } from "../state.ts";

export interface WidgetProps {
  widget: string;
  items: ReadonlyMap<string, Item>;
  about: About;
  /** Pixels that there are for it. */
  height: number;
  look: Signal<Look>;
  onStop: (stop: Stop) => void;
  onZoom: (zoom: Look["zoom"]) => void;
}

/** The time that charts show: what is zoomed to, of what the answer is about. */
export function shownSpan(about: About, look: Look): { from: number; to: number } {
  const all = { from: Date.parse(about.from ?? ""), to: Date.parse(about.to ?? "") };
  const { zoom } = look;
  if (!zoom || zoom.to <= all.from || zoom.from >= all.to) return all;
  return { from: Math.max(all.from, zoom.from), to: Math.min(all.to, zoom.to) };
}

/** Time of day; with the day where the span is longer than one. */
export function moment(at: number, about: About): string {
  const end = Date.parse(about.to ?? about.as_of ?? "");
  return timeWithDay(at, end - 1, locale.value, zone.value);
}

/** The state that held longest; none where nothing is accounted for. */
export function longest(buckets: Buckets): LineState | null {
  let found: LineState | null = null;
  for (const state of LINE_STATES) {
    if (buckets[state] > 0 && (found === null || buckets[state] > buckets[found])) found = state;
  }
  return found;
}

/** A bar of a whole, in a list. */
export function Bar({ share, kind }: { share: number; kind?: string }) {
  return (
    <svg class={`bar ${kind ?? ""}`} viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">
      <rect class="track" x="0" y="0" width="100" height="10" />
      <rect class="fill" x="0" y="0" width={Math.max(0, Math.min(1, share)) * 100} height="10" />
    </svg>
  );
}
