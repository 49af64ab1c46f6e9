//! A client that may be slow, cut off and come back knows in the end what the hub knows.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::asyncapi::tests::is_documented;
use super::session::{MAX_SUBSCRIPTIONS, Session};
use crate::config::tenant::TenantSpec;
use crate::domain::production::changes::LineState;
use crate::domain::production::figure::Window;
use crate::domain::production::stop::StopStatus;
use crate::gateway::directory::Tenant;
use crate::gateway::hub::Hub;
use crate::gateway::hub::board::Board;
use crate::gateway::hub::tests::{figure, state, stop, told};
use crate::gateway::hub::view::FRAME_BYTES;
use crate::gateway::rights::{Identity, Permissions, Principal, UserRole};

const FILE: &str = r#"
    [tenant]
    name = "demo"
    time_zone = "Europe/Madrid"
    [[line]]
    name = "l1"
    title = "Filler \"1\""
    group = "hall"
    performance = 100.0
    oee_target = 0.75
    [[line.area]]
    id = 1
    role = "output"
    [[line]]
    name = "l2"
    group = "hall"
    [[line.area]]
    id = 1
    role = "output"
    [[line]]
    name = "l3"
    [[line.area]]
    id = 1
    role = "output"
"#;

pub fn tenant() -> Tenant {
    Tenant::from(&Arc::new(TenantSpec::parse(FILE).unwrap()))
}

pub fn identity(role: UserRole, tenant: Option<&str>, lines: Option<&[&str]>) -> Identity {
    Identity {
        principal: Principal::Session(1),
        user_id: 1,
        username: "u".into(),
        role,
        tenant: tenant.map(str::to_owned),
        permissions: Permissions { lines: lines.map(|lines| lines.iter().map(|&l| l.to_owned()).collect()) },
        locale: None,
        scopes: None,
        address: None,
        ended: CancellationToken::new(),
    }
}

fn operator() -> Identity {
    identity(UserRole::Operator, Some("demo"), None)
}

/// A client of one subscription, by the protocol's word alone.
#[derive(Default)]
struct Client {
    items: BTreeMap<String, Value>,
    staging: Option<BTreeMap<String, Value>>,
    position: Option<(String, u64)>,
    must_refetch: bool,
}

fn key(item: &Value) -> String {
    let text = |name: &str| item[name].as_str();
    match (text("downtime_id"), text("line"), text("window")) {
        (Some(id), ..) => id.to_owned(),
        (None, Some(line), Some(window)) => format!("{line} {window}"),
        (None, line, _) => line.unwrap().to_owned(),
    }
}

impl Client {
    fn hear(&mut self, text: &str) {
        assert!(text.len() <= FRAME_BYTES, "a frame of {} bytes", text.len());
        is_documented(text);
        let frame: Value = serde_json::from_str(text).unwrap();
        match frame["op"].as_str().unwrap() {
            "snapshot" => {
                let staging = self.staging.get_or_insert_default();
                for item in frame["data"]["items"].as_array().unwrap() {
                    staging.insert(key(item), item.clone());
                }
                if frame["more"] == false {
                    self.items = self.staging.take().unwrap();
                    self.at(&frame);
                }
            }
            "change" => {
                assert!(self.staging.is_none(), "a change amid a snapshot");
                let (epoch, before) = self.position.clone().expect("a change before a snapshot");
                assert_eq!(frame["epoch"], epoch.as_str());
                assert!(frame["offset"].as_u64().unwrap() >= before, "back to an older offset");
                for gone in frame["data"]["removed"].as_array().into_iter().flatten() {
                    self.items.remove(gone.as_str().unwrap());
                }
                for item in frame["data"]["items"].as_array().unwrap() {
                    self.items.insert(key(item), item.clone());
                }
                self.at(&frame);
            }
            "must_refetch" => self.must_refetch = true,
            op => panic!("unexpected {op}: {text}"),
        }
    }

    fn at(&mut self, frame: &Value) {
        self.position = Some((frame["epoch"].as_str().unwrap().to_owned(), frame["offset"].as_u64().unwrap()));
    }
}

struct Bench {
    hub: Hub,
    board: Arc<Board>,
    tenant: Tenant,
    seq: u64,
}

