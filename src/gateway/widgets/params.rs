//! What is asked of a widget: the same filters for all of them, read strictly and within bounds, from a frame, a
//! request's body or its query.

use serde_json::{Map, Value, json};

use crate::domain::production::figure::Window;
use crate::domain::time::{Ms, Span, parse_rfc3339};
use crate::gateway::history::interval::Interval;
use crate::gateway::history::together::Period;
use crate::gateway::http::query::Query;
use crate::gateway::problem::Problem;
use crate::gateway::widgets::Widget;

/// Lines or groups that may be named.
const MAX_NAMES: usize = 256;
/// Longest name of anything, characters.
const MAX_NAME: usize = 100;
/// The longest range: two years and a bit.
const MAX_RANGE_MS: Ms = 800 * 24 * 3_600_000;
/// Items of a chart.
pub const MAX_ITEMS: usize = 2_000;

/// A filter of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Filter {
    /// Lines or groups.
    Line,
    /// A window, or from and to.
    Period,
    Interval,
    Area,
    Product,
    Shift,
    Reason,
    /// What a comparison is of.
    By,
}

/// What a comparison is of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum By {
    /// What went in, what came out and what was rejected.
    #[default]
    Parts,
    /// Lines side by side.
    Lines,
}

/// What is asked of a widget.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Params {
    /// Lines or groups; empty: all that one may see.
    pub lines: Vec<String>,
    pub period: Period,
    pub interval: Option<Interval>,
    pub area: Option<i32>,
    pub product: Option<i32>,
    pub shift: Option<String>,
    pub reason: Option<String>,
    pub by: By,
}

/// The names of all parameters.
pub const NAMES: [&str; 10] = ["line", "window", "from", "to", "interval", "area", "product", "shift", "reason", "by"];

/// The parameters that a request's query gives.
///
/// # Errors
/// One that is given twice, beside lines.
pub fn from_query(query: &Query) -> Result<Map<String, Value>, Problem> {
    let mut params = Map::new();
    for name in NAMES {
        if name == "line" {
            let lines = query.all(name);
            if !lines.is_empty() {
                params.insert(name.to_owned(), lines.into());
            }
        } else if let Some(value) = query.one(name)? {
            params.insert(name.to_owned(), value.into());
        }
    }
    Ok(params)
}

// === impl Filter ===

impl Filter {
    /// Those that every widget takes, so that a page can give all of its widgets the same.
    pub const COMMON: [Filter; 7] =
        [Filter::Line, Filter::Period, Filter::Interval, Filter::Area, Filter::Product, Filter::Shift, Filter::Reason];

    pub fn as_str(self) -> &'static str {
        match self {
            Filter::Line => "line",
            Filter::Period => "period",
            Filter::Interval => "interval",
            Filter::Area => "area",
            Filter::Product => "product",
            Filter::Shift => "shift",
            Filter::Reason => "reason",
            Filter::By => "by",
        }
    }
}

/// Puts the properties of a filter into a JSON Schema.
pub fn properties(filter: Filter, applies: bool, into: &mut Map<String, Value>) {
    let name = json!({"type": "string", "minLength": 1, "maxLength": MAX_NAME});
    let list = |names: Vec<&str>| json!({"type": "string", "enum": names});
    let mut put = |key: &str, mut schema: Value, meaning: &str| {
        let note = if applies { "" } else { " (passed over by this widget)" };
        schema["description"] = format!("{meaning}{note}").into();
        into.insert(key.to_owned(), schema);
    };
    match filter {
        Filter::Line => {
            let lines = json!({"oneOf": [name, {"type": "array", "items": name, "maxItems": MAX_NAMES}]});
            put("line", lines, "lines or groups; none: all that one may see");
        }
        Filter::Period => {
            put("window", list(Window::LIVE.map(Window::as_str).to_vec()), "on each line's own clock; default: shift");
            let time = json!({"type": "string", "format": "date-time"});
            put("from", time.clone(), "instead of a window, with to: at most 800 days");
            put("to", time, "may lie ahead: what is to come is outside");
        }
        Filter::Interval => {
            let names = list(Interval::ALL.map(Interval::as_str).to_vec());
            put("interval", names, "by the wall clock; default: what gives a few hundred items");
        }
        Filter::Area => put("area", json!({"type": "integer"}), "pieces of this area alone"),
        Filter::Product => put("product", json!({"type": "integer"}), "pieces of this product alone"),
        Filter::Shift => put("shift", name, "only what lies in shifts of this name"),
        Filter::Reason => put("reason", name, "only stops of this reason"),
        Filter::By => put("by", list(vec!["parts", "lines"]), "what is compared; default: parts"),
    }
}

