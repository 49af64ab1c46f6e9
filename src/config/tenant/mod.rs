//! A tenant as a file: what `andon tenant apply` takes and what a configuration version stores as JSON.
//!
//! [`TenantSpec::parse`] reads and checks the whole and fills in what has a default, so that what is stored says
//! everything. Only what names a thing or decides its meaning is demanded; titles default to names.

mod check;
mod line;
#[cfg(test)]
mod tests;
mod values;

use std::collections::HashSet;
use std::fmt;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::config::SecretUrl;
use crate::domain::production::config::{LossPolicy, ReasonKind, Role};

pub use self::values::{Day, Seconds, WallTime};
pub use crate::domain::production::indices::LossCategory;

/// Everything that a tenant's file says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TenantSpec {
    pub tenant: TenantInfo,
    #[serde(default)]
    pub loss_policy: LossPolicy,
    #[serde(default, rename = "shift")]
    pub shifts: Vec<ShiftSpec>,
    #[serde(default, rename = "break")]
    pub breaks: Vec<BreakSpec>,
    /// Holidays.
    #[serde(default, rename = "exception")]
    pub exceptions: Vec<ExceptionSpec>,
    #[serde(default, rename = "extra_shift")]
    pub extra_shifts: Vec<ExtraShiftSpec>,
    #[serde(default, rename = "product")]
    pub products: Vec<ProductSpec>,
    #[serde(default, rename = "reason")]
    pub reasons: Vec<ReasonSpec>,
    #[serde(default, rename = "line")]
    pub lines: Vec<LineSpec>,
}

/// `[tenant]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TenantInfo {
    /// `[a-z0-9_]{1,48}`
    pub name: String,
    /// Default: the name.
    #[serde(default)]
    pub company: String,
    /// IANA name; the wall time of shifts, days and hours.
    pub time_zone: String,
    #[serde(default)]
    pub locale: Locale,
    /// None: database `andon_t_<name>` on the server of the global one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database_url: Option<SecretUrl>,
}

/// Language of the tenant's screens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Locale {
    #[default]
    Es,
    En,
}

/// `[[shift]]`. A name may come again for other lines or days.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShiftSpec {
    pub name: String,
    pub start: WallTime,
    /// Not after the start: on the next day.
    pub end: WallTime,
    /// Days on which it starts; default: every day.
    #[serde(default = "every_day")]
    pub days: Vec<Day>,
    /// None: all lines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lines: Option<Vec<String>>,
}

/// `[[break]]`. It counts only inside a shift.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BreakSpec {
    /// The shift, regular or extra, that it belongs to; none: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shift: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    pub start: WallTime,
    /// Not after the start: on the next day.
    pub end: WallTime,
    /// Days on which it starts, or on which its shift does; default: every day.
    #[serde(default = "every_day")]
    pub days: Vec<Day>,
    /// None: all lines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lines: Option<Vec<String>>,
}

/// `[[exception]]`: a holiday.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExceptionSpec {
    /// Business date whose regular shifts are taken away.
    pub date: Date,
    /// None: all shifts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shifts: Option<Vec<String>>,
    /// None: all lines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lines: Option<Vec<String>>,
}

/// `[[extra_shift]]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExtraShiftSpec {
    pub date: Date,
    pub name: String,
    pub start: WallTime,
    /// Not after the start: on the next day.
    pub end: WallTime,
    /// None: all lines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lines: Option<Vec<String>>,
}

/// `[[product]]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProductSpec {
    pub id: i32,
    /// Default: the id.
    #[serde(default)]
    pub code: String,
    /// Default: the code.
    #[serde(default)]
    pub name: String,
    /// Grams of a piece.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight_g: Option<f64>,
    /// `#rrggbb`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub color: Option<String>,
    /// Pieces per minute; none: the line's `performance`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub production_std: Option<f64>,
}

/// `[[reason]]` of stops.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReasonSpec {
    pub code: String,
    /// Default: the code.
    #[serde(default)]
    pub name: String,
    /// Code of the reason above it. One that the file has no entry for is a heading: it is added, named by its code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    #[serde(default)]
    pub kind: ReasonKind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<LossCategory>,
}

/// `[[line]]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LineSpec {
    /// `[a-z0-9_]{1,48}`
    pub name: String,
    /// Default: the name.
    #[serde(default)]
    pub title: String,
    /// Lines of a group are shown and asked for together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Pieces per minute: the ideal rate of products without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub performance: Option<f64>,
    /// Above 0, at most 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub availability_target: Option<f64>,
    /// Above 0, at most 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oee_target: Option<f64>,
    /// Default: 60 s, unless given in cycles.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub downtime_threshold_s: Option<Seconds>,
    /// In the line's ideal cycles; rounded half up to whole milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub downtime_threshold_cycles: Option<f64>,
    /// Default: no micro-stops.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub micro_stop_threshold_s: Option<Seconds>,
    /// In the line's ideal cycles; rounded half up to whole milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub micro_stop_threshold_cycles: Option<f64>,
    /// None: all is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention_months: Option<u32>,
    /// Local time of the daily repair; `""` for never, default 04:00.
    #[serde(default = "repair_at", with = "values::wall_time_or_never")]
    pub repair_at: Option<WallTime>,
    /// Whether the first ideal cycle after an exit counts as running.
    #[serde(default)]
    pub cycle_credit: bool,
    /// Default: 600 s.
    #[serde(default = "allowed_lateness")]
    pub allowed_lateness_s: Seconds,
    /// A camera silent for longer is offline; none: not demanded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heartbeat_s: Option<Seconds>,
    /// Figures are published at most this often, milliseconds; default 1000.
    #[serde(default = "oee_cadence_ms")]
    pub oee_cadence_ms: u32,
    /// In the line's order.
    #[serde(default, rename = "area")]
    pub areas: Vec<AreaSpec>,
}

