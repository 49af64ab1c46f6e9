//! Every role, with every scope, at every path and every feed: made from the tables that the checks are made from.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use axum::http::StatusCode;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use super::routes::{Access, Route, api};
use super::tests::{Bench, filled, read};
use crate::domain::production::stop::StopStatus;
use crate::gateway::hub::Feed;
use crate::gateway::hub::tests::{stop, told};
use crate::gateway::rights::{RULES, Right, UserRole};

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(10);
const LINES: [&str; 3] = ["l1", "l2", "l3"];
/// A caller's lines: all, one, none.
const SCOPES: [Option<&[&str]>; 3] = [None, Some(&["l2"]), Some(&[])];

/// A caller: what the database says of them.
#[derive(Clone, Copy, Debug)]
struct Who {
    kind: Kind,
    lines: Option<&'static [&'static str]>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    User(UserRole),
    /// An API key with one scope, or none.
    Key(Option<Right>),
}

impl Who {
    /// Every role, and a key of every scope, with all lines, one, and none.
    fn all() -> Vec<Who> {
        let users = UserRole::ALL.into_iter().map(Kind::User);
        let keys = RULES.iter().map(|rule| Kind::Key(Some(rule.right)));
        let kinds = users.chain(keys).chain([Kind::Key(None)]);
        kinds.flat_map(|kind| SCOPES.map(|lines| Who { kind, lines })).collect()
    }

    fn user(role: UserRole) -> Who {
        Who { kind: Kind::User(role), lines: None }
    }

    fn may(self, right: Right) -> bool {
        match self.kind {
            Kind::User(role) => role <= right.rule().least,
            Kind::Key(scope) => right.rule().for_keys && scope == Some(right),
        }
    }

    fn is_super(self) -> bool {
        self.kind == Kind::User(UserRole::SuperAdmin)
    }

    /// What they bring as bearer.
    fn token(self, bench: &Bench) -> String {
        match self.kind {
            Kind::User(role) => {
                let permissions = self.lines.map(|lines| json!({"lines": lines}).to_string());
                let tenant = (!self.is_super()).then_some("demo");
                bench.token(role.as_str(), tenant, permissions.as_deref())
            }
            Kind::Key(scope) => {
                let scopes: Vec<&str> = scope.into_iter().map(Right::as_str).collect();
                bench.key(&json!({"scopes": scopes, "lines": self.lines}).to_string())
            }
        }
    }

    /// The lines that they may see.
    fn lines(self) -> BTreeSet<String> {
        self.lines.unwrap_or(&LINES).iter().map(|&line| line.to_owned()).collect()
    }
}

fn bench() -> Bench {
    let bench = Bench::new();
    let board = bench.app.hub.board("demo");
    for (at, line) in LINES.into_iter().enumerate() {
        board.stop(told(2), &stop(line, 1_000 + at as i64, 1, StopStatus::Closed), 5_000);
    }
    bench
}

async fn ask(bench: &Bench, method: &str, path: &str, token: Option<&str>) -> (StatusCode, Value) {
    let path = format!("/api/v1{}", filled(path));
    let bearer = token.map(|token| format!("Bearer {token}"));
    let mut headers = vec![("content-type", "application/json")];
    headers.extend(bearer.as_deref().map(|bearer| ("authorization", bearer)));
    read(bench.send(method, &path, &headers, "{}").await).await
}

async fn ask_of(bench: &Bench, route: &Route, tenant: &str, token: Option<&str>) -> (StatusCode, Value) {
    ask(bench, route.method.as_str(), &format!("{}?tenant={tenant}", filled(route.path)), token).await
}

#[tokio::test]
async fn every_role_with_every_scope_is_let_in_at_a_path_or_not_as_the_table_says() {
    let mut cells = 0;
    for route in api() {
        for who in Who::all() {
            // Of its own: what one caller does must not change what the next one meets.
            let bench = bench();
            let may = match route.access {
                Access::Open | Access::Known => true,
                Access::Needs(right) | Access::Live(right) => who.may(right),
                Access::Whole(right) => who.may(right) && who.lines.is_none(),
            };
            let (status, body) = ask_of(&bench, &route, "demo", Some(&who.token(&bench))).await;
            let was_let_in = !matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
            assert_eq!(
                was_let_in,
                may || route.access == Access::Open,
                "{} {} {who:?}: {body}",
                route.method,
                route.path
            );
            assert!(may || body["code"] == "forbidden", "{} {} {who:?}: {body}", route.method, route.path);
            cells += 1;
        }
        let (status, _) = ask_of(&bench(), &route, "demo", None).await;
        let is_refused = status == StatusCode::UNAUTHORIZED;
        assert_eq!(is_refused, route.access != Access::Open, "{} {} without a session", route.method, route.path);
    }
    assert_eq!(cells, api().len() * (UserRole::ALL.len() + RULES.len() + 1) * SCOPES.len());
}

