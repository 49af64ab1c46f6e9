// Dark unless this device was told otherwise.

import { effect, signal } from "@preact/signals";

export type Theme = "dark" | "light";

const STORED = "andon.theme";

function stored(): Theme {
  try {
    return localStorage.getItem(STORED) === "light" ? "light" : "dark";
  } catch {
    return "dark"; // storage can be switched off
  }
}

export const theme = signal<Theme>(typeof localStorage === "undefined" ? "dark" : stored());

export function chooseTheme(next: Theme): void {
  theme.value = next;
  try {
    localStorage.setItem(STORED, next);
  } catch {
    // the choice holds until the page is closed
  }
}

export function startTheme(): void {
  effect(() => {
    document.documentElement.dataset["theme"] = theme.value;
  });
}
