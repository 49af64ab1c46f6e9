// Points of the charts, kept by minute: merged as answers come, pruned to what is shown. Each change makes a new
// table, so that a page sees by identity that there is something to draw.

const MINUTE_MS = 60_000;

/** Pieces of each minute. */
export class MinuteTable {
  readonly #pieces: ReadonlyMap<number, number>;

  constructor(pieces: ReadonlyMap<number, number> = new Map()) {
    this.#pieces = pieces;
  }

  get size(): number {
    return this.#pieces.size;
  }

  /** With the answer for [from, to): minutes of that span that the answer does not name had no piece. */
  merged(rows: Iterable<readonly [minute: number, pieces: number]>, from: number, to: number, keepFrom: number): MinuteTable {
    const next = new Map<number, number>();
    for (const [minute, pieces] of this.#pieces) {
      if (minute >= keepFrom && (minute < from || minute >= to)) next.set(minute, pieces);
    }
    for (let minute = Math.ceil(from / MINUTE_MS) * MINUTE_MS; minute < to; minute += MINUTE_MS) next.set(minute, 0);
    for (const [minute, pieces] of rows) next.set(minute, pieces);
    return new MinuteTable(next);
  }

  /** Seconds and pieces per minute over [from, to]; null where nothing is known. */
  arrays(from: number, to: number): [number[], (number | null)[]] {
    const xs: number[] = [];
    const ys: (number | null)[] = [];
    for (let minute = Math.floor(from / MINUTE_MS) * MINUTE_MS; minute <= to; minute += MINUTE_MS) {
      xs.push(minute / 1000);
      ys.push(this.#pieces.get(minute) ?? null);
    }
    return [xs, ys];
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
