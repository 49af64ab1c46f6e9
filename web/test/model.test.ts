import assert from "node:assert/strict";
import { test } from "node:test";

import type { FigureNow, LineNow } from "../src/feeds.ts";
import { figureFeed, openStopFeed, stateFeed } from "../src/feeds.ts";
import { current, emptyState, openStop, progress, timing, wallColumns } from "../src/model.ts";
import { scriptOf } from "../src/live/renew.ts";
import { reasonTree } from "../src/reasons.ts";
import { routeOf } from "../src/router.ts";
import { MinuteTable, RollingTable } from "../src/series.ts";
import type { Stop } from "../src/shapes.ts";
import { fulfils } from "../src/classify.ts";
import { minuteOf, outsideOf } from "../src/history.ts";
import { mergeStops, stopMs } from "../src/stops.ts";

const at = (text: string) => Date.parse(text);
const T0 = "2026-01-01T10:00:00.000Z";

const line = (over: Partial<LineNow> = {}): LineNow => ({
  line: "l1",
  title: "Filler 1",
  state: "stopped",
  since: T0,
  as_of: "2026-01-01T10:01:00.000Z",
  ideal_cycle_ns: 600_000_000,
  oee_target: 0.75,
  heard: at("2026-01-01T10:01:00.200Z"),
  ...over,
});

const figure = (over: Partial<FigureNow> = {}): FigureNow => ({
  line: "l1",
  window: "shift",
  from: "2026-01-01T06:00:00.000Z",
  to: "2026-01-01T14:00:00.000Z",
  as_of: "2026-01-01T10:01:00.000Z",
  state: "provisional",
  revision: 0,
  completeness: 1,
  buckets_ms: {
    unscheduled: 0,
    planned_stop: 0,
    no_data: 0,
    running: 3_000_000,
    micro_stop: 300_000,
    stopped: 300_000,
  },
  outside_ms: 0,
  pieces: { total: 4_000, good: 4_000, reject: 0, outside_pbt: 0 },
  ideal_ns: 2_400_000_000_000,
  stops: 1,
  micro_stops: 2,
  availability: 0.9,
  performance: 0.8,
  quality: 1,
  oee: 0.6667,
  oee_interval: null,
  flags: [],
  heard: 0,
  ...over,
});

const stop = (over: Partial<Stop> = {}): Stop => ({
  downtime_id: `l1:${at(over.started_at ?? T0)}`,
  line: "l1",
  revision: 1,
  status: "closed",
  started_at: T0,
  ended_at: "2026-01-01T10:05:00.000Z",
  duration_ms: 300_000,
  reason_code: null,
  comment: null,
  planned: false,
  shift: "early",
  business_date: "2026-01-01",
  ...over,
});

test("a state ticks on with the server's time from the line's clock", () => {
  const times = timing(line(), at("2026-01-01T10:01:30.200Z"), null);
  assert.equal(times.heldMs, 90_000);
  assert.equal(times.ageMs, 30_200);
  assert.equal(times.stale, false);
});

test("a line in the past ticks on its own clock and says how old it is", () => {
  const old = line({ since: "2024-05-01T10:00:00Z", as_of: "2024-05-01T10:00:10Z" });
  const times = timing(old, old.heard + 5_000, null);
  assert.equal(times.heldMs, 15_000);
  assert.ok(times.ageMs > 600 * 86_400_000);
  assert.equal(times.stale, false);
});

test("a line that is not heard of for half a minute is stale", () => {
  assert.equal(timing(line(), line().heard + 30_001, null).stale, true);
});

test("with the link lost a state does not tick on and its age does", () => {
  const lost = at("2026-01-01T10:01:10.200Z");
  const times = timing(line(), at("2026-01-01T10:05:00.000Z"), lost);
  assert.equal(times.heldMs, 70_000);
  assert.equal(times.ageMs, 240_000);
  assert.equal(times.stale, true);
});

test("the target is planned busy time × ideal rate × OEE target", () => {
  // 3,600 s at 0.6 s a piece are 6,000 pieces; 75 % of them 4,500.
  const { made, target, ratio } = progress(figure(), line());
  assert.equal(made, 4_000);
  assert.equal(target, 4_500);
  assert.ok(ratio !== null && Math.abs(ratio - 8 / 9) < 1e-12);
});

test("the rate of the target is that of the mix made, the line's own before the first piece", () => {
  assert.equal(progress(figure({ ideal_ns: 4_000 * 300_000_000 }), line()).target, 9_000);
  const none = figure({ ideal_ns: 0, pieces: { total: 0, good: 0, reject: 0, outside_pbt: 0 } });
  assert.equal(progress(none, line()).target, 4_500);
  assert.deepEqual(progress(none, line({ ideal_cycle_ns: null })), { made: 0, target: null, ratio: null });
});

