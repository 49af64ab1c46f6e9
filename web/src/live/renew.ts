// A wall runs for weeks, the server behind it is renewed in between: after a reconnect the page looks whether it is
// still the one that the server serves, and loads the new one if not.

const SCRIPT = /\/assets\/app-[\w-]+\.js/;

/** The name of the page's script in an index page; null when there is none. */
export function scriptOf(html: string): string | null {
  return SCRIPT.exec(html)?.[0] ?? null;
}

export async function reloadWhenRenewed(): Promise<void> {
  const own = scriptOf(document.head.innerHTML);
  try {
    const response = await fetch("/", { cache: "no-store", credentials: "same-origin" });
    const served = response.ok ? scriptOf(await response.text()) : null;
    if (own !== null && served !== null && served !== own) location.reload();
  } catch {
    // the next reconnect asks again
  }
}
