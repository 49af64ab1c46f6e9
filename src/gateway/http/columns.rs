//! Rows as Parquet: a file of row groups, each given away as soon as it is full, so that a long file takes no more
//! memory than one of them (and some hundred bytes for each that has gone, which the end of the file lists).

use std::sync::Arc;

use parquet::basic::Compression;
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DataType, DoubleType, FloatType, Int32Type, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use parquet::schema::parser::parse_message_type;
use serde_json::Value;

use crate::domain::time::{Ms, parse_rfc3339};

/// Rows of a group.
pub const GROUP: usize = 50_000;

/// What a column holds; any cell may be empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// 32 bits, as ids of areas and products are.
    Small,
    Whole,
    /// 32 bits.
    Single,
    Ratio,
    Flag,
    /// An instant, in milliseconds of UTC.
    Time,
    Text,
}

/// A cell. What does not fit its column is empty.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    Empty,
    Whole(i64),
    Ratio(f64),
    Single(f32),
    Flag(bool),
    Text(String),
}

/// The cells of a column that are not empty, and which are not.
struct Cells<T: DataType> {
    values: Vec<T::T>,
    /// 1 for a value, 0 for an empty cell.
    levels: Vec<i16>,
}

/// A column's cells until the group is full.
enum Column {
    Small(Cells<Int32Type>),
    Whole(Cells<Int64Type>),
    Single(Cells<FloatType>),
    Ratio(Cells<DoubleType>),
    Flag(Cells<BoolType>),
    Text(Cells<ByteArrayType>),
}

/// A file that is being written.
pub struct Parquet {
    /// Into memory, which is emptied after each group.
    writer: SerializedFileWriter<Vec<u8>>,
    columns: Vec<Column>,
    rows: usize,
    group: usize,
}

// === impl Kind ===

impl Kind {
    /// Of a column in Parquet's own words for a schema.
    fn declared(self, name: &str) -> String {
        let (kind, meaning) = match self {
            Kind::Small => ("int32", ""),
            Kind::Whole => ("int64", ""),
            Kind::Single => ("float", ""),
            Kind::Ratio => ("double", ""),
            Kind::Flag => ("boolean", ""),
            Kind::Time => ("int64", " (TIMESTAMP(MILLIS,true))"),
            Kind::Text => ("binary", " (STRING)"),
        };
        format!("optional {kind} {name}{meaning};")
    }

    fn column(self) -> Column {
        match self {
            Kind::Small => Column::Small(Cells::new()),
            Kind::Whole | Kind::Time => Column::Whole(Cells::new()),
            Kind::Single => Column::Single(Cells::new()),
            Kind::Ratio => Column::Ratio(Cells::new()),
            Kind::Flag => Column::Flag(Cells::new()),
            Kind::Text => Column::Text(Cells::new()),
        }
    }

    /// The cell of a value as REST tells it.
    pub fn cell(self, value: Option<&Value>) -> Cell {
        let Some(value) = value else { return Cell::Empty };
        let found = match self {
            Kind::Small | Kind::Whole => value.as_i64().map(Cell::Whole),
            Kind::Single | Kind::Ratio => value.as_f64().map(Cell::Ratio),
            Kind::Flag => value.as_bool().map(Cell::Flag),
            Kind::Time => value.as_str().and_then(|text| parse_rfc3339(text).ok()).map(Cell::Whole),
            Kind::Text => match value {
                Value::String(text) => Some(Cell::Text(text.clone())),
                Value::Array(items) => {
                    let texts: Vec<&str> = items.iter().filter_map(Value::as_str).collect();
                    Some(Cell::Text(texts.join(" ")))
                }
                _ => None,
            },
        };
        found.unwrap_or(Cell::Empty)
    }
}

// === impl Cell ===

impl Cell {
    pub fn whole(value: impl Into<i64>) -> Cell {
        Cell::Whole(value.into())
    }

    pub fn time(at: Ms) -> Cell {
        Cell::Whole(at)
    }
}

// === impl Cells ===

