//! From sums to a figure: availability, performance, quality, OEE, with their nulls, flags and intervals.
//!
//! Formulas: ISO 22400-2 (A = APT / PBT, effectiveness = Σ ideal / APT, quality = good / total), integers
//! throughout and one division at the end. The rules for empty and impossible periods are in `docs/semantics.md`.

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use crate::domain::production::sums::{Bucket, Sums};
use crate::domain::time::{Ms, as_rfc3339};

/// Nanoseconds in a millisecond.
const NS_PER_MS: i128 = 1_000_000;

/// Which period a figure is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Window {
    #[serde(rename = "shift")]
    Shift,
    #[serde(rename = "5m")]
    FiveMinutes,
    #[serde(rename = "15m")]
    QuarterHour,
    #[serde(rename = "1h")]
    Hour,
    #[serde(rename = "8h")]
    EightHours,
    #[serde(rename = "24h")]
    Day24,
    #[serde(rename = "day")]
    BusinessDay,
    /// Any [from, to); never published.
    #[serde(rename = "range")]
    Range,
}

impl Window {
    /// The windows that live on the line's clock and are published.
    pub const LIVE: [Window; 7] = [
        Window::Shift,
        Window::FiveMinutes,
        Window::QuarterHour,
        Window::Hour,
        Window::EightHours,
        Window::Day24,
        Window::BusinessDay,
    ];

    /// The word in shapes and the record key.
    pub fn as_str(self) -> &'static str {
        match self {
            Window::Shift => "shift",
            Window::FiveMinutes => "5m",
            Window::QuarterHour => "15m",
            Window::Hour => "1h",
            Window::EightHours => "8h",
            Window::Day24 => "24h",
            Window::BusinessDay => "day",
            Window::Range => "range",
        }
    }

    /// The window of that name.
    pub fn parse(name: &str) -> Option<Window> {
        Window::LIVE.into_iter().chain([Window::Range]).find(|w| w.as_str() == name)
    }

    /// Number of 10 s slices of a rolling window; none for the others.
    pub fn slices(self) -> Option<i64> {
        match self {
            Window::FiveMinutes => Some(30),
            Window::QuarterHour => Some(90),
            Window::Hour => Some(360),
            Window::EightHours => Some(2_880),
            Window::Day24 => Some(8_640),
            Window::Shift | Window::BusinessDay | Window::Range => None,
        }
    }
}

/// Whether a figure can still change by input in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FigureState {
    Provisional,
    /// Its period ends at or before the watermark.
    Final,
}

/// What a reader must know beside the numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Flag {
    /// P > 1: the ideal rate is below what the line does.
    StandardTooLow,
    QualityAboveOne,
    QualityNotMeasured,
    /// Pieces without production time.
    NoProductionTime,
}

impl Flag {
    pub const ALL: [Flag; 4] =
        [Flag::StandardTooLow, Flag::QualityAboveOne, Flag::QualityNotMeasured, Flag::NoProductionTime];

    pub fn as_str(self) -> &'static str {
        match self {
            Flag::StandardTooLow => "standard_too_low",
            Flag::QualityAboveOne => "quality_above_one",
            Flag::QualityNotMeasured => "quality_not_measured",
            Flag::NoProductionTime => "no_production_time",
        }
    }
}

/// Milliseconds by bucket, by name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BucketsMs {
    pub unscheduled: Ms,
    pub planned_stop: Ms,
    pub no_data: Ms,
    pub running: Ms,
    pub micro_stop: Ms,
    pub stopped: Ms,
}

/// Pieces of the period.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pieces {
    pub total: i64,
    pub good: i64,
    pub reject: i64,
    pub outside_pbt: i64,
}

