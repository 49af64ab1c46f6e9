// Pieces made against pieces due by now.

import { count, percent } from "../format.ts";
import { locale, t } from "../i18n/index.ts";
import type { Progress } from "../model.ts";

export function ProgressBar({ progress, oeeTarget }: { progress: Progress; oeeTarget: number | null | undefined }) {
  const { made, target, ratio } = progress;
  const text =
    target === null || ratio === null
      ? t("wall.piecesOnly", { made: count(made, locale.value) })
      : t("wall.pieces", { made: count(made, locale.value), target: count(Math.floor(target), locale.value) });
  const hint = target === null ? undefined : t("wall.target.hint", { oee: percent(oeeTarget, locale.value, 0) });
  return (
    <div class="progress" title={hint}>
      {ratio !== null && (
        // The bar is 125 % long: the mark at 100 % shows being ahead as well as being behind.
        <svg
          class={`progress-bar ${ratio >= 1 ? "ahead" : "behind"}`}
          viewBox="0 0 125 10"
          preserveAspectRatio="none"
          aria-hidden="true"
        >
          <rect class="track" x="0" y="0" width="125" height="10" />
          <rect class="fill" x="0" y="0" width={Math.min(125, ratio * 100)} height="10" />
          <rect class="mark" x="99.2" y="0" width="1.6" height="10" />
        </svg>
      )}
      <span class="progress-text">{text}</span>
    </div>
  );
}