impl<T: DataType> Cells<T> {
    fn new() -> Self {
        Cells { values: Vec::new(), levels: Vec::new() }
    }

    fn push(&mut self, value: Option<T::T>) {
        self.levels.push(value.is_some().into());
        self.values.extend(value);
    }

    fn write(&mut self, writer: &mut SerializedColumnWriter<'_>) -> Result<(), ParquetError> {
        writer.typed::<T>().write_batch(&self.values, Some(&self.levels), None)?;
        self.values.clear();
        self.levels.clear();
        Ok(())
    }
}

// === impl Column ===

impl Column {
    fn push(&mut self, cell: Cell) {
        match (self, cell) {
            (Column::Small(cells), cell) => cells.push(match cell {
                Cell::Whole(value) => value.try_into().ok(),
                _ => None,
            }),
            (Column::Whole(cells), cell) => cells.push(match cell {
                Cell::Whole(value) => Some(value),
                _ => None,
            }),
            (Column::Single(cells), cell) => cells.push(match cell {
                Cell::Single(value) => Some(value),
                Cell::Ratio(value) => Some(value as f32),
                _ => None,
            }),
            (Column::Ratio(cells), cell) => cells.push(match cell {
                Cell::Single(value) => Some(value.into()),
                Cell::Ratio(value) => Some(value),
                Cell::Whole(value) => Some(value as f64),
                _ => None,
            }),
            (Column::Flag(cells), cell) => cells.push(match cell {
                Cell::Flag(value) => Some(value),
                _ => None,
            }),
            (Column::Text(cells), cell) => cells.push(match cell {
                Cell::Text(value) => Some(ByteArray::from(value.into_bytes())),
                _ => None,
            }),
        }
    }

    fn write(&mut self, writer: &mut SerializedColumnWriter<'_>) -> Result<(), ParquetError> {
        match self {
            Column::Small(cells) => cells.write(writer),
            Column::Whole(cells) => cells.write(writer),
            Column::Single(cells) => cells.write(writer),
            Column::Ratio(cells) => cells.write(writer),
            Column::Flag(cells) => cells.write(writer),
            Column::Text(cells) => cells.write(writer),
        }
    }
}

// === impl Parquet ===

