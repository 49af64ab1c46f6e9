//! The settings of `system_config` that a gateway reads: each with its values and what holds without a row.

use serde_json::{Value, json};

/// A key that means something.
#[derive(Debug)]
pub struct Setting {
    pub key: &'static str,
    /// What it does, for people.
    pub title: &'static str,
    pub kind: Kind,
}

/// What a setting may be, with its default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Flag {
        default: bool,
    },
    /// A whole number within bounds.
    Count {
        default: i64,
        least: i64,
        most: i64,
    },
}

/// Figures of stops for several lines together: the originals hide them.
pub const STOPS_OF_SEVERAL_LINES: Setting = Setting {
    key: "dashboard.stops_of_several_lines",
    title: "Figures of stops are shown for several lines together",
    kind: Kind::Flag { default: false },
};

/// How long `system_monitor` is kept.
pub const MONITOR_KEEP_DAYS: Setting = Setting {
    key: "monitor.keep_days",
    title: "Days for which the use of machines is kept",
    kind: Kind::Count { default: 7, least: 1, most: 365 },
};

/// All of them, by key.
pub const SETTINGS: [Setting; 2] = [STOPS_OF_SEVERAL_LINES, MONITOR_KEEP_DAYS];

/// The setting of a key.
pub fn find(key: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.key == key)
}

// === impl Setting ===

impl Setting {
    /// What holds without a row.
    pub fn default(&self) -> Value {
        match self.kind {
            Kind::Flag { default } => default.into(),
            Kind::Count { default, .. } => default.into(),
        }
    }

    /// Whether a value is one of this setting.
    ///
    /// # Errors
    /// What it takes.
    pub fn check(&self, value: &Value) -> Result<(), String> {
        let (is_fine, takes) = match self.kind {
            Kind::Flag { .. } => (value.is_boolean(), "true or false".to_owned()),
            Kind::Count { least, most, .. } => {
                let is_within = value.as_i64().is_some_and(|count| (least..=most).contains(&count));
                (is_within, format!("a whole number from {least} to {most}"))
            }
        };
        if is_fine { Ok(()) } else { Err(format!("value: {} is {takes}", self.key)) }
    }

    /// The values that it takes, as JSON Schema.
    pub fn schema(&self) -> Value {
        match self.kind {
            Kind::Flag { .. } => json!({"type": "boolean"}),
            Kind::Count { least, most, .. } => json!({"type": "integer", "minimum": least, "maximum": most}),
        }
    }

    /// What holds where the table says this: a value that is none of this setting, written by hand, is passed over.
    pub fn of(&self, told: Option<Value>) -> Value {
        told.filter(|value| self.check(value).is_ok()).unwrap_or_else(|| self.default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_is_a_value_and_what_is_none_is_passed_over() {
        for setting in &SETTINGS {
            assert_eq!(setting.check(&setting.default()), Ok(()), "{}", setting.key);
            assert_eq!(setting.of(None), setting.default());
            assert_eq!(setting.of(Some(json!({"a": 1}))), setting.default());
            assert_eq!(find(setting.key).map(|found| found.key), Some(setting.key));
        }
        assert_eq!(STOPS_OF_SEVERAL_LINES.of(Some(json!(true))), json!(true));
        assert!(STOPS_OF_SEVERAL_LINES.check(&json!(1)).unwrap_err().contains("true or false"));
        for (value, is_fine) in [(json!(1), true), (json!(365), true), (json!(0), false), (json!(366), false)] {
            assert_eq!(MONITOR_KEEP_DAYS.check(&value).is_ok(), is_fine, "{value}");
        }
        assert!(MONITOR_KEEP_DAYS.check(&json!(1.5)).is_err());
    }
}
