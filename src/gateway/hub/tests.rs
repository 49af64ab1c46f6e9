//! Boards: later words win, whatever the order in which they are heard.

use std::sync::Arc;

use super::intake::{Incoming, Refused};
use super::*;
use crate::domain::production::changes::{LineState, StateNow};
use crate::domain::production::figure::{Figure, Frame, Window};
use crate::domain::production::stop::{Stop, StopStatus, downtime_id};
use crate::domain::production::sums::Sums;
use crate::domain::time::Ms;
use crate::gateway::hub::view::{Op, Selection};
use crate::kafka::codec::{encode_figure, encode_stop};
use crate::kafka::schemas::SchemaIds;

pub fn told(commit_seq: u64) -> Told {
    Told { incarnation: 1, commit_seq }
}

pub fn figure(line: &str, window: Window, as_of: Ms) -> Figure {
    let frame = Frame {
        line: Some(line.to_owned()),
        window,
        from: as_of - 1_000,
        to: as_of + 1,
        as_of,
        watermark: as_of - 600,
        revision: 0,
        config_versions: vec![1],
        policy_versions: vec![1],
        holes_ms: 0,
        has_cycle: true,
    };
    Figure::new(frame, &Sums { total: as_of, good: as_of, ..Sums::default() })
}

pub fn state(state: LineState, as_of: Ms) -> StateNow {
    StateNow { state, since: as_of - 500, as_of }
}

pub fn stop(line: &str, started_at: Ms, revision: u32, status: StopStatus) -> Stop {
    let ended_at = (status != StopStatus::Open).then_some(started_at + 90_000);
    Stop {
        downtime_id: downtime_id(line, started_at),
        line: line.to_owned(),
        revision,
        status,
        started_at,
        ended_at,
        duration_ms: 90_000,
        reason_code: None,
        comment: Some("\"so\"\n".into()),
        planned: false,
        shift: Some("night".into()),
        business_date: "2026-01-01".into(),
        segments: Vec::new(),
    }
}

fn texts(board: &Arc<board::Board>, feed: Feed) -> Vec<serde_json::Value> {
    let view = board.view(&Selection { feed, lines: None, window: None });
    let body = view.frame(Op::Snapshot, 0, view.head(), 0);
    assert!(!body.more);
    let frame: serde_json::Value = serde_json::from_str(&body.text(1)).unwrap();
    frame["data"]["items"].as_array().unwrap().clone()
}

#[test]
fn an_older_commit_never_overwrites_a_newer_one() {
    let hub = Hub::new();
    let board = hub.board("t");
    board.figure(told(5), &figure("l1", Window::Shift, 5_000), state(LineState::Running, 5_000), 0, 0);
    board.figure(told(4), &figure("l1", Window::Shift, 4_000), state(LineState::Stopped, 4_000), 0, 0);
    assert_eq!(board.latest("l1", Window::Shift).unwrap().as_of, 5_000);
    assert_eq!(board.facts("l1").unwrap().state.state, LineState::Running);
    // A line taken forward again counts its commits from where its database was.
    let again = Told { incarnation: 2, commit_seq: 1 };
    board.figure(again, &figure("l1", Window::Shift, 6_000), state(LineState::NoData, 6_000), 0, 0);
    assert_eq!(texts(&board, Feed::State)[0]["state"], "no_data");
}

#[test]
fn a_line_has_one_state_however_many_windows_tell_it() {
    let hub = Hub::new();
    let board = hub.board("t");
    for window in Window::LIVE {
        board.figure(told(1), &figure("l1", window, 5_000), state(LineState::Running, 5_000), 0, 0);
    }
    let view = board.view(&Selection { feed: Feed::State, lines: None, window: None });
    assert_eq!(view.head(), 1, "the same state again is no change");
    assert_eq!(texts(&board, Feed::Oee).len(), 7);
}

#[test]
fn an_older_revision_or_a_stop_that_is_gone_does_not_come_back() {
    let hub = Hub::new();
    let board = hub.board("t");
    board.stop(told(3), &stop("l1", 1_000, 3, StopStatus::Closed), 0);
    board.stop(told(4), &stop("l1", 1_000, 2, StopStatus::Open), 0);
    assert_eq!(texts(&board, Feed::Downtime)[0]["revision"], 3);
    board.stop_gone(told(5), "l1", "l1:1000", 0);
    board.stop(told(4), &stop("l1", 1_000, 4, StopStatus::Open), 0);
    board.seed(&stop("l1", 1_000, 4, StopStatus::Open));
    assert!(texts(&board, Feed::Downtime).is_empty());
    board.stop(told(6), &stop("l1", 1_000, 5, StopStatus::Open), 0);
    assert_eq!(texts(&board, Feed::Downtime)[0]["revision"], 5);
}

