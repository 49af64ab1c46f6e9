//! Plants with a past: one that is made up, and two recorded lines.

use std::io::Read;
use std::path::Path;

use andon::config::tenant::TenantSpec;
use andon::domain::production::detection::Detection;
use andon::domain::time::{Ms, parse_rfc3339};
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use rand::RngExt;
use rand::rngs::StdRng;

pub const LINES: [&str; 3] = ["l1", "l2", "l3"];

pub fn spec(tenant: &str) -> TenantSpec {
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
pub fn life(chance: &mut StdRng, line: &str, from: Ms, to: Ms) -> Vec<Detection> {
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

/// The recorded lines: a bottling filler with one counter, and cameras over lanes, in the order of their arrival.
pub const RECORDED: [&str; 2] = ["filler", "lanes"];
/// Of the lanes' recording, whose whole is replayed by a test of its own: about ten days.
const ROWS_OF_LANES: usize = 60_000;

pub fn recorded_spec(tenant: &str) -> TenantSpec {
    let text = format!(
        r#"
[tenant]
name = "{tenant}"
time_zone = "Australia/Melbourne"

[[shift]]
name = "day"
start = "06:00"
end = "18:00"
lines = ["lanes"]
[[shift]]
name = "night"
start = "18:00"
end = "05:30"
[[break]]
start = "21:10"
end = "21:25"

[[product]]
id = 7
weight_g = 330.0
production_std = 500.0
[[product]]
id = 8
weight_g = 0.3

[[reason]]
code = "jam"
[[reason]]
code = "clean"
kind = "planned"

[[line]]
name = "filler"
group = "hall"
performance = 600.0
oee_target = 0.8
downtime_threshold_s = 60
micro_stop_threshold_s = 10
  [[line.area]]
  id = 2
  role = "output"

[[line]]
name = "lanes"
group = "hall"
performance = 20.0
availability_target = 0.9
oee_target = 0.6
downtime_threshold_s = 90
micro_stop_threshold_s = 20
  [[line.area]]
  id = 1
  role = "input"
  cameras = [11]
  [[line.area]]
  id = 2
  role = "output"
  cameras = [21, 22]
  [[line.area]]
  id = 3
  role = "reject"
  cameras = [31]
"#
    );
    TenantSpec::parse(&text).expect("a good file")
}

/// What was recorded of a line.
pub fn recorded(folder: &Path, line: &str) -> Vec<Detection> {
    let read = |name: &str| std::fs::File::open(folder.join(name)).expect("the recording");
    let piece = |id: usize, at: Ms, area_id: i32, product_id: i32, quantity: i32| {
        let camera_id = (line == "lanes").then_some(area_id * 10 + 1);
        let detection_id = id as i64;
        Detection { detection_id, detected_at: at, area_id, product_id, quantity, camera_id, confidence: None }
    };
    if line == "filler" {
        let mut rows = csv::Reader::from_reader(read("filler-line/counts.csv"));
        let rows = rows.deserialize::<(String, i32)>().map(|row| row.expect("a row"));
        return rows.enumerate().map(|(id, (at, n))| piece(id, parse_rfc3339(&at).expect("a time"), 2, 7, n)).collect();
    }
    let mut text = String::new();
    flate2::read::GzDecoder::new(read("lane-cameras/detections.csv.gz")).read_to_string(&mut text).expect("text");
    let zone = TimeZone::get("Australia/Melbourne").expect("a zone");
    let mut rows = csv::Reader::from_reader(text.as_bytes());
    let rows = rows.deserialize::<(DateTime, i32, f64)>().map(|row| row.expect("a row")).take(ROWS_OF_LANES);
    let detection = |(id, (at, lane, speed)): (usize, (DateTime, i32, f64))| {
        let at = at.to_zoned(zone.clone()).expect("in range").timestamp().as_millisecond();
        // The fast, the slow and the rest are its products.
        piece(id, at, lane, if speed > 40.0 { 8 } else { 7 + 2 * i32::from(speed < 20.0) }, 1)
    };
    rows.enumerate().map(detection).collect()
}