impl Parquet {
    /// Of these columns, `group` rows together.
    pub fn new<'a>(columns: impl IntoIterator<Item = (&'a str, Kind)>, group: usize) -> Result<Parquet, ParquetError> {
        let columns: Vec<(&str, Kind)> = columns.into_iter().collect();
        let declared: String = columns.iter().map(|(name, kind)| kind.declared(name)).collect();
        let schema = parse_message_type(&format!("message andon {{ {declared} }}"))?;
        // Of each group least and greatest, to be passed over by them; not of each page: they would be kept till the end.
        let properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .set_statistics_enabled(EnabledStatistics::Chunk)
            .set_offset_index_disabled(true)
            .set_created_by(concat!("andon ", env!("CARGO_PKG_VERSION")).to_owned())
            .build();
        let writer = SerializedFileWriter::new(Vec::new(), Arc::new(schema), Arc::new(properties))?;
        let columns = columns.into_iter().map(|(_, kind)| kind.column()).collect();
        Ok(Parquet { writer, columns, rows: 0, group })
    }

    /// Adds a row: a cell for each column.
    pub fn push(&mut self, row: impl IntoIterator<Item = Cell>) {
        let mut cells = row.into_iter();
        self.columns.iter_mut().for_each(|column| column.push(cells.next().unwrap_or(Cell::Empty)));
        self.rows += 1;
    }

    /// Whether a group is together.
    pub fn is_full(&self) -> bool {
        self.rows >= self.group
    }

    /// Makes a group of the rows so far; answers the next piece of the file.
    pub fn flush(&mut self) -> Result<Vec<u8>, ParquetError> {
        if self.rows > 0 {
            let mut group = self.writer.next_row_group()?;
            for column in &mut self.columns {
                let Some(mut writer) = group.next_column()? else { break };
                column.write(&mut writer)?;
                writer.close()?;
            }
            group.close()?;
            self.rows = 0;
        }
        self.writer.flush()?;
        Ok(std::mem::take(self.writer.inner_mut()))
    }

    /// Ends the file; answers its last piece.
    pub fn finish(mut self) -> Result<Vec<u8>, ParquetError> {
        let mut piece = self.flush()?;
        self.writer.finish()?;
        piece.append(self.writer.inner_mut());
        Ok(piece)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use parquet::file::reader::{FileReader, SerializedFileReader};
    use parquet::record::Field;
    use serde_json::json;

    use super::*;

    const COLUMNS: [(&str, Kind); 7] = [
        ("id", Kind::Whole),
        ("area", Kind::Small),
        ("at", Kind::Time),
        ("confidence", Kind::Single),
        ("oee", Kind::Ratio),
        ("late", Kind::Flag),
        ("line", Kind::Text),
    ];

    fn rows(file: Vec<u8>) -> (usize, Vec<Vec<Field>>) {
        let reader = SerializedFileReader::new(Bytes::from(file)).unwrap();
        let rows = reader.get_row_iter(None).unwrap();
        let rows = rows.map(|row| row.unwrap().get_column_iter().map(|(_, field)| field.clone()).collect());
        (reader.num_row_groups(), rows.collect())
    }

    #[test]
    fn a_file_in_pieces_reads_back_row_by_row() {
        let mut parquet = Parquet::new(COLUMNS, 3).unwrap();
        let (mut file, mut pieces) = (Vec::new(), 0);
        for n in 0..7 {
            let confidence = if n % 2 == 0 { Cell::Empty } else { Cell::Single(0.7) };
            let line = Cell::Text(format!("l{n}, =1"));
            let whole = Cell::whole(n);
            parquet.push([whole.clone(), whole, Cell::time(-n), confidence, Cell::Ratio(0.1), Cell::Flag(n > 3), line]);
            if parquet.is_full() {
                file.extend(parquet.flush().unwrap());
                assert!(parquet.writer.inner().is_empty(), "what was given away is kept no more");
                pieces += 1;
            }
        }
        assert_eq!(pieces, 2);
        file.extend(parquet.finish().unwrap());
        let (groups, rows) = rows(file);
        assert_eq!((groups, rows.len()), (3, 7));
        for (n, row) in rows.into_iter().enumerate() {
            let confidence = if n % 2 == 0 { Field::Null } else { Field::Float(0.7) };
            let expected = vec![
                Field::Long(n as i64),
                Field::Int(n as i32),
                Field::TimestampMillis(-(n as i64)),
                confidence,
                Field::Double(0.1),
                Field::Bool(n > 3),
                Field::Str(format!("l{n}, =1")),
            ];
            assert_eq!(row, expected);
        }
    }

    #[test]
    fn a_file_without_rows_is_one() {
        let (groups, rows) = rows(Parquet::new(COLUMNS, 3).unwrap().finish().unwrap());
        assert_eq!((groups, rows.len()), (0, 0));
    }

    #[test]
    fn what_does_not_fit_its_column_is_empty() {
        let told = json!({"n": 5, "big": i64::MAX, "x": 0.5, "at": "1970-01-01T00:00:01.500Z", "lines": ["l1", "l2"]});
        assert_eq!(Kind::Time.cell(told.get("at")), Cell::Whole(1_500));
        assert_eq!(Kind::Text.cell(told.get("lines")), Cell::Text("l1 l2".into()));
        assert_eq!(Kind::Ratio.cell(told.get("x")), Cell::Ratio(0.5));
        assert_eq!((Kind::Whole.cell(told.get("x")), Kind::Text.cell(None)), (Cell::Empty, Cell::Empty));
        let mut parquet = Parquet::new([("area", Kind::Small)], 3).unwrap();
        ["big", "n"].iter().for_each(|name| parquet.push([Kind::Small.cell(told.get(*name))]));
        assert_eq!(rows(parquet.finish().unwrap()).1, [[Field::Null], [Field::Int(5)]]);
    }
}
