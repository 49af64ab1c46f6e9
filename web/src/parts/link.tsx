// How it stands with the connection; quiet while all is well.

import { now } from "../clock.ts";
import { age, timeOfDay } from "../format.ts";
import { locale, t } from "../i18n/index.ts";
import { linkLost, linkState } from "../live/page.ts";
import { zone } from "../session.ts";

/** A short break is no news: the bar waits this long before it speaks. */
const PATIENCE_MS = 3_000;

export function LinkBar() {
  const link = linkState.value;
  if (link === null) return null;
  if (link.status === "closed") {
    return (
      <p class="link-bar" role="alert">
        {t("link.closed")} <a href="/login">{t("link.signIn")}</a>
      </p>
    );
  }
  const lost = linkLost.value;
  if (lost === null) return null;
  const silent = Math.max(0, now.value - lost);
  if (lost > 0 && silent < PATIENCE_MS) return null;
  return (
    <p class="link-bar" role="status">
      {lost === 0
        ? t("error.network")
        : t("link.down", { age: age(silent), time: timeOfDay(lost, locale.value, zone.value, true) })}
    </p>
  );
}
