//! What a storm did and what is left of it.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde::Serialize;

/// Figures of a storm; complaints are what must not be.
#[derive(Default, Serialize)]
pub struct Report {
    pub seed: u64,
    pub database: String,
    pub build: &'static str,
    pub minutes: f64,
    /// Faults struck, by kind.
    pub faults: BTreeMap<String, u32>,
    /// Milliseconds until every line told something new again, by kind, in order of striking.
    pub live_again_ms: BTreeMap<String, Vec<u64>>,
    pub sent: usize,
    pub acknowledged: usize,
    /// Identities acknowledged and stored.
    pub rows: usize,
    /// Of these, flagged late.
    pub late: usize,
    pub dead_letters: usize,
    /// Cut from a log before they were read, as a command has recorded: not lost by us.
    pub cut: usize,
    /// Rows that came again after a restored backup was taken forward.
    pub told_again: usize,
    pub lost: usize,
    pub doubled: usize,
    /// Records on output topics.
    pub told: usize,
    pub commits: usize,
    pub commands: usize,
    pub commands_applied: usize,
    /// Members that ended by themselves.
    pub falls: BTreeMap<String, Vec<String>>,
    pub stops_compared: usize,
    pub figures_compared: usize,
    /// Not wrong, but worth knowing.
    pub notes: Vec<String>,
    pub complaints: Vec<String>,
}

// === impl Report ===

impl Report {
    pub fn struck(&mut self, kind: &str) {
        *self.faults.entry(kind.to_owned()).or_default() += 1;
    }

    pub fn live_again(&mut self, kind: &str, after: Duration) {
        self.live_again_ms.entry(kind.to_owned()).or_default().push(after.as_millis() as u64);
    }

    /// What a look at the rows adds to: sent, acknowledged, rows, late, cut, stops and figures compared.
    pub fn counts(&self) -> (usize, usize, usize, usize, usize, usize, usize) {
        (self.sent, self.acknowledged, self.rows, self.late, self.cut, self.stops_compared, self.figures_compared)
    }

    /// Puts these back.
    pub fn recount(&mut self, counts: (usize, usize, usize, usize, usize, usize, usize)) {
        (self.sent, self.acknowledged, self.rows, self.late, self.cut, self.stops_compared, self.figures_compared) =
            counts;
    }

    pub fn note(&mut self, text: impl Into<String>) {
        let text = text.into();
        println!("  note: {text}");
        self.notes.push(text);
    }

    pub fn complain(&mut self, text: impl Into<String>) {
        let text = text.into();
        if self.complaints.len() < 200 {
            println!("  COMPLAINT: {text}");
            self.complaints.push(text);
        }
    }

    pub fn text(&self) -> String {
        let mut out = format!(
            "Fire: seed {}, {} build, {}, {:.1} minutes\n\n{} sent, {} acknowledged: {} rows ({} late), {} dead letters, {} \
             cut from a log unread; lost {}, doubled {}\n{} rows again after a restored backup\n{} commits told in {} records; {} stops and {} figures equal on tables, topics and \
             recomputed\n{} reasons given, {} applied, each once\n\n",
            self.seed,
            self.build,
            self.database,
            self.minutes,
            self.sent,
            self.acknowledged,
            self.rows,
            self.late,
            self.dead_letters,
            self.cut,
            self.lost,
            self.doubled,
            self.told_again,
            self.commits,
            self.told,
            self.stops_compared,
            self.figures_compared,
            self.commands,
            self.commands_applied,
        );
        out += "| fault | struck | live again p50 ms | p99 ms | longest ms |\n|---|---:|---:|---:|---:|\n";
        for (kind, count) in &self.faults {
            let mut times = self.live_again_ms.get(kind).cloned().unwrap_or_default();
            times.sort_unstable();
            let at = |share: f64| match times.len() {
                0 => "-".to_owned(),
                n => times[((n as f64 * share).ceil() as usize).clamp(1, n) - 1].to_string(),
            };
            out += &format!("| {kind} | {count} | {} | {} | {} |\n", at(0.5), at(0.99), at(1.0));
        }
        for (name, falls) in self.falls.iter().filter(|(_, falls)| !falls.is_empty()) {
            out += &format!("\n{name} ended by itself {} times: {}", falls.len(), falls.join(", "));
        }
        for note in &self.notes {
            out += &format!("\nnote: {note}");
        }
        for complaint in &self.complaints {
            out += &format!("\nCOMPLAINT: {complaint}");
        }
        out + "\n"
    }

    pub fn write(&self, folder: &Path) {
        std::fs::write(folder.join("report.txt"), self.text()).expect("a writable folder");
        let json = serde_json::to_string_pretty(self).expect("JSON");
        std::fs::write(folder.join("report.json"), json).expect("a writable folder");
    }
}
