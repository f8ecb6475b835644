//! The line at the foot of a figure: on how many runs it rests.

use super::series::Point;
use crate::work::{Figure, Mark};

/// Says how many runs stand behind the curves, and what bands and bars are.
pub fn caption(figure: &Figure, series: &[Vec<Vec<Point>>]) -> String {
    format!("{} {}", runs(figure, series), figure.note).trim().to_owned()
}

/// On how many runs a figure rests; empty if no curve shows means.
pub fn runs(figure: &Figure, series: &[Vec<Vec<Point>>]) -> String {
    let curves = || figure.panels.iter().zip(series).flat_map(|(panel, all)| panel.curves.iter().zip(all));
    let runs_of = |points: &Vec<Point>| points.iter().map(|point| point.n.saturating_add(point.diverged)).max();
    let means: Vec<i64> =
        curves().filter(|(c, _)| c.mark.is_mean()).filter_map(|(_, points)| runs_of(points)).collect();
    let (Some(&least), Some(&most)) = (means.iter().min(), means.iter().max()) else { return String::new() };
    let marks = |wanted: &[Mark]| curves().any(|(curve, _)| wanted.contains(&curve.mark));
    let spread = match (marks(&[Mark::Line]), marks(&[Mark::Points, Mark::Bars])) {
        (true, true) => "; bands and bars: ± 1 standard deviation",
        (true, false) => "; bands: ± 1 standard deviation",
        (false, true) => "; bars: ± 1 standard deviation",
        (false, false) => "",
    };
    match (least, most) {
        (1, 1) => "Every curve is one run.".to_owned(),
        (least, most) if least == most => format!("Means over {most} runs{spread}."),
        (least, most) => format!("Means over {least} to {most} runs{spread}."),
    }
}
