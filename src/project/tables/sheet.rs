//! A table that is written row by row, as CSV or JSON.

use std::collections::BTreeSet;

use base::table::{Cell, quote};

/// The form of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableFormat {
    /// Comma-separated values with a header line.
    Csv,
    /// A JSON array with an object for each row.
    Json,
}

/// The columns of a table, from which its rows are formatted.
pub struct Sheet {
    format: TableFormat,
    names: Vec<String>,
    /// Whether a row was formatted already.
    begun: bool,
}

impl Sheet {
    /// Creates a table with these columns.
    pub fn new(format: TableFormat, names: Vec<String>) -> Self {
        Self { format, names, begun: false }
    }

    /// Returns the text before the rows, without the end of its last line.
    pub fn start(&self) -> String {
        match self.format {
            TableFormat::Csv => self.names.iter().map(|name| quote(name)).collect::<Vec<_>>().join(","),
            TableFormat::Json => "[".to_owned(),
        }
    }

    /// Returns the text of a row, without the end of its last line. A row has a value or nothing for each column; nothing is
    /// an empty cell of CSV, and a missing field of JSON.
    pub fn row(&mut self, cells: &[Option<Cell<'_>>]) -> String {
        let comma = if std::mem::replace(&mut self.begun, true) { "," } else { "" };
        match self.format {
            TableFormat::Csv => {
                cells.iter().map(|cell| cell.map(Cell::to_csv).unwrap_or_default()).collect::<Vec<_>>().join(",")
            }
            TableFormat::Json => {
                let named = self.names.iter().zip(cells);
                let fields = named.filter_map(|(name, cell)| Some((name.clone(), cell.as_ref()?.to_json())));
                comma.to_owned() + &serde_json::Value::Object(fields.collect()).to_string()
            }
        }
    }

    /// Returns the text after the rows, if there is any.
    pub fn end(&self) -> Option<&'static str> {
        (self.format == TableFormat::Json).then_some("]")
    }
}

/// Reads the value of a setting as it is written in the name of a stage.
pub fn setting(value: &str) -> Cell<'_> {
    let float = || value.parse().ok().filter(|number: &f64| number.is_finite()).map(Cell::Float);
    value.parse().ok().map(Cell::Int).or_else(float).unwrap_or(Cell::Text(value))
}

/// Returns names for columns that come from several sources. A name that an earlier source has gets the prefix of its own
/// source, such as `recorded_lr` beside the setting `lr`.
pub fn distinct(sources: &[(&str, &[&str])]) -> Vec<String> {
    let mut taken = BTreeSet::new();
    let mut names = Vec::new();
    for (prefix, own) in sources {
        for name in *own {
            let mut name = (*name).to_owned();
            while !taken.insert(name.clone()) {
                name.insert_str(0, prefix);
            }
            names.push(name);
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(format: TableFormat) -> String {
        let mut sheet = Sheet::new(format, vec!["a,b".into(), "x".into(), "y".into()]);
        let rows: [[Option<Cell<'_>>; 3]; 2] = [
            [Some(Cell::Text("say \"1\"")), Some(Cell::Int(-3)), Some(Cell::Float(f64::NEG_INFINITY))],
            [None, Some(Cell::Float(0.1)), Some(Cell::Float(f64::NAN))],
        ];
        let mut lines = vec![sheet.start()];
        lines.extend(rows.iter().map(|row| sheet.row(row)));
        lines.extend(sheet.end().map(str::to_owned));
        lines.join("\n")
    }

    #[test]
    fn both_formats_hold_every_value() {
        assert_eq!(written(TableFormat::Csv), "\"a,b\",x,y\n\"say \"\"1\"\"\",-3,-inf\n,0.1,NaN");
        let read: serde_json::Value = serde_json::from_str(&written(TableFormat::Json)).unwrap();
        let wanted = serde_json::json!([{"a,b": "say \"1\"", "x": -3, "y": "-inf"}, {"x": 0.1, "y": "NaN"}]);
        assert_eq!(read, wanted);
    }

    #[test]
    fn settings_are_numbers_where_they_can_be() {
        let read = ["0", "0.1", "-2", "text", "", "nan", "inf"].map(setting);
        let text = |text| Cell::Text(text);
        assert_eq!(read[..3], [Cell::Int(0), Cell::Float(0.1), Cell::Int(-2)]);
        assert_eq!(read[3..], [text("text"), text(""), text("nan"), text("inf")]);
    }

    #[test]
    fn a_name_that_is_taken_gets_the_prefix_of_its_source() {
        let recorded = ["epoch", "lr", "stage"];
        let names = distinct(&[("", &["stage"]), ("setting_", &["lr", "seed"]), ("recorded_", &recorded)]);
        assert_eq!(names, ["stage", "lr", "seed", "epoch", "recorded_lr", "recorded_stage"]);
        assert_eq!(distinct(&[("", &["x"]), ("a_", &["a_x", "x"])]), ["x", "a_x", "a_a_x"]);
    }
}
