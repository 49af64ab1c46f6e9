// The filters of a page, as the tenant's table has them; areas and shifts follow the line.

import { useSignal } from "@preact/signals";

import { now } from "../clock.ts";
import { locale, t } from "../i18n/index.ts";
import { zone } from "../session.ts";
import { LIVE_WINDOWS, type LiveWindow } from "../shapes.ts";
import { EVERYTHING, instantOf, type Look, wallOf } from "./state.ts";
import type { FilterRow } from "./store.ts";

interface Option {
  value: string | number;
  title: string;
  line?: string;
  lines?: string[] | null;
  group?: string | null;
}

interface LineOptions {
  lines: Option[];
  groups: string[];
}

interface Props {
  rows: readonly FilterRow[];
  look: Look;
  onLook: (look: Look) => void;
}

const HOUR_MS = 3_600_000;

export function FilterBar({ rows, look, onLook }: Props) {
  const lineRow = rows.find((row) => row.type === "line")?.options as LineOptions | undefined;
  const chosen = linesOf(lineRow, look.line);
  const change = (next: Partial<Look>) => onLook({ ...look, ...next });
  return (
    <form class="filters" aria-label={t("dash.filters")} onSubmit={(event) => event.preventDefault()}>
      {rows.map((row) => {
        switch (row.type) {
          case "daterange":
            return <Period key={row.name} look={look} onChange={change} />;
          case "line":
            return (
              <LineChoice
                key={row.name}
                options={lineRow ?? { lines: [], groups: [] }}
                value={look.line}
                // Another line has other areas and maybe other shifts.
                onChange={(line) => change({ line, area: null, shift: null, zoom: null })}
              />
            );
          case "area":
            return (
              <Choice
                key={row.name}
                label={t("dash.area")}
                none={t("dash.all")}
                value={look.area}
                disabled={chosen?.size !== 1}
                options={(row.options as Option[]).filter((one) => chosen?.has(one.line ?? ""))}
                onChange={(value) => change({ area: value === null ? null : Number(value) })}
              />
            );
          case "product":
            return (
              <Choice
                key={row.name}
                label={t("dash.product")}
                none={t("dash.all")}
                value={look.product}
                options={row.options as Option[]}
                onChange={(value) => change({ product: value === null ? null : Number(value) })}
              />
            );
          case "shift":
            return (
              <Choice
                key={row.name}
                label={t("stops.shift")}
                none={t("dash.all")}
                value={look.shift}
                options={shiftsOf(row.options as Option[], chosen)}
                onChange={(shift) => change({ shift })}
              />
            );
          case "reason":
            return (
              <Choice
                key={row.name}
                label={t("stops.reason")}
                none={t("dash.all")}
                value={look.reason}
                options={row.options as Option[]}
                onChange={(reason) => change({ reason })}
              />
            );
          case "interval":
            return (
              <Choice
                key={row.name}
                label={t("dash.interval")}
                none={t("dash.automatic")}
                value={look.interval}
                options={(row.options as string[]).map((one) => ({
                  value: one,
                  title: t(`dash.interval.${one as "minute"}`),
                }))}
                onChange={(interval) => change({ interval })}
              />
            );
          default:
            return null;
        }
      })}
      <button type="button" class="plain" onClick={() => onLook(EVERYTHING)}>
        {t("dash.clear")}
      </button>
    </form>
  );
}

/** The lines that a line or a group stands for; null: all. */
function linesOf(options: LineOptions | undefined, name: string | null): Set<string> | null {
  if (name === null || !options) return null;
  const lines = options.lines.filter((one) => one.value === name || one.group === name);
  return new Set(lines.map((one) => String(one.value)));
}

/** Each name once, of the lines in question. */
function shiftsOf(options: readonly Option[], chosen: Set<string> | null): Option[] {
  const there = options.filter((one) => !chosen || !one.lines || one.lines.some((line) => chosen.has(line)));
  return [...new Map(there.map((one) => [one.value, one])).values()];
}

interface ChoiceProps {
  label: string;
  none: string;
  value: string | number | null;
  options: readonly Option[];
  disabled?: boolean;
  onChange: (value: string | null) => void;
}

function Choice({ label, none, value, options, disabled, onChange }: ChoiceProps) {
  const unknown = value !== null && !options.some((one) => String(one.value) === String(value));
  return (
    <label class="filter">
      <span>{label}</span>
      <select
        value={value === null ? "" : String(value)}
        disabled={disabled ?? false}
        onChange={(event) => onChange(event.currentTarget.value || null)}
      >
        <option value="">{none}</option>
        {unknown && <option value={String(value)}>{String(value)}</option>}
        {options.map((one) => (
          <option key={one.value} value={String(one.value)}>
            {one.title}
          </option>
        ))}
      </select>
    </label>
  );
}

function LineChoice({
  options,
  value,
  onChange,
}: {
  options: LineOptions;
  value: string | null;
  onChange: (line: string | null) => void;
}) {
  return (
    <label class="filter">
      <span>{t("overview.line")}</span>
      <select value={value ?? ""} name="line" onChange={(event) => onChange(event.currentTarget.value || null)}>
        <option value="">{t("dash.allLines")}</option>
        {options.groups.length > 0 && (
          <optgroup label={t("dash.groups")}>
            {options.groups.map((group) => (
              <option key={group} value={group}>
                {group}
              </option>
            ))}
          </optgroup>
        )}
        <optgroup label={t("overview.title")}>
          {options.lines.map((line) => (
            <option key={line.value} value={String(line.value)}>
              {line.title}
            </option>
          ))}
        </optgroup>
      </select>
    </label>
  );
}

function Period({ look, onChange }: { look: Look; onChange: (next: Partial<Look>) => void }) {
  const zoneName = zone.value;
  const problem = useSignal(false);
  const choose = (value: string) => {
    problem.value = false;
    if (value !== "range") return onChange({ window: value as LiveWindow, range: null, zoom: null });
    const to = Math.ceil(now.value / HOUR_MS) * HOUR_MS;
    onChange({ window: null, range: { from: to - 24 * HOUR_MS, to }, zoom: null });
  };
  const edge = (name: "from" | "to", wall: string) => {
    const at = instantOf(wall, zoneName);
    if (at === null || look.range === null) return;
    const range = { ...look.range, [name]: at };
    problem.value = range.from >= range.to;
    if (!problem.value) onChange({ range, zoom: null });
  };
  return (
    <>
      <label class="filter">
        <span>{t("dash.period")}</span>
        <select
          name="period"
          value={look.range ? "range" : (look.window ?? "shift")}
          onChange={(event) => choose(event.currentTarget.value)}
        >
          {LIVE_WINDOWS.map((window) => (
            <option key={window} value={window}>
              {t(`window.${window}`)}
            </option>
          ))}
          <option value="range">{t("dash.range")}</option>
        </select>
      </label>
      {look.range &&
        (["from", "to"] as const).map((name) => (
          <label class="filter" key={`${name} ${locale.value}`}>
            <span>{t(`dash.${name}`)}</span>
            <input
              type="datetime-local"
              value={wallOf(look.range?.[name] ?? 0, zoneName)}
              aria-invalid={problem.value}
              onChange={(event) => edge(name, event.currentTarget.value)}
            />
          </label>
        ))}
      {problem.value && (
        <p class="problem" role="alert">
          {t("dash.rangeWrong")}
        </p>
      )}
    </>
  );
}
