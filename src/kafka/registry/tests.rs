//! Against a registry of one thread.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;

use parking_lot::Mutex;

use super::*;
use crate::domain::production::detection::{Detection, Record};
use crate::kafka::codec::{Undecodable, decode_record, encode_detection};

/// A registry of one thread: gives ids from 101 on and remembers what it was asked.
struct Fake {
    url: String,
    asked: Arc<Mutex<Vec<String>>>,
}

fn fake(refuse: Option<&'static str>) -> Fake {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://user:secret@{}/", listener.local_addr().unwrap());
    let asked = Arc::new(Mutex::new(Vec::new()));
    let log = asked.clone();
    std::thread::spawn(move || {
        let mut schemas: BTreeMap<u32, String> = BTreeMap::new();
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let mut request = String::new();
            reader.read_line(&mut request).unwrap();
            let (mut length, mut authorized) = (0, false);
            loop {
                let mut header = String::new();
                reader.read_line(&mut header).unwrap();
                let header = header.trim().to_ascii_lowercase();
                if let Some(value) = header.strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
                authorized |= header == "authorization: basic dxnlcjpzzwnyzxq=";
                if header.is_empty() {
                    break;
                }
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            let mut words = request.split_whitespace();
            let (method, path) = (words.next().unwrap(), words.next().unwrap());
            log.lock().push(format!("{method} {path}"));
            let (status, answer) = if !authorized {
                (401, json!({"message": "Unauthorized"}))
            } else if refuse.is_some_and(|subject| path.contains(subject) && method == "POST") {
                (409, json!({"error_code": 409, "message": "Schema being registered is incompatible"}))
            } else if method == "POST" {
                let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
                let id = 101 + schemas.len() as u32;
                schemas.insert(id, body["schema"].as_str().unwrap().to_owned());
                (200, json!({"id": id}))
            } else if let Some(id) = path.strip_prefix("/schemas/ids/") {
                match schemas.get(&(id.parse::<u32>().unwrap() % 1000)) {
                    Some(schema) => (200, json!({"schema": schema})),
                    None => (404, json!({"error_code": 40403, "message": "Schema not found"})),
                }
            } else {
                (200, json!({"compatibility": "BACKWARD"}))
            };
            let answer = answer.to_string();
            let head = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", answer.len());
            stream.write_all(format!("{head}{answer}").as_bytes()).unwrap();
        }
    });
    Fake { url, asked }
}

#[test]
fn our_schemas_are_registered_and_foreign_ids_asked_for_once() {
    let fake = fake(None);
    let ids = schema_ids(Some(&fake.url)).unwrap();
    assert_eq!(Kind::ALL.map(|kind| ids.id(kind)), [101, 102, 103, 104]);
    let mut expected = Vec::new();
    for kind in Kind::ALL {
        expected.push(format!("PUT /config/andon.v1.{}", kind.name()));
        expected.push(format!("POST /subjects/andon.v1.{}/versions", kind.name()));
    }
    assert_eq!(*fake.asked.lock(), expected);

    let detection = Detection {
        detection_id: 1,
        detected_at: 2,
        area_id: 3,
        product_id: 4,
        quantity: 5,
        camera_id: None,
        confidence: None,
    };
    let mut bytes = Vec::new();
    encode_detection(&detection, &ids, &mut bytes);
    assert_eq!(bytes[..5], [0, 0, 0, 0, 101]);
    // Another registry's id for the same schema: 1101 is known to the fake as well.
    bytes[1..5].copy_from_slice(&1101u32.to_be_bytes());
    for _ in 0..3 {
        assert_eq!(decode_record(&bytes, &ids), Ok(Record::Detection(detection)));
    }
    bytes[1..5].copy_from_slice(&999u32.to_be_bytes());
    for _ in 0..3 {
        assert_eq!(decode_record(&bytes, &ids), Err(Undecodable::UnknownSchema(999)));
    }
    assert_eq!(fake.asked.lock()[8..], ["GET /schemas/ids/1101", "GET /schemas/ids/999"]);
}

#[test]
fn an_incompatible_schema_is_named() {
    let fake = fake(Some("OeeFigure"));
    let refused = schema_ids(Some(&fake.url)).unwrap_err();
    let reason = "Schema being registered is incompatible".to_owned();
    assert_eq!(refused, RegistryError::Refused { subject: "andon.v1.OeeFigure".to_owned(), reason });
}

#[test]
fn a_registry_that_is_away_says_so() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let refused = schema_ids(Some(&format!("http://{nobody}"))).unwrap_err();
    assert!(matches!(refused, RegistryError::Unreachable(_)), "{refused:?}");
}
