import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";

import { ApiError } from "../api.ts";
import { locale, t } from "../i18n/index.ts";
import { LanguageSwitch } from "../parts/header.tsx";
import { go, route } from "../router.ts";
import { expired, signIn } from "../session.ts";

export function LoginPage() {
  const busy = useSignal(false);
  const problem = useSignal("");
  useEffect(() => {
    document.title = `${t("login.title")} · ${t("app.name")}`;
  }, [locale.value]);

  async function submit(event: SubmitEvent) {
    event.preventDefault();
    const form = new FormData(event.currentTarget as HTMLFormElement);
    busy.value = true;
    problem.value = "";
    try {
      await signIn(String(form.get("username")), String(form.get("password")));
      const at = route.value;
      go(at.page === "login" ? at.next : "/", true);
    } catch (error) {
      problem.value = wordsOf(error);
    } finally {
      busy.value = false;
    }
  }

  return (
    <main class="login" id="main">
      <form onSubmit={submit}>
        <div class="login-head">
          <img src="/favicon.svg" alt="" width="40" height="40" />
          <h1>{t("app.name")}</h1>
          <LanguageSwitch />
        </div>
        {expired.value && <p class="note">{t("login.expired")}</p>}
        <label>
          <span>{t("login.username")}</span>
          <input name="username" autocomplete="username" autocapitalize="none" spellcheck={false} required autofocus />
        </label>
        <label>
          <span>{t("login.password")}</span>
          <input name="password" type="password" autocomplete="current-password" required />
        </label>
        <p class="problem" role="alert">
          {problem}
        </p>
        <button type="submit" class="primary" disabled={busy.value}>
          {busy.value ? t("login.busy") : t("login.submit")}
        </button>
        <a href="/wall/pair">{t("login.pair")}</a>
      </form>
    </main>
  );
}

function wordsOf(error: unknown): string {
  if (!(error instanceof ApiError) || error.status === 0) return t("error.network");
  if (error.status === 401 || error.status === 403 || error.status === 422) return t("login.wrong");
  if (error.status === 429) return t("login.limited", { seconds: error.retryAfterS ?? 60 });
  return t("error.failed", { detail: error.message });
}
