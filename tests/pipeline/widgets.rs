//! Widgets: the same by REST, live and from what is stored, for whatever filters.

use std::collections::BTreeMap;

use andon::config::tenant::TenantSpec;
use andon::domain::production::batch::{self, BatchInput, Ledger};
use andon::domain::production::detection::Detection;
use andon::domain::production::figure::Figure;
use andon::domain::time::{FOREVER, MINUTE_MS, Ms, Span, parse_rfc3339, rfc3339};
use andon::gateway::history::interval::Interval;
use andon::gateway::widgets::catalogue::Group;
use andon::gateway::widgets::{CATALOGUE, Widget};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use reqwest::{Client, StatusCode};
use serde_json::{Map, Value, json};

use super::gateway::{Bench, Live, now};
use crate::support::until;

const LINES: [&str; 3] = ["l1", "l2", "l3"];
/// Combinations that are drawn.
const DRAWS: usize = 120;

fn spec(tenant: &str) -> TenantSpec {
    let text = format!(
        r#"
[tenant]
name = "{tenant}"
time_zone = "Europe/Madrid"

[[shift]]
name = "day"
start = "06:00"
end = "18:00"
lines = ["l1", "l3"]
[[shift]]
name = "night"
start = "18:00"
end = "06:00"
lines = ["l1", "l3"]
[[break]]
start = "00:20"
end = "00:30"
lines = ["l3"]

[[product]]
id = 7
weight_g = 512.5
production_std = 120.0
[[product]]
id = 8
weight_g = 0.1

[[reason]]
code = "jam"
[[reason]]
code = "clean"
kind = "planned"

[[line]]
name = "l1"
group = "hall"
performance = 60.0
oee_target = 0.75
downtime_threshold_s = 30
micro_stop_threshold_s = 5
  [[line.area]]
  id = 1
  role = "input"
  [[line.area]]
  id = 2
  role = "output"
  cameras = [11]
  [[line.area]]
  id = 3
  role = "reject"

[[line]]
name = "l2"
group = "hall"
performance = 90.0
downtime_threshold_s = 45
  [[line.area]]
  id = 1
  role = "output"
  cameras = [21]

[[line]]
name = "l3"
downtime_threshold_s = 60
  [[line.area]]
  id = 4
  role = "process"
"#
    );
    TenantSpec::parse(&text).expect("a good file")
}

/// Some hours of a line: pieces, micro-stops, stops.
fn life(chance: &mut StdRng, line: &str, from: Ms, to: Ms) -> Vec<Detection> {
    let mut found = Vec::new();
    let mut at = from;
    while at < to - 1 {
        at += match chance.random_range(0..1_000) {
            0..4 => chance.random_range(60_000..400_000),
            4..30 => chance.random_range(5_000..30_000),
            _ => chance.random_range(200..3_000),
        };
        // The last piece ends the past: a silent line's clock goes on from its last one, no faster than time does.
        at = at.min(to - 1);
        let area_id = match line {
            "l1" => *[1, 2, 2, 2, 3].get(chance.random_range(0..5)).expect("one of five"),
            "l2" => 1,
            _ => 4,
        };
        let camera_id = match (line, area_id) {
            ("l1", 2) => Some(11),
            ("l2", _) => Some(21),
            _ => None,
        };
        found.push(Detection {
            detection_id: found.len() as i64,
            detected_at: at,
            area_id,
            product_id: chance.random_range(7..10),
            quantity: chance.random_range(1..4),
            camera_id,
            confidence: None,
        });
    }
    found
}

/// A plant with some hours behind it, and what the plain route makes of them.
struct Plant {
    bench: Bench,
    operator: Client,
    token: String,
    period: Span,
    ledgers: BTreeMap<&'static str, Ledger>,
}

