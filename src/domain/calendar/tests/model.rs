//! Random rules against a naive model: one instant at a time, wall time through the calendar library's own
//! notion of ambiguous times, no interval arithmetic but "is it in".

use jiff::Timestamp;
use jiff::civil::{DateTime, date};
use jiff::tz::AmbiguousOffset;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::*;

/// Zones and dates around which their clocks do something.
const PLACES: [(&str, i16, i8, i8); 10] = [
    ("Europe/Madrid", 2026, 3, 29),
    ("Europe/Madrid", 2026, 10, 25),
    ("America/New_York", 2026, 3, 8),
    ("America/New_York", 2026, 11, 1),
    ("Australia/Lord_Howe", 2026, 4, 5),
    ("Australia/Lord_Howe", 2026, 10, 4),
    ("Pacific/Apia", 2011, 12, 30),
    ("America/St_Johns", 2006, 10, 29),
    ("America/Havana", 2026, 3, 8),
    ("Asia/Kathmandu", 2026, 1, 1),
];

struct Naive {
    rules: CalendarRules,
    /// Every date that could matter.
    dates: Vec<Date>,
}

/// What the model says of an instant: schedule, shift, business date.
type Said = (Schedule, Option<ShiftId>, Date);

impl Naive {
    fn new(rules: CalendarRules, middle: Date) -> Self {
        let first = middle.checked_sub(jiff::Span::new().days(8)).unwrap();
        let dates = first.series(jiff::Span::new().days(1)).take(17).collect();
        Self { rules, dates }
    }

    fn instant(&self, wall: DateTime) -> Ms {
        let zone = &self.rules.zone;
        match zone.to_ambiguous_timestamp(wall).offset() {
            AmbiguousOffset::Unambiguous { offset } | AmbiguousOffset::Fold { before: offset, .. } => {
                offset.to_timestamp(wall).unwrap().as_millisecond()
            }
            AmbiguousOffset::Gap { after, .. } => {
                let before_change = after.to_timestamp(wall).unwrap();
                zone.following(before_change).next().unwrap().timestamp().as_millisecond()
            }
        }
    }

    /// [start, end) on a date, as instants.
    fn on(&self, date: Date, start: Time, end: Time) -> Span {
        let end_date = if end > start { date } else { date.tomorrow().unwrap() };
        Span::new(self.instant(date.to_datetime(start)), self.instant(end_date.to_datetime(end)))
    }

    fn local_date(&self, at: Ms) -> Date {
        self.rules.zone.to_datetime(Timestamp::from_millisecond(at).unwrap()).date()
    }

    fn rests(&self, date: Date, shift: Option<&Arc<str>>) -> bool {
        self.rules.exceptions.iter().any(|e| {
            e.date == date && (e.shifts.is_empty() || shift.is_some_and(|name| e.shifts.iter().any(|n| n == name)))
        })
    }

    fn regular(&self, at: Ms) -> Option<ShiftId> {
        self.dates.iter().find_map(|date| {
            let here = self.rules.shifts.iter().find(|s| {
                s.days.contains(date.weekday())
                    && !self.rests(*date, Some(&s.name))
                    && self.on(*date, s.start, s.end).contains(at)
            });
            here.map(|s| ShiftId { name: s.name.clone(), date: *date })
        })
    }

    fn shift(&self, at: Ms) -> Option<ShiftId> {
        let extra = || {
            let here = self.rules.extra_shifts.iter().find(|e| self.on(e.date, e.start, e.end).contains(at));
            let counts = !self.rules.shifts.is_empty() || self.rests(self.local_date(at), None);
            here.filter(|_| counts).map(|e| ShiftId { name: e.name.clone(), date: e.date })
        };
        self.regular(at).or_else(extra)
    }

    fn is_break(&self, at: Ms, shift: &ShiftId) -> bool {
        self.rules.breaks.iter().any(|b| {
            let on_day = |date: &&Date| match &b.shift {
                Some(_) => b.days.contains(shift.date.weekday()),
                None => b.days.contains(date.weekday()),
            };
            let near = |date: &&Date| (**date - shift.date).get_days().abs() <= 1 || b.shift.is_none();
            b.shift.as_ref().is_none_or(|name| *name == shift.name)
                && self.dates.iter().filter(on_day).filter(near).any(|date| self.on(*date, b.start, b.end).contains(at))
        })
    }

    fn say(&self, at: Ms) -> Said {
        let local = self.local_date(at);
        match self.shift(at) {
            Some(shift) if self.is_break(at, &shift) => (Schedule::Break, Some(shift.clone()), shift.date),
            Some(shift) => (Schedule::Scheduled, Some(shift.clone()), shift.date),
            None if self.rules.shifts.is_empty() && !self.rests(local, None) => (Schedule::Scheduled, None, local),
            None => (Schedule::Unscheduled, None, local),
        }
    }
}

