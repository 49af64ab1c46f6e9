import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";

import type { LiveClient as Client } from "../src/live/client.ts";
import type { Feed } from "../src/live/reducer.ts";

interface Item {
  key: string;
  value: number;
}

const feed: Feed<Item> = { widget: "feed_test", read: (item) => item as Item, key: (item) => item.key };

/** A socket whose other end is the test. */
class FakeSocket {
  static readonly OPEN = 1;
  static readonly CLOSED = 3;
  static all: FakeSocket[] = [];
  readyState = 0;
  sent: Record<string, unknown>[] = [];
  onmessage: ((event: { data: string }) => void) | null = null;
  onclose: ((event: { code: number; reason: string }) => void) | null = null;

  constructor() {
    FakeSocket.all.push(this);
  }

  send(text: string) {
    this.sent.push(JSON.parse(text));
  }

  close() {
    this.readyState = FakeSocket.CLOSED;
  }

  says(frame: object) {
    this.readyState = FakeSocket.OPEN;
    this.onmessage?.({ data: JSON.stringify(frame) });
  }

  hello() {
    this.says({ op: "hello", protocol: "andon.v1", heartbeat_s: 4 });
  }

  closes(code: number, reason = "") {
    this.readyState = FakeSocket.CLOSED;
    this.onclose?.({ code, reason });
  }

  static get last(): FakeSocket {
    return FakeSocket.all.at(-1)!;
  }
}

let steady = 0;
let client: Client;
let refused = 0;

/** Lets time pass for timers and clock alike. */
function pass(ms: number) {
  for (let left = ms; left > 0; left -= 100) {
    steady += 100;
    mock.timers.tick(100);
  }
}

const data = (op: string, id: unknown, offset: number, items: Item[], epoch = "e1") => ({
  op,
  id,
  epoch,
  offset,
  data: { items },
});

beforeEach(async () => {
  mock.timers.enable({ apis: ["setTimeout", "setInterval"] });
  mock.method(performance, "now", () => steady);
  mock.method(Math, "random", () => 0.5);
  FakeSocket.all = [];
  refused = 0;
  Object.assign(globalThis, { WebSocket: FakeSocket, addEventListener: () => {}, removeEventListener: () => {} });
  const { LiveClient } = await import("../src/live/client.ts");
  client = new LiveClient("ws://test/api/v1/live", () => (refused += 1));
});

afterEach(() => {
  client.close();
  mock.timers.reset();
  mock.restoreAll();
});

test("subscribes once the server has said hello, and shows what comes", () => {
  const { sub } = client.subscribe(feed, { line: ["l1"] });
  assert.equal(FakeSocket.last.sent.length, 0);
  FakeSocket.last.hello();
  const [frame] = FakeSocket.last.sent;
  assert.deepEqual(frame, { op: "subscribe", id: sub.value.id, widget: "feed_test", params: { line: ["l1"] } });
  FakeSocket.last.says(data("snapshot", sub.value.id, 3, [{ key: "a", value: 1 }]));
  FakeSocket.last.says(data("change", sub.value.id, 4, [{ key: "a", value: 2 }]));
  assert.equal(sub.value.items.get("a")?.value, 2);
});

test("a lost socket keeps the values and resumes where it was", () => {
  const { sub } = client.subscribe(feed, {});
  FakeSocket.last.hello();
  FakeSocket.last.says(data("snapshot", sub.value.id, 3, [{ key: "a", value: 1 }]));
  FakeSocket.last.closes(1006);
  assert.equal(client.link.value.status, "down");
  assert.equal(sub.value.items.get("a")?.value, 1);
  pass(500);
  assert.equal(FakeSocket.all.length, 2);
  FakeSocket.last.hello();
  assert.deepEqual(FakeSocket.last.sent[0]?.["resume"], { epoch: "e1", offset: 3 });
  assert.equal(client.link.value.status, "up");
});

