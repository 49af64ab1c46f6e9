//! The transaction that moves lines forward: all of it or nothing, and only for the owner.

use andon::domain::production::changes::{Changes, MinuteRow, PieceCount, StopChange};
use andon::domain::production::input::{Classification, LineInput};
use andon::domain::production::stop::{Segment, Stop, StopStatus, downtime_id};
use andon::domain::production::sums::Sums;
use andon::domain::time::{Ms, Span};
use andon::store::{CommandBody, CommandOutcome, CommitError, LineCommit, NewCommand};

use super::{NEW_YEAR, Plant, detections, on_both};
use crate::support::Site;

on_both!(
    a_commit_is_read_back_whole,
    a_paused_owner_is_fenced_and_leaves_nothing,
    a_former_owner_with_rows_that_are_there_already_is_fenced,
    one_fenced_line_stops_the_others_of_its_batch,
    a_lost_connection_leaves_nothing,
    rows_that_are_there_already_are_no_silent_success,
    results_are_written_over_with_absolute_values,
    a_timer_decision_replaces_the_one_before_it,
    a_command_is_applied_once,
    published_batches_are_forgotten,
    many_lines_with_large_states_commit_together,
);

const ALWAYS: Span = Span { from: NEW_YEAR - 400 * 86_400_000, to: NEW_YEAR + 400 * 86_400_000 };

fn stop(start: Ms, end: Option<Ms>, revision: u32) -> Stop {
    let to = end.unwrap_or(start + 90_000);
    Stop {
        downtime_id: downtime_id("l1", start),
        line: "l1".to_owned(),
        revision,
        status: if end.is_some() { StopStatus::Closed } else { StopStatus::Open },
        started_at: start,
        ended_at: end,
        duration_ms: to - start,
        reason_code: end.map(|_| "jam".to_owned()),
        comment: Some("roto'); DROP TABLE checkpoint; -- ñ 🛑".to_owned()),
        planned: false,
        shift: Some("night".to_owned()),
        business_date: "2026-01-01".to_owned(),
        segments: vec![Segment {
            from: start,
            to,
            shift: Some("night".to_owned()),
            business_date: "2026-01-01".to_owned(),
        }],
    }
}

fn minute(minute: Ms, total: i64) -> MinuteRow {
    let mut sums = Sums { total, good: total - 1, ideal_ns: 600_000_000, stops: 1, ..Sums::default() };
    sums.buckets = [1, 2, 3, 4, 5, 59_985];
    sums.apt_ms = 9;
    MinuteRow {
        minute,
        sums,
        pieces: vec![PieceCount { area_id: 1, product_id: 7, quantity: total }],
        slices: vec![0, 1, 255],
    }
}

async fn a_commit_is_read_back_whole(site: Site) {
    let plant = Plant::new(site).await;
    let mut owner = plant.take_over("l1").await;
    assert!(owner.checkpoint.is_fresh());
    assert_eq!((owner.checkpoint.owner_epoch, owner.checkpoint.next_offset), (1, -1));
    // Once by INSERT, once by LOAD DATA.
    let mut sent = Vec::new();
    for (from, count) in [(NEW_YEAR, 7), (NEW_YEAR + 86_400_000, 2_500)] {
        let mut changes = detections(from, count);
        changes.stops = vec![StopChange { stop: stop(from, None, 1), resend: false }];
        changes.minutes = vec![minute(from, 3), minute(from + 60_000, 4)];
        plant.db.commit(&[owner.commit(&changes)]).await.unwrap();
        owner.moved(&changes);
        sent.extend(changes.detections);
    }

    let mut on_time = sent.clone();
    on_time.retain(|(_, late)| !late);
    assert_eq!(plant.db.detections("l1", ALWAYS, true).await.unwrap(), sent);
    assert_eq!(plant.db.detections("l1", ALWAYS, false).await.unwrap(), on_time);
    let identities: Vec<(i64, Ms)> = sent.iter().map(|(d, _)| (d.detection_id, d.detected_at)).collect();
    let mut known = plant.db.known("l1", &identities).await.unwrap();
    known.sort_by_key(|d| d.detected_at);
    assert_eq!(known, sent.iter().map(|(d, _)| *d).collect::<Vec<_>>());
    let strangers = [(identities[0].0, identities[0].1 + 1), (identities[0].0 + 1, identities[0].1)];
    assert!(plant.db.known("l1", &strangers).await.unwrap().is_empty());

    let stops = plant.db.stops("l1", ALWAYS, None, 10).await.unwrap();
    assert_eq!(stops, [stop(NEW_YEAR, None, 1), stop(NEW_YEAR + 86_400_000, None, 1)]);
    assert_eq!(plant.db.stop(&stops[0].downtime_id).await.unwrap().as_ref(), Some(&stops[0]));
    let minutes = plant.db.minutes("l1", Span::new(NEW_YEAR, NEW_YEAR + 60_001)).await.unwrap();
    assert_eq!(minutes, [minute(NEW_YEAR, 3), minute(NEW_YEAR + 60_000, 4)]);
    let outbox = plant.db.outbox_after("l1", 1).await.unwrap();
    assert_eq!((outbox.len(), outbox[0].commit_seq, outbox[0].payload.as_slice()), (1, 2, &b"\x00\xfe'records"[..]));

    let again = plant.take_over("l1").await.checkpoint;
    assert_eq!((again.owner_epoch, again.commit_seq, again.next_offset, again.state_version), (2, 2, 2_507, 1));
    assert_eq!(again.state, b"state\x00\xff'");
}

