//! The catalogue: every widget with its title, its size on the grid, what filters it goes by and what it takes to see
//! it. There is no other list: routes, the live protocol, the table `widget_catalog` and the tests are made of this one.

use serde_json::{Value, json};

use super::params::{Filter, properties};
use crate::gateway::hub::Feed;
use crate::gateway::rights::Right;

/// Which answer a widget gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    Production,
    Weight,
    Oee,
    Availability,
    Performance,
    Quality,
    Downtime,
    ProductionOverTime,
    Areas,
    Products,
    Comparison,
    StopScatter,
    StopTable,
    ProductRanking,
    Pareto,
    Timeline,
    Andon,
    HourByHour,
    Waterfall,
    Cameras,
}

/// What a widget looks like on a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// One number.
    Kpi,
    Chart,
    Table,
    Tile,
}

/// A row of the catalogue.
#[derive(Debug, PartialEq)]
pub struct Widget {
    /// Its name in requests, frames and layouts; never changed.
    pub id: &'static str,
    pub kind: Kind,
    pub group: Group,
    pub title_es: &'static str,
    pub title_en: &'static str,
    /// The filters it goes by; of the others it takes those that all widgets take, passes over them and says so.
    pub filters: &'static [Filter],
    /// Feeds whose changes it follows.
    pub feeds: &'static [Feed],
    pub right: Right,
    /// Columns of 4 and rows.
    pub size: (u8, u8),
    /// Whether it is about stops: hidden for several lines together, unless the tenant turns them on.
    pub is_of_stops: bool,
}

use Feed::{Downtime, Oee, State};
use Filter::{Area, By, Interval, Line, Period, Product, Reason, Shift};

const TIME: &[Filter] = &[Line, Period, Shift];
const PIECES: &[Filter] = &[Line, Period, Shift, Area, Product];
const STOPS: &[Filter] = &[Line, Period, Shift, Reason];

/// Shortens the rows below.
#[allow(clippy::too_many_arguments, reason = "the columns of a table")]
const fn row(
    id: &'static str,
    kind: Kind,
    group: Group,
    (title_es, title_en): (&'static str, &'static str),
    filters: &'static [Filter],
    feeds: &'static [Feed],
    size: (u8, u8),
    is_of_stops: bool,
) -> Widget {
    Widget { id, kind, group, title_es, title_en, filters, feeds, right: Right::Look, size, is_of_stops }
}

/// Every widget.
#[rustfmt::skip]
pub const CATALOGUE: &[Widget] = &[
    row("kpi_production", Kind::Production, Group::Kpi, ("Producción", "Production"), PIECES, &[Oee], (1, 1), false),
    row("kpi_weight", Kind::Weight, Group::Kpi, ("Peso", "Weight"), PIECES, &[Oee], (1, 1), false),
    row("kpi_oee", Kind::Oee, Group::Kpi, ("OEE", "OEE"), TIME, &[Oee], (1, 1), false),
    row("kpi_availability", Kind::Availability, Group::Kpi, ("Disponibilidad", "Availability"), TIME, &[Oee], (1, 1), false),
    row("kpi_performance", Kind::Performance, Group::Kpi, ("Rendimiento", "Performance"), TIME, &[Oee], (1, 1), false),
    row("kpi_quality", Kind::Quality, Group::Kpi, ("Calidad", "Quality"), TIME, &[Oee], (1, 1), false),
    row("kpi_downtime", Kind::Downtime, Group::Kpi, ("Tiempo parado", "Downtime"), TIME, &[Oee], (1, 1), true),
    row("chart_production", Kind::ProductionOverTime, Group::Chart, ("Producción en el tiempo", "Production over time"),
        &[Line, Period, Shift, Area, Product, Interval], &[Oee, Downtime], (4, 2), false),
    row("chart_area", Kind::Areas, Group::Chart, ("Piezas por área", "Pieces by area"), PIECES, &[Oee], (2, 2), false),
    row("chart_product", Kind::Products, Group::Chart, ("Piezas por producto", "Pieces by product"), PIECES, &[Oee], (2, 2), false),
    row("chart_comparison", Kind::Comparison, Group::Chart, ("Comparación", "Comparison"),
        &[Line, Period, Shift, Area, Product, Interval, By], &[Oee], (2, 2), false),
    row("scatter_stops", Kind::StopScatter, Group::Chart, ("Paradas por hora y duración", "Stops by time and length"), STOPS, &[Downtime], (2, 2), true),
    row("table_stops", Kind::StopTable, Group::Table, ("Paradas", "Stops"), STOPS, &[Downtime], (2, 3), true),
    row("ranking_products", Kind::ProductRanking, Group::Table, ("Productos", "Products"), PIECES, &[Oee], (2, 2), false),
    row("pareto_downtime", Kind::Pareto, Group::Chart, ("Motivos de parada", "Reasons for downtime"), STOPS, &[Downtime], (2, 2), true),
    row("timeline_state", Kind::Timeline, Group::Chart, ("Estados en el tiempo", "State over time"),
        &[Line, Period, Shift, Interval], &[State, Oee], (4, 1), false),
    row("tile_andon", Kind::Andon, Group::Tile, ("Andon", "Andon"), &[Line], &[State, Oee, Downtime], (1, 1), false),
    row("hours_plan", Kind::HourByHour, Group::Table, ("Hora a hora", "Hour by hour"), TIME, &[Oee], (2, 2), false),
    row("waterfall_losses", Kind::Waterfall, Group::Chart, ("Pérdidas", "Losses"), TIME, &[Oee], (2, 2), false),
    row("health_cameras", Kind::Cameras, Group::Table, ("Cámaras", "Cameras"), &[Line], &[State], (2, 1), false),
];

/// The widget of that name.
pub fn find(id: &str) -> Option<&'static Widget> {
    CATALOGUE.iter().find(|widget| widget.id == id)
}

// === impl Group ===

impl Group {
    pub fn as_str(self) -> &'static str {
        match self {
            Group::Kpi => "kpi",
            Group::Chart => "chart",
            Group::Table => "table",
            Group::Tile => "tile",
        }
    }
}

// === impl Widget ===

impl Widget {
    /// Filters that it takes and passes over.
    pub fn ignores(&self) -> impl Iterator<Item = Filter> {
        Filter::COMMON.into_iter().filter(|filter| !self.filters.contains(filter))
    }

    /// JSON Schema of its parameters.
    pub fn schema(&self) -> Value {
        let mut all = serde_json::Map::new();
        for filter in self.filters {
            properties(*filter, true, &mut all);
        }
        for filter in self.ignores() {
            properties(filter, false, &mut all);
        }
        json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "type": "object",
            "properties": all,
            "additionalProperties": false,
            "dependentRequired": {"from": ["to"], "to": ["from"]},
            "not": {"required": ["window", "from"]},
        })
    }

    /// As REST tells it.
    pub fn told(&self) -> Value {
        let names = |filters: &mut dyn Iterator<Item = Filter>| -> Vec<&str> { filters.map(Filter::as_str).collect() };
        json!({
            "widget": self.id,
            "group": self.group.as_str(),
            "title": {"es": self.title_es, "en": self.title_en},
            "params": self.schema(),
            "filters": names(&mut self.filters.iter().copied()),
            "ignores": names(&mut self.ignores()),
            "feeds": self.feeds.iter().map(|feed| feed.as_str()).collect::<Vec<_>>(),
            "right": self.right.as_str(),
            "size": {"w": self.size.0, "h": self.size.1},
            "one_line_only": self.is_of_stops,
        })
    }
}
