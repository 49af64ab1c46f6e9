//! Alert rules and dashboards speak of metrics that exist.

use std::collections::BTreeSet;
use std::fs;

use andon::watch::metrics;
use regex::Regex;

fn text(path: &str) -> String {
    let path = format!("{}/{path}", env!("CARGO_MANIFEST_DIR"));
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Names of metrics in a query, without what a histogram appends.
fn named(text: &str) -> BTreeSet<String> {
    let name = Regex::new(r"\bandon_[a-z_]+").unwrap();
    let parts = Regex::new(r"_(bucket|sum|count)$").unwrap();
    name.find_iter(text).map(|found| parts.replace(found.as_str(), "").into_owned()).collect()
}

fn known() -> BTreeSet<String> {
    metrics::ALL.iter().map(|metric| metric.name.to_owned()).collect()
}

#[test]
fn alerts_ask_for_metrics_that_exist() {
    let rules = text("deploy/prometheus/rules.yml");
    let named = named(&rules);
    assert!(named.len() >= 8, "the rules name only {named:?}");
    assert_eq!(named.difference(&known()).collect::<Vec<_>>(), Vec::<&String>::new());
}

#[test]
fn the_dashboard_asks_for_metrics_that_exist() {
    let dashboard: serde_json::Value =
        serde_json::from_str(&text("deploy/grafana/dashboards/andon.json")).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    let queries: Vec<&str> = panels
        .iter()
        .flat_map(|panel| panel["targets"].as_array().into_iter().flatten())
        .map(|target| target["expr"].as_str().expect("an expression"))
        .collect();
    let named = named(&queries.join("\n"));
    assert!(named.len() >= 15, "the dashboard names only {named:?}");
    assert_eq!(named.difference(&known()).collect::<Vec<_>>(), Vec::<&String>::new());
}
