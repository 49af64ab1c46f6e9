//! The configuration in force at any time.

use crate::domain::production::config::LineConfig;
use crate::domain::production::input::LineInput;
use crate::domain::time::{FOREVER, Ms, Span};

/// The versions of a line's configuration, each in force until the next begins.
#[derive(Clone, Debug)]
pub struct Versions(Vec<LineConfig>);

impl Versions {
    /// Of `configs`; each holds from when the line took it over, where that is recorded. Where two begin at once the
    /// later version holds.
    pub fn new(mut configs: Vec<LineConfig>, inputs: &[LineInput]) -> Self {
        assert!(!configs.is_empty(), "a line has a configuration");
        for input in inputs {
            let LineInput::Version { version, at } = input else { continue };
            for config in configs.iter_mut().filter(|config| config.version == *version) {
                config.valid_from = *at;
            }
        }
        configs.sort_by_key(|config| (config.valid_from, config.version));
        Self(configs)
    }

    /// The version in force at an instant.
    pub fn at(&self, at: Ms) -> &LineConfig {
        let later = self.0.partition_point(|config| config.valid_from <= at);
        &self.0[later.saturating_sub(1)]
    }

    /// The versions in force in a period, each with its part of it.
    pub fn stretches(&self, period: Span) -> Vec<(Span, &LineConfig)> {
        let ends = self.0.iter().skip(1).map(|config| config.valid_from).chain([FOREVER]);
        let parts = self.0.iter().zip(ends).enumerate().filter_map(|(index, (config, end))| {
            let begin = if index == 0 { period.from } else { config.valid_from };
            Some((Span::new(begin, end).intersect(&period)?, config))
        });
        parts.collect()
    }
}
