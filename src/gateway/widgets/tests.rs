//! The catalogue says what the pages, the documentation and the parameters say.

use std::collections::BTreeSet;

use super::catalogue::CATALOGUE;
use super::params::{Filter, NAMES};
use super::{find, layout};

#[test]
fn ids_are_unique_and_found() {
    let ids: BTreeSet<&str> = CATALOGUE.iter().map(|widget| widget.id).collect();
    assert_eq!(ids.len(), CATALOGUE.len());
    assert!(CATALOGUE.iter().all(|widget| find(widget.id) == Some(widget)));
    assert_eq!(find("feed_state"), None);
}

#[test]
fn sizes_fit_the_grid() {
    for widget in CATALOGUE {
        assert!((1..=layout::COLUMNS).contains(&u16::from(widget.size.0)), "{}", widget.id);
    }
}

#[test]
fn the_schema_knows_what_is_read_and_nothing_else() {
    for widget in CATALOGUE {
        let schema = widget.schema();
        let properties = schema["properties"].as_object().unwrap();
        let takes_by = widget.filters.contains(&Filter::By);
        for name in NAMES {
            assert_eq!(properties.contains_key(name), name != "by" || takes_by, "{} {name}", widget.id);
        }
        assert!(properties.keys().all(|name| NAMES.contains(&name.as_str())), "{}", widget.id);
    }
}

#[test]
fn the_documented_catalogue_is_the_table() {
    let page = include_str!("../../../docs/widgets.md");
    for widget in CATALOGUE {
        let row = page.lines().find(|line| line.starts_with(&format!("| `{}` |", widget.id)));
        let row = row.unwrap_or_else(|| panic!("docs/widgets.md lacks {}", widget.id));
        let filters: Vec<&str> = widget.filters.iter().map(|filter| filter.as_str()).collect();
        assert!(row.ends_with(&format!("| {} |", filters.join(", "))), "{row}");
    }
    let rows =
        page.lines().filter(|line| ["kpi_", "chart_"].iter().any(|head| line.starts_with(&format!("| `{head}"))));
    assert_eq!(
        rows.count(),
        CATALOGUE.iter().filter(|w| w.id.starts_with("kpi_") || w.id.starts_with("chart_")).count()
    );
}