#[tokio::test]
async fn a_role_that_this_version_does_not_know_sees_no_line() {
    let bench = bench();
    let token = bench.token("JANITOR", Some("demo"), None);
    let (status, body) = bench.get("/api/v1/production/lines", &token).await;
    assert_eq!((status, &body["items"]), (StatusCode::OK, &json!([])));
    let (status, _) = bench.get("/api/v1/production/lines/l1", &token).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn no_answer_names_a_line_that_one_may_not_see() {
    let bench = bench();
    for who in Who::all() {
        let token = who.token(&bench);
        let hidden: Vec<&str> = LINES.into_iter().filter(|line| !who.lines().contains(*line)).collect();
        for route in api().iter().filter(|route| route.method == "GET" && route.path != "/live/events") {
            let path = route.path.replace("{line}", "l2").replace("{downtime_id}", "l2:1001");
            let (status, body) = ask(&bench, "GET", &format!("{path}?tenant=demo"), Some(&token)).await;
            // The document of the interface has examples of its own.
            let text =
                if path == "/openapi.json" || status.is_client_error() { String::new() } else { body.to_string() };
            for line in &hidden {
                assert!(!text.contains(&format!("\"{line}\"")), "{who:?} {path}: {text}");
            }
        }
        for line in hidden {
            for path in
                ["/production/lines/{}", "/production/lines/{}/areas", "/metrics/oee?line={}", "/downtime?line={}"]
            {
                let path = format!("/api/v1{}", path.replace("{}", line));
                let path = format!("{path}{}tenant=demo", if path.contains('?') { '&' } else { '?' });
                let expected = if who.may(Right::Look) { StatusCode::NOT_FOUND } else { StatusCode::FORBIDDEN };
                assert_eq!(bench.get(&path, &token).await.0, expected, "{who:?} {path}");
            }
        }
    }
}

#[tokio::test]
async fn another_tenants_name_is_answered_like_one_that_nobody_has() {
    let bench = bench();
    for who in Who::all().into_iter().filter(|who| !who.is_super()) {
        let token = who.token(&bench);
        for route in api() {
            let (other, its) = ask_of(&bench, &route, "other", Some(&token)).await;
            let (none, same) = ask_of(&bench, &route, "none", Some(&token)).await;
            assert_eq!(other, none, "{} {} {who:?}", route.method, route.path);
            let is_random = route.path == "/live/ticket";
            assert!(is_random || its == same, "{} {} {who:?}: {its} and {same}", route.method, route.path);
        }
    }
}

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// The bench behind a real socket.
async fn served(bench: &Bench) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(crate::gateway::serve(listener, bench.app.clone()));
    address
}

