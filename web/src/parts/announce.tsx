// Says changes of states aloud to screen readers; quiet about the first look.

import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";

import type { LineNow } from "../feeds.ts";
import { t } from "../i18n/index.ts";
import type { LineState } from "../shapes.ts";

export function Announce({ lines }: { lines: readonly LineNow[] }) {
  const words = useSignal("");
  const known = useRef(new Map<string, LineState>());
  useEffect(() => {
    const said: string[] = [];
    for (const { line, title, state } of lines) {
      const before = known.current.get(line);
      if (before !== undefined && before !== state) {
        said.push(t("state.announce", { line: title, state: t(`state.${state}`) }));
      }
      known.current.set(line, state);
    }
    if (said.length > 0) words.value = said.join(". ");
  }, [lines]);
  return (
    <p class="visually-hidden" aria-live="polite">
      {words}
    </p>
  );
}
