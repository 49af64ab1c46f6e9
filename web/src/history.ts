// Minutes and rolling figures from `/data/aggregate`.

import { get } from "./api.ts";
import type { Minute, Outside } from "./series.ts";

const MINUTE_MS = 60_000;
/** A rate of less time than this says nothing. */
const LEAST_MS = 10_000;

interface Row {
  from: string;
  to: string;
  pieces: { total: number };
  buckets_ms?: Partial<Record<string, number>>;
  /** Before the first detection or after the line's clock. */
  outside_ms?: number;
  oee: number | null;
}

interface Aggregate {
  items: Row[];
}

/** A minute of the chart; null when hardly any of it is known. Of one that is not over the rate so far. */
export function minuteOf(row: Pick<Row, "pieces" | "buckets_ms" | "outside_ms">): Minute | null {
  const known = MINUTE_MS - (row.outside_ms ?? 0);
  if (known < LEAST_MS) return null;
  return { pieces: (row.pieces.total * MINUTE_MS) / known, outside: outsideOf(row.buckets_ms) };
}

/** What most of a minute was, where that is not production time. */
export function outsideOf(buckets: Partial<Record<string, number>> = {}): Outside | null {
  const ms = (name: string) => buckets[name] ?? 0;
  const production = ms("running") + ms("micro_stop") + ms("stopped");
  let most: Outside | null = null;
  let mostMs = production;
  for (const name of ["no_data", "planned_stop", "unscheduled"] as const) {
    if (ms(name) > mostMs) [most, mostMs] = [name, ms(name)];
  }
  return most;
}

const span = (line: string, from: number, to: number) => ({
  line,
  from: new Date(from).toISOString(),
  to: new Date(to).toISOString(),
  interval: "minute",
});

/** The minutes of [from, to), as far as they are known. */
export async function fetchMinutes(
  line: string,
  from: number,
  to: number,
  signal: AbortSignal,
): Promise<[number, Minute][]> {
  const answer = await get<Aggregate>("/data/aggregate", span(line, from, to), signal);
  return answer.items.flatMap((row): [number, Minute][] => {
    const minute = minuteOf(row);
    return minute === null ? [] : [[Date.parse(row.from), minute]];
  });
}

/** OEE of the hour up to the end of each minute of [from, to). */
export async function fetchRolling(
  line: string,
  from: number,
  to: number,
  signal: AbortSignal,
): Promise<[number, number | null][]> {
  const answer = await get<Aggregate>("/data/aggregate", { ...span(line, from, to), rolling: "1h" }, signal);
  return answer.items.map((row) => [Date.parse(row.to), row.oee]);
}