async fn a_paused_owner_is_fenced_and_leaves_nothing(site: Site) {
    let plant = Plant::new(site).await;
    let paused = plant.take_over("l1").await;
    let mut owner = plant.take_over("l1").await;
    let theirs = detections(NEW_YEAR, 300);
    plant.db.commit(&[owner.commit(&theirs)]).await.unwrap();
    owner.moved(&theirs);

    let mut late_to_the_party = detections(NEW_YEAR + 3_600_000, 300);
    late_to_the_party.stops = vec![StopChange { stop: stop(NEW_YEAR, None, 1), resend: false }];
    let error = plant.db.commit(&[paused.commit(&late_to_the_party)]).await.unwrap_err();
    assert!(matches!(&error, CommitError::Fenced(lines) if lines == &["l1"]), "{error:?}");

    assert_eq!(plant.db.detections("l1", ALWAYS, true).await.unwrap(), theirs.detections);
    assert!(plant.db.stops("l1", ALWAYS, None, 10).await.unwrap().is_empty());
    let now = plant.db.checkpoint("l1").await.unwrap().unwrap();
    assert_eq!((now.commit_seq, now.owner_epoch, now.next_offset), (1, 2, 300));
    // The same commit of the owner twice is refused the second time.
    owner.checkpoint.commit_seq = 0;
    let error = plant.db.commit(&[owner.commit(&Changes::default())]).await.unwrap_err();
    assert!(matches!(error, CommitError::Fenced(_)), "{error:?}");
}

/// The paused owner read what its successor has committed meanwhile: each of its rows is there already. It has to hear that
/// it is the owner no more, not that a key is there twice, which would be taken for a contradiction.
async fn a_former_owner_with_rows_that_are_there_already_is_fenced(site: Site) {
    let plant = Plant::new(site).await;
    // Once by INSERT, once by LOAD DATA.
    for (round, count) in (0..).zip([7, 2_500]) {
        let paused = plant.take_over("l1").await;
        let mut owner = plant.take_over("l1").await;
        let at = NEW_YEAR + round * 3_600_000;
        let mut changes = detections(at, count);
        changes.inputs = vec![LineInput::Timer { at: at + 100_000 }];
        changes.stops = vec![StopChange { stop: stop(at, None, 1), resend: false }];
        changes.minutes = vec![minute(at, 3)];
        let first_input_seq = 1 + round as u64;
        let commit = LineCommit { first_input_seq, ..owner.commit(&changes) };
        plant.db.commit(&[commit]).await.unwrap();
        owner.moved(&changes);
        let stale = LineCommit { first_input_seq, ..paused.commit(&changes) };
        let error = plant.db.commit(&[stale]).await.unwrap_err();
        assert!(matches!(&error, CommitError::Fenced(lines) if lines == &["l1"]), "{count} rows: {error:?}");
        let now = plant.db.checkpoint("l1").await.unwrap().unwrap();
        assert_eq!((now.commit_seq, now.owner_epoch), (owner.checkpoint.commit_seq, owner.checkpoint.owner_epoch));
    }
}

async fn one_fenced_line_stops_the_others_of_its_batch(site: Site) {
    let plant = Plant::new(site).await;
    let (first, second) = (plant.take_over("l1").await, plant.take_over("l2").await);
    plant.take_over("l2").await;
    let changes = detections(NEW_YEAR, 200);
    let error = plant.db.commit(&[second.commit(&changes), first.commit(&changes)]).await.unwrap_err();
    assert!(matches!(&error, CommitError::Fenced(lines) if lines == &["l2"]), "{error:?}");
    assert!(plant.db.detections("l1", ALWAYS, true).await.unwrap().is_empty());
    plant.db.commit(&[first.commit(&changes)]).await.unwrap();
    assert_eq!(plant.db.detections("l1", ALWAYS, true).await.unwrap().len(), 200);
}

