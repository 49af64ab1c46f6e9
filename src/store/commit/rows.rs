//! Detections into their table: the bulk of all writing.

use bytes::Bytes;

use super::super::name::LineName;
use super::super::stamp::StampWriter;
use super::CommitError;
use super::connection::{Expected, Session};
use super::sql::Sql;
use crate::domain::production::detection::Detection;

/// Fewer rows than this go faster as an INSERT among the other statements than through LOAD DATA's two round trips.
const FEW: usize = 200;
/// Rows of one INSERT.
const ROWS_PER_INSERT: usize = 1_000;
/// Bytes of rows handed to the driver at a time.
const CHUNK: usize = 256 * 1024;
/// A row is never longer.
const LONGEST_ROW: usize = 128;

const COLUMNS: &str = "detection_id, detected_at, area_id, product_id, quantity, camera_id, confidence, late";

/// Writes accepted detections; `true`: late. Exactly these rows are new afterwards, or nothing is.
pub(super) async fn write(
    session: &mut Session,
    line: &LineName,
    detections: &[(Detection, bool)],
) -> Result<(), CommitError> {
    if detections.len() < FEW || !session.local_infile {
        for rows in detections.chunks(ROWS_PER_INSERT) {
            insert(session, line, rows).await?;
        }
        return Ok(());
    }
    load(session, line, detections).await
}

async fn insert(session: &mut Session, line: &LineName, rows: &[(Detection, bool)]) -> Result<(), CommitError> {
    let mut sql = Sql::new(&format!("INSERT INTO `{}` ({COLUMNS}) VALUES ", line.detections()));
    let mut writer = RowWriter::insert();
    for row in rows {
        writer.write(row, &mut sql.text);
    }
    sql.text.pop();
    session.later(&sql.text, Expected::Success).await
}

async fn load(session: &mut Session, line: &LineName, detections: &[(Detection, bool)]) -> Result<(), CommitError> {
    load_chunks(session, line, format(detections), detections.len()).await
}

/// The file that LOAD DATA reads, in pieces.
pub(in crate::store) fn format(detections: &[(Detection, bool)]) -> Vec<Bytes> {
    let mut writer = RowWriter::load();
    let mut chunks = Vec::with_capacity(detections.len() * 64 / CHUNK + 1);
    let mut chunk = Vec::with_capacity(CHUNK);
    for row in detections {
        writer.write(row, &mut chunk);
        if chunk.len() > CHUNK - LONGEST_ROW {
            chunks.push(Bytes::from(std::mem::replace(&mut chunk, Vec::with_capacity(CHUNK))));
        }
    }
    chunks.push(Bytes::from(chunk));
    chunks
}

/// Streams `sent` rows to the server. `LOCAL` means `IGNORE`: a row that is there already, or has no partition, or
/// does not fit its columns, is passed over with a warning. None may be.
pub(super) async fn load_chunks(
    session: &mut Session,
    line: &LineName,
    chunks: Vec<Bytes>,
    sent: usize,
) -> Result<(), CommitError> {
    let table = line.detections();
    let sql = format!("LOAD DATA LOCAL INFILE 'rows' INTO TABLE `{table}` CHARACTER SET binary ({COLUMNS})");
    let done = session.load(sql.as_bytes(), chunks).await?;
    if done.affected != sent as u64 || done.warnings != 0 {
        let problem = format!(
            "{table}: of {sent} new detections the server took {} with {} warnings: rows are there that the line's \
             checkpoint does not know of",
            done.affected, done.warnings
        );
        return Err(CommitError::invariant(problem));
    }
    Ok(())
}

/// Writes rows as text.
struct RowWriter {
    stamps: StampWriter,
    digits: itoa::Buffer,
    /// Around a row, between its columns, around its time, and for no value.
    open: &'static [u8],
    close: &'static [u8],
    between: u8,
    quote: &'static [u8],
    null: &'static [u8],
}

// === impl RowWriter ===

impl RowWriter {
    /// A line of the file that LOAD DATA reads.
    fn load() -> Self {
        Self { open: b"", close: b"\n", between: b'\t', quote: b"", null: b"\\N", ..Self::insert() }
    }

