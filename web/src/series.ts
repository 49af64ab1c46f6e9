// Points of the charts, kept by minute: merged as answers come, pruned to what is shown. Each change makes a new
// table, so that a page sees by identity that there is something to draw.

const MINUTE_MS = 60_000;

/** Why nothing was to be expected in a minute. */
export type Outside = "unscheduled" | "planned_stop" | "no_data";

export interface Minute {
  pieces: number;
  /** What the larger part of the minute was, where that is not production time. */
  outside: Outside | null;
}

/** A stretch of minutes of one kind, milliseconds. */
export interface Stretch {
  from: number;
  to: number;
  outside: Outside;
}

/** Pieces of each minute. */
export class MinuteTable {
  readonly #minutes: ReadonlyMap<number, Minute>;

  constructor(minutes: ReadonlyMap<number, Minute> = new Map()) {
    this.#minutes = minutes;
  }

  get size(): number {
    return this.#minutes.size;
  }

  /** With the answer for [from, to): minutes of that span that the answer does not name are not known (any more). */
  merged(rows: Iterable<readonly [minute: number, Minute]>, from: number, to: number, keepFrom: number): MinuteTable {
    const next = new Map<number, Minute>();
    for (const [at, minute] of this.#minutes) {
      if (at >= keepFrom && (at < from || at >= to)) next.set(at, minute);
    }
    for (const [at, minute] of rows) next.set(at, minute);
    return new MinuteTable(next);
  }

  /** Seconds and pieces per minute over [from, to]; null where nothing is known: a blind minute is not an empty one. */
  arrays(from: number, to: number): [number[], (number | null)[]] {
    const xs: number[] = [];
    const ys: (number | null)[] = [];
    for (let at = Math.floor(from / MINUTE_MS) * MINUTE_MS; at <= to; at += MINUTE_MS) {
      const minute = this.#minutes.get(at);
      const blind = minute === undefined || (minute.outside === "no_data" && minute.pieces === 0);
      xs.push(at / 1000);
      ys.push(blind ? null : minute.pieces);
    }
    return [xs, ys];
  }

  /** The stretches of [from, to] that are no production time. */
  stretches(from: number, to: number): Stretch[] {
    const found: Stretch[] = [];
    for (let at = Math.floor(from / MINUTE_MS) * MINUTE_MS; at <= to; at += MINUTE_MS) {
      const outside = this.#minutes.get(at)?.outside ?? null;
      if (outside === null) continue;
      const last = found.at(-1);
      if (last && last.to === at && last.outside === outside) last.to = at + MINUTE_MS;
      else found.push({ from: at, to: at + MINUTE_MS, outside });
    }
    return found;
  }
}

/** A ratio at given times. */
export class RollingTable {
  readonly #values: ReadonlyMap<number, number | null>;

  constructor(values: ReadonlyMap<number, number | null> = new Map()) {
    this.#values = values;
  }

  get size(): number {
    return this.#values.size;
  }

  merged(rows: Iterable<readonly [at: number, value: number | null]>, keepFrom: number): RollingTable {
    const next = new Map<number, number | null>();
    for (const [at, value] of this.#values) if (at >= keepFrom) next.set(at, value);
    for (const [at, value] of rows) next.set(at, value);
    return new RollingTable(next);
  }

  arrays(from: number, to: number): [number[], (number | null)[]] {
    const shown = [...this.#values].filter(([at]) => at >= from && at <= to).sort((a, b) => a[0] - b[0]);
    return [shown.map(([at]) => at / 1000), shown.map(([, value]) => value)];
  }
}
