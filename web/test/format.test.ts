import assert from "node:assert/strict";
import { test } from "node:test";

import * as format from "../src/format.ts";

test("durations", () => {
  assert.equal(format.tileDuration(7_999), "00:07");
  assert.equal(format.tileDuration(754_000), "12:34");
  assert.equal(format.tileDuration(3_600_000), "1:00 h");
  assert.equal(format.tileDuration(99 * 3_600_000), "99:00 h");
  assert.equal(format.tileDuration(240 * 3_600_000), "10 d");
  assert.equal(format.clockDuration(59_999), "00:59");
  assert.equal(format.clockDuration(3_723_000), "1:02:03");
  assert.equal(format.clockDuration(-5), "00:00");
});

test("ages", () => {
  assert.equal(format.age(900), "0 s");
  assert.equal(format.age(61_000), "1 min");
  assert.equal(format.age(7_200_000), "2 h");
  assert.equal(format.age(3 * 86_400_000), "3 d");
});

test("numbers in both languages", () => {
  assert.equal(format.percent(0.8345, "en"), "83.5%");
  assert.equal(format.percent(0.8345, "es").replace(/\s/g, " "), "83,5 %");
  assert.equal(format.percentDigits(0.8345, "es"), "83,5");
  assert.equal(format.percent(null, "en"), "—");
  assert.equal(format.percent(Number.NaN, "en"), "—");
  assert.equal(format.count(8120, "es"), "8.120");
  assert.equal(format.count(8120, "en"), "8,120");
});

test("times are those of the tenant's zone, whatever the machine's", () => {
  const at = Date.parse("2026-03-29T00:59:30Z"); // the clock goes forward half a minute later
  assert.equal(format.timeOfDay(at, "es", "Europe/Madrid", true), "01:59:30");
  assert.equal(format.timeOfDay(at + 60_000, "es", "Europe/Madrid"), "03:00");
  assert.equal(format.timeOfDay(at, "en", "America/Mexico_City"), "18:59");
  assert.equal(format.timeOfDay(Date.parse("2026-01-01T23:05:00Z"), "en", "Europe/Madrid"), "00:05");
});

test("the day is told when it is another one there", () => {
  const now = Date.parse("2026-01-02T08:00:00Z");
  assert.equal(format.timeWithDay(Date.parse("2026-01-02T07:00:00Z"), now, "en", "UTC"), "07:00");
  assert.equal(format.timeWithDay(Date.parse("2026-01-01T23:30:00Z"), now, "en", "UTC"), "Jan 1, 23:30");
  assert.equal(format.timeWithDay(Date.parse("2026-01-01T23:30:00Z"), now, "en", "Europe/Madrid"), "00:30");
});

test("a zone that the browser does not know becomes UTC", () => {
  assert.equal(format.safeZone("Europe/Madrid"), "Europe/Madrid");
  assert.equal(format.safeZone("Mars/Olympus"), "UTC");
  assert.equal(format.safeZone(""), "UTC");
});
