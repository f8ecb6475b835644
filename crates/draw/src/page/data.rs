//! The numbers in the page, for the page's script. `script/data.js` describes their form.

use serde_json::{Value, json};

use super::{CurveInfo, PanelInfo, RunInfo, Section};
use crate::figure::{AxisScales, TickedScale};
use base::table::{Table, Values};

/// The version of the form. The script ignores numbers of another form, which a page can keep from an earlier program.
const FORM: u32 = 2;
/// The unit of the places of ticks, as a fraction of the axis.
const PLACES: f64 = 1e5;

/// The marks that the script draws.
const MARKS: [&str; 5] = ["line", "points", "bars", "scatter", "path"];
/// The names of the columns of numbers in the table and in the script.
const COLUMNS: [(&str, &str); 7] =
    [("x", "x"), ("mean", "y"), ("std", "std"), ("low", "low"), ("high", "high"), ("n", "n"), ("diverged", "diverged")];

/// Returns the panels that can be explored, with their numbers, and the ids of the other panels; `None` if no panel
/// can be explored. Panels with the same horizontal axis share it. Numbers that are not finite are null.
pub(super) fn explorable(section: &Section) -> Option<Value> {
    let rows = Rows::of(&section.numbers)?;
    let (mut panels, mut others, mut axes) = (Vec::new(), Vec::new(), Vec::new());
    for info in &section.panels {
        match panel(info, &rows, &mut axes) {
            Some(panel) => panels.push(panel),
            None => others.push(&info.id),
        }
    }
    (!panels.is_empty()).then(|| {
        json!({
            "form": FORM,
            "name": section.name,
            "root": section.root,
            "xAxes": axes,
            "panels": panels,
            "others": others,
        })
    })
}

fn panel(info: &PanelInfo, rows: &Rows, axes: &mut Vec<Value>) -> Option<Value> {
    if !info.curves.iter().all(|curve| MARKS.contains(&curve.mark.as_str())) {
        return None;
    }
    let (x, y) = (axis(&info.x_label, &info.axes.x), axis(&info.y_label, &info.axes.y));
    let places: Vec<Vec<usize>> = info.curves.iter().map(|curve| rows.places(info, curve)).collect();
    if !places.iter().flatten().any(|&row| rows.is_point(row)) {
        return None;
    }
    let shared = axes.iter().position(|axis| *axis == x).unwrap_or_else(|| {
        axes.push(x);
        axes.len() - 1
    });
    let curves: Vec<Value> = info.curves.iter().zip(&places).map(|(curve, places)| rows.curve(curve, places)).collect();
    Some(json!({ "id": info.id, "title": info.title, "x": shared, "y": y, "curves": curves }))
}

fn axis(label: &str, scales: &AxisScales) -> Value {
    let scale = |scale: &TickedScale| {
        let level = |ticks: &Vec<(f64, String)>| {
            let at: Vec<i64> = ticks.iter().map(|(place, _)| (place * PLACES).round() as i64).collect();
            let text: Vec<&str> = ticks.iter().map(|(_, label)| label.as_str()).collect();
            json!({ "at": at, "text": text })
        };
        json!({ "low": scale.low, "high": scale.high, "ticks": scale.levels.iter().map(level).collect::<Vec<_>>() })
    };
    json!({
        "label": label,
        "isLog": scales.is_log,
        "linear": scales.linear.as_ref().map(scale),
        "log": scales.log.as_ref().map(scale),
    })
}

/// The known columns that the table has.
struct Rows<'a> {
    panel: &'a [String],
    curve: &'a [String],
    dashed: Option<Vec<f64>>,
    numbers: Vec<(&'static str, Vec<f64>)>,
}

impl<'a> Rows<'a> {
    fn of(table: &'a Table) -> Option<Self> {
        let text = |name: &str| match &table.columns().iter().find(|column| column.name == name)?.values {
            Values::Text(values) => Some(values.as_slice()),
            _ => None,
        };
        let numbers = COLUMNS.iter().filter_map(|&(column, key)| Some((key, table.numbers(column)?))).collect();
        Some(Self { panel: text("panel")?, curve: text("curve")?, dashed: table.numbers("dashed"), numbers })
    }

