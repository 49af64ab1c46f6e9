//! Stories that failed once, each with what was wrong.

use super::story::{Act, Story};
use super::world::live;
use crate::domain::production::config::{LossPolicy, MicroStopSide, Role};
use crate::domain::production::testkit::{LineBuilder, S, at, det};
use crate::domain::time::{HOUR_MS, MINUTE_MS, Ms};

/// An ordinary Monday.
const NOON: &str = "2026-01-05T12:00:00Z";

/// Plain configuration, a stop above 2 s, with no lateness.
fn line() -> LineBuilder {
    LineBuilder::new().stopped_above(2 * S).lateness(0)
}

fn holds(first: LineBuilder, acts: Vec<Act>) {
    let story = Story { first: first.build(), acts };
    live(&story).unwrap_or_else(|(problem, told)| panic!("{problem}\nas it went:\n  {}", told.join("\n  ")));
}

/// A piece in area 1, `after` noon.
fn piece(id: i64, after: Ms) -> Act {
    Act::Detection(det(id, at(NOON) + after, 1))
}

fn silence(after: Ms) -> Act {
    Act::Silence { to: at(NOON) + after }
}

/// A version that its owner hears of at once.
fn version(number: u32, builder: LineBuilder, after: Ms) -> Act {
    Act::Version { config: Box::new(builder.version(number, at(NOON) + after).build()), noticed: true, asked: false }
}

/// A version that its owner does not hear of before it is asked something.
fn unnoticed(number: u32, builder: LineBuilder, after: Ms) -> Act {
    let Act::Version { config, asked, .. } = version(number, builder, after) else { unreachable!() };
    Act::Version { config, noticed: false, asked }
}

/// The owner was killed between a version's saving and its taking over: the next took the state for booked by it.
#[test]
fn a_version_saved_just_before_a_crash_is_booked_by_the_next_owner() {
    let acts = vec![
        piece(1, 0),
        piece(2, 30 * S),
        Act::Commit,
        unnoticed(2, line().stopped_above(60 * S), 0),
        Act::Crash,
        piece(3, 50 * S),
    ];
    holds(line(), acts);
}

/// Two versions saved at once: only what the later changes was booked anew.
#[test]
fn two_versions_taken_over_at_once_are_both_booked() {
    let acts = vec![
        piece(1, 0),
        piece(2, 30 * S),
        piece(3, 70 * S),
        unnoticed(2, line().stopped_above(60 * S), 0),
        version(3, line().stopped_above(50 * S), 40 * S),
    ];
    holds(line(), acts);
}

/// A stop kept the shift that it was told with though a version has another.
#[test]
fn a_stop_is_told_again_when_a_version_gives_it_another_shift() {
    let day = || line().shift("day", "06:00", "18:00");
    holds(day(), vec![piece(1, 10 * S), piece(2, 160 * S), Act::Commit, version(2, line(), 10 * S), Act::Commit]);
    // Also while it is open, and also when only its later part changes.
    holds(day(), vec![piece(1, 10 * S), silence(160 * S), Act::Commit, version(2, line(), 10 * S), Act::Commit]);
    holds(day(), vec![piece(1, 10 * S), piece(2, 160 * S), Act::Commit, version(2, line(), 60 * S), Act::Commit]);
}

/// A record was late, then a version allowed more, and it came again: it was stored twice.
#[test]
fn what_was_late_stays_late_when_the_lateness_grows() {
    let patient = || line().lateness(300 * S);
    let late = || piece(3, 15 * S);
    holds(line(), vec![piece(1, 16 * S), late(), version(2, patient(), 10 * S), late(), Act::Commit]);
    // By a version that begins later too.
    holds(line(), vec![version(2, patient(), 60 * S), piece(1, 16 * S), late(), piece(4, 61 * S), late(), Act::Commit]);
}

/// A micro-stop was taken back by the policy of the new version, not by that by which it had been booked.
#[test]
fn a_micro_stop_that_changes_sides_is_booked_once() {
    let policy = LossPolicy { micro_stop_side: MicroStopSide::Availability, ..LossPolicy::default() };
    let acts = vec![piece(1, 0), piece(2, S), Act::Commit, version(2, line().micro_above(500).policy(policy), 0)];
    holds(line().micro_above(500), acts);
}

/// A shift that a version ended and the next has again was closed for good.
#[test]
fn a_shift_goes_on_when_a_later_version_has_it_again() {
    let day = || line().shift("day", "06:00", "18:00");
    let acts = vec![
        piece(1, 5 * S),
        version(2, line(), 10 * S),
        piece(2, 12 * S),
        version(3, day(), 20 * S),
        piece(3, 25 * S),
    ];
    holds(day(), acts);
}