// === impl Params ===

impl Params {
    /// Reads what is asked of `widget`.
    ///
    /// # Errors
    /// What is wrong, by its name.
    pub fn read(widget: &Widget, given: &Map<String, Value>) -> Result<Params, String> {
        let mut params = Params {
            lines: Vec::new(),
            period: Period::Window(Window::Shift),
            interval: None,
            area: None,
            product: None,
            shift: None,
            reason: None,
            by: By::default(),
        };
        let (mut window, mut from, mut to) = (None, None, None);
        for (name, value) in given.iter().filter(|(_, value)| !value.is_null()) {
            match name.as_str() {
                "line" => params.lines = names(value)?,
                "window" => window = Some(value.as_str().and_then(live_window).ok_or_else(window_names)?),
                "from" => from = Some(instant(name, value)?),
                "to" => to = Some(instant(name, value)?),
                "interval" => {
                    params.interval = Some(value.as_str().and_then(Interval::parse).ok_or_else(Interval::names)?);
                }
                "area" => params.area = Some(number(name, value)?),
                "product" => params.product = Some(number(name, value)?),
                "shift" => params.shift = Some(one_name(name, value)?),
                "reason" => params.reason = Some(one_name(name, value)?),
                "by" if widget.filters.contains(&Filter::By) => {
                    params.by = match value.as_str() {
                        Some("parts") => By::Parts,
                        Some("lines") => By::Lines,
                        _ => return Err("by: one of parts, lines".to_owned()),
                    };
                }
                _ => return Err(format!("params.{name}: unknown to {}", widget.id)),
            }
        }
        params.period = match (window, from, to) {
            (None, None, None) => Period::Window(Window::Shift),
            (Some(window), None, None) => Period::Window(window),
            (None, Some(from), Some(to)) => Period::Range(range(from, to)?),
            (Some(_), ..) => return Err("window: not beside from and to".to_owned()),
            (None, None, Some(_)) => return Err("from: is missing beside to".to_owned()),
            (None, Some(_), None) => return Err("to: is missing beside from".to_owned()),
        };
        params.check(widget)?;
        Ok(params)
    }

    /// What is wrong only together.
    fn check(&self, widget: &Widget) -> Result<(), String> {
        if !widget.filters.contains(&Filter::Interval) {
            return Ok(());
        }
        let (Some(interval), Some(length)) = (self.interval, self.length()) else { return Ok(()) };
        let shortest = match interval {
            Interval::Minute => 60_000,
            Interval::QuarterHour => 15 * 60_000,
            // Not by the calendar: the answer is cut by that, and refused there at worst.
            Interval::Hour | Interval::Day | Interval::Week | Interval::Month => 60 * 60_000,
        };
        let items = length / shortest;
        if interval <= Interval::Hour && items > MAX_ITEMS as Ms {
            return Err(format!("interval: more than {MAX_ITEMS} in this period; ask for longer ones"));
        }
        Ok(())
    }

    /// Milliseconds of the period; none of windows without a length of their own.
    fn length(&self) -> Option<Ms> {
        match self.period {
            Period::Range(span) => Some(span.len()),
            Period::Window(window) => window.slices().map(|slices| slices * 10_000),
        }
    }

    /// With everything that `widget` passes over left out: what is asked alike is answered once.
    pub fn of(mut self, widget: &Widget) -> Params {
        for filter in widget.ignores() {
            match filter {
                Filter::Interval => self.interval = None,
                Filter::Area => self.area = None,
                Filter::Product => self.product = None,
                Filter::Shift => self.shift = None,
                Filter::Reason => self.reason = None,
                Filter::Period => self.period = Period::Window(Window::Shift),
                Filter::Line | Filter::By => {}
            }
        }
        self
    }
}

fn live_window(name: &str) -> Option<Window> {
    Window::LIVE.into_iter().find(|window| window.as_str() == name)
}

fn window_names() -> String {
    format!("window: one of {}", Window::LIVE.map(Window::as_str).join(", "))
}

fn one_name(name: &str, value: &Value) -> Result<String, String> {
    let text = value.as_str().filter(|text| !text.is_empty() && text.chars().count() <= MAX_NAME);
    text.map(str::to_owned).ok_or_else(|| format!("{name}: a name of at most {MAX_NAME} characters"))
}

