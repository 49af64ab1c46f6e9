//! The frames of `andon.v1`, both ways. JSON text; a client's fields beyond these are passed over.

use std::fmt::Write as _;

use axum::extract::ws::Utf8Bytes;
use serde_json::{Map, Value};

use crate::domain::production::figure::Window;
use crate::domain::time::{Ms, rfc3339};
use crate::gateway::hub::Feed;
use crate::gateway::hub::view::push_json;
use crate::gateway::problem::Problem;
use crate::gateway::widgets::{self, Widget};

/// The subprotocol.
pub const PROTOCOL: &str = "andon.v1";
/// The largest number that JSON's readers agree on.
const MAX_ID: u64 = (1 << 53) - 1;
/// Lines or groups that a subscription may name.
const MAX_NAMES: usize = 256;

/// What a client asks for.
#[derive(Clone, Debug, PartialEq)]
pub enum ClientFrame {
    Subscribe { id: u64, wanted: Wanted, resume: Option<Position> },
    Unsubscribe { id: u64 },
    Ping,
}

/// What is subscribed to.
#[derive(Clone, Debug, PartialEq)]
pub enum Wanted {
    /// A raw feed.
    Feed(Feed, Params),
    /// A widget of the catalogue.
    Widget(&'static Widget, widgets::Params),
}

/// What of a feed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Params {
    /// Lines or groups; empty: all.
    pub lines: Vec<String>,
    /// None: all windows.
    pub window: Option<Window>,
}

/// Up to where a client knows everything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    pub epoch: String,
    pub offset: u64,
}

/// A client's frame that is none, with the subscription it is about where that can be told.
#[derive(Clone, Debug, PartialEq)]
pub struct Refused {
    pub id: Option<u64>,
    pub problem: Problem,
}

// === impl ClientFrame ===

impl ClientFrame {
    /// Reads a frame.
    ///
    /// # Errors
    /// What is wrong with it, with its id where it has one.
    pub fn parse(text: &str) -> Result<ClientFrame, Refused> {
        let refuse = |id, detail: &str| Refused { id, problem: Problem::bad_request(detail) };
        let value: Value = serde_json::from_str(text).map_err(|_| refuse(None, "a frame is a JSON object"))?;
        let Value::Object(frame) = value else { return Err(refuse(None, "a frame is a JSON object")) };
        let id = frame.get("id").and_then(Value::as_u64).filter(|id| *id <= MAX_ID);
        let bad = |detail: &str| refuse(id, detail);
        let with_id = || id.ok_or_else(|| refuse(None, "id: a whole number, not negative, is missing"));
        match frame.get("op").and_then(Value::as_str) {
            Some("ping") => Ok(ClientFrame::Ping),
            Some("unsubscribe") => Ok(ClientFrame::Unsubscribe { id: with_id()? }),
            Some("subscribe") => {
                let id = with_id()?;
                let widget = frame.get("widget").and_then(Value::as_str).ok_or_else(|| bad("widget: is missing"))?;
                let none = Map::new();
                let params = match frame.get("params") {
                    None | Some(Value::Null) => &none,
                    Some(Value::Object(params)) => params,
                    Some(_) => return Err(bad("params: an object")),
                };
                let wanted = Wanted::read(widget, params).map_err(|problem| Refused { id: Some(id), problem })?;
                let resume = match frame.get("resume") {
                    None | Some(Value::Null) => None,
                    Some(at) => Some(Position::read(at).ok_or_else(|| bad("resume: an epoch and an offset"))?),
                };
                Ok(ClientFrame::Subscribe { id, wanted, resume })
            }
            _ => Err(bad("op: one of subscribe, unsubscribe, ping")),
        }
    }
}

// === impl Wanted ===

