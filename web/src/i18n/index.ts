// The language of the page: the tenant's until the user chooses another one on this device.

import { computed, signal } from "@preact/signals";

import { en, type Key } from "./en.ts";
import { es } from "./es.ts";

export type { Key } from "./en.ts";
export type Locale = "es" | "en";
export const LOCALES: readonly Locale[] = ["es", "en"];
export const TEXTS: Record<Locale, Record<Key, string>> = { en, es };

const STORED = "andon.locale";

export function asLocale(text: string | null | undefined): Locale | null {
  const short = text?.slice(0, 2).toLowerCase();
  return short === "es" || short === "en" ? short : null;
}

function stored(): Locale | null {
  try {
    return asLocale(localStorage.getItem(STORED));
  } catch {
    return null; // storage can be switched off
  }
}

/** The user's own choice on this device. */
const chosen = signal<Locale | null>(typeof localStorage === "undefined" ? null : stored());
/** The tenant's, once known. */
export const tenantLocale = signal<Locale | null>(null);

export const locale = computed<Locale>(
  () =>
    chosen.value ??
    tenantLocale.value ??
    (typeof navigator === "undefined" ? null : asLocale(navigator.language)) ??
    "en",
);

export function chooseLocale(next: Locale): void {
  chosen.value = next;
  try {
    localStorage.setItem(STORED, next);
  } catch {
    // the choice holds until the page is closed
  }
}

/** Puts values into a text's `{name}` places. */
export function fill(text: string, values: Record<string, string | number>): string {
  return text.replace(/\{(\w+)\}/g, (whole, name: string) => String(values[name] ?? whole));
}

/** A text in the language of the page. */
export function t(key: Key, values: Record<string, string | number> = {}): string {
  return fill(TEXTS[locale.value][key], values);
}
