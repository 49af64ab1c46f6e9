// Addresses of the pages, and moving between them without loading anew.

import { signal } from "@preact/signals";

export type Route =
  | { page: "dashboard" }
  | { page: "overview" }
  | { page: "pair" }
  | { page: "screens" }
  | { page: "wall"; lines: string[]; columns: number | null }
  | { page: "line"; line: string }
  | { page: "login"; next: string }
  | { page: "unknown" };

/** The page of an address. */
export function routeOf(path: string, search: string): Route {
  const query = new URLSearchParams(search);
  const parts = path.split("/").filter((part) => part !== "");
  switch (parts[0]) {
    case undefined:
      return { page: "dashboard" };
    case "lines":
      return { page: "overview" };
    case "screens":
      return { page: "screens" };
    case "wall": {
      if (parts[1] === "pair") return { page: "pair" };
      const columns = Number(query.get("columns"));
      const lines = query
        .getAll("line")
        .flatMap((names) => names.split(","))
        .filter((name) => name !== "");
      return { page: "wall", lines, columns: Number.isInteger(columns) && columns > 0 ? columns : null };
    }
    case "line":
      return parts[1] !== undefined && parts.length === 2
        ? { page: "line", line: decodeURIComponent(parts[1]) }
        : { page: "unknown" };
    case "login": {
      const next = query.get("next") ?? "/";
      // Only a path of this site: the address bar must not be able to send anybody elsewhere.
      return { page: "login", next: /^\/(?![/\\])/.test(next) ? next : "/" };
    }
    default:
      return { page: "unknown" };
  }
}

export const route = signal<Route>({ page: "dashboard" });

function read(): void {
  route.value = routeOf(location.pathname, location.search);
}

export function go(to: string, replace = false): void {
  if (replace) history.replaceState(null, "", to);
  else history.pushState(null, "", to);
  read();
  if (!replace) scrollTo(0, 0);
}

export function startRouter(): void {
  read();
  addEventListener("popstate", read);
  document.addEventListener("click", (event) => {
    if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey) return;
    const link = (event.target as Element | null)?.closest?.("a[href]");
    if (!(link instanceof HTMLAnchorElement) || link.origin !== location.origin || link.target) return;
    if (link.pathname.startsWith("/api/") || link.hash) return;
    event.preventDefault();
    go(link.pathname + link.search);
  });
}
