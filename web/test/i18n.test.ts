import assert from "node:assert/strict";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";

import { asLocale, fill, LOCALES, TEXTS } from "../src/i18n/index.ts";
import { LINE_STATES, LIVE_WINDOWS } from "../src/shapes.ts";

const places = (text: string) => [...text.matchAll(/\{(\w+)\}/g)].map((match) => match[1]).sort();

test("every text exists in every language, with the same places to fill", () => {
  const keys = Object.keys(TEXTS.en).sort();
  for (const locale of LOCALES) {
    assert.deepEqual(Object.keys(TEXTS[locale]).sort(), keys);
    for (const key of keys as (keyof typeof TEXTS.en)[]) {
      assert.ok(TEXTS[locale][key].trim() !== "", `${locale} ${key} is empty`);
      assert.deepEqual(places(TEXTS[locale][key]), places(TEXTS.en[key]), `${locale} ${key}`);
    }
  }
});

test("every state and window has a word", () => {
  for (const state of LINE_STATES) assert.ok(`state.${state}` in TEXTS.en, state);
  for (const window of LIVE_WINDOWS) assert.ok(`window.${window}` in TEXTS.en, window);
});

test("states can be told apart by their word in each language", () => {
  for (const locale of LOCALES) {
    const words = LINE_STATES.map((state) => TEXTS[locale][`state.${state}`].toLowerCase());
    assert.equal(new Set(words).size, words.length);
  }
});

function sources(folder: string): string[] {
  return readdirSync(folder).flatMap((name) => {
    const path = join(folder, name);
    if (statSync(path).isDirectory()) return sources(path);
    return /\.tsx?$/.test(name) && !path.includes("i18n") ? [readFileSync(path, "utf8")] : [];
  });
}

test("no text is left that no page shows", () => {
  const code = sources(join(process.cwd(), "src")).join("\n");
  const built = [...code.matchAll(/t\(\s*`([\w.]+)\.\$\{[^}]+\}([\w.]*)`/g)].map(
    ([, head, tail]) => `${head}.*${tail}`,
  );
  const patterns = built.map((text) => new RegExp(`^${text.replace(/\./g, "\\.").replace("\\.*", "\\.[^.]+")}$`));
  for (const key of Object.keys(TEXTS.en)) {
    const used = code.includes(`"${key}"`) || patterns.some((pattern) => pattern.test(key));
    assert.ok(used, `${key} is shown nowhere`);
  }
});

test("values are filled in, unknown places stay visible", () => {
  assert.equal(fill("{a} of {b}", { a: 1 }), "1 of {b}");
});

test("languages are recognised from tags", () => {
  assert.equal(asLocale("es-MX"), "es");
  assert.equal(asLocale("EN"), "en");
  assert.equal(asLocale("fr"), null);
  assert.equal(asLocale(null), null);
});
