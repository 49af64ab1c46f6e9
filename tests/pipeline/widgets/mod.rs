//! Widgets: the same by REST, live, from the topics and from what is stored, for whatever filters.

mod oracle;
mod plants;

use std::collections::BTreeMap;
use std::sync::Arc;

use andon::domain::production::batch::{self, BatchInput, Ledger};
use andon::domain::production::detection::Detection;
use andon::domain::production::figure::{Figure, Window};
use andon::domain::production::stop::{Stop, StopStatus};
use andon::domain::time::{FOREVER, MINUTE_MS, Ms, Span, parse_rfc3339, rfc3339};
use andon::gateway::history::interval::Interval;
use andon::gateway::widgets::catalogue::Group;
use andon::gateway::widgets::{CATALOGUE, Widget, find};
use andon::kafka::codec;
use andon::kafka::schemas::SchemaIds;
use andon::kafka::topics;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use reqwest::{Client, StatusCode};
use serde_json::{Map, Value, json};

use self::oracle::{Items, Line, Truth};
use super::gateway::{Bench, Live, now};
use super::replay::recording;
use super::verify::records;
use crate::support::until;

/// Combinations that are drawn.
const DRAWS: usize = 120;
/// Where some widget has had nothing to tell so far.
const MOST_DRAWS: usize = 1_000;
/// Widgets of the present alone: they have a test of their own.
const OF_NOW: [&str; 2] = ["tile_andon", "health_cameras"];
/// Stops that are given a reason, of each line.
const CLASSIFIED: usize = 60;

/// A plant with a past behind it, and what the plain route makes of it.
struct Plant {
    bench: Bench,
    operator: Client,
    token: String,
    /// Where something happened: what is asked lies there.
    periods: Vec<Span>,
    truth: Arc<Truth>,
}

// === impl Plant ===

impl Plant {
    /// A made-up plant with some hours behind it.
    async fn new(chance: &mut StdRng) -> Plant {
        let bench = Bench::of("widgets", plants::spec, &plants::LINES).await;
        let to = now() - 4 * MINUTE_MS;
        let past = plants::LINES.map(|line| (line, plants::life(chance, line, to - 240 * MINUTE_MS, to)));
        Plant::with(bench, chance, plants::spec("any"), past.into()).await
    }

    /// The recorded lines; none: the recordings are absent, which fails in CI.
    async fn recorded(chance: &mut StdRng) -> Option<Plant> {
        let folder = recording("filler-line")?.with_file_name("");
        let past = plants::RECORDED.map(|line| (line, plants::recorded(&folder, line)));
        let bench = Bench::of("recorded", plants::recorded_spec, &plants::RECORDED).await;
        Some(Plant::with(bench, chance, plants::recorded_spec("any"), past.into()).await)
    }

    async fn with(
        bench: Bench,
        chance: &mut StdRng,
        spec: andon::config::tenant::TenantSpec,
        past: Vec<(&str, Vec<Detection>)>,
    ) -> Plant {
        let (operator, token) = bench.sign_in("operator").await;
        let mut periods = Vec::new();
        for (line, detections) in &past {
            let times = detections.iter().map(|detection| detection.detected_at);
            periods.push(Span::new(times.clone().min().expect("some"), times.max().expect("some") + 1));
            bench.send(line, detections.iter().copied());
        }
        let mut live = bench.socket(&token).await;
        live.subscribe_to(1, "feed_state", &json!({})).await;
        for ((line, _), period) in past.iter().zip(&periods) {
            let is_through = |item: &Value| {
                let as_of = parse_rfc3339(item["as_of"].as_str().expect("a time")).expect("a time");
                item["line"] == *line && as_of > period.to
            };
            live.until(1, "the end of the past", is_through).await;
        }
        let nothing = Arc::new(Truth { spec: spec.clone(), lines: Vec::new() });
        let mut plant = Plant { bench, operator, token, periods, truth: nothing };
        plant.classify(chance).await;
        let mut lines = Vec::new();
        for spec in &spec.lines {
            lines.push(plant.line(spec.clone()).await);
        }
        plant.truth = Arc::new(Truth { spec, lines });
        plant
    }

