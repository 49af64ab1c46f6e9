// The page's one live client: opened when somebody is signed in, closed when nobody is.

import { computed, effect, type Signal, signal, untracked, useSignal } from "@preact/signals";
import { useEffect, useMemo } from "preact/hooks";

import { session } from "../session.ts";
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

export function startLive(): void {
  const who = computed(() => session.value?.username ?? null);
  effect(() => {
    const user = who.value;
    untracked(() => {
      client.peek()?.close();
      const scheme = location.protocol === "https:" ? "wss" : "ws";
      client.value = user === null ? null : new LiveClient(`${scheme}://${location.host}/api/v1/live`);
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