impl Plant {
    async fn new(chance: &mut StdRng) -> Plant {
        let bench = Bench::of("widgets", spec, &LINES).await;
        let (operator, token) = bench.sign_in("operator").await;
        let to = now() - 4 * MINUTE_MS;
        let period = Span::new(to - 4 * 60 * MINUTE_MS, to);
        for line in LINES {
            bench.send(line, life(chance, line, period.from, period.to));
        }
        let mut live = bench.socket(&token).await;
        live.subscribe_to(1, "feed_state", &json!({})).await;
        for line in LINES {
            let is_through = |item: &Value| {
                let as_of = parse_rfc3339(item["as_of"].as_str().expect("a time")).expect("a time");
                item["line"] == line && as_of > to
            };
            live.until(1, "the end of the past", is_through).await;
        }
        let plant = Plant { bench, operator, token, period, ledgers: BTreeMap::new() };
        plant.classify(chance).await;
        let mut ledgers = BTreeMap::new();
        for line in LINES {
            ledgers.insert(line, plant.ledger(line).await);
        }
        Plant { ledgers, ..plant }
    }

    /// Gives some stops their reasons.
    async fn classify(&self, chance: &mut StdRng) {
        let path = format!("/downtime?limit=1000&from={}&to={}", rfc3339(self.period.from), rfc3339(self.period.to));
        let (_, page) = self.get(&path).await;
        let stops = page["items"].as_array().expect("items");
        assert!(stops.len() > 6, "too quiet a plant: {} stops", stops.len());
        for stop in stops.iter().filter(|stop| stop["status"] == "closed") {
            let reason = match chance.random_range(0..4) {
                0 => "clean",
                1 | 2 => "jam",
                _ => continue,
            };
            let path = format!("/downtime/{}", stop["downtime_id"].as_str().expect("an id"));
            let answer = self.operator.put(self.bench.url(&path)).json(&json!({"reason_code": reason})).send().await;
            let status = answer.expect("answered").status();
            assert!(status.is_success(), "{path}: {status}");
        }
        until("the reasons to be stored", async || {
            match self.get("/dashboard/widgets/pareto_downtime?line=l1").await {
                (StatusCode::OK, _) => Ok(()),
                (status, body) => Err(format!("{status} {body}")),
            }
        })
        .await;
    }

    async fn ledger(&self, line: &str) -> Ledger {
        let db = &self.bench.db;
        let inputs = db.inputs(line).await.expect("read").into_iter().map(|stored| stored.input).collect();
        let detections = db.detections(line, Span::new(0, FOREVER), false).await.expect("read");
        batch::recompute(&BatchInput {
            line: line.into(),
            configs: db.line_configs(line).await.expect("read"),
            detections: detections.into_iter().map(|(detection, _)| detection).collect(),
            inputs,
        })
    }

    async fn get(&self, path: &str) -> (StatusCode, Value) {
        let answer = self.operator.get(self.bench.url(path)).send().await.expect("answered");
        (answer.status(), answer.json().await.expect("json"))
    }

    /// A widget's items over REST, or the problem's detail.
    async fn rest(&self, widget: &str, params: &Value) -> Result<BTreeMap<String, Value>, String> {
        let page = json!({"params": params, "widgets": [{"id": "w", "widget": widget}]});
        let answer = self.operator.post(self.bench.url("/dashboard/widgets")).json(&page).send().await;
        let body: Value = answer.expect("answered").json().await.expect("json");
        let told = &body["items"][0];
        match told["items"].as_array() {
            Some(items) => Ok(items.iter().map(|item| (text(&item["key"]), still(item))).collect()),
            None => Err(text(&told["problem"]["detail"])),
        }
    }

