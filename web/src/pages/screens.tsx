// The wall displays of a tenant: pairing one by its code, and taking its token away.

import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";

import { ApiError, get, request } from "../api.ts";
import { now } from "../clock.ts";
import { age } from "../format.ts";
import { locale, t } from "../i18n/index.ts";

interface Screen {
  id: number;
  title: string;
  lines: string[] | null;
  paired_at: string;
  last_seen_at: string | null;
  revoked_at: string | null;
}

interface Line {
  name: string;
  title: string;
}

export function ScreensPage() {
  const screens = useSignal<readonly Screen[] | null>(null);
  const lines = useSignal<readonly Line[]>([]);
  const problem = useSignal("");
  const done = useSignal("");
  useEffect(() => {
    document.title = `${t("screens.title")} · ${t("app.name")}`;
  }, [locale.value]);

  async function attempt(act: () => Promise<void>): Promise<void> {
    try {
      await act();
      problem.value = "";
    } catch (error) {
      problem.value = error instanceof ApiError && error.status !== 0 ? error.message : t("error.network");
    }
  }
  const load = () =>
    attempt(async () => {
      screens.value = (await get<{ items: Screen[] }>("/wall/screens")).items;
      lines.value = (await get<{ items: Line[] }>("/production/lines")).items;
    });
  useEffect(() => void load(), []);

  function pair(event: SubmitEvent): void {
    event.preventDefault();
    const form = event.currentTarget as HTMLFormElement;
    const data = new FormData(form);
    const chosen = data.getAll("line").map(String);
    const body = { code: String(data.get("code")), title: String(data.get("title")), lines: chosen.length ? chosen : null };
    void attempt(async () => {
      await request("POST", "/wall/screens", { body });
      form.reset();
      done.value = t("screens.paired", { title: body.title });
      await load();
    });
  }

  const there = (screens.value ?? []).filter((screen) => screen.revoked_at === null);
  return (
    <main id="main" tabIndex={-1} class="page">
      <div class="page-head">
        <h1>{t("screens.title")}</h1>
      </div>
      <form class="panel screens-form" onSubmit={pair}>
        <p class="quiet">{t("screens.how")}</p>
        <label>
          <span>{t("screens.code")}</span>
          <input name="code" required autocomplete="off" spellcheck={false} maxLength={12} />
        </label>
        <label>
          <span>{t("screens.name")}</span>
          <input name="title" required maxLength={100} />
        </label>
        <fieldset>
          <legend>{t("screens.lines")}</legend>
          {lines.value.map((line) => (
            <label key={line.name}>
              <input type="checkbox" name="line" value={line.name} /> {line.title}
            </label>
          ))}
        </fieldset>
        <button type="submit" class="primary">
          {t("screens.pair")}
        </button>
        <span role="status">{done}</span>
        <span class="problem" role="alert">
          {problem}
        </span>
      </form>
      {screens.value !== null && there.length === 0 ? (
        <p class="quiet">{t("screens.none")}</p>
      ) : (
        <table class="lines">
          <thead>
            <tr>
              <th scope="col">{t("screens.name")}</th>
              <th scope="col">{t("overview.title")}</th>
              <th scope="col">{t("dash.lastSeen")}</th>
              <th scope="col">
                <span class="visually-hidden">{t("screens.revoke")}</span>
              </th>
            </tr>
          </thead>
          <tbody>
            {there.map((screen) => (
              <tr key={screen.id} data-screen={screen.id}>
                <th scope="row">{screen.title}</th>
                <td>{screen.lines?.join(", ") ?? t("dash.allLines")}</td>
                <td>{screen.last_seen_at === null ? "—" : age(now.value - Date.parse(screen.last_seen_at))}</td>
                <td>
                  <button
                    type="button"
                    class="plain"
                    onClick={() =>
                      void attempt(async () => {
                        await request("DELETE", `/wall/screens/${screen.id}`);
                        await load();
                      })
                    }
                  >
                    {t("screens.revoke")}
                  </button>
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </main>
  );
}
