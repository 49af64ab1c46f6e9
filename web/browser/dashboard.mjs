// The page of widgets in a real browser against a running Andon: it opens and goes on by itself, a filter narrows it, a
// stop is given its reason, a layout made with the keyboard is there after a reload, a lost link dims what is shown and
// recovers. Nothing on the console, and nothing serious that axe-core would hold against it, dark or light.
//
//   ANDON_URL=http://127.0.0.1:8080 ANDON_USER=… ANDON_PASSWORD=… node browser/dashboard.mjs
//   ANDON_LINE=l1         the line to look at
//   ANDON_SHOTS=folder    pictures
import assert from "node:assert/strict";
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { chromium } from "playwright-core";

const env = (name, fallback) => {
  const value = process.env[name] ?? fallback;
  if (value === undefined) throw new Error(`${name} is not set`);
  return value;
};
const base = env("ANDON_URL").replace(/\/$/, "");
const user = env("ANDON_USER");
const password = env("ANDON_PASSWORD");
const line = env("ANDON_LINE", "l1");
const shots = process.env.ANDON_SHOTS;
const browsers = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
const executablePath = process.env.ANDON_CHROMIUM ?? browsers.find((path) => existsSync(path));
if (!executablePath) throw new Error("no Chromium found; install it or set ANDON_CHROMIUM");
const PATIENCE = { timeout: 20_000 };
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

const browser = await chromium.launch({
  executablePath,
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"],
});
const context = await browser.newContext({ viewport: { width: 1600, height: 1000 } });
const page = await context.newPage();
const complaints = [];
let expectsLoss = false;
page.on("pageerror", (error) => complaints.push(`error: ${error.message}`));
page.on("console", (message) => {
  if (message.type() !== "error" || message.text().includes("401")) return;
  if (expectsLoss && message.text().includes("WebSocket")) return;
  complaints.push(message.text());
});
const picture = async (name, fullPage = false) => {
  if (!shots) return;
  mkdirSync(shots, { recursive: true });
  await page.screenshot({ path: join(shots, `${name}.png`), fullPage });
};
const step = (text) => console.log(`· ${text}`);
const cell = (widget) => page.locator(`.cell[data-widget="${widget}"]`).first();
const settled = () => page.waitForFunction(() => !document.querySelector(".cell.waiting"), undefined, PATIENCE);

