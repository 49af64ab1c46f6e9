// The tree of reasons and a comment for one stop.

import { useSignal } from "@preact/signals";

import { classify, pending } from "../classify.ts";
import { t } from "../i18n/index.ts";
import { type ReasonNode, reasons, reasonTree } from "../reasons.ts";
import { mayClassify } from "../session.ts";
import type { Stop } from "../shapes.ts";

interface Props {
  stop: Stop;
  start: string;
  onClose: () => void;
}

export function ReasonEditor({ stop, start, onClose }: Props) {
  const id = stop.downtime_id;
  const code = useSignal<string>(stop.reason_code ?? "");
  const comment = useSignal(stop.comment ?? "");
  if (!mayClassify.value) {
    return (
      <p class="quiet reason-viewer" id={`editor-${id}`}>
        {t("reason.viewer")}
      </p>
    );
  }
  const tree = reasonTree(reasons.value.values());
  const groups = tree.filter((node) => node.children.length > 0);
  const single = tree.filter((node) => node.children.length === 0);
  const waits = pending.value.get(id);
  const busy = waits?.status === "sent";
  const choice = (node: ReasonNode) => <Choice key={node.reason.code} node={node} name={id} code={code} />;

  return (
    <form
      id={`editor-${id}`}
      class="reason-editor"
      aria-label={t("reason.title", { time: start })}
      onKeyDown={(event) => {
        if (event.key === "Escape") onClose();
      }}
      onSubmit={(event) => {
        event.preventDefault();
        if (busy) return;
        void classify(id, { reason_code: code.value || null, comment: comment.value.trim() || null });
      }}
    >
      {tree.length === 0 && <p class="quiet">{t("reason.empty")}</p>}
      {groups.map((group) => (
        <fieldset key={group.reason.code}>
          <legend>{group.reason.name}</legend>
          <div class="choices">
            {choice({ ...group, children: [] })}
            {group.children.flatMap(flat).map(choice)}
          </div>
        </fieldset>
      ))}
      <fieldset>
        <legend>{groups.length > 0 ? t("reason.other") : t("reason.choose")}</legend>
        <div class="choices">
          {single.map(choice)}
          <label class="choice">
            <input type="radio" name={id} value="" checked={code.value === ""} onChange={() => (code.value = "")} />
            <span>{t("reason.clear")}</span>
          </label>
        </div>
      </fieldset>
      <label class="comment">
        <span>{t("reason.comment")}</span>
        <textarea
          rows={2}
          maxLength={1000}
          value={comment.value}
          onInput={(event) => (comment.value = event.currentTarget.value)}
        />
      </label>
      <div class="actions">
        {/* Not disabled: the keyboard's focus would be lost. */}
        <button type="submit" class="primary" aria-disabled={busy}>
          {t("reason.save")}
        </button>
        <button type="button" class="plain" onClick={onClose}>
          {t("reason.cancel")}
        </button>
        <span class={`outcome outcome-${waits?.status ?? "none"}`} role="status">
          {waits?.status === "sent" && t("reason.pending")}
          {waits?.status === "slow" && t("reason.slow")}
          {waits?.status === "saved" && `✓ ${t("reason.saved")}`}
          {waits?.status === "failed" && t("reason.failed", { detail: waits.detail })}
        </span>
      </div>
    </form>
  );
}

/** A reason and all below it, in order. */
function flat(node: ReasonNode): ReasonNode[] {
  return [node, ...node.children.flatMap(flat)];
}

function Choice({ node, name, code }: { node: ReasonNode; name: string; code: { value: string } }) {
  const { reason } = node;
  const kind = t(`reason.kind.${reason.kind}`);
  return (
    <label class="choice">
      <input
        type="radio"
        name={name}
        value={reason.code}
        checked={code.value === reason.code}
        onChange={() => (code.value = reason.code)}
      />
      <span>
        {reason.name}
        {reason.kind !== "unplanned" && kind.toLowerCase() !== reason.name.toLowerCase() && <small> {kind}</small>}
      </span>
    </label>
  );
}
