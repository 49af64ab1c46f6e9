import assert from "node:assert/strict";
import { test } from "node:test";

import { added, clamped, COLUMNS, type Layout, moved, overlap, removed } from "../src/dashboard/layout.ts";

const box = (id: string, x: number, y: number, w: number, h: number) => ({ id, widget: "kpi_oee", x, y, w, h });
const places = (layout: Layout) =>
  Object.fromEntries(layout.widgets.map((one) => [one.id, [one.x, one.y, one.w, one.h].join(" ")]));

function sound(layout: Layout): void {
  for (const [index, a] of layout.widgets.entries()) {
    assert.ok(a.x >= 0 && a.x + a.w <= COLUMNS && a.y >= 0, JSON.stringify(a));
    for (const b of layout.widgets.slice(index + 1)) assert.ok(!overlap(a, b), `${a.id} lies on ${b.id}`);
  }
}

test("what is in the way makes room", () => {
  const layout = { widgets: [box("a", 0, 0, 2, 1), box("b", 2, 0, 2, 1), box("c", 0, 1, 4, 2)] };
  const next = moved(layout, "a", { x: 2 });
  sound(next);
  assert.deepEqual(places(next), { a: "2 0 2 1", b: "2 1 2 1", c: "0 2 4 2" });
});

test("a widget that grows pushes the rest down, and lets it up again", () => {
  const layout = { widgets: [box("a", 0, 0, 1, 1), box("b", 0, 1, 1, 1)] };
  const grown = moved(layout, "a", { h: 3 });
  assert.deepEqual(places(grown), { a: "0 0 1 3", b: "0 3 1 1" });
  assert.deepEqual(places(moved(grown, "a", { h: 1 })), { a: "0 0 1 1", b: "0 1 1 1" });
});

test("sizes stay within the grid", () => {
  assert.deepEqual(clamped({ x: 9, y: -3, w: 7, h: 99 }), { x: 0, y: 0, w: 4, h: 8 });
  const layout = { widgets: [box("a", 3, 0, 1, 1)] };
  assert.deepEqual(places(moved(layout, "a", { w: 3 })), { a: "1 0 3 1" });
});

test("new widgets take the first free place, with an id of their own", () => {
  let layout: Layout = { widgets: [box("a", 0, 0, 1, 1), box("kpi_oee-1", 2, 0, 2, 1)] };
  layout = added(layout, "kpi_oee", { w: 1, h: 1 });
  assert.equal(places(layout)["kpi_oee-2"], "1 0 1 1");
  sound(layout);
  assert.equal(removed(layout, "a").widgets.length, 2);
});

test("whatever is moved anywhere, nothing overlaps", () => {
  let seed = 42;
  const dice = (n: number) => {
    seed = (seed * 1103515245 + 12345) % 2147483648;
    return seed % n;
  };
  let layout: Layout = { widgets: [] };
  for (let i = 0; i < 12; i += 1) layout = added(layout, "kpi_oee", { w: 1 + dice(4), h: 1 + dice(3) });
  for (let i = 0; i < 500; i += 1) {
    const one = layout.widgets[dice(layout.widgets.length)];
    if (!one) continue;
    layout = moved(layout, one.id, { x: dice(6) - 1, y: dice(20) - 1, w: 1 + dice(5), h: 1 + dice(4) });
    sound(layout);
  }
});
