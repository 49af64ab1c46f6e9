// The server's time base. A screen's own clock may be wrong by hours; frames say when they were sent, and a steady
// local counter carries that on.

import { signal } from "@preact/signals";

const BUCKET_MS = 60_000;

/**
 * Server time from the moments at which frames came. The quickest frame of the last one to two minutes had the least
 * delay on its way, so it is the one believed.
 */
export class ServerClock {
  #steady: () => number;
  #best: number | null = null;
  #before: number | null = null;
  #bucket = 0;

  /** `steady` counts milliseconds and never jumps. */
  constructor(steady: () => number) {
    this.#steady = steady;
  }

  /** A frame that was sent at `sentAt` (server time, milliseconds) has just come. */
  observe(sentAt: number): void {
    if (!Number.isFinite(sentAt)) return;
    const local = this.#steady();
    const offset = sentAt - local;
    const bucket = Math.floor(local / BUCKET_MS);
    if (bucket !== this.#bucket) {
      this.#before = bucket === this.#bucket + 1 ? this.#best : null;
      this.#best = null;
      this.#bucket = bucket;
    }
    if (this.#best === null || offset > this.#best) this.#best = offset;
  }

  /** Server time now, milliseconds since the epoch; null before the first frame. */
  now(): number | null {
    if (this.#best === null && this.#before === null) return null;
    return this.#steady() + Math.max(this.#best ?? -Infinity, this.#before ?? -Infinity);
  }
}

export const serverClock = new ServerClock(() => performance.now());

/** Server time, stepped once a second on the second; the browser's own until a frame has come. */
export const now = signal(Date.now());

export function serverNow(): number {
  return serverClock.now() ?? Date.now();
}

/** Keeps `now` going; the returned function stops it. */
export function startTicking(): () => void {
  let timer = 0;
  const tick = () => {
    const at = serverNow();
    now.value = at;
    timer = window.setTimeout(tick, 1000 - (at % 1000) + 5);
  };
  tick();
  return () => window.clearTimeout(timer);
}
