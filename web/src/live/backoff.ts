// When to try again: soon at first, then ever less often, with jitter so that a hall full of screens does not knock
// at a restarted server in step.

const FIRST_MS = 500;
const LONGEST_MS = 15_000;

/** Milliseconds before attempt `attempt` (from 0); `random` is in [0, 1). */
export function backoffMs(attempt: number, random: number): number {
  const whole = Math.min(LONGEST_MS, FIRST_MS * 2 ** Math.min(attempt, 10));
  return Math.round(whole / 2 + (whole / 2) * random);
}
