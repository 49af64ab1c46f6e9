//! Recorded detections: CSV, plain or gzipped, each row checked before anything of it is sent.
//!
//! The header names the columns of [`Field`] in any order, any subset beyond `detected_at`. Other people's files are
//! read with a mapping of their names; columns that it does not name are passed over then.

use std::io::{BufRead, BufReader, Read};
use std::str::FromStr;

use csv::StringRecord;
use flate2::bufread::MultiGzDecoder;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::domain::production::detection::Detection;
use crate::domain::time::{Ms, parse_rfc3339};

/// A column that a recording can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    DetectionId,
    DetectedAt,
    AreaId,
    ProductId,
    Quantity,
    CameraId,
    Confidence,
}

/// A column of the file under the name of one of ours: `ts=detected_at`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    pub theirs: String,
    pub ours: Field,
}

/// How a file is read.
#[derive(Clone, Debug)]
pub struct Options {
    /// None: the header has our names.
    pub columns: Vec<Mapping>,
    /// Zone of times without an offset; none: they are refused.
    pub zone: Option<TimeZone>,
    /// Area of rows that name none.
    pub area_id: i32,
    /// Product of rows that name none.
    pub product_id: i32,
}

/// A file being read: an iterator over its rows. After [`RecordingError::Row`] it can go on with the next row.
pub struct Recording<R> {
    rows: csv::Reader<R>,
    /// Place in the row, by [`Field`].
    places: [Option<usize>; Field::ALL.len()],
    options: Options,
    record: StringRecord,
    /// Rows read so far, the header not counted.
    row: u64,
    is_over: bool,
}

/// Why a recording cannot be read. Follows "failed to read the recording: ".
#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    #[error("header: {problem}: {fix}")]
    Header { problem: String, fix: String },
    #[error("row {row} (line {line}): {problem}: {fix}")]
    Row {
        /// From 1, without the header.
        row: u64,
        /// From 1, with the header.
        line: u64,
        problem: String,
        fix: String,
    },
    #[error("after row {row}: {source}: check that the file is whole")]
    Read { row: u64, source: csv::Error },
    #[error("{0}: check that the file is whole")]
    Open(#[from] std::io::Error),
}

/// Follows "failed to read the columns: ".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no mapping: write THEIRS=OURS, OURS being one of {list}", list = Field::list())]
pub struct BadMapping(String);

/// What is wrong with a value, and what to write instead.
type Bad = (String, String);

/// Reads what may be gzipped, told by its first bytes rather than its name.
///
/// # Errors
/// What the input answers.
pub fn unzipped<'a>(input: impl Read + Send + 'a) -> std::io::Result<Box<dyn Read + Send + 'a>> {
    let mut input = BufReader::with_capacity(1 << 16, input);
    let is_zipped = input.fill_buf()?.starts_with(&[0x1f, 0x8b]);
    Ok(if is_zipped { Box::new(MultiGzDecoder::new(input)) } else { Box::new(input) })
}

// === impl Field ===

impl Field {
    pub const ALL: [Field; 7] = [
        Field::DetectionId,
        Field::DetectedAt,
        Field::AreaId,
        Field::ProductId,
        Field::Quantity,
        Field::CameraId,
        Field::Confidence,
    ];

    /// The name in a header.
    pub fn name(self) -> &'static str {
        match self {
            Field::DetectionId => "detection_id",
            Field::DetectedAt => "detected_at",
            Field::AreaId => "area_id",
            Field::ProductId => "product_id",
            Field::Quantity => "quantity",
            Field::CameraId => "camera_id",
            Field::Confidence => "confidence",
        }
    }

    fn from_name(name: &str) -> Option<Field> {
        Field::ALL.into_iter().find(|field| field.name() == name)
    }

    fn list() -> String {
        Field::ALL.map(Field::name).join(", ")
    }
}

// === impl Mapping ===

impl FromStr for Mapping {
    type Err = BadMapping;

