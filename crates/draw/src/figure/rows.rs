//! Rows of a curve: its expressions, evaluated for every row of its tables.

use std::collections::{BTreeMap, BTreeSet};

use super::FigureError;
use base::expr::Expr;
use base::table::Table;
use base::work::{Curve, Mark};

/// One row of a table, as a curve sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// The table.
    pub table: String,
    /// Horizontal position.
    pub x: f64,
    /// Vertical position of a heat map's cell; for other marks equal to `value`.
    pub y: f64,
    /// The value that is shown.
    pub value: f64,
    /// Standard error of the value; NaN if the curve names none.
    pub error: f64,
    /// Value of the column `epoch`; −∞ if the table has none.
    pub epoch: f64,
}

impl Row {
    /// Checks whether another row at the same place agrees with this one.
    pub fn says_the_same(&self, other: &Self) -> bool {
        self.value == other.value || (self.value.is_nan() && other.value.is_nan())
    }
}

/// Returns the rows of a replica of a curve, table by table. For arrows, every tip follows its start.
///
/// # Errors
/// If a table or column is missing, or an expression cannot be parsed.
pub fn rows(
    panel: &str,
    curve: &Curve,
    replica: usize,
    tables: &BTreeMap<String, Table>,
) -> Result<Vec<Row>, FigureError> {
    let parse = |text: &str| {
        Expr::parse(text).map_err(|error| FigureError::Expression {
            panel: panel.to_owned(),
            curve: curve.label.clone(),
            text: text.to_owned(),
            reason: error.to_string(),
        })
    };
    let (x, y) = (parse(&curve.x)?, parse(&curve.y)?);
    let value = match &curve.z {
        Some(z) if curve.mark == Mark::Heat => parse(z)?,
        _ => y.clone(),
    };
    let error = curve.error.as_deref().map(parse).transpose()?;
    let tip = match &curve.to {
        Some((x, y)) => Some((parse(x)?, parse(y)?)),
        None => None,
    };
    let tips = tip.iter().flat_map(|(x, y)| [x, y]);
    let names: BTreeSet<&str> = [&x, &y, &value].into_iter().chain(&error).chain(tips).flat_map(Expr::names).collect();
    let mut rows = Vec::new();
    for source in curve.replicas.get(replica).into_iter().flatten() {
        let name = &source.table;
        let Some(table) = tables.get(name) else {
            let (panel, curve) = (panel.to_owned(), curve.label.clone());
            return Err(FigureError::NoTable { panel, curve, table: name.clone() });
        };
        let setting = |name: &str| name.strip_prefix(SETTING).and_then(|name| source.settings.get(name)).copied();
        let mut columns = BTreeMap::new();
        for column in names.iter().filter(|name| setting(name).is_none()) {
            let values = table.numbers(column).ok_or_else(|| FigureError::NoColumn {
                panel: panel.to_owned(),
                curve: curve.label.clone(),
                table: name.clone(),
                column: (*column).to_owned(),
            })?;
            columns.insert(*column, values);
        }
        let epochs = table.numbers("epoch");
        for row in 0..table.rows() {
            let value_of = |name: &str| setting(name).or_else(|| columns.get(name)?.get(row).copied());
            let made = Row {
                table: name.clone(),
                x: x.eval(&value_of),
                y: y.eval(&value_of),
                value: value.eval(&value_of),
                error: error.as_ref().map_or(f64::NAN, |error| error.eval(&value_of)),
                epoch: epochs.as_ref().and_then(|epochs| epochs.get(row).copied()).unwrap_or(f64::NEG_INFINITY),
            };
            rows.push(made.clone());
            if let Some((x, y)) = &tip {
                let (x, y) = (x.eval(&value_of), y.eval(&value_of));
                rows.push(Row { x, y, value: y, ..made });
            }
        }
    }
    Ok(rows)
}

/// Prefix of the names of settings in expressions.
pub const SETTING: &str = "setting_";
