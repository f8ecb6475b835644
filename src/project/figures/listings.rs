//! Tables of text with published values and ours, for the page and for a terminal.

use super::published::{ComparedValue, Comparison, Ours, Relation};
use crate::graph::Carry;
use crate::project::text::short;
use draw::claim::equivalence::Standing;
use draw::page::Listing;

/// Headings of the columns of published values.
const VALUES: [&str; 8] = ["panel", "curve", "published at", "published", "here at", "here", "runs", ""];
/// Headings of the columns of orders and ratios.
const RELATIONS: [&str; 6] = ["panel", "published at", "published", "here at", "here", ""];

/// Lists published values and ours, for the page. Values that cannot be compared are in a table of their own, which
/// says why.
pub fn listings(published: &Comparison<'_>) -> Vec<Listing> {
    let Comparison { values, relations } = published;
    let (beside, apart): (Vec<_>, Vec<_>) = values.iter().partition(|value| is_compared(value.standing));
    let of = |values: &[&ComparedValue<'_>]| -> (Vec<Standing>, Vec<Vec<String>>) {
        values.iter().map(|value| (value.standing, row(value))).unzip()
    };
    let related = relations.iter().map(|relation| (relation.standing, related(relation))).unzip();
    let listings = [
        listing("Beside ours", &VALUES, of(&beside), true),
        listing("What carries over of them", &RELATIONS, related, true),
        listing("Not compared", &VALUES, of(&apart), false),
    ];
    listings.into_iter().filter(|listing| !listing.rows.is_empty()).collect()
}

/// Checks whether a comparison found something out about a value, or tried to.
fn is_compared(standing: Standing) -> bool {
    matches!(standing, Standing::Agrees | Standing::Differs | Standing::NotKnown)
}

fn listing(what: &str, heading: &[&str], (standings, rows): (Vec<Standing>, Vec<Vec<String>>), open: bool) -> Listing {
    let mut meanings: Vec<String> = Vec::new();
    for standing in &standings {
        let meaning = format!("{}: {}", standing.name(), standing.meaning());
        if !meanings.contains(&meaning) {
            meanings.push(meaning);
        }
    }
    let named = |name: &&str| if name.is_empty() { "verdict" } else { name }.to_owned();
    Listing {
        title: format!("{what}: {}", tally(standings.into_iter())),
        heading: heading.iter().map(named).collect(),
        rows,
        note: meanings.iter().map(|meaning| format!("{meaning}.")).collect::<Vec<_>>().join(" "),
        open,
    }
}

/// Returns published values as rows of a table, under a heading.
pub fn value_rows<'a>(values: impl Iterator<Item = &'a ComparedValue<'a>>) -> Vec<Vec<String>> {
    std::iter::once(headings(VALUES)).chain(values.map(row)).collect()
}

/// Returns orders and ratios as rows of a table, under a heading.
pub fn relation_rows(relations: &[Relation<'_>]) -> Vec<Vec<String>> {
    std::iter::once(headings(RELATIONS)).chain(relations.iter().map(related)).collect()
}

/// Returns the headings for a terminal, where the last column has a name as well.
fn headings<const N: usize>(names: [&str; N]) -> Vec<String> {
    names.map(|name| if name.is_empty() { "verdict".to_owned() } else { name.to_owned() }).to_vec()
}

/// Counts each standing, in the order in which the standings first occur: `3 agree, 2 not known`.
pub fn tally(standings: impl Iterator<Item = Standing>) -> String {
    let mut counts: Vec<(Standing, usize)> = Vec::new();
    for standing in standings {
        match counts.iter_mut().find(|(other, _)| *other == standing) {
            Some((_, count)) => *count += 1,
            None => counts.push((standing, 1)),
        }
    }
    counts.iter().map(|(standing, count)| format!("{count} {}", standing.name())).collect::<Vec<_>>().join(", ")
}

fn with_spread(mean: f64, std: Option<f64>) -> String {
    match std.filter(|std| std.is_finite()) {
        Some(std) => format!("{} ± {}", short(mean), short(std)),
        None => short(mean),
    }
}

fn place(x: [f64; 2]) -> String {
    if x[0] == x[1] { short(x[0]) } else { format!("{} to {}", short(x[0]), short(x[1])) }
}

/// Returns the place of our value, the value, and the number of runs.
fn here(ours: Option<&Ours>) -> [String; 3] {
    let Some(ours) = ours else { return ["–", "–", "0"].map(str::to_owned) };
    let sample = ours.sample();
    [place(ours.x), with_spread(sample.mean, Some(sample.std)), sample.n.to_string()]
}

/// Returns a published value as a row of a table.
fn row(beside: &ComparedValue<'_>) -> Vec<String> {
    let ComparedValue { published, value, ours, standing } = beside;
    let mut row =
        vec![published.panel.clone(), value.curve.clone(), place(value.x), with_spread(value.mean, value.std)];
    row.extend(here(ours.as_ref()));
    row.push(standing.name().to_owned());
    row
}

/// Returns an order or a ratio as a row of a table.
fn related(relation: &Relation<'_>) -> Vec<String> {
    let Relation { published, kind, values: [low, high], ours, standing } = relation;
    let sign = if *kind == Carry::Ratio { "over" } else { "<" };
    let of = |[a, b]: [&str; 2]| format!("{} {a} {sign} {} {b}", low.curve, high.curve);
    let [(low_at, low_here), (_, high_here)] = [0, 1].map(|at| {
        let [at, here, _] = here(Some(&ours[at]));
        (at, here)
    });
    vec![
        published.panel.clone(),
        place(low.x),
        of([&short(low.mean), &short(high.mean)]),
        low_at,
        format!("{low_here} {sign} {high_here}"),
        standing.name().to_owned(),
    ]
}