test("a shift's figure holds during the shift and until the next one's can have come", () => {
  const of = (time: string, over: Partial<FigureNow> = {}) => current(figure(over), at(`2026-01-01T${time}Z`)) !== null;
  assert.equal(of("06:00:00"), true);
  assert.equal(of("13:59:59"), true);
  assert.equal(of("14:00:04"), true);
  assert.equal(of("14:00:05"), false);
  assert.equal(of("05:59:59"), false);
  assert.equal(of("20:00:00", { window: "24h" }), true);
  assert.equal(current(undefined, at(T0)), null);
});

test("an empty period says what most of it was", () => {
  const none = { running: 0, micro_stop: 0, stopped: 0 };
  const of = (unscheduled: number, planned_stop: number, no_data: number) =>
    emptyState(figure({ buckets_ms: { ...none, unscheduled, planned_stop, no_data } }));
  assert.equal(of(5, 1, 1), "unscheduled");
  assert.equal(of(1, 5, 1), "planned_stop");
  assert.equal(of(1, 1, 5), "no_data");
  assert.equal(of(0, 0, 0), null);
  assert.equal(emptyState(figure()), null);
});

test("tiles fill a wall without becoming slivers", () => {
  assert.equal(wallColumns(1, 1920, 1080), 1);
  assert.equal(wallColumns(6, 1920, 1080), 3);
  assert.equal(wallColumns(6, 1080, 1920), 2);
  assert.equal(wallColumns(16, 1920, 1080), 4);
  assert.equal(wallColumns(4, 1920, 1080), 2);
});

test("feeds refuse what they do not understand", () => {
  assert.equal(stateFeed.read({ line: "l1", state: "dancing", since: T0, as_of: T0 }, 0), null);
  assert.equal(stateFeed.read("text", 0), null);
  assert.equal(stateFeed.read({ line: "l1", state: "running", since: T0, as_of: T0 }, 7)?.heard, 7);
  const told = { line: "l1", state: "running", since: T0, as_of: T0, published_at: T0 };
  assert.equal(stateFeed.read(told, 7)?.heard, at(T0), "a snapshot repeats what was told long ago");
  assert.equal(figureFeed.read({ line: "l1", window: "shift" }, 0), null);
});

test("a wall keeps open stops only", () => {
  assert.equal(openStopFeed.keep?.(stop()), false);
  assert.equal(openStopFeed.keep?.(stop({ status: "open", ended_at: null })), true);
});

test("stops of history and feed become one list, open first, then the newest", () => {
  const early = stop({ started_at: "2026-01-01T09:00:00.000Z", ended_at: "2026-01-01T09:02:00.000Z" });
  const late = stop({ started_at: "2026-01-01T10:10:00.000Z", ended_at: "2026-01-01T10:12:00.000Z" });
  const open = stop({ started_at: "2026-01-01T10:20:00.000Z", ended_at: null, status: "open" });
  const gone = stop({ started_at: "2026-01-01T09:30:00.000Z" });
  const merged = mergeStops(
    [
      [early, gone, { ...late, revision: 1 }],
      [open, { ...gone, status: "retracted", revision: 2 }, { ...late, revision: 3, reason_code: "jam" }],
      [{ ...late, revision: 2, reason_code: "old" }],
    ],
    "l1",
    at("2026-01-01T08:00:00Z"),
    at("2026-01-01T11:00:00Z"),
  );
  assert.deepEqual(
    merged.map((one) => one.started_at),
    [open.started_at, late.started_at, early.started_at],
  );
  assert.equal(merged[1]?.reason_code, "jam");
});

test("stops outside the range or of other lines are left out", () => {
  const from = at("2026-01-01T10:05:00.000Z");
  assert.equal(mergeStops([[stop()]], "l1", from, from + 1).length, 0, "ends where the range begins");
  assert.equal(mergeStops([[stop()]], "l1", from - 1, from).length, 1);
  assert.equal(mergeStops([[stop({ line: "l2" })]], "l1", from - 1, from).length, 0);
});

test("an open stop grows with the line's clock, a closed one does not", () => {
  const later = at(T0) + 900_000;
  assert.equal(stopMs(stop({ status: "open", ended_at: null, duration_ms: 60_000 }), later), 900_000);
  assert.equal(stopMs(stop(), later), 300_000);
});

test("the stop of a line is its latest open one", () => {
  const open = stop({ status: "open", ended_at: null });
  const map = new Map([stop({ started_at: "2026-01-01T09:00:00.000Z" }), open].map((one) => [one.downtime_id, one]));
  assert.equal(openStop(map, "l1"), open);
  assert.equal(openStop(map, "l2"), null);
});

test("a wish is fulfilled by reason and comment, an empty comment being none", () => {
  assert.equal(fulfils(stop({ reason_code: "jam", comment: "" }), { reason_code: "jam", comment: null }), true);
  assert.equal(fulfils(stop({ reason_code: "jam" }), { reason_code: "jam", comment: "belt" }), false);
});

