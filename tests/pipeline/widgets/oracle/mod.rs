//! What every widget has to answer, made the plain way: pieces one by one from the detections, time from the
//! recomputed ledger, stops from what the topic told.

mod losses;
mod pieces;
mod times;

use std::collections::BTreeMap;

use andon::config::tenant::{LineSpec, TenantSpec};
use andon::domain::production::batch::Ledger;
use andon::domain::production::config::{LineConfig, Role};
use andon::domain::production::detection::Detection;
use andon::domain::production::figure::{Figure, Frame, Window};
use andon::domain::production::stop::Stop;
use andon::domain::production::sums::Sums;
use andon::domain::time::{Ms, Span, parse_rfc3339, rfc3339};
use andon::gateway::history::interval::Interval;
use andon::gateway::widgets::Widget;
use andon::gateway::widgets::catalogue::Kind;
use serde_json::{Value, json};

/// Items by their keys.
pub type Items = BTreeMap<String, Value>;

/// All that is known of a line.
pub struct Line {
    pub spec: LineSpec,
    pub config: LineConfig,
    pub ledger: Ledger,
    pub detections: Vec<Detection>,
    /// Of the topic, retracted ones left out.
    pub stops: Vec<Stop>,
}

/// All that is known of a tenant, lines in the order of its file.
pub struct Truth {
    pub spec: TenantSpec,
    pub lines: Vec<Line>,
}

/// A question, without what the widget passes over.
struct Asked<'a> {
    truth: &'a Truth,
    lines: Vec<&'a Line>,
    span: Span,
    interval: Option<Interval>,
    area: Option<i64>,
    product: Option<i64>,
    shift: Option<String>,
    reason: Option<String>,
    by_lines: bool,
}

// === impl Truth ===

impl Truth {
    /// The items of a widget over a range.
    pub fn answer(&self, widget: &Widget, params: &Value) -> Items {
        let asked = Asked::new(self, widget, params);
        let several = asked.lines.len() > 1;
        if widget.is_of_stops && several {
            return items([asked.about(None, &json!({"hidden": "several_lines"}))]);
        }
        match widget.kind {
            Kind::Production => asked.kpi_production(),
            Kind::Oee => asked.kpi(|figure| json!(figure.oee), |line| line.oee_target),
            Kind::Availability => asked.kpi(|figure| json!(figure.availability), |line| line.availability_target),
            Kind::Performance => asked.kpi(|figure| json!(figure.performance), |_| None),
            Kind::Quality => asked.kpi(|figure| json!(figure.quality), |_| None),
            Kind::Downtime => asked.kpi(|figure| json!(figure.buckets_ms.stopped), |_| None),
            Kind::Weight => asked.weight(),
            Kind::Areas => asked.areas(),
            Kind::Products | Kind::ProductRanking => asked.products(),
            Kind::ProductionOverTime => asked.production(),
            Kind::Comparison if asked.by_lines => asked.kpi(|figure| json!(figure.oee), |line| line.oee_target),
            Kind::Comparison => asked.comparison(),
            Kind::Timeline => asked.timeline(),
            Kind::HourByHour => asked.hours(),
            Kind::StopScatter | Kind::StopTable => asked.stops(),
            Kind::Pareto => asked.pareto(),
            Kind::Waterfall => asked.waterfall(),
            Kind::Andon | Kind::Cameras => panic!("{} has no range", widget.id),
        }
    }
}

// === impl Line ===

impl Line {
    /// What of a span is asked about: all of it, or what lies in shifts of that name.
    fn own(&self, span: Span, shift: Option<&str>) -> Vec<Span> {
        let Some(shift) = shift else { return vec![span] };
        let slots = self.config.calendar.slots(span).into_iter();
        slots.filter(|slot| slot.shift.as_ref().is_some_and(|of| *of.name == *shift)).map(|slot| slot.span).collect()
    }

    fn sums(&self, spans: impl IntoIterator<Item = Span>) -> Sums {
        let mut sums = Sums::default();
        spans.into_iter().for_each(|span| sums += &self.ledger.sums(span));
        sums
    }

    fn frame(&self, span: Span, own: &[Span]) -> Frame {
        let plain = self.ledger.figure_range(span);
        Frame {
            line: Some(self.spec.name.clone()),
            window: Window::Range,
            from: span.from,
            to: span.to,
            as_of: plain.as_of,
            watermark: self.ledger.clock.unwrap_or(0),
            revision: 0,
            config_versions: plain.config_versions,
            policy_versions: plain.policy_versions,
            holes_ms: span.len() - own.iter().map(Span::len).sum::<Ms>(),
            has_cycle: self.config.ideal_cycle_ns.is_some() || !self.config.product_cycles_ns.is_empty(),
        }
    }

    /// Pieces due: busy time over the mean cycle of what was made, else the line's own, times the target.
    fn due(&self, figure: &Figure) -> Option<f64> {
        let judged = figure.pieces.total - figure.pieces.outside_pbt;
        let cycle_ns = match judged > 0 && figure.ideal_ns > 0 {
            true => figure.ideal_ns as f64 / judged as f64,
            false => self.config.ideal_cycle_ns? as f64,
        };
        let buckets = &figure.buckets_ms;
        let busy_ms = buckets.running + buckets.micro_stop + buckets.stopped;
        Some(busy_ms as f64 * 1e6 / cycle_ns * self.spec.oee_target?)
    }
}