/// The figures of the running shift and day were gone until a version of the future began.
#[test]
fn a_version_of_the_future_leaves_the_running_shift_its_figure() {
    let acts =
        vec![piece(1, 0), Act::Commit, version(2, line().shift("day", "06:00", "17:00"), 2 * HOUR_MS), piece(2, 5 * S)];
    holds(line().shift("day", "06:00", "18:00"), acts);
}

/// The day's books were opened anew from the 25 h that are kept: what was older was lost to a day that is longer.
#[test]
fn a_long_day_keeps_its_beginning_when_a_version_comes() {
    let shifts = || line().shift("day", "06:00", "20:00").shift("night", "20:00", "06:00");
    let acts =
        vec![piece(1, -11 * HOUR_MS), piece(2, HOUR_MS), piece(3, 16 * HOUR_MS), version(2, shifts(), 16 * HOUR_MS)];
    holds(shifts(), acts);
}

/// The line's first exit kept the credit and the role of the version before.
#[test]
fn the_first_exit_is_judged_by_the_version_of_its_time() {
    let generous = || line().cycle(500).cycle_credit();
    holds(line(), vec![piece(1, 0), version(2, generous(), 0), piece(2, 5 * S)]);
    holds(generous(), vec![piece(1, 0), version(2, line(), 0), piece(2, 5 * S)]);
    let roles = [Role::Input, Role::Output];
    let turned = [Role::Output, Role::Input];
    holds(line().areas(&roles), vec![piece(1, 0), version(2, generous().areas(&turned), 0), silence(5 * S)]);
}

/// A gap open for longer than the books' slices were kept was booked from its beginning.
#[test]
fn an_open_gap_of_more_than_a_day_survives_a_version() {
    let roles = [Role::Input, Role::Output];
    let line = || line().areas(&roles);
    let acts = vec![
        piece(1, -25 * HOUR_MS),
        piece(2, 0),
        version(2, line(), 90 * S),
        piece(3, 140 * S),
        version(3, line().stopped_above(5 * S), 140 * S),
    ];
    holds(line(), acts);
}

/// A shift had its record, then a version ended it before the line's first detection: the record stayed.
#[test]
fn a_record_is_revised_when_its_shift_ends_before_the_line_began() {
    let day = line().lateness(60 * S).shift("day", "06:00", "13:01");
    let acts = vec![
        piece(1, 68 * S),
        piece(2, 70 * S),
        silence(HOUR_MS + 62 * S),
        silence(HOUR_MS + 3 * MINUTE_MS),
        Act::Commit,
        version(2, line(), 60 * S),
        Act::Commit,
    ];
    holds(day, acts);
}

/// A batch of more than a day (a sparse recording) booked minutes once more that it had written already: from nothing.
#[test]
fn a_batch_longer_than_the_ring_can_be_booked_anew() {
    let acts = vec![
        piece(1, 0),
        piece(2, 12 * HOUR_MS),
        piece(3, 25 * HOUR_MS),
        piece(4, 25 * HOUR_MS + 50 * S),
        Act::Hole { from: at(NOON) + 50 * S, to: at(NOON) + 13 * HOUR_MS },
        version(2, line().stopped_above(5 * S), 0),
    ];
    holds(line(), acts);
}

/// Minutes committed before had left the kept slices when a later record of a batch of more than a day changed them.
#[test]
fn a_minute_committed_before_a_long_batch_can_be_booked_anew() {
    let patient = || line().lateness(300 * S);
    let acts = vec![
        piece(1, 0),
        piece(2, 90 * S),
        Act::Commit,
        piece(3, 26 * HOUR_MS),
        version(2, patient().stopped_above(100 * S), 0),
    ];
    holds(patient(), acts);
}

/// As above: a shift that a version gives to time that had left the kept slices was booked without it.
#[test]
fn a_shift_cut_in_the_past_of_a_long_batch_has_its_time() {
    let acts = vec![
        piece(1, 0),
        Act::Commit,
        piece(2, 12 * HOUR_MS),
        piece(3, 25 * HOUR_MS),
        piece(4, 40 * HOUR_MS),
        version(2, line().shift("early", "06:00", "18:00").shift("other", "18:00", "06:00"), HOUR_MS),
        Act::Commit,
    ];
    holds(line(), acts);
}

/// A camera's first sign changed what is dark from then on, but all pieces were counted anew, also those of minutes that
/// had left the kept slices on the way.
#[test]
fn a_first_sign_after_more_than_a_day_leaves_what_was_before() {
    use crate::domain::production::detection::Detection;
    let watched = || line().cameras(1, &[11]).heartbeat(18 * S);
    let seen = Act::Detection(Detection { camera_id: Some(11), ..det(4, at(NOON) + 26 * HOUR_MS, 1) });
    holds(watched(), vec![piece(1, 0), piece(2, 90 * S), Act::Commit, piece(3, 12 * HOUR_MS), seen]);
}