test("silence counts as a lost link", () => {
  client.subscribe(feed, {});
  FakeSocket.last.hello();
  pass(9_000);
  assert.equal(client.link.value.status, "up");
  pass(2_100);
  assert.equal(client.link.value.status, "down");
  assert.equal(FakeSocket.all[0]?.readyState, FakeSocket.CLOSED);
  pass(1_000);
  assert.equal(FakeSocket.all.length, 2);
});

test("a server that is away is tried ever less often", () => {
  const tries: number[] = [];
  for (let i = 0; i < 8; i += 1) {
    FakeSocket.last.closes(1006);
    const [count, from] = [FakeSocket.all.length, steady];
    while (FakeSocket.all.length === count) pass(100);
    tries.push(steady - from);
  }
  assert.ok(
    tries.every((wait, i) => i === 0 || wait >= tries[i - 1]!),
    `${tries}`,
  );
  assert.ok(tries[0]! <= 600 && tries[7]! > 5_000 && tries[7]! <= 15_100, `${tries}`);
});

test("a close code of the last class ends it", () => {
  FakeSocket.last.hello();
  FakeSocket.last.closes(4201, "signed out");
  pass(60_000);
  assert.equal(FakeSocket.all.length, 1);
  assert.equal(client.link.value.status, "closed");
  assert.equal(client.link.value.reason, "signed out");
});

test("a socket that is not let in is told, one that was is not", () => {
  FakeSocket.last.closes(1006);
  assert.equal(refused, 1);
  pass(1_000);
  FakeSocket.last.hello();
  FakeSocket.last.closes(1006);
  assert.equal(refused, 1);
  pass(1_000);
  FakeSocket.last.hello();
  FakeSocket.last.closes(4201);
  assert.equal(refused, 2);
});

test("a change of rights is told, and the socket comes again", () => {
  FakeSocket.last.hello();
  FakeSocket.last.closes(4001, "the rights have changed");
  assert.equal(refused, 1);
  pass(1_000);
  assert.equal(FakeSocket.all.length, 2);
});

test("must_refetch asks anew under a new id, and late frames of the old one are ignored", () => {
  const { sub } = client.subscribe(feed, {});
  FakeSocket.last.hello();
  const old = sub.value.id;
  FakeSocket.last.says(data("snapshot", old, 3, [{ key: "a", value: 1 }]));
  FakeSocket.last.says({ op: "must_refetch", id: old, reason: "gone" });
  const again = FakeSocket.last.sent.at(-1)!;
  assert.equal(again["op"], "subscribe");
  assert.notEqual(again["id"], old);
  assert.equal(again["resume"], undefined);
  assert.equal(sub.value.items.get("a")?.value, 1, "the old values stay until the new ones are whole");
  FakeSocket.last.says(data("change", old, 4, [{ key: "a", value: 9 }]));
  FakeSocket.last.says(data("snapshot", again["id"], 7, [{ key: "b", value: 2 }]));
  assert.deepEqual([...sub.value.items.keys()], ["b"]);
});

test("a gap that a heartbeat reveals is asked for", () => {
  const { sub } = client.subscribe(feed, {});
  FakeSocket.last.hello();
  FakeSocket.last.says(data("snapshot", sub.value.id, 3, []));
  const id = sub.value.id;
  FakeSocket.last.says({ op: "heartbeat", heads: { [id]: 5 } });
  FakeSocket.last.says({ op: "heartbeat", heads: { [id]: 5 } });
  const again = FakeSocket.last.sent.at(-1)!;
  assert.deepEqual(again["resume"], { epoch: "e1", offset: 3 });
});

test("a closed subscription is told to the server", () => {
  const handle = client.subscribe(feed, {});
  FakeSocket.last.hello();
  handle.close();
  assert.deepEqual(FakeSocket.last.sent.at(-1), { op: "unsubscribe", id: handle.sub.value.id });
});