fn said(slot: &Slot) -> Said {
    (slot.schedule, slot.shift.clone(), slot.date)
}

fn times() -> impl Strategy<Value = Time> {
    (0..24_i8, select(vec![0_i8, 1, 15, 30, 59])).prop_map(|(hour, minute)| time(hour, minute, 0, 0))
}

fn days() -> impl Strategy<Value = Days> {
    let week: Vec<Weekday> = Weekday::Monday.cycle_forward().take(7).collect();
    prop_oneof![Just(Days::EVERY), subsequence(week, 1..7).prop_map(|days| days.into_iter().collect())]
}

fn names() -> impl Strategy<Value = Arc<str>> {
    select(vec!["a", "b", "c", "d"]).prop_map(Arc::from)
}

/// Cuts a round of the clock into shifts, so that most rules are accepted.
fn shifts() -> impl Strategy<Value = Vec<ShiftRule>> {
    (proptest::collection::vec((times(), days()), 0..5), any::<bool>()).prop_map(|(mut cuts, is_closed)| {
        cuts.sort_by_key(|(start, _)| *start);
        cuts.dedup_by_key(|(start, _)| *start);
        let count = cuts.len();
        let shift = |index: usize| {
            let (start, days) = cuts[index];
            let end = cuts[(index + 1) % count].0;
            ShiftRule { name: ["a", "b", "c", "d"][index].into(), start, end, days }
        };
        (0..if is_closed { count } else { count.saturating_sub(1) }).map(shift).collect()
    })
}

fn near(middle: Date) -> impl Strategy<Value = Date> {
    (-3..=3_i32).prop_map(move |days| middle.checked_add(jiff::Span::new().days(days)).unwrap())
}

fn rules() -> impl Strategy<Value = (CalendarRules, Date)> {
    select(PLACES.to_vec()).prop_flat_map(|(zone_name, year, month, day)| {
        let middle = date(year, month, day);
        let breaks = (proptest::option::of(names()), times(), times(), days())
            .prop_map(|(shift, start, end, days)| BreakRule { shift, start, end, days });
        let exceptions = (near(middle), proptest::collection::vec(names(), 0..3))
            .prop_map(|(date, shifts)| ExceptionRule { date, shifts });
        let extras = (near(middle), names(), times(), times()).prop_map(|(date, name, start, end)| ExtraShift {
            date,
            name,
            start,
            end,
        });
        let lists = (
            shifts(),
            proptest::collection::vec(breaks, 0..4),
            proptest::collection::vec(exceptions, 0..4),
            proptest::collection::vec(extras, 0..3),
        );
        lists.prop_map(move |(shifts, breaks, exceptions, extra_shifts)| {
            let zone = zone(zone_name).unwrap();
            (CalendarRules { zone, shifts, breaks, exceptions, extra_shifts }, middle)
        })
    })
}

