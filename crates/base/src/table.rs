//! Typed tables of numbers, which evaluations record and figures draw.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::codec::{self, CodecError, Format};

const FORMAT: Format = Format { magic: *b"WDta", version: 1, name: "table" };

/// The values of one column.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Values {
    /// Integers.
    Int(Vec<i64>),
    /// Numbers; NaN and infinities are allowed and have their usual meaning.
    Float(Vec<f64>),
    /// Text.
    Text(Vec<String>),
}

impl Values {
    fn len(&self) -> usize {
        match self {
            Self::Int(values) => values.len(),
            Self::Float(values) => values.len(),
            Self::Text(values) => values.len(),
        }
    }

    /// Returns the value in a row.
    fn cell(&self, row: usize) -> Option<Cell<'_>> {
        match self {
            Self::Int(values) => values.get(row).copied().map(Cell::Int),
            Self::Float(values) => values.get(row).copied().map(Cell::Float),
            Self::Text(values) => values.get(row).map(|text| Cell::Text(text)),
        }
    }
}

/// One value of a table.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Cell<'a> {
    /// An integer.
    Int(i64),
    /// A number, which can be NaN or infinite.
    Float(f64),
    /// Text.
    Text(&'a str),
}

impl Cell<'_> {
    /// Returns the value for CSV. Numbers have the fewest digits that read back as the same number; NaN and the infinities
    /// are written as `NaN`, `inf` and `-inf`, which pandas, polars and R read as numbers.
    pub fn to_csv(self) -> String {
        match self {
            Self::Int(value) => value.to_string(),
            Self::Float(value) => value.to_string(),
            Self::Text(text) => quote(text),
        }
    }

    /// Returns the value for JSON. Numbers that are not finite become text, since JSON cannot represent them.
    pub fn to_json(self) -> serde_json::Value {
        match self {
            Self::Int(value) => value.into(),
            Self::Float(value) if value.is_finite() => value.into(),
            Self::Float(value) => value.to_string().into(),
            Self::Text(text) => text.into(),
        }
    }
}

/// A column: a name such as `test_error`, and its values.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Column {
    /// Name, unique in the table.
    pub name: String,
    /// Values, one per row.
    pub values: Values,
}

/// Columns of equal length, in a fixed order.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Table {
    columns: Vec<Column>,
}

/// Why columns or bytes are not a table.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum TableError {
    /// A column has a different length from the first, or a name occurs twice.
    #[error("column `{0}` does not fit the table")]
    Misfit(String),
    /// The bytes are not a table.
    #[error(transparent)]
    Codec(#[from] CodecError),
}

impl Table {
    /// Creates a table from columns.
    ///
    /// # Errors
    /// If lengths differ or a name occurs twice.
    pub fn new(columns: Vec<Column>) -> Result<Self, TableError> {
        // A set, because a hostile table can have very many columns.
        let mut names = BTreeSet::new();
        for column in &columns {
            if !names.insert(&column.name) || column.values.len() != columns[0].values.len() {
                return Err(TableError::Misfit(column.name.clone()));
            }
        }
        Ok(Self { columns })
    }

    /// Creates a table of number columns from rows; every row has one value per name.
    pub fn of_rows<const N: usize>(names: [&str; N], rows: &[[f64; N]]) -> Self {
        let column = |i: usize| Column {
            name: names[i].to_owned(),
            values: Values::Float(rows.iter().map(|row| row[i]).collect()),
        };
        Self { columns: (0..N).map(column).collect() }
    }

    /// Returns the columns in order.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// Returns the number of rows.
    pub fn rows(&self) -> usize {
        self.columns.first().map_or(0, |column| column.values.len())
    }

    /// Returns the numbers of a column (integers are converted); `None` if it is missing or contains text.
    pub fn numbers(&self, name: &str) -> Option<Vec<f64>> {
        match &self.columns.iter().find(|column| column.name == name)?.values {
            Values::Int(values) => Some(values.iter().map(|&value| value as f64).collect()),
            Values::Float(values) => Some(values.clone()),
            Values::Text(_) => None,
        }
    }

    /// Returns the encoded table; equal tables give equal bytes.
    ///
    /// # Errors
    /// If the table is larger than the codec's limit.
    pub fn to_bytes(&self) -> Result<Vec<u8>, TableError> {
        Ok(codec::encode(FORMAT, self)?)
    }

