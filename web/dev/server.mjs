// A development server for the pages, without broker, database or engine: serves dist/ under the product's content
// security policy and speaks the REST paths and the live protocol that the pages use, over a make-believe plant.
//
//   npm run build && npm run dev            then http://127.0.0.1:8090  (any user; "viewer" may only look)
//   LINES=16 PORT=8091 npm run dev
//   curl -X POST localhost:8090/dev/mute    no frames for ten seconds     /dev/cut closes every socket for ten
//   curl -X POST 'localhost:8090/dev/state?line=l1&state=stopped'
import { createServer } from "node:http";
import { readFile } from "node:fs/promises";
import { dirname, extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { WebSocketServer } from "ws";

import { Line, REASONS } from "./plant.mjs";

const PORT = Number(process.env.PORT ?? 8090);
const LINES = Number(process.env.LINES ?? 6);
// Frames every so many milliseconds: 20 shows in minutes what a wall does in hours.
const EVERY_MS = Number(process.env.EVERY_MS ?? 1000);
const LOCALE = process.env.LOCALE ?? "es";
const dist = join(dirname(fileURLToPath(import.meta.url)), "../dist");
const lines = Array.from({ length: LINES }, (_, index) => new Line(index, Date.now()));
const byName = new Map(lines.map((line) => [line.name, line]));
const TYPES = { ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".html": "text/html" };
const CSP = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'";
const WINDOWS = ["shift", "5m", "15m", "1h", "8h", "24h", "day"];
const epoch = String(Date.now());
let offset = 0;
let brokenUntil = 0;
let mutedUntil = 0;

const overlapping = (line, from, to) =>
  line.stops.filter((stop) => Date.parse(stop.started_at) < to && (!stop.ended_at || Date.parse(stop.ended_at) > from));

const userOf = (request) => request.headers.cookie?.match(/user=(\w+)/)?.[1] ?? null;

async function api(method, path, query, body, user) {
  if (path === "/auth/login")
    return body.password === "wrong" ? [401, { title: "unauthorized" }] : [200, {}, body.username];
  if (path === "/auth/logout") return [204, null, ""];
  if (user === null) return [401, { title: "not signed in" }];
  if (path === "/auth/me") {
    const role = user === "viewer" ? "VIEWER" : "OPERATOR";
    return [
      200,
      {
        username: user,
        role,
        tenant: "demo",
        company: "Demo Foods",
        time_zone: "Europe/Madrid",
        locale: LOCALE,
        may_classify: role === "OPERATOR",
      },
    ];
  }
  if (path === "/production/reasons") return [200, { items: REASONS }];
  const [from, to] = [Date.parse(query.get("from")), Date.parse(query.get("to"))];
  const line = byName.get(query.get("line"));
  if (path === "/downtime") return [200, { items: overlapping(line, from, to).toReversed(), next_cursor: null }];
  if (path === "/data/aggregate") {
    const items = [];
    for (let at = Math.floor(from / 60_000) * 60_000; at < Math.min(to, Date.now()); at += 60_000) {
      const span = { from: new Date(at).toISOString(), to: new Date(at + 60_000).toISOString() };
      if (query.get("rolling")) items.push({ ...span, oee: line.figure("1h", at).oee });
      else items.push({ ...span, ...line.minute(at, Date.now()) });
    }
    return [200, { items }];
  }
  const id = decodeURIComponent(path.match(/^\/downtime\/(.+)$/)?.[1] ?? "");
  const stop = lines.flatMap((one) => one.stops).find((one) => one.downtime_id === id);
  if (!stop) return [404, { title: "not found" }];
  if (method === "PUT") {
    setTimeout(() => {
      Object.assign(stop, body, { revision: stop.revision + 1 });
      broadcast("feed_downtime", [stop]);
    }, 700);
    await new Promise((resume) => setTimeout(resume, 900));
  }
  return [200, stop];
}

async function asset(path) {
  const name = extname(path) ? normalize(path) : "/index.html";
  return { type: TYPES[extname(name)] ?? "text/plain", bytes: await readFile(join(dist, name)) };
}

const server = createServer(async (request, response) => {
  const { pathname, searchParams } = new URL(request.url, "http://localhost");
  try {
    if (Date.now() < brokenUntil && !pathname.startsWith("/dev/")) return void request.destroy();
    if (pathname.startsWith("/api/v1/")) {
      const chunks = [];
      for await (const chunk of request) chunks.push(chunk);
      const body = chunks.length ? JSON.parse(Buffer.concat(chunks).toString()) : {};
      const [status, answer, name] = await api(request.method, pathname.slice(7), searchParams, body, userOf(request));
      const cookie = name === undefined ? {} : { "set-cookie": `user=${name}; Path=/; HttpOnly; SameSite=Strict` };
      response.writeHead(status, { "content-type": "application/json", ...cookie });
      return void response.end(answer === null ? undefined : JSON.stringify(answer));
    }
    if (pathname.startsWith("/dev/")) {
      if (pathname === "/dev/mute") mutedUntil = Date.now() + 10_000;
      if (pathname === "/dev/cut") {
        brokenUntil = Date.now() + 10_000;
        for (const socket of sockets.clients) socket.terminate();
      }
      if (pathname === "/dev/state") change(byName.get(searchParams.get("line")), searchParams.get("state"));
      return void response.end("done\n");
    }
    const { type, bytes } = await asset(pathname);
    response.writeHead(200, { "content-type": type, "content-security-policy": CSP });
    response.end(bytes);
  } catch {
    response.writeHead(404).end();
  }
});

const sockets = new WebSocketServer({ noServer: true, handleProtocols: () => "andon.v1" });
server.on("upgrade", (request, socket, head) => {
  if (userOf(request) === null || Date.now() < brokenUntil) return void socket.destroy();
  sockets.handleUpgrade(request, socket, head, (client) => {
    client.subs = new Map();
    send(client, { op: "hello", protocol: "andon.v1", heartbeat_s: 2 });
    client.on("message", (text) => {
      const frame = JSON.parse(text);
      if (frame.op === "unsubscribe") client.subs.delete(frame.id);
      if (frame.op !== "subscribe") return;
      client.subs.set(frame.id, frame);
      const items = snapshot(frame);
      const half = Math.ceil(items.length / 2);
      if (half > 1) send(client, data("snapshot", frame.id, items.slice(0, half), true));
      send(client, data("snapshot", frame.id, half > 1 ? items.slice(half) : items));
    });
  });
});

const wanted = (frame, item) =>
  (!frame.params.line || [frame.params.line].flat().includes(item.line)) &&
  (!frame.params.window || frame.params.window === item.window);

function snapshot(frame) {
  const now = Date.now();
  const all = {
    feed_state: () => lines.map((line) => line.stateItem(now)),
    feed_oee: () => lines.flatMap((line) => WINDOWS.map((window) => line.figure(window, now))),
    feed_downtime: () => lines.flatMap((line) => line.stops),
  }[frame.widget]();
  return all.filter((item) => wanted(frame, item));
}

function data(op, id, items, more = false) {
  return {
    op,
    id,
    epoch,
    offset,
    as_of: new Date().toISOString(),
    sent_at: new Date().toISOString(),
    data: { items },
    more,
  };
}

function send(client, frame) {
  if (Date.now() > mutedUntil) client.send(JSON.stringify(frame));
}

function broadcast(widget, items) {
  offset += 1;
  for (const client of sockets.clients) {
    for (const frame of client.subs.values()) {
      const mine = frame.widget === widget ? items.filter((item) => wanted(frame, item)) : [];
      if (mine.length) send(client, data("change", frame.id, mine));
    }
  }
}

function change(line, state) {
  const stop = line.become(state, Date.now());
  broadcast("feed_state", [line.stateItem(Date.now())]);
  if (stop) broadcast("feed_downtime", [stop]);
}

setInterval(() => {
  const now = Date.now();
  broadcast(
    "feed_state",
    lines.map((line) => line.stateItem(now)),
  );
  broadcast(
    "feed_oee",
    lines.flatMap((line) => WINDOWS.map((window) => line.figure(window, now))),
  );
}, EVERY_MS);
setInterval(() => {
  for (const client of sockets.clients) {
    const heads = Object.fromEntries([...client.subs.keys()].map((id) => [id, 0]));
    send(client, { op: "heartbeat", heads, sent_at: new Date().toISOString() });
  }
}, 2000);

server.listen(PORT, "127.0.0.1", () => console.log(`http://127.0.0.1:${PORT}`));
