//! The text at the foot of a figure: the number of runs, the meaning of marks and bands, and what the figure does not show.

use std::collections::BTreeMap;

use super::notices::{Absence, absences};
use super::series::Point;
use base::expr::Expr;
use base::work::{Curve, Figure, Guide, Mark, Panel, Scale};

type Series = [Vec<Vec<Point>>];

/// Returns the whole text at the foot.
pub fn caption(figure: &Figure, series: &Series) -> String {
    format!("{} {}", words(figure, series), figure.note).trim().to_owned()
}

/// Returns the text at the foot without the figure's own note.
pub fn words(figure: &Figure, series: &Series) -> String {
    let sentences = [
        means(figure, series),
        single(figure, series),
        diverged(figure, series),
        guides(figure, series),
        absent(figure, series),
        counting(figure).to_owned(),
    ];
    let sentences: Vec<String> = sentences.into_iter().filter(|sentence| !sentence.is_empty()).collect();
    sentences.join(" ")
}

/// Describes the number of runs of the means, and the bands and bars; empty if no curve shows means.
fn means(figure: &Figure, series: &Series) -> String {
    let runs_of = |points: &Vec<Point>| points.iter().map(|point| point.n.saturating_add(point.diverged)).max();
    let shown: Vec<(Mark, i64)> = curves(figure, series)
        .filter(|(_, curve, _)| curve.mark.is_mean())
        .filter_map(|(_, curve, points)| Some((curve.mark, runs_of(points)?)))
        .collect();
    let (Some(least), Some(most)) = (shown.iter().map(|s| s.1).min(), shown.iter().map(|s| s.1).max()) else {
        return String::new();
    };
    let has = |mark: Mark| shown.iter().any(|(other, _)| *other == mark);
    let place = within(figure, |panel| panel.curves.iter().any(|curve| curve.mark.is_mean()));
    let nouns = [(Mark::Line, "line"), (Mark::Points, "point"), (Mark::Bars, "bar"), (Mark::Heat, "cell")];
    let nouns = nouns.into_iter().filter(|(mark, _)| has(*mark)).map(|(_, noun)| noun);
    if most <= 1 {
        let nouns = nouns.map(|noun| format!("every {noun}"));
        return sentence(&place, &format!("{} is one run{}", list(nouns.collect()), reach(figure, series)));
    }
    let runs = if least == most { format!("{most} runs") } else { format!("{least} to {most} runs") };
    let nouns = nouns.map(|noun| format!("{noun}s"));
    sentence(&place, &format!("{} are means over {runs}{}", list(nouns.collect()), reach(figure, series)))
}

/// Describes the bands and error bars of means; empty if there are none.
fn reach(figure: &Figure, series: &Series) -> String {
    // Returns the marks of the curves that have such a point.
    let marks = |is: &dyn Fn(&Panel, &Point) -> bool| -> Vec<Mark> {
        let means = curves(figure, series).filter(|(_, curve, _)| curve.mark.is_mean() && curve.mark != Mark::Heat);
        let such = means.filter(|(panel, _, points)| points.iter().any(|point| is(panel, point)));
        such.map(|(_, curve, _)| curve.mark).collect()
    };
    let is_log = |panel: &Panel| panel.y.scale == Scale::Log;
    // Runs that agree up to rounding count as runs without spread.
    let apart = |point: &Point| point.n > 1 && point.std > 1e-9 * point.mean.abs();
    let linear = marks(&|panel, point| apart(point) && !is_log(panel));
    let log = marks(&|panel, point| apart(point) && point.is_spread() && is_log(panel));
    // Where a run is 0 or less, logarithms have no spread.
    let bare = marks(&|panel, point| apart(point) && !point.is_spread() && is_log(panel));
    let of_one = marks(&|_, point| point.n == 1 && point.is_spread());
    let noun = |marks: &[Mark]| match (marks.contains(&Mark::Line), marks.iter().any(|mark| *mark != Mark::Line)) {
        (true, true) => "bands and error bars",
        (true, false) => "bands",
        (false, _) => "error bars",
    };
    let mut words = String::new();
    let several = [&linear[..], &log].concat();
    if !several.is_empty() {
        words += &format!("; {}: mean ± 1 standard deviation of the runs", noun(&several));
        words += match (linear.is_empty(), log.is_empty()) {
            (_, true) => "",
            (true, false) => ", in logarithms",
            (false, false) => ", on log axes in logarithms",
        };
        words += if bare.is_empty() { "" } else { ", none where a run is 0 or less" };
    }
    if !of_one.is_empty() {
        let where_ = if several.is_empty() { "" } else { " where there is one run" };
        words += &format!("; {}{where_}: ± 1 standard error of the estimate", noun(&of_one));
    }
    words
}