    /// A row of an INSERT, with a comma after it.
    fn insert() -> Self {
        Self {
            stamps: StampWriter::new(),
            digits: itoa::Buffer::new(),
            open: b"(",
            close: b"),",
            between: b',',
            quote: b"'",
            null: b"NULL",
        }
    }

    #[inline]
    fn write(&mut self, (detection, late): &(Detection, bool), out: &mut Vec<u8>) {
        out.extend_from_slice(self.open);
        out.extend_from_slice(self.digits.format(detection.detection_id).as_bytes());
        out.push(self.between);
        out.extend_from_slice(self.quote);
        self.stamps.write(detection.detected_at, out);
        out.extend_from_slice(self.quote);
        for value in [detection.area_id, detection.product_id, detection.quantity] {
            out.push(self.between);
            out.extend_from_slice(self.digits.format(value).as_bytes());
        }
        out.push(self.between);
        match detection.camera_id {
            Some(camera) => out.extend_from_slice(self.digits.format(camera).as_bytes()),
            None => out.extend_from_slice(self.null),
        }
        out.push(self.between);
        match detection.confidence {
            // No column holds what is not finite.
            Some(confidence) if confidence.is_finite() => write_float(confidence, &mut self.digits, out),
            _ => out.extend_from_slice(self.null),
        }
        out.push(self.between);
        out.push(if *late { b'1' } else { b'0' });
        out.extend_from_slice(self.close);
    }
}

/// The shortest decimal that reads back as the same `f32`. Confidences have few digits, which need no general
/// algorithm.
#[inline]
fn write_float(value: f32, digits: &mut itoa::Buffer, out: &mut Vec<u8>) {
    const SCALE: f64 = 10_000.0;
    let scaled = (f64::from(value) * SCALE).round();
    if (0.0..=SCALE).contains(&scaled) && (scaled / SCALE) as f32 == value {
        let scaled = scaled as u32;
        let (whole, part) = (scaled / 10_000, scaled % 10_000);
        out.push(b'0' + whole as u8);
        if part > 0 {
            // A leading 1 keeps the zeros behind the point; it is overwritten by it.
            let at = out.len();
            out.extend_from_slice(digits.format(10_000 + part).as_bytes());
            out[at] = b'.';
        }
        return;
    }
    // Writing to a vector cannot fail.
    let _ = std::io::Write::write_fmt(out, format_args!("{value}"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_written_for_both_statements() {
        let detection = Detection {
            detection_id: -7,
            detected_at: 1_767_225_600_123,
            area_id: 1,
            product_id: 2,
            quantity: 3,
            camera_id: Some(11),
            confidence: Some(0.87),
        };
        let bare = Detection { camera_id: None, confidence: Some(f32::NAN), ..detection };
        let mut out = Vec::new();
        let mut writer = RowWriter::insert();
        writer.write(&(detection, false), &mut out);
        writer.write(&(bare, true), &mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "(-7,'2026-01-01 00:00:00.123',1,2,3,11,0.8700,0),(-7,'2026-01-01 00:00:00.123',1,2,3,NULL,NULL,1),"
        );
        let mut out = Vec::new();
        RowWriter::load().write(&(bare, true), &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), "-7\t2026-01-01 00:00:00.123\t1\t2\t3\t\\N\t\\N\t1\n");
    }

    #[test]
    fn floats_read_back_as_they_were() {
        let mut digits = itoa::Buffer::new();
        let odd = [0.0, -0.0, 1.0, 0.5, 0.0001, 0.9999, 1e-9, 0.123_456_79, 3.4e38, -2.5, f32::MIN_POSITIVE];
        let steps = (0..=100_000).map(|n| n as f32 / 100_000.0);
        for value in odd.into_iter().chain(steps) {
            let mut out = Vec::new();
            write_float(value, &mut digits, &mut out);
            let text = String::from_utf8(out).unwrap();
            // As the server does: to a double first.
            assert_eq!(text.parse::<f64>().unwrap() as f32, value, "{text}");
        }
    }
}
