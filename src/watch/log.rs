//! Structured log lines on standard error, with a level that can be changed at run time.
//!
//! Nothing secret or personal is logged: addresses of servers go through [`crate::config::SecretUrl`], users appear by
//! their number.

use std::io::IsTerminal;

use tracing_subscriber::filter::ParseError;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt, reload};

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Shape {
    /// For people.
    #[default]
    Text,
    /// One object a line, for collectors.
    Json,
}

/// Changes what is logged while the process runs; clones change the same.
#[derive(Clone, Debug)]
pub struct LogControl {
    filter: reload::Handle<EnvFilter, Registry>,
}

/// Follows "failed to set up the log: " or "failed to change the log: ".
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    #[error("{given:?} is no log filter: {source}: write a level (info) or levels by module (andon=debug,info)")]
    Filter { given: String, source: ParseError },
    #[error("another log is set up already: {0}")]
    Taken(#[from] TryInitError),
    #[error("the log has gone: {0}")]
    Gone(#[from] reload::Error),
}

/// Sets up the log of this process; once, before anything is logged. `filter` is `tracing`'s: `info`,
/// `andon=debug,info`.
pub fn init(filter: &str, shape: Shape) -> Result<LogControl, LogError> {
    let (filter, control) = reload::Layer::new(parse(filter)?);
    let lines = fmt::layer().with_ansi(std::io::stderr().is_terminal()).with_writer(std::io::stderr);
    let lines: Box<dyn Layer<_> + Send + Sync> = match shape {
        Shape::Text => lines.compact().boxed(),
        Shape::Json => lines.json().flatten_event(true).boxed(),
    };
    tracing_subscriber::registry().with(filter).with(lines).try_init()?;
    Ok(LogControl { filter: control })
}

fn parse(given: &str) -> Result<EnvFilter, LogError> {
    EnvFilter::builder().parse(given).map_err(|source| LogError::Filter { given: given.to_owned(), source })
}

// === impl LogControl ===

impl LogControl {
    /// From now on only what `filter` lets through is logged; a wrong filter changes nothing.
    pub fn set(&self, filter: &str) -> Result<(), LogError> {
        self.filter.reload(parse(filter.trim())?)?;
        tracing::info!(filter = filter.trim(), "log filter changed");
        Ok(())
    }

    /// The filter in force.
    pub fn current(&self) -> Result<String, LogError> {
        Ok(self.filter.with_current(ToString::to_string)?)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A log of the calling test's own.
    pub fn scratch(filter: &str) -> (LogControl, impl tracing::Subscriber + Send + Sync) {
        let (layer, filter) = reload::Layer::new(parse(filter).unwrap());
        (LogControl { filter }, tracing_subscriber::registry().with(layer))
    }

    #[test]
    fn the_filter_changes_at_run_time() {
        let (control, subscriber) = scratch("info");
        tracing::subscriber::with_default(subscriber, || {
            assert!(!tracing::enabled!(tracing::Level::DEBUG));
            control.set("debug").unwrap();
            assert!(tracing::enabled!(tracing::Level::DEBUG));
            assert_eq!(control.current().unwrap(), "debug");
        });
    }

    #[test]
    fn a_wrong_filter_changes_nothing_and_says_what_to_write() {
        let (control, _subscriber) = scratch("info");
        let error = control.set("andon=loud").unwrap_err().to_string();
        assert!(error.contains("andon=loud") && error.contains("andon=debug,info"), "{error}");
        assert_eq!(control.current().unwrap(), "info");
    }

    #[test]
    fn an_empty_filter_is_refused_at_start() {
        assert!(parse("no such=level,=").is_err());
    }
}
