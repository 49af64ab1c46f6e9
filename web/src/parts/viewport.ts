// The size of the window, in CSS pixels.

import { signal } from "@preact/signals";

export const viewport = signal({ width: innerWidth, height: innerHeight });

addEventListener("resize", () => {
  viewport.value = { width: innerWidth, height: innerHeight };
});