/// Describes how epochs are counted, if an axis shows epochs.
fn counting(figure: &Figure) -> &'static str {
    // Bars are drawn side by side, independently of their x.
    let has_axis = |curve: &Curve| curve.x == "epoch" && curve.mark != Mark::Bars;
    let counts = figure.panels.iter().flat_map(|panel| &panel.curves).any(has_axis);
    if counts { "Epochs count from 0; a value is that at the end of its epoch." } else { "" }
}

/// Describes the marks that show every row of every run.
fn single(figure: &Figure, series: &Series) -> String {
    let marks: Vec<Mark> = figure.panels.iter().flat_map(|panel| &panel.curves).map(|curve| curve.mark).collect();
    let others = [(Mark::Path, "thin lines"), (Mark::Arrows, "arrows"), (Mark::Star, "stars")];
    let others: Vec<String> =
        others.into_iter().filter(|(mark, _)| marks.contains(mark)).map(|(_, noun)| noun.to_owned()).collect();
    let mut clauses = Vec::new();
    if marks.contains(&Mark::Dots) {
        clauses.push("every dot is one moment of one run, the paler the earlier".to_owned());
        let has_bar = |(_, curve, points): (&Panel, &Curve, &Vec<Point>)| {
            curve.mark == Mark::Dots && points.iter().any(Point::is_spread)
        };
        if curves(figure, series).any(has_bar) {
            clauses.push("error bars of dots: ± 1 standard error of the estimate".to_owned());
        }
    }
    if !others.is_empty() {
        clauses.push(format!("{} show single runs", list(others)));
    }
    if clauses.is_empty() {
        return String::new();
    }
    let place = within(figure, |panel| panel.curves.iter().any(|curve| !curve.mark.is_mean()));
    sentence(&place, &clauses.join("; "))
}

/// Describes the crosses of cells and bars, which no legend explains.
fn diverged(figure: &Figure, series: &Series) -> String {
    let is_crossed = |(_, curve, points): (&Panel, &Curve, &Vec<Point>)| {
        matches!(curve.mark, Mark::Heat | Mark::Bars) && points.iter().any(|point| point.diverged > 0)
    };
    if curves(figure, series).any(is_crossed) { "×: runs that diverged.".to_owned() } else { String::new() }
}

/// Names the guides over the cells of heat maps, where there is no room for their labels.
fn guides(figure: &Figure, series: &Series) -> String {
    let mut named: Vec<(Vec<String>, Vec<&str>)> = Vec::new();
    for (panel, all) in figure.panels.iter().zip(series) {
        let cells = panel.curves.iter().zip(all).filter(|(curve, _)| curve.mark == Mark::Heat);
        let Some(x) = middle(cells.flat_map(|(_, points)| points)) else { continue };
        let height = |guide: &Guide| {
            Expr::parse(&guide.y).map_or(f64::NAN, |expression| expression.eval(&|name| (name == "x").then_some(x)))
        };
        let mut guides: Vec<&Guide> = panel.guides.iter().filter(|guide| !guide.label.is_empty()).collect();
        guides.sort_by(|a, b| height(a).total_cmp(&height(b)));
        let labels: Vec<String> = guides.into_iter().map(|guide| guide.label.clone()).collect();
        match named.iter_mut().find(|(same, _)| *same == labels) {
            _ if labels.is_empty() => {}
            Some((_, ids)) => ids.push(&panel.id),
            None => named.push((labels, vec![&panel.id])),
        }
    }
    let sentence = |(labels, ids): (Vec<String>, Vec<&str>)| {
        let what = if labels.len() == 1 { "dashed line" } else { "dashed lines, from below" };
        sentence(&within(figure, |panel| ids.contains(&panel.id.as_str())), &format!("{what}: {}", list(labels)))
    };
    named.into_iter().map(sentence).collect::<Vec<_>>().join(" ")
}