test("unknown and blind minutes stay unknown; an answer holds for its whole span", () => {
  const m = 60_000;
  const made = (pieces: number) => ({ pieces, outside: null });
  const table = new MinuteTable().merged(
    [
      [1 * m, made(0)],
      [2 * m, made(5)],
      [3 * m, made(9)],
    ],
    1 * m,
    4 * m,
    0,
  );
  assert.deepEqual(table.arrays(0, 5 * m), [
    [0, 60, 120, 180, 240, 300],
    [null, 0, 5, 9, null, null],
  ]);
  const revised = table.merged(
    [
      [2 * m, made(7)],
      [4 * m, { pieces: 0, outside: "no_data" }],
    ],
    2 * m,
    5 * m,
    2 * m,
  );
  assert.deepEqual(revised.arrays(1 * m, 4 * m)[1], [null, 7, null, null]);
  assert.equal(revised.size, 2);
});

test("of a minute that is not over the rate so far is shown, of its first seconds nothing", () => {
  const of = (total: number, outside_ms: number) => minuteOf({ pieces: { total }, buckets_ms: {}, outside_ms })?.pieces;
  assert.equal(of(100, 0), 100);
  assert.equal(of(50, 30_000), 100);
  assert.equal(of(9, 50_001), undefined);
  assert.equal(of(0, 60_000), undefined, "before the first detection");
});

test("stretches that are no production time are put together", () => {
  const m = 60_000;
  const not = (outside: "unscheduled" | "no_data") => ({ pieces: 0, outside });
  const table = new MinuteTable().merged(
    [
      [1 * m, not("unscheduled")],
      [2 * m, not("unscheduled")],
      [3 * m, not("no_data")],
      [5 * m, not("no_data")],
    ],
    0,
    6 * m,
    0,
  );
  assert.deepEqual(table.stretches(0, 6 * m), [
    { from: 1 * m, to: 3 * m, outside: "unscheduled" },
    { from: 3 * m, to: 4 * m, outside: "no_data" },
    { from: 5 * m, to: 6 * m, outside: "no_data" },
  ]);
});

test("a minute is what most of it was", () => {
  const of = (running: number, unscheduled: number, no_data: number) =>
    outsideOf({ running, micro_stop: 0, stopped: 0, unscheduled, planned_stop: 0, no_data });
  assert.equal(of(30_000, 30_000, 0), null);
  assert.equal(of(10_000, 50_000, 0), "unscheduled");
  assert.equal(of(10_000, 20_000, 30_000), "no_data");
  assert.equal(outsideOf(undefined), null);
});

test("rolling points are sorted and pruned", () => {
  const table = new RollingTable()
    .merged(
      [
        [3_000, 0.5],
        [1_000, 0.1],
        [2_000, null],
      ],
      0,
    )
    .merged([[2_000, 0.4]], 2_000);
  assert.deepEqual(table.arrays(0, 9_000), [
    [2, 3],
    [0.4, 0.5],
  ]);
});

test("reasons become a tree; lost parents and circles do no harm", () => {
  const reason = (code: string, parent?: string) => ({
    code,
    name: code,
    parent: parent ?? null,
    kind: "unplanned" as const,
  });
  const tree = reasonTree([
    reason("mech"),
    reason("jam", "mech"),
    reason("x", "gone"),
    reason("a", "b"),
    reason("b", "a"),
  ]);
  assert.deepEqual(
    tree.map((node) => node.reason.code),
    ["mech", "x", "a", "b"],
  );
  assert.deepEqual(
    tree[0]?.children.map((node) => node.reason.code),
    ["jam"],
  );
});

test("addresses", () => {
  assert.deepEqual(routeOf("/", ""), { page: "dashboard" });
  assert.deepEqual(routeOf("/lines", ""), { page: "overview" });
  assert.deepEqual(routeOf("/line/l1", ""), { page: "line", line: "l1" });
  assert.deepEqual(routeOf("/wall", "?line=l1&line=l2,l3&columns=2"), {
    page: "wall",
    lines: ["l1", "l2", "l3"],
    columns: 2,
  });
  assert.deepEqual(routeOf("/login", "?next=%2Fwall"), { page: "login", next: "/wall" });
  assert.deepEqual(routeOf("/login", "?next=//evil.example"), { page: "login", next: "/" });
  assert.deepEqual(routeOf("/login", "?next=https://evil.example"), { page: "login", next: "/" });
  assert.deepEqual(routeOf("/line/a/b", ""), { page: "unknown" });
});

test("a renewed page is told by its script", () => {
  assert.equal(scriptOf('<script type="module" src="/assets/app-AB12.js"></script>'), "/assets/app-AB12.js");
  assert.equal(scriptOf("<title>Bad gateway</title>"), null);
});
