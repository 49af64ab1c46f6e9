//! Stories of what a reader finds.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::*;
use crate::store::Checkpoint;

const NOW: Ms = 1_000_000;

/// A commit's record on the topic of stops.
fn record(commit_seq: u64, index: u64, count: u64, prev_seq: u64, offset: i64) -> Seen {
    Seen {
        incarnation: 1,
        commit_seq,
        index,
        count: Some(count),
        prev_seq: Some(prev_seq),
        told_at: NOW,
        place: Place { topic: Arc::from("downtime.t.l1"), offset, key: Arc::from("l1:1") },
    }
}

fn told(incarnation: u32, commit_seq: u64, told_seq: u64, published_seq: u64, outbox: &[u64]) -> Told {
    let checkpoint = Checkpoint {
        next_offset: 1,
        commit_seq,
        owner_epoch: 1,
        published_seq,
        incarnation,
        told_seq: Some(told_seq),
        state_version: 1,
        state: Vec::new(),
    };
    let outbox = outbox.to_vec();
    Told { checkpoint, stops: Vec::new(), shift_records: Vec::new(), outbox, hours_apart: Vec::new() }
}

/// `whole_since` 0: nothing was removed; later than `NOW`: everything may have been.
fn prove(records: &[Seen], told: &Told, whole_since: Ms) -> LineProof {
    let mut chain = Chain::default();
    records.iter().cloned().for_each(|seen| chain.take(seen));
    let bounds =
        Bounds { whole_since, untouched: true, low: BTreeMap::from([("downtime.t.l1".to_owned(), (0, true))]) };
    let mut proof = LineProof::default();
    let committed = (told.checkpoint.incarnation, told.checkpoint.commit_seq);
    chain.prove(told, committed, &bounds, &mut proof);
    proof
}

fn faults(proof: &LineProof) -> Vec<Fault> {
    proof.problems.iter().map(|problem| problem.fault).collect()
}

#[test]
fn commits_without_records_are_no_loss() {
    let records = [record(2, 0, 2, 0, 0), record(2, 1, 2, 0, 1), record(9, 0, 1, 2, 3)];
    let proof = prove(&records, &told(1, 12, 9, 9, &[]), 0);
    assert_eq!(proof.problems, []);
    assert_eq!((proof.whole_from, proof.thinned, proof.commits), (Some(2), 0, 2));
}

#[test]
fn a_commit_that_its_successor_names_and_that_is_not_there_is_lost() {
    let records = [record(2, 0, 1, 0, 0), record(9, 0, 1, 5, 3)];
    let proof = prove(&records, &told(1, 9, 9, 9, &[]), 0);
    assert_eq!(faults(&proof), [Fault::Lost]);
    assert_eq!((proof.problems[0].commit_seq, proof.problems[0].offset), (Some(5), Some(3)));
}

#[test]
fn where_compaction_may_have_been_it_is_thinned_and_the_log_is_whole_from_there() {
    let records = [record(2, 0, 1, 0, 0), record(9, 0, 1, 5, 3), record(11, 0, 1, 9, 5)];
    let proof = prove(&records, &told(1, 11, 11, 11, &[]), NOW + 1);
    assert_eq!(proof.problems, []);
    assert_eq!((proof.whole_from, proof.thinned), (Some(9), 1));
}

#[test]
fn a_record_missing_from_a_commit_is_lost_even_where_compaction_was_if_it_left_no_room() {
    let with_room = [record(2, 0, 3, 0, 0), record(2, 2, 3, 0, 2)];
    assert_eq!(faults(&prove(&with_room, &told(1, 2, 2, 2, &[]), NOW + 1)), []);
    assert_eq!(faults(&prove(&with_room, &told(1, 2, 2, 2, &[]), 0)), [Fault::Lost]);
    let without = [record(2, 0, 3, 0, 0), record(2, 2, 3, 0, 1)];
    assert_eq!(faults(&prove(&without, &told(1, 2, 2, 2, &[]), NOW + 1)), [Fault::Lost]);
}

#[test]
fn a_record_twice_and_one_out_of_order_are_named_with_their_offsets() {
    let records = [record(2, 0, 1, 0, 0), record(3, 0, 1, 2, 2), record(2, 0, 1, 0, 4)];
    let proof = prove(&records, &told(1, 3, 3, 3, &[]), 0);
    assert_eq!(faults(&proof), [Fault::Doubled]);
    assert_eq!(proof.problems[0].offset, Some(4));
    let records = [record(3, 0, 1, 2, 2), record(2, 0, 1, 0, 4)];
    assert_eq!(faults(&prove(&records, &told(1, 3, 3, 3, &[]), 0)), [Fault::OutOfOrder]);
}

#[test]
fn the_missing_end_waits_in_the_outbox_or_is_lost() {
    let records = [record(2, 0, 1, 0, 0)];
    let waiting = prove(&records, &told(1, 7, 6, 2, &[5, 6, 7]), 0);
    assert_eq!((faults(&waiting), waiting.unpublished), (vec![Fault::Unpublished], vec![5, 6]));
    assert_eq!(faults(&prove(&records, &told(1, 7, 6, 6, &[]), 0)), [Fault::Lost]);
    assert_eq!(faults(&prove(&records, &told(1, 1, 1, 1, &[]), 0)), [Fault::Ahead]);
}

#[test]
fn a_new_incarnation_goes_on_after_the_commit_that_it_names() {
    let second = |commit_seq, prev_seq, offset| Seen { incarnation: 2, ..record(commit_seq, 0, 1, prev_seq, offset) };
    let first = [record(2, 0, 1, 0, 0), record(3, 0, 1, 2, 2), record(4, 0, 1, 3, 4)];
    let good: Vec<Seen> = first.iter().cloned().chain([second(3, 2, 6), second(4, 3, 8)]).collect();
    let proof = prove(&good, &told(2, 4, 4, 4, &[]), 0);
    assert_eq!(proof.problems, []);
    assert_eq!((proof.void, proof.commits), (2, 5));
    let gap: Vec<Seen> = first.into_iter().chain([second(4, 3, 6), second(6, 5, 8)]).collect();
    assert_eq!(faults(&prove(&gap, &told(2, 6, 6, 6, &[]), 0)), [Fault::Lost]);
}

#[test]
fn headers_of_an_older_writer_prove_nothing_and_accuse_nobody() {
    let old = Seen { count: None, prev_seq: None, ..record(7, 3, 0, 0, 0) };
    let records = [old, record(9, 0, 1, 7, 2), record(10, 0, 1, 9, 4)];
    let proof = prove(&records, &told(1, 10, 10, 10, &[]), 0);
    assert_eq!((proof.problems.as_slice(), proof.whole_from), ([].as_slice(), Some(9)));
}
