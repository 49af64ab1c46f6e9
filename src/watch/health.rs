//! Readiness: named conditions, each fulfilled or with the reason why not.
//!
//! Each part of a process declares its conditions when it starts ([`Health::expect`]) and reports changes
//! ([`Health::set`]). A process without any condition is still starting, thus not ready. Troubles ([`Health::trouble`])
//! are told beside them and hold nobody back: a tenant with a broken database must not take the others' process down.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::Arc;

use parking_lot::RwLock;
use serde::Serialize;

/// Why a condition does not hold of which nothing was heard yet.
const STARTING: &str = "starting";

/// The shared readiness of a process; clones speak of the same one.
#[derive(Clone, Debug, Default)]
pub struct Health {
    /// By name; `None` is fulfilled, else the reason.
    conditions: Arc<RwLock<BTreeMap<String, Option<String>>>>,
    /// By whom they are had.
    troubles: Arc<RwLock<BTreeMap<String, String>>>,
}

/// What `/ready` answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    pub ready: bool,
    /// In the order of their names.
    pub conditions: Vec<Condition>,
    /// What is wrong with a part of the whole that the rest can do without; readiness does not depend on it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub troubles: Vec<Trouble>,
}

/// One trouble of a [`Report`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Trouble {
    /// Who has it: `tenant demo`.
    pub name: String,
    pub reason: String,
}

/// One condition of a [`Report`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Condition {
    pub name: String,
    pub ok: bool,
    /// Why not; absent when fulfilled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

// === impl Health ===

impl Health {
    /// Nothing declared yet: not ready.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Declares conditions that are not fulfilled yet; those already reported on stay as they are.
    pub fn expect(&self, names: &[&str]) {
        let mut conditions = self.conditions.write();
        for name in names {
            conditions.entry((*name).to_owned()).or_insert_with(|| Some(STARTING.to_owned()));
        }
    }

    /// Reports a condition and logs when it changes: with a warning when it ceases to hold or is first seen not to, and
    /// as information when it holds again or only the reason is another (many lines catching up, one after another).
    pub fn set<R: Display>(&self, name: &str, state: Result<(), R>) {
        let reason = state.err().map(|reason| reason.to_string());
        let before = self.conditions.write().insert(name.to_owned(), reason.clone());
        if before.as_ref() == Some(&reason) {
            return;
        }
        let was_known = before.flatten().is_some_and(|why| why != STARTING);
        match reason {
            None => tracing::info!(condition = name, "fulfilled"),
            Some(reason) if was_known => tracing::info!(condition = name, reason, "still not fulfilled"),
            Some(reason) => tracing::warn!(condition = name, reason, "not fulfilled"),
        }
    }

    /// Forgets a condition that has nobody left to speak for it, such as a line that moved to another process.
    pub fn remove(&self, name: &str) {
        self.conditions.write().remove(name);
    }

    /// Says what trouble somebody has, or that it is over.
    pub fn trouble(&self, name: &str, reason: Option<String>) {
        let mut troubles = self.troubles.write();
        match reason {
            Some(reason) => troubles.insert(name.to_owned(), reason),
            None => troubles.remove(name),
        };
    }

    /// Everything declared and reported so far.
    #[must_use]
    pub fn report(&self) -> Report {
        let conditions: Vec<Condition> = self
            .conditions
            .read()
            .iter()
            .map(|(name, reason)| Condition { name: name.clone(), ok: reason.is_none(), reason: reason.clone() })
            .collect();
        let ready = !conditions.is_empty() && conditions.iter().all(|condition| condition.ok);
        let had = self.troubles.read();
        let troubles =
            had.iter().map(|(name, reason)| Trouble { name: name.clone(), reason: reason.clone() }).collect();
        Report { ready, conditions, troubles }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_declared_nothing_is_not_ready() {
        assert!(!Health::new().report().ready);
    }

    #[test]
    fn ready_once_every_condition_is_fulfilled() {
        let health = Health::new();
        health.expect(&["database", "kafka"]);
        health.set("kafka", Ok::<(), String>(()));
        let report = health.report();
        assert!(!report.ready);
        assert_eq!(
            report.conditions[0],
            Condition { name: "database".to_owned(), ok: false, reason: Some("starting".to_owned()) }
        );

        health.set("database", Ok::<(), String>(()));
        assert!(health.report().ready);

        health.set("database", Err("connection refused"));
        let report = health.report();
        assert!(!report.ready);
        assert_eq!(report.conditions[0].reason.as_deref(), Some("connection refused"));
    }

    #[test]
    fn declaring_again_keeps_what_was_reported() {
        let health = Health::new();
        health.set("kafka", Ok::<(), String>(()));
        health.expect(&["kafka"]);
        assert!(health.report().ready);
    }

    #[test]
    fn a_trouble_is_told_and_holds_nobody_back() {
        let health = Health::new();
        health.set("kafka", Ok::<(), String>(()));
        health.trouble("tenant demo", Some("its database is away".to_owned()));
        let report = health.report();
        assert!(report.ready);
        assert_eq!((report.troubles[0].name.as_str(), report.troubles.len()), ("tenant demo", 1));
        health.trouble("tenant demo", None);
        assert!(health.report().troubles.is_empty());
    }

    #[test]
    fn a_removed_condition_no_longer_holds_the_process_back() {
        let health = Health::new();
        health.set("kafka", Ok::<(), String>(()));
        health.set("line demo.l1", Err("catching up"));
        assert!(!health.report().ready);
        health.remove("line demo.l1");
        assert!(health.report().ready);
    }
}
