// The wall display: all lines of the tenant, to be read from five metres.

import { useComputed } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";

import { now } from "../clock.ts";
import { figureFeed, figureKey, openStopFeed, stateFeed } from "../feeds.ts";
import { locale, t } from "../i18n/index.ts";
import { linkLost, linkState, useFeed } from "../live/page.ts";
import { reloadWhenRenewed } from "../live/renew.ts";
import { timeOfDay } from "../format.ts";
import { byTitle, openStop, wallColumns } from "../model.ts";
import { Announce } from "../parts/announce.tsx";
import { LinkBar } from "../parts/link.tsx";
import { Tile } from "../parts/tile.tsx";
import { zone } from "../session.ts";
import { viewport } from "../parts/viewport.ts";

/** More tiles than this cannot be read from afar: they take turns. */
const TILES_AT_ONCE = 20;
const TURN_MS = 20_000;
/** A picture that stands for weeks burns in: it moves by some pixels now and then. */
const SHIFT_MS = 120_000;
const SHIFTS = [0, 2, 4, 2] as const;

const SHIFT_WINDOW = { window: "shift" };
const ALL = {};

export function WallPage({ only, columns }: { only: readonly string[]; columns: number | null }) {
  const states = useFeed(stateFeed, ALL);
  const figures = useFeed(figureFeed, SHIFT_WINDOW);
  const stops = useFeed(openStopFeed, ALL);

  const wanted = only.join(",");
  const lines = useComputed(() => {
    const all = [...states.value.items.values()].sort(byTitle(locale.value));
    return only.length === 0 ? all : all.filter((line) => only.includes(line.line));
  });
  const clock = useComputed(() => timeOfDay(now.value, locale.value, zone.value));
  const turn = useComputed(() => Math.floor(now.value / TURN_MS));
  const shift = useComputed(() => SHIFTS[Math.floor(now.value / SHIFT_MS) % SHIFTS.length] ?? 0);
  useEffect(() => {
    document.title = `${t("wall.title")} · ${t("app.name")}`;
    document.documentElement.classList.add("on-wall");
    return () => document.documentElement.classList.remove("on-wall");
  }, [locale.value, wanted]);

  const status = linkState.value?.status;
  const wasDown = useRef(false);
  useEffect(() => {
    if (status === "down") wasDown.current = true;
    if (status !== "up" || !wasDown.current) return;
    wasDown.current = false;
    void reloadWhenRenewed();
  }, [status]);

  const all = lines.value;
  const pages = Math.ceil(all.length / TILES_AT_ONCE);
  const page = pages > 1 ? turn.value % pages : 0;
  const perPage = pages > 1 ? Math.ceil(all.length / pages) : all.length;
  const shown = all.slice(page * perPage, (page + 1) * perPage);
  const { width, height } = viewport.value;
  const across = width < 700 ? 1 : (columns ?? wallColumns(shown.length, width, height));
  const down = Math.ceil(shown.length / across);

  return (
    <main class={`wall ${linkLost.value === null ? "" : "held"}`} id="main" aria-label={t("wall.title")}>
      <h1 class="visually-hidden">{t("wall.title")}</h1>
      <Announce lines={all} />
      {shown.length === 0 ? (
        <p class="wall-empty">{states.value.status === "live" ? t("wall.empty") : t("link.connecting")}</p>
      ) : (
        <div
          class="tiles"
          style={{
            gridTemplateColumns: `repeat(${across}, minmax(0, 1fr))`,
            gridTemplateRows: across === 1 && width < 700 ? "none" : `repeat(${down}, minmax(0, 1fr))`,
            translate: `${shift.value}px ${shift.value}px`,
          }}
        >
          {shown.map((line) => (
            <Tile
              key={line.line}
              item={line}
              figure={figures.value.items.get(figureKey(line.line, "shift"))}
              stop={openStop(stops.value.items, line.line)}
            />
          ))}
        </div>
      )}
      <LinkBar />
      <div class="wall-foot">
        <span>{t("wall.legend")}</span>
        {pages > 1 && <span>{t("wall.page", { page: page + 1, pages })}</span>}
        <time>{clock}</time>
      </div>
    </main>
  );
}
