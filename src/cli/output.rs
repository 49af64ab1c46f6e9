//! What commands print: a table for people, JSON for scripts.

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use serde::Serialize;

/// `--format`
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    Table,
    Json,
}

/// The option of commands that print a table.
#[derive(Clone, Copy, Debug, Args)]
pub struct FormatArg {
    /// How it is printed.
    #[arg(long, value_enum, default_value = "table")]
    pub format: Format,
}

/// Rows as a table, or the values themselves as JSON.
pub fn print<T: Serialize + ?Sized>(
    format: Format,
    values: &T,
    head: &[&str],
    rows: impl IntoIterator<Item = Vec<String>>,
) -> anyhow::Result<()> {
    match format {
        Format::Json => json(values),
        Format::Table => {
            print!("{}", table(head, rows));
            Ok(())
        }
    }
}

/// A value as JSON, on one line.
pub fn json<T: Serialize + ?Sized>(value: &T) -> anyhow::Result<()> {
    println!("{}", serde_json::to_string(value).context("failed to write JSON")?);
    Ok(())
}

/// Objects of figures, one fact a line, or as JSON.
pub fn facts(format: Format, values: &serde_json::Value) -> anyhow::Result<()> {
    let objects = values.as_array().into_iter().flatten().filter_map(serde_json::Value::as_object);
    let rows = objects.flatten().map(|(name, value)| match value.as_f64() {
        Some(number) if value.is_f64() => vec![name.clone(), format!("{number:.2}")],
        _ => vec![name.clone(), value.to_string()],
    });
    print(format, values, &["figure", "value"], rows)
}

/// Columns as wide as their widest value, two blanks apart.
fn table(head: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let head = head.iter().map(|name| (*name).to_owned()).collect();
    let lines: Vec<Vec<String>> = std::iter::once(head).chain(rows).collect();
    let columns = lines.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| lines.iter().filter_map(|line| line.get(column)).map(|v| v.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let mut text = String::new();
    for line in &lines {
        let padded: Vec<String> = line.iter().zip(&widths).map(|(value, &width)| format!("{value:width$}")).collect();
        text.push_str(padded.join("  ").trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let rows = [vec!["l1".to_owned(), "12".to_owned()], vec!["filler".to_owned(), "3".to_owned()]];
        assert_eq!(table(&["line", "lag"], rows), "line    lag\nl1      12\nfiller  3\n");
    }
}
