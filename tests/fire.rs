//! Andon under fire: real processes on real servers of their own, load running, and everything that can break breaking.
//!
//! `make test` runs the short form; `make fire MINUTES=60` as long as wanted, from a release build. What is asked for:
//! `ANDON_FIRE_SEED` (the order of the faults and their victims; time is real, so a seed repeats the plan, not each
//! instant), `ANDON_FIRE_MINUTES`, `ANDON_FIRE_MYSQL8=1`. Logs and the report are in `target/fire/SEED`.

mod support;

mod fire {
    mod chance;
    mod committed;
    mod faults;
    mod feed;
    mod field;
    mod loss;
    mod members;
    mod operator;
    mod plant;
    mod registry;
    mod report;
    mod servers;
    mod storm;
    mod tail;
    mod verdict;
}
