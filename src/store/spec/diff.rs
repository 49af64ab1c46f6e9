//! What changed between two tenants' files, one line of text a change.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// Keys that tell members of a list apart, the first that a member has.
const NAMES: [&str; 4] = ["name", "code", "id", "date"];

/// The changes from one stored spec to another; from nothing when there is none before.
pub(super) fn changes(before: Option<&str>, after: &str) -> Vec<String> {
    if before == Some(after) {
        return Vec::new();
    }
    let parse = |json: &str| serde_json::from_str(json).unwrap_or(Value::Null);
    let mut changes = Vec::new();
    let before = before.map_or_else(|| Value::Object(Map::new()), parse);
    compare("", &before, &parse(after), &mut changes);
    changes
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}: {name}") }
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => "none".to_owned(),
        Value::Object(_) | Value::Array(_) if value.to_string().len() > 120 => "…".to_owned(),
        _ => value.to_string(),
    }
}

fn compare(path: &str, before: &Value, after: &Value, changes: &mut Vec<String>) {
    match (before, after) {
        (before, after) if before == after => {}
        (Value::Object(before), Value::Object(after)) => {
            let keys: std::collections::BTreeSet<&String> = before.keys().chain(after.keys()).collect();
            for key in keys {
                let null = &Value::Null;
                let (old, new) = (before.get(key).unwrap_or(null), after.get(key).unwrap_or(null));
                members(path, key, old, new, changes);
            }
        }
        (before, after) => changes.push(format!("{path}: {} → {}", shown(before), shown(after))),
    }
}

/// Compares the values of one key: lists of named members member by member.
fn members(path: &str, key: &str, before: &Value, after: &Value, changes: &mut Vec<String>) {
    let (Some(old), Some(new)) = (named(before), named(after)) else {
        return compare(&join(path, key), before, after, changes);
    };
    for (name, member) in &old {
        match new.get(name) {
            Some(other) => compare(&join(path, &format!("{key} {name}")), member, other, changes),
            None => changes.push(format!("{}: removed", join(path, &format!("{key} {name}")))),
        }
    }
    for name in new.keys().filter(|name| !old.contains_key(*name)) {
        changes.push(format!("{}: added", join(path, &format!("{key} {name}"))));
    }
    let order = |value: &Value| -> Vec<String> {
        value
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(name)
            .filter(|n| old.contains_key(n) && new.contains_key(n))
            .collect()
    };
    if key == "area" && order(before) != order(after) {
        changes.push(format!("{}: order changed", join(path, key)));
    }
}

/// Name of a list's member, as a person would call it.
fn name(member: &Value) -> Option<String> {
    let key = NAMES.into_iter().find(|key| member.get(key).is_some_and(|value| !value.is_null()))?;
    let text = |key: &str| member.get(key).map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned));
    match (key, text("date")) {
        ("name", Some(date)) => Some(format!("{date} {}", text(key)?)),
        _ => text(key),
    }
}

/// The members of a list of objects by name; none for anything else. A name that comes again is counted.
fn named(value: &Value) -> Option<BTreeMap<String, &Value>> {
    if value.is_null() {
        return Some(BTreeMap::new());
    }
    let mut members = BTreeMap::new();
    for (index, member) in value.as_array()?.iter().enumerate() {
        if !member.is_object() {
            return None;
        }
        let first = name(member).unwrap_or_else(|| format!("{}", index + 1));
        let mut unique = first.clone();
        let mut count = 1;
        while members.contains_key(&unique) {
            count += 1;
            unique = format!("{first} ({count})");
        }
        members.insert(unique, member);
    }
    Some(members)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_name_what_they_are_of() {
        let before = r#"{"line":[{"name":"l1","downtime_threshold_s":60,"area":[{"id":1,"role":"output"}]}],
            "shift":[{"name":"night"},{"name":"night"}],"loss_policy":{"quality":"auto"}}"#;
        let after = r#"{"line":[{"name":"l1","downtime_threshold_s":90,"heartbeat_s":30,"area":[{"id":2,"role":"output"}]},
            {"name":"l2"}],"shift":[{"name":"night"}],"loss_policy":{"quality":"none"}}"#;
        assert_eq!(
            changes(Some(before), after),
            [
                "line l1: area 1: removed",
                "line l1: area 2: added",
                "line l1: downtime_threshold_s: 60 → 90",
                "line l1: heartbeat_s: none → 30",
                "line l2: added",
                "loss_policy: quality: \"auto\" → \"none\"",
                "shift night (2): removed",
            ]
        );
        assert!(changes(Some(after), after).is_empty());
        assert_eq!(changes(None, r#"{"line":[{"name":"l1"}],"shift":[]}"#), ["line l1: added"]);
    }

    #[test]
    fn an_order_that_matters_is_a_change() {
        let before = r#"{"line":[{"name":"l1","area":[{"id":1},{"id":2}]}]}"#;
        let after = r#"{"line":[{"name":"l1","area":[{"id":2},{"id":1}]}]}"#;
        assert_eq!(changes(Some(before), after), ["line l1: area: order changed"]);
    }
}