impl Bench {
    fn new() -> Bench {
        let hub = Hub::new();
        let board = hub.board("demo");
        Bench { hub, board, tenant: tenant(), seq: 0 }
    }

    fn session(&self, identity: Identity) -> Session {
        Session::new(identity, self.board.clone())
    }

    fn connect(&self, client: &mut Client, widget: &str, params: &Value, resume: bool) -> Session {
        let mut session = self.session(operator());
        let mut frame = json!({"op": "subscribe", "id": 1, "widget": widget, "params": params});
        client.staging = None;
        match (&client.position, resume) {
            (Some((epoch, offset)), true) => frame["resume"] = json!({"epoch": epoch, "offset": offset}),
            _ => client.position = None,
        }
        session.take(&frame.to_string(), &self.tenant, 0);
        session
    }

    /// What somebody who comes now is told.
    fn fresh(&self, widget: &str, params: &Value) -> BTreeMap<String, Value> {
        let mut client = Client::default();
        let mut session = self.connect(&mut client, widget, params, false);
        while let Some(frame) = session.next(0) {
            client.hear(&frame.text);
        }
        client.items
    }

    fn act(&mut self, act: &Act) {
        self.seq += 1;
        let told = told(self.seq);
        let line = |n: u8| format!("l{}", n % 3 + 1);
        match *act {
            Act::Figure { line: n, window } => {
                let window = Window::LIVE[usize::from(window) % 7];
                let at = self.seq as i64 * 1_000;
                let now = state(LineState::Running, at);
                self.board.figure(told, &figure(&line(n), window, at), now, at - 600, at);
            }
            Act::FigureGone { line: n, window } => {
                self.board.figure_gone(told, &line(n), Window::LIVE[usize::from(window) % 7], 0);
            }
            Act::Stop { line: n, start, open } => {
                let status = if open { StopStatus::Open } else { StopStatus::Closed };
                let stop = stop(&line(n), i64::from(start), self.seq as u32, status);
                self.board.stop(told, &stop, 0);
            }
            Act::StopGone { line: n, start } => {
                let line = line(n);
                self.board.stop_gone(told, &line, &format!("{line}:{start}"), 0);
            }
            Act::Restart => {
                self.hub = Hub::new();
                self.board = self.hub.board("demo");
            }
            Act::Hear(_) | Act::Cut { .. } => {}
        }
    }
}

#[derive(Clone, Debug)]
enum Act {
    Figure {
        line: u8,
        window: u8,
    },
    FigureGone {
        line: u8,
        window: u8,
    },
    Stop {
        line: u8,
        start: u8,
        open: bool,
    },
    StopGone {
        line: u8,
        start: u8,
    },
    /// The client takes so many frames.
    Hear(u8),
    /// The connection is lost and made anew.
    Cut {
        resume: bool,
    },
    /// Another gateway, which knows what happens from now on.
    Restart,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        6 => (any::<u8>(), any::<u8>()).prop_map(|(line, window)| Act::Figure { line, window }),
        2 => (any::<u8>(), any::<u8>()).prop_map(|(line, window)| Act::FigureGone { line, window }),
        8 => (any::<u8>(), any::<u8>(), any::<bool>()).prop_map(|(line, start, open)| Act::Stop { line, start, open }),
        4 => (any::<u8>(), any::<u8>()).prop_map(|(line, start)| Act::StopGone { line, start }),
        4 => (0..4_u8).prop_map(Act::Hear),
        2 => any::<bool>().prop_map(|resume| Act::Cut { resume }),
        1 => Just(Act::Restart),
    ];
    proptest::collection::vec(act, 0..400)
}

