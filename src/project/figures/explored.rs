//! Panels for the page: their axes, and the runs behind every mean.

use std::collections::BTreeMap;

use super::judged::unfit;
use crate::graph::Pattern;
use crate::project::Failure;
use base::table::Table;
use base::work::{Curve, Figure, Mark};
use draw::figure;
use draw::page::{CurveInfo, PanelInfo, RunInfo};

/// Describes the panels of a figure. `tables` has the tables that it was drawn from, if all are recorded.
///
/// # Errors
/// If the numbers do not belong to the figure.
pub fn panels(
    figure: &Figure,
    numbers: &Table,
    tables: Option<&BTreeMap<String, Table>>,
) -> Result<Vec<PanelInfo>, Failure> {
    let values = tables.map(|tables| figure::replica_values(figure, tables)).transpose().map_err(unfit)?;
    let axes = figure::axes(figure, numbers, &values.unwrap_or_default()).map_err(unfit)?;
    let mut panels = Vec::new();
    for (panel, axes) in figure.panels.iter().zip(axes) {
        let mut curves = Vec::new();
        for curve in &panel.curves {
            let runs = match tables {
                Some(tables) => runs(&panel.id, curve, tables)?,
                None => Vec::new(),
            };
            curves.push(described(curve, runs));
        }
        panels.push(PanelInfo {
            id: panel.id.clone(),
            title: panel.title.clone(),
            x_label: panel.x.label.clone(),
            y_label: panel.y.label.clone(),
            axes,
            curves,
        });
    }
    Ok(panels)
}

fn described(curve: &Curve, runs: Vec<RunInfo>) -> CurveInfo {
    let look = figure::Look::of(curve.colour, curve.dashed);
    CurveInfo {
        label: curve.label.clone(),
        colour: look.colour.to_owned(),
        dashed: curve.dashed,
        dash: look.dash.to_owned(),
        marker: look.marker.name().to_owned(),
        // The page uses the word from statistics.
        mark: if curve.mark == Mark::Dots { "scatter" } else { curve.mark.name() }.to_owned(),
        runs,
    }
}

/// Returns the runs of a curve of means; none if there is only one.
fn runs(panel: &str, curve: &Curve, tables: &BTreeMap<String, Table>) -> Result<Vec<RunInfo>, Failure> {
    if !curve.mark.is_mean() || curve.mark == Mark::Heat || curve.replicas.len() < 2 {
        return Ok(Vec::new());
    }
    let points = figure::replica_points(panel, curve, tables).map_err(unfit)?;
    let name = |number: usize| {
        let seed = curve.replicas[number].first().and_then(|rows| {
            let settings = Pattern::of(&rows.table).axes;
            settings.into_iter().find(|(setting, _)| *setting == "seed").map(|(_, seed)| format!("seed {seed}"))
        });
        seed.unwrap_or_else(|| format!("run {}", number + 1))
    };
    Ok(points.into_iter().enumerate().map(|(number, points)| RunInfo { name: name(number), points }).collect())
}
