// A wall display without a keyboard: it shows a code, a manager enters it in another browser, the lines appear; once it
// is revoked it shows a code again.
//
//   ANDON_URL=http://127.0.0.1:8080 ANDON_USER=… ANDON_PASSWORD=… node browser/pair.mjs       (a manager)
import assert from "node:assert/strict";
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { chromium } from "playwright-core";

const env = (name, fallback) => {
  const value = process.env[name] ?? fallback;
  if (value === undefined) throw new Error(`${name} is not set`);
  return value;
};
const base = env("ANDON_URL").replace(/\/$/, "");
const shots = process.env.ANDON_SHOTS;
const browsers = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
const executablePath = process.env.ANDON_CHROMIUM ?? browsers.find((path) => existsSync(path));
if (!executablePath) throw new Error("no Chromium found; install it or set ANDON_CHROMIUM");
const PATIENCE = { timeout: 20_000 };

const browser = await chromium.launch({
  executablePath,
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"],
});
const screen = await (await browser.newContext({ viewport: { width: 1920, height: 1080 } })).newPage();
const desk = await (await browser.newContext({ viewport: { width: 1400, height: 900 } })).newPage();
const picture = async (page, name) => {
  if (!shots) return;
  mkdirSync(shots, { recursive: true });
  await page.screenshot({ path: join(shots, `${name}.png`) });
};
const step = (text) => console.log(`· ${text}`);
const codeOf = async () => {
  await screen.waitForFunction(() => document.querySelector(".pair-code")?.dataset.code, undefined, PATIENCE);
  return screen.getAttribute(".pair-code", "data-code");
};

try {
  await screen.goto(`${base}/wall/pair`);
  const code = await codeOf();
  assert.match(code, /^[2-9A-HJ-NP-Z]{6}$/);
  await picture(screen, "pair-code");
  step("the screen shows a code");

  await desk.goto(`${base}/login?next=/screens`);
  await desk.fill("input[name=username]", env("ANDON_USER"));
  await desk.fill("input[name=password]", env("ANDON_PASSWORD"));
  await desk.click("button[type=submit]");
  await desk.waitForURL(/\/screens$/, PATIENCE);
  await desk.fill("input[name=code]", `${code.slice(0, 3)}-${code.slice(3).toLowerCase()}`);
  await desk.fill("input[name=title]", "Hall");
  await desk.click("button[type=submit]");
  await desk.locator("tr[data-screen]").waitFor(PATIENCE);
  await picture(desk, "pair-screens");
  await screen.waitForURL(/\/wall$/, PATIENCE);
  await screen.locator(".tile .state-word").first().waitFor(PATIENCE);
  await picture(screen, "pair-wall");
  step("a manager enters it, and the screen shows the lines");

  await screen.reload();
  await screen.locator(".tile .state-word").first().waitFor(PATIENCE);
  step("it stays paired");

  await desk.locator("tr[data-screen] button").click();
  await screen.waitForURL(/\/wall\/pair$/, PATIENCE);
  assert.notEqual(await codeOf(), code);
  step("once revoked it shows another code");
  console.log("screens are paired");
} catch (error) {
  await picture(screen, "pair-failed-screen");
  await picture(desk, "pair-failed-desk");
  throw error;
} finally {
  await browser.close();
}