    fn from_str(text: &str) -> Result<Self, BadMapping> {
        let bad = || BadMapping(text.to_owned());
        let (theirs, ours) = text.split_once('=').ok_or_else(bad)?;
        let ours = Field::from_name(ours.trim()).ok_or_else(bad)?;
        Ok(Mapping { theirs: theirs.trim().to_owned(), ours })
    }
}

// === impl Recording ===

impl<R: Read> Recording<R> {
    /// Reads the header.
    ///
    /// # Errors
    /// A header without `detected_at`, with a column twice or an unknown one; input that cannot be read.
    pub fn open(input: R, options: Options) -> Result<Self, RecordingError> {
        let mut rows = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(input);
        let header = rows.headers().map_err(|source| RecordingError::Read { row: 0, source })?.clone();
        let places =
            places(&header, &options.columns).map_err(|(problem, fix)| RecordingError::Header { problem, fix })?;
        Ok(Recording { rows, places, options, record: StringRecord::new(), row: 0, is_over: false })
    }

    /// Rows read so far, the header not counted.
    pub fn row(&self) -> u64 {
        self.row
    }

    fn value(&self, field: Field) -> Option<&str> {
        let text = self.record.get(self.places[field as usize]?)?;
        (!text.is_empty()).then_some(text)
    }

    fn number<T: FromStr>(&self, field: Field) -> Result<Option<T>, Bad> {
        let Some(text) = self.value(field) else { return Ok(None) };
        text.parse().map(Some).map_err(|_| {
            let problem = format!("{} {text:?} is no number that fits", field.name());
            (problem, "write a whole number, or leave it empty".to_owned())
        })
    }

    fn detection(&self) -> Result<Detection, Bad> {
        let time = self
            .value(Field::DetectedAt)
            .ok_or_else(|| ("detected_at is empty".to_owned(), "write RFC 3339 or epoch milliseconds".to_owned()))?;
        let quantity = self.number::<i32>(Field::Quantity)?.unwrap_or(1);
        if quantity < 1 {
            let fix = "write 1 or more, or take the row out".to_owned();
            return Err((format!("quantity {quantity} is not positive"), fix));
        }
        let confidence = match self.value(Field::Confidence) {
            None => None,
            Some(text) => Some(text.parse::<f32>().ok().filter(|c| (0.0..=1.0).contains(c)).ok_or_else(|| {
                (format!("confidence {text:?} is no share"), "write 0 to 1, or leave it empty".to_owned())
            })?),
        };
        Ok(Detection {
            detection_id: self.number(Field::DetectionId)?.unwrap_or(self.row as i64),
            detected_at: instant(time, self.options.zone.as_ref())?,
            area_id: self.number(Field::AreaId)?.unwrap_or(self.options.area_id),
            product_id: self.number(Field::ProductId)?.unwrap_or(self.options.product_id),
            quantity,
            camera_id: self.number(Field::CameraId)?,
            confidence,
        })
    }
}

/// Where each field is in a row.
fn places(header: &StringRecord, columns: &[Mapping]) -> Result<[Option<usize>; Field::ALL.len()], Bad> {
    let mut places = [None; Field::ALL.len()];
    if let Some(missing) = columns.iter().find(|mapping| !header.iter().any(|name| name == mapping.theirs)) {
        let names = header.iter().collect::<Vec<_>>().join(", ");
        return Err((format!("there is no column {:?}", missing.theirs), format!("name one of the file's: {names}")));
    }
    for (place, name) in header.iter().enumerate() {
        // Some programs begin a file with a byte order mark.
        let name = name.trim_start_matches('\u{feff}');
        let mapped = columns.iter().find(|mapping| mapping.theirs == name).map(|mapping| mapping.ours);
        let Some(field) = mapped.or_else(|| Field::from_name(name)) else {
            if columns.is_empty() {
                let fix = format!("name columns {}, or map them with --columns THEIRS=OURS", Field::list());
                return Err((format!("column {name:?} is not known"), fix));
            }
            continue;
        };
        if places[field as usize].replace(place).is_some() {
            return Err((format!("{} is there twice", field.name()), "leave one column out".to_owned()));
        }
    }
    if places[Field::DetectedAt as usize].is_none() {
        let fix = "add the column, or map one with --columns THEIRS=detected_at".to_owned();
        return Err(("there is no column detected_at".to_owned(), fix));
    }
    Ok(places)
}