    /// The figures of the plain route of these lines.
    fn figures(&self, lines: &[&str], span: Span) -> Vec<Figure> {
        lines.iter().map(|line| self.ledgers[line].figure_range(span)).collect()
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// Without what goes on with the clock.
fn still(item: &Value) -> Value {
    let mut item = item.clone();
    for name in ["as_of", "state"] {
        if let Some(item) = item.as_object_mut() {
            item.remove(name);
        }
        if let Some(figure) = item["figure"].as_object_mut() {
            figure.remove(name);
        }
    }
    item
}

/// A widget's items over a socket, or the problem's detail.
async fn live(socket: &mut Live, id: u64, widget: &str, params: &Value) -> Result<BTreeMap<String, Value>, String> {
    socket.subscribe_to(id, widget, params).await;
    let items = socket.snapshot(id).await?;
    Ok(items.into_iter().map(|item| (text(&item["key"]), still(&item))).collect())
}

/// What somebody might ask, bounds and nonsense included.
fn params(chance: &mut StdRng, period: Span) -> Value {
    let mut params = Map::new();
    let lines = [json!(null), json!("l1"), json!("l2"), json!("hall"), json!(["l1", "l3"]), json!(["l3"])];
    params.insert("line".into(), lines[chance.random_range(0..lines.len())].clone());
    let mut at = || chance.random_range(period.from - 10 * MINUTE_MS..period.to - MINUTE_MS);
    let (a, b) = (at(), at());
    let (mut from, mut to) = (a.min(b), a.max(b) + 1);
    // Most people ask for whole minutes.
    if chance.random_range(0..3) > 0 {
        (from, to) = (from / MINUTE_MS * MINUTE_MS, to / MINUTE_MS * MINUTE_MS + MINUTE_MS);
    }
    params.insert("from".into(), rfc3339(from).into());
    params.insert("to".into(), rfc3339(to).into());
    let mut maybe = |name: &str, values: &[Value]| {
        if chance.random_range(0..3) == 0 {
            params.insert(name.into(), values[chance.random_range(0..values.len())].clone());
        }
    };
    maybe("area", &[json!(1), json!(2), json!(4), json!(99)]);
    maybe("product", &[json!(7), json!(8), json!(99)]);
    maybe("shift", &[json!("day"), json!("night"), json!("none")]);
    maybe("reason", &[json!("jam"), json!("clean")]);
    maybe("interval", &Interval::ALL.map(|interval| json!(interval.as_str())));
    params.into()
}

fn lines_of(params: &Value) -> Vec<&'static str> {
    match &params["line"] {
        Value::Null => LINES.to_vec(),
        Value::String(name) if name == "hall" => vec!["l1", "l2"],
        named => LINES.into_iter().filter(|line| named.to_string().contains(line)).collect(),
    }
}

fn span_of(params: &Value) -> Span {
    let at = |name: &str| parse_rfc3339(params[name].as_str().expect("a time")).expect("a time");
    Span::new(at("from"), at("to"))
}

/// Widget against table: figures of lines are those of the plain route, and parts add up to them.
fn compare_with_table(plant: &Plant, widget: &Widget, params: &Value, items: &BTreeMap<String, Value>, seed: &str) {
    let (lines, span) = (lines_of(params), span_of(params));
    let is_whole = span.from % MINUTE_MS == 0 && span.to % MINUTE_MS == 0;
    let has_shift = params.get("shift").is_some();
    if widget.group == Group::Kpi && !has_shift && widget.id != "kpi_weight" && items.len() > 1 {
        for (line, figure) in lines.iter().zip(plant.figures(&lines, span)) {
            let expected = still(&json!({"figure": serde_json::to_value(figure).expect("json")}));
            assert_eq!(items[*line]["figure"], expected["figure"], "{} of {line} {params} {seed}", widget.id);
        }
    }
    let filtered = ["area", "product"].iter().any(|name| params.get(*name).is_some());
    if widget.id == "chart_production" && is_whole && !has_shift {
        let sums = |name: &str| -> i64 {
            let cuts = items.values().filter(|item| item["buckets_ms"].is_object());
            cuts.map(|item| item["buckets_ms"][name].as_i64().expect("a number")).sum()
        };
        let figures = plant.figures(&lines, span);
        let expected = |of: fn(&Figure) -> i64| figures.iter().map(of).sum::<i64>();
        assert_eq!(sums("running"), expected(|f| f.buckets_ms.running), "running {params} {seed}");
        assert_eq!(sums("stopped"), expected(|f| f.buckets_ms.stopped), "stopped {params} {seed}");
        let pieces: i64 = items.values().filter_map(|item| item["pieces"]["total"].as_i64()).sum();
        assert_eq!(pieces, expected(|f| f.pieces.total), "pieces {params} {seed}");
    }
    if widget.id == "chart_product" && !has_shift && !filtered && lines == ["l2"] {
        let output: i64 = items.values().filter_map(|item| item["output"].as_i64()).sum();
        assert_eq!(output, plant.figures(&lines, span)[0].pieces.good, "output {params} {seed}");
    }
    if widget.id == "pareto_downtime" && !has_shift && params.get("reason").is_none() && lines.len() == 1 {
        let of = |planned: bool| -> i64 {
            let reasons = items.values().filter(|item| item["planned"] == json!(planned));
            reasons.map(|item| item["duration_ms"].as_i64().expect("a number")).sum()
        };
        let figure = &plant.figures(&lines, span)[0];
        assert_eq!(of(false), figure.buckets_ms.stopped, "unplanned stops {params} {seed}");
        let planned_ms = figure.buckets_ms.planned_stop;
        assert!(of(true) <= planned_ms, "planned stops {params} {seed}");
    }
    if widget.id == "waterfall_losses" && !has_shift && items.len() > 1 {
        let parts: Vec<f64> = ["unscheduled", "planned_stop", "no_data", "busy"]
            .iter()
            .map(|step| items[*step]["ms"].as_f64().expect("a number"))
            .collect();
        assert_eq!(parts.iter().sum::<f64>(), items["all"]["ms"].as_f64().expect("a number"), "{params} {seed}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_widget_says_the_same_by_rest_live_and_from_the_tables() {
    let seed: u64 = std::env::var("ANDON_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or_else(rand::random);
    let named = format!("(ANDON_SEED={seed})");
    println!("{named}");
    let mut chance = StdRng::seed_from_u64(seed);
    let plant = Plant::new(&mut chance).await;
    let mut socket = plant.bench.socket(&plant.token).await;
    let mut answered = BTreeMap::new();
    for draw in 0..DRAWS {
        // Every widget more than once, however the dice fall.
        let widget = &CATALOGUE[draw % CATALOGUE.len()];
        let params = params(&mut chance, plant.period);
        if widget.id == "tile_andon" || widget.id == "health_cameras" {
            continue;
        }
        let rest = plant.rest(widget.id, &params).await;
        let live = live(&mut socket, draw as u64 + 1, widget.id, &params).await;
        assert_eq!(rest, live, "{} {params} {named}", widget.id);
        if let Ok(items) = rest {
            compare_with_table(&plant, widget, &params, &items, &named);
            *answered.entry(widget.id).or_insert(0) += i32::from(items.len() > 1);
        }
        socket.unsubscribe(draw as u64 + 1).await;
    }
    // A test that only compares refusals and empty answers proves nothing.
    let empty: Vec<_> = CATALOGUE.iter().filter(|widget| answered.get(widget.id) == Some(&0)).collect();
    assert!(empty.len() < 3, "{empty:?} {named}");
    assert!(answered.values().sum::<i32>() > DRAWS as i32 / 3, "{answered:?} {named}");
    plant.bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn windows_say_the_same_by_rest_and_live_while_lines_go_on() {
    let mut chance = StdRng::seed_from_u64(7);
    let plant = Plant::new(&mut chance).await;
    let mut socket = plant.bench.socket(&plant.token).await;
    for (index, widget) in ["kpi_oee", "kpi_downtime", "tile_andon", "kpi_production"].into_iter().enumerate() {
        let id = index as u64 + 1;
        let params = json!({"line": "l1", "window": "8h"});
        socket.subscribe_to(id, widget, &params).await;
        // The clock goes on between two looks: those of the same moment are compared.
        until("REST and live at the same moment", async || {
            let page = json!({"widgets": [{"id": "w", "widget": widget, "params": params}]});
            let answer = plant.operator.post(plant.bench.url("/dashboard/widgets")).json(&page).send().await;
            let body: Value = answer.expect("answered").json().await.expect("json");
            let items = body["items"][0]["items"].as_array().cloned().unwrap_or_default();
            let told = items.into_iter().find(|item| item["key"] == "l1").ok_or("no item")?;
            let mut newer = plant.bench.socket(&plant.token).await;
            newer.subscribe_to(1, widget, &params).await;
            let items = newer.snapshot(1).await?;
            let heard = items.into_iter().find(|item| item["key"] == "l1").ok_or("no item")?;
            if told == heard { Ok(()) } else { Err(format!("{told}\n{heard}")) }
        })
        .await;
    }
    plant.bench.end().await;
}
