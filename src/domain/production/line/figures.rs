//! Figures of the line's windows, closed shifts, and the check that no millisecond is lost.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::domain::production::changes::ShiftRecord;
use crate::domain::production::figure::{Figure, Frame, Window};
use crate::domain::production::line::Line;
use crate::domain::production::line::accounts::{Period, PeriodKey};
use crate::domain::production::sums::Sums;
use crate::domain::time::{Ms, Span, rfc3339};

impl Line {
    /// The figure of a live window at the drained clock; none between shifts and before the first detection. A shift
    /// and a day are whole, what is still to come is `outside`; a rolling window ends 1 ms after the clock.
    pub fn figure(&self, window: Window) -> Option<Figure> {
        let clock = self.clock?;
        self.first?;
        match window {
            Window::Range => None,
            Window::Shift => {
                let here = self.timeline.find(clock).slot.shift?;
                let key = PeriodKey::Shift { name: here.name.to_string(), date: here.date };
                let (period, sums) = self.accounts.period(&key)?;
                Some(self.frame(window, period.extent(), period.holes_ms(), 0, &sums))
            }
            Window::BusinessDay => {
                let date = self.timeline.find(clock).slot.date;
                let (period, sums) = self.accounts.period(&PeriodKey::Day { date })?;
                Some(self.frame(window, period.extent(), period.holes_ms(), 0, &sums))
            }
            _ => {
                let (from, sums) = self.accounts.window(window)?;
                Some(self.frame(window, Span::new(from, clock + 1), 0, 0, &sums))
            }
        }
    }

    fn frame(&self, window: Window, span: Span, holes_ms: Ms, revision: u32, sums: &Sums) -> Figure {
        let (config_versions, policy_versions) = self.timeline.versions_of(span);
        let frame = Frame {
            line: Some(self.name.clone()),
            window,
            from: span.from,
            to: span.to,
            as_of: self.clock.unwrap_or(span.to),
            watermark: self.watermark().unwrap_or(span.from),
            revision,
            config_versions,
            policy_versions,
            holes_ms,
            has_cycle: self.timeline.has_cycle(span),
        };
        Figure::new(frame, sums)
    }

    /// Milliseconds by which the books of the last 24 h differ from the time that they must cover. Always 0.
    pub fn imbalance_ms(&self) -> Ms {
        let (Some(clock), Some(first), Some((from, sums))) =
            (self.clock, self.first, self.accounts.window(Window::Day24))
        else {
            return 0;
        };
        Span::new(from.max(first), clock).len() - sums.accounted_ms()
    }

    /// Records of the shifts that the watermark has passed, new or changed since their last record.
    pub(super) fn close_shifts(&mut self) -> Vec<ShiftRecord> {
        let (Some(watermark), Some(first)) = (self.watermark(), self.first) else { return Vec::new() };
        // One that a new version ends before the first detection may have its record already.
        let concerns = |p: &&Period| p.extent().to > first || self.records.iter().any(|r| r.from == p.extent().from);
        let closed: Vec<(Period, Sums)> = self
            .accounts
            .periods
            .iter()
            .filter(|p| matches!(p.key, PeriodKey::Shift { .. }) && p.extent().to <= watermark)
            .filter(concerns)
            .filter_map(|p| self.accounts.period(&p.key).map(|(period, sums)| (period.clone(), sums)))
            .collect();
        let mut out = Vec::new();
        for (period, sums) in closed {
            let PeriodKey::Shift { name, date } = &period.key else { continue };
            let date = date.to_string();
            let last = self.records.iter().rev().find(|r| r.shift == *name && r.business_date == date);
            let revision = last.map_or(0, |r| r.revision) + 1;
            let mut figure = self.frame(Window::Shift, period.extent(), period.holes_ms(), revision, &sums);
            if let Some(last) = last {
                // The same figure told later is no news.
                let unchanged = Figure { revision: last.revision, as_of: last.figure.as_of, ..figure.clone() };
                if unchanged == last.figure {
                    continue;
                }
                figure.revision = last.revision + 1;
            }
            let record = self.seal(name.clone(), date, period.extent(), figure, watermark);
            self.last_hash.clone_from(&record.hash);
            self.records.push(record.clone());
            out.push(record);
        }
        out
    }

    fn seal(&self, shift: String, business_date: String, span: Span, figure: Figure, watermark: Ms) -> ShiftRecord {
        let mut record = ShiftRecord {
            line: self.name.clone(),
            shift,
            business_date,
            from: span.from,
            to: span.to,
            revision: figure.revision,
            figure,
            watermark,
            previous_hash: self.last_hash.clone(),
            hash: String::new(),
        };
        record.hash = hash_of(&record);
        record
    }
}

/// SHA-256, hex, of a record's canonical JSON: sorted keys, no blanks, times in RFC 3339, all fields but the hash.
pub fn hash_of(record: &ShiftRecord) -> String {
    let body: Value = json!({
        "line": record.line,
        "shift": record.shift,
        "business_date": record.business_date,
        "from": rfc3339(record.from),
        "to": rfc3339(record.to),
        "revision": record.revision,
        "figure": serde_json::to_value(&record.figure).unwrap_or(Value::Null),
        "watermark": rfc3339(record.watermark),
        "previous_hash": record.previous_hash,
    });
    let digest = Sha256::digest(body.to_string().as_bytes());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
