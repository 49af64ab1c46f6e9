//! When a line is blind.

use super::{run, told};
use crate::domain::production::batch::{BatchInput, recompute};
use crate::domain::production::config::Role;
use crate::domain::production::detection::Detection;
use crate::domain::production::input::LineInput;
use crate::domain::production::testkit::{LineBuilder, S, det, dets, offline, online, timer};

fn watched() -> LineBuilder {
    LineBuilder::new().cameras(1, &[11])
}

/// A piece in area 1, seen by a camera.
fn seen(detection_id: i64, at: i64, camera: i32) -> Detection {
    Detection { camera_id: Some(camera), ..det(detection_id, at, 1) }
}

#[test]
fn an_offline_camera_makes_no_data_until_its_next_sign() {
    let ledger = run(watched(), dets([0, 100 * S]), vec![offline(11, 20 * S), online(11, 30 * S)]);
    assert_eq!(told(&ledger), "0..20 running | 20..30 no_data | 30..100 stopped");
}

#[test]
fn a_detection_is_a_sign_of_its_camera_in_any_area() {
    let line = watched().areas(&[Role::Output, Role::Process]).cameras(1, &[11]).cameras(2, &[11]);
    let detections = vec![det(1, 0, 1), Detection { camera_id: Some(11), ..det(2, 40 * S, 2) }, det(3, 90 * S, 1)];
    let ledger = run(line, detections, vec![offline(11, 20 * S)]);
    assert_eq!(told(&ledger), "0..20 running | 20..40 no_data | 40..90 running");
}

#[test]
fn at_one_instant_offline_wins_whatever_came_first() {
    for statuses in [vec![online(11, 20 * S), offline(11, 20 * S)], vec![offline(11, 20 * S), online(11, 20 * S)]] {
        let ledger = run(watched(), vec![det(1, 0, 1), seen(2, 20 * S, 11)], [statuses, vec![timer(25 * S)]].concat());
        assert_eq!(told(&ledger), "0..20 running | 20..25 no_data");
    }
}

#[test]
fn all_exit_cameras_must_be_offline() {
    let line = LineBuilder::new().areas(&[Role::Output, Role::Output, Role::Process]);
    let line = line.cameras(1, &[11]).cameras(2, &[12]).cameras(3, &[13]);
    let inputs = vec![offline(11, 10 * S), offline(12, 20 * S), online(11, 30 * S), timer(40 * S)];
    assert_eq!(told(&run(line, dets([0]), inputs)), "0..20 running | 20..30 no_data | 30..40 running");
}

#[test]
fn a_line_without_exit_cameras_is_never_blind() {
    let line = LineBuilder::new().areas(&[Role::Output, Role::Process]).cameras(2, &[12]).heartbeat(5 * S);
    assert_eq!(told(&run(line, dets([0, 20 * S]), vec![offline(12, 5 * S)])), "0..20 running");
}

#[test]
fn what_was_heard_before_the_first_detection_counts() {
    let ledger = run(watched(), dets([10 * S]), vec![offline(11, 0), timer(15 * S)]);
    assert_eq!(told(&ledger), "10..15 no_data");
}

#[test]
fn late_statuses_are_passed_over() {
    let LineInput::CameraStatus { status, .. } = offline(11, 20 * S) else { unreachable!("a status") };
    let late = LineInput::CameraStatus { status, late: true };
    assert_eq!(told(&run(watched(), dets([0, 50 * S]), vec![late])), "0..50 running");
}

#[test]
fn silence_beyond_the_heartbeat_is_offline_from_the_last_sign() {
    let line = || watched().heartbeat(30 * S).stopped_above(20 * S);
    let ledger = run(line(), vec![seen(1, 0, 11)], vec![online(11, 10 * S), timer(40 * S)]);
    assert_eq!(told(&ledger), "0..40 stopped");
    let ledger = run(line(), vec![seen(1, 0, 11)], vec![online(11, 10 * S), timer(40_001)]);
    assert_eq!(told(&ledger), "0..10 running | 10..40.001 no_data");
    let ledger = run(line(), vec![seen(1, 0, 11)], vec![online(11, 10 * S), online(11, 50 * S), timer(55 * S)]);
    assert_eq!(told(&ledger), "0..10 running | 10..50 no_data | 50..55 running");
}

#[test]
fn an_offline_status_is_a_sign_too() {
    let inputs = vec![offline(11, 25 * S), online(11, 50 * S), timer(60 * S)];
    let ledger = run(watched().heartbeat(30 * S), vec![seen(1, 0, 11)], inputs);
    assert_eq!(told(&ledger), "0..25 running | 25..50 no_data | 50..60 running");
}

#[test]
fn before_its_first_record_a_camera_is_offline_where_heartbeats_are_demanded() {
    let inputs = || vec![online(11, 10 * S), timer(15 * S)];
    assert_eq!(told(&run(watched(), dets([0]), inputs())), "0..15 running");
    let ledger = run(watched().heartbeat(30 * S), dets([0]), inputs());
    assert_eq!(told(&ledger), "0..10 no_data | 10..15 running");
}

#[test]
fn exit_cameras_and_heartbeat_are_those_in_force_at_each_millisecond() {
    let second = LineBuilder::new().cameras(1, &[12]).version(2, 30 * S);
    let configs = vec![watched().build(), second.build()];
    let inputs = vec![offline(11, 10 * S), timer(40 * S)];
    let input = BatchInput { line: "l1".into(), configs, detections: dets([0]), inputs };
    assert_eq!(told(&recompute(&input)), "0..10 running | 10..30 no_data | 30..40 running");

    let configs = vec![watched().build(), watched().heartbeat(5 * S).version(2, 30 * S).build()];
    let input = BatchInput { line: "l1".into(), configs, detections: dets([0]), inputs: vec![timer(40 * S)] };
    assert_eq!(told(&recompute(&input)), "0..30 running | 30..40 no_data");
}
