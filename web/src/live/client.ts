// One socket for the page: subscribes, hands frames to the reducers, reconnects and resumes.

import { type Signal, signal } from "@preact/signals";

import { serverClock } from "../clock.ts";
import { backoffMs } from "./backoff.ts";
import { type ClientFrame, closeClass, parse, type Params, RIGHTS_CHANGED, type ServerFrame, SUBPROTOCOL } from "./protocol.ts";
import { disconnected, type Feed, newSub, reduce, type Sub } from "./reducer.ts";

export interface Link {
  /** `closed`: the server asked not to come back (rights gone, signed out elsewhere). */
  status: "connecting" | "up" | "down" | "closed";
  /** Steady local milliseconds (`performance.now()`) of the last frame; null before the first. */
  heardAt: number | null;
  /** Server time of the last frame; null before the first. */
  heardServerMs: number | null;
  heartbeatMs: number;
  reason: string;
}

/** A subscription as pages hold it. */
export interface Handle<T> {
  readonly sub: Signal<Sub<T>>;
  close(): void;
}

interface Entry {
  take(frame: ServerFrame): void;
  lost(): void;
  subscribe(): ClientFrame;
  /** Server id; frames of an id given up are ignored. */
  id: number;
}

/** Silence of this many heartbeats means the link is lost, whatever the socket believes. */
const SILENT_HEARTBEATS = 2.5;
const DEFAULT_HEARTBEAT_MS = 5_000;
const WATCH_MS = 1_000;

export class LiveClient {
  readonly link = signal<Link>({
    status: "connecting",
    heardAt: null,
    heardServerMs: null,
    heartbeatMs: DEFAULT_HEARTBEAT_MS,
    reason: "",
  });
  #url: string;
  #socket: WebSocket | null = null;
  #entries = new Map<number, Entry>();
  #nextId = 1;
  #attempt = 0;
  #retry: ReturnType<typeof setTimeout> | undefined;
  #watch: ReturnType<typeof setInterval>;
  #heardAt = 0;
  #stopped = false;
  #greeted = false;
  /** Called when a socket was not let in, or asked to stay away: the session may be over. */
  #onRefused: () => void;
  #wake = () => this.#reconnectSoon();

  constructor(url: string, onRefused: () => void) {
    this.#url = url;
    this.#onRefused = onRefused;
    this.#watch = setInterval(() => this.#checkSilence(), WATCH_MS);
    addEventListener("online", this.#wake);
    this.#connect();
  }

  subscribe<T>(feed: Feed<T>, params: Params): Handle<T> {
    const sub = signal(newSub<T>(this.#nextId++, params));
    const entry: Entry = {
      id: sub.value.id,
      take: (frame) => {
        const step = reduce(feed, sub.value, frame);
        if (step.sub !== sub.value) sub.value = step.sub;
        if (step.effect !== null)
          this.#again(entry, () => {
            // A new id: frames of the old subscription still under way must not be taken for the new one's.
            const position = step.effect === "resume" ? step.sub.position : null;
            sub.value = { ...step.sub, id: entry.id, position };
          });
      },
      lost: () => {
        sub.value = disconnected(sub.value);
      },
      subscribe: () => {
        const { id, position } = sub.value;
        const frame: ClientFrame = { op: "subscribe", id, widget: feed.widget, params };
        return position === null ? frame : { ...frame, resume: position };
      },
    };
    this.#entries.set(entry.id, entry);
    if (this.link.value.status === "up") this.#send(entry.subscribe());
    return {
      sub,
      close: () => {
        this.#entries.delete(entry.id);
        this.#send({ op: "unsubscribe", id: entry.id });
      },
    };
  }

  close(): void {
    this.#stopped = true;
    clearInterval(this.#watch);
    clearTimeout(this.#retry);
    removeEventListener("online", this.#wake);
    this.#drop();
  }

  #again(entry: Entry, renumber: () => void): void {
    this.#send({ op: "unsubscribe", id: entry.id });
    this.#entries.delete(entry.id);
    entry.id = this.#nextId++;
    this.#entries.set(entry.id, entry);
    renumber();
    this.#send(entry.subscribe());
  }

  #send(frame: ClientFrame): void {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(frame));
  }

  #connect(): void {
    clearTimeout(this.#retry);
    if (this.#stopped) return;
    const socket = new WebSocket(this.#url, [SUBPROTOCOL]);
    this.#socket = socket;
    this.#greeted = false;
    this.#heardAt = performance.now();
    socket.onmessage = (event) => {
      if (socket === this.#socket && typeof event.data === "string") this.#hear(event.data);
    };
    socket.onclose = (event) => {
      if (socket !== this.#socket) return;
      if (event.code === RIGHTS_CHANGED) this.#onRefused();
      this.#lost(closeClass(event.code), event.reason);
    };
  }

  #hear(text: string): void {
    const frame = parse(text);
    this.#heardAt = performance.now();
    const link = { ...this.link.value, heardAt: this.#heardAt };
    if (frame !== null && "sent_at" in frame && frame.sent_at !== null) {
      const sentAt = Date.parse(frame.sent_at);
      serverClock.observe(sentAt);
      if (Number.isFinite(sentAt)) link.heardServerMs = sentAt;
    }
    if (frame?.op === "hello") {
      this.#greeted = true;
      link.status = "up";
      link.reason = "";
      link.heartbeatMs = frame.heartbeat_s * 1000;
      this.link.value = link;
      for (const entry of this.#entries.values()) this.#send(entry.subscribe());
      return;
    }
    // Not the hello: a server that greets and closes again must still be met ever less often.
    if (frame?.op === "heartbeat") this.#attempt = 0;
    this.link.value = link;
    if (frame === null) return;
    if ("id" in frame && frame.id !== null) this.#entries.get(frame.id)?.take(frame);
    else for (const entry of [...this.#entries.values()]) entry.take(frame);
  }

  #checkSilence(): void {
    const silent = performance.now() - this.#heardAt;
    const { status, heartbeatMs } = this.link.value;
    const opening = this.#socket !== null && (status === "up" || this.#socket.readyState !== WebSocket.CLOSED);
    if (opening && silent > SILENT_HEARTBEATS * heartbeatMs) {
      this.#drop();
      this.#lost("backoff", "silence");
    }
  }

  #drop(): void {
    const socket = this.#socket;
    this.#socket = null;
    if (socket === null) return;
    socket.onmessage = null;
    socket.onclose = null;
    socket.close();
  }

  #lost(how: "now" | "backoff" | "stop", reason: string): void {
    this.#socket = null;
    this.link.value = { ...this.link.value, status: how === "stop" ? "closed" : "down", reason };
    for (const entry of this.#entries.values()) entry.lost();
    if (how === "stop" || !this.#greeted) this.#onRefused();
    if (how === "stop") {
      this.#stopped = true;
      return;
    }
    // Even "now" leaves a breath: a server that closes at once must not be hammered.
    const wait = how === "now" && this.#attempt === 0 ? 100 : backoffMs(this.#attempt, Math.random());
    this.#attempt += 1;
    clearTimeout(this.#retry);
    this.#retry = setTimeout(() => this.#connect(), wait);
  }

  #reconnectSoon(): void {
    if (this.#socket === null && !this.#stopped) this.#connect();
  }
}
