//! The hand-written codec against `apache-avro`, both ways.

use apache_avro::types::Value;
use proptest::prelude::*;

use super::*;
use crate::domain::production::changes::LineState;
use crate::domain::production::detection::Health;
use crate::domain::production::figure::{BucketsMs, FigureState, Flag, Pieces, Window};
use crate::domain::production::stop::{Segment, StopStatus};

const EARLIEST: i64 = -62_135_596_800_000;

fn ids() -> SchemaIds {
    SchemaIds::builtin()
}

fn detections() -> impl Strategy<Value = Detection> {
    let confidence = prop::option::of(-1e30f32..1e30);
    (any::<i64>(), EARLIEST.., any::<[i32; 3]>(), prop::option::of(any::<i32>()), confidence).prop_map(
        |(detection_id, detected_at, [area_id, product_id, quantity], camera_id, confidence)| Detection {
            detection_id,
            detected_at,
            area_id,
            product_id,
            quantity,
            camera_id,
            confidence,
        },
    )
}

fn statuses() -> impl Strategy<Value = CameraStatus> {
    let health = prop_oneof![Just(Health::Online), Just(Health::Offline)];
    (any::<i32>(), EARLIEST.., health, prop::option::of(".*"))
        .prop_map(|(camera_id, at, status, reason)| CameraStatus { camera_id, at, status, reason })
}

fn segments() -> impl Strategy<Value = Segment> {
    (any::<[i64; 2]>(), prop::option::of(".*"), ".*").prop_map(|([from, to], shift, business_date)| Segment {
        from,
        to,
        shift,
        business_date,
    })
}

fn stops() -> impl Strategy<Value = Stop> {
    let status = prop::sample::select(vec![StopStatus::Open, StopStatus::Closed, StopStatus::Retracted]);
    let words = (".*", ".*", ".*", prop::option::of(".*"), prop::option::of(".*"), prop::option::of(".*"));
    let numbers = (any::<u32>(), any::<[i64; 2]>(), prop::option::of(any::<i64>()), any::<bool>());
    (status, words, numbers, prop::collection::vec(segments(), 0..4)).prop_map(
        |(status, (downtime_id, line, business_date, reason_code, comment, shift), numbers, segments)| {
            let (revision, [started_at, duration_ms], ended_at, planned) = numbers;
            Stop {
                downtime_id,
                line,
                revision,
                status,
                started_at,
                ended_at,
                duration_ms,
                reason_code,
                comment,
                planned,
                shift,
                business_date,
                segments,
            }
        },
    )
}

fn ratio() -> impl Strategy<Value = Option<f64>> {
    prop::option::of(0.0..10.0f64)
}

fn figures() -> impl Strategy<Value = (Figure, StateNow)> {
    let windows: Vec<Window> = Window::LIVE.into_iter().chain([Window::Range]).collect();
    let states = vec![
        LineState::Running,
        LineState::MicroStop,
        LineState::Stopped,
        LineState::PlannedStop,
        LineState::NoData,
        LineState::Unscheduled,
    ];
    let words = (prop::option::of(".*"), prop::sample::select(windows), any::<bool>(), prop::sample::select(states));
    let versions = || prop::collection::vec(any::<u32>(), 0..4);
    let numbers = (any::<[i64; 19]>(), any::<u32>(), versions(), versions());
    let ratios = (ratio(), ratio(), ratio(), ratio(), ratio(), prop::option::of([0.0..1.0f64, 0.0..1.0f64]));
    let flags = prop::sample::subsequence(Flag::ALL.to_vec(), 0..=4);
    (words, numbers, ratios, flags).prop_map(|((line, window, done, state), numbers, ratios, flags)| {
        let (n, revision, config_versions, policy_versions) = numbers;
        let (completeness, availability, performance, quality, oee, oee_interval) = ratios;
        let figure = Figure {
            line,
            window,
            from: n[0],
            to: n[1],
            as_of: n[2],
            state: if done { FigureState::Final } else { FigureState::Provisional },
            revision,
            config_versions,
            policy_versions,
            completeness,
            buckets_ms: BucketsMs {
                unscheduled: n[3],
                planned_stop: n[4],
                no_data: n[5],
                running: n[6],
                micro_stop: n[7],
                stopped: n[8],
            },
            outside_ms: n[9],
            pieces: Pieces { total: n[10], good: n[11], reject: n[12], outside_pbt: n[13] },
            ideal_ns: n[14],
            stops: n[15],
            micro_stops: n[16],
            availability,
            performance,
            quality,
            oee,
            oee_interval,
            flags,
        };
        (figure, StateNow { state, since: n[17], as_of: n[18] })
    })
}

