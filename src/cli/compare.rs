//! `wdpipe compare`: the paper's claims and published values beside what was computed here.

use clap::Args;

use super::format::{columns, short};
use super::judged::{self, Judged};
use super::published::{Beside, Comparison, Ours, Relation, published};
use super::select::{Variant, select};
use super::ui::Ui;
use super::{Failure, Global};
use crate::engine::Resolver;
use crate::graph::Carry;
use draw::claim::equivalence::Standing;
use draw::page::Listing;

/// Compares figures with the paper: claims with a verdict, published values beside those computed here.
///
/// A claim is reproduced, not reproduced or undecided by one-sided tests over three or more seeds at 5 %, corrected for the
/// claims of its figure and for seeds added later. A published value stands beside ours at the same share of the same phase
/// of the learning rate; it agrees if the 90 % interval of the difference lies within the tolerance. Nothing is computed:
/// make the figures first.
#[derive(Debug, Args)]
pub struct Compare {
    /// Figures [default: all].
    #[arg(value_name = "TARGET")]
    targets: Vec<String>,
    #[command(flatten)]
    variant: Variant,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

impl Compare {
    /// Runs the command.
    ///
    /// # Errors
    /// If a pipeline or target is wrong, or the store cannot be read.
    pub fn run(&self, global: &Global, ui: &Ui) -> Result<(), Failure> {
        let selection = select(global, &self.variant, &self.targets)?;
        let figures = judged::figures(&selection);
        if figures.is_empty() {
            return Err(Failure::usage("the target is no figure", "name figures, such as fig3, or none for all"));
        }
        let store = global.store()?;
        let wanted = selection.graph.figures.values().filter(|drawn| figures.contains(&drawn.figure));
        let mut targets: Vec<usize> = wanted.map(|drawn| drawn.stage).collect();
        let claims = selection.graph.claims.iter().filter(|claim| figures.contains(&claim.figure));
        targets.extend(claims.flat_map(|claim| claim.inputs.iter().map(|input| input.stage)));
        let knowledge = Resolver::new(&store, &selection.graph, &selection.preference)
            .outlook(&selection.graph.closure(&targets))?;
        if self.variant.profile != "paper" {
            let profile = &self.variant.profile;
            ui.say(&format!(
                "profile {profile} is not the paper's scale: only what its pipelines say carries over is compared"
            ));
        }
        let mut objects = Vec::new();
        for figure in &figures {
            let claims = judged::claims(&selection, &knowledge, &store, figure)?;
            let published = published(&selection, &knowledge, &store, figure)?;
            if self.json {
                objects.push(json(figure, &claims, &published));
            } else {
                print(figure, &claims, &published, ui.verbose, ui);
            }
        }
        if self.json {
            ui.answer(&serde_json::json!({ "profile": self.variant.profile, "figures": objects }).to_string());
        }
        Ok(())
    }
}

/// Columns of published values.
const VALUES: [&str; 8] = ["panel", "curve", "published at", "published", "here at", "here", "runs", ""];
/// Columns of what carries over.
const RELATIONS: [&str; 6] = ["panel", "published at", "published", "here at", "here", ""];

/// What was published, beside ours, for the page.
pub fn listings(published: &Comparison<'_>) -> Vec<Listing> {
    let listing = |what: &str, tally: String, heading: &[&str], rows: Vec<Vec<String>>| Listing {
        title: format!("{what}: {tally}"),
        heading: heading.iter().map(|name| (*name).to_owned()).collect(),
        rows,
    };
    let Comparison { values, relations } = published;
    let of_values = tally(values.iter().map(|beside| beside.standing));
    let of_relations = tally(relations.iter().map(|relation| relation.standing));
    let listings = [
        listing("Published values", of_values, &VALUES, values.iter().map(row).collect()),
        listing("What carries over of them", of_relations, &RELATIONS, relations.iter().map(related).collect()),
    ];
    listings.into_iter().filter(|listing| !listing.rows.is_empty()).collect()
}

fn print(figure: &str, claims: &[Judged<'_>], published: &Comparison<'_>, all: bool, ui: &Ui) {
    ui.answer(figure);
    if claims.is_empty() && published.values.is_empty() {
        ui.answer("  nothing is claimed and nothing published");
    }
    for Judged { claim, outcome } in claims {
        ui.answer(&format!("  {}: {}", outcome.verdict.name(), claim.text));
        outcome.statistics.iter().for_each(|line| ui.answer(&format!("      {line}")));
    }
    if !published.values.is_empty() {
        ui.answer(&format!("  published values: {}", tally(published.values.iter().map(|beside| beside.standing))));
    }
    let shown: Vec<_> = published.values.iter().filter(|beside| all || beside.ours.is_some()).collect();
    if !shown.is_empty() {
        let rows = std::iter::once(VALUES.map(str::to_owned).to_vec()).chain(shown.iter().map(|beside| row(beside)));
        columns(&rows.collect::<Vec<_>>()).iter().for_each(|line| ui.answer(&format!("    {line}")));
    }
    if shown.len() < published.values.len() {
        ui.answer("    (-v shows also those that have nothing beside them here)");
    }
    if !published.relations.is_empty() {
        let standings = published.relations.iter().map(|relation| relation.standing);
        ui.answer(&format!("  what carries over: {}", tally(standings)));
        let rows =
            std::iter::once(RELATIONS.map(str::to_owned).to_vec()).chain(published.relations.iter().map(related));
        columns(&rows.collect::<Vec<_>>()).iter().for_each(|line| ui.answer(&format!("    {line}")));
    }
}

/// How many of each: `3 agree, 2 not known`, in the order in which they first come.
fn tally(standings: impl Iterator<Item = Standing>) -> String {
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

/// Where ours is, what it is, and of how many runs.
fn here(ours: Option<&Ours>) -> [String; 3] {
    let Some(ours) = ours else { return ["–", "–", "0"].map(str::to_owned) };
    let sample = ours.sample();
    [place(ours.x), with_spread(sample.mean, Some(sample.std)), sample.n.to_string()]
}

/// A published value as a line of a table.
fn row(beside: &Beside<'_>) -> Vec<String> {
    let Beside { published, value, ours, standing } = beside;
    let mut row =
        vec![published.panel.clone(), value.curve.clone(), place(value.x), with_spread(value.mean, value.std)];
    row.extend(here(ours.as_ref()));
    row.push(standing.name().to_owned());
    row
}

/// An order or a ratio as a line of a table.
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

fn json(figure: &str, claims: &[Judged<'_>], published: &Comparison<'_>) -> serde_json::Value {
    let claim = |judged: &Judged<'_>| {
        serde_json::json!({
            "id": judged.claim.id, "text": judged.claim.text, "verdict": judged.outcome.verdict.name(),
            "statistics": judged.outcome.statistics,
        })
    };
    let ours = |ours: &Ours| {
        let sample = ours.sample();
        let std = sample.std.is_finite().then_some(sample.std);
        serde_json::json!({ "x": ours.x, "mean": sample.mean, "std": std, "runs": sample.n })
    };
    let value = |beside: &Beside<'_>| {
        serde_json::json!({
            "panel": beside.published.panel, "curve": beside.value.curve, "x": beside.value.x,
            "published": beside.value.mean, "published_std": beside.value.std,
            "ours": beside.ours.as_ref().map(ours), "verdict": beside.standing.name(),
        })
    };
    let relation = |relation: &Relation<'_>| {
        serde_json::json!({
            "panel": relation.published.panel, "x": relation.values[0].x,
            "kind": if relation.kind == Carry::Ratio { "ratio" } else { "order" },
            "curves": relation.values.map(|value| &value.curve), "published": relation.values.map(|value| value.mean),
            "ours": relation.ours.each_ref().map(ours), "verdict": relation.standing.name(),
        })
    };
    serde_json::json!({
        "figure": figure,
        "claims": claims.iter().map(claim).collect::<Vec<_>>(),
        "published": published.values.iter().map(value).collect::<Vec<_>>(),
        "carries_over": published.relations.iter().map(relation).collect::<Vec<_>>(),
    })
}