/// A figure of a line, or of several as their total.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// None for a total.
    pub line: Option<String>,
    pub window: Window,
    #[serde(with = "as_rfc3339")]
    pub from: Ms,
    #[serde(with = "as_rfc3339")]
    pub to: Ms,
    /// The line clock; of a total the earliest.
    #[serde(with = "as_rfc3339")]
    pub as_of: Ms,
    pub state: FigureState,
    /// Revision of the shift record for a closed shift, else 0.
    pub revision: u32,
    pub config_versions: Vec<u32>,
    pub policy_versions: Vec<u32>,
    /// 1 − no_data / (PBT + no_data); null when both are 0.
    pub completeness: Option<f64>,
    pub buckets_ms: BucketsMs,
    /// Before the first detection and after the clock.
    pub outside_ms: Ms,
    pub pieces: Pieces,
    /// Σ quantity × ideal cycle, nanoseconds.
    pub ideal_ns: i64,
    pub stops: i64,
    pub micro_stops: i64,
    pub availability: Option<f64>,
    pub performance: Option<f64>,
    pub quality: Option<f64>,
    pub oee: Option<f64>,
    /// [lo, hi] while part of the period is blind.
    pub oee_interval: Option<[f64; 2]>,
    pub flags: Vec<Flag>,
}

/// What a figure says of its period beside the sums.
#[derive(Clone, Debug)]
pub struct Frame {
    pub line: Option<String>,
    pub window: Window,
    pub from: Ms,
    pub to: Ms,
    pub as_of: Ms,
    pub watermark: Ms,
    pub revision: u32,
    pub config_versions: Vec<u32>,
    pub policy_versions: Vec<u32>,
    /// Milliseconds of [from, to) that are not the period's own: the holes of a business day.
    pub holes_ms: Ms,
    /// Whether the line or a product of it has an ideal cycle.
    pub has_cycle: bool,
}

/// Availability, performance, quality and OEE of sums; `None` where the rules say null.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ratios {
    pub availability: Option<f64>,
    pub performance: Option<f64>,
    pub quality: Option<f64>,
    pub oee: Option<f64>,
}

fn ratio(above: i128, below: i128) -> f64 {
    above as f64 / below as f64
}

/// The four ratios by the rules for empty and impossible periods.
pub fn ratios(sums: &Sums) -> Ratios {
    let pbt = i128::from(sums.pbt_ms());
    let apt = i128::from(sums.apt_ms);
    let nothing = Ratios { availability: None, performance: None, quality: None, oee: None };
    if pbt == 0 {
        return nothing;
    }
    let availability = Some(ratio(apt, pbt));
    if sums.seen == 0 {
        return Ratios { availability, performance: Some(0.0), quality: None, oee: Some(0.0) };
    }
    let total = i128::from(sums.total - sums.outside_pbt);
    let good = i128::from(sums.good - sums.good_outside);
    let quality = (total > 0).then(|| ratio(good, total));
    let known_cycle = sums.without_cycle == 0;
    let ideal = i128::from(sums.ideal_ns);
    if apt == 0 {
        return Ratios { availability, performance: None, quality, oee: Some(0.0) };
    }
    let performance = known_cycle.then(|| ratio(ideal, apt * NS_PER_MS));
    let oee = (known_cycle && total > 0).then(|| ratio(ideal * good, pbt * NS_PER_MS * total));
    Ratios { availability, performance, quality, oee }
}

/// Bounds of OEE while part of the period is blind: everything lost, or everything at the ideal rate.
pub fn oee_interval(sums: &Sums, has_cycle: bool) -> Option<[f64; 2]> {
    let no_data = i128::from(sums.bucket(Bucket::NoData));
    if no_data == 0 || !has_cycle || sums.without_cycle > 0 {
        return None;
    }
    let whole = (i128::from(sums.pbt_ms()) + no_data) * NS_PER_MS;
    let ideal = i128::from(sums.ideal_ns);
    let total = i128::from(sums.total - sums.outside_pbt);
    let good = i128::from(sums.good - sums.good_outside);
    let (good, total) = if total > 0 { (good, total) } else { (1, 1) };
    let lo = ratio(ideal * good, whole * total);
    let hi = ratio((ideal + no_data * NS_PER_MS) * good, whole * total);
    Some([lo, hi])
}

