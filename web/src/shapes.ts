// The shapes of the public interface (times RFC 3339, durations in milliseconds, ratios not rounded).

export const LINE_STATES = ["running", "micro_stop", "stopped", "planned_stop", "no_data", "unscheduled"] as const;
export type LineState = (typeof LINE_STATES)[number];

export const LIVE_WINDOWS = ["shift", "5m", "15m", "1h", "8h", "24h", "day"] as const;
export type LiveWindow = (typeof LIVE_WINDOWS)[number];

export type Flag = "standard_too_low" | "quality_above_one" | "quality_not_measured" | "no_production_time";

/** One item of `feed_state`: what a line does, with what a tile needs to judge it. */
export interface StateItem {
  line: string;
  title: string;
  group?: string | null;
  state: LineState;
  since: string;
  as_of: string;
  /** When the broker took this word of the line's. */
  published_at?: string | null;
  /** Nanoseconds per piece; null: the line has no ideal rate. */
  ideal_cycle_ns?: number | null;
  /** 0 to 1. */
  oee_target?: number | null;
  availability_target?: number | null;
}

export interface Stop {
  downtime_id: string;
  line: string;
  revision: number;
  status: "open" | "closed" | "retracted";
  started_at: string;
  ended_at: string | null;
  duration_ms: number;
  reason_code: string | null;
  comment: string | null;
  planned: boolean;
  shift: string | null;
  business_date: string;
}

export interface Buckets {
  unscheduled: number;
  planned_stop: number;
  no_data: number;
  running: number;
  micro_stop: number;
  stopped: number;
}

export interface Figure {
  line: string | null;
  window: LiveWindow | "range";
  from: string;
  to: string;
  as_of: string;
  state: "provisional" | "final";
  revision: number;
  completeness: number | null;
  buckets_ms: Buckets;
  outside_ms: number;
  pieces: { total: number; good: number; reject: number; outside_pbt: number };
  ideal_ns: number;
  stops: number;
  micro_stops: number;
  availability: number | null;
  performance: number | null;
  quality: number | null;
  oee: number | null;
  oee_interval: [number, number] | null;
  flags: Flag[];
}

export interface Reason {
  code: string;
  name: string;
  parent?: string | null;
  kind: "unplanned" | "planned" | "changeover";
}

export type UserRole = "SUPER_ADMIN" | "ADMIN" | "MANAGER" | "OPERATOR" | "VIEWER";

export interface Session {
  username: string;
  role: UserRole;
  tenant: string;
  company: string;
  time_zone: string;
  locale: string;
  /** Whether this user gives stops their reasons. */
  may_classify: boolean;
}

/** Planned busy time of a figure. */
export function busyMs(figure: Figure): number {
  const { running, micro_stop, stopped } = figure.buckets_ms;
  return running + micro_stop + stopped;
}

/** Nanoseconds per piece: of the mix that was made, else the line's own. */
export function cycleNs(figure: Figure, lineCycleNs: number | null | undefined): number | null {
  const judged = figure.pieces.total - figure.pieces.outside_pbt;
  if (judged > 0 && figure.ideal_ns > 0) return figure.ideal_ns / judged;
  return lineCycleNs != null && lineCycleNs > 0 ? lineCycleNs : null;
}

/** Pieces due by now: planned busy time × ideal rate × OEE target; null when rate or target is not known. */
export function targetPieces(figure: Figure, state: Pick<StateItem, "ideal_cycle_ns" | "oee_target">): number | null {
  const cycle = cycleNs(figure, state.ideal_cycle_ns);
  if (cycle === null || state.oee_target == null) return null;
  return ((busyMs(figure) * 1e6) / cycle) * state.oee_target;
}
