//! The schedules, and the proof that they find what is broken.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use super::run::run;
use super::sabotage::Sabotage;

/// Seeds of a test run.
const SEEDS: u64 = 10_000;
/// Seeds within which every break must be found.
const SEEDS_PER_BREAK: u64 = 10_000;
/// Seeds that once found something; the list of what they found is in `docs/proof.md`.
const ONCE_FAILED: &[u64] = &[
    8, 14, 17, 25, 33, 39, 41, 94, 100, 108, 120, 123, 141, 145, 150, 155, 184, 231, 241, 264, 273, 293, 299, 314, 559,
    906, 2496, 4363, 4559, 18371, 98197, 187500,
];

fn asked(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|value| value.parse().ok())
}

fn reproduce(seed: u64) -> String {
    format!("ANDON_SIMULATION_SEED={seed} cargo test --lib simulation::tests::story -- --nocapture")
}

/// Runs seeds on a few threads until one fails; its number and what was wrong.
fn first_wrong(from: u64, count: u64, sabotage: Option<Sabotage>, progress: bool) -> Option<(u64, Vec<String>)> {
    let (next, found, begun) = (AtomicU64::new(from), AtomicBool::new(false), Instant::now());
    let worst = parking_lot::Mutex::new(None);
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, |n| n.get()) {
            scope.spawn(|| {
                while !found.load(Ordering::Relaxed) {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= from + count {
                        return;
                    }
                    let outcome = run(seed, sabotage, false);
                    if !outcome.wrong.is_empty() {
                        found.store(true, Ordering::Relaxed);
                        worst.lock().get_or_insert((seed, outcome.wrong));
                    }
                    if progress && (seed + 1 - from).is_multiple_of(10_000) {
                        let rate = (seed + 1 - from) as f64 / begun.elapsed().as_secs_f64().max(0.001);
                        println!("{} of {count} schedules, {rate:.0} per second", seed + 1 - from);
                    }
                }
            });
        }
    });
    worst.into_inner()
}

fn does_no_harm(sabotage: Sabotage) {
    if let Some((seed, wrong)) = first_wrong(0, SEEDS_PER_BREAK / 5, Some(sabotage), false) {
        panic!("seed {seed}:\n{}", wrong.join("\n"));
    }
}

#[test]
fn seeds() {
    let from = asked("ANDON_SIMULATION_FROM").unwrap_or(0);
    let count = asked("ANDON_SIMULATION_SEEDS");
    if let Some((seed, wrong)) = first_wrong(from, count.unwrap_or(SEEDS), None, count.is_some()) {
        panic!("seed {seed}:\n{}\n{}", wrong.join("\n"), reproduce(seed));
    }
}

#[test]
fn story() {
    let Some(seed) = asked("ANDON_SIMULATION_SEED") else { return };
    let sabotage = asked("ANDON_SIMULATION_LOSE_ENDS").map(|_| Sabotage::LoseEnds);
    let sabotage = sabotage.or(asked("ANDON_SIMULATION_FORGET_OFFSETS").map(|_| Sabotage::ForgetOffsets));
    let outcome = run(seed, sabotage, true);
    println!("{}", outcome.story.join("\n"));
    assert!(outcome.wrong.is_empty(), "seed {seed}: {}", outcome.wrong.join("\n"));
}

#[test]
fn seeds_that_once_failed() {
    for seed in ONCE_FAILED {
        let wrong = run(*seed, None, false).wrong;
        assert!(wrong.is_empty(), "seed {seed}:\n{}\n{}", wrong.join("\n"), reproduce(*seed));
    }
}

#[test]
fn a_seed_is_one_schedule() {
    for seed in (0..40).map(|n| n * 7) {
        let (once, again) = (run(seed, None, true), run(seed, None, true));
        assert!(once.commits > 0 || once.story.len() > 1, "seed {seed} does something");
        let differs = once.story.iter().zip(&again.story).find(|(a, b)| a != b);
        assert_eq!(differs, None, "seed {seed}");
        assert_eq!(once.story.len(), again.story.len(), "seed {seed}");
    }
}

#[test]
fn a_broker_that_loses_the_end_of_transactions_does_no_harm() {
    does_no_harm(Sabotage::LoseEnds);
}

#[test]
fn a_group_that_forgets_its_offsets_does_no_harm() {
    does_no_harm(Sabotage::ForgetOffsets);
}

#[test]
fn every_break_of_the_design_is_found() {
    let mut missed = Vec::new();
    for sabotage in Sabotage::ALL {
        match first_wrong(0, SEEDS_PER_BREAK, Some(sabotage), false) {
            Some((seed, wrong)) => println!("{sabotage:?}: seed {seed}: {}", wrong[0]),
            None => missed.push(sabotage),
        }
    }
    assert!(missed.is_empty(), "not found within {SEEDS_PER_BREAK} seeds: {missed:?}");
}
