// The tenant's reasons for stops, as a tree.

import { signal } from "@preact/signals";

import { get } from "./api.ts";
import type { Reason } from "./shapes.ts";

export const reasons = signal<ReadonlyMap<string, Reason>>(new Map());

export interface ReasonNode {
  reason: Reason;
  children: ReasonNode[];
}

/** Reasons under their parents; one whose parent does not exist (or that is its own ancestor) stands at the top. */
export function reasonTree(all: Iterable<Reason>): ReasonNode[] {
  const nodes = new Map<string, ReasonNode>();
  for (const reason of all) nodes.set(reason.code, { reason, children: [] });
  const inCircle = (reason: Reason): boolean => {
    const seen = new Set<string>();
    let at: Reason | undefined = reason;
    while (at?.parent) {
      if (seen.has(at.code)) return true;
      seen.add(at.code);
      at = nodes.get(at.parent)?.reason;
    }
    return false;
  };
  const top: ReasonNode[] = [];
  for (const node of nodes.values()) {
    const parent = node.reason.parent ? nodes.get(node.reason.parent) : undefined;
    if (parent && !inCircle(node.reason)) parent.children.push(node);
    else top.push(node);
  }
  return top;
}

/** The reason's name, its code when it is not (or no longer) known. */
export function reasonName(code: string): string {
  return reasons.value.get(code)?.name ?? code;
}

export function readReasons(body: unknown): Reason[] {
  const list = Array.isArray(body) ? body : ((body as { items?: unknown } | null)?.items ?? []);
  return (Array.isArray(list) ? list : []).filter(
    (one): one is Reason => typeof one?.code === "string" && typeof one?.name === "string",
  );
}

export async function loadReasons(): Promise<void> {
  const list = readReasons(await get("/production/reasons"));
  reasons.value = new Map(list.map((reason) => [reason.code, reason]));
}