impl Wanted {
    /// What a name and its parameters stand for.
    ///
    /// # Errors
    /// An unknown name, and what is wrong with the parameters.
    pub fn read(widget: &str, params: &Map<String, Value>) -> Result<Wanted, Problem> {
        if let Some(feed) = Feed::parse(widget) {
            return Params::read(params).map(|params| Wanted::Feed(feed, params)).map_err(Problem::bad_request);
        }
        let unknown = || Problem::not_found(format!("there is no widget {widget:?}"));
        let widget = widgets::find(widget).ok_or_else(unknown)?;
        let params = widgets::Params::read(widget, params).map_err(Problem::bad_request)?;
        Ok(Wanted::Widget(widget, params))
    }

    /// Lines or groups; empty: all.
    pub fn lines(&self) -> &[String] {
        match self {
            Wanted::Feed(_, params) => &params.lines,
            Wanted::Widget(_, params) => &params.lines,
        }
    }
}

// === impl Params ===

impl Params {
    fn read(params: &Map<String, Value>) -> Result<Params, String> {
        let mut read = Params::default();
        for (name, value) in params {
            match (name.as_str(), value) {
                ("line" | "window", Value::Null) => {}
                ("line", Value::String(line)) => read.lines.push(line.clone()),
                ("line", Value::Array(lines)) => {
                    if lines.len() > MAX_NAMES {
                        return Err(format!("line: at most {MAX_NAMES} names"));
                    }
                    for line in lines {
                        read.lines.push(line.as_str().ok_or("line: a name or a list of names")?.to_owned());
                    }
                }
                ("line", _) => return Err("line: a name or a list of names".to_owned()),
                ("window", value) => {
                    read.window = Some(value.as_str().and_then(live_window).ok_or_else(window_names)?);
                }
                _ => return Err(format!("params.{name}: unknown; known are line and window")),
            }
        }
        Ok(read)
    }
}

/// The live window of that name.
pub fn live_window(name: &str) -> Option<Window> {
    Window::LIVE.into_iter().find(|window| window.as_str() == name)
}

/// "window: one of …", for a problem's detail.
pub fn window_names() -> String {
    let names = Window::LIVE.map(Window::as_str);
    format!("window: one of {}", names.join(", "))
}

// === impl Position ===

impl Position {
    fn read(value: &Value) -> Option<Position> {
        let epoch = value.get("epoch")?.as_str()?.to_owned();
        let offset = value.get("offset")?.as_u64()?;
        Some(Position { epoch, offset })
    }

    /// `{epoch}:{offset}`, as in the ids of server-sent events.
    pub fn parse(text: &str) -> Option<Position> {
        let (epoch, offset) = text.rsplit_once(':')?;
        Some(Position { epoch: epoch.to_owned(), offset: offset.parse().ok()? })
    }
}

// === Frames of the server; snapshots and changes are built by the views ===

/// First of all.
pub fn hello(heartbeat_s: u64, now: Ms) -> Utf8Bytes {
    let version = env!("CARGO_PKG_VERSION");
    let sent_at = rfc3339(now);
    format!(
        "{{\"op\":\"hello\",\"protocol\":\"{PROTOCOL}\",\"heartbeat_s\":{heartbeat_s},\"version\":\"{version}\",\
         \"sent_at\":\"{sent_at}\"}}"
    )
    .into()
}

/// The heads of subscriptions: what their last change was, told or not.
pub fn heartbeat(heads: impl Iterator<Item = (u64, u64)>, now: Ms) -> Utf8Bytes {
    let mut text = String::from("{\"op\":\"heartbeat\",\"heads\":{");
    for (index, (id, head)) in heads.enumerate() {
        let separator = if index == 0 { "" } else { "," };
        // Writing to a string never fails.
        let _ = write!(text, "{separator}\"{id}\":{head}");
    }
    let _ = write!(text, "}},\"sent_at\":\"{}\"}}", rfc3339(now));
    text.into()
}

/// The answer to a ping.
pub fn pong(now: Ms) -> Utf8Bytes {
    format!("{{\"op\":\"pong\",\"sent_at\":\"{}\"}}", rfc3339(now)).into()
}

