//! Random stories.

use proptest::prelude::*;

use super::story::{Act, Story};
use crate::domain::production::config::{LineConfig, Role};
use crate::domain::production::detection::{CameraStatus, Detection, Health};
use crate::domain::production::line::accounts::SLICE_MS;
use crate::domain::production::testkit::{LAYOUTS, LineBuilder, at, builders, det, status};
use crate::domain::time::{HOUR_MS, MINUTE_MS, Ms};

/// Where stories play, and around when: both changes of the clock in zones that change by an hour and by half of one,
/// and ordinary days.
const PLACES: [(&str, &str); 9] = [
    ("Europe/Madrid", "2026-01-05T09:00:00Z"),
    ("Europe/Madrid", "2026-03-29T01:00:00Z"),
    ("Europe/Madrid", "2026-10-25T01:00:00Z"),
    ("America/New_York", "2026-03-08T07:00:00Z"),
    ("America/New_York", "2026-11-01T06:00:00Z"),
    ("Australia/Lord_Howe", "2026-04-04T15:00:00Z"),
    ("Australia/Lord_Howe", "2026-10-03T15:30:00Z"),
    ("Asia/Kolkata", "2026-02-28T18:30:00Z"),
    ("UTC", "2026-12-31T23:00:00Z"),
];

/// A random act, before it has a place in time.
#[derive(Clone, Debug)]
struct Happening {
    /// Of the walk since the act before.
    pause: Ms,
    /// How far before the walk's place the event lies.
    behind: Ms,
    what: What,
}

#[derive(Clone, Debug)]
enum What {
    Detection {
        area: usize,
        product: i32,
        quantity: i32,
        camera: Option<i32>,
    },
    Status {
        camera: i32,
        offline: bool,
    },
    /// The record so many back once more; `twisted`: with other content.
    Again {
        back: usize,
        twisted: bool,
    },
    Act(Act),
    Silence,
    Hole {
        long: Ms,
    },
    Version {
        builder: Box<LineBuilder>,
        turned: bool,
        noticed: bool,
        asked: bool,
        ahead: Ms,
    },
}

/// A random life of up to `acts` acts.
pub fn stories(acts: usize) -> impl Strategy<Value = Story> {
    let place = (0..PLACES.len(), -8 * HOUR_MS..HOUR_MS, 0..LAYOUTS.len());
    let line = (builders(), 0..6_usize);
    (place, line, prop::collection::vec(happening(), 1..=acts)).prop_map(
        |((place, offset, layout), (builder, holiday), happenings)| {
            let (zone, around) = PLACES[place];
            let start = at(around) + offset.div_euclid(1000) * 1000;
            let areas = LAYOUTS[layout];
            let mut first = finished(builder, zone, start, holiday).with_roles(areas, false).build();
            // A few lines wait for days.
            let is_patient = offset % 16 == 0;
            if is_patient {
                first.allowed_lateness_ms += 30 * HOUR_MS;
            }
            let mut happenings = happenings;
            happenings.iter_mut().filter(|_| is_patient).for_each(|happening| happening.behind *= 50);
            let acts = acts_of(&happenings, &first, (zone, start), areas);
            Story { first, acts }
        },
    )
}

/// In the place's zone; the day of the start, or that after it, may be a holiday.
fn finished(builder: LineBuilder, zone: &str, start: Ms, holiday: usize) -> LineBuilder {
    let builder = builder.zone(zone);
    let day = |after: Ms| {
        let stamp = jiff::Timestamp::from_millisecond(start + after).expect("a year of ours");
        stamp.in_tz(zone).expect("a zone").date()
    };
    match holiday {
        0 => builder.holiday(day(0)),
        1 => builder.holiday(day(24 * HOUR_MS)),
        _ => builder,
    }
}

