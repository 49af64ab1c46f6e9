// Frames of the live protocol `andon.v1`, as they are on the wire.

export const SUBPROTOCOL = "andon.v1";

export interface Position {
  epoch: string;
  offset: number;
}

export type Params = Record<string, unknown>;

export type ClientFrame =
  | { op: "subscribe"; id: number; widget: string; params: Params; resume?: Position }
  | { op: "unsubscribe"; id: number }
  | { op: "ping" };

/** A problem as in RFC 9457. */
export interface Problem {
  type?: string;
  title?: string;
  status?: number;
  detail?: string;
  code?: string;
}

/** Absolute values of some items, and the keys of those that are gone. */
export interface Delta {
  items: unknown[];
  removed: string[];
}

export type ServerFrame =
  | { op: "hello"; protocol: string; heartbeat_s: number; sent_at: string | null }
  | {
      op: "snapshot" | "change";
      id: number;
      epoch: string;
      offset: number;
      as_of: string | null;
      sent_at: string | null;
      data: Delta;
      /** Of a snapshot in several pieces: another follows. */
      more: boolean;
    }
  | { op: "must_refetch"; id: number; reason: string }
  | { op: "heartbeat"; heads: Map<number, number>; sent_at: string | null }
  | { op: "error"; id: number | null; problem: Problem };

type Json = Record<string, unknown>;

const isObject = (value: unknown): value is Json =>
  typeof value === "object" && value !== null && !Array.isArray(value);
const text = (value: unknown): string | null => (typeof value === "string" ? value : null);
const isId = (value: unknown): value is number => Number.isSafeInteger(value);

function delta(data: unknown): Delta | null {
  if (Array.isArray(data)) return { items: data, removed: [] };
  if (!isObject(data)) return null;
  const items = data["items"] ?? [];
  const removed = data["removed"] ?? [];
  if (!Array.isArray(items) || !Array.isArray(removed)) return null;
  return { items, removed: removed.filter((key) => typeof key === "string") };
}

/** A frame from its text; null for what this protocol does not know: newer servers may say more. */
export function parse(frame: string): ServerFrame | null {
  let raw: unknown;
  try {
    raw = JSON.parse(frame);
  } catch {
    return null;
  }
  if (!isObject(raw)) return null;
  const sent_at = text(raw["sent_at"]);
  switch (raw["op"]) {
    case "hello": {
      const heartbeat = raw["heartbeat_s"];
      if (typeof heartbeat !== "number" || !(heartbeat > 0)) return null;
      return { op: "hello", protocol: text(raw["protocol"]) ?? SUBPROTOCOL, heartbeat_s: heartbeat, sent_at };
    }
    case "snapshot":
    case "change": {
      const { id, offset } = raw;
      const epoch = text(raw["epoch"]);
      const data = delta(raw["data"]);
      if (!isId(id) || !isId(offset) || epoch === null || data === null) return null;
      const as_of = text(raw["as_of"]);
      return { op: raw["op"], id, epoch, offset, as_of, sent_at, data, more: raw["more"] === true };
    }
    case "must_refetch":
      if (!isId(raw["id"])) return null;
      return { op: "must_refetch", id: raw["id"], reason: text(raw["reason"]) ?? "" };
    case "heartbeat": {
      const heads = new Map<number, number>();
      if (isObject(raw["heads"])) {
        for (const [id, offset] of Object.entries(raw["heads"])) {
          if (isId(offset)) heads.set(Number(id), offset);
        }
      }
      return { op: "heartbeat", heads, sent_at };
    }
    case "error":
      return {
        op: "error",
        id: isId(raw["id"]) ? raw["id"] : null,
        problem: isObject(raw["problem"]) ? (raw["problem"] as Problem) : {},
      };
    default:
      return null;
  }
}

export type CloseClass = "now" | "backoff" | "stop";

/** A close code: the session goes on with other rights, and who shows what one may do asks again. */
export const RIGHTS_CHANGED = 4001;

/** What a close code asks for: 4000–4099 reconnect now, 4100–4199 with back-off, 4200–4299 do not. */
export function closeClass(code: number): CloseClass {
  if (code >= 4000 && code <= 4099) return "now";
  if (code >= 4200 && code <= 4299) return "stop";
  return "backoff";
}
