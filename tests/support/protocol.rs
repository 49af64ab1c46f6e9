//! The live protocol as a gateway describes it: what it sends is held against that by another's JSON Schema validator.

use std::collections::BTreeMap;
use std::sync::Arc;

use jsonschema::Validator;
use parking_lot::Mutex;
use serde_json::{Value, json};

/// The document of a gateway, and what was held against it.
pub struct Protocol {
    frames: BTreeMap<String, Validator>,
    close_codes: Value,
    frame_bytes: usize,
    heard: Mutex<BTreeMap<String, usize>>,
}

// === impl Protocol ===

impl Protocol {
    /// As served at `{base}/asyncapi.json`; `base` ends with `/api/v1`.
    pub async fn of(base: &str) -> Arc<Protocol> {
        let answer = reqwest::get(format!("{base}/asyncapi.json")).await.expect("answered");
        let document: Value = answer.json().await.expect("json");
        let mut frames = BTreeMap::new();
        for message in document["operations"]["tell"]["messages"].as_array().expect("the server's messages") {
            let name = message["$ref"].as_str().and_then(|name| name.rsplit('/').next()).expect("a reference");
            let payload = &document["components"]["messages"][name]["payload"];
            let schema = json!({"$ref": payload["$ref"], "components": document["components"]});
            let validator = jsonschema::options().should_validate_formats(true).build(&schema).expect("a good schema");
            let op = &document["components"]["schemas"][name]["properties"]["op"]["const"];
            frames.insert(op.as_str().expect("an op").to_owned(), validator);
        }
        let close_codes = document["x-close-codes"].clone();
        let frame_bytes = document["x-limits"]["server_frame_bytes"].as_u64().expect("a limit") as usize;
        Arc::new(Protocol { frames, close_codes, frame_bytes, heard: Mutex::default() })
    }

    /// A frame as it came; panics where the document says otherwise.
    pub fn frame(&self, text: &str) -> Value {
        let frame: Value = serde_json::from_str(text).expect("json");
        let op = frame["op"].as_str().unwrap_or_default().to_owned();
        let validator = self.frames.get(&op).unwrap_or_else(|| panic!("the document has no frame {op:?}: {text}"));
        if let Err(wrong) = validator.validate(&frame) {
            panic!("{wrong} at {}: {text}", wrong.instance_path());
        }
        assert!(text.len() <= self.frame_bytes, "a frame of {} bytes: {op}", text.len());
        *self.heard.lock().entry(op).or_default() += 1;
        frame
    }

    /// A close as it came: a code of the library's, or one of the document with its reason.
    pub fn close(&self, code: u16, reason: &str) {
        if code >= 4_000 {
            assert_eq!(self.close_codes[code.to_string()], reason, "the document does not know {code}");
        }
    }

    /// Frames of the document of which none was heard.
    pub fn unheard(&self) -> Vec<String> {
        let heard = self.heard.lock();
        self.frames.keys().filter(|op| !heard.contains_key(*op)).cloned().collect()
    }
}
