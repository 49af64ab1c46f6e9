//! What is wrong with a tenant's file, all of it at once, each with its key and its fix.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt::Display;
use std::hash::Hash;

use super::{AreaSpec, Day, LineSpec, Problem, Seconds, TenantSpec, is_name};
use crate::domain::calendar::{Calendar, CalendarError, zone};
use crate::domain::production::config::cycle_ns;
use crate::domain::time::Ms;

/// Longest text for a title, code, shift or reason, in characters.
const MAX_TEXT: usize = 100;
/// Longest threshold, lateness or heartbeat.
const MAX_LENGTH_MS: Ms = 30 * 24 * 3_600_000;

#[derive(Default)]
struct Findings {
    problems: Vec<Problem>,
}

/// Everything that is wrong with a spec whose defaults are filled in.
pub(super) fn problems(spec: &TenantSpec) -> Vec<Problem> {
    let mut findings = Findings::default();
    findings.tenant(spec);
    findings.counts(spec);
    findings.shifts(spec);
    findings.products(spec);
    findings.reasons(spec);
    findings.lines(spec);
    findings.calendars(spec);
    findings.problems
}

// === impl Findings ===

impl Findings {
    fn add(&mut self, key: impl Into<String>, problem: impl Into<String>, fix: impl Into<String>) {
        self.problems.push(Problem { key: key.into(), problem: problem.into(), fix: fix.into() });
    }

    fn name(&mut self, key: String, name: &str) {
        if !is_name(name) {
            self.add(key, format!("{name:?} is no name"), "write 1 to 48 of a-z, 0-9 and _");
        }
    }

    /// A text that people read and other rows point to.
    fn text(&mut self, key: String, text: &str) {
        let count = text.chars().count();
        let fits = count <= MAX_TEXT && !text.trim().is_empty() && text.trim() == text;
        if !fits || text.chars().any(char::is_control) {
            let fix = format!("write 1 to {MAX_TEXT} characters without line breaks or blanks at the ends");
            self.add(key, format!("{text:?} is no usable text"), fix);
        }
    }

    fn count(&mut self, key: &str, count: usize, most: usize) {
        if count > most {
            self.add(key, format!("there are {count}"), format!("keep to {most}"));
        }
    }

    fn unique<T: Eq + Hash + Display>(&mut self, key: &str, what: &str, items: impl Iterator<Item = T>) {
        let mut seen = HashSet::new();
        let mut told = BTreeSet::new();
        for item in items {
            let shown = item.to_string();
            if !seen.insert(item) && told.insert(shown.clone()) {
                self.add(key, format!("{what} {shown} is there twice"), "give each its own, or take one out");
            }
        }
    }

    fn positive(&mut self, key: String, value: Option<f64>) {
        if value.is_some_and(|value| !value.is_finite() || value <= 0.0) {
            self.add(key, "is not a number above 0", "write a number above 0, or leave the key out");
        }
    }

    fn rate(&mut self, key: String, pieces_per_minute: Option<f64>) {
        if pieces_per_minute.is_some_and(|rate| cycle_ns(rate).is_none()) {
            let fix = "write a finite number above 0 in pieces per minute, or leave the key out";
            self.add(key, "is no rate", fix);
        }
    }

    fn share(&mut self, key: String, value: Option<f64>) {
        if value.is_some_and(|value| !(value > 0.0 && value <= 1.0)) {
            self.add(key, "is not a share", "write a number above 0 and at most 1, as 0.85 for 85 %");
        }
    }

    fn length(&mut self, key: String, value: Seconds, low: Ms) {
        if !(low..=MAX_LENGTH_MS).contains(&value.ms()) {
            let low = low as f64 / 1000.0;
            let fix = format!("write seconds from {low} to {}", MAX_LENGTH_MS / 1000);
            self.add(key, "is out of range", fix);
        }
    }

    fn tenant(&mut self, spec: &TenantSpec) {
        let tenant = &spec.tenant;
        self.name("tenant.name".to_owned(), &tenant.name);
        self.text("tenant.company".to_owned(), &tenant.company);
        if zone(&tenant.time_zone).is_err() {
            let problem = format!("{:?} is no known time zone", tenant.time_zone);
            self.add("tenant.time_zone", problem, "write an IANA name such as \"Europe/Madrid\"");
        }
        if tenant.database_url.as_ref().is_some_and(|url| !url.expose().starts_with("mysql://")) {
            let fix = "write mysql://user:password@host:port/database, or leave the key out";
            self.add("tenant.database_url", "is no MySQL URL", fix);
        }
    }

