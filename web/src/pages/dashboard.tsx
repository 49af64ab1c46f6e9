// A page of widgets: what it looks at is in its address, where they lie is the user's own.

import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";

import { ApiError } from "../api.ts";
import { forgetConfirmed } from "../classify.ts";
import { StopDialog } from "../dashboard/dialog.tsx";
import { FilterBar } from "../dashboard/filters.tsx";
import { Grid } from "../dashboard/grid.tsx";
import { added, type Layout, same } from "../dashboard/layout.ts";
import { type Look, lookOf, searchOf } from "../dashboard/state.ts";
import {
  type FilterRow,
  forgetLayout,
  loadCatalogue,
  loadFilters,
  loadLayout,
  type Saved,
  saveLayout,
  type WidgetType,
} from "../dashboard/store.ts";
import { timeWithDay } from "../format.ts";
import { locale, t } from "../i18n/index.ts";
import { linkLost } from "../live/page.ts";
import { go, route } from "../router.ts";
import { zone } from "../session.ts";
import type { Stop } from "../shapes.ts";

/** How soon what could not be loaded is tried again. */
const RETRY_MS = 3_000;
/** The share of the shown time by which a step moves. */
const PAN = 0.5;

export function DashboardPage() {
  const look = useSignal<Look>(lookOf(location.search));
  const saved = useSignal<Saved | null>(null);
  const layout = useSignal<Layout | null>(null);
  const catalogue = useSignal<ReadonlyMap<string, WidgetType>>(new Map());
  const filters = useSignal<readonly FilterRow[]>([]);
  const editing = useSignal(false);
  const stop = useSignal<Stop | null>(null);
  const problem = useSignal("");
  const said = useSignal("");

  useEffect(() => {
    document.title = `${t("nav.dashboard")} · ${t("app.name")}`;
  }, [locale.value]);
  useEffect(() => {
    // Back and forward.
    look.value = lookOf(location.search);
  }, [route.value]);
  useEffect(() => forgetConfirmed, []);
  useEffect(() => {
    let timer: ReturnType<typeof setTimeout>;
    let over = false;
    async function load() {
      try {
        const [types, rows, mine] = await Promise.all([loadCatalogue(), loadFilters(), loadLayout()]);
        if (over) return;
        [catalogue.value, filters.value, saved.value, layout.value] = [types, rows, mine, mine.layout];
        problem.value = "";
      } catch (error) {
        problem.value = wordsOf(error);
        if (!over) timer = setTimeout(() => void load(), RETRY_MS);
      }
    }
    void load();
    return () => {
      over = true;
      clearTimeout(timer);
    };
  }, []);

  function show(next: Look): void {
    look.value = next;
    go(`/${searchOf(next)}`, true);
  }

  async function save(): Promise<void> {
    if (!layout.value || !saved.value) return;
    try {
      saved.value = await saveLayout(layout.value, saved.value.tag);
      layout.value = saved.value.layout;
      editing.value = false;
      problem.value = "";
      said.value = t("dash.saved");
    } catch (error) {
      problem.value = error instanceof ApiError && error.status === 412 ? t("dash.conflict") : wordsOf(error);
    }
  }

  async function restore(how: () => Promise<Saved>): Promise<void> {
    try {
      saved.value = await how();
      layout.value = saved.value.layout;
      problem.value = "";
    } catch (error) {
      problem.value = wordsOf(error);
    }
  }

  const isChanged = layout.value && saved.value && !same(layout.value, saved.value.layout);
  return (
    <main id="main" tabIndex={-1} class={`page dash ${linkLost.value === null ? "" : "held"}`}>
      <h1 class="visually-hidden">{t("nav.dashboard")}</h1>
      <FilterBar rows={filters.value} look={look.value} onLook={show} />
      <div class="dash-bar">
        <Zoom look={look.value} onLook={show} />
        <span class="grow" />
        {problem.value !== "" && (
          <span class="problem" role="alert">
            {problem}
          </span>
        )}
        {editing.value ? (
          <>
            <label class="filter">
              <span class="visually-hidden">{t("dash.add")}</span>
              <select
                value=""
                onChange={(event) => {
                  const type = catalogue.value.get(event.currentTarget.value);
                  if (type && layout.value) layout.value = added(layout.value, type.widget, type.size);
                  event.currentTarget.value = "";
                }}
              >
                <option value="">{t("dash.add")}</option>
                {[...catalogue.value.values()].map((type) => (
                  <option key={type.widget} value={type.widget}>
                    {type.title[locale.value]}
                  </option>
                ))}
              </select>
            </label>
            <button type="button" class="plain" onClick={() => void restore(forgetLayout)}>
              {t("dash.template")}
            </button>
            <button
              type="button"
              class="plain"
              onClick={() => {
                layout.value = saved.value?.layout ?? null;
                editing.value = false;
                void restore(loadLayout);
              }}
            >
              {t("dash.cancel")}
            </button>
            <button type="button" class="primary" onClick={() => void save()}>
              {isChanged ? t("reason.save") : t("dash.done")}
            </button>
          </>
        ) : (
          <button type="button" class="plain" disabled={layout.value === null} onClick={() => (editing.value = true)}>
            {t("dash.edit")}
          </button>
        )}
      </div>
      {layout.value === null ? (
        <p class="quiet">{t("line.loading")}</p>
      ) : (
        <Grid
          layout={layout.value}
          catalogue={catalogue.value}
          look={look}
          editing={editing.value}
          onLayout={(next) => (layout.value = next)}
          onStop={(one) => (stop.value = one)}
          onZoom={(zoom) => show({ ...look.value, zoom })}
          announce={(text) => (said.value = text)}
        />
      )}
      <p class="visually-hidden" aria-live="polite">
        {said}
      </p>
      {stop.value && (
        <StopDialog key={stop.value.downtime_id} stop={stop.value} onClose={() => (stop.value = null)} />
      )}
    </main>
  );
}

function wordsOf(error: unknown): string {
  return error instanceof ApiError && error.status !== 0 ? error.message : t("error.network");
}

/** Moves the time that charts show, and shows all of it again. */
function Zoom({ look, onLook }: { look: Look; onLook: (look: Look) => void }) {
  const { zoom } = look;
  if (zoom === null) return <span class="quiet">{t("dash.zoom.hint")}</span>;
  const length = zoom.to - zoom.from;
  const to = (from: number, until: number) => onLook({ ...look, zoom: { from, to: until } });
  const time = (at: number) => timeWithDay(at, zoom.to, locale.value, zone.value);
  return (
    <div class="segmented zoom" role="group" aria-label={t("dash.zoom")}>
      <button type="button" aria-label={t("dash.earlier")} onClick={() => to(zoom.from - length * PAN, zoom.to - length * PAN)}>
        ←
      </button>
      <span class="zoom-span">
        {time(zoom.from)} – {time(zoom.to)}
      </span>
      <button type="button" aria-label={t("dash.later")} onClick={() => to(zoom.from + length * PAN, zoom.to + length * PAN)}>
        →
      </button>
      <button
        type="button"
        aria-label={t("dash.closer")}
        onClick={() => length > 240_000 && to(zoom.from + length / 4, zoom.to - length / 4)}
      >
        +
      </button>
      <button type="button" aria-label={t("dash.wider")} onClick={() => to(zoom.from - length / 2, zoom.to + length / 2)}>
        −
      </button>
      <button type="button" onClick={() => onLook({ ...look, zoom: null })}>
        {t("dash.zoom.reset")}
      </button>
    </div>
  );
}