/// `[[line.area]]`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AreaSpec {
    /// Unique on the line.
    pub id: i32,
    /// Default: the id.
    #[serde(default)]
    pub name: String,
    pub role: Role,
    #[serde(default)]
    pub cameras: Vec<i32>,
    /// x1 y1 x2 y2 in the camera's picture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rect: Option<[i32; 4]>,
}

/// One thing wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Path of the key; members of lists by their names: `line[l1].area[3].rect`.
    pub key: String,
    pub problem: String,
    pub fix: String,
}

/// Why a tenant's file is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// Not TOML or JSON, an unknown key, or a value of the wrong type.
    #[error("{0}")]
    Syntax(String),
    /// All that is wrong.
    #[error("{}", Lines(.0))]
    Invalid(Vec<Problem>),
    #[error("line {0:?} is not in the tenant's file: name one that is, or add it")]
    UnknownLine(String),
}

struct Lines<'a>(&'a [Problem]);

fn every_day() -> Vec<Day> {
    Day::EVERY.to_vec()
}

fn repair_at() -> Option<WallTime> {
    WallTime::parse("04:00")
}

fn allowed_lateness() -> Seconds {
    Seconds::from_secs(600)
}

fn oee_cadence_ms() -> u32 {
    1000
}

/// Whether a tenant or line may have this name: it becomes part of topics, tables and databases.
pub fn is_name(text: &str) -> bool {
    (1..=48).contains(&text.len()) && text.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_'))
}

// === impl TenantSpec ===

impl TenantSpec {
    /// Reads a tenant's file.
    ///
    /// # Errors
    /// What is not TOML, an unknown key, a wrong type; or else everything that is wrong with the values.
    pub fn parse(toml: &str) -> Result<Self, SpecError> {
        let syntax = |error: &toml::de::Error| crate::config::syntax_error(toml, error);
        let input = toml::Deserializer::parse(toml).map_err(|error| SpecError::Syntax(syntax(&error)))?;
        let spec: TenantSpec = serde_path_to_error::deserialize(input).map_err(|error| {
            let path = error.path().to_string();
            SpecError::Syntax(format!("{path}: {}", syntax(&error.into_inner())))
        })?;
        spec.completed()
    }

    /// Reads what [`TenantSpec::to_json`] wrote.
    pub fn from_json(json: &str) -> Result<Self, SpecError> {
        let input = &mut serde_json::Deserializer::from_str(json);
        let spec: TenantSpec =
            serde_path_to_error::deserialize(input).map_err(|error| SpecError::Syntax(error.to_string()))?;
        spec.completed()
    }

    /// The form in which a version is stored. A password in `database_url` is in it.
    pub fn to_json(&self) -> Result<String, SpecError> {
        serde_json::to_string(self).map_err(|error| SpecError::Syntax(error.to_string()))
    }

    /// The line of this name.
    pub fn line(&self, name: &str) -> Result<&LineSpec, SpecError> {
        self.lines.iter().find(|line| line.name == name).ok_or_else(|| SpecError::UnknownLine(name.to_owned()))
    }

    /// Fills in defaults and checks.
    fn completed(mut self) -> Result<Self, SpecError> {
        let or = |text: &mut String, default: &str| {
            if text.is_empty() {
                default.clone_into(text);
            }
        };
        or(&mut self.tenant.company, &self.tenant.name);
        for product in &mut self.products {
            or(&mut product.code, &product.id.to_string());
            or(&mut product.name, &product.code);
        }
        self.add_headings();
        for reason in &mut self.reasons {
            or(&mut reason.name, &reason.code);
        }
        for line in &mut self.lines {
            or(&mut line.title, &line.name);
            for area in &mut line.areas {
                or(&mut area.name, &area.id.to_string());
            }
            if line.downtime_threshold_s.is_none() && line.downtime_threshold_cycles.is_none() {
                line.downtime_threshold_s = Some(Seconds::from_secs(60));
            }
        }
        let problems = check::problems(&self);
        if problems.is_empty() { Ok(self) } else { Err(SpecError::Invalid(problems)) }
    }
}

impl TenantSpec {
    /// Adds the parents that only their children name, of the first child's kind.
    fn add_headings(&mut self) {
        let mut known: HashSet<String> = self.reasons.iter().map(|reason| reason.code.clone()).collect();
        let mut headings = Vec::new();
        for reason in &self.reasons {
            let Some(parent) = &reason.parent else { continue };
            if known.insert(parent.clone()) {
                let (code, kind) = (parent.clone(), reason.kind);
                headings.push(ReasonSpec { name: code.clone(), code, parent: None, kind, category: None });
            }
        }
        self.reasons.extend(headings);
    }
}

impl fmt::Display for Lines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(f, "{separator}{problem}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.key, self.problem, self.fix)
    }
}
