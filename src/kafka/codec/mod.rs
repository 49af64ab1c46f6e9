//! Records to bytes and back: Avro in the Confluent wire format (a zero, the schema id, the body).
//!
//! What every detection passes is written by hand, allocates nothing and is proven equal to `apache-avro` by
//! property tests. A record written with another version of a schema is first resolved to ours by `apache-avro` and
//! then takes the same way, so that there is one meaning of the bytes.

mod input;
mod output;
mod wire;

use apache_avro::Schema;
use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::writer::datum::GenericDatumWriter;
use thiserror::Error;

use crate::domain::production::changes::StateNow;
use crate::domain::production::detection::{CameraStatus, Detection, Record};
use crate::domain::production::figure::Figure;
use crate::domain::production::stop::Stop;
use crate::kafka::schemas::{Kind, SchemaIds, Unanswered, Writer};

pub use output::{FigureRecord, StopRecord};

/// Why bytes are no record. Messages follow "failed to decode: ".
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Undecodable {
    #[error("no magic byte and schema id before the record")]
    NoEnvelope,
    #[error("schema id {0} is unknown")]
    UnknownSchema(u32),
    /// The bytes may be good: whoever can wait does, and asks again.
    #[error("the schema registry has not said what id {0} is")]
    UnansweredSchema(u32),
    #[error("a {0} where it has no place")]
    WrongKind(&'static str),
    #[error("the record ends early")]
    Truncated,
    #[error("{0} bytes left over after the record")]
    Trailing(usize),
    #[error("a number is out of its range or not written the shortest way")]
    BadNumber,
    #[error("no such branch or symbol")]
    BadChoice,
    #[error("text is no UTF-8")]
    BadText,
    #[error("a name or date is not of its form")]
    BadWord,
    #[error("the writer's schema does not resolve to ours: {0}")]
    Unresolvable(String),
}

/// Reads what a line's topic carries.
///
/// # Errors
/// Everything that is not exactly one detection or status is [`Undecodable`]. A schema id not met before is asked
/// for at the registry, if there is one, which blocks once.
#[inline]
pub fn decode_record(bytes: &[u8], ids: &SchemaIds) -> Result<Record, Undecodable> {
    let (id, body) = wire::open(bytes)?;
    match ids.own(id) {
        Some(Kind::Detection) => input::detection(body).map(Record::Detection),
        Some(Kind::CameraStatus) => input::status(body).map(Record::Status),
        _ => decode_foreign(id, body, ids, |kind, body| match kind {
            Kind::Detection => input::detection(body).map(Record::Detection),
            Kind::CameraStatus => input::status(body).map(Record::Status),
            other => Err(Undecodable::WrongKind(other.name())),
        }),
    }
}

/// Reads a record of `downtime.*`.
///
/// # Errors
/// As [`decode_record`]. A tombstone has no payload and is not to be given here.
pub fn decode_stop(bytes: &[u8], ids: &SchemaIds) -> Result<StopRecord, Undecodable> {
    let (id, body) = wire::open(bytes)?;
    decode_foreign(id, body, ids, |kind, body| match kind {
        Kind::DowntimeEvent => output::stop(body),
        other => Err(Undecodable::WrongKind(other.name())),
    })
}

/// Reads a record of `oee.*`.
///
/// # Errors
/// As [`decode_record`].
pub fn decode_figure(bytes: &[u8], ids: &SchemaIds) -> Result<FigureRecord, Undecodable> {
    let (id, body) = wire::open(bytes)?;
    decode_foreign(id, body, ids, |kind, body| match kind {
        Kind::OeeFigure => output::figure(body),
        other => Err(Undecodable::WrongKind(other.name())),
    })
}

/// Writes a detection behind what `out` has.
pub fn encode_detection(detection: &Detection, ids: &SchemaIds, out: &mut Vec<u8>) {
    wire::seal(ids.id(Kind::Detection), out);
    input::put_detection(detection, out);
}

/// Writes a camera's status behind what `out` has.
pub fn encode_status(status: &CameraStatus, ids: &SchemaIds, out: &mut Vec<u8>) {
    wire::seal(ids.id(Kind::CameraStatus), out);
    input::put_status(status, out);
}

/// Writes a stop behind what `out` has; `watermark` of the line, `commit_seq` of the commit that tells it.
pub fn encode_stop(stop: &Stop, watermark: i64, commit_seq: u64, ids: &SchemaIds, out: &mut Vec<u8>) {
    wire::seal(ids.id(Kind::DowntimeEvent), out);
    output::put_stop(stop, watermark, commit_seq, out);
}

/// Writes a figure with its line's state behind what `out` has; `watermark` of the line, `commit_seq` of the commit
/// that tells it.
pub fn encode_figure(
    figure: &Figure,
    state: &StateNow,
    watermark: i64,
    commit_seq: u64,
    ids: &SchemaIds,
    out: &mut Vec<u8>,
) {
    wire::seal(ids.id(Kind::OeeFigure), out);
    output::put_figure(figure, state, watermark, commit_seq, out);
}

/// Finds out what `id` is and reads the body as that, by way of our own schema where the writer had another.
#[cold]
fn decode_foreign<T>(
    id: u32,
    body: &[u8],
    ids: &SchemaIds,
    read: impl FnOnce(Kind, &[u8]) -> Result<T, Undecodable>,
) -> Result<T, Undecodable> {
    match ids.writer(id) {
        Err(Unanswered) => Err(Undecodable::UnansweredSchema(id)),
        Ok(None) => Err(Undecodable::UnknownSchema(id)),
        Ok(Some(Writer::Ours(kind))) => read(kind, body),
        Ok(Some(Writer::Resolved(kind, schema))) => read(kind, &resolve(kind, &schema, body)?),
    }
}

/// Rewrites a body from the writer's schema to ours.
fn resolve(kind: Kind, writer: &Schema, mut body: &[u8]) -> Result<Vec<u8>, Undecodable> {
    let unresolvable = |cause: apache_avro::Error| Undecodable::Unresolvable(cause.to_string());
    let reader = GenericDatumReader::builder(writer).reader_schema(kind.schema()).build().map_err(unresolvable)?;
    let value = reader.read_value(&mut body).map_err(unresolvable)?;
    if !body.is_empty() {
        return Err(Undecodable::Trailing(body.len()));
    }
    let writer = GenericDatumWriter::builder(kind.schema()).build().map_err(unresolvable)?;
    writer.write_value_to_vec(value).map_err(unresolvable)
}

#[cfg(test)]
mod tests;