/// Share of the busy time that was seen.
pub fn completeness(sums: &Sums) -> Option<f64> {
    let no_data = sums.bucket(Bucket::NoData);
    let whole = sums.pbt_ms() + no_data;
    (whole > 0).then(|| ratio(i128::from(whole - no_data), i128::from(whole)))
}

/// The flags of sums.
pub fn flags(sums: &Sums, ratios: &Ratios) -> Vec<Flag> {
    let mut flags = Vec::new();
    if ratios.performance.is_some_and(|p| p > 1.0) {
        flags.push(Flag::StandardTooLow);
    }
    if ratios.quality.is_some_and(|q| q > 1.0) {
        flags.push(Flag::QualityAboveOne);
    }
    if sums.unmeasured > 0 {
        flags.push(Flag::QualityNotMeasured);
    }
    if sums.pbt_ms() > 0 && sums.apt_ms == 0 && sums.seen > 0 {
        flags.push(Flag::NoProductionTime);
    }
    flags
}

impl Figure {
    /// The figure of `sums` over the period of `frame`.
    pub fn new(frame: Frame, sums: &Sums) -> Figure {
        let ratios = ratios(sums);
        Figure {
            state: if frame.to <= frame.watermark { FigureState::Final } else { FigureState::Provisional },
            outside_ms: frame.to - frame.from - frame.holes_ms - sums.accounted_ms(),
            line: frame.line,
            window: frame.window,
            from: frame.from,
            to: frame.to,
            as_of: frame.as_of,
            revision: frame.revision,
            config_versions: frame.config_versions,
            policy_versions: frame.policy_versions,
            completeness: completeness(sums),
            buckets_ms: BucketsMs {
                unscheduled: sums.bucket(Bucket::Unscheduled),
                planned_stop: sums.bucket(Bucket::PlannedStop),
                no_data: sums.bucket(Bucket::NoData),
                running: sums.bucket(Bucket::Running),
                micro_stop: sums.bucket(Bucket::MicroStop),
                stopped: sums.bucket(Bucket::Stopped),
            },
            pieces: Pieces { total: sums.total, good: sums.good, reject: sums.reject, outside_pbt: sums.outside_pbt },
            ideal_ns: sums.ideal_ns,
            stops: sums.stops,
            micro_stops: sums.micro_stops,
            availability: ratios.availability,
            performance: ratios.performance,
            quality: ratios.quality,
            oee: ratios.oee,
            oee_interval: oee_interval(sums, frame.has_cycle),
            flags: flags(sums, &ratios),
        }
    }
    /// The figure of several lines together, from the sums of their sums; none for no line.
    ///
    /// Its period reaches from the first beginning to the last end. What is outside of the lines' own periods adds
    /// up like their buckets, so that a total accounts for line time.
    pub fn total(parts: &[(Frame, Sums)]) -> Option<Figure> {
        let (first, _) = parts.first()?;
        let mut sums = Sums::default();
        let mut frame = Frame { line: None, revision: 0, holes_ms: 0, ..first.clone() };
        let mut outside_ms = 0;
        let mut state = FigureState::Final;
        for (own, own_sums) in parts {
            sums += own_sums;
            let own = Figure::new(own.clone(), own_sums);
            outside_ms += own.outside_ms;
            if own.state == FigureState::Provisional {
                state = FigureState::Provisional;
            }
            frame.from = frame.from.min(own.from);
            frame.to = frame.to.max(own.to);
            frame.as_of = frame.as_of.min(own.as_of);
            frame.config_versions = union(frame.config_versions, &own.config_versions);
            frame.policy_versions = union(frame.policy_versions, &own.policy_versions);
        }
        frame.has_cycle = parts.iter().all(|(own, _)| own.has_cycle);
        Some(Figure { outside_ms, state, ..Figure::new(frame, &sums) })
    }
}

/// Ascending, each once.
fn union(mut numbers: Vec<u32>, others: &[u32]) -> Vec<u32> {
    numbers.extend(others);
    numbers.sort_unstable();
    numbers.dedup();
    numbers
}