async fn connect(address: SocketAddr, query: &str, headers: &[(&'static str, &str)]) -> Result<Socket, StatusCode> {
    use tokio_tungstenite::tungstenite::Error;
    let mut request = format!("ws://{address}/api/v1/live{query}").into_client_request().unwrap();
    for (name, value) in headers {
        request.headers_mut().insert(*name, value.parse().unwrap());
    }
    match connect_async(request).await {
        Ok((mut socket, _)) => {
            assert_eq!(frame(&mut socket).await.unwrap()["op"], "hello");
            Ok(socket)
        }
        Err(Error::Http(response)) => Err(response.status()),
        Err(error) => panic!("{error}"),
    }
}

/// The next frame, or the code of the close.
async fn frame(socket: &mut Socket) -> Result<Value, u16> {
    loop {
        match timeout(PATIENCE, socket.next()).await.expect("a frame in time") {
            Some(Ok(Message::Text(text))) => return Ok(serde_json::from_str(&text).unwrap()),
            Some(Ok(Message::Close(close))) => return Err(close.map_or(0, |close| close.code.into())),
            Some(Ok(_)) => {}
            Some(Err(_)) | None => return Err(0),
        }
    }
}

/// The code that the socket is closed with.
async fn closed(socket: &mut Socket) -> u16 {
    loop {
        if let Err(code) = frame(socket).await {
            return code;
        }
    }
}

/// The lines of a subscription's first answer, or the status that it was refused with.
async fn first(socket: &mut Socket, id: usize, feed: Feed, params: Value) -> Result<BTreeSet<String>, u64> {
    let wish = json!({"op": "subscribe", "id": id, "widget": feed.as_str(), "params": params});
    socket.send(Message::Text(wish.to_string().into())).await.unwrap();
    loop {
        let answer = frame(socket).await.expect("an open socket");
        if answer["id"] != json!(id) {
            continue;
        }
        if answer["op"] == "error" {
            return Err(answer["problem"]["status"].as_u64().unwrap());
        }
        return Ok(lines_in(&answer["data"]["items"]));
    }
}

fn lines_in(items: &Value) -> BTreeSet<String> {
    items.as_array().unwrap().iter().map(|item| item["line"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn every_role_with_every_scope_is_told_its_own_lines_by_every_feed_over_the_socket() {
    let bench = bench();
    let address = served(&bench).await;
    for who in Who::all() {
        let bearer = format!("Bearer {}", who.token(&bench));
        let opened = connect(address, "?tenant=demo", &[("authorization", &bearer)]).await;
        if !who.may(Right::Look) {
            assert_eq!(opened.err(), Some(StatusCode::FORBIDDEN), "{who:?}");
            continue;
        }
        let (mut socket, mut id) = (opened.unwrap(), 0);
        for feed in Feed::ALL {
            let own = who.lines();
            id += 1;
            assert_eq!(first(&mut socket, id, feed, json!({})).await, Ok(own.clone()), "{who:?} {feed:?}");
            for line in LINES {
                id += 1;
                let expected = if own.contains(line) { Ok(BTreeSet::from([line.to_owned()])) } else { Err(404) };
                assert_eq!(first(&mut socket, id, feed, json!({"line": line})).await, expected, "{who:?} {feed:?}");
            }
        }
    }
}

#[tokio::test]
async fn every_role_with_every_scope_is_told_its_own_lines_by_every_feed_as_events() {
    let bench = bench();
    for who in Who::all() {
        let bearer = format!("Bearer {}", who.token(&bench));
        for feed in Feed::ALL {
            let path = format!("/api/v1/live/events?tenant=demo&widget={}", feed.as_str());
            let response = bench.send("GET", &path, &[("authorization", &bearer)], "").await;
            if !who.may(Right::Look) {
                assert_eq!(response.status(), StatusCode::FORBIDDEN, "{who:?}");
                continue;
            }
            let mut chunks = response.into_body().into_data_stream();
            let snapshot = loop {
                let chunk = chunks.next().await.expect("a chunk").unwrap();
                let text = String::from_utf8(chunk.to_vec()).unwrap();
                if let Some((_, data)) = text.split_once("data: ").filter(|_| text.contains("snapshot")) {
                    break serde_json::from_str::<Value>(data.trim_end()).unwrap();
                }
            };
            let own = who.lines();
            assert_eq!(lines_in(&snapshot["data"]["items"]), own, "{who:?} {feed:?}");
        }
    }
}

#[tokio::test]
async fn another_tenants_socket_is_not_opened_and_another_tenants_figures_are_not_told() {
    let bench = bench();
    let address = served(&bench).await;
    for who in Who::all().into_iter().filter(|who| who.may(Right::Look)) {
        let bearer = format!("Bearer {}", who.token(&bench));
        let opened = connect(address, "?tenant=other", &[("authorization", &bearer)]).await;
        match opened {
            Err(status) => {
                assert!(!who.is_super() && status == StatusCode::NOT_FOUND, "{who:?} {status}")
            }
            Ok(mut socket) => {
                assert!(who.is_super(), "{who:?}");
                // The boards are apart: nothing has happened in the other tenant.
                assert_eq!(first(&mut socket, 1, Feed::State, json!({})).await, Ok(BTreeSet::new()));
            }
        }
    }
}

#[tokio::test]
async fn a_socket_is_opened_by_its_own_origin_an_allowed_one_or_a_ticket() {
    let bench = bench();
    let address = served(&bench).await;
    let cookie = format!("andon={}", Who::user(UserRole::Viewer).token(&bench));
    let own = format!("http://{address}");
    let status = async |headers: &[(&'static str, &str)], query: &str| match connect(address, query, headers).await {
        Ok(_) => StatusCode::SWITCHING_PROTOCOLS,
        Err(status) => status,
    };
    assert_eq!(status(&[], "").await, StatusCode::UNAUTHORIZED);
    assert_eq!(status(&[("cookie", &cookie), ("origin", &own)], "").await, StatusCode::SWITCHING_PROTOCOLS);
    for foreign in ["https://evil.example", "null", "http://127.0.0.1", "http://127.0.0.1:1"] {
        assert_eq!(status(&[("cookie", &cookie), ("origin", foreign)], "").await, StatusCode::FORBIDDEN, "{foreign}");
    }
    let (_, body) = read(bench.send("POST", "/api/v1/live/ticket", &[("cookie", &cookie)], "").await).await;
    let ticket = format!("?ticket={}", body["ticket"].as_str().unwrap());
    let elsewhere = [("origin", "https://evil.example")];
    assert_eq!(status(&elsewhere, &ticket).await, StatusCode::SWITCHING_PROTOCOLS, "a ticket is its own proof");
    assert_eq!(status(&elsewhere, &ticket).await, StatusCode::UNAUTHORIZED, "used up");
}

/// The user behind a session as the database says anew, without the session's end.
fn change(bench: &Bench, token: &str, role: &str, permissions: Option<&str>) {
    bench.plant(token, role, Some("demo"), permissions);
}

#[tokio::test]
async fn a_change_of_rights_ends_sockets_and_events_at_once_and_holds_for_the_next() {
    let bench = bench();
    let address = served(&bench).await;
    for (role, permissions, lines) in [
        ("OPERATOR", Some(r#"{"lines": ["l2"]}"#), vec!["l2"]),
        ("VIEWER", None, vec!["l1", "l2", "l3"]),
        ("JANITOR", None, vec![]),
    ] {
        let token = Who::user(UserRole::Operator).token(&bench);
        let bearer = format!("Bearer {token}");
        let header = [("authorization", bearer.as_str())];
        let mut socket = connect(address, "", &header).await.unwrap();
        assert_eq!(first(&mut socket, 1, Feed::State, json!({})).await.unwrap().len(), 3);
        let events = bench.send("GET", "/api/v1/live/events?widget=feed_state", &header, "").await;
        let mut chunks = events.into_body().into_data_stream();
        // Each with its own row of the database: nothing changed is no change.
        change(&bench, &token, "OPERATOR", None);
        assert_eq!(first(&mut socket, 2, Feed::State, json!({})).await.unwrap().len(), 3);
        change(&bench, &token, role, permissions);
        assert_eq!(closed(&mut socket).await, 4001);
        let rest = async { while chunks.next().await.is_some() {} };
        timeout(PATIENCE, rest).await.expect("the end of the events");
        let mut next = connect(address, "", &header).await.unwrap();
        let told = first(&mut next, 1, Feed::State, json!({})).await.unwrap();
        assert_eq!(told.into_iter().collect::<Vec<_>>(), lines, "{role}");
    }
}

#[tokio::test]
async fn a_key_that_loses_a_scope_or_is_revoked_loses_its_sockets_at_once() {
    let bench = bench();
    let address = served(&bench).await;
    let key = bench.key(r#"{"scopes": ["look"]}"#);
    let bearer = format!("Bearer {key}");
    let header = [("authorization", bearer.as_str())];
    let mut socket = connect(address, "", &header).await.unwrap();
    bench.plant_key(&key, r#"{"scopes": ["audit"]}"#);
    assert_eq!(closed(&mut socket).await, 4001);
    assert_eq!(connect(address, "", &header).await.err(), Some(StatusCode::FORBIDDEN));
    bench.plant_key(&key, r#"{"scopes": ["look"]}"#);
    let mut socket = connect(address, "", &header).await.unwrap();
    bench.app.accounts.revoked(1);
    assert_eq!(closed(&mut socket).await, 4201);
}

#[tokio::test]
async fn the_end_of_a_session_ends_its_sockets_for_good() {
    let bench = bench();
    let address = served(&bench).await;
    let bearer = format!("Bearer {}", Who::user(UserRole::Viewer).token(&bench));
    let mut socket = connect(address, "", &[("authorization", &bearer)]).await.unwrap();
    let other = format!("Bearer {}", Who::user(UserRole::Viewer).token(&bench));
    let mut untouched = connect(address, "", &[("authorization", &other)]).await.unwrap();
    bench.app.accounts.ended(&[1]);
    assert_eq!(closed(&mut socket).await, 4201);
    assert_eq!(first(&mut untouched, 1, Feed::State, json!({})).await.unwrap().len(), 3);
}