fn field<'a>(value: &'a Value, name: &str) -> &'a Value {
    let Value::Record(fields) = value else { panic!("no record: {value:?}") };
    let found = fields.iter().find(|(field, _)| field == name).map(|(_, value)| value);
    match found.unwrap_or_else(|| panic!("no {name} in {value:?}")) {
        Value::Union(_, inner) => inner,
        plain => plain,
    }
}

fn to_avro_datum(schema: &Schema, value: Value) -> apache_avro::AvroResult<Vec<u8>> {
    GenericDatumWriter::builder(schema).build()?.write_value_to_vec(value)
}

/// What `apache-avro` sees in a body, nothing left over.
fn by_the_book(kind: Kind, mut body: &[u8]) -> Option<Value> {
    let value = GenericDatumReader::builder(kind.schema()).build().unwrap().read_value(&mut body).ok()?;
    body.is_empty().then_some(value)
}

fn detection_by_the_book(value: &Value) -> Detection {
    let int = |name: &str| match field(value, name) {
        Value::Int(number) => *number,
        other => panic!("{name}: {other:?}"),
    };
    let Value::Long(detection_id) = *field(value, "detection_id") else { panic!("{value:?}") };
    let Value::TimestampMillis(detected_at) = *field(value, "detected_at") else { panic!("{value:?}") };
    Detection {
        detection_id,
        detected_at,
        area_id: int("area_id"),
        product_id: int("product_id"),
        quantity: int("quantity"),
        camera_id: match field(value, "camera_id") {
            Value::Null => None,
            Value::Int(camera) => Some(*camera),
            other => panic!("{other:?}"),
        },
        confidence: match field(value, "confidence") {
            Value::Float(confidence) if confidence.is_finite() => Some(*confidence),
            _ => None,
        },
    }
}

