// Who is signed in.

import { computed, signal } from "@preact/signals";

import { ApiError, get, request, whenSignedOut } from "./api.ts";
import { safeZone } from "./format.ts";
import { asLocale, tenantLocale } from "./i18n/index.ts";
import { go, route } from "./router.ts";
import { isScreen } from "./screen.ts";
import type { Session } from "./shapes.ts";

/** `undefined`: not asked yet; `null`: nobody. */
export const session = signal<Session | null | undefined>(undefined);
export const unreachable = signal(false);
export const expired = signal(false);

export const zone = computed(() => safeZone(session.value?.time_zone));
/** Whether this user pairs wall displays: the server asks again. */
export const mayPair = computed(() => ["SUPER_ADMIN", "ADMIN", "MANAGER"].includes(session.value?.role ?? ""));
export const mayClassify = computed(() => session.value?.may_classify === true);

type Json = Record<string, unknown>;
const objectOf = (value: unknown): Json => (typeof value === "object" && value !== null ? (value as Json) : {});
const textOf = (value: unknown): string => (typeof value === "string" ? value : "");

/** The answer of `/auth/me`. */
export function readSession(body: unknown): Session {
  const user = objectOf(body);
  return {
    username: textOf(user["username"]),
    role: (textOf(user["role"]) || "VIEWER") as Session["role"],
    tenant: textOf(user["tenant"]),
    company: textOf(user["company"]),
    time_zone: textOf(user["time_zone"]),
    locale: textOf(user["locale"]),
    may_classify: user["may_classify"] === true,
  };
}

function signedIn(user: Session): void {
  tenantLocale.value = asLocale(user.locale);
  expired.value = false;
  session.value = user;
}

function toLogin(): void {
  if (route.value.page === "login" || route.value.page === "pair") return;
  // Nobody types a password on a wall: it shows a new code.
  if (route.value.page === "wall" && isScreen()) return go("/wall/pair", true);
  const here = location.pathname + location.search;
  go(here === "/" ? "/login" : `/login?next=${encodeURIComponent(here)}`, true);
}

/** Asks who is signed in; goes to the login page when nobody is. */
export async function loadSession(): Promise<void> {
  try {
    signedIn(readSession(await get("/auth/me")));
    unreachable.value = false;
  } catch (error) {
    if (error instanceof ApiError && (error.status === 401 || error.status === 403)) {
      if (session.value) expired.value = true;
      session.value = null;
      toLogin();
    } else {
      unreachable.value = true;
    }
  }
}

export async function signIn(username: string, password: string): Promise<void> {
  await request("POST", "/auth/login", { body: { username, password } });
  signedIn(readSession(await get("/auth/me")));
}

export async function signOut(): Promise<void> {
  try {
    await request("POST", "/auth/logout");
  } catch {
    // whatever the server says, this screen forgets
  }
  session.value = null;
  go("/login");
}

whenSignedOut(() => {
  if (session.value) expired.value = true;
  session.value = null;
  toLogin();
});