proptest! {
    #[test]
    fn a_client_that_is_slow_and_cut_off_knows_in_the_end_what_the_hub_knows(
        acts in acts(),
        widget in prop_oneof![Just("feed_state"), Just("feed_oee"), Just("feed_downtime")],
        params in prop_oneof![
            Just(json!({})), Just(json!({"line": "l1"})), Just(json!({"line": ["hall"]})),
            Just(json!({"line": ["l1", "l3"], "window": "shift"}))
        ],
    ) {
        let mut bench = Bench::new();
        let mut client = Client::default();
        let mut session = bench.connect(&mut client, widget, &params, false);
        for act in &acts {
            bench.act(act);
            match act {
                Act::Hear(count) => {
                    for frame in (0..*count).map_while(|_| session.next(0)) {
                        client.hear(&frame.text);
                    }
                }
                Act::Cut { resume } => session = bench.connect(&mut client, widget, &params, *resume),
                Act::Restart => session = bench.connect(&mut client, widget, &params, true),
                _ => {}
            }
            if std::mem::take(&mut client.must_refetch) {
                session = bench.connect(&mut client, widget, &params, false);
            }
        }
        loop {
            while let Some(frame) = session.next(0) {
                client.hear(&frame.text);
            }
            if !std::mem::take(&mut client.must_refetch) {
                break;
            }
            session = bench.connect(&mut client, widget, &params, false);
        }
        let heads: Value = serde_json::from_str(&session.heartbeat(0)).unwrap();
        prop_assert_eq!(&heads["heads"]["1"], &json!(client.position.as_ref().unwrap().1), "nothing is missing");
        prop_assert_eq!(&client.items, &bench.fresh(widget, &params));
    }
}

fn drain(session: &mut Session) -> Vec<Value> {
    std::iter::from_fn(|| session.next(0)).map(|frame| serde_json::from_str(&frame.text).unwrap()).collect()
}

