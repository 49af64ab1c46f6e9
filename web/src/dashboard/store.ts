// The catalogue, the filters and the layout of a page, from the server and back.

import { ApiError, get } from "../api.ts";
import type { Layout } from "./layout.ts";

export interface WidgetType {
  widget: string;
  group: "kpi" | "chart" | "table" | "tile";
  title: { es: string; en: string };
  filters: string[];
  ignores: string[];
  size: { w: number; h: number };
}

export interface FilterRow {
  name: string;
  type: string;
  default: unknown;
  options: unknown;
}

export interface Saved {
  layout: Layout;
  source: "own" | "template";
  /** Entity tag of what the server has. */
  tag: string;
}

export async function loadCatalogue(): Promise<Map<string, WidgetType>> {
  const { items } = await get<{ items: WidgetType[] }>("/dashboard/widgets");
  return new Map(items.map((type) => [type.widget, type]));
}

export async function loadFilters(): Promise<FilterRow[]> {
  return (await get<{ items: FilterRow[] }>("/dashboard/filters")).items;
}

async function layoutRequest(method: string, layout?: Layout, tag?: string): Promise<Saved | null> {
  const headers: Record<string, string> = { accept: "application/json" };
  if (tag !== undefined) headers["if-match"] = tag;
  const init: RequestInit = { method, credentials: "same-origin", headers };
  if (layout) {
    headers["content-type"] = "application/json";
    init.body = JSON.stringify(layout);
  }
  let response: Response;
  try {
    response = await fetch("/api/v1/dashboard/layout", init);
  } catch {
    throw new ApiError(0, {});
  }
  if (!response.ok) throw new ApiError(response.status, await response.json().catch(() => ({})));
  if (response.status === 204) return null;
  const body = (await response.json()) as Omit<Saved, "tag">;
  return { ...body, tag: response.headers.get("etag") ?? "" };
}

export async function loadLayout(): Promise<Saved> {
  const saved = await layoutRequest("GET");
  if (saved === null) throw new ApiError(204, {});
  return saved;
}

/** Saves one's own layout in the place of the one that `tag` names; 412 when another browser was quicker. */
export async function saveLayout(layout: Layout, tag: string): Promise<Saved> {
  const saved = await layoutRequest("PUT", layout, tag);
  if (saved === null) throw new ApiError(204, {});
  return saved;
}

/** Goes back to the template of one's role. */
export async function forgetLayout(): Promise<Saved> {
  await layoutRequest("DELETE");
  return loadLayout();
}
