// Giving a stop its reason: sent, then pending until the line itself says so.

import { signal } from "@preact/signals";

import { ApiError, request } from "./api.ts";
import { t } from "./i18n/index.ts";
import type { Stop } from "./shapes.ts";
import { fetchStop } from "./stops.ts";

export interface Wish {
  reason_code: string | null;
  comment: string | null;
}

export interface Pending extends Wish {
  /** `sent`: the line's word is awaited; `slow`: taken, but not applied within the server's patience. */
  status: "sent" | "slow" | "saved" | "failed";
  detail: string;
}

/** By stop. */
export const pending = signal<ReadonlyMap<string, Pending>>(new Map());
/** Stops asked for after their classification was applied: a comment alone makes no new revision. */
export const confirmed = signal<ReadonlyMap<string, Stop>>(new Map());

const SAVED_SHOWN_MS = 4_000;
const SLOW_LOOK_MS = 2_000;
const SLOW_LOOKS = 30;

function set(id: string, next: Pending | null): void {
  const all = new Map(pending.value);
  if (next === null) all.delete(id);
  else all.set(id, next);
  pending.value = all;
}

/** Whether the stop says what was wished. */
export function fulfils(stop: Stop, wish: Wish): boolean {
  return (stop.reason_code ?? null) === wish.reason_code && (stop.comment || null) === wish.comment;
}

/** Ends the waiting of a stop that now carries what was wished. */
export function settle(stops: Iterable<Stop>): void {
  for (const stop of stops) {
    const wish = pending.value.get(stop.downtime_id);
    if (!wish || wish.status === "failed" || wish.status === "saved" || !fulfils(stop, wish)) continue;
    const saved: Pending = { ...wish, status: "saved" };
    set(stop.downtime_id, saved);
    setTimeout(() => {
      if (pending.value.get(stop.downtime_id) === saved) set(stop.downtime_id, null);
    }, SAVED_SHOWN_MS);
  }
}

async function look(id: string): Promise<void> {
  try {
    const stop = await fetchStop(id);
    confirmed.value = new Map(confirmed.value).set(id, stop);
    settle([stop]);
  } catch {
    // the feed will say it
  }
}

export async function classify(id: string, wish: Wish): Promise<void> {
  const sent: Pending = { ...wish, status: "sent", detail: "" };
  set(id, sent);
  const mine = () => pending.value.get(id)?.status !== "saved" && pending.value.has(id);
  try {
    const { status } = await request("PUT", `/downtime/${encodeURIComponent(id)}`, { body: wish });
    if (status === 202 && mine()) set(id, { ...sent, status: "slow" });
    await look(id);
    for (let tries = 0; tries < SLOW_LOOKS && mine(); tries += 1) {
      await new Promise((resume) => setTimeout(resume, SLOW_LOOK_MS));
      if (mine()) await look(id);
    }
  } catch (error) {
    const detail = error instanceof ApiError && error.status !== 0 ? error.message : t("error.network");
    set(id, { ...sent, status: "failed", detail });
  }
}

/** Forgets what a page of one line has gathered. */
export function forgetConfirmed(): void {
  confirmed.value = new Map();
}
