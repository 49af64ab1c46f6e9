// The page's one live client: opened when somebody is signed in, closed when nobody is.

import { computed, effect, type Signal, signal, untracked, useSignal } from "@preact/signals";
import { useEffect, useMemo } from "preact/hooks";

import { loadSession, session } from "../session.ts";
import { type Link, LiveClient } from "./client.ts";
import type { Params } from "./protocol.ts";
import { type Feed, newSub, type Sub } from "./reducer.ts";

const client = signal<LiveClient | null>(null);

/** Set while the link is down: server time of the last frame heard (0 when none ever was). */
export const linkLost = computed<number | null>(() => {
  const link = linkState.value;
  return link === null || link.status === "up" || link.status === "connecting" ? null : (link.heardServerMs ?? 0);
});

export const linkState = computed<Link | null>(() => client.value?.link.value ?? null);

/** How long to leave a server alone that has ended the connection while the session goes on. */
const REOPEN_MS = 3_000;

function open(): void {
  client.peek()?.close();
  const scheme = location.protocol === "https:" ? "wss" : "ws";
  client.value = new LiveClient(`${scheme}://${location.host}/api/v1/live`, () => void refused());
}

/** Asks whether the session is over, which leads to the login page; if not (other rights, say) a new socket follows. */
async function refused(): Promise<void> {
  const mine = client.peek();
  await loadSession();
  if (mine?.link.peek().status !== "closed") return;
  setTimeout(() => {
    if (session.peek() && client.peek() === mine) open();
  }, REOPEN_MS);
}

export function startLive(): void {
  // Of a user without a tenant there is nothing live to see.
  const who = computed(() => (session.value?.tenant ? session.value.username : null));
  effect(() => {
    const user = who.value;
    untracked(() => {
      if (user !== null) return open();
      client.peek()?.close();
      client.value = null;
    });
  });
}

/** Subscribes for as long as the component is shown; a change of `params` subscribes anew and keeps no old values. */
export function useFeed<T>(feed: Feed<T>, params: Params): Signal<Sub<T>> {
  const key = JSON.stringify(params);
  const empty = useMemo(() => newSub<T>(0, params), [key]);
  const sub = useSignal<Sub<T>>(empty);
  useEffect(() => {
    sub.value = empty;
    let stop = () => {};
    const dispose = effect(() => {
      const live = client.value;
      stop();
      stop = () => {};
      if (live === null) return;
      const handle = untracked(() => live.subscribe(feed, params));
      const follow = effect(() => {
        sub.value = handle.sub.value;
      });
      stop = () => {
        follow();
        handle.close();
      };
    });
    return () => {
      dispose();
      stop();
    };
  }, [feed.widget, key]);
  return sub;
}
