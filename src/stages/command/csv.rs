//! Tables as CSV (RFC 4180), the format that commands read and write.

use std::fmt::Write;

use std::collections::BTreeMap;

use base::table::{Column, Table, TableError, Values};
use base::work::Parameter;

/// Maximum numbers of columns and rows.
const COLUMNS: usize = 10_000;
const ROWS: usize = 10_000_000;

/// Returns a table with the settings of the instance that it is from as its first columns. A column of the table with the name
/// of a setting stays as it is.
pub fn with_settings(table: &Table, settings: &BTreeMap<String, Parameter>) -> Result<Table, TableError> {
    let rows = table.rows();
    let is_new = |name: &String| table.columns().iter().all(|column| column.name != *name);
    let columns = settings.iter().filter(|(name, _)| is_new(name)).map(|(name, value)| Column {
        name: name.clone(),
        values: match value {
            Parameter::Int(value) => Values::Int(vec![*value; rows]),
            Parameter::Float(value) => Values::Float(vec![*value; rows]),
            Parameter::Bool(_) | Parameter::Text(_) => Values::Text(vec![value.to_string(); rows]),
        },
    });
    Table::new(columns.chain(table.columns().iter().cloned()).collect())
}

/// Returns a table as CSV. Numbers have enough digits to be read back exactly.
pub fn written(table: &Table) -> String {
    let line = |fields: &mut dyn Iterator<Item = String>| fields.collect::<Vec<_>>().join(",") + "\n";
    let mut text = line(&mut table.columns().iter().map(|column| quoted(&column.name)));
    for row in 0..table.rows() {
        let field = |column: &Column| match &column.values {
            Values::Int(values) => values[row].to_string(),
            Values::Float(values) => number(values[row]),
            Values::Text(values) => quoted(&values[row]),
        };
        let _ = write!(text, "{}", line(&mut table.columns().iter().map(field)));
    }
    text
}

/// Formats a number in a way that other programs can read.
fn number(value: f64) -> String {
    match value {
        value if value.is_nan() => "nan".to_owned(),
        value if value.is_infinite() => if value > 0.0 { "inf" } else { "-inf" }.to_owned(),
        value => format!("{value:?}"),
    }
}

fn quoted(text: &str) -> String {
    match text.contains([',', '"', '\n', '\r']) || text.trim() != text || text.is_empty() {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text.to_owned(),
    }
}

/// Reads CSV with a header line. A column has integers if all its fields are integers, numbers if all its fields are
/// numbers, and otherwise text. A column with an empty field is text.
///
/// # Errors
/// If the text is not CSV, or a line has the wrong number of fields. The message names the line.
pub fn read(text: &str) -> Result<Table, String> {
    let mut lines = Lines { rest: text.strip_prefix('\u{feff}').unwrap_or(text), line: 0 };
    let names = lines.next_line()?.ok_or("it is empty: the first line has the names of the columns")?;
    if names.len() > COLUMNS {
        return Err(format!("it has more than {COLUMNS} columns"));
    }
    if let Some(at) = names.iter().position(|name| name.trim().is_empty()) {
        return Err(format!("column {} has no name", at + 1));
    }
    let mut columns: Vec<Vec<String>> = vec![Vec::new(); names.len()];
    while let Some(fields) = lines.next_line()? {
        if fields.len() != names.len() {
            return Err(format!(
                "line {} has {} fields, but there are {} columns",
                lines.line,
                fields.len(),
                names.len()
            ));
        }
        if columns[0].len() == ROWS {
            return Err(format!("it has more than {ROWS} rows"));
        }
        columns.iter_mut().zip(fields).for_each(|(column, field)| column.push(field));
    }
    let column = |(name, fields): (String, Vec<String>)| Column { name: name.trim().to_owned(), values: typed(fields) };
    Table::new(names.into_iter().zip(columns).map(column).collect()).map_err(|error| error.to_string())
}

/// Converts the fields of a column to its type.
fn typed(fields: Vec<String>) -> Values {
    if fields.is_empty() {
        return Values::Float(Vec::new());
    }
    if let Some(values) = fields.iter().map(|field| field.trim().parse().ok()).collect() {
        return Values::Int(values);
    }
    match fields.iter().map(|field| field.trim().parse().ok()).collect() {
        Some(values) => Values::Float(values),
        None => Values::Text(fields),
    }
}

