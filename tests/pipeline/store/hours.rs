//! Hours are the sums of their minutes, at every commit.

use std::collections::BTreeMap;

use andon::domain::production::changes::{Changes, MinuteRow, PieceCount};
use andon::domain::production::sums::Sums;
use andon::domain::time::{HOUR_MS, MINUTE_MS, Ms, Span, rfc3339};
use andon::store::LineCommit;
use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};

use super::{NEW_YEAR, Plant, on_both};
use crate::support::Site;

on_both!(
    hours_are_the_sums_of_their_minutes,
    hours_of_an_older_database_are_added_up,
    an_unfinished_hour_of_an_older_database_waits_for_the_clock,
    an_hour_that_is_not_the_sum_of_its_minutes_is_named,
);

/// What the minutes are, kept without hours.
#[derive(Default)]
struct Naive {
    minutes: BTreeMap<Ms, MinuteRow>,
    clock: Ms,
}

impl Naive {
    fn sums(&self, span: Span) -> Sums {
        let mut sums = Sums::default();
        self.minutes.range(span.from..span.to).for_each(|(_, row)| sums += &row.sums);
        sums
    }

    fn pieces(&self, span: Span) -> BTreeMap<(Ms, i32, i32), i64> {
        let mut found = BTreeMap::new();
        for (minute, row) in self.minutes.range(span.from..span.to) {
            for piece in &row.pieces {
                let hour = minute.div_euclid(HOUR_MS) * HOUR_MS;
                *found.entry((hour, piece.area_id, piece.product_id)).or_default() += piece.quantity;
            }
        }
        found
    }

    fn change(&mut self, chance: &mut StdRng, minute: Ms) -> MinuteRow {
        let total = chance.random_range(0..60);
        let mut sums = Sums { total, good: total / 2, ideal_ns: total * 600_000_000, stops: 1, ..Sums::default() };
        sums.buckets = [0, 1, 2, total * 10, 4, chance.random_range(0..50_000)];
        let piece = |product_id| PieceCount { area_id: 1, product_id, quantity: total + i64::from(product_id) };
        let pieces = (7..chance.random_range(7..10)).map(piece).collect();
        let row = MinuteRow { minute, sums, pieces, slices: vec![1] };
        self.minutes.insert(minute, row.clone());
        row
    }
}

/// Lets the clock go on by some minutes, or hours, and changes some minutes of before.
async fn commit(plant: &Plant, owner: &mut super::Owner, naive: &mut Naive, chance: &mut StdRng) {
    let from = naive.clock.div_euclid(MINUTE_MS);
    let far = if chance.random_range(0..5) == 0 { 400 } else { 25 };
    // On the edge of an hour now and then.
    naive.clock += match chance.random_range(0..4) {
        0 => HOUR_MS - naive.clock.rem_euclid(HOUR_MS),
        _ => chance.random_range(0..far * MINUTE_MS),
    };
    let mut touched: Vec<Ms> = (from..=naive.clock.div_euclid(MINUTE_MS)).map(|at| at * MINUTE_MS).collect();
    if naive.clock % MINUTE_MS == 0 {
        touched.pop();
    }
    for _ in 0..chance.random_range(0..4) {
        let known = naive.minutes.len().max(1);
        touched.extend(naive.minutes.keys().nth(chance.random_range(0..known)).copied());
    }
    touched.sort_unstable();
    touched.dedup();
    let minutes: Vec<MinuteRow> = touched.into_iter().map(|minute| naive.change(chance, minute)).collect();
    let changes = Changes { minutes, ..Changes::default() };
    plant.db.commit(&[LineCommit { clock: Some(naive.clock), ..owner.commit(&changes) }]).await.unwrap();
    owner.moved(&changes);
}

async fn apart(plant: &Plant) -> Vec<Ms> {
    plant.db.told("l1").await.unwrap().expect("an owner").hours_apart
}

/// All that is asked of hours agrees with the minutes.
async fn agree(plant: &Plant, naive: &Naive, chance: &mut StdRng) {
    let until = plant.db.hours_until("l1").await.unwrap();
    let left = naive.clock.div_euclid(HOUR_MS) * HOUR_MS;
    let has_hours = naive.minutes.keys().next().is_some_and(|first| *first < left);
    assert_eq!(until, has_hours.then_some(left));
    let told: BTreeMap<(Ms, i32, i32), i64> = plant
        .db
        .hour_pieces("l1", Span::new(0, left))
        .await
        .unwrap()
        .into_iter()
        .map(|(hour, piece)| ((hour, piece.area_id, piece.product_id), piece.quantity))
        .collect();
    assert_eq!(told, naive.pieces(Span::new(0, left)));
    assert_eq!(apart(plant).await, Vec::<Ms>::new());
    for _ in 0..6 {
        let from = NEW_YEAR / MINUTE_MS + chance.random_range(-100..2_000);
        let span = Span::new(from * MINUTE_MS, (from + chance.random_range(0..3_000)) * MINUTE_MS);
        assert_eq!(plant.db.sums("l1", span).await.unwrap(), naive.sums(span), "{span:?}");
        for step in [HOUR_MS, 24 * HOUR_MS, 15 * MINUTE_MS] {
            for (at, sums) in plant.db.minute_sums("l1", span, step).await.unwrap() {
                let end = (at.div_euclid(step) + 1) * step;
                assert_eq!(sums, naive.sums(Span::new(at, end.min(span.to))), "{step} of {span:?} at {at}");
            }
        }
    }
}

