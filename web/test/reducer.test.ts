import assert from "node:assert/strict";
import { test } from "node:test";

import { parse, type ServerFrame } from "../src/live/protocol.ts";
import { disconnected, type Feed, newSub, reduce, type Sub } from "../src/live/reducer.ts";

interface Item {
  key: string;
  value: number;
  revision?: number;
}

const feed: Feed<Item> = {
  widget: "feed_test",
  read: (item) => (typeof (item as Item).key === "string" ? (item as Item) : null),
  key: (item) => item.key,
  revision: (item) => item.revision ?? 0,
};

const frame = (value: object): ServerFrame => {
  const parsed = parse(JSON.stringify(value));
  assert.ok(parsed, `not understood: ${JSON.stringify(value)}`);
  return parsed;
};
const snapshot = (offset: number, items: Item[], more = false, epoch = "e1") =>
  frame({ op: "snapshot", id: 1, epoch, offset, as_of: null, sent_at: null, data: { items }, more });
const change = (offset: number, items: Item[], removed: string[] = [], epoch = "e1") =>
  frame({ op: "change", id: 1, epoch, offset, as_of: null, sent_at: null, data: { items, removed } });
const heartbeat = (head: number) =>
  frame({ op: "heartbeat", heads: { "1": head }, sent_at: "2026-01-01T00:00:00.000Z" });

function run(frames: ServerFrame[], from: Sub<Item> = newSub<Item>(1, {})) {
  const effects: (string | null)[] = [];
  let sub = from;
  for (const one of frames) {
    const step = reduce(feed, sub, one);
    sub = step.sub;
    if (step.effect !== null) effects.push(step.effect);
  }
  return { sub, effects, values: Object.fromEntries([...sub.items].map(([key, item]) => [key, item.value])) };
}

test("a snapshot, then changes", () => {
  const { values, sub } = run([
    snapshot(5, [
      { key: "a", value: 1 },
      { key: "b", value: 2 },
    ]),
    change(6, [{ key: "a", value: 3 }]),
    change(9, [{ key: "c", value: 4 }], ["b"]),
  ]);
  assert.deepEqual(values, { a: 3, c: 4 });
  assert.deepEqual(sub.position, { epoch: "e1", offset: 9 });
  assert.equal(sub.status, "live");
});

test("a snapshot in pieces shows only when it is whole", () => {
  const half = run([snapshot(5, [{ key: "old", value: 0 }]), snapshot(8, [{ key: "a", value: 1 }], true)]);
  assert.deepEqual(half.values, { old: 0 });
  const whole = run([snapshot(8, [{ key: "b", value: 2 }])], half.sub);
  assert.deepEqual(whole.values, { a: 1, b: 2 });
});

test("a piece of a snapshot that was cut off by a lost link is not mixed into the next", () => {
  const half = run([snapshot(5, [{ key: "gone", value: 1 }], true)]);
  const { values } = run([snapshot(7, [{ key: "a", value: 1 }])], disconnected(half.sub));
  assert.deepEqual(values, { a: 1 });
});

test("values stay while the link is lost", () => {
  const { sub } = run([snapshot(5, [{ key: "a", value: 1 }])]);
  const lost = disconnected(sub);
  assert.deepEqual([...lost.items.keys()], ["a"]);
  assert.deepEqual(lost.position, { epoch: "e1", offset: 5 });
});

test("a frame that comes twice, or late, changes nothing", () => {
  const once = [
    snapshot(5, [{ key: "a", value: 1 }]),
    change(6, [{ key: "a", value: 2 }]),
    change(7, [{ key: "a", value: 3 }]),
  ];
  const twice = [...once, once[1]!, once[2]!, once[1]!];
  assert.deepEqual(run(twice).values, run(once).values);
  assert.deepEqual(run(twice).sub.position, { epoch: "e1", offset: 7 });
});

test("an older revision never replaces a newer one", () => {
  const { values } = run([
    snapshot(5, [{ key: "a", value: 2, revision: 2 }]),
    change(6, [{ key: "a", value: 1, revision: 1 }]),
    change(7, [{ key: "a", value: 3, revision: 2 }]),
  ]);
  assert.deepEqual(values, { a: 3 });
});

