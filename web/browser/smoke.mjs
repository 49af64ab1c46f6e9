// The pages in a real browser against a running Andon: sign in, a wall tile says its state and goes on, a line lists its
// stops, a reason comes back live and in a second page, and REST says the same. Also: nothing on the console, nothing
// that the content security policy had to refuse.
//
//   ANDON_URL=http://127.0.0.1:8080 ANDON_USER=… ANDON_PASSWORD=… npm run browser-test
//   ANDON_LINE=l1         the line to look at; without it the first that has a stop in the last 24 hours
//   ANDON_SHOTS=folder    pictures of every page
//   ANDON_CHROMIUM=path   the browser
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
const user = env("ANDON_USER");
const password = env("ANDON_PASSWORD");
const shots = process.env.ANDON_SHOTS;
const browsers = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
const executablePath = process.env.ANDON_CHROMIUM ?? browsers.find((path) => existsSync(path));
if (!executablePath) throw new Error("no Chromium found; install it or set ANDON_CHROMIUM");
const PATIENCE = { timeout: 20_000 };

const browser = await chromium.launch({
  executablePath,
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"],
});
const context = await browser.newContext({ viewport: { width: 1920, height: 1080 } });
const page = await context.newPage();
const complaints = [];
page.on("pageerror", (error) => complaints.push(`error: ${error.message}`));
page.on("console", (message) => {
  // Asking who is signed in is answered with 401 before the login: that one is expected.
  if (message.type() === "error" && !message.text().includes("401")) complaints.push(message.text());
});
const picture = async (name) => {
  if (!shots) return;
  mkdirSync(shots, { recursive: true });
  await page.screenshot({ path: join(shots, `${name}.png`) });
};
const step = (text) => console.log(`· ${text}`);

try {
  await page.goto(`${base}/wall`);
  await page.waitForURL(/\/login\?next=%2Fwall/, PATIENCE);
  await picture("login");
  await page.fill("input[name=username]", user);
  await page.fill("input[name=password]", password);
  await page.click("button[type=submit]");
  await page.waitForURL(/\/wall$/, PATIENCE);
  step("signed in, on to the page that was asked for");

  const words = page.locator(".tile .state-word");
  await words.first().waitFor(PATIENCE);
  const tiles = await page.locator(".tile").evaluateAll((all) =>
    all.map((tile) => ({
      line: tile.dataset.line,
      state: tile.dataset.state,
      word: tile.querySelector(".state-word")?.textContent,
      shape: tile.querySelector("svg.shape") !== null,
      held: tile.querySelector(".tile-held")?.textContent,
      age: tile.querySelector(".tile-age")?.textContent,
    })),
  );
  for (const tile of tiles) {
    assert.ok(tile.word && tile.shape, `${tile.line} has neither word nor shape for ${tile.state}`);
    assert.match(tile.held, /\d/, `${tile.line} does not say since when`);
    assert.match(tile.age, /\d/, `${tile.line} does not say how old its data is`);
  }
  const counted = () =>
    [...document.querySelectorAll(".tile-foot > :not(.tile-age)")].map((part) => part.textContent).join("|");
  const moved = (before) =>
    [...document.querySelectorAll(".tile-foot > :not(.tile-age)")].map((part) => part.textContent).join("|") !== before;
  await page.waitForFunction(moved, await page.evaluate(counted), PATIENCE);
  step("its pieces go on by themselves");
  await picture("wall");
  step(`the wall shows ${tiles.map((tile) => `${tile.line}: ${tile.word} ${tile.held}`).join(", ")}`);

  await page.goto(`${base}/lines`);
  await page.locator("table.lines tbody tr").first().waitFor(PATIENCE);
  const listed = await page.locator("table.lines tbody tr").count();
  assert.equal(listed, tiles.length, "the list and the wall do not show the same lines");
  await page.click(".language button[lang=en]");
  await page.locator("th:text-is('State')").waitFor(PATIENCE);
  await page.click(".language button[lang=es]");
  await page.locator("th:text-is('Estado')").waitFor(PATIENCE);
  assert.equal(await page.getAttribute("html", "lang"), "es");
  await picture("overview");
  step("the list shows the same lines, in both languages");

  const candidates = process.env.ANDON_LINE ? [process.env.ANDON_LINE] : tiles.map((tile) => tile.line);
  const stops = page.locator(".stop-rows li[data-stop]");
  let chosen = null;
  for (const line of candidates) {
    await page.goto(`${base}/line/${line}`);
    await page.click(".range button:nth-child(3)", PATIENCE);
    await page.waitForFunction(
      () =>
        document.querySelector(".stop-rows li") !== null || document.querySelector(".stops[aria-busy=false]") !== null,
      undefined,
      PATIENCE,
    );
    if ((await stops.count()) > 0) {
      chosen = line;
      break;
    }
  }
  assert.ok(chosen, "no line has a stop in the last 24 hours");
  await page.locator(".chart canvas").first().waitFor(PATIENCE);
  step(`${chosen} lists ${await stops.count()} stops`);

  const id = await stops.last().getAttribute("data-stop");
  const row = page.locator(`li[data-stop="${id}"]`);
  await row.locator("button.stop-row").click();
  const other = await context.newPage();
  await other.goto(`${base}/line/${chosen}`);
  await other.click(".range button:nth-child(3)", PATIENCE);
  const elsewhere = other.locator(`li[data-stop="${id}"] .stop-reason`);
  await elsewhere.waitFor({ ...PATIENCE, state: "attached" });
  const choice = row.locator(".choice:has(input:not(:checked):not([value='']))").first();
  const name = (await choice.locator("span").evaluate((span) => span.firstChild.textContent)).trim();
  const comment = `browser test ${Date.now()}`;
  await choice.click();
  await row.locator("textarea").fill(comment);
  await row.locator("button[type=submit]").click();
  await row.locator(".outcome-saved").waitFor(PATIENCE);
  const said = await row.locator(".stop-reason").innerText();
  assert.ok(said.includes(name) && said.includes(comment), `the stop says "${said}" instead of "${name}"`);
  await picture("line");
  step(`the reason "${name}" came back live`);
  await elsewhere.filter({ hasText: comment }).waitFor(PATIENCE);
  await other.close();
  step("and in the second page, which nobody touched");
  const told = await context.request.get(`${base}/api/v1/downtime/${encodeURIComponent(id)}`);
  assert.equal((await told.json()).comment, comment, "REST does not say the same");
  step("and over REST");

  await page.reload();
  await page.click(".range button:nth-child(3)", PATIENCE);
  await row.locator(".stop-reason").filter({ hasText: comment }).waitFor(PATIENCE);
  step("and is there after a reload");

  assert.deepEqual(complaints, [], "the browser complained");
  console.log("the pages work");
} catch (error) {
  await picture("failed");
  for (const complaint of complaints) console.error(`console: ${complaint}`);
  throw error;
} finally {
  await browser.close();
}
