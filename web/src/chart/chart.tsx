// uPlot in a component: made once, fed with data, as wide as its place.

import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";

interface Props {
  /** Makes the options; called anew when `version` changes (language, zone, range). */
  options: () => Omit<uPlot.Options, "width" | "height">;
  version: string;
  data: uPlot.AlignedData;
  height: number;
  label: string;
  /** Changes when something drawn beside the data does. */
  drawn?: unknown;
  onMade?: (chart: uPlot) => void;
}

export function Chart({ options, version, data, height, label, drawn, onMade }: Props) {
  const place = useRef<HTMLDivElement>(null);
  const chart = useRef<uPlot | null>(null);

  useEffect(() => {
    const here = place.current;
    if (here === null) return;
    const made = new uPlot({ ...options(), width: Math.max(200, here.clientWidth), height }, data, here);
    chart.current = made;
    onMade?.(made);
    const watch = new ResizeObserver(() => {
      const width = Math.max(200, here.clientWidth);
      if (width !== made.width) made.setSize({ width, height });
    });
    watch.observe(here);
    return () => {
      watch.disconnect();
      made.destroy();
      chart.current = null;
    };
  }, [version, height]);

  useEffect(() => {
    chart.current?.setData(data);
  }, [data]);

  useEffect(() => {
    chart.current?.redraw(false);
  }, [drawn]);

  return <div class="chart" ref={place} role="img" aria-label={label} />;
}