    /// Gives some stops their reasons, and waits until they have them.
    async fn classify(&self, chance: &mut StdRng) {
        let mut given = 0;
        for (at, period) in self.periods.iter().enumerate() {
            let line = &self.truth.spec.lines[at].name;
            let path = format!(
                "/downtime?line={line}&limit=1000&from={}&to={}",
                rfc3339(period.from),
                rfc3339(period.to - MINUTE_MS)
            );
            let (_, page) = self.get(&path).await;
            let stops = page["items"].as_array().expect("items").clone();
            for stop in stops.iter().filter(|stop| stop["status"] == "closed").take(CLASSIFIED) {
                let reason = match chance.random_range(0..4) {
                    0 => "clean",
                    1 | 2 => "jam",
                    _ => continue,
                };
                let path = format!("/downtime/{}", stop["downtime_id"].as_str().expect("an id"));
                let answer = self.operator.put(self.bench.url(&path)).json(&json!({"reason_code": reason})).send();
                let status = answer.await.expect("answered").status();
                assert!(status.is_success(), "{path}: {status}");
                given += 1;
            }
        }
        assert!(given > 4, "too quiet a plant: {given} reasons");
        until("the reasons to be stored", async || {
            let waiting = self.bench.db.pending().await.map_err(|why| why.to_string())?;
            if waiting.is_empty() { Ok(()) } else { Err(format!("{} wait", waiting.len())) }
        })
        .await;
    }

    /// All that the tables and the topic say of a line, once they say it of the same commit.
    async fn line(&self, spec: andon::config::tenant::LineSpec) -> Line {
        let ledger = self.ledger(&spec.name).await;
        let db = &self.bench.db;
        let detections = db.detections(&spec.name, Span::new(0, FOREVER), false).await.expect("read");
        let stops = until("the topic to say what the ledger says", async || {
            let told = self.told_stops(&spec.name).await;
            let plain = |stop: &Stop| Stop { revision: 0, ..stop.clone() };
            let closed = |stops: &[Stop]| -> Vec<Stop> {
                stops.iter().filter(|stop| stop.status == StopStatus::Closed).map(plain).collect()
            };
            let (topic, table) = (closed(&told), closed(&ledger.stops));
            if topic == table { Ok(told) } else { Err(format!("{} and {} stops", topic.len(), table.len())) }
        })
        .await;
        Line {
            config: db.line_configs(&spec.name).await.expect("read").pop().expect("a version"),
            detections: detections.into_iter().map(|(detection, _)| detection).collect(),
            spec,
            ledger,
            stops,
        }
    }

    /// The topic's last word of each stop, by start, retracted ones left out.
    async fn told_stops(&self, line: &str) -> Vec<Stop> {
        let ids = SchemaIds::builtin();
        let mut found: BTreeMap<String, Option<Stop>> = BTreeMap::new();
        for record in records(&self.bench.site, &topics::downtime(&self.bench.tenant, line)).await {
            let key = String::from_utf8_lossy(record.key.as_deref().expect("a key")).into_owned();
            let payload = record.payload.as_deref();
            found.insert(key, payload.map(|payload| codec::decode_stop(payload, &ids).expect("a stop").stop));
        }
        let mut stops: Vec<Stop> = found.into_values().flatten().collect();
        stops.retain(|stop| stop.status != StopStatus::Retracted);
        stops.sort_by_key(|stop| stop.started_at);
        stops
    }

