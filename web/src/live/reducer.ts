// What the frames of one subscription add up to: pure, so that every order of frames can be tested without a socket.
//
// Values are absolute and keyed, so a frame that comes twice changes nothing. Offsets may jump (a slow client is
// given only the latest), so a jump is no gap; a gap shows when a heartbeat names a head that has still not been
// reached by the heartbeat after it.

import type { Params, Position, ServerFrame } from "./protocol.ts";

/** How the items of a feed are keyed, and which are worth keeping. */
export interface Feed<T> {
  widget: string;
  /** The item of a frame sent at `sentAt` (server time), or null for one this client does not understand. */
  read(item: unknown, sentAt: number): T | null;
  key(item: T): string;
  /** Counts up with every change of an item, where items carry one: an older one never replaces a newer. */
  revision?(item: T): number;
  /** Items for which this is false are dropped, so that the memory of a page that runs for weeks stays bounded. */
  keep?(item: T): boolean;
}

export interface Sub<T> {
  readonly id: number;
  readonly params: Params;
  readonly items: ReadonlyMap<string, T>;
  readonly position: Position | null;
  readonly asOf: string | null;
  /** Server time of the last frame, as sent. */
  readonly sentAt: string | null;
  /** `waiting` until the first snapshot is whole; then `live`; `refused` after an error. */
  readonly status: "waiting" | "live" | "refused";
  readonly problem: string | null;
  /** Pieces of a snapshot that is not whole yet. */
  readonly staging: ReadonlyMap<string, T> | null;
  /** Head of the last heartbeat when it was ahead of this subscription. */
  readonly missing: number | null;
}

/** What the socket's owner has to do. */
export type Effect = "resume" | "refetch" | null;

export interface Step<T> {
  sub: Sub<T>;
  effect: Effect;
}

export function newSub<T>(id: number, params: Params): Sub<T> {
  return {
    id,
    params,
    items: new Map(),
    position: null,
    asOf: null,
    sentAt: null,
    status: "waiting",
    problem: null,
    staging: null,
    missing: null,
  };
}

/** The subscription after its socket was lost: values stay, an unfinished snapshot goes. */
export function disconnected<T>(sub: Sub<T>): Sub<T> {
  return { ...sub, staging: null, missing: null };
}

const unchanged = <T>(sub: Sub<T>): Step<T> => ({ sub, effect: null });

function put<T>(feed: Feed<T>, into: Map<string, T>, raw: unknown, sentAt: string | null): void {
  const item = feed.read(raw, sentAt === null ? NaN : Date.parse(sentAt));
  if (item === null) return;
  const key = feed.key(item);
  const known = into.get(key);
  if (known !== undefined && feed.revision && feed.revision(item) < feed.revision(known)) return;
  if (feed.keep && !feed.keep(item)) into.delete(key);
  else into.set(key, item);
}

export function reduce<T>(feed: Feed<T>, sub: Sub<T>, frame: ServerFrame): Step<T> {
  switch (frame.op) {
    case "snapshot": {
      if (frame.id !== sub.id) return unchanged(sub);
      const staging = new Map(sub.staging ?? []);
      for (const item of frame.data.items) put(feed, staging, item, frame.sent_at);
      if (frame.more) return unchanged({ ...sub, staging });
      return unchanged({
        ...sub,
        items: staging,
        staging: null,
        position: { epoch: frame.epoch, offset: frame.offset },
        asOf: frame.as_of,
        sentAt: frame.sent_at,
        status: "live",
        problem: null,
        missing: null,
      });
    }
    case "change": {
      if (frame.id !== sub.id) return unchanged(sub);
      if (sub.position === null || sub.staging !== null) return unchanged(sub);
      if (frame.epoch !== sub.position.epoch) return { sub, effect: "refetch" };
      if (frame.offset <= sub.position.offset) return unchanged(sub);
      const items = new Map(sub.items);
      for (const key of frame.data.removed) items.delete(key);
      for (const item of frame.data.items) put(feed, items, item, frame.sent_at);
      const position = { epoch: frame.epoch, offset: frame.offset };
      const missing = sub.missing !== null && frame.offset >= sub.missing ? null : sub.missing;
      const next: Sub<T> = {
        ...sub,
        items,
        position,
        asOf: frame.as_of ?? sub.asOf,
        sentAt: frame.sent_at ?? sub.sentAt,
        status: "live",
        missing,
      };
      return unchanged(next);
    }
    case "must_refetch":
      if (frame.id !== sub.id) return unchanged(sub);
      return { sub: { ...sub, position: null, staging: null, missing: null }, effect: "refetch" };
    case "heartbeat": {
      const head = frame.heads.get(sub.id);
      if (head === undefined || sub.position === null || sub.staging !== null) return unchanged(sub);
      if (sub.missing !== null && sub.position.offset < sub.missing) {
        return { sub: { ...sub, missing: null }, effect: "resume" };
      }
      return unchanged({ ...sub, missing: head > sub.position.offset ? head : null });
    }
    case "error":
      if (frame.id !== sub.id) return unchanged(sub);
      return unchanged({
        ...sub,
        status: "refused",
        problem: frame.problem.detail ?? frame.problem.title ?? frame.problem.code ?? "error",
      });
    case "hello":
      return unchanged(sub);
  }
}
