import assert from "node:assert/strict";
import { test } from "node:test";

import { ServerClock } from "../src/clock.ts";
import { backoffMs } from "../src/live/backoff.ts";
import { closeClass, parse } from "../src/live/protocol.ts";

test("frames of every kind are read", () => {
  assert.deepEqual(parse('{"op":"hello","protocol":"andon.v1","heartbeat_s":5}'), {
    op: "hello",
    protocol: "andon.v1",
    heartbeat_s: 5,
    sent_at: null,
  });
  const heartbeat = parse('{"op":"heartbeat","heads":{"3":17,"x":"no"},"sent_at":"2026-01-01T00:00:00.000Z"}');
  assert.ok(heartbeat?.op === "heartbeat");
  assert.deepEqual([...heartbeat.heads], [[3, 17]]);
});

test("what is not understood is passed over", () => {
  for (const text of [
    "",
    "[]",
    "null",
    "{",
    '{"op":"new"}',
    '{"op":"change","id":1}',
    '{"op":"hello","heartbeat_s":0}',
  ]) {
    assert.equal(parse(text), null, text);
  }
});

test("close codes fall into their classes", () => {
  assert.equal(closeClass(4001), "now");
  assert.equal(closeClass(4100), "backoff");
  assert.equal(closeClass(4200), "stop");
  assert.equal(closeClass(4299), "stop");
  assert.equal(closeClass(1006), "backoff");
  assert.equal(closeClass(4300), "backoff");
});

test("waiting grows, is bounded and never in step", () => {
  for (let attempt = 0; attempt < 100; attempt += 1) {
    const least = backoffMs(attempt, 0);
    const most = backoffMs(attempt, 0.999);
    assert.ok(least >= 250 && most <= 15_000 && most > least, `attempt ${attempt}: ${least}..${most}`);
  }
  assert.ok(backoffMs(3, 0) > backoffMs(0, 0.999));
});

test("the server's time does not depend on the local clock and takes the quickest frame's word", () => {
  let local = 1_000;
  const clock = new ServerClock(() => local);
  assert.equal(clock.now(), null);
  clock.observe(500_000); // 40 ms under way, say
  local += 10_000;
  clock.observe(510_040); // none
  assert.equal(clock.now(), 510_040);
  local += 1_000;
  clock.observe(510_140); // held up for 900 ms: not believed
  assert.equal(clock.now(), 511_040);
});

test("the server's time follows a server whose clock was set back, within minutes", () => {
  let local = 0;
  const clock = new ServerClock(() => local);
  clock.observe(9_000_000);
  for (local = 0; local <= 180_000; local += 5_000) clock.observe(1_000_000 + local);
  assert.equal(clock.now(), 1_000_000 + local);
});