/// RFC 3339, epoch milliseconds, or wall time of `zone`: the first of a repeated hour, and of one that is skipped as
/// much later as the clock was set forward.
fn instant(text: &str, zone: Option<&TimeZone>) -> Result<Ms, Bad> {
    if let Ok(at) = text.parse::<Ms>() {
        return Ok(at);
    }
    if let Ok(at) = parse_rfc3339(text) {
        return Ok(at);
    }
    let local: DateTime = text
        .parse()
        .map_err(|_| (format!("detected_at {text:?} is no time"), "write RFC 3339 or epoch milliseconds".to_owned()))?;
    let Some(zone) = zone else {
        let fix = "write one, such as Z, or name the zone with --zone".to_owned();
        return Err((format!("detected_at {text:?} has no offset"), fix));
    };
    let stamp = zone.to_timestamp(local);
    let fix = "write a year that calendars know".to_owned();
    stamp.map(|stamp| stamp.as_millisecond()).map_err(|_| (format!("detected_at {text:?} is out of range"), fix))
}

impl<R: Read> Iterator for Recording<R> {
    type Item = Result<Detection, RecordingError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_over {
            return None;
        }
        let line = self.rows.position().line();
        let bad = |row: u64, (problem, fix): Bad| Err(RecordingError::Row { row, line, problem, fix });
        let read = self.rows.read_record(&mut self.record);
        match read {
            Ok(false) => {
                self.is_over = true;
                None
            }
            Ok(true) => {
                self.row += 1;
                Some(self.detection().or_else(|wrong| bad(self.row, wrong)))
            }
            Err(error) => {
                let (problem, fix) = match error.kind() {
                    csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
                        (format!("it has {len} values"), format!("write {expected_len}, as the header has"))
                    }
                    csv::ErrorKind::Utf8 { .. } => ("it is no UTF-8".to_owned(), "save the file as UTF-8".to_owned()),
                    _ => {
                        self.is_over = true;
                        return Some(Err(RecordingError::Read { row: self.row, source: error }));
                    }
                };
                self.row += 1;
                Some(bad(self.row, (problem, fix)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn options(columns: &str, zone: Option<&str>) -> Options {
        let columns = columns.split(',').filter(|text| !text.is_empty()).map(|text| text.parse().unwrap()).collect();
        let zone = zone.map(|name| crate::domain::calendar::zone(name).unwrap());
        Options { columns, zone, area_id: 3, product_id: 0 }
    }

    fn read(text: &str, options: Options) -> Vec<Result<Detection, String>> {
        let rows = Recording::open(text.as_bytes(), options).unwrap();
        rows.map(|row| row.map_err(|error| error.to_string())).collect()
    }

    fn refused_header(text: &str, columns: &str) -> String {
        Recording::open(text.as_bytes(), options(columns, None)).err().unwrap().to_string()
    }

    #[test]
    fn all_columns_in_any_order() {
        let text = "quantity,detection_id,detected_at,area_id,product_id,camera_id,confidence\n\
                    2,77,2026-01-01T00:00:00.25Z,1,7,11,0.5\n";
        let expected = Detection {
            detection_id: 77,
            detected_at: 1_767_225_600_250,
            area_id: 1,
            product_id: 7,
            quantity: 2,
            camera_id: Some(11),
            confidence: Some(0.5),
        };
        assert_eq!(read(text, options("", None)), [Ok(expected)]);
    }

    #[test]
    fn a_time_alone_is_enough() {
        let rows = read("detected_at\n1767225600000\n2026-01-01T01:00:00+01:00\n", options("", None));
        let brief: Vec<_> = rows.iter().map(|row| row.clone().unwrap()).collect();
        assert_eq!(
            brief.iter().map(|d| (d.detection_id, d.detected_at)).collect::<Vec<_>>(),
            [(1, 1_767_225_600_000), (2, 1_767_225_600_000)]
        );
        assert_eq!((brief[0].area_id, brief[0].product_id, brief[0].quantity, brief[0].camera_id), (3, 0, 1, None));
    }

    #[test]
    fn other_names_and_local_time() {
        let text = "ts,lane,speed\n2021-07-28T00:00:29.024,2,22.074\n";
        let rows = read(text, options("ts=detected_at,lane=area_id", Some("Australia/Melbourne")));
        let row = rows[0].clone().unwrap();
        assert_eq!((row.detected_at, row.area_id), (parse_rfc3339("2021-07-27T14:00:29.024Z").unwrap(), 2));
    }

    #[test]
    fn gzip_is_told_by_its_bytes() {
        let mut zipped = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        zipped.write_all(b"detected_at\n5\n").unwrap();
        let zipped = zipped.finish().unwrap();
        let rows = Recording::open(unzipped(zipped.as_slice()).unwrap(), options("", None)).unwrap();
        assert_eq!(rows.map(|row| row.unwrap().detected_at).collect::<Vec<_>>(), [5]);
    }

    #[test]
    fn a_bad_row_is_named_with_its_fix_and_the_next_can_be_read() {
        let text = "detected_at,quantity,camera_id,confidence\n1,1,,\n2,0,,\n3,x,,\n,1,,\n2026-01-01T00:00:00,1,,\n\
                    soon,1,,\n7,1,eleven,\n8,1,,1.5\n9,1\n10,2,11,0.9\n";
        let rows = read(text, options("", None));
        let errors: Vec<&String> = rows.iter().filter_map(|row| row.as_ref().err()).collect();
        let expected = [
            "row 2 (line 3): quantity 0 is not positive: write 1",
            "row 3 (line 4): quantity \"x\" is no number",
            "row 4 (line 5): detected_at is empty",
            "row 5 (line 6): detected_at \"2026-01-01T00:00:00\" has no offset",
            "row 6 (line 7): detected_at \"soon\" is no time",
            "row 7 (line 8): camera_id \"eleven\"",
            "row 8 (line 9): confidence \"1.5\"",
            "row 9 (line 10): it has 2 values: write 4",
        ];
        assert_eq!(errors.len(), expected.len(), "{errors:?}");
        for (error, start) in errors.iter().zip(expected) {
            assert!(error.starts_with(start), "{error} is not {start}");
        }
        assert_eq!(rows[0].as_ref().map(|d| d.detection_id), Ok(1));
        assert_eq!(rows.last().unwrap().as_ref().map(|d| (d.detection_id, d.quantity)), Ok((10, 2)));
    }

    #[test]
    fn a_cut_off_file_ends_in_an_error() {
        let mut zipped = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::none());
        zipped.write_all("detected_at\n".as_bytes()).unwrap();
        zipped.write_all("5\n".repeat(100_000).as_bytes()).unwrap();
        let zipped = zipped.finish().unwrap();
        let cut = &zipped[..zipped.len() / 2];
        let mut rows = Recording::open(unzipped(cut).unwrap(), options("", None)).unwrap();
        let error = rows.by_ref().find_map(Result::err).unwrap();
        assert!(matches!(error, RecordingError::Read { .. }), "{error}");
        assert!(rows.next().is_none());
    }

    #[test]
    fn a_header_that_says_too_little_or_too_much_is_refused() {
        assert!(refused_header("area_id\n1\n", "").contains("no column detected_at"));
        assert!(refused_header("detected_at,speed\n1,2\n", "").contains("\"speed\" is not known"));
        assert!(refused_header("detected_at,detected_at\n1,2\n", "").contains("twice"));
        let error = refused_header("ts,count\n1,2\n", "ts=detected_at,cont=quantity");
        assert!(error.contains("\"cont\"") && error.contains("ts, count"), "{error}");
    }

    #[test]
    fn a_mapping_names_a_field_of_ours() {
        assert!("ts=when".parse::<Mapping>().unwrap_err().to_string().contains("detected_at"));
        assert!("ts".parse::<Mapping>().is_err());
    }
}
