// A line's state as shape, word and colour: never by colour alone.

import { t } from "../i18n/index.ts";
import type { LineState } from "../shapes.ts";

/** ● running · ▲ micro-stop · ■ stopped · ◆ planned · hatched circle: no data · – not scheduled. */
export function Shape({ state }: { state: LineState }) {
  return (
    <svg class={`shape shape-${state}`} viewBox="0 0 24 24" aria-hidden="true" focusable="false">
      {shapes[state]}
    </svg>
  );
}

const shapes: Record<LineState, preact.JSX.Element> = {
  running: <circle cx="12" cy="12" r="9" />,
  micro_stop: <path d="M12 2.5 23 21.5H1Z" />,
  stopped: <rect x="3" y="3" width="18" height="18" />,
  planned_stop: <path d="M12 1 23 12 12 23 1 12Z" />,
  no_data: (
    <g fill="none" stroke="currentColor" stroke-width="2.4">
      <circle cx="12" cy="12" r="9.5" />
      <path d="M5 14 14 5M8 18 18 8M11.5 20.5 20.5 11.5" />
    </g>
  ),
  unscheduled: <rect x="2" y="10" width="20" height="4" />,
};

export function StateWord({ state }: { state: LineState }) {
  return (
    <span class={`state state-${state}`}>
      <Shape state={state} />
      <span class="state-word">{t(`state.${state}`)}</span>
    </span>
  );
}
