//! The Avro schemas of Andon and the ids under which records name them.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use apache_avro::Schema;
use parking_lot::RwLock;

/// How long an id that nobody knows is not asked for again.
const UNKNOWN_FOR: Duration = Duration::from_secs(60);
/// A registry that did not answer is left alone for this long.
const UNANSWERED_FOR: Duration = Duration::from_secs(2);
/// Ids remembered beside the own four: a stream of garbage must not fill the memory.
const REMEMBERED: usize = 1024;
/// Questions to the registry per [`PERIOD`]: a stream of garbage must not flood it either.
const QUESTIONS: usize = 100;
const PERIOD: Duration = Duration::from_secs(1);

/// A record type of Andon.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    Detection,
    CameraStatus,
    DowntimeEvent,
    OeeFigure,
}

/// Looks a foreign id up; `Ok(None)` when the registry says that there is none.
pub trait Lookup: Send + Sync {
    /// The text of schema `id`. Blocks for as long as the registry takes, a few seconds at most.
    fn schema(&self, id: u32) -> Result<Option<String>, String>;
}

/// What an id stands for.
#[derive(Clone, Debug)]
pub(super) enum Writer {
    /// Our own schema, maybe under another id: the fast decoder reads it.
    Ours(Kind),
    /// Another version of a record type of ours: read by schema resolution.
    Resolved(Kind, Arc<Schema>),
}

/// What was learnt of a foreign id.
#[derive(Clone, Debug)]
enum Known {
    Writer(Writer),
    /// The registry does not know it, or it is no record type of ours; not to be asked for until then.
    Nothing(Instant),
}

/// The registry has not said what an id stands for: a record under it may be a good one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unanswered;

#[derive(Default)]
struct Foreign {
    known: HashMap<u32, Known>,
    /// Start of the current period and the questions asked in it.
    asked: Option<(Instant, usize)>,
    /// Nobody answered: not to be asked anything until then.
    away_until: Option<Instant>,
}

/// Which schema id means which record type, in the wire format's four bytes.
pub struct SchemaIds {
    own: [u32; 4],
    lookup: Option<Arc<dyn Lookup>>,
    foreign: RwLock<Foreign>,
}

// === impl Kind ===

impl Kind {
    pub const ALL: [Kind; 4] = [Kind::Detection, Kind::CameraStatus, Kind::DowntimeEvent, Kind::OeeFigure];

    /// The record's name without its namespace, `andon.v1`.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Detection => "Detection",
            Kind::CameraStatus => "CameraStatus",
            Kind::DowntimeEvent => "DowntimeEvent",
            Kind::OeeFigure => "OeeFigure",
        }
    }

    /// The schema's text, as in `schemas/`.
    pub fn text(self) -> &'static str {
        match self {
            Kind::Detection => include_str!("../../schemas/Detection.avsc"),
            Kind::CameraStatus => include_str!("../../schemas/CameraStatus.avsc"),
            Kind::DowntimeEvent => include_str!("../../schemas/DowntimeEvent.avsc"),
            Kind::OeeFigure => include_str!("../../schemas/OeeFigure.avsc"),
        }
    }

    /// The parsed schema.
    pub fn schema(self) -> &'static Schema {
        static PARSED: LazyLock<[Schema; 4]> = LazyLock::new(|| {
            Kind::ALL.map(|kind| Schema::parse_str(kind.text()).expect("embedded schemas are valid, a test reads them"))
        });
        &PARSED[kind_index(self)]
    }

    /// The id where no registry gives another: 1 to 4.
    pub fn builtin_id(self) -> u32 {
        kind_index(self) as u32 + 1
    }
}

fn kind_index(kind: Kind) -> usize {
    match kind {
        Kind::Detection => 0,
        Kind::CameraStatus => 1,
        Kind::DowntimeEvent => 2,
        Kind::OeeFigure => 3,
    }
}

// === impl Writer ===

impl Writer {
    /// What a schema's text is to us; `None` for what is no record type of ours.
    fn from_text(text: &str) -> Option<Writer> {
        let schema = Schema::parse_str(text).ok()?;
        let Schema::Record(record) = &schema else { return None };
        let kind = Kind::ALL.into_iter().find(|kind| kind.name() == record.name.name())?;
        if schema.canonical_form() == kind.schema().canonical_form() {
            return Some(Writer::Ours(kind));
        }
        Some(Writer::Resolved(kind, Arc::new(schema)))
    }
}

// === impl SchemaIds ===

impl SchemaIds {
    /// The fixed ids, for topics without a registry.
    pub fn builtin() -> SchemaIds {
        SchemaIds::new(Kind::ALL.map(Kind::builtin_id), None)
    }

    /// Ids that a registry gave, in the order of [`Kind::ALL`], and where to ask for others.
    pub fn new(own: [u32; 4], lookup: Option<Arc<dyn Lookup>>) -> SchemaIds {
        SchemaIds { own, lookup, foreign: RwLock::default() }
    }

    /// The id to write records of `kind` under.
    pub fn id(&self, kind: Kind) -> u32 {
        self.own[kind_index(kind)]
    }