    /// Decodes a table; safe on untrusted bytes.
    ///
    /// # Errors
    /// If the bytes are not a table.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, TableError> {
        let table: Self = codec::decode(FORMAT, bytes)?;
        Self::new(table.columns)
    }

    /// Checks that bytes which start like a table can be decoded as one.
    ///
    /// # Errors
    /// If they start like a table but cannot be decoded.
    pub fn check(bytes: &[u8]) -> Result<(), TableError> {
        if bytes.starts_with(&FORMAT.magic) { Self::from_bytes(bytes).map(drop) } else { Ok(()) }
    }

    /// Returns comma-separated values with a header line (RFC 4180, but lines end in `\n`). Numbers are written with
    /// the fewest digits that read back as the same number.
    pub fn to_csv(&self) -> String {
        let line = |cells: Vec<String>| cells.join(",") + "\n";
        let header = line(self.columns.iter().map(|column| quote(&column.name)).collect());
        let row = |row| line(self.row(row).map(|(_, cell)| cell.to_csv()).collect());
        header + &(0..self.rows()).map(row).collect::<String>()
    }

    /// Returns the rows as JSON objects. Numbers that are not finite become text, since JSON cannot represent them.
    pub fn to_json(&self) -> serde_json::Value {
        let row = |row| self.row(row).map(|(name, cell)| (name.to_owned(), cell.to_json()));
        let rows = (0..self.rows()).map(|at| row(at).collect::<serde_json::Map<_, _>>().into());
        rows.collect::<Vec<serde_json::Value>>().into()
    }

    /// Returns the values of a row, each with the name of its column, in order.
    pub fn row(&self, row: usize) -> impl Iterator<Item = (&str, Cell<'_>)> {
        self.columns.iter().filter_map(move |column| Some((column.name.as_str(), column.values.cell(row)?)))
    }
}

/// Quotes a text for CSV, if necessary.
pub fn quote(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Table {
        Table::new(vec![
            Column { name: "epoch".into(), values: Values::Int(vec![0, 1]) },
            Column { name: "loss".into(), values: Values::Float(vec![0.1, f64::NAN]) },
            Column { name: "note".into(), values: Values::Text(vec!["a,b".into(), "say \"x\"".into()]) },
        ])
        .unwrap()
    }

    #[test]
    fn csv_and_json_say_the_same() {
        assert_eq!(sample().to_csv(), "epoch,loss,note\n0,0.1,\"a,b\"\n1,NaN,\"say \"\"x\"\"\"\n");
        let json = r#"[{"epoch":0,"loss":0.1,"note":"a,b"},{"epoch":1,"loss":"NaN","note":"say \"x\""}]"#;
        assert_eq!(sample().to_json().to_string(), json);
    }

    #[test]
    fn numbers_that_are_not_finite_are_spelled_as_readers_of_csv_expect() {
        let spelled = [f64::NAN, -f64::NAN, f64::INFINITY, f64::NEG_INFINITY].map(|value| Cell::Float(value).to_csv());
        assert_eq!(spelled, ["NaN", "NaN", "inf", "-inf"]);
    }

    #[test]
    fn bytes_round_trip_and_misfits_are_refused() {
        let table = Table::of_rows(["x", "y"], &[[1.0, 2.0], [3.0, 4.0]]);
        assert_eq!(Table::from_bytes(&table.to_bytes().unwrap()), Ok(table.clone()));
        assert_eq!(table.numbers("y"), Some(vec![2.0, 4.0]));
        assert_eq!(table.numbers("z"), None);
        let column = |n| Column { name: "x".into(), values: Values::Int(vec![0; n]) };
        assert!(Table::new(vec![column(1), column(1)]).is_err(), "duplicate name");
        let mut other = column(2);
        other.name = "y".into();
        assert!(Table::new(vec![column(1), other]).is_err(), "lengths differ");
    }

    #[test]
    fn very_many_columns_do_not_take_very_long() {
        let column = |i: usize| Column { name: format!("{i}"), values: Values::Int(vec![]) };
        let start = std::time::Instant::now();
        let table = Table::new((0..200_000).map(column).collect()).unwrap();
        assert_eq!(table.columns().len(), 200_000);
        assert!(start.elapsed().as_secs() < 10, "with a search per column it takes minutes");
    }
}