/// Returns the middle of the places of the points along the axis; `None` without points.
fn middle<'a>(points: impl Iterator<Item = &'a Point>) -> Option<f64> {
    let mut places: Vec<f64> = points.map(|point| point.x).filter(|x| x.is_finite()).collect();
    places.sort_by(f64::total_cmp);
    places.get(places.len() / 2).copied()
}

/// Describes the numbers that cannot be drawn within the axes.
fn absent(figure: &Figure, series: &Series) -> String {
    let mut panels: Vec<BTreeMap<Absence, usize>> = vec![BTreeMap::new(); figure.panels.len()];
    for (counts, (panel, all)) in panels.iter_mut().zip(figure.panels.iter().zip(series)) {
        for (curve, points) in panel.curves.iter().zip(all) {
            absences(panel, curve, points).into_iter().for_each(|(why, n)| *counts.entry(why).or_default() += n);
        }
    }
    let total = |why: Absence| panels.iter().filter_map(|counts| counts.get(&why)).sum::<usize>();
    let place = |reasons: &[Absence]| {
        let mut has = panels.iter().map(|counts| reasons.iter().any(|why| counts.contains_key(why)));
        within(figure, |_| has.next().unwrap_or(false))
    };
    let mut sentences = Vec::new();
    let off = [Absence::Zero, Absence::Negative];
    let what = if total(Absence::Negative) > 0 { "0 or less" } else { "0" };
    let count = |n: usize, noun: &str| if n == 1 { format!("1 {noun}") } else { format!("{n} {noun}s") };
    match total(Absence::Zero) + total(Absence::Negative) {
        0 => {}
        1 => sentences.push(sentence(
            &place(&off),
            &format!("the triangle at the edge is a value of {what}, which a log axis cannot show"),
        )),
        n => sentences.push(sentence(
            &place(&off),
            &format!("triangles at the edge are {n} values of {what}, which a log axis cannot show"),
        )),
    }
    for (why, reason) in
        [(Absence::Beyond, "outside the limits of the axes"), (Absence::NotFinite, "not finite and not drawn")]
    {
        match total(why) {
            0 => {}
            n => sentences.push(sentence(
                &place(&[why]),
                &format!("{} {} {reason}", count(n, "value"), if n == 1 { "is" } else { "are" }),
            )),
        }
    }
    sentences.join(" ")
}

fn curves<'a>(figure: &'a Figure, series: &'a Series) -> impl Iterator<Item = (&'a Panel, &'a Curve, &'a Vec<Point>)> {
    let panels = figure.panels.iter().zip(series);
    panels.flat_map(|(panel, all)| panel.curves.iter().zip(all).map(move |(curve, points)| (panel, curve, points)))
}

/// Returns `In (a) and (c), ` for the panels with a property; empty if all panels have it.
fn within(figure: &Figure, mut is_true: impl FnMut(&Panel) -> bool) -> String {
    let ids: Vec<String> =
        figure.panels.iter().filter(|panel| is_true(panel)).map(|panel| format!("({})", panel.id)).collect();
    if ids.len() == figure.panels.len() { String::new() } else { format!("In {}, ", list(ids)) }
}

fn sentence(place: &str, clause: &str) -> String {
    let mut letters = clause.chars();
    let first: String = letters.next().into_iter().flat_map(char::to_uppercase).collect();
    if place.is_empty() { format!("{first}{}.", letters.as_str()) } else { format!("{place}{clause}.") }
}

/// Joins items as `a`, `a and b`, `a, b and c`.
fn list(mut items: Vec<String>) -> String {
    let last = items.pop().unwrap_or_default();
    if items.is_empty() { last } else { format!("{} and {last}", items.join(", ")) }
}