proptest! {
    #[test]
    fn a_detection_means_the_same_to_both(detection in detections()) {
        let mut bytes = Vec::new();
        encode_detection(&detection, &ids(), &mut bytes);
        prop_assert_eq!(decode_record(&bytes, &ids()), Ok(Record::Detection(detection)));
        let value = by_the_book(Kind::Detection, &bytes[5..]).unwrap();
        prop_assert_eq!(detection_by_the_book(&value), detection);
        prop_assert_eq!(to_avro_datum(Kind::Detection.schema(), value).unwrap(), &bytes[5..]);
    }

    #[test]
    fn a_status_means_the_same_to_both(status in statuses()) {
        let mut bytes = Vec::new();
        encode_status(&status, &ids(), &mut bytes);
        prop_assert_eq!(decode_record(&bytes, &ids()), Ok(Record::Status(status.clone())));
        let value = by_the_book(Kind::CameraStatus, &bytes[5..]).unwrap();
        prop_assert_eq!(field(&value, "at"), &Value::TimestampMillis(status.at));
        prop_assert_eq!(field(&value, "camera_id"), &Value::Int(status.camera_id));
        let word = match status.status { Health::Online => (0, "online"), Health::Offline => (1, "offline") };
        prop_assert_eq!(field(&value, "status"), &Value::Enum(word.0, word.1.to_owned()));
        prop_assert_eq!(to_avro_datum(Kind::CameraStatus.schema(), value).unwrap(), &bytes[5..]);
    }

    #[test]
    fn a_stop_means_the_same_to_both(stop in stops(), watermark: i64, commit_seq in 0..u64::MAX / 2) {
        let mut bytes = Vec::new();
        encode_stop(&stop, watermark, commit_seq, &ids(), &mut bytes);
        let told = StopRecord { stop: stop.clone(), watermark, commit_seq };
        prop_assert_eq!(decode_stop(&bytes, &ids()), Ok(told));
        let value = by_the_book(Kind::DowntimeEvent, &bytes[5..]).unwrap();
        prop_assert_eq!(field(&value, "downtime_id"), &Value::String(stop.downtime_id.clone()));
        let Value::Enum(_, word) = field(&value, "status") else { panic!("{value:?}") };
        prop_assert_eq!(word, stop.status.as_str());
        prop_assert_eq!(field(&value, "commit_seq"), &Value::Long(commit_seq as i64));
        prop_assert_eq!(to_avro_datum(Kind::DowntimeEvent.schema(), value).unwrap(), &bytes[5..]);
    }

    #[test]
    fn a_figure_means_the_same_to_both((figure, state) in figures(), watermark: i64, commit_seq in 0..u64::MAX / 2) {
        let mut bytes = Vec::new();
        encode_figure(&figure, &state, watermark, commit_seq, &ids(), &mut bytes);
        let told = FigureRecord { figure: figure.clone(), state, watermark, commit_seq };
        prop_assert_eq!(decode_figure(&bytes, &ids()), Ok(told));
        let value = by_the_book(Kind::OeeFigure, &bytes[5..]).unwrap();
        let Value::Enum(_, word) = field(&value, "line_state") else { panic!("{value:?}") };
        prop_assert_eq!(word, state.state.as_str());
        let Value::Array(flags) = field(&value, "flags") else { panic!("{value:?}") };
        let words: Vec<&str> =
            flags.iter().map(|flag| if let Value::Enum(_, word) = flag { word.as_str() } else { "" }).collect();
        prop_assert_eq!(words, figure.flags.iter().map(|flag| flag.as_str()).collect::<Vec<_>>());
        prop_assert_eq!(field(field(&value, "buckets_ms"), "running"), &Value::Long(figure.buckets_ms.running));
        prop_assert_eq!(to_avro_datum(Kind::OeeFigure.schema(), value).unwrap(), &bytes[5..]);
    }

    /// Any bytes: no panic, and whatever is read is what the book reads.
    #[test]
    fn arbitrary_bytes_are_read_right_or_refused(
        kind in 0u8..6, body in prop::collection::vec(prop_oneof![Just(0u8), Just(2), Just(0x80), any::<u8>()], 0..64),
    ) {
        let mut bytes = vec![0, 0, 0, 0, kind];
        bytes.extend_from_slice(&body);
        if let Ok(Record::Detection(detection)) = decode_record(&bytes, &ids()) {
            prop_assert_eq!(detection, detection_by_the_book(&by_the_book(Kind::Detection, &body).unwrap()));
        }
        let _ = (decode_stop(&bytes, &ids()), decode_figure(&bytes, &ids()));
        let _ = decode_record(&body, &ids());
    }

    /// A detection cut short or changed in one byte: never a panic, never another reading than the book's.
    #[test]
    fn damaged_detections_are_read_right_or_refused(
        detection in detections(), cut in 0usize..80, at in 0usize..80, byte: u8,
    ) {
        let mut bytes = Vec::new();
        encode_detection(&detection, &ids(), &mut bytes);
        if cut < bytes.len() {
            prop_assert!(decode_record(&bytes[..cut], &ids()).is_err());
        }
        let place = 5 + at % (bytes.len() - 5);
        bytes[place] = byte;
        match (decode_record(&bytes, &ids()), by_the_book(Kind::Detection, &bytes[5..])) {
            (Ok(Record::Detection(ours)), Some(theirs)) => prop_assert_eq!(ours, detection_by_the_book(&theirs)),
            (Ok(ours), theirs) => prop_assert!(false, "read {ours:?} where the book has {theirs:?}"),
            // We are stricter: the book takes overlong numbers and dates before the first year.
            (Err(_), _) => {}
        }
    }

    /// The other way round: what the book writes, we read.
    #[test]
    fn what_the_book_writes_is_read(detection in detections()) {
        let value = Value::Record(vec![
            ("detection_id".into(), Value::Long(detection.detection_id)),
            ("detected_at".into(), Value::TimestampMillis(detection.detected_at)),
            ("area_id".into(), Value::Int(detection.area_id)),
            ("product_id".into(), Value::Int(detection.product_id)),
            ("quantity".into(), Value::Int(detection.quantity)),
            ("camera_id".into(), match detection.camera_id {
                None => Value::Union(0, Box::new(Value::Null)),
                Some(camera) => Value::Union(1, Box::new(Value::Int(camera))),
            }),
            ("confidence".into(), match detection.confidence {
                None => Value::Union(0, Box::new(Value::Null)),
                Some(confidence) => Value::Union(1, Box::new(Value::Float(confidence))),
            }),
        ]);
        let mut bytes = vec![0, 0, 0, 0, 1];
        bytes.extend(to_avro_datum(Kind::Detection.schema(), value).unwrap());
        prop_assert_eq!(decode_record(&bytes, &ids()), Ok(Record::Detection(detection)));
    }
}