/// Another connection holds the last row that the commit writes; while it waits, its connection is killed.
async fn a_lost_connection_leaves_nothing(site: Site) {
    use sqlx::{Connection, Executor, Row};
    let plant = Plant::new(site).await;
    let owner = plant.take_over("l1").await;
    let changes = detections(NEW_YEAR, 500);
    let mut blocker = plant.connection().await;
    let mut held = blocker.begin().await.unwrap();
    held.execute("INSERT INTO outbox (line, commit_seq, payload) VALUES ('l1', 1, '')").await.unwrap();

    let commit = owner.commit(&changes);
    let commits = [commit];
    let committing = plant.db.commit(&commits);
    let killing = async {
        let mut server = plant.connection().await;
        let database = format!("andon_t_{}", plant.tenant);
        loop {
            let waiting = sqlx::query(
                "SELECT CAST(id AS SIGNED) FROM information_schema.processlist
                 WHERE db = ? AND CAST(info AS CHAR) LIKE 'INSERT INTO outbox%'",
            )
            .bind(&database)
            .fetch_optional(&mut server)
            .await
            .unwrap();
            if let Some(row) = waiting {
                let kill = format!("KILL {}", row.get::<i64, _>(0));
                sqlx::raw_sql(sqlx::AssertSqlSafe(kill)).execute(&mut server).await.unwrap();
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    let (result, ()) = tokio::join!(committing, killing);
    assert!(matches!(result, Err(CommitError::Transient(_))), "{result:?}");
    held.rollback().await.unwrap();

    assert!(plant.db.detections("l1", ALWAYS, true).await.unwrap().is_empty());
    assert_eq!(plant.db.checkpoint("l1").await.unwrap().unwrap().commit_seq, 0);
    // The same commit goes through on a new connection.
    plant.db.commit(&commits).await.unwrap();
    assert_eq!(plant.db.detections("l1", ALWAYS, true).await.unwrap(), changes.detections);
}

async fn rows_that_are_there_already_are_no_silent_success(site: Site) {
    let plant = Plant::new(site).await;
    let owner = plant.take_over("l1").await;
    // Somebody else's row with the identity of one of ours; few rows go by INSERT, many by LOAD DATA.
    for (from, count) in [(NEW_YEAR, 10), (NEW_YEAR + 3_600_000, 1_000)] {
        let changes = detections(from, count);
        let foreign = changes.detections[5].0;
        let at = andon::domain::time::rfc3339(foreign.detected_at).replace(['T', 'Z'], " ");
        let sql = format!(
            "INSERT INTO detection_line_l1 VALUES ({}, '{}', 9, 9, 9, NULL, NULL, 0)",
            foreign.detection_id,
            at.trim()
        );
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut plant.connection().await).await.unwrap();
        let before = plant.db.detections("l1", ALWAYS, true).await.unwrap();
        let error = plant.db.commit(&[owner.commit(&changes)]).await.unwrap_err();
        assert!(matches!(error, CommitError::Permanent(_)), "{error:?}");
        assert_eq!(plant.db.detections("l1", ALWAYS, true).await.unwrap(), before);
    }
    assert_eq!(plant.db.checkpoint("l1").await.unwrap().unwrap().commit_seq, 0);
}

async fn results_are_written_over_with_absolute_values(site: Site) {
    let plant = Plant::new(site).await;
    let mut owner = plant.take_over("l1").await;
    for (end, revision, total) in [(None, 1, 3), (Some(NEW_YEAR + 120_000), 2, 5)] {
        let changes = Changes {
            stops: vec![StopChange { stop: stop(NEW_YEAR, end, revision), resend: false }],
            minutes: vec![minute(NEW_YEAR, total)],
            ..Changes::default()
        };
        plant.db.commit(&[owner.commit(&changes)]).await.unwrap();
        owner.moved(&changes);
    }
    let stops = plant.db.stops("l1", ALWAYS, None, 10).await.unwrap();
    assert_eq!(stops, [stop(NEW_YEAR, Some(NEW_YEAR + 120_000), 2)]);
    assert_eq!(plant.db.minutes("l1", ALWAYS).await.unwrap(), [minute(NEW_YEAR, 5)]);
}

async fn a_timer_decision_replaces_the_one_before_it(site: Site) {
    let plant = Plant::new(site).await;
    let mut owner = plant.take_over("l1").await;
    let reason = LineInput::Classification(Classification {
        from: NEW_YEAR,
        to: NEW_YEAR + 1,
        until_exit_after: None,
        reason_code: Some("jam".to_owned()),
        comment: None,
        author: "ana".to_owned(),
    });
    let timer = |n: Ms| LineInput::Timer { at: NEW_YEAR + n };
    let steps = [
        (vec![reason.clone(), timer(10)], 1, false),
        (vec![timer(20)], 2, true),
        (vec![timer(30), reason.clone()], 2, true),
    ];
    for (offset, (inputs, first, replaces)) in (0..).zip(steps) {
        let changes = Changes { inputs, ..Changes::default() };
        let mut commit = owner.commit(&changes);
        (commit.first_input_seq, commit.replaces_timer, commit.after_offset) = (first, replaces, offset);
        plant.db.commit(&[commit]).await.unwrap();
        owner.moved(&changes);
    }
    let stored: Vec<_> =
        plant.db.inputs("l1").await.unwrap().into_iter().map(|row| (row.seq, row.input, row.after_offset)).collect();
    assert_eq!(stored, [(1, reason.clone(), 0), (2, timer(30), 2), (3, reason, 2)]);
    assert_eq!(plant.db.inputs_since("l1", 3).await.unwrap().len(), 1);
    // What is no timer decision is never written over.
    let changes = Changes { inputs: vec![timer(40)], ..Changes::default() };
    let mut commit = owner.commit(&changes);
    (commit.first_input_seq, commit.replaces_timer) = (3, true);
    let error = plant.db.commit(&[commit]).await.unwrap_err();
    assert!(matches!(error, CommitError::Permanent(_)), "{error:?}");
}

async fn a_command_is_applied_once(site: Site) {
    let plant = Plant::new(site).await;
    let mut owner = plant.take_over("l1").await;
    let classify = |reason: &str| NewCommand {
        idempotency_key: "key-1".to_owned(),
        line: "l1".to_owned(),
        body: CommandBody::Classify {
            downtime_id: "l1:1".to_owned(),
            reason_code: Some(reason.to_owned()),
            comment: Some("ñ'\"".to_owned()),
            was: None,
        },
        author: "ana".to_owned(),
    };
    let id = plant.db.submit(&classify("jam")).await.unwrap();
    assert_eq!(plant.db.submit(&classify("jam")).await.unwrap(), id);
    assert!(plant.db.submit(&classify("other")).await.is_err());
    let pending = plant.db.pending().await.unwrap();
    assert_eq!((pending.len(), pending[0].id, &pending[0].body), (1, id, &classify("jam").body));
    assert_eq!(plant.db.outcome(id).await.unwrap(), None);

    let changes = Changes::default();
    let outcome = CommandOutcome::Applied { commit_seq: 1 };
    let mut commit = owner.commit(&changes);
    commit.applied_commands = vec![(id, outcome.clone())];
    plant.db.commit(&[commit]).await.unwrap();
    owner.moved(&changes);
    assert_eq!(plant.db.outcome(id).await.unwrap(), Some(outcome.clone()));
    assert!(plant.db.pending().await.unwrap().is_empty());

    let mut commit = owner.commit(&changes);
    commit.applied_commands = vec![(id, outcome)];
    assert!(matches!(plant.db.commit(&[commit]).await, Err(CommitError::Permanent(_))));
    assert_eq!(plant.db.checkpoint("l1").await.unwrap().unwrap().commit_seq, 1);
}

async fn published_batches_are_forgotten(site: Site) {
    let plant = Plant::new(site).await;
    let mut owner = plant.take_over("l1").await;
    let changes = Changes::default();
    for _ in 0..3 {
        plant.db.commit(&[owner.commit(&changes)]).await.unwrap();
        owner.moved(&changes);
    }
    plant.db.mark_published(&[("l1", 2), ("l1", 1)]).await.unwrap();
    plant.db.mark_published(&[("l1", 1)]).await.unwrap();
    let waiting: Vec<u64> =
        plant.db.outbox_after("l1", 0).await.unwrap().iter().map(|batch| batch.commit_seq).collect();
    assert_eq!(waiting, [3]);
    assert_eq!(plant.take_over("l1").await.checkpoint.published_seq, 2);
}

async fn many_lines_with_large_states_commit_together(site: Site) {
    let plant = Plant::new(site).await;
    let changes = Changes::default();
    // Together longer than a statement may be (64 MiB, as hex).
    let state = vec![0xa5_u8; 6 << 20];
    let mut owners = Vec::new();
    for n in 0..6 {
        owners.push(plant.take_over(&format!("big{n}")).await);
    }
    let commits: Vec<_> = owners
        .iter()
        .map(|owner| {
            let mut c = owner.commit(&changes);
            c.state = &state;
            c
        })
        .collect();
    plant.db.commit(&commits).await.unwrap();
    for owner in &owners {
        let stored = plant.db.checkpoint(&owner.line).await.unwrap().unwrap();
        assert_eq!((stored.commit_seq, stored.state.len()), (1, state.len()));
    }
}
