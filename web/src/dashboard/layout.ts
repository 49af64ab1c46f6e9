// Where widgets lie: a grid of 4 columns on which they never overlap and always float up. Pure.

export const COLUMNS = 4;
export const MAX_HEIGHT = 8;
const MAX_ROWS = 400;

export interface Placed {
  id: string;
  widget: string;
  x: number;
  y: number;
  w: number;
  h: number;
  params?: Record<string, unknown>;
  title?: string;
}

export interface Layout {
  widgets: Placed[];
}

export type Box = Pick<Placed, "x" | "y" | "w" | "h">;

export const overlap = (a: Box, b: Box): boolean =>
  a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h;

/** Within the grid. */
export function clamped(box: Box): Box {
  const w = Math.min(COLUMNS, Math.max(1, Math.round(box.w)));
  const h = Math.min(MAX_HEIGHT, Math.max(1, Math.round(box.h)));
  const x = Math.min(COLUMNS - w, Math.max(0, Math.round(box.x)));
  const y = Math.min(MAX_ROWS - h, Math.max(0, Math.round(box.y)));
  return { x, y, w, h };
}

const byPlace = (a: Placed, b: Placed): number => a.y - b.y || a.x - b.x;

/** Everything as far up as it goes without passing anything. */
export function floated(widgets: readonly Placed[]): Placed[] {
  const done: Placed[] = [];
  for (const widget of [...widgets].sort(byPlace)) {
    const isFree = (y: number) => !done.some((other) => overlap({ ...widget, y }, other));
    let { y } = widget;
    while (y > 0 && isFree(y - 1)) y -= 1;
    done.push({ ...widget, y });
  }
  return done;
}

/** With a widget somewhere else or of another size; what is in its way makes room, in reading order. */
export function moved(layout: Layout, id: string, to: Partial<Box>): Layout {
  const widget = layout.widgets.find((one) => one.id === id);
  if (!widget) return layout;
  const done: Placed[] = [{ ...widget, ...clamped({ ...widget, ...to }) }];
  for (const other of layout.widgets.filter((one) => one.id !== id).sort(byPlace)) {
    let { y } = other;
    while (done.some((before) => overlap({ ...other, y }, before))) y += 1;
    done.push({ ...other, y });
  }
  return { widgets: floated(done) };
}

export function removed(layout: Layout, id: string): Layout {
  return { widgets: floated(layout.widgets.filter((one) => one.id !== id)) };
}

/** With a new widget where there is room first. */
export function added(layout: Layout, widget: string, size: { w: number; h: number }): Layout {
  const taken = new Set(layout.widgets.map((one) => one.id));
  let number = 1;
  while (taken.has(`${widget}-${number}`)) number += 1;
  const box = clamped({ x: 0, y: 0, ...size });
  for (let y = 0; y < MAX_ROWS; y += 1) {
    for (let x = 0; x + box.w <= COLUMNS; x += 1) {
      const place = { ...box, x, y };
      if (layout.widgets.some((other) => overlap(place, other))) continue;
      return { widgets: floated([...layout.widgets, { id: `${widget}-${number}`, widget, ...place }]) };
    }
  }
  return layout;
}

export const same = (a: Layout, b: Layout): boolean => JSON.stringify(a) === JSON.stringify(b);