/// The subscription is over: what it knows leads nowhere, and it has to be made anew.
pub fn must_refetch(id: u64, reason: &str) -> Utf8Bytes {
    let mut text = format!("{{\"op\":\"must_refetch\",\"id\":{id},\"reason\":");
    push_json(&mut text, reason);
    text.push('}');
    text.into()
}

/// A client's frame was refused.
pub fn error(id: Option<u64>, problem: &Problem) -> Utf8Bytes {
    let id = id.map_or("null".to_owned(), |id| id.to_string());
    // A struct of texts and numbers always has a JSON form.
    let problem = serde_json::to_string(problem).unwrap_or_else(|_| "{}".to_owned());
    format!("{{\"op\":\"error\",\"id\":{id},\"problem\":{problem}}}").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subscription_is_read() {
        let text = r#"{"op":"subscribe","id":7,"widget":"feed_oee","params":{"line":"l1","window":"5m"},
            "resume":{"epoch":"e","offset":9}}"#;
        let params = Params { lines: vec!["l1".into()], window: Some(Window::FiveMinutes) };
        let resume = Some(Position { epoch: "e".into(), offset: 9 });
        let wanted = Wanted::Feed(Feed::Oee, params);
        assert_eq!(ClientFrame::parse(text), Ok(ClientFrame::Subscribe { id: 7, wanted, resume }));
    }

    #[test]
    fn what_is_wrong_is_named_with_the_id() {
        for (text, id, word) in [
            ("", None, "object"),
            ("[]", None, "object"),
            (r#"{"op":"subscribe","widget":"feed_oee"}"#, None, "id"),
            (r#"{"op":"subscribe","id":-1,"widget":"feed_oee"}"#, None, "id"),
            (r#"{"op":"subscribe","id":1}"#, Some(1), "widget"),
            (r#"{"op":"subscribe","id":1,"widget":"feed_x"}"#, Some(1), "feed_x"),
            (r#"{"op":"subscribe","id":1,"widget":"feed_oee","params":{"window":"range"}}"#, Some(1), "window"),
            (r#"{"op":"subscribe","id":1,"widget":"feed_oee","params":{"lines":"l1"}}"#, Some(1), "params.lines"),
            (r#"{"op":"subscribe","id":1,"widget":"feed_oee","params":{"line":[1]}}"#, Some(1), "line"),
            (r#"{"op":"subscribe","id":1,"widget":"feed_oee","resume":{"epoch":"e"}}"#, Some(1), "resume"),
            (r#"{"op":"subscribe","id":1,"widget":"kpi_oee","params":{"window":"range"}}"#, Some(1), "window"),
            (r#"{"op":"subscribe","id":1,"widget":"kpi_oee","params":[]}"#, Some(1), "params"),
            (r#"{"op":"look","id":1}"#, Some(1), "op"),
        ] {
            let refused = ClientFrame::parse(text).unwrap_err();
            assert_eq!(refused.id, id, "{text}");
            assert!(refused.problem.detail.contains(word), "{text}: {}", refused.problem.detail);
        }
    }

    #[test]
    fn frames_of_the_server_are_json() {
        let problem = Problem::unknown_line("\"l\n1\"");
        for text in [
            hello(5, 0),
            heartbeat([(1, 2), (3, 4)].into_iter(), 0),
            pong(0),
            must_refetch(1, "\"quoted\""),
            error(Some(1), &problem),
            error(None, &problem),
        ] {
            let value: Value = serde_json::from_str(&text).unwrap();
            assert!(value["op"].is_string(), "{text}");
        }
        let beat: Value = serde_json::from_str(&heartbeat([(1, 2), (3, 4)].into_iter(), 0)).unwrap();
        assert_eq!(beat["heads"], serde_json::json!({"1": 2, "3": 4}));
    }
}
