// Stops of a line over a span: history from REST, what is new from the feed.

import { get } from "./api.ts";
import type { Stop } from "./shapes.ts";

const PAGE = 500;

/** All stops that overlap [from, to), page by page. */
export async function fetchStops(line: string, from: number, to: number, signal: AbortSignal): Promise<Stop[]> {
  const found: Stop[] = [];
  let cursor: string | undefined;
  do {
    const page: { items: Stop[]; next_cursor: string | null } = await get(
      "/downtime",
      { line, from: new Date(from).toISOString(), to: new Date(to).toISOString(), limit: PAGE, cursor },
      signal,
    );
    found.push(...page.items);
    cursor = page.next_cursor ?? undefined;
  } while (cursor !== undefined);
  return found;
}

export function fetchStop(id: string): Promise<Stop> {
  return get(`/downtime/${encodeURIComponent(id)}`);
}

/** Of two words about a stop, the later: the higher revision, of equal ones the one given second. */
export function laterOf(a: Stop | undefined, b: Stop): Stop {
  return a !== undefined && a.revision > b.revision ? a : b;
}

/** The stops of a line that overlap [from, to), open ones first, then the newest. Later sources win at equal revision. */
export function mergeStops(sources: readonly Iterable<Stop>[], line: string, from: number, to: number): Stop[] {
  const byId = new Map<string, Stop>();
  for (const source of sources) {
    for (const stop of source) {
      if (stop.line === line) byId.set(stop.downtime_id, laterOf(byId.get(stop.downtime_id), stop));
    }
  }
  const overlaps = (stop: Stop) =>
    Date.parse(stop.started_at) < to && (stop.ended_at === null || Date.parse(stop.ended_at) > from);
  const rank = (stop: Stop) => (stop.status === "open" ? 0 : 1);
  return [...byId.values()]
    .filter((stop) => stop.status !== "retracted" && overlaps(stop))
    .sort((a, b) => rank(a) - rank(b) || Date.parse(b.started_at) - Date.parse(a.started_at));
}

/** How long a stop lasts, an open one up to the line's clock. */
export function stopMs(stop: Stop, lineNow: number): number {
  if (stop.status !== "open") return stop.duration_ms;
  return Math.max(stop.duration_ms, lineNow - Date.parse(stop.started_at));
}
