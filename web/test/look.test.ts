import assert from "node:assert/strict";
import { test } from "node:test";

import { EVERYTHING, instantOf, lookOf, merged, paramsOf, searchOf, wallOf } from "../src/dashboard/state.ts";

test("an address says what a page looks at, and back", () => {
  assert.deepEqual(lookOf(""), EVERYTHING);
  assert.equal(searchOf(EVERYTHING), "");
  for (const search of [
    "?line=l1&window=8h",
    "?line=hall&from=2026-01-01T00%3A00%3A00.000Z&to=2026-01-02T00%3A00%3A00.000Z&interval=hour&area=3",
    "?window=24h&shift=night&reason=jam&product=7&zoom=2026-01-01T00%3A00%3A00.000Z%7E2026-01-01T01%3A00%3A00.000Z",
  ]) {
    const look = lookOf(search);
    assert.deepEqual(lookOf(searchOf(look)), look, search);
  }
});

test("nonsense in an address is as if it were not there", () => {
  const look = lookOf("?window=year&from=x&to=y&area=1.5&zoom=2026-01-02~2026-01-01");
  assert.deepEqual(look, EVERYTHING);
});

test("a period of a widget's own takes the place of the page's", () => {
  const page = paramsOf(lookOf("?line=l1&from=2026-01-01T00:00:00Z&to=2026-01-02T00:00:00Z"));
  assert.deepEqual(merged(page, { window: "1h" }), { line: "l1", window: "1h" });
  assert.deepEqual(merged(page), page);
});

test("wall times are those of the plant", () => {
  const zone = "Europe/Madrid";
  assert.equal(new Date(instantOf("2026-01-01T06:00", zone) ?? 0).toISOString(), "2026-01-01T05:00:00.000Z");
  assert.equal(new Date(instantOf("2026-07-01T06:00", zone) ?? 0).toISOString(), "2026-07-01T04:00:00.000Z");
  // The clock goes back at 03:00 on 25 October: 02:30 comes twice, the first is meant.
  assert.equal(new Date(instantOf("2026-10-25T02:30", zone) ?? 0).toISOString(), "2026-10-25T00:30:00.000Z");
  // On 29 March 02:30 is skipped.
  assert.equal(wallOf(instantOf("2026-03-29T02:30", zone) ?? 0, zone), "2026-03-29T03:30");
  assert.equal(instantOf("nonsense", zone), null);
});