#[test]
fn envelopes_are_checked() {
    for bytes in [&[][..], &[0, 0, 0, 0], &[1, 0, 0, 0, 1]] {
        assert_eq!(decode_record(bytes, &ids()), Err(Undecodable::NoEnvelope));
    }
    assert_eq!(decode_record(&[0, 0, 0, 1, 0], &ids()), Err(Undecodable::UnknownSchema(256)));
    assert_eq!(decode_record(&[0, 0, 0, 0, 3], &ids()), Err(Undecodable::WrongKind("DowntimeEvent")));
}

#[test]
fn nothing_may_be_left_over() {
    let detection = Detection {
        detection_id: 1,
        detected_at: 2,
        area_id: 3,
        product_id: 4,
        quantity: 5,
        camera_id: None,
        confidence: Some(0.5),
    };
    let mut bytes = Vec::new();
    encode_detection(&detection, &ids(), &mut bytes);
    bytes.push(0);
    assert_eq!(decode_record(&bytes, &ids()), Err(Undecodable::Trailing(1)));
}

#[test]
fn an_unmeasurable_confidence_is_none() {
    let mut detection = Detection {
        detection_id: 1,
        detected_at: 2,
        area_id: 3,
        product_id: 4,
        quantity: 5,
        camera_id: None,
        confidence: Some(f32::NAN),
    };
    let mut bytes = Vec::new();
    encode_detection(&detection, &ids(), &mut bytes);
    detection.confidence = None;
    assert_eq!(decode_record(&bytes, &ids()), Ok(Record::Detection(detection)));
}

#[test]
fn instants_before_the_first_year_are_refused() {
    let mut detection = Detection {
        detection_id: 1,
        detected_at: EARLIEST,
        area_id: 3,
        product_id: 4,
        quantity: 5,
        camera_id: None,
        confidence: None,
    };
    let mut bytes = Vec::new();
    encode_detection(&detection, &ids(), &mut bytes);
    assert_eq!(decode_record(&bytes, &ids()), Ok(Record::Detection(detection)));
    detection.detected_at -= 1;
    bytes.clear();
    encode_detection(&detection, &ids(), &mut bytes);
    assert_eq!(decode_record(&bytes, &ids()), Err(Undecodable::BadNumber));
}

/// A registry whose id 900 is an older Detection without `quantity` and with a wider `area_id`.
struct Older;

impl crate::kafka::schemas::Lookup for Older {
    fn schema(&self, id: u32) -> Result<Option<String>, String> {
        let text = r#"{"type":"record","name":"Detection","namespace":"andon.v1","fields":[
            {"name":"camera_id","type":["null","int"],"default":null},
            {"name":"detection_id","type":"int"},
            {"name":"detected_at","type":{"type":"long","logicalType":"timestamp-millis"}},
            {"name":"area_id","type":"int"},
            {"name":"product_id","type":"int"},
            {"name":"lot","type":"string"}]}"#;
        Ok((id == 900).then(|| text.to_owned()))
    }
}

#[test]
fn another_writer_s_schema_is_resolved() {
    let ids = SchemaIds::new([1, 2, 3, 4], Some(std::sync::Arc::new(Older)));
    let schema = Schema::parse_str(&crate::kafka::schemas::Lookup::schema(&Older, 900).unwrap().unwrap()).unwrap();
    let value = Value::Record(vec![
        ("camera_id".into(), Value::Union(1, Box::new(Value::Int(9)))),
        ("detection_id".into(), Value::Int(77)),
        ("detected_at".into(), Value::TimestampMillis(1_767_225_600_000)),
        ("area_id".into(), Value::Int(2)),
        ("product_id".into(), Value::Int(3)),
        ("lot".into(), Value::String("A".into())),
    ]);
    let mut bytes = vec![0];
    bytes.extend(900u32.to_be_bytes());
    bytes.extend(to_avro_datum(&schema, value).unwrap());
    let expected = Detection {
        detection_id: 77,
        detected_at: 1_767_225_600_000,
        area_id: 2,
        product_id: 3,
        quantity: 1,
        camera_id: Some(9),
        confidence: None,
    };
    assert_eq!(decode_record(&bytes, &ids), Ok(Record::Detection(expected)));
    bytes.push(0);
    assert_eq!(decode_record(&bytes, &ids), Err(Undecodable::Trailing(1)));
}