#[test]
fn a_slow_client_is_owed_one_frame_however_much_has_happened() {
    let mut bench = Bench::new();
    let mut session = bench.session(operator());
    session.take(r#"{"op":"subscribe","id":7,"widget":"feed_oee"}"#, &bench.tenant, 0);
    drain(&mut session);
    for n in 0..10_000_u32 {
        bench.act(&Act::Figure { line: n as u8, window: 0 });
    }
    let frames = drain(&mut session);
    assert_eq!(frames.len(), 1);
    assert_eq!(frames[0]["data"]["items"].as_array().unwrap().len(), 3, "of each line the latest");
    assert_eq!(frames[0]["offset"], 10_000);
}

#[test]
fn subscriptions_take_turns() {
    let mut bench = Bench::new();
    let mut session = bench.session(operator());
    for id in 1..=3 {
        let frame = json!({"op": "subscribe", "id": id, "widget": "feed_state"});
        session.take(&frame.to_string(), &bench.tenant, 0);
    }
    drain(&mut session);
    bench.act(&Act::Figure { line: 0, window: 0 });
    let first = session.next(0).unwrap();
    // A change for all in between does not put the first before the others again.
    bench.act(&Act::Figure { line: 0, window: 0 });
    let ids: Vec<Value> = drain(&mut session).iter().map(|frame| frame["id"].clone()).collect();
    assert!(first.text.contains("\"id\":1"), "{}", first.text);
    assert_eq!(ids, [2, 3, 1]);
}

#[test]
fn a_state_says_what_a_tile_needs() {
    let mut bench = Bench::new();
    bench.tenant.lines.iter().for_each(|line| bench.board.describe(line));
    bench.act(&Act::Figure { line: 0, window: 0 });
    let items = bench.fresh("feed_state", &json!({}));
    let expected = json!({
        "line": "l1", "title": "Filler \"1\"", "group": "hall", "state": "running",
        "since": "1970-01-01T00:00:00.500Z", "as_of": "1970-01-01T00:00:01.000Z",
        "published_at": "1970-01-01T00:00:01.000Z", "ideal_cycle_ns": 600_000_000,
        "performance": 100.0, "oee_target": 0.75, "availability_target": null, "downtime_threshold_ms": 60_000,
        "micro_stop_threshold_ms": null,
    });
    assert_eq!(items["l1"], expected);
}

#[test]
fn lines_out_of_ones_rights_do_not_exist() {
    let mut bench = Bench::new();
    for line in 0..3 {
        bench.act(&Act::Figure { line, window: 0 });
    }
    let mut session = bench.session(identity(UserRole::Viewer, Some("demo"), Some(&["l2"])));
    session.take(r#"{"op":"subscribe","id":1,"widget":"feed_state"}"#, &bench.tenant, 0);
    session.take(r#"{"op":"subscribe","id":2,"widget":"feed_state","params":{"line":"hall"}}"#, &bench.tenant, 0);
    session.take(r#"{"op":"subscribe","id":3,"widget":"feed_state","params":{"line":"l1"}}"#, &bench.tenant, 0);
    session.take(r#"{"op":"subscribe","id":4,"widget":"feed_state","params":{"line":"l9"}}"#, &bench.tenant, 0);
    let mut frames = drain(&mut session);
    frames.sort_by_key(|frame| frame["id"].as_u64());
    for frame in &frames[..2] {
        assert_eq!(frame["data"]["items"].as_array().unwrap().len(), 1);
        assert_eq!(frame["data"]["items"][0]["line"], "l2");
    }
    for frame in &frames[2..] {
        assert_eq!((&frame["op"], &frame["problem"]["status"]), (&json!("error"), &json!(404)));
    }
    bench.act(&Act::Figure { line: 0, window: 0 });
    assert!(drain(&mut session).is_empty(), "a change of a line one may not see shows in no frame");
}

#[test]
fn ids_are_used_once_and_subscriptions_counted() {
    let bench = Bench::new();
    let mut session = bench.session(operator());
    let subscribe = |session: &mut Session, id: usize| {
        let frame = json!({"op": "subscribe", "id": id, "widget": "feed_state"});
        session.take(&frame.to_string(), &bench.tenant, 0);
        drain(session).remove(0)["op"].as_str().unwrap().to_owned()
    };
    assert_eq!(subscribe(&mut session, 1), "snapshot");
    assert_eq!(subscribe(&mut session, 1), "error");
    session.take(r#"{"op":"unsubscribe","id":1}"#, &bench.tenant, 0);
    assert_eq!(subscribe(&mut session, 1), "snapshot");
    for id in 2..=MAX_SUBSCRIPTIONS {
        assert_eq!(subscribe(&mut session, id), "snapshot");
    }
    assert_eq!(subscribe(&mut session, MAX_SUBSCRIPTIONS + 1), "error");
    session.take(r#"{"op":"ping"}"#, &bench.tenant, 0);
    assert_eq!(drain(&mut session)[0]["op"], "pong");
}

#[test]
fn another_epoch_has_to_be_fetched_anew_and_the_same_goes_on() {
    let mut bench = Bench::new();
    bench.act(&Act::Figure { line: 0, window: 0 });
    let mut client = Client::default();
    let mut session = bench.connect(&mut client, "feed_state", &json!({}), false);
    client.hear(&session.next(0).unwrap().text);
    let mut session = bench.connect(&mut client, "feed_state", &json!({}), true);
    let frames = drain(&mut session);
    assert_eq!(frames.len(), 1, "told that there is nothing more");
    assert_eq!((&frames[0]["op"], &frames[0]["data"]["items"]), (&json!("change"), &json!([])));
    bench.act(&Act::Restart);
    let mut session = bench.connect(&mut client, "feed_state", &json!({}), true);
    let frames = drain(&mut session);
    assert_eq!(frames.len(), 1);
    assert_eq!(frames[0]["op"], "must_refetch");
    assert_eq!(session.subscriptions(), 0);
}

#[test]
fn a_position_among_other_lines_leads_nowhere() {
    let mut bench = Bench::new();
    for line in 0..3 {
        bench.act(&Act::Figure { line, window: 0 });
    }
    let of = |lines: Option<&[&str]>| identity(UserRole::Viewer, Some("demo"), lines);
    let subscribe = |session: &mut Session, resume: &Value| {
        let frame = json!({"op": "subscribe", "id": 1, "widget": "feed_state", "resume": resume});
        session.take(&frame.to_string(), &bench.tenant, 0);
        drain(session).remove(0)
    };
    let told = subscribe(&mut bench.session(of(None)), &Value::Null);
    let position = json!({"epoch": told["epoch"], "offset": told["offset"]});
    assert_eq!(subscribe(&mut bench.session(of(None)), &position)["op"], "change");
    // The client still shows what it may not see any more, or lacks what it may see now: it begins anew.
    let fewer = of(Some(&["l2"]));
    assert_eq!(subscribe(&mut bench.session(fewer.clone()), &position)["op"], "must_refetch");
    let told = subscribe(&mut bench.session(fewer), &Value::Null);
    let position = json!({"epoch": told["epoch"], "offset": told["offset"]});
    assert_eq!(subscribe(&mut bench.session(of(None)), &position)["op"], "must_refetch");
}
