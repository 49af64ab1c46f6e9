// A stop in a dialog: what it was, and giving it its reason.

import { useEffect, useRef } from "preact/hooks";

import { confirmed, pending } from "../classify.ts";
import { now } from "../clock.ts";
import { clockDuration, timeWithDay } from "../format.ts";
import { locale, t } from "../i18n/index.ts";
import { ReasonEditor } from "../parts/reason-editor.tsx";
import { reasonName } from "../reasons.ts";
import { zone } from "../session.ts";
import type { Stop } from "../shapes.ts";
import { laterOf } from "../stops.ts";

export function StopDialog({ stop: given, onClose }: { stop: Stop; onClose: () => void }) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    // The browser keeps the focus inside, and gives it back.
    dialog.current?.showModal();
  }, []);
  const stop = laterOf(confirmed.value.get(given.downtime_id), given);
  const start = timeWithDay(Date.parse(stop.started_at), now.value, locale.value, zone.value, true);
  const waits = pending.value.get(stop.downtime_id);
  return (
    <dialog ref={dialog} class="stop-dialog panel" aria-label={t("reason.title", { time: start })} onClose={onClose}>
      <div class="panel-head">
        <h2>{t("reason.title", { time: start })}</h2>
        <span class="grow" />
        <button type="button" class="plain" onClick={() => dialog.current?.close()}>
          {t("reason.cancel")}
        </button>
      </div>
      <p class="quiet">
        {stop.line} · {clockDuration(stop.duration_ms)}
        {stop.shift && ` · ${stop.shift}`} · {stop.reason_code ? reasonName(stop.reason_code) : t("stops.noReason")}
        {waits?.status === "sent" && " …"}
      </p>
      <ReasonEditor key={stop.downtime_id} stop={stop} start={start} onClose={() => dialog.current?.close()} />
    </dialog>
  );
}