fn names(value: &Value) -> Result<Vec<String>, String> {
    let all = match value {
        Value::Array(all) if all.len() > MAX_NAMES => return Err(format!("line: at most {MAX_NAMES} names")),
        Value::Array(all) => all.iter().map(|one| one_name("line", one)).collect::<Result<Vec<_>, _>>()?,
        one => vec![one_name("line", one)?],
    };
    // In whatever order they are named: it is the same question.
    let all: std::collections::BTreeSet<String> = all.into_iter().collect();
    Ok(all.into_iter().collect())
}

/// A number, or its text as a query has it.
fn number(name: &str, value: &Value) -> Result<i32, String> {
    let number = value.as_i64().or_else(|| value.as_str()?.parse().ok());
    number.and_then(|number| i32::try_from(number).ok()).ok_or_else(|| format!("{name}: a whole number"))
}

fn instant(name: &str, value: &Value) -> Result<Ms, String> {
    // A plus of an offset that was not escaped has become a blank in a query.
    let read = value.as_str().and_then(|text| parse_rfc3339(&text.replace(' ', "+")).ok());
    read.ok_or_else(|| format!("{name}: an RFC 3339 time like 2026-01-01T06:00:00Z"))
}

fn range(from: Ms, to: Ms) -> Result<Span, String> {
    if to <= from {
        return Err("from: must be before to".to_owned());
    }
    if to - from > MAX_RANGE_MS {
        return Err("from: lies more than 800 days before to".to_owned());
    }
    Ok(Span::new(from, to))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::widgets::{CATALOGUE, find};

    fn read(widget: &str, given: Value) -> Result<Params, String> {
        Params::read(find(widget).unwrap(), given.as_object().unwrap())
    }

    #[test]
    fn a_widget_without_parameters_is_the_shift_of_all_lines() {
        let params = read("kpi_oee", json!({})).unwrap();
        assert_eq!((params.period, params.lines.len()), (Period::Window(Window::Shift), 0));
    }

    #[test]
    fn every_widget_takes_the_filters_of_a_page() {
        let page = json!({"line": ["l2", "l1"], "from": "2026-01-01T00:00:00Z", "to": "2026-01-02T00:00:00Z",
            "interval": "hour", "area": 1, "product": "7", "shift": "night", "reason": "jam"});
        for widget in CATALOGUE {
            let params = read(widget.id, page.clone()).unwrap();
            assert_eq!(params.lines, ["l1", "l2"]);
            let own = params.of(widget);
            assert_eq!(own.reason.is_some(), widget.filters.contains(&Filter::Reason), "{}", widget.id);
            assert_eq!(own.area.is_some(), widget.filters.contains(&Filter::Area), "{}", widget.id);
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (given, word) in [
            (json!({"window": "range"}), "window"),
            (json!({"window": "1h", "from": "2026-01-01T00:00:00Z", "to": "2026-01-02T00:00:00Z"}), "window"),
            (json!({"from": "2026-01-01T00:00:00Z"}), "to: is missing"),
            (json!({"to": "2026-01-01T00:00:00Z"}), "from: is missing"),
            (json!({"from": "2026-01-02T00:00:00Z", "to": "2026-01-02T00:00:00Z"}), "before to"),
            (json!({"from": "2020-01-01T00:00:00Z", "to": "2026-01-02T00:00:00Z"}), "800 days"),
            (json!({"from": "yesterday", "to": "2026-01-02T00:00:00Z"}), "from"),
            (json!({"from": "2025-01-01T00:00:00Z", "to": "2026-01-01T00:00:00Z", "interval": "minute"}), "interval"),
            (json!({"interval": "second"}), "interval"),
            (json!({"area": 1.5}), "area"),
            (json!({"area": 99_999_999_999_i64}), "area"),
            (json!({"shift": ""}), "shift"),
            (json!({"line": [1]}), "line"),
            (json!({"line": vec!["l"; 257]}), "256"),
            (json!({"lines": "l1"}), "params.lines"),
            (json!({"by": "lines"}), "params.by"),
        ] {
            let detail = read("chart_production", given.clone()).unwrap_err();
            assert!(detail.contains(word), "{given}: {detail}");
        }
        assert_eq!(read("chart_comparison", json!({"by": "lines"})).unwrap().by, By::Lines);
    }
}