/// A stop in a gap of more than a day was split: the rest of the gap was taken back and booked again, from nothing where
/// it had left the kept slices.
#[test]
fn a_split_in_a_gap_of_more_than_a_day_leaves_the_rest_of_it() {
    let early = || line().shift("early", "06:00", "12:10");
    let split = || Act::Split { nth_last: 1, per_mille: 500 };
    holds(early(), vec![piece(1, 0), piece(2, 26 * HOUR_MS), Act::Commit, split(), Act::Commit]);
    // And while the gap is open.
    holds(early(), vec![piece(1, 0), silence(26 * HOUR_MS), Act::Commit, split(), silence(27 * HOUR_MS)]);
}

/// A stop older than the kept slices was split: the minute in which it begins was not brought back with the others.
#[test]
fn an_old_stop_is_brought_back_with_its_first_minute() {
    let acts = vec![
        piece(1, 5 * S),
        piece(2, 10 * MINUTE_MS),
        piece(3, 26 * HOUR_MS),
        Act::Commit,
        Act::Split { nth_last: 1, per_mille: 500 },
        Act::Commit,
    ];
    holds(line(), acts);
}

/// An old stop was spoken of twice: the second time the first revision of its shift's record was taken for the last.
#[test]
fn a_record_is_revised_from_its_last_revision() {
    let name = |reason| Act::Classify { nth_last: 1, reason: Some(reason) };
    let acts = vec![
        piece(1, 5 * S),
        piece(2, 10 * MINUTE_MS),
        piece(3, 80 * HOUR_MS),
        Act::Commit,
        name("cleaning"),
        Act::Commit,
        piece(4, 81 * HOUR_MS),
        Act::Commit,
        name("jam"),
        Act::Commit,
    ];
    holds(line().shift("day", "06:00", "18:00"), acts);
}

/// A line that waits for longer than a day: what came late but in time was booked into minutes that were kept no more.
#[test]
fn a_lateness_of_days_is_kept_for_days() {
    let patient = || line().lateness(50 * HOUR_MS).shift("day", "06:00", "13:00");
    let acts = vec![
        piece(1, 0),
        piece(2, 10 * S),
        Act::Commit,
        piece(3, 29 * HOUR_MS),
        Act::Commit,
        Act::Crash,
        piece(4, 5 * S),
        piece(5, 49 * HOUR_MS),
        Act::Commit,
        piece(6, 3 * HOUR_MS),
        // Shifts close once the watermark has passed them.
        piece(7, 130 * HOUR_MS),
        Act::Commit,
    ];
    holds(patient(), acts);
}

/// A hole moved a stop's beginning; before its commit the stop was split, and came back from the table as it had been.
#[test]
fn a_stop_that_moved_in_this_batch_is_not_brought_back_as_it_was() {
    let acts = vec![
        piece(1, 0),
        piece(2, 60 * S),
        Act::Commit,
        Act::Hole { from: at(NOON), to: at(NOON) + 5 * S },
        Act::Split { nth_last: 0, per_mille: 500 },
        Act::Commit,
    ];
    holds(line().lateness(300 * S), acts);
}

/// A reason for a part of a stop, and one given before it began: forgotten, then split, a half took the wrong one.
#[test]
fn halves_of_a_forgotten_stop_keep_the_reasons_of_their_parts() {
    use crate::domain::production::input::Classification;
    use crate::domain::production::line::{doubtful_words, resolved_words};
    use crate::domain::time::{FOREVER, Span};
    let words = |from: Ms, to: Ms, until_exit_after: Option<Ms>| Classification {
        from,
        to,
        until_exit_after,
        reason_code: Some("jam".into()),
        comment: None,
        author: "lead".into(),
    };
    let stop = Span::new(100, 200);
    let given = vec![words(50, FOREVER, Some(80)), words(100, 150, None), words(60, FOREVER, Some(90))];
    assert_eq!(doubtful_words(stop, &given), [(0, Span::new(81, 101)), (2, Span::new(91, 101))]);
    let kept = resolved_words(stop, given, &[(0, true), (2, false)]);
    assert_eq!(kept, [words(100, 150, None), words(60, 200, None)]);
    // Where all that is known covers it whole, both halves have what the stop was told with.
    assert_eq!(doubtful_words(stop, &[words(50, FOREVER, Some(80)), words(90, 250, None)]), []);
}
