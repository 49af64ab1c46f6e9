//! Layouts of pages: which widgets where, on a grid of 4 columns; a user's own, else the template of the role.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::{Params, find};
use crate::gateway::rights::UserRole;

/// Columns of the grid.
pub const COLUMNS: u16 = 4;
/// Widgets of a page.
pub const MAX_WIDGETS: usize = 60;
/// Rows of a widget, and of a page.
const MAX_HEIGHT: u16 = 8;
const MAX_ROWS: u16 = 400;
/// Longest id and title, characters.
const MAX_TEXT: usize = 80;

/// A page.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Layout {
    pub widgets: Vec<Placed>,
}

/// A widget in its place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Placed {
    /// Of the page's own choosing; no two are the same.
    pub id: String,
    pub widget: String,
    /// Column from 0, row from 0.
    pub x: u16,
    pub y: u16,
    pub w: u16,
    pub h: u16,
    /// What holds for this widget whatever the page's filters say.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub params: Map<String, Value>,
    /// In the place of the catalogue's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
}

// === impl Layout ===

impl Layout {
    /// What is wrong with it, where it is.
    ///
    /// # Errors
    /// The first thing found.
    pub fn check(&self) -> Result<(), String> {
        if self.widgets.len() > MAX_WIDGETS {
            return Err(format!("widgets: at most {MAX_WIDGETS}"));
        }
        let mut ids = HashSet::new();
        let mut taken = HashSet::new();
        for (index, placed) in self.widgets.iter().enumerate() {
            let wrong = |detail: &str| Err(format!("widgets[{index}].{detail}"));
            if placed.id.is_empty() || placed.id.chars().count() > MAX_TEXT {
                return wrong("id: 1 to 80 characters");
            }
            if !ids.insert(&placed.id) {
                return wrong("id: used twice");
            }
            let Some(widget) = find(&placed.widget) else { return wrong("widget: unknown") };
            if placed.title.as_ref().is_some_and(|title| title.chars().count() > MAX_TEXT) {
                return wrong("title: at most 80 characters");
            }
            if !(1..=COLUMNS).contains(&placed.w) || placed.x >= COLUMNS || placed.x + placed.w > COLUMNS {
                return wrong("x and w: within 4 columns");
            }
            if !(1..=MAX_HEIGHT).contains(&placed.h) || placed.y >= MAX_ROWS {
                return wrong("y and h: at most 8 rows high and 400 down");
            }
            for column in placed.x..placed.x + placed.w {
                for row in placed.y..placed.y + placed.h {
                    if !taken.insert((column, row)) {
                        return wrong("x and y: on another widget");
                    }
                }
            }
            if let Err(detail) = Params::read(widget, &placed.params) {
                return wrong(&format!("params: {detail}"));
            }
        }
        Ok(())
    }

    /// The template that holds for a role unless a tenant has another.
    pub fn of_role(role: UserRole) -> Layout {
        let rows: &[(&str, u16, u16, u16, u16)] = match role {
            UserRole::Operator => &[
                ("tile_andon", 0, 0, 1, 2),
                ("chart_production", 1, 0, 3, 2),
                ("table_stops", 0, 2, 2, 3),
                ("hours_plan", 2, 2, 2, 3),
                ("timeline_state", 0, 5, 4, 1),
            ],
            UserRole::Viewer => &[
                ("kpi_oee", 0, 0, 1, 1),
                ("kpi_availability", 1, 0, 1, 1),
                ("kpi_performance", 2, 0, 1, 1),
                ("kpi_quality", 3, 0, 1, 1),
                ("chart_production", 0, 1, 4, 2),
                ("chart_product", 0, 3, 2, 2),
                ("timeline_state", 2, 3, 2, 2),
            ],
            UserRole::SuperAdmin | UserRole::Admin | UserRole::Manager => &[
                ("kpi_oee", 0, 0, 1, 1),
                ("kpi_availability", 1, 0, 1, 1),
                ("kpi_performance", 2, 0, 1, 1),
                ("kpi_quality", 3, 0, 1, 1),
                ("kpi_production", 0, 1, 1, 1),
                ("kpi_weight", 1, 1, 1, 1),
                ("kpi_downtime", 2, 1, 1, 1),
                ("tile_andon", 3, 1, 1, 1),
                ("chart_production", 0, 2, 4, 2),
                ("timeline_state", 0, 4, 4, 1),
                ("pareto_downtime", 0, 5, 2, 2),
                ("table_stops", 2, 5, 2, 3),
                ("waterfall_losses", 0, 7, 2, 2),
                ("chart_product", 2, 8, 2, 2),
                ("chart_comparison", 0, 9, 2, 2),
            ],
        };
        let placed = |(index, (widget, x, y, w, h)): (usize, &(&str, u16, u16, u16, u16))| Placed {
            id: format!("{widget}-{index}"),
            widget: (*widget).to_owned(),
            x: *x,
            y: *y,
            w: *w,
            h: *h,
            params: Map::new(),
            title: None,
        };
        Layout { widgets: rows.iter().enumerate().map(placed).collect() }
    }

    /// As it is stored, with its entity tag: the same layout has the same one at every gateway.
    pub fn text_and_tag(&self) -> (String, String) {
        // A struct of texts and numbers always has a JSON form.
        let text = serde_json::to_string(self).unwrap_or_default();
        let digest = Sha256::digest(text.as_bytes());
        let tag: String = digest.iter().take(12).map(|byte| format!("{byte:02x}")).collect();
        (text, format!("\"{tag}\""))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn layout(widgets: Value) -> Layout {
        serde_json::from_value(json!({"widgets": widgets})).unwrap()
    }

    #[test]
    fn templates_are_good_layouts() {
        for role in UserRole::ALL {
            assert_eq!(Layout::of_role(role).check(), Ok(()), "{role:?}");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        let good = json!({"id": "a", "widget": "kpi_oee", "x": 0, "y": 0, "w": 2, "h": 1});
        let with = |name: &str, value: Value| {
            let mut one = good.clone();
            one[name] = value;
            one
        };
        assert_eq!(layout(json!([good])).check(), Ok(()));
        for (widgets, word) in [
            (json!([good, good]), "used twice"),
            (json!([good, with("id", json!("b"))]), "on another"),
            (json!([with("x", json!(3))]), "4 columns"),
            (json!([with("w", json!(0))]), "4 columns"),
            (json!([with("h", json!(9))]), "8 rows"),
            (json!([with("y", json!(400))]), "400"),
            (json!([with("widget", json!("kpi_x"))]), "unknown"),
            (json!([with("id", json!(""))]), "id"),
            (json!([with("params", json!({"window": "range"}))]), "window"),
        ] {
            let detail = layout(widgets.clone()).check().unwrap_err();
            assert!(detail.contains(word), "{widgets}: {detail}");
        }
    }

    #[test]
    fn the_same_layout_has_the_same_tag() {
        let (text, tag) = Layout::of_role(UserRole::Viewer).text_and_tag();
        let again: Layout = serde_json::from_str(&text).unwrap();
        assert_eq!(again.text_and_tag(), (text, tag.clone()));
        assert_ne!(Layout::of_role(UserRole::Operator).text_and_tag().1, tag);
    }
}
