// Numbers, times and durations as people read them. Pure: language and zone are arguments.

const two = (n: number): string => String(n).padStart(2, "0");

/** `0:07`, `12:34`, `1:02:03`; from 100 hours on days and hours. */
export function clockDuration(ms: number): string {
  const s = Math.max(0, Math.floor(ms / 1000));
  const hours = Math.floor(s / 3600);
  if (hours >= 100) return `${Math.floor(hours / 24)} d ${hours % 24} h`;
  const rest = `${two(Math.floor(s / 60) % 60)}:${two(s % 60)}`;
  return hours > 0 ? `${hours}:${rest}` : rest;
}

/** `mm:ss` below an hour, then `h:mm h`: what a tile counts. */
export function tileDuration(ms: number): string {
  const s = Math.max(0, Math.floor(ms / 1000));
  if (s < 3600) return `${two(Math.floor(s / 60))}:${two(s % 60)}`;
  const hours = Math.floor(s / 3600);
  if (hours >= 100) return `${Math.floor(hours / 24)} d`;
  return `${hours}:${two(Math.floor(s / 60) % 60)} h`;
}

/** `3 s`, `12 min`, `5 h`, `3 d`: an age. */
export function age(ms: number): string {
  const s = Math.max(0, Math.floor(ms / 1000));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min`;
  if (s < 86_400) return `${Math.floor(s / 3600)} h`;
  return `${Math.floor(s / 86_400)} d`;
}

const cache = new Map<string, Intl.NumberFormat | Intl.DateTimeFormat>();

function cached<F extends Intl.NumberFormat | Intl.DateTimeFormat>(key: string, make: () => F): F {
  let format = cache.get(key) as F | undefined;
  if (format === undefined) {
    format = make();
    cache.set(key, format);
  }
  return format;
}

/** A ratio as a percentage; `—` for none. */
export function percent(ratio: number | null | undefined, locale: string, digits = 1): string {
  if (ratio == null || !Number.isFinite(ratio)) return "—";
  return cached(
    `p${digits}${locale}`,
    () =>
      new Intl.NumberFormat(locale, { style: "percent", minimumFractionDigits: digits, maximumFractionDigits: digits }),
  ).format(ratio);
}

/** A percentage's digits without the sign, for large displays. */
export function percentDigits(ratio: number | null | undefined, locale: string, digits = 1): string {
  if (ratio == null || !Number.isFinite(ratio)) return "—";
  return cached(
    `d${digits}${locale}`,
    () => new Intl.NumberFormat(locale, { minimumFractionDigits: digits, maximumFractionDigits: digits }),
  ).format(ratio * 100);
}

/** A count with thousands apart (also four digits, so that columns line up). */
export function count(n: number, locale: string): string {
  return cached(
    `n${locale}`,
    () => new Intl.NumberFormat(locale, { maximumFractionDigits: 0, useGrouping: "always" as unknown as boolean }),
  ).format(n);
}

/** A number with at most one decimal. */
export function decimal(n: number, locale: string): string {
  return cached(`1${locale}`, () => new Intl.NumberFormat(locale, { maximumFractionDigits: 1 })).format(n);
}

/** `14:05` or `14:05:09` in the tenant's zone. */
export function timeOfDay(at: number, locale: string, zone: string, seconds = false): string {
  if (!Number.isFinite(at)) return "—";
  return cached(
    `t${seconds}${locale}${zone}`,
    () =>
      new Intl.DateTimeFormat(locale, {
        hour: "2-digit",
        minute: "2-digit",
        ...(seconds ? { second: "2-digit" as const } : {}),
        hourCycle: "h23",
        timeZone: zone,
      }),
  ).format(at);
}

/** `23 Nov` in the tenant's zone. */
export function dayOfMonth(at: number, locale: string, zone: string): string {
  return cached(
    `m${locale}${zone}`,
    () => new Intl.DateTimeFormat(locale, { day: "numeric", month: "short", timeZone: zone }),
  ).format(at);
}

/** The time, with the day in front when that is not the day of `now`. */
export function timeWithDay(at: number, now: number, locale: string, zone: string, seconds = false): string {
  const time = timeOfDay(at, locale, zone, seconds);
  const day = dayOfMonth(at, locale, zone);
  return day === dayOfMonth(now, locale, zone) ? time : `${day}, ${time}`;
}

/** A zone the browser knows, else UTC. */
export function safeZone(zone: string | null | undefined): string {
  if (!zone) return "UTC";
  try {
    new Intl.DateTimeFormat("en", { timeZone: zone });
    return zone;
  } catch {
    return "UTC";
  }
}
