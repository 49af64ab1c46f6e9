// One line on the wall.

import { useComputed, useSignal } from "@preact/signals";

import { now } from "../clock.ts";
import type { FigureNow, LineNow } from "../feeds.ts";
import { age, percent, percentDigits, tileDuration, timeWithDay } from "../format.ts";
import { locale, t } from "../i18n/index.ts";
import { linkLost } from "../live/page.ts";
import { current, FRESH_MS, progress, timing } from "../model.ts";
import { reasonName } from "../reasons.ts";
import { zone } from "../session.ts";
import { busyMs, type Stop } from "../shapes.ts";
import { ProgressBar } from "./progress.tsx";
import { StateWord } from "./state.tsx";

interface Props {
  item: LineNow;
  figure: FigureNow | undefined;
  stop: Stop | null;
}

export function Tile({ item, figure, stop }: Props) {
  // Signals, so that a second's tick writes two texts instead of drawing the tile anew.
  const line = useSignal(item);
  line.value = item;
  const times = useComputed(() => timing(line.value, now.value, linkLost.value));
  const held = useComputed(() => tileDuration(times.value.heldMs));
  const stale = useComputed(() => times.value.stale);
  const ageText = useComputed(() => {
    const { ageMs } = times.value;
    return t("age.data", { age: ageMs < FRESH_MS ? `< ${age(FRESH_MS)}` : age(ageMs) });
  });
  const since = useComputed(() =>
    t("state.since", { time: timeWithDay(Date.parse(line.value.since), now.value, locale.value, zone.value) }),
  );

  const shift = current(figure, times.peek().lineNow);
  return (
    <a
      class={`tile tile-${item.state} ${stale.value ? "stale" : ""}`}
      href={`/line/${encodeURIComponent(item.line)}`}
      data-line={item.line}
      data-state={item.state}
    >
      <h2>{item.title}</h2>
      <div class="tile-state">
        <StateWord state={item.state} />
      </div>
      <div class="tile-time">
        <span class="tile-held">{held}</span>
        <p class="tile-why">
          {item.state === "stopped" && (
            <span class="tile-reason">{stop?.reason_code ? reasonName(stop.reason_code) : t("wall.noReason")}</span>
          )}
          <span>{since}</span>
        </p>
      </div>
      <div class="tile-oee">
        <p class="tile-big">
          <span class="tile-digits">{percentDigits(shift?.oee, locale.value, (shift?.oee ?? 0) < 0.9995 ? 1 : 0)}</span>
          <span class="tile-unit">
            {shift?.oee != null && "%"} {t("figure.oee")}
          </span>
        </p>
        {shift && busyMs(shift) > 0 ? (
          <dl class="tile-apq">
            <Part name="availability" value={shift.availability} />
            <Part name="performance" value={shift.performance} />
            <Part name="quality" value={shift.quality} />
          </dl>
        ) : (
          <p class="tile-apq">{shift === null && t(figure ? "figure.noShift" : "figure.none")}</p>
        )}
      </div>
      <div class="tile-foot">
        {shift && busyMs(shift) > 0 && <ProgressBar progress={progress(shift, item)} oeeTarget={item.oee_target} />}
        <span class="tile-age">{ageText}</span>
      </div>
    </a>
  );
}

function Part({ name, value }: { name: "availability" | "performance" | "quality"; value: number | null }) {
  return (
    <div>
      <dt>
        <abbr title={t(`figure.${name}`)}>{t(`figure.${name}.letter`)}</abbr>
      </dt>
      <dd>{percent(value, locale.value, 0)}</dd>
    </div>
  );
}