#[test]
fn what_the_database_has_gives_way_to_what_the_topic_tells() {
    let hub = Hub::new();
    let board = hub.board("t");
    board.stop(told(3), &stop("l1", 1_000, 3, StopStatus::Closed), 0);
    board.seed(&stop("l1", 1_000, 2, StopStatus::Open));
    board.seed(&stop("l1", 2_000, 1, StopStatus::Open));
    board.stop(told(4), &stop("l1", 2_000, 2, StopStatus::Closed), 0);
    let revisions: Vec<_> = texts(&board, Feed::Downtime).iter().map(|stop| stop["revision"].clone()).collect();
    assert_eq!(revisions, [3, 2]);
}

#[test]
fn old_stops_leave_and_open_ones_stay() {
    let hub = Hub::new();
    let board = hub.board("t");
    board.stop(told(1), &stop("l1", 1_000, 1, StopStatus::Closed), 0);
    board.stop(told(1), &stop("l1", 2_000, 1, StopStatus::Open), 0);
    let late = board::STOPS_FOR_MS + 100_000;
    board.figure(told(2), &figure("l1", Window::Shift, late), state(LineState::Stopped, late), 0, 0);
    board.forget_old();
    let left = texts(&board, Feed::Downtime);
    assert_eq!(left.len(), 1);
    assert_eq!(left[0]["status"], "open");
}

#[test]
fn records_are_taken_by_topic_key_and_headers() {
    let (hub, ids) = (Hub::new(), SchemaIds::builtin());
    let mut payload = Vec::new();
    let now = state(LineState::Running, 5_000);
    encode_figure(&figure("l1", Window::FiveMinutes, 5_000), &now, 4_400, 7, &ids, &mut payload);
    let headers = [("incarnation".to_owned(), b"1".to_vec()), ("commit_seq".to_owned(), b"7".to_vec())];
    let record =
        Incoming { topic: "oee.t.l1", timestamp: 6_000, key: Some(b"5m"), payload: Some(&payload), headers: &headers };
    hub.take(&record, &ids).unwrap();
    let board = hub.board("t");
    assert_eq!(board.facts("l1").unwrap().watermark, 4_400);
    assert!(matches!(hub.take(&Incoming { key: Some(b"15m"), ..record }, &ids), Err(Refused::Key)));
    assert!(matches!(hub.take(&Incoming { topic: "oee.t.l2", ..record }, &ids), Err(Refused::Key)));
    assert!(matches!(hub.take(&Incoming { payload: Some(b"x"), ..record }, &ids), Err(Refused::Undecodable(_))));
    hub.take(&Incoming { payload: None, ..record }, &ids).unwrap();
    assert!(texts(&board, Feed::Oee).is_empty());
    assert_eq!(texts(&board, Feed::State).len(), 1, "the line is still there");

    let mut payload = Vec::new();
    encode_stop(&stop("l1", 1_000, 1, StopStatus::Open), 0, 7, &ids, &mut payload);
    let record = Incoming { topic: "downtime.t.l1", key: Some(b"l1:1000"), payload: Some(&payload), ..record };
    hub.take(&record, &ids).unwrap();
    assert_eq!(texts(&board, Feed::Downtime)[0]["comment"], "\"so\"\n");
    let older = [("commit_seq".to_owned(), b"6".to_vec()), ("incarnation".to_owned(), b"1".to_vec())];
    hub.take(&Incoming { payload: None, headers: &older, ..record }, &ids).unwrap();
    assert_eq!(texts(&board, Feed::Downtime).len(), 1, "an older tombstone removes nothing");
    hub.take(&Incoming { payload: None, ..record }, &ids).unwrap();
    assert!(texts(&board, Feed::Downtime).is_empty());
}

#[test]
fn a_view_is_shared_and_its_frames_are_built_once() {
    let hub = Hub::new();
    let board = hub.board("t");
    board.figure(told(1), &figure("l1", Window::Shift, 5_000), state(LineState::Running, 5_000), 0, 0);
    let selection = Selection { feed: Feed::State, lines: None, window: None };
    let (one, two) = (board.view(&selection), board.view(&selection));
    assert!(Arc::ptr_eq(&one, &two));
    let (first, second) = (one.frame(Op::Snapshot, 0, 1, 0), two.frame(Op::Snapshot, 0, 1, 0));
    assert!(Arc::ptr_eq(&first, &second));
    let text = |id| first.text(id).as_str().to_owned();
    assert_ne!(text(1), text(2));
    assert_eq!(first.text(2).as_ptr(), first.text(2).as_ptr(), "one text for all who number alike");
}