test("a change of another epoch asks for everything anew", () => {
  const { effects, values } = run([
    snapshot(5, [{ key: "a", value: 1 }]),
    change(1, [{ key: "a", value: 9 }], [], "e2"),
  ]);
  assert.deepEqual(effects, ["refetch"]);
  assert.deepEqual(values, { a: 1 });
});

test("offsets may jump: a slow client is given only the latest", () => {
  const { effects, sub } = run([snapshot(5, []), change(50, [{ key: "a", value: 1 }]), heartbeat(50), heartbeat(50)]);
  assert.deepEqual(effects, []);
  assert.equal(sub.missing, null);
});

test("a head that is still not reached at the next heartbeat resumes", () => {
  const { effects } = run([snapshot(5, []), heartbeat(7), heartbeat(8)]);
  assert.deepEqual(effects, ["resume"]);
});

test("a head that is reached before the next heartbeat does not", () => {
  const { effects } = run([
    snapshot(5, []),
    heartbeat(7),
    change(7, [{ key: "a", value: 1 }]),
    heartbeat(9),
    change(9, []),
  ]);
  assert.deepEqual(effects, []);
});

test("must_refetch gives the position up and keeps the values", () => {
  const { effects, sub, values } = run([
    snapshot(5, [{ key: "a", value: 1 }]),
    frame({ op: "must_refetch", id: 1, reason: "history is gone" }),
  ]);
  assert.deepEqual(effects, ["refetch"]);
  assert.equal(sub.position, null);
  assert.deepEqual(values, { a: 1 });
});

test("an error refuses the subscription it names and no other", () => {
  const { sub } = run([frame({ op: "error", id: 1, problem: { title: "not found", status: 404 } })]);
  assert.equal(sub.status, "refused");
  assert.equal(sub.problem, "not found");
  assert.equal(run([frame({ op: "error", id: 2, problem: {} })]).sub.status, "waiting");
});

test("items that are not worth keeping go", () => {
  const positive: Feed<Item> = { ...feed, keep: (item) => item.value > 0 };
  let sub = newSub<Item>(1, {});
  for (const one of [
    snapshot(1, [
      { key: "a", value: 1 },
      { key: "b", value: 0 },
    ]),
    change(2, [
      { key: "a", value: 0 },
      { key: "c", value: 5 },
    ]),
  ]) {
    sub = reduce(positive, sub, one).sub;
  }
  assert.deepEqual([...sub.items.keys()], ["c"]);
});

/** A small generator of numbers, so that a failing run can be repeated. */
function numbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 1_664_525 + 1_013_904_223) % 4_294_967_296;
    return state / 4_294_967_296;
  };
}

test("whatever is doubled or conflated on the way, the client ends where the server is", () => {
  for (let seed = 1; seed <= 200; seed += 1) {
    const random = numbers(seed);
    const server = new Map<string, number>();
    const frames: ServerFrame[] = [snapshot(0, [])];
    let held: { items: Map<string, Item>; removed: Set<string> } | null = null;
    const steps = 30;
    for (let offset = 1; offset <= steps; offset += 1) {
      held ??= { items: new Map(), removed: new Set() };
      const key = "abc"[Math.floor(random() * 3)]!;
      if (random() < 0.2) {
        server.delete(key);
        held.items.delete(key);
        held.removed.add(key);
      } else {
        server.set(key, offset);
        held.removed.delete(key);
        held.items.set(key, { key, value: offset });
      }
      if (random() < 0.6 || offset === steps) {
        frames.push(change(offset, [...held.items.values()], [...held.removed]));
        held = null;
      }
      if (random() < 0.3) frames.push(frames[Math.floor(random() * frames.length)]!);
    }
    // A doubled snapshot is a fresh start at its own offset; only doubled changes are the client's to bear.
    const [first, ...rest] = frames;
    const sent = [first!, ...rest.filter((one) => one.op !== "snapshot")];
    assert.deepEqual(run(sent).values, Object.fromEntries(server), `seed ${seed}`);
  }
});
