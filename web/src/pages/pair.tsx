// A screen that waits to be paired: shows its code, and becomes a wall once somebody has entered it.

import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";

import { ApiError, request } from "../api.ts";
import { locale, t } from "../i18n/index.ts";
import { rememberScreen } from "../screen.ts";

interface Waiting {
  code: string;
  token: string;
  expires_in: number;
}

const LOOK_MS = 2_000;

export function PairPage() {
  const code = useSignal("");
  const problem = useSignal("");
  useEffect(() => {
    document.title = `${t("pair.title")} · ${t("app.name")}`;
  }, [locale.value]);
  useEffect(() => {
    let over = false;
    let timer: ReturnType<typeof setTimeout>;
    let waiting: Waiting | null = null;

    async function look(): Promise<void> {
      waiting ??= (await request<Waiting>("POST", "/wall/pair", { body: {} })).body;
      code.value = waiting.code;
      const { status } = await request("POST", "/wall/pair/claim", { body: { token: waiting.token } });
      if (status !== 200) return;
      rememberScreen();
      // Anew, with the cookie.
      location.assign("/wall");
    }

    async function again(): Promise<void> {
      try {
        await look();
        problem.value = "";
      } catch (error) {
        // A code that ran out makes room for a new one.
        if (error instanceof ApiError && error.status === 404) waiting = null;
        else problem.value = error instanceof ApiError && error.status !== 0 ? error.message : t("error.network");
      }
      if (!over) timer = setTimeout(() => void again(), LOOK_MS);
    }

    void again();
    return () => {
      over = true;
      clearTimeout(timer);
    };
  }, []);
  const shown = code.value === "" ? "···-···" : `${code.value.slice(0, 3)}-${code.value.slice(3)}`;
  return (
    <main id="main" class="pair">
      <h1>{t("pair.title")}</h1>
      <p class="pair-code" role="status" data-code={code.value}>
        {shown}
      </p>
      <p class="quiet">{t("pair.how")}</p>
      <p class="problem" role="alert">
        {problem}
      </p>
      <a href="/login?next=/wall">{t("pair.login")}</a>
    </main>
  );
}
