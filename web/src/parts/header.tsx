// The head of the desk pages: where to go, language, sign out.

import { chooseLocale, locale, LOCALES, t } from "../i18n/index.ts";
import { route } from "../router.ts";
import { mayPair, session, signOut } from "../session.ts";
import { chooseTheme, theme } from "../theme.ts";

export function LanguageSwitch() {
  return (
    <div class="segmented language" role="group" aria-label={t("nav.language")}>
      {LOCALES.map((one) => (
        <button
          type="button"
          key={one}
          aria-pressed={locale.value === one}
          lang={one}
          onClick={() => chooseLocale(one)}
        >
          {one.toUpperCase()}
        </button>
      ))}
    </div>
  );
}

function ThemeSwitch() {
  return (
    <div class="segmented language" role="group" aria-label={t("nav.theme")}>
      {(["dark", "light"] as const).map((one) => (
        <button type="button" key={one} aria-pressed={theme.value === one} onClick={() => chooseTheme(one)}>
          {t(`theme.${one}`)}
        </button>
      ))}
    </div>
  );
}

export function Header() {
  const user = session.value;
  const page = route.value.page;
  return (
    <header class="top">
      <a class="skip" href="#main" onClick={skip}>
        {t("nav.skip")}
      </a>
      <a class="brand" href="/">
        <img src="/favicon.svg" alt="" width="24" height="24" />
        <span>{t("app.name")}</span>
      </a>
      {user && (
        <nav aria-label={t("nav.main")}>
          <a href="/" aria-current={page === "dashboard" ? "page" : undefined}>
            {t("nav.dashboard")}
          </a>
          <a href="/lines" aria-current={page === "overview" ? "page" : undefined}>
            {t("nav.overview")}
          </a>
          <a href="/wall">{t("nav.wall")}</a>
          {mayPair.value && (
            <a href="/screens" aria-current={page === "screens" ? "page" : undefined}>
              {t("nav.screens")}
            </a>
          )}
        </nav>
      )}
      <span class="grow" />
      {user && <span class="who">{user.company || user.tenant}</span>}
      <ThemeSwitch />
      <LanguageSwitch />
      {user && (
        <button type="button" class="plain" title={user.username} onClick={() => void signOut()}>
          {t("nav.signOut")}
        </button>
      )}
    </header>
  );
}

function skip(event: MouseEvent) {
  event.preventDefault();
  document.getElementById("main")?.focus();
}
