// Minutes and rolling figures from `/data/aggregate`.

import { get } from "./api.ts";
import type { Minute, Outside } from "./series.ts";

type Json = Record<string, unknown>;

interface Aggregate {
  items: Json[];
}

const at = (row: Json): number => Date.parse(String(row["from"] ?? row["at"] ?? ""));

function piecesOf(row: Json): number {
  const pieces = row["pieces"];
  if (typeof pieces === "object" && pieces !== null) return Number((pieces as Json)["total"] ?? 0);
  return Number(pieces ?? row["total"] ?? row["quantity"] ?? 0);
}

/** What most of a minute was, where that is not production time. */
export function outsideOf(buckets: unknown): Outside | null {
  if (typeof buckets !== "object" || buckets === null) return null;
  const ms = (name: string) => Number((buckets as Json)[name] ?? 0);
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

/** Pieces of the minutes of [from, to). */
export async function fetchMinutes(line: string, from: number, to: number, signal: AbortSignal): Promise<[number, Minute][]> {
  const answer = await get<Aggregate>("/data/aggregate", span(line, from, to), signal);
  return answer.items.map((row) => [at(row), { pieces: piecesOf(row), outside: outsideOf(row["buckets_ms"]) }]);
}

/** OEE of the hour up to each minute of [from, to). */
export async function fetchRolling(line: string, from: number, to: number, signal: AbortSignal): Promise<[number, number | null][]> {
  const answer = await get<Aggregate>("/data/aggregate", { ...span(line, from, to), rolling: "1h" }, signal);
  return answer.items.map((row) => {
    const oee = row["oee"];
    return [Date.parse(String(row["to"] ?? row["at"] ?? "")), typeof oee === "number" ? oee : null];
  });
}