/** What is serious in the eyes of axe-core. */
async function judged(what) {
  await page.evaluate(axe);
  const found = await page.evaluate(async () => {
    const { violations } = await window.axe.run(document, { resultTypes: ["violations"] });
    return violations
      .filter(({ impact }) => impact === "serious" || impact === "critical")
      .map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.map((node) => node.html.slice(0, 160)).join(" | ")}`);
  });
  assert.deepEqual(found, [], `axe-core on ${what}`);
  step(`axe-core has nothing serious to say of ${what}`);
}

// The link can be cut under the page.
let isCut = false;
const sockets = new Set();
await page.routeWebSocket(/\/api\/v1\/live/, (socket) => {
  if (isCut) return void socket.close({ code: 4100, reason: "cut" });
  socket.connectToServer();
  sockets.add(socket);
});

try {
  await page.goto(`${base}/`);
  await page.waitForURL(/\/login/, PATIENCE);
  await page.fill("input[name=username]", user);
  await page.fill("input[name=password]", password);
  await page.click("button[type=submit]");
  await page.locator(".cell").first().waitFor(PATIENCE);
  await settled();
  const count = await page.locator(".cell").count();
  assert.ok(count >= 5, `only ${count} widgets`);
  await picture("dashboard-all", true);
  step(`${count} widgets of the role's template are answered`);

  await page.selectOption("select[name=line]", line);
  await page.waitForURL(new RegExp(`line=${line}`), PATIENCE);
  await page.selectOption("select[name=period]", "24h");
  await page.waitForURL(/window=24h/, PATIENCE);
  await settled();
  const before = await cell("chart_production").locator(".cell-time").innerText();
  const moved = (was) =>
    document.querySelector('.cell[data-widget="chart_production"] .cell-time')?.textContent !== was;
  await page.waitForFunction(moved, before, { timeout: 90_000 });
  step("the page goes on by itself");
  await picture("dashboard-line", true);
  await judged("the dark page");

  const rows = cell("table_stops").locator("tbody tr");
  await rows.first().waitFor(PATIENCE);
  const id = await rows.last().getAttribute("data-stop");
  const row = cell("table_stops").locator(`tr[data-stop="${id}"]`);
  await row.locator("button").click();
  const dialog = page.locator("dialog.stop-dialog");
  await dialog.waitFor(PATIENCE);
  await judged("the dialog of a stop");
  const comment = `browser test ${Date.now()}`;
  await dialog.locator(".choice:has(input:not(:checked):not([value='']))").first().click();
  await dialog.locator("textarea").fill(comment);
  await dialog.locator("button[type=submit]").click();
  await dialog.locator(".outcome-saved").waitFor(PATIENCE);
  await picture("dashboard-dialog");
  await page.keyboard.press("Escape");
  await dialog.waitFor({ ...PATIENCE, state: "detached" });
  await row.filter({ hasText: comment }).waitFor(PATIENCE);
  step("a stop is given its reason, and the table says so by itself");

  // Zoom by dragging over the chart; the address holds it.
  const over = cell("chart_production").locator(".u-over");
  const box = await over.boundingBox();
  await page.mouse.move(box.x + box.width * 0.4, box.y + box.height / 2);
  await page.mouse.down();
  await page.mouse.move(box.x + box.width * 0.6, box.y + box.height / 2, { steps: 6 });
  await page.mouse.up();
  await page.waitForURL(/zoom=/, PATIENCE);
  await picture("dashboard-zoom");
  await page.locator(".zoom button").last().click();
  await page.waitForFunction(() => !location.search.includes("zoom="), undefined, PATIENCE);
  step("dragging zooms, and all is shown again");

  // A layout by keyboard.
  const edit = page.locator(".dash-bar button.plain").last();
  await edit.click();
  const places = () =>
    page.locator(".cell").evaluateAll((all) =>
      Object.fromEntries(all.map((one, index) => [`${one.dataset.widget} ${index}`, `${one.style.gridColumn} ${one.style.gridRow}`])),
    );
  const first = await places();
  await cell("table_stops").locator(".handle").focus();
  for (let times = 0; times < 12; times += 1) await page.keyboard.press("ArrowUp");
  await page.keyboard.press("Shift+ArrowRight");
  await cell("chart_production").locator(".corner").focus();
  await page.keyboard.press("ArrowDown");
  await page.selectOption(".dash-bar select", "kpi_quality");
  await judged("the page while it is edited");
  await picture("dashboard-edit", true);
  await page.click(".dash-bar button.primary");
  await page.locator(".grid:not(.editing)").waitFor(PATIENCE);
  const mine = await places();
  assert.notDeepEqual(mine, first);
  await page.reload();
  await page.locator(".cell").first().waitFor(PATIENCE);
  assert.deepEqual(await places(), mine, "the layout is not there after a reload");
  assert.ok(page.url().includes(`line=${line}`), "the filters are not in the address");
  step("a layout made with the keyboard is there after a reload");

  // Another browser saves first: no edit is lost unseen.
  const answer = await context.request.get(`${base}/api/v1/dashboard/layout`);
  const { layout } = await answer.json();
  await page.locator(".dash-bar button.plain").last().click();
  const other = { widgets: layout.widgets.slice(1) };
  const put = await context.request.put(`${base}/api/v1/dashboard/layout`, {
    data: other,
    headers: { "if-match": answer.headers()["etag"] },
  });
  assert.equal(put.status(), 200);
  await cell("chart_production").locator(".corner").focus();
  await page.keyboard.press("ArrowUp");
  complaints.length = 0;
  await page.click(".dash-bar button.primary");
  await page.locator(".dash-bar .problem").waitFor(PATIENCE);
  complaints.splice(0, complaints.length, ...complaints.filter((text) => !text.includes("412")));
  await page.locator(".dash-bar button.plain").nth(1).click();
  await page.waitForFunction((n) => document.querySelectorAll(".cell").length === n, other.widgets.length, PATIENCE);
  step("who saves second is told so, and sees what is there");

  await settled();
  isCut = true;
  expectsLoss = true;
  for (const socket of sockets) await socket.close({ code: 4100, reason: "cut" });
  await page.locator(".dash.held").waitFor(PATIENCE);
  await page.locator(".link-bar").waitFor(PATIENCE);
  const shown = await page.locator(".cell .kpi-value, .cell tbody tr").count();
  assert.ok(shown > 0, "a lost link blanks the page");
  await picture("dashboard-lost");
  isCut = false;
  await page.locator(".dash:not(.held)").waitFor({ timeout: 60_000 });
  expectsLoss = false;
  step("a lost link dims what is shown, and it comes back");

  await page.click(".top button:text-matches('Light|Claro')");
  await page.waitForFunction(() => document.documentElement.dataset.theme === "light");
  await settled();
  await judged("the light page");
  await picture("dashboard-light", true);

  assert.deepEqual(complaints, [], "the browser complained");
  console.log("the page of widgets works");
} catch (error) {
  await picture("dashboard-failed", true);
  for (const complaint of complaints) console.error(`console: ${complaint}`);
  throw error;
} finally {
  await browser.close();
}