    /// The record type of one of our own ids.
    pub(super) fn own(&self, id: u32) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| self.id(*kind) == id)
    }

    /// What `id` stands for; none: nothing of ours. An id seen for the first time is asked for, which blocks; one that
    /// the registry does not know is not asked for again for a minute.
    ///
    /// # Errors
    /// The registry does not answer, or was asked too much: ask again later.
    pub(super) fn writer(&self, id: u32) -> Result<Option<Writer>, Unanswered> {
        if let Some(kind) = self.own(id) {
            return Ok(Some(Writer::Ours(kind)));
        }
        let Some(lookup) = &self.lookup else { return Ok(None) };
        match self.foreign.read().known.get(&id) {
            Some(Known::Writer(writer)) => return Ok(Some(writer.clone())),
            Some(Known::Nothing(until)) if Instant::now() < *until => return Ok(None),
            _ => {}
        }
        if !self.foreign.write().may_ask() {
            return Err(Unanswered);
        }
        let found = match lookup.schema(id) {
            Ok(text) => text.as_deref().and_then(Writer::from_text),
            Err(cause) => {
                tracing::warn!(id, %cause, "waiting for the schema registry");
                self.foreign.write().away_until = Some(Instant::now() + UNANSWERED_FOR);
                return Err(Unanswered);
            }
        };
        let known = found.clone().map_or_else(|| Known::Nothing(Instant::now() + UNKNOWN_FOR), Known::Writer);
        self.foreign.write().remember(id, known);
        Ok(found)
    }
}

impl fmt::Debug for SchemaIds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SchemaIds").field("own", &self.own).field("registry", &self.lookup.is_some()).finish()
    }
}

// === impl Foreign ===

impl Foreign {
    fn may_ask(&mut self) -> bool {
        if self.away_until.is_some_and(|until| Instant::now() < until) {
            return false;
        }
        match &mut self.asked {
            Some((since, count)) if since.elapsed() < PERIOD => {
                *count += 1;
                *count <= QUESTIONS
            }
            asked => {
                *asked = Some((Instant::now(), 1));
                true
            }
        }
    }

    fn remember(&mut self, id: u32, known: Known) {
        if self.known.len() >= REMEMBERED {
            self.known.retain(|_, known| matches!(known, Known::Writer(_)));
        }
        if self.known.len() < REMEMBERED {
            self.known.insert(id, known);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    struct Registry {
        asked: AtomicUsize,
    }

    impl Lookup for Registry {
        fn schema(&self, id: u32) -> Result<Option<String>, String> {
            self.asked.fetch_add(1, Ordering::Relaxed);
            match id {
                700 => Ok(Some(Kind::Detection.text().to_owned())),
                701 => Ok(Some(
                    Kind::Detection.text().replace("\"area_id\", \"type\": \"int\"", "\"area_id\", \"type\": \"long\""),
                )),
                702 => Ok(Some(r#"{"type":"record","name":"Other","fields":[]}"#.to_owned())),
                703 => Err("connection refused".to_owned()),
                _ => Ok(None),
            }
        }
    }

    #[test]
    fn embedded_schemas_are_valid_and_named() {
        for kind in Kind::ALL {
            let Schema::Record(record) = kind.schema() else { panic!("{} is no record", kind.name()) };
            assert_eq!(record.name.fullname(None), format!("andon.v1.{}", kind.name()));
        }
    }

    #[test]
    fn foreign_ids_are_asked_for_once() {
        let registry = Arc::new(Registry { asked: AtomicUsize::new(0) });
        let ids = SchemaIds::new([11, 12, 13, 14], Some(registry.clone()));
        for _ in 0..3 {
            assert!(matches!(ids.writer(11), Ok(Some(Writer::Ours(Kind::Detection)))));
            assert!(matches!(ids.writer(700), Ok(Some(Writer::Ours(Kind::Detection)))));
            assert!(matches!(ids.writer(701), Ok(Some(Writer::Resolved(Kind::Detection, _)))));
            assert!(matches!(ids.writer(702), Ok(None)));
            assert!(matches!(ids.writer(9), Ok(None)));
        }
        assert_eq!(registry.asked.load(Ordering::Relaxed), 4);
    }

    #[test]
    fn an_id_that_the_registry_was_not_heard_about_is_not_unknown() {
        let registry = Arc::new(Registry { asked: AtomicUsize::new(0) });
        let ids = SchemaIds::new([11, 12, 13, 14], Some(registry.clone()));
        for _ in 0..3 {
            assert!(matches!(ids.writer(703), Err(Unanswered)));
        }
        // Nor any other, until it is asked again; what is known stays known.
        assert!(matches!(ids.writer(700), Err(Unanswered)));
        assert!(matches!(ids.writer(11), Ok(Some(Writer::Ours(Kind::Detection)))));
        assert_eq!(registry.asked.load(Ordering::Relaxed), 1, "it is left alone for a moment");
        ids.foreign.write().away_until = Some(Instant::now());
        assert!(matches!(ids.writer(700), Ok(Some(Writer::Ours(Kind::Detection)))));
    }

    #[test]
    fn garbage_neither_floods_the_registry_nor_the_memory() {
        let registry = Arc::new(Registry { asked: AtomicUsize::new(0) });
        let ids = SchemaIds::new([11, 12, 13, 14], Some(registry.clone()));
        let began = Instant::now();
        let unanswered = (1_000..20_000).filter(|id| ids.writer(*id).is_err()).count();
        let periods = began.elapsed().as_secs() as usize + 2;
        let asked = registry.asked.load(Ordering::Relaxed);
        assert!(asked <= QUESTIONS * periods);
        assert_eq!(unanswered, 19_000 - asked, "what was not asked for is not unknown");
        assert!(ids.foreign.read().known.len() <= REMEMBERED);
    }

    #[test]
    fn without_a_registry_only_the_fixed_ids_are_known() {
        let ids = SchemaIds::builtin();
        assert!(matches!(ids.writer(4), Ok(Some(Writer::Ours(Kind::OeeFigure)))));
        assert!(matches!(ids.writer(5), Ok(None)));
    }
}
