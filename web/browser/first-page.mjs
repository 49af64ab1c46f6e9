// How long the first page of the dashboard takes with a cold cache: from going to it, signed in, until every widget is
// answered over the socket. Against a running Andon, for instance `make demo`.
//
//   ANDON_URL=http://127.0.0.1:8080 ANDON_USER=… ANDON_PASSWORD=… node browser/first-page.mjs
//   ANDON_TIMES=10        times, each in a browser context that has seen nothing yet
import { existsSync } from "node:fs";
import { chromium } from "playwright-core";

const env = (name, fallback) => {
  const value = process.env[name] ?? fallback;
  if (value === undefined) throw new Error(`${name} is not set`);
  return value;
};
const base = env("ANDON_URL").replace(/\/$/, "");
const times = Number(env("ANDON_TIMES", "10"));
const browsers = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];
const executablePath = process.env.ANDON_CHROMIUM ?? browsers.find((path) => existsSync(path));
if (!executablePath) throw new Error("no Chromium found; install it or set ANDON_CHROMIUM");

const browser = await chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-gpu"] });
const took = [];
let widgets = 0;
let bytes = 0;
try {
  for (let time = 0; time < times; time += 1) {
    const context = await browser.newContext({ viewport: { width: 1600, height: 1000 } });
    const data = { username: env("ANDON_USER"), password: env("ANDON_PASSWORD") };
    const answer = await context.request.post(`${base}/api/v1/auth/login`, { data, headers: { origin: base } });
    if (!answer.ok()) throw new Error(`not let in: ${answer.status()} ${await answer.text()}`);
    const page = await context.newPage();
    bytes = 0;
    page.on("response", async (response) => {
      const { responseBodySize } = await response.request().sizes();
      bytes += responseBodySize;
    });
    const started = performance.now();
    await page.goto(`${base}/`, { waitUntil: "commit" });
    await page.waitForFunction(
      () => document.querySelector(".cell") && !document.querySelector(".cell.waiting"),
      undefined,
      { timeout: 30_000, polling: "raf" },
    );
    took.push(performance.now() - started);
    widgets = await page.locator(".cell").count();
    await context.close();
  }
} finally {
  await browser.close();
}
took.sort((a, b) => a - b);
const [p50, max] = [took[Math.floor(took.length / 2)], took.at(-1)].map(Math.round);
console.log(JSON.stringify({ times, widgets, kilobytes: Math.round(bytes / 1000), p50_ms: p50, max_ms: max }));
