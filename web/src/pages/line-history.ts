// What a line page shows of the past: loaded once for a range, its last minutes again and again.

import { type Signal, useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";

import { ApiError } from "../api.ts";
import { fetchMinutes, fetchRolling } from "../history.ts";
import { t } from "../i18n/index.ts";
import { MinuteTable, RollingTable } from "../series.ts";
import type { Stop } from "../shapes.ts";
import { fetchStops } from "../stops.ts";

const HOUR_MS = 3_600_000;
const MINUTE_MS = 60_000;
/** Detections may come late: the minutes of the allowed lateness can still change. */
const TAIL_MS = 12 * MINUTE_MS;
const TAIL_EVERY_MS = 4_000;
/** Stops come live; this only mends what a conflated or broken link could have hidden. */
const WHOLE_EVERY_MS = 5 * MINUTE_MS;

export interface History {
  minutes: Signal<MinuteTable>;
  rolling: Signal<RollingTable>;
  stops: Signal<readonly Stop[]>;
  loading: Signal<boolean>;
  /** Empty while all is well. */
  problem: Signal<string>;
}

/** `end` gives the right edge of the charts now, milliseconds of the line's clock. */
export function useHistory(line: string, hours: number, end: () => number): History {
  const minutes = useSignal(new MinuteTable());
  const rolling = useSignal(new RollingTable());
  const stops = useSignal<readonly Stop[]>([]);
  const loading = useSignal(true);
  const problem = useSignal("");
  const edge = useRef(end);
  edge.current = end;

  useEffect(() => {
    const abort = new AbortController();
    let timer: ReturnType<typeof setTimeout>;
    let wholeAt = -Infinity;
    let tailAt = -Infinity;

    async function load(): Promise<void> {
      const to = edge.current();
      const start = Math.floor((to - hours * HOUR_MS) / MINUTE_MS) * MINUTE_MS;
      const whole = performance.now() - wholeAt > WHOLE_EVERY_MS || performance.now() - tailAt > TAIL_MS / 2;
      const from = whole ? start : Math.max(start, Math.floor((to - TAIL_MS) / MINUTE_MS) * MINUTE_MS);
      const [newMinutes, newRolling, newStops] = await Promise.all([
        fetchMinutes(line, from, to, abort.signal),
        fetchRolling(line, from, to, abort.signal),
        whole ? fetchStops(line, start, to, abort.signal) : null,
      ]);
      minutes.value = minutes.value.merged(newMinutes, from, to, start);
      rolling.value = rolling.value.merged(newRolling, start);
      if (newStops !== null) {
        stops.value = newStops;
        wholeAt = performance.now();
      }
      tailAt = performance.now();
    }

    async function again(): Promise<void> {
      try {
        if (!document.hidden) await load();
        problem.value = "";
      } catch (error) {
        if (abort.signal.aborted) return;
        problem.value = error instanceof ApiError && error.status !== 0 ? error.message : t("error.network");
      }
      if (abort.signal.aborted) return;
      loading.value = false;
      timer = setTimeout(() => void again(), TAIL_EVERY_MS);
    }

    loading.value = true;
    void again();
    return () => {
      abort.abort();
      clearTimeout(timer);
    };
  }, [line, hours]);

  return { minutes, rolling, stops, loading, problem };
}
