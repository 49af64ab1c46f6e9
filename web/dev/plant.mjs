// A make-believe plant for working on the pages: lines with minutes, stops and figures in the public shapes. The
// numbers only look right; the real ones come from `andon`.
const MINUTE = 60_000;
const STATES = ["running", "stopped", "micro_stop", "planned_stop", "no_data", "unscheduled"];
const NAMES = ["Filler", "Capper", "Labeller", "Packer", "Palletiser", "Blower"];
const iso = (ms) => new Date(ms).toISOString();

export const REASONS = [
  { code: "mechanical", name: "Mecánico", parent: null, kind: "unplanned" },
  { code: "jam", name: "Atasco", parent: "mechanical", kind: "unplanned" },
  { code: "belt", name: "Cinta rota", parent: "mechanical", kind: "unplanned" },
  { code: "sensor", name: "Sensor", parent: "mechanical", kind: "unplanned" },
  { code: "supply", name: "Suministro", parent: null, kind: "unplanned" },
  { code: "no_bottles", name: "Sin botellas", parent: "supply", kind: "unplanned" },
  { code: "no_labels", name: "Sin etiquetas", parent: "supply", kind: "unplanned" },
  { code: "cleaning", name: "Limpieza", parent: null, kind: "planned" },
  { code: "format", name: "Cambio de formato", parent: null, kind: "changeover" },
];

export class Line {
  constructor(index, now) {
    this.name = `l${index + 1}`;
    this.title = `${NAMES[index % NAMES.length]} ${Math.floor(index / NAMES.length) + 1}`;
    this.rate = 60 + ((index * 37) % 90);
    this.state = STATES[index % STATES.length];
    this.since = now - [724_000, 192_000, 9_000, 1_260_000, 3_900_000, 20_000_000][index % 6];
    this.stops = [];
    for (let at = now - 24 * 60 * MINUTE; at < this.since - 30 * MINUTE; at += (20 + ((at / MINUTE) % 47)) * MINUTE) {
      const n = this.stops.length;
      this.stops.push(this.stop(at, at + (70 + ((n * 97) % 700)) * 1000, n % 3 === 0 ? null : REASONS[n % 9].code));
    }
    if (this.state === "stopped") this.stops.push(this.stop(this.since, null, index > 5 ? "jam" : null));
  }

  stop(from, to, reason_code) {
    const planned = REASONS.find((one) => one.code === reason_code)?.kind === "planned";
    return {
      downtime_id: `${this.name}:${from}`,
      line: this.name,
      revision: 1,
      status: to === null ? "open" : "closed",
      started_at: iso(from),
      ended_at: to === null ? null : iso(to),
      duration_ms: to === null ? 0 : to - from,
      reason_code,
      comment: null,
      planned,
      shift: "early",
      business_date: iso(from).slice(0, 10),
      segments: [],
    };
  }

  /** Goes to another state; returns the stop that this opened or closed. */
  become(state, now) {
    const open = this.stops.findLast((stop) => stop.status === "open");
    this.state = state;
    this.since = now;
    if (open) {
      Object.assign(open, { status: "closed", ended_at: iso(now), revision: open.revision + 1 });
      open.duration_ms = now - Date.parse(open.started_at);
      return open;
    }
    if (state !== "stopped") return null;
    const stop = this.stop(now, null, null);
    this.stops.push(stop);
    return stop;
  }

  stateItem(now) {
    return {
      line: this.name,
      title: this.title,
      group: "hall",
      state: this.state,
      since: iso(this.since),
      as_of: iso(now),
      ideal_cycle_ns: Math.round(60e9 / this.rate),
      oee_target: 0.75,
      availability_target: 0.9,
    };
  }

  pieces(minute) {
    const inStop = this.stops.some(
      (stop) => Date.parse(stop.started_at) <= minute && minute < Date.parse(stop.ended_at ?? iso(Date.now())),
    );
    const quiet = this.state !== "running" && this.state !== "micro_stop" && minute > this.since;
    if (inStop || quiet) return 0;
    return Math.round(this.rate * (0.88 + 0.12 * Math.sin(minute / 7e5) - 0.05 * Math.abs(Math.sin(minute / 1e5))));
  }

  minute(at, now) {
    const quiet = ["planned_stop", "no_data", "unscheduled"].includes(this.state) && at >= this.since;
    const known = Math.min(MINUTE, now - at);
    const total = Math.round((this.pieces(at) * known) / MINUTE);
    return { pieces: { total }, buckets_ms: { [quiet ? this.state : "running"]: known }, outside_ms: MINUTE - known };
  }

  figure(window, now) {
    const length = {
      shift: 5 * 60 * MINUTE,
      "5m": 5 * MINUTE,
      "15m": 15 * MINUTE,
      "1h": 60 * MINUTE,
      "8h": 480 * MINUTE,
      "24h": 1440 * MINUTE,
      day: 900 * MINUTE,
    }[window];
    const from = now - length;
    let stopped = 0;
    let count = 0;
    for (const stop of this.stops) {
      const a = Math.max(from, Date.parse(stop.started_at));
      const b = Math.min(now, stop.ended_at ? Date.parse(stop.ended_at) : now);
      if (b > a) [stopped, count] = [stopped + b - a, count + 1];
    }
    const no_data = this.state === "no_data" ? Math.min(length, now - this.since) : 0;
    const unscheduled = this.state === "unscheduled" ? Math.min(length, now - this.since) : 0;
    const busy = Math.max(0, length - no_data - unscheduled);
    stopped = Math.min(stopped, busy);
    const micro_stop = Math.round((busy - stopped) * 0.04);
    const running = busy - stopped - micro_stop;
    const total = Math.round((running / MINUTE) * this.rate * 0.93);
    const reject = this.rate % 2 ? Math.round(total * 0.013) : 0;
    const ideal_ns = total * Math.round(60e9 / this.rate);
    const availability = busy ? (running + micro_stop) / busy : null;
    const performance = running + micro_stop ? ideal_ns / 1e6 / (running + micro_stop) : null;
    const quality = total ? (total - reject) / total : null;
    const oee = busy ? ((ideal_ns / 1e6) * (quality ?? 1)) / busy : null;
    return {
      line: this.name,
      window,
      from: iso(from),
      to: iso(window === "shift" ? from + 8 * 60 * MINUTE : now + 1),
      as_of: iso(now),
      state: "provisional",
      revision: 0,
      config_versions: [1],
      policy_versions: [1],
      completeness: busy + no_data ? busy / (busy + no_data) : null,
      buckets_ms: { unscheduled, planned_stop: 0, no_data, running, micro_stop, stopped },
      outside_ms: 0,
      pieces: { total, good: total - reject, reject, outside_pbt: 0 },
      ideal_ns,
      stops: count,
      micro_stops: 12,
      availability,
      performance,
      quality,
      oee,
      oee_interval: no_data ? [0.41, 0.83] : null,
      flags: reject ? [] : ["quality_not_measured"],
    };
  }
}