/// A stretch of a few days around the middle, and an odd grid on it.
fn stretch(calendar: &Calendar, middle: Date) -> Span {
    let noon = middle.to_datetime(hour(12));
    let noon = calendar.rules().zone.to_zoned(noon).unwrap().timestamp().as_millisecond();
    Span::new(noon - 50 * HOUR_MS, noon + 50 * HOUR_MS)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    #[test]
    fn slots_say_what_the_model_says((rules, middle) in rules(), step in 7..13_i64) {
        let Ok(calendar) = Calendar::new(rules.clone()) else { return Err(TestCaseError::reject("overlap")) };
        let naive = Naive::new(rules, middle);
        let within = stretch(&calendar, middle);
        let slots = calendar.slots(within);

        prop_assert_eq!(slots.first().map(|s| s.span.from), Some(within.from));
        prop_assert_eq!(slots.last().map(|s| s.span.to), Some(within.to));
        for pair in slots.windows(2) {
            prop_assert_eq!(pair[0].span.to, pair[1].span.from, "no gap and no overlap");
            prop_assert_ne!(said(&pair[0]), said(&pair[1]), "maximal");
        }
        for slot in &slots {
            prop_assert!(!slot.span.is_empty());
            // Both ends to the millisecond, and a grid between them.
            let ends = [slot.span.from, slot.span.to - 1];
            let inside = (slot.span.from..slot.span.to).step_by((step * MINUTE_MS) as usize);
            for instant in ends.into_iter().chain(inside) {
                prop_assert_eq!(said(slot), naive.say(instant), "at {}", crate::domain::time::rfc3339(instant));
            }
            let whole = calendar.slot(slot.span.from);
            prop_assert_eq!(said(&whole), said(slot));
            prop_assert_eq!(whole.span.intersect(&within), Some(slot.span), "the same interval, unclipped");
        }
    }

    #[test]
    fn a_slot_reaches_as_far_as_nothing_changes((rules, middle) in rules(), minutes in -2000..2000_i64) {
        let Ok(calendar) = Calendar::new(rules.clone()) else { return Err(TestCaseError::reject("overlap")) };
        let naive = Naive::new(rules, middle);
        let within = stretch(&calendar, middle);
        let instant = (within.from + within.to) / 2 + minutes * MINUTE_MS + 123;
        let slot = calendar.slot(instant);
        prop_assert!(slot.span.contains(instant));
        prop_assert_ne!(naive.say(slot.span.from - 1), said(&slot));
        prop_assert_ne!(naive.say(slot.span.to), said(&slot));
    }

    #[test]
    fn days_share_out_all_time((rules, middle) in rules()) {
        let Ok(calendar) = Calendar::new(rules) else { return Err(TestCaseError::reject("overlap")) };
        let within = stretch(&calendar, middle);
        let mut shares: Vec<Span> = Vec::new();
        for date in near_dates(middle) {
            let spans = calendar.day(date);
            for pair in spans.windows(2) {
                prop_assert!(pair[0].to < pair[1].from, "in order, abutting ones joined");
            }
            for span in &spans {
                prop_assert!(calendar.slots(*span).iter().all(|slot| slot.date == date));
            }
            shares.extend(spans.iter().filter_map(|span| span.intersect(&within)));
        }
        shares.sort();
        prop_assert!(shares.windows(2).all(|pair| pair[0].to <= pair[1].from), "no millisecond twice");
        prop_assert_eq!(shares.iter().map(Span::len).sum::<Ms>(), within.len(), "no millisecond missed");
    }

    #[test]
    fn a_shift_is_the_slots_that_name_it((rules, middle) in rules()) {
        let Ok(calendar) = Calendar::new(rules) else { return Err(TestCaseError::reject("overlap")) };
        for slot in calendar.slots(stretch(&calendar, middle)) {
            let Some(shift) = &slot.shift else { continue };
            let spans = calendar.shift_spans(shift);
            prop_assert!(spans.iter().any(|span| span.intersect(&slot.span) == Some(slot.span)));
            let hull = calendar.shift_span(shift).unwrap();
            let named = calendar.slots(hull).into_iter().filter(|s| s.shift.as_ref() == Some(shift));
            prop_assert_eq!(named.map(|s| s.span.len()).sum::<Ms>(), spans.iter().map(Span::len).sum::<Ms>());
            let is_in = |at: Ms| calendar.slot(at).shift.as_ref() == Some(shift);
            prop_assert!(is_in(hull.from) && is_in(hull.to - 1), "its first and last millisecond");
            prop_assert!(!is_in(hull.from - 1) && !is_in(hull.to), "and none around them");
        }
    }

    #[test]
    fn hours_end_where_the_wall_says_so((zone_name, year, month, day) in select(PLACES.to_vec()), lead in 0..120_i64) {
        let calendar = Calendar::always(zone(zone_name).unwrap());
        let middle = stretch(&calendar, date(year, month, day));
        let within = Span::new(middle.from + lead * MINUTE_MS, middle.to);
        let zone = &calendar.rules().zone;
        let stamp = |at: Ms| Timestamp::from_millisecond(at).unwrap();
        let is_edge = |at: &Ms| {
            let on_the_hour = zone.to_datetime(stamp(*at)).minute() == 0;
            on_the_hour || zone.to_offset(stamp(*at)) != zone.to_offset(stamp(*at - 1))
        };
        let naive: Vec<Ms> =
            (within.from + MINUTE_MS..within.to).step_by(MINUTE_MS as usize).filter(is_edge).collect();
        prop_assert_eq!(calendar.hour_edges(within), naive);
    }

    #[test]
    fn overlaps_are_refused_exactly_when_there_is_one(
        list in proptest::collection::vec((times(), times(), days()), 0..4)
    ) {
        let shift = |(index, (start, end, days)): (usize, &(Time, Time, Days))| {
            ShiftRule { name: index.to_string().into(), start: *start, end: *end, days: *days }
        };
        let shifts: Vec<ShiftRule> = list.iter().enumerate().map(shift).collect();
        let rules = CalendarRules { shifts, ..utc() };
        let naive = Naive::new(rules.clone(), date(2026, 1, 1));
        let mut spans: Vec<Span> = Vec::new();
        for date in &naive.dates {
            let here = rules.shifts.iter().filter(|s| s.days.contains(date.weekday()));
            spans.extend(here.map(|s| naive.on(*date, s.start, s.end)));
        }
        let overlap = spans.iter().enumerate().any(|(i, a)| spans[..i].iter().any(|b| a.intersect(b).is_some()));
        prop_assert_eq!(Calendar::new(rules).is_err(), overlap);
    }
}

fn near_dates(middle: Date) -> impl Iterator<Item = Date> {
    let first = middle.checked_sub(jiff::Span::new().days(6)).unwrap();
    first.series(jiff::Span::new().days(1)).take(13)
}
