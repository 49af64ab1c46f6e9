//! What is fuzzed: everything that takes bytes from outside, with what must hold whatever they are. The targets here and
//! the short run of the tests (`tests/spec/fuzz.rs`) are made of these.

use andon::domain::production::detection::Record;
use andon::gateway::http::query::Query;
use andon::gateway::hub::view::FRAME_BYTES;
use andon::gateway::live::frame::{self, ClientFrame, Position};
use andon::gateway::problem::Problem;
use andon::gateway::widgets::layout::{Layout, MAX_WIDGETS};
use andon::gateway::widgets::{CATALOGUE, Params, params};
use andon::kafka::codec;
use andon::kafka::schemas::SchemaIds;
use axum::http::Uri;
use serde_json::{Map, Value};

/// A refusal fits into a frame, and is one.
fn is_small(problem: &Problem) {
    let told = frame::error(Some(1), problem);
    assert!(told.len() <= FRAME_BYTES, "{} bytes", told.len());
    assert!(serde_json::from_str::<Value>(&told).is_ok(), "{told}");
}

/// A client's frame of the live protocol.
pub fn frame(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match ClientFrame::parse(text) {
        Ok(ClientFrame::Subscribe { wanted, .. }) => assert!(wanted.lines().len() <= 256),
        Ok(_) => {}
        Err(refused) => is_small(&refused.problem),
    }
    if let Some(position) = Position::parse(text) {
        assert_eq!(Position::parse(&format!("{}:{}", position.epoch, position.offset)), Some(position));
    }
}

/// What is asked of widgets: the query of a request, or parameters as JSON, and a layout.
pub fn query(data: &[u8]) {
    let address = [b"/api/v1/dashboard/widgets?", data].concat();
    if let Ok(uri) = Uri::try_from(address) {
        match Query::read(&uri) {
            Ok(query) => asked(&query),
            Err(problem) => is_small(&problem),
        }
    }
    if let Ok(given) = serde_json::from_slice::<Map<String, Value>>(data) {
        filters(&given);
    }
    if let Ok(layout) = serde_json::from_slice::<Layout>(data)
        && layout.check().is_ok()
    {
        assert!(layout.widgets.len() <= MAX_WIDGETS);
    }
}

fn asked(query: &Query) {
    let refusals = [
        query.only(&params::NAMES).err(),
        query.period().err(),
        query.instant("from").err(),
        query.number("area").err(),
        query.count("limit", 100, 1_000).err(),
    ];
    refusals.iter().flatten().for_each(is_small);
    if let Ok(Some(period)) = query.period() {
        assert!(!period.is_empty());
    }
    match params::from_query(query) {
        Ok(given) => filters(&given),
        Err(problem) => is_small(&problem),
    }
}

fn filters(given: &Map<String, Value>) {
    for widget in CATALOGUE {
        match Params::read(widget, given) {
            // What is asked alike is the same question.
            Ok(read) => assert_eq!(read.clone().of(widget), read.of(widget).of(widget)),
            Err(detail) => is_small(&Problem::bad_request(detail)),
        }
    }
}

/// A record of any topic. One that is understood is written again the same.
pub fn record(data: &[u8]) {
    let ids = SchemaIds::builtin();
    let mut out = Vec::new();
    match codec::decode_record(data, &ids) {
        Ok(Record::Detection(detection)) => {
            codec::encode_detection(&detection, &ids, &mut out);
            again(&out, |bytes, out| {
                if let Ok(Record::Detection(detection)) = codec::decode_record(bytes, &ids) {
                    codec::encode_detection(&detection, &ids, out);
                }
            });
        }
        Ok(Record::Status(status)) => {
            codec::encode_status(&status, &ids, &mut out);
            again(&out, |bytes, out| {
                if let Ok(Record::Status(status)) = codec::decode_record(bytes, &ids) {
                    codec::encode_status(&status, &ids, out);
                }
            });
        }
        Err(_) => {}
    }
    if let Ok(told) = codec::decode_stop(data, &ids) {
        out.clear();
        codec::encode_stop(&told.stop, told.watermark, told.commit_seq, &ids, &mut out);
        again(&out, |bytes, out| {
            if let Ok(told) = codec::decode_stop(bytes, &ids) {
                codec::encode_stop(&told.stop, told.watermark, told.commit_seq, &ids, out);
            }
        });
    }
    if let Ok(told) = codec::decode_figure(data, &ids) {
        out.clear();
        codec::encode_figure(&told.figure, &told.state, told.watermark, told.commit_seq, &ids, &mut out);
        again(&out, |bytes, out| {
            if let Ok(told) = codec::decode_figure(bytes, &ids) {
                codec::encode_figure(&told.figure, &told.state, told.watermark, told.commit_seq, &ids, out);
            }
        });
    }
}

fn again(written: &[u8], rewrite: impl Fn(&[u8], &mut Vec<u8>)) {
    let mut out = Vec::new();
    rewrite(written, &mut out);
    assert_eq!(out, written);
}