    /// Returns the rows of a curve, in their order.
    fn places(&self, panel: &PanelInfo, curve: &CurveInfo) -> Vec<usize> {
        let dashed = |row: usize| match self.dashed.as_ref().and_then(|dashed| dashed.get(row)) {
            Some(value) if !value.is_nan() => (*value != 0.0) == curve.dashed,
            _ => true,
        };
        let names = self.panel.iter().zip(self.curve).enumerate();
        let of_names = names.filter(|(_, names)| *names == (&panel.id, &curve.label)).map(|(row, _)| row);
        of_names.filter(|&row| dashed(row)).collect()
    }

    fn is_point(&self, row: usize) -> bool {
        let finite = |key: &str| {
            let column = self.numbers.iter().find(|(other, _)| *other == key);
            column.and_then(|(_, values)| values.get(row)).is_some_and(|value| value.is_finite())
        };
        finite("x") && finite("y")
    }

    fn curve(&self, info: &CurveInfo, places: &[usize]) -> Value {
        let mut curve = serde_json::Map::new();
        curve.insert("label".into(), info.label.as_str().into());
        curve.insert("colour".into(), colour(&info.colour).into());
        curve.insert("dash".into(), dash(&info.dash).into());
        curve.insert("marker".into(), info.marker.as_str().into());
        curve.insert("mark".into(), info.mark.as_str().into());
        curve.insert("dashed".into(), info.dashed.into());
        for (key, values) in &self.numbers {
            let values: Vec<f64> = places.iter().filter_map(|&row| values.get(row).copied()).collect();
            // The script expects x and y; other columns without a finite value can be absent.
            if ["x", "y"].contains(key) || values.iter().any(|value| value.is_finite()) {
                curve.insert((*key).into(), values.into_iter().map(number).collect());
            }
        }
        if let (false, Some((_, x))) = (info.runs.is_empty(), self.numbers.iter().find(|(key, _)| *key == "x")) {
            let x: Vec<f64> = places.iter().filter_map(|&row| x.get(row).copied()).collect();
            curve.insert("runs".into(), info.runs.iter().map(|run| run_at(run, &x)).collect());
        }
        curve.into()
    }
}

/// Returns a run's values at the places of its curve, null where it has none.
fn run_at(run: &RunInfo, x: &[f64]) -> Value {
    let value = |x: &f64| run.points.iter().find(|point| point.0 == *x).map_or(Value::Null, |point| number(point.1));
    json!({ "name": run.name, "y": x.iter().map(value).collect::<Vec<_>>() })
}

/// Returns a number as JSON: integers without a fraction, numbers that are not finite as null.
fn number(value: f64) -> Value {
    let whole = value as i64;
    if value.abs() < 1e15 && whole as f64 == value { whole.into() } else { value.into() }
}

/// Returns the text if it is a colour, otherwise black.
pub(super) fn colour(text: &str) -> &str {
    let digits = text.strip_prefix('#').filter(|digits| digits.len() == 6);
    let good = digits.is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
    if good { text } else { "#222222" }
}

/// Returns the text if it is a list of lengths, otherwise an empty text.
fn dash(text: &str) -> &str {
    if text.bytes().all(|byte| byte.is_ascii_digit() || b". ".contains(&byte)) { text } else { "" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_colours_are_what_the_script_can_use() {
        let numbers = [1.0, -0.5, 3e20, f64::NAN, f64::INFINITY, f64::NEG_INFINITY].map(number);
        assert_eq!(Value::from(numbers.to_vec()).to_string(), "[1,-0.5,3e+20,null,null,null]");
        for (text, good) in
            [("#1d3557", true), ("red", false), ("#12345", false), ("#12345g", false), ("#1234é", false)]
        {
            assert_eq!(colour(text), if good { text } else { "#222222" });
        }
        assert_eq!(["", "5.5 3", "5,\""].map(dash), ["", "5.5 3", ""]);
    }
}