fn happening() -> impl Strategy<Value = Happening> {
    let pause = prop_oneof![
        6 => Just(0),
        30 => 1..12_000_i64,
        15 => 12_000..150_000_i64,
        6 => 150_000..1_500_000_i64,
        3 => (1..40_i64).prop_map(|n| n * 10_000),
        1 => HOUR_MS..14 * HOUR_MS,
    ];
    let behind = prop_oneof![
        12 => Just(0),
        5 => 1..30_000_i64,
        3 => 30_000..400_000_i64,
        1 => 400_000..2_000_000_i64,
    ];
    let camera = || 11..16_i32;
    let what = prop_oneof![
        40 => (0..4_usize, 1..4_i32, 1..4_i32, prop::option::of(camera()))
            .prop_map(|(area, product, quantity, camera)| What::Detection { area, product, quantity, camera }),
        7 => (camera(), any::<bool>()).prop_map(|(camera, offline)| What::Status { camera, offline }),
        4 => (1..9_usize, prop::bool::weighted(0.25)).prop_map(|(back, twisted)| What::Again { back, twisted }),
        4 => Just(What::Silence),
        14 => Just(What::Act(Act::Commit)),
        6 => Just(What::Act(Act::Crash)),
        5 => (0..4_usize, prop::option::weighted(0.85, 0..4_usize)).prop_map(|(nth_last, reason)| {
            let reason = reason.map(|reason| ["jam", "cleaning", "changeover", "cleaning"][reason]);
            What::Act(Act::Classify { nth_last, reason })
        }),
        4 => (0..4_usize, 1..1000_i64)
            .prop_map(|(nth_last, per_mille)| What::Act(Act::Split { nth_last, per_mille })),
        2 => (1..300_000_i64).prop_map(|long| What::Hole { long }),
        3 => version(),
    ];
    (pause, behind, what).prop_map(|(pause, behind, what)| Happening { pause, behind, what })
}

fn version() -> impl Strategy<Value = What> {
    let ahead = prop_oneof![3 => Just(0), 1 => 0..3 * HOUR_MS];
    (builders(), prop::bool::weighted(0.3), prop::bool::weighted(0.7), any::<bool>(), ahead).prop_map(
        |(builder, turned, noticed, asked, ahead)| What::Version {
            builder: Box::new(builder),
            turned,
            noticed,
            asked,
            ahead,
        },
    )
}

fn acts_of(happenings: &[Happening], first: &LineConfig, place: (&str, Ms), areas: &[Role]) -> Vec<Act> {
    let mut acts: Vec<Act> = Vec::new();
    let mut walk = place.1;
    let mut version = first.version;
    for (id, happening) in (1..).zip(happenings) {
        walk += happening.pause;
        let event = walk - happening.behind;
        let act = match &happening.what {
            What::Detection { area, product, quantity, camera } => {
                let detection = det(id, event, (area % areas.len()) as i32 + 1);
                Act::Detection(Detection { product_id: *product, quantity: *quantity, camera_id: *camera, ..detection })
            }
            What::Status { camera, offline } => {
                Act::Status(status(*camera, event, if *offline { Health::Offline } else { Health::Online }))
            }
            What::Again { back, twisted } => {
                let mut records = acts.iter().rev().filter(|act| matches!(act, Act::Detection(_) | Act::Status(_)));
                match records.nth(back - 1).cloned() {
                    Some(Act::Detection(d)) if *twisted => Act::Detection(Detection { quantity: d.quantity + 1, ..d }),
                    Some(Act::Status(s)) if *twisted => Act::Status(CameraStatus { status: Health::Online, ..s }),
                    Some(record) => record,
                    None => continue,
                }
            }
            What::Act(act) => act.clone(),
            What::Silence => Act::Silence { to: walk },
            What::Hole { long } => Act::Hole { from: event, to: event + long },
            What::Version { builder, turned, noticed, asked, ahead } => {
                version += 1;
                // As `tenant apply` has it: a version begins with a slice.
                let from = (event + ahead).div_euclid(SLICE_MS) * SLICE_MS;
                let builder = finished((**builder).clone(), place.0, place.1, (event % 6) as usize);
                let config = builder.with_roles(areas, *turned).version(version, from).build();
                Act::Version { config: Box::new(config), noticed: *noticed, asked: *asked }
            }
        };
        acts.push(act);
    }
    // Long enough after the last for its watermark to pass, now and then.
    if version.is_multiple_of(2) {
        acts.push(Act::Silence { to: walk + 20 * MINUTE_MS });
    }
    acts
}
