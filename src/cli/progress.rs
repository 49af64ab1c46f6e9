//! How far long work is: a bar on a terminal, a log line every few seconds elsewhere.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

const BETWEEN_LINES: Duration = Duration::from_secs(5);
const BETWEEN_DRAWS: Duration = Duration::from_millis(100);

pub struct Progress {
    what: &'static str,
    /// None: not on a terminal.
    bar: Option<ProgressBar>,
    began: Instant,
    told: Instant,
}

// === impl Progress ===

impl Progress {
    /// `whole` in any unit; none: nobody knows how much there is.
    pub fn new(what: &'static str, whole: Option<u64>) -> Progress {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::with_draw_target(whole, ProgressDrawTarget::stderr());
            let shape = if whole.is_some() { "{wide_bar} {percent:>3} %  {msg}  {eta}" } else { "{spinner} {msg}" };
            // Without a style of ours the bar's own is good as well.
            ProgressStyle::with_template(shape).map_or(bar.clone(), |style| bar.with_style(style))
        });
        let now = Instant::now();
        Progress { what, bar, began: now, told: now }
    }

    /// Whether it is time to tell again; so that the message is not made for nothing.
    pub fn is_due(&self) -> bool {
        let every = if self.bar.is_some() { BETWEEN_DRAWS } else { BETWEEN_LINES };
        self.told.elapsed() >= every
    }

    /// `done` of the whole, with `records` so far and a word on where that is.
    pub fn tell(&mut self, done: u64, records: u64, at: &str) {
        self.told = Instant::now();
        let rate = records as f64 / self.began.elapsed().as_secs_f64().max(0.001);
        match &self.bar {
            Some(bar) => {
                bar.set_position(done);
                bar.set_message(format!("{at}  {records} records, {rate:.0}/s"));
            }
            None => tracing::info!(records, per_second = rate.round(), at, "{}", self.what),
        }
    }

    /// Takes the bar away and says what was done.
    pub fn finish(self, records: u64, skipped: u64) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        let seconds = self.began.elapsed().as_secs_f64();
        let seconds = (seconds * 10.0).round() / 10.0;
        tracing::info!(records, skipped, seconds, "{} ended", self.what);
    }
}
