//! The demo's tenants are files that somebody copies to begin with: they have to be right.

use andon::config::tenant::TenantSpec;

fn spec(name: &str) -> TenantSpec {
    let path = format!("{}/deploy/demo/{name}.toml", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    TenantSpec::parse(&text).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[test]
fn two_tenants_with_six_lines() {
    let specs = ["sierra", "harbour"].map(spec);
    assert_eq!(specs.iter().map(|spec| spec.lines.len()).sum::<usize>(), 6);
    for spec in &specs {
        for line in &spec.lines {
            spec.line_config(&line.name, 1, 1, 0).unwrap_or_else(|error| panic!("{}: {error}", line.name));
        }
    }
}

#[test]
fn they_show_what_a_plant_has() {
    let specs = ["sierra", "harbour"].map(spec);
    let all = |what: &dyn Fn(&TenantSpec) -> bool| specs.iter().all(what);
    assert!(all(&|spec| spec.shifts.iter().any(|shift| shift.end < shift.start)), "a night shift each");
    assert!(all(&|spec| !spec.breaks.is_empty() && !spec.exceptions.is_empty()), "breaks and holidays");
    assert!(all(&|spec| spec.reasons.iter().any(|reason| reason.parent.is_some())), "a tree of reasons");
    assert_ne!(specs[0].tenant.locale, specs[1].tenant.locale);
}