async fn hours_are_the_sums_of_their_minutes(site: Site) {
    let seed = std::env::var("ANDON_SEED").ok().and_then(|text| text.parse().ok());
    let seed: u64 = seed.unwrap_or_else(|| rand::rng().next_u64());
    println!("(ANDON_SEED={seed})");
    let mut chance = StdRng::seed_from_u64(seed);
    let plant = Plant::new(site).await;
    let mut owner = plant.take_over("l1").await;
    let mut naive = Naive { clock: NEW_YEAR + 17 * MINUTE_MS + 5_000, ..Naive::default() };
    for _ in 0..40 {
        commit(&plant, &mut owner, &mut naive, &mut chance).await;
        agree(&plant, &naive, &mut chance).await;
    }
}

/// As before there were hours.
async fn forget_hours(plant: &Plant) {
    let mut run = plant.connection().await;
    for sql in [
        "DROP TABLE rollup_hour_l1",
        "DROP TABLE pieces_hour_l1",
        "DELETE FROM schema_migration WHERE scope = 'line:l1' AND version >= 2",
    ] {
        sqlx::raw_sql(sql).execute(&mut run).await.unwrap();
    }
}

async fn hours_of_an_older_database_are_added_up(site: Site) {
    let plant = Plant::new(site).await;
    let mut chance = StdRng::seed_from_u64(1);
    let mut owner = plant.take_over("l1").await;
    let mut naive = Naive { clock: NEW_YEAR, ..Naive::default() };
    for _ in 0..10 {
        commit(&plant, &mut owner, &mut naive, &mut chance).await;
    }
    forget_hours(&plant).await;
    plant.db.migrate().await.unwrap();
    agree(&plant, &naive, &mut chance).await;
    commit(&plant, &mut owner, &mut naive, &mut chance).await;
    agree(&plant, &naive, &mut chance).await;
}

async fn an_unfinished_hour_of_an_older_database_waits_for_the_clock(site: Site) {
    let plant = Plant::new(site).await;
    let mut owner = plant.take_over("l1").await;
    // A piece a second; the clock stands inside the last minute of an hour.
    let row = |minute: Ms, ms: i64| MinuteRow {
        minute: NEW_YEAR + minute * MINUTE_MS,
        sums: Sums { buckets: [0, 0, 0, ms, 0, 0], total: ms / 1_000, good: ms / 1_000, ..Sums::default() },
        pieces: vec![PieceCount { area_id: 1, product_id: 7, quantity: ms / 1_000 }],
        slices: Vec::new(),
    };
    let mut minutes: Vec<MinuteRow> = (0..119).map(|at| row(at, 60_000)).collect();
    minutes.push(row(119, 30_000));
    let mut to = async |minutes: Vec<MinuteRow>, clock: Ms| {
        let changes = Changes { minutes, ..Changes::default() };
        plant.db.commit(&[LineCommit { clock: Some(clock), ..owner.commit(&changes) }]).await.unwrap();
        owner.moved(&changes);
    };
    to(minutes, NEW_YEAR + 2 * HOUR_MS - 30_000).await;
    forget_hours(&plant).await;
    plant.db.migrate().await.unwrap();
    assert_eq!(plant.db.hours_until("l1").await.unwrap(), Some(NEW_YEAR + HOUR_MS));

    to(vec![row(119, 40_000)], NEW_YEAR + 2 * HOUR_MS - 20_000).await;
    let both = Span::new(NEW_YEAR, NEW_YEAR + 2 * HOUR_MS);
    assert_eq!(plant.db.sums("l1", both).await.unwrap().total, 7_180);
    to(vec![row(119, 60_000)], NEW_YEAR + 2 * HOUR_MS).await;
    assert_eq!(plant.db.sums("l1", both).await.unwrap().total, 7_200);
    assert_eq!(plant.db.hours_until("l1").await.unwrap(), Some(both.to));

    // A clock that stands on the edge has left the hour.
    forget_hours(&plant).await;
    plant.db.migrate().await.unwrap();
    assert_eq!(plant.db.hours_until("l1").await.unwrap(), Some(both.to));
}

async fn an_hour_that_is_not_the_sum_of_its_minutes_is_named(site: Site) {
    let plant = Plant::new(site).await;
    let mut chance = StdRng::seed_from_u64(1);
    let mut owner = plant.take_over("l1").await;
    let mut naive = Naive { clock: NEW_YEAR, ..Naive::default() };
    while naive.clock < NEW_YEAR + 3 * HOUR_MS {
        commit(&plant, &mut owner, &mut naive, &mut chance).await;
    }
    let mut run = plant.connection().await;
    let hour = |at: Ms| rfc3339(NEW_YEAR + at * HOUR_MS).replace('T', " ").replace('Z', "");
    for (sql, named) in [
        (format!("UPDATE rollup_hour_l1 SET running_ms = running_ms + 1 WHERE hour = '{}'", hour(1)), vec![1]),
        (format!("DELETE FROM rollup_hour_l1 WHERE hour = '{}'", hour(0)), vec![0, 1]),
        (format!("DELETE FROM pieces_hour_l1 WHERE hour = '{}' AND product_id = 7", hour(2)), vec![0, 1, 2]),
    ] {
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut run).await.unwrap();
        let named: Vec<Ms> = named.into_iter().map(|at| NEW_YEAR + at * HOUR_MS).collect();
        assert_eq!(apart(&plant).await, named);
    }
}