    fn counts(&mut self, spec: &TenantSpec) {
        self.count("shift", spec.shifts.len(), 200);
        self.count("break", spec.breaks.len(), 500);
        self.count("exception", spec.exceptions.len(), 5_000);
        self.count("extra_shift", spec.extra_shifts.len(), 5_000);
        self.count("product", spec.products.len(), 20_000);
        self.count("reason", spec.reasons.len(), 2_000);
        self.count("line", spec.lines.len(), 1_000);
        for line in &spec.lines {
            self.count(&format!("line[{}].area", line.name), line.areas.len(), 500);
        }
    }

    fn shifts(&mut self, spec: &TenantSpec) {
        let lines: HashSet<&str> = spec.lines.iter().map(|line| line.name.as_str()).collect();
        let regular: HashSet<&str> = spec.shifts.iter().map(|shift| shift.name.as_str()).collect();
        for shift in &spec.shifts {
            let key = format!("shift[{}]", shift.name);
            self.text(format!("{key}.name"), &shift.name);
            self.days(&key, &shift.days);
            self.references(&format!("{key}.lines"), "line", shift.lines.as_deref(), &lines);
        }
        for (index, rule) in spec.breaks.iter().enumerate() {
            let shown = rule.name.clone().or_else(|| rule.shift.clone()).unwrap_or_else(|| index.to_string());
            let key = format!("break[{shown}]");
            if let Some(name) = &rule.name {
                self.text(format!("{key}.name"), name);
            }
            if let Some(shift) = &rule.shift {
                let is_known = regular.contains(shift.as_str()) || spec.extra_shifts.iter().any(|e| e.name == *shift);
                if !is_known {
                    let fix = "name a [[shift]] or [[extra_shift]], or leave the key out for a break in any shift";
                    self.add(format!("{key}.shift"), format!("there is no shift {shift:?}"), fix);
                }
            }
            self.days(&key, &rule.days);
            self.references(&format!("{key}.lines"), "line", rule.lines.as_deref(), &lines);
        }
        for exception in &spec.exceptions {
            let key = format!("exception[{}]", exception.date);
            self.references(&format!("{key}.shifts"), "shift", exception.shifts.as_deref(), &regular);
            self.references(&format!("{key}.lines"), "line", exception.lines.as_deref(), &lines);
        }
        for extra in &spec.extra_shifts {
            let key = format!("extra_shift[{} {}]", extra.date, extra.name);
            self.text(format!("{key}.name"), &extra.name);
            self.references(&format!("{key}.lines"), "line", extra.lines.as_deref(), &lines);
        }
    }

    fn days(&mut self, key: &str, days: &[Day]) {
        if days.is_empty() {
            let fix = "name days from \"mon\" to \"sun\", or leave the key out for every day";
            self.add(format!("{key}.days"), "names no day", fix);
        }
    }

    fn references(&mut self, key: &str, what: &str, names: Option<&[String]>, known: &HashSet<&str>) {
        let Some(names) = names else { return };
        if names.is_empty() {
            self.add(key, format!("names no {what}"), format!("name some, or leave the key out for every {what}"));
        }
        for name in names.iter().filter(|name| !known.contains(name.as_str())) {
            self.add(key, format!("there is no {what} {name:?}"), format!("name a [[{what}]] of this file"));
        }
    }

    fn products(&mut self, spec: &TenantSpec) {
        self.unique("product", "id", spec.products.iter().map(|product| product.id));
        self.unique("product", "code", spec.products.iter().map(|product| &product.code));
        for product in &spec.products {
            let key = format!("product[{}]", product.id);
            self.text(format!("{key}.code"), &product.code);
            self.text(format!("{key}.name"), &product.name);
            self.positive(format!("{key}.weight_g"), product.weight_g);
            self.rate(format!("{key}.production_std"), product.production_std);
            let is_color = |color: &str| {
                let digits = color.strip_prefix('#').unwrap_or_default();
                digits.len() == 6 && digits.bytes().all(|b| b.is_ascii_hexdigit())
            };
            if product.color.as_deref().is_some_and(|color| !is_color(color)) {
                self.add(format!("{key}.color"), "is no colour", "write # and six hexadecimal digits, as \"#2b7cee\"");
            }
        }
    }

    fn reasons(&mut self, spec: &TenantSpec) {
        self.unique("reason", "code", spec.reasons.iter().map(|reason| &reason.code));
        let parents: BTreeMap<&str, Option<&str>> =
            spec.reasons.iter().map(|reason| (reason.code.as_str(), reason.parent.as_deref())).collect();
        for reason in &spec.reasons {
            let key = format!("reason[{}]", reason.code);
            self.text(format!("{key}.code"), &reason.code);
            self.text(format!("{key}.name"), &reason.name);
            // Every member of a circle comes back to itself in as many steps as there are reasons, at most.
            let mut above = reason.parent.as_deref();
            for _ in 0..parents.len() {
                if above == Some(reason.code.as_str()) {
                    let fix = "leave the key out for the reason at the top";
                    self.add(format!("{key}.parent"), "the reasons above it lead back to it", fix);
                    break;
                }
                above = above.and_then(|code| parents.get(code).copied().flatten());
            }
        }
    }

