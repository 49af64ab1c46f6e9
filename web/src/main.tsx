// Starts the page.

import { effect } from "@preact/signals";
import { render } from "preact";
import { useEffect } from "preact/hooks";

import { startTicking } from "./clock.ts";
import { locale, t } from "./i18n/index.ts";
import { startLive } from "./live/page.ts";
import { DashboardPage } from "./pages/dashboard.tsx";
import { LinePage } from "./pages/line.tsx";
import { LoginPage } from "./pages/login.tsx";
import { PairPage } from "./pages/pair.tsx";
import { ScreensPage } from "./pages/screens.tsx";
import { OverviewPage } from "./pages/overview.tsx";
import { WallPage } from "./pages/wall.tsx";
import { Header } from "./parts/header.tsx";
import { LinkBar } from "./parts/link.tsx";
import { loadReasons } from "./reasons.ts";
import { route, startRouter } from "./router.ts";
import { loadSession, session, unreachable } from "./session.ts";
import { startTheme } from "./theme.ts";
import "uplot/dist/uPlot.min.css";
import "./styles/base.css";
import "./styles/desk.css";
import "./styles/light.css";
import "./styles/dash.css";
import "./styles/grid.css";
import "./styles/line.css";
import "./styles/stops.css";
import "./styles/wall.css";

/** How soon to ask again who is signed in while the server cannot be reached. */
const RETRY_MS = 3_000;
/** Reasons change rarely. */
const REASONS_EVERY_MS = 600_000;

function App() {
  const user = session.value;
  useEffect(() => {
    if (user !== undefined || !unreachable.value) return;
    const timer = setInterval(() => void loadSession(), RETRY_MS);
    return () => clearInterval(timer);
  }, [user === undefined, unreachable.value]);
  useEffect(() => {
    if (!user) return;
    const load = () => void loadReasons().catch(() => {}); // names fall back to codes; asked again soon
    load();
    const timer = setInterval(load, REASONS_EVERY_MS);
    return () => clearInterval(timer);
  }, [user]);

  const at = route.value;
  if (at.page === "login") return <LoginPage />;
  if (at.page === "pair") return <PairPage />;
  if (!user) return <p class="boot">{unreachable.value ? t("error.network") : t("link.connecting")}</p>;
  if (user.tenant === "") {
    return (
      <>
        <Header />
        <main id="main" class="page">
          <p>{t("session.noTenant")}</p>
        </main>
      </>
    );
  }
  if (at.page === "wall") return <WallPage key={at.lines.join()} only={at.lines} columns={at.columns} />;
  return (
    <>
      <Header />
      <LinkBar />
      {at.page === "dashboard" && <DashboardPage />}
      {at.page === "overview" && <OverviewPage />}
      {at.page === "screens" && <ScreensPage />}
      {at.page === "line" && <LinePage key={at.line} line={at.line} />}
      {at.page === "unknown" && (
        <main id="main" class="page">
          <p>{t("error.notFound")}</p>
          <a href="/lines">{t("nav.back")}</a>
        </main>
      )}
    </>
  );
}

effect(() => {
  document.documentElement.lang = locale.value;
});
startTheme();
startRouter();
startTicking();
startLive();
if (route.value.page !== "login" && route.value.page !== "pair") void loadSession();
else session.value = null;

const root = document.getElementById("app");
if (root) render(<App />, root);