/// The lines of a CSV text. A quoted field can contain line breaks.
struct Lines<'a> {
    rest: &'a str,
    /// Number of the last line that was read, starting at 1.
    line: usize,
}

impl Lines<'_> {
    /// Returns the fields of the next line, or `None` at the end.
    fn next_line(&mut self) -> Result<Option<Vec<String>>, String> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        self.line += 1;
        let (first, mut fields) = (self.line, Vec::new());
        loop {
            fields.push(self.field(first)?);
            if let Some(rest) = self.rest.strip_prefix(',') {
                self.rest = rest;
                continue;
            }
            let rest = self.rest.strip_prefix("\r\n").or_else(|| self.rest.strip_prefix('\n'));
            match rest {
                Some(rest) => self.rest = rest,
                None if self.rest.is_empty() => {}
                None => return Err(format!("line {first}: a quote ends before the field does")),
            }
            return Ok(Some(fields));
        }
    }

    fn field(&mut self, first: usize) -> Result<String, String> {
        let Some(mut inside) = self.rest.strip_prefix('"') else {
            let end = self.rest.find([',', '\n', '\r']).unwrap_or(self.rest.len());
            let (field, rest) = self.rest.split_at(end);
            if rest.starts_with('\r') && !rest.starts_with("\r\n") {
                return Err(format!("line {first}: a carriage return without a line feed"));
            }
            self.rest = rest;
            return Ok(field.to_owned());
        };
        let mut field = String::new();
        loop {
            let Some((text, rest)) = inside.split_once('"') else {
                return Err(format!("line {first}: a quoted field does not end"));
            };
            self.line += text.matches('\n').count();
            field += text;
            match rest.strip_prefix('"') {
                Some(rest) => {
                    field.push('"');
                    inside = rest;
                }
                None => {
                    self.rest = rest;
                    return Ok(field);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn columns_get_their_types() {
        let table = read("epoch,loss,name\r\n1,0.5,a\n2,nan,\"b,\"\"c\"\"\nd\"\n3,-inf,\n").unwrap();
        let values: Vec<_> = table.columns().iter().map(|column| column.values.clone()).collect();
        assert_eq!(values[0], Values::Int(vec![1, 2, 3]));
        let Values::Float(loss) = &values[1] else { panic!("{values:?}") };
        assert!(loss[0] == 0.5 && loss[1].is_nan() && loss[2] == f64::NEG_INFINITY);
        assert_eq!(values[2], Values::Text(vec!["a".into(), "b,\"c\"\nd".into(), String::new()]));
        assert_eq!(
            read("a\n1e400\n0x10\n").unwrap().columns()[0].values,
            Values::Text(vec!["1e400".into(), "0x10".into()])
        );
        assert_eq!(read("a,b\n").unwrap().rows(), 0);
    }

    #[test]
    fn mistakes_are_named_with_their_lines() {
        for (text, said) in [
            ("", "it is empty"),
            ("a,\n1,2\n", "column 2 has no name"),
            ("a,b\n1,2\n3\n", "line 3 has 1 fields"),
            ("a,b\n1,\"x\ny\"\n3\n", "line 4 has 1 fields"),
            ("a\n\"x\n", "a quoted field does not end"),
            ("a\n\"x\"y\n", "a quote ends before"),
            ("a,a\n1,2\n", "column `a` does not fit"),
            ("a\n1\r2\n", "carriage return"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(said), "{text:?}: {error}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(
            ints in prop::collection::vec(any::<i64>(), 1..5),
            floats in prop::collection::vec(any::<f64>().prop_filter("an integer reads as one", |x| x.fract() != 0.0), 5),
            texts in prop::collection::vec("[a-z,\"\n é]{1,8}x", 5),
        ) {
            let rows = ints.len();
            let column = |name: &str, values| Column { name: name.into(), values };
            let table = Table::new(vec![
                column("i", Values::Int(ints)),
                column("f, g", Values::Float(floats[..rows].to_vec())),
                column("t", Values::Text(texts[..rows].to_vec())),
            ]).unwrap();
            prop_assert_eq!(read(&written(&table)).unwrap(), table);
        }

        #[test]
        fn no_text_makes_it_panic(text in "[a,\"\n\r0-9.]{0,40}") {
            let _ = read(&text);
        }
    }
}