    /// What the topic has said of a line's window at an instant of its clock, the last word of it.
    async fn told_figure(&self, line: &str, window: Window, as_of: Ms) -> Option<Figure> {
        let ids = SchemaIds::builtin();
        let all = records(&self.bench.site, &topics::oee(&self.bench.tenant, line)).await;
        let figures = all.iter().filter_map(|record| record.payload.as_deref());
        let figures = figures.map(|payload| codec::decode_figure(payload, &ids).expect("a figure").figure);
        figures.filter(|figure| (figure.window, figure.as_of, figure.revision) == (window, as_of, 0)).last()
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

    /// A widget's items over REST as they are told, or the problem's detail.
    async fn asked(&self, widget: &str, params: &Value) -> Result<Vec<Value>, String> {
        let page = json!({"params": params, "widgets": [{"id": "w", "widget": widget}]});
        let answer = self.operator.post(self.bench.url("/dashboard/widgets")).json(&page).send().await;
        let body: Value = answer.expect("answered").json().await.expect("json");
        let told = &body["items"][0];
        told["items"].as_array().cloned().ok_or_else(|| text(&told["problem"]["detail"]))
    }

    async fn rest(&self, widget: &str, params: &Value) -> Result<Items, String> {
        Ok(self.asked(widget, params).await?.iter().map(|item| (text(&item["key"]), still(item))).collect())
    }

    /// What somebody might ask, bounds and nonsense included.
    fn params(&self, chance: &mut StdRng) -> Value {
        let mut params = Map::new();
        let spec = &self.truth.spec;
        let names: Vec<&str> = spec.lines.iter().map(|line| line.name.as_str()).collect();
        let lines = match chance.random_range(0..6) {
            0 => json!(null),
            1 => json!("hall"),
            2 => json!([names[0], names[names.len() - 1]]),
            _ => json!(names[chance.random_range(0..names.len())]),
        };
        params.insert("line".into(), lines);
        let period = self.periods[chance.random_range(0..self.periods.len())];
        // A few hours of a long past: what is cut short is cut by minutes.
        let length = period.len().min(chance.random_range(1..30) * 60 * MINUTE_MS);
        let first = chance.random_range(period.from - 10 * MINUTE_MS..period.to - length + 1);
        let mut at = || chance.random_range(first..first + length - MINUTE_MS);
        let (a, b) = (at(), at());
        let (mut from, mut to) = (a.min(b), a.max(b) + 1);
        // Most people ask for whole minutes.
        if chance.random_range(0..3) > 0 {
            (from, to) = (from / MINUTE_MS * MINUTE_MS, to / MINUTE_MS * MINUTE_MS + MINUTE_MS);
        }
        params.insert("from".into(), rfc3339(from).into());
        params.insert("to".into(), rfc3339(to.min(period.to - MINUTE_MS).max(from + 1)).into());
        let areas = spec.lines.iter().flat_map(|line| &line.areas).map(|area| json!(area.id)).chain([json!(99)]);
        let products = spec.products.iter().map(|product| json!(product.id)).chain([json!(99)]);
        let mut maybe = |name: &str, values: Vec<Value>| {
            if chance.random_range(0..3) == 0 {
                params.insert(name.into(), values[chance.random_range(0..values.len())].clone());
            }
        };
        maybe("area", areas.collect());
        maybe("product", products.collect());
        maybe("shift", vec![json!("day"), json!("night"), json!("none")]);
        maybe("reason", vec![json!("jam"), json!("clean")]);
        maybe("interval", Interval::ALL.map(|interval| json!(interval.as_str())).into());
        params.into()
    }

    /// Draws widgets and filters, and holds REST, the socket and the oracle against each other.
    async fn compare(&self, chance: &mut StdRng, named: &str) {
        let mut socket = self.bench.socket(&self.token).await;
        // A test that only compares refusals and empty answers proves nothing: what the dice left empty is drawn again.
        let mut silent: Vec<&Widget> = CATALOGUE.iter().filter(|widget| !OF_NOW.contains(&widget.id)).collect();
        let (all, mut draws, mut told_at_first) = (silent.clone(), 0, 0);
        while draws < DRAWS || (!silent.is_empty() && draws < MOST_DRAWS) {
            // Every widget more than once, however the dice fall.
            let widgets = if draws < DRAWS { &all } else { &silent };
            let widget = widgets[draws % widgets.len()];
            draws += 1;
            if self.compare_once(chance, &mut socket, (draws as u64, widget), named).await {
                silent.retain(|other| other.id != widget.id);
                told_at_first += i32::from(draws <= DRAWS);
            }
        }
        assert!(silent.is_empty(), "never told anything: {silent:?} {named}");
        assert!(told_at_first > DRAWS as i32 / 2, "{told_at_first} of {DRAWS} {named}");
    }

    /// One question three ways; whether there was more than one item to it.
    async fn compare_once(
        &self,
        chance: &mut StdRng,
        socket: &mut Live,
        (id, widget): (u64, &'static Widget),
        named: &str,
    ) -> bool {
        let mut params = self.params(chance);
        if widget.id == "chart_comparison" && chance.random_range(0..2) == 0 {
            params["by"] = json!("lines");
        }
        let rest = self.rest(widget.id, &params).await;
        let live = live(socket, id, widget.id, &params).await;
        assert_eq!(rest, live, "REST and live: {} {params} {named}", widget.id);
        socket.unsubscribe(id).await;
        let Ok(items) = rest else { return false };
        let (truth, asked) = (self.truth.clone(), params.clone());
        let plain = tokio::task::spawn_blocking(move || truth.answer(widget, &asked)).await.expect("an answer");
        let plain: Items = plain.into_iter().map(|(key, item)| (key, still(&item))).collect();
        differ(&format!("{} {params} {named}", widget.id), &items, &plain);
        items.len() > 1
    }
}

/// Names the items that differ.
fn differ(what: &str, told: &Items, plain: &Items) {
    let told_keys: Vec<_> = told.keys().collect();
    assert_eq!(told_keys, plain.keys().collect::<Vec<_>>(), "items of {what}");
    for (key, item) in told {
        assert_eq!(*item, plain[key], "{key} of {what}");
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// Without what goes on with the clock, and the key.
fn still(item: &Value) -> Value {
    let mut item = item.clone();
    for name in ["as_of", "state", "key"] {
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
async fn live(socket: &mut Live, id: u64, widget: &str, params: &Value) -> Result<Items, String> {
    socket.subscribe_to(id, widget, params).await;
    let items = socket.snapshot(id).await?;
    Ok(items.into_iter().map(|item| (text(&item["key"]), still(&item))).collect())
}

/// The dice, and how to throw them again.
fn seeded() -> (StdRng, String) {
    let seed: u64 = std::env::var("ANDON_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or_else(rand::random);
    println!("(ANDON_SEED={seed})");
    (StdRng::seed_from_u64(seed), format!("(ANDON_SEED={seed})"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_widget_says_the_same_by_rest_live_from_the_topics_and_the_tables() {
    let (mut chance, named) = seeded();
    let plant = Plant::new(&mut chance).await;
    plant.compare(&mut chance, &named).await;
    plant.bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_widget_says_the_same_of_recorded_lines() {
    let (mut chance, named) = seeded();
    let Some(plant) = Plant::recorded(&mut chance).await else { return };
    plant.compare(&mut chance, &named).await;
    plant.bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn windows_say_the_same_by_rest_and_live_while_lines_go_on() {
    let mut chance = StdRng::seed_from_u64(7);
    let plant = Plant::new(&mut chance).await;
    let mut id = 0;
    for widget in CATALOGUE {
        id += 1;
        let params = match OF_NOW.contains(&widget.id) {
            true => json!({"line": "l1"}),
            false => json!({"line": "l1", "window": Window::LIVE[id % Window::LIVE.len()].as_str()}),
        };
        // The clock goes on between two looks: those of the same moment are compared.
        until("REST and live at the same moment", async || {
            let told = plant.asked(widget.id, &params).await?;
            let mut socket = plant.bench.socket(&plant.token).await;
            socket.subscribe_to(1, widget.id, &params).await;
            let by_key = |items: Vec<Value>| -> Items { items.into_iter().map(|i| (text(&i["key"]), i)).collect() };
            let (told, heard) = (by_key(told), by_key(socket.snapshot(1).await?));
            if told == heard { Ok(()) } else { Err(format!("{}: {told:?}\n{heard:?}", widget.id)) }
        })
        .await;
    }
    plant.bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_window_is_the_very_figure_that_the_topic_told_and_the_ledger_gives() {
    let mut chance = StdRng::seed_from_u64(8);
    let plant = Plant::new(&mut chance).await;
    for window in Window::LIVE {
        for line in ["l1", "l3"] {
            let params = json!({"line": line, "window": window.as_str()});
            until("a figure of the ledger's own moment", async || {
                let told = plant.asked("kpi_oee", &params).await?;
                let told = told.into_iter().find(|item| item["key"] == line).ok_or("no item")?["figure"].take();
                let as_of = parse_rfc3339(told["as_of"].as_str().ok_or("no time")?).map_err(|why| why.to_string())?;
                let topic = plant.told_figure(line, window, as_of).await.ok_or("not on the topic")?;
                assert_eq!(told, serde_json::to_value(topic).expect("json"), "{window:?} of {line}");
                let ledger = plant.ledger(line).await;
                if ledger.clock != Some(as_of) {
                    return Err(format!("told at {as_of}, the ledger is at {:?}", ledger.clock));
                }
                let plain = ledger.figure_window(window).ok_or("no such window")?;
                assert_eq!(told, serde_json::to_value(plain).expect("json"), "{window:?} of {line} by the ledger");
                Ok(())
            })
            .await;
        }
    }
    plant.bench.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tile_and_a_camera_say_what_figures_stops_and_detections_say() {
    let mut chance = StdRng::seed_from_u64(9);
    let plant = Plant::new(&mut chance).await;
    let is_of = |items: &[Value], key: &str| items.iter().find(|item| item["key"] == key).cloned();
    for line in ["l1", "l2"] {
        let params = json!({"line": line, "window": "shift"});
        until("tile and figure of the same moment", async || {
            let tile = is_of(&plant.asked("tile_andon", &json!({"line": line})).await?, line).ok_or("no tile")?;
            let shift = is_of(&plant.asked("kpi_production", &params).await?, line).unwrap_or_default();
            let stop = plant.told_stops(line).await.into_iter().find(|stop| stop.status == StopStatus::Open);
            if stop.as_ref().map(|stop| json!(stop)).unwrap_or_default() != tile["stop"] {
                return Err(format!("{stop:?} and {}", tile["stop"]));
            }
            // A line between its shifts has no such figure.
            let figure = &shift["figure"];
            let expected = [&figure["pieces"]["good"], &shift["target"], &figure["oee"]];
            let told = [&tile["made"], &tile["due"], &tile["oee"]];
            if expected == told { Ok(()) } else { Err(format!("{told:?} {expected:?}")) }
        })
        .await;
    }
    let camera = is_of(&plant.asked("health_cameras", &json!({"line": "l1"})).await.expect("told"), "l1/11");
    let camera = camera.expect("the camera of l1");
    let seen = plant.truth.lines[0].detections.iter().filter(|detection| detection.camera_id == Some(11));
    let last = seen.map(|detection| detection.detected_at).max().expect("some");
    assert_eq!((&camera["seen_at"], &camera["health"]), (&json!(rfc3339(last)), &json!("online")));
    assert_eq!(find("health_cameras").map(|widget| widget.group), Some(Group::Table));
    plant.bench.end().await;
}
