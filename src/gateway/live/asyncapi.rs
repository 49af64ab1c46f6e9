//! The protocol as a document for programs: AsyncAPI, kept by hand beside the frames. The tests hold every frame that
//! they hear against it.

use std::sync::LazyLock;

use axum::Json;
use serde_json::Value;

static DOCUMENT: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(include_str!("asyncapi.json")).unwrap_or(Value::Null));

/// `GET /asyncapi.json`
pub async fn document() -> Json<&'static Value> {
    Json(&DOCUMENT)
}

#[cfg(test)]
pub mod tests {
    use serde_json::json;

    use super::*;
    use crate::gateway::hub::view::FRAME_BYTES;
    use crate::gateway::live::frame::{self, ClientFrame};
    use crate::gateway::live::session::MAX_SUBSCRIPTIONS;
    use crate::gateway::live::socket::{Close, MAX_MESSAGE_BYTES};
    use crate::gateway::problem::Problem;

    /// Panics unless a frame of the server is one that the document describes.
    pub fn is_documented(text: &str) {
        let frame: Value = serde_json::from_str(text).unwrap();
        let op = frame["op"].as_str().unwrap_or_default();
        let messages = DOCUMENT["channels"]["events"]["messages"].as_object().unwrap();
        let schemas = messages.keys().map(|name| &DOCUMENT["components"]["schemas"][name]);
        let schema = schemas.into_iter().find(|schema| schema["properties"]["op"]["const"] == op);
        let schema = schema.unwrap_or_else(|| panic!("the document has no frame {op:?}: {text}"));
        if let Err(wrong) = conforms(schema, &frame, "frame") {
            panic!("{wrong}: {text}");
        }
    }

    /// As much of JSON Schema as the document uses.
    fn conforms(schema: &Value, value: &Value, at: &str) -> Result<(), String> {
        if let Some(name) = schema["$ref"].as_str() {
            let name = name.rsplit('/').next().unwrap();
            return conforms(&DOCUMENT["components"]["schemas"][name], value, at);
        }
        if let Some(choices) = schema["oneOf"].as_array() {
            let fitting = choices.iter().filter(|choice| conforms(choice, value, at).is_ok()).count();
            return if fitting == 1 { Ok(()) } else { Err(format!("{at} fits {fitting} of its forms")) };
        }
        if schema.get("const").is_some_and(|constant| constant != value) {
            return Err(format!("{at} is not {}", schema["const"]));
        }
        let is_of_type = match schema["type"].as_str() {
            None => true,
            Some("object") => value.is_object(),
            Some("array") => value.is_array(),
            Some("string") => value.is_string(),
            Some("boolean") => value.is_boolean(),
            Some("integer") => value.is_i64() || value.is_u64(),
            Some("null") => value.is_null(),
            Some(other) => panic!("the document uses the type {other}, which this test does not know"),
        };
        if !is_of_type {
            return Err(format!("{at} is no {}", schema["type"]));
        }
        if schema["format"] == "date-time" {
            crate::domain::time::parse_rfc3339(value.as_str().unwrap()).map_err(|error| format!("{at}: {error}"))?;
        }
        if schema["minimum"].as_i64().is_some_and(|least| value.as_i64().is_some_and(|number| number < least)) {
            return Err(format!("{at} is too small"));
        }
        for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            if value.get(name).is_none() {
                return Err(format!("{at} lacks {name}"));
            }
        }
        for (name, inner) in value.as_object().into_iter().flatten() {
            let at = format!("{at}.{name}");
            match (schema["properties"].get(name), &schema["additionalProperties"]) {
                (Some(schema), _) => conforms(schema, inner, &at)?,
                (None, Value::Bool(false)) => return Err(format!("{at} is not in the document")),
                (None, Value::Object(_)) => conforms(&schema["additionalProperties"], inner, &at)?,
                (None, _) => {}
            }
        }
        for (index, inner) in value.as_array().into_iter().flatten().enumerate() {
            conforms(&schema["items"], inner, &format!("{at}[{index}]"))?;
        }
        Ok(())
    }

    #[test]
    fn the_frames_that_are_no_values_are_documented() {
        for text in [
            frame::hello(5, 0),
            frame::heartbeat([(1, 2), (3, 4)].into_iter(), 0),
            frame::pong(0),
            frame::must_refetch(1, "so"),
            frame::error(Some(1), &Problem::unknown_line("l9")),
            frame::error(None, &Problem::unavailable("later")),
        ] {
            is_documented(&text);
        }
    }

    #[test]
    fn what_the_document_lets_a_client_say_is_understood() {
        let schemas = &DOCUMENT["components"]["schemas"];
        for said in [
            json!({"op": "subscribe", "id": 1, "widget": "feed_state"}),
            json!({"op": "subscribe", "id": 1, "widget": "kpi_oee", "params": {"line": ["l1"], "window": "1h"},
                "resume": {"epoch": "e", "offset": 9}}),
            json!({"op": "unsubscribe", "id": 1}),
            json!({"op": "ping"}),
        ] {
            let name = match said["op"].as_str() {
                Some("subscribe") => "Subscribe",
                Some("unsubscribe") => "Unsubscribe",
                _ => "Ping",
            };
            conforms(&schemas[name], &said, name).unwrap();
            assert!(ClientFrame::parse(&said.to_string()).is_ok(), "{said}");
        }
    }

    #[test]
    fn frames_that_are_not_as_documented_are_noticed() {
        for text in [
            r#"{"op":"pong"}"#,
            r#"{"op":"pong","sent_at":"now"}"#,
            r#"{"op":"pong","sent_at":"2026-01-01T00:00:00Z","more":1}"#,
            r#"{"op":"heartbeat","heads":{"1":"x"},"sent_at":"2026-01-01T00:00:00Z"}"#,
            r#"{"op":"gossip"}"#,
        ] {
            assert!(std::panic::catch_unwind(|| is_documented(text)).is_err(), "{text}");
        }
    }

    #[test]
    fn close_codes_and_limits_are_those_of_the_code() {
        let codes = DOCUMENT["x-close-codes"].as_object().unwrap();
        assert_eq!(codes.len(), Close::ALL.len());
        for close in Close::ALL {
            assert_eq!(codes[&close.code().to_string()], close.reason());
        }
        let limits = &DOCUMENT["x-limits"];
        assert_eq!(limits["subscriptions"], MAX_SUBSCRIPTIONS);
        assert_eq!(limits["client_frame_bytes"], MAX_MESSAGE_BYTES);
        assert_eq!(limits["server_frame_bytes"], FRAME_BYTES);
    }
}