// === impl Asked ===

impl<'a> Asked<'a> {
    fn new(truth: &'a Truth, widget: &Widget, params: &Value) -> Asked<'a> {
        let filters: Vec<&str> = widget.filters.iter().map(|filter| filter.as_str()).collect();
        let given = |name: &str| filters.contains(&name).then(|| &params[name]).filter(|value| !value.is_null());
        let text = |name: &str| given(name).map(|value| value.as_str().expect("text").to_owned());
        let at = |name: &str| parse_rfc3339(params[name].as_str().expect("a time")).expect("a time");
        let names = &params["line"];
        let is_named = |name: &str| names == name || names.as_array().is_some_and(|all| all.iter().any(|n| n == name));
        let is_wanted = |line: &&Line| {
            names.is_null() || is_named(&line.spec.name) || line.spec.group.as_deref().is_some_and(is_named)
        };
        Asked {
            truth,
            lines: truth.lines.iter().filter(is_wanted).collect(),
            span: Span::new(at("from"), at("to")),
            interval: text("interval").map(|name| Interval::parse(&name).expect("an interval")),
            area: given("area").and_then(Value::as_i64),
            product: given("product").and_then(Value::as_i64),
            shift: text("shift"),
            reason: text("reason"),
            by_lines: given("by").is_some_and(|by| by == "lines"),
        }
    }

    fn about(&self, span: Option<Span>, more: &Value) -> (String, Value) {
        let lines: Vec<&str> = self.lines.iter().map(|line| line.spec.name.as_str()).collect();
        let (from, to) = (span.map(|span| rfc3339(span.from)), span.map(|span| rfc3339(span.to)));
        let mut about = json!({"lines": lines, "from": from, "to": to});
        about.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        ("about".to_owned(), about)
    }

    fn own(&self, line: &Line) -> Vec<Span> {
        line.own(self.span, self.shift.as_deref())
    }

    /// Each line's figure and what it is made of.
    fn figures(&self) -> Vec<(&'a Line, Frame, Sums, Figure)> {
        let figure = |line: &&'a Line| {
            let own = self.own(line);
            let (frame, sums) = (line.frame(self.span, &own), line.sums(own));
            (*line, frame.clone(), sums, Figure::new(frame, &sums))
        };
        self.lines.iter().map(figure).collect()
    }

    fn kpi(&self, value: impl Fn(&Figure) -> Value, target: impl Fn(&LineSpec) -> Option<f64>) -> Items {
        self.kpis(|line, figure| (value(figure), target(&line.spec)), |figure| (value(figure), None))
    }

    fn kpis(
        &self,
        judge: impl Fn(&Line, &Figure) -> (Value, Option<f64>),
        together: impl Fn(&Figure) -> (Value, Option<f64>),
    ) -> Items {
        let figures = self.figures();
        let mut found = items([self.about(Some(self.span), &json!({}))]);
        for (line, _, _, figure) in &figures {
            let (value, target) = judge(line, figure);
            let (name, title) = (&line.spec.name, &line.spec.title);
            let item = json!({"line": name, "title": title, "value": value, "target": target, "figure": figure});
            found.insert(name.clone(), item);
        }
        let parts: Vec<(Frame, Sums)> = figures.into_iter().map(|(_, frame, sums, _)| (frame, sums)).collect();
        if let Some(figure) = (parts.len() > 1).then(|| Figure::total(&parts)).flatten() {
            let (value, target) = together(&figure);
            let item = json!({"line": null, "title": null, "value": value, "target": target, "figure": figure});
            found.insert("total".to_owned(), item);
        }
        found
    }

    fn kpi_production(&self) -> Items {
        if self.area.is_none() && self.product.is_none() {
            let due: Option<f64> = self.figures().iter().map(|(line, _, _, figure)| line.due(figure)).sum();
            let good = |figure: &Figure| json!(figure.pieces.good);
            return self.kpis(|line, figure| (good(figure), line.due(figure)), |figure| (good(figure), due));
        }
        let amount = |line: &Line| self.amount(line, &self.own(line));
        let all: i64 = self.lines.iter().map(|line| amount(line)).sum();
        self.kpis(|line, _| (json!(amount(line)), None), |_| (json!(all), None))
    }

    /// Pieces that the filters leave, one by one.
    fn pieces<'b>(&'b self, line: &'b Line, spans: &'b [Span]) -> impl Iterator<Item = (&'b Detection, Role, i64)> {
        let is_wanted = |one: &&Detection| {
            self.area.is_none_or(|area| area == i64::from(one.area_id))
                && self.product.is_none_or(|product| product == i64::from(one.product_id))
        };
        let inside = |one: &&Detection| spans.iter().any(|span| span.contains(one.detected_at));
        line.detections
            .iter()
            .filter(is_wanted)
            .filter(inside)
            .map(|one| (one, line.config.part_of(one.area_id).unwrap_or(Role::Process), i64::from(one.quantity)))
    }

    /// Of an area all pieces, else those that came out.
    fn amount(&self, line: &Line, spans: &[Span]) -> i64 {
        let is_wanted = |part: Role| self.area.is_some() || part == Role::Output;
        self.pieces(line, spans).filter(|(_, part, _)| is_wanted(*part)).map(|(_, _, quantity)| quantity).sum()
    }
}

fn items(all: impl IntoIterator<Item = (String, Value)>) -> Items {
    all.into_iter().collect()
}