    fn lines(&mut self, spec: &TenantSpec) {
        self.unique("line", "name", spec.lines.iter().map(|line| &line.name));
        for line in &spec.lines {
            let key = format!("line[{}]", line.name);
            self.name(format!("{key}.name"), &line.name);
            self.text(format!("{key}.title"), &line.title);
            if let Some(group) = &line.group {
                self.text(format!("{key}.group"), group);
            }
            self.rate(format!("{key}.performance"), line.performance);
            self.share(format!("{key}.availability_target"), line.availability_target);
            self.share(format!("{key}.oee_target"), line.oee_target);
            self.length(format!("{key}.allowed_lateness_s"), line.allowed_lateness_s, 0);
            if let Some(heartbeat) = line.heartbeat_s {
                self.length(format!("{key}.heartbeat_s"), heartbeat, 1);
            }
            if line.retention_months.is_some_and(|months| !(1..=1200).contains(&months)) {
                let fix = "write 1 to 1200, or leave the key out to keep all";
                self.add(format!("{key}.retention_months"), "is out of range", fix);
            }
            if !(1..=3_600_000).contains(&line.oee_cadence_ms) {
                self.add(format!("{key}.oee_cadence_ms"), "is out of range", "write 1 to 3600000");
            }
            self.thresholds(&key, line);
            self.unique(&format!("{key}.area"), "id", line.areas.iter().map(|area| area.id));
            for area in &line.areas {
                self.area(&format!("{key}.area[{}]", area.id), area);
            }
        }
    }

    fn thresholds(&mut self, line_key: &str, line: &LineSpec) {
        let downtime = (line.downtime_threshold_s, line.downtime_threshold_cycles, line.downtime_threshold_ms());
        let micro = (line.micro_stop_threshold_s, line.micro_stop_threshold_cycles, line.micro_stop_threshold_ms());
        for (name, (seconds, cycles, ms)) in [("downtime_threshold", downtime), ("micro_stop_threshold", micro)] {
            let key = format!("{line_key}.{name}");
            match (seconds, cycles) {
                (Some(_), Some(_)) => {
                    self.add(format!("{key}_cycles"), format!("{name}_s is there too"), "keep one of the two");
                }
                (Some(seconds), None) => self.length(format!("{key}_s"), seconds, 1),
                (None, Some(_)) if line.ideal_cycle_ns().is_none() => {
                    let fix = format!("add performance, or write {name}_s");
                    self.add(format!("{key}_cycles"), "the line has no ideal cycle to count in", fix);
                }
                (None, Some(cycles)) if ms.is_none_or(|ms| ms > MAX_LENGTH_MS) => {
                    let fix = "write a number of cycles that takes from 0.001 s to 30 days";
                    self.add(format!("{key}_cycles"), format!("{cycles} is out of range"), fix);
                }
                _ => {}
            }
        }
        if let (Some(micro), Some(downtime)) = (micro.2, downtime.2)
            && micro >= downtime
        {
            let unit = if line.micro_stop_threshold_s.is_some() { "s" } else { "cycles" };
            let problem = format!("{micro} ms is not below the downtime threshold of {downtime} ms");
            let fix = "write less, or leave the key out for no micro-stops";
            self.add(format!("{line_key}.micro_stop_threshold_{unit}"), problem, fix);
        }
    }

    fn area(&mut self, key: &str, area: &AreaSpec) {
        self.text(format!("{key}.name"), &area.name);
        self.count(&format!("{key}.cameras"), area.cameras.len(), 200);
        self.unique(&format!("{key}.cameras"), "camera", area.cameras.iter());
        if let Some([x1, y1, x2, y2]) = area.rect
            && !(0 <= x1 && x1 < x2 && 0 <= y1 && y1 < y2)
        {
            let fix = "write x1, y1, x2, y2 with 0 <= x1 < x2 and 0 <= y1 < y2";
            self.add(format!("{key}.rect"), "is no rectangle", fix);
        }
    }

    /// Overlaps, line by line; the same one is told once.
    fn calendars(&mut self, spec: &TenantSpec) {
        let mut told: Vec<CalendarError> = Vec::new();
        for line in &spec.lines {
            let Err(error) = spec.calendar_rules(&line.name).and_then(Calendar::new) else { continue };
            // An unknown zone is the tenant's problem, told there.
            if matches!(error, CalendarError::UnknownZone(_)) || told.contains(&error) {
                continue;
            }
            let key = match error {
                CalendarError::ExtraShiftsOverlap { .. } => "extra_shift",
                _ => "shift",
            };
            let (problem, fix) = (format!("on line {}: {}", line.name, error), "see `lines` and `days` of both");
            self.add(key, problem, fix);
            told.push(error);
        }
    }
}
