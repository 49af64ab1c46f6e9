//! The stream against the plain recomputation, on random stories: whatever came in whatever order, however it was cut
//! into batches, whoever was killed when, and whatever was said or saved in between, what was told in the end is what
//! the stored inputs say. `docs/proof.md` says how to run more of them.

mod random;
mod regressions;
mod story;
mod world;

use proptest::test_runner::{Config, RngSeed, TestError, TestRunner};

use self::random::stories;
use self::world::live;

/// Stories in the ordinary run.
const CASES: u32 = 1_500;
/// Their seed: the same every time, so that a red run says something about the change.
const SEED: u64 = 2026;
/// Acts of a story at most.
const ACTS: usize = 70;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

/// `ANDON_MODEL_CASES` stories of seed `ANDON_MODEL_SEED`; with a number of cases and no seed, of a seed of the moment.
#[test]
fn the_stream_tells_what_the_stored_inputs_say() {
    let cases = number("ANDON_MODEL_CASES");
    let moment = || std::time::UNIX_EPOCH.elapsed().map_or(SEED, |since| since.as_nanos() as u64);
    let seed = number("ANDON_MODEL_SEED").unwrap_or_else(|| if cases.is_some() { moment() } else { SEED });
    let cases = cases.map_or(CASES, |cases| cases as u32);
    let config = Config {
        cases,
        rng_seed: RngSeed::Fixed(seed),
        failure_persistence: None,
        max_shrink_iters: 20_000,
        ..Config::default()
    };
    let run = TestRunner::new(config).run(&stories(ACTS), |story| {
        live(&story).map_err(|(problem, _)| proptest::test_runner::TestCaseError::fail(problem))
    });
    let Err(TestError::Fail(_, story)) = run else { return run.expect("stories") };
    let (problem, told) = live(&story).expect_err("the smallest story fails as the one it came from");
    let told = told.join("\n  ");
    panic!("ANDON_MODEL_SEED={seed}: {problem}\nthe story:{story:?}as it went:\n  {told}");
}
