//! `wdpipe compare`: compares the paper's claims and published values with the results here.

use clap::Args;
use serde::Serialize;

use super::arguments::VariantArgs;
use super::ui::Ui;
use crate::graph::Carry;
use crate::project::{
    Compared, ComparedValue, Failure, Judged, Ours, Project, Relation, count, relation_rows, tally, value_rows,
};
use draw::claim::Outcome;

/// Compare figures with the paper: claims and published values.
///
/// Prints a verdict on each claim, and published values beside those computed here. One-sided tests at the 5 % level
/// over three or more seeds decide whether a claim is reproduced, not reproduced or undecided; they are corrected for
/// the number of claims of the figure and for seeds added later. A published value is compared with ours at the same
/// fraction of the same phase of the learning rate; it agrees if the 90 % interval of the difference is within the
/// tolerance. Nothing is computed: make the figures first.
#[derive(Debug, Args)]
pub struct CompareCommand {
    /// Figures [default: all].
    #[arg(value_name = "TARGET")]
    targets: Vec<String>,
    #[command(flatten)]
    variant: VariantArgs,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

impl CompareCommand {
    /// Runs the command.
    ///
    /// # Errors
    /// If a pipeline or target is wrong, or the store cannot be read.
    pub fn run(&self, project: &Project, ui: &Ui) -> Result<(), Failure> {
        let selection = project.select(&self.variant.to_variant(), &self.targets)?;
        let figures = selection.whole_figures();
        if figures.is_empty() {
            return Err(Failure::usage("the target is not a figure", "name figures, such as fig3, or none for all"));
        }
        let store = project.store_of(&self.targets)?;
        let compared = selection.compare(&figures, &store)?;
        if self.variant.profile != "paper" {
            let profile = &self.variant.profile;
            ui.say(&format!(
                "profile {profile} is not the paper's scale: only relations that its pipelines declare to carry over are compared"
            ));
        }
        if self.json {
            let figures = compared.iter().map(ComparedAnswer::of).collect();
            ui.json(&CompareAnswer { profile: &self.variant.profile, figures });
        } else {
            compared.iter().for_each(|compared| print(compared, ui.verbose, ui));
        }
        for Compared { figure, missing, .. } in compared.iter().filter(|compared| compared.missing > 0) {
            let (tables, ways) = (count(*missing, "table"), selection.ways_to_numbers(figure));
            ui.say(&format!("the records of {figure} lack {tables}: {ways}"));
        }
        Ok(())
    }
}

fn print(Compared { figure, claims, published, .. }: &Compared<'_>, all: bool, ui: &Ui) {
    ui.answer(figure);
    if claims.is_empty() && published.values.is_empty() {
        ui.answer("  no claims and no published values");
    }
    for Judged { claim, outcome } in claims {
        ui.tell(&format!("  {}: {}", outcome.verdict.name(), claim.text));
        outcome.statistics.iter().for_each(|line| ui.tell(&format!("      {line}")));
    }
    if !published.values.is_empty() {
        ui.tell(&format!("  published values: {}", tally(published.values.iter().map(|beside| beside.standing))));
    }
    let shown: Vec<_> = published.values.iter().filter(|beside| all || beside.ours.is_some()).collect();
    if !shown.is_empty() {
        ui.table(&value_rows(shown.iter().copied()), 4);
    }
    if shown.len() < published.values.len() {
        ui.tell("    (-v also shows values without a counterpart here)");
    }
    if !published.relations.is_empty() {
        let standings = published.relations.iter().map(|relation| relation.standing);
        ui.tell(&format!("  relations that carry over: {}", tally(standings)));
        ui.table(&relation_rows(&published.relations), 4);
    }
}

/// Output of `compare --json`.
#[derive(Serialize)]
struct CompareAnswer<'a> {
    profile: &'a str,
    figures: Vec<ComparedAnswer<'a>>,
}

#[derive(Serialize)]
struct ComparedAnswer<'a> {
    figure: &'a str,
    claims: Vec<ClaimAnswer<'a>>,
    published: Vec<ValueAnswer<'a>>,
    carries_over: Vec<RelationAnswer<'a>>,
}

#[derive(Serialize)]
struct ClaimAnswer<'a> {
    id: &'a str,
    text: &'a str,
    verdict: &'static str,
    p: Option<f64>,
    statistics: &'a [String],
}

#[derive(Serialize)]
struct ValueAnswer<'a> {
    panel: &'a str,
    curve: &'a str,
    x: [f64; 2],
    published: f64,
    published_std: Option<f64>,
    ours: Option<OursAnswer>,
    verdict: &'static str,
}

#[derive(Serialize)]
struct RelationAnswer<'a> {
    panel: &'a str,
    x: [f64; 2],
    kind: &'static str,
    curves: [&'a str; 2],
    published: [f64; 2],
    ours: [OursAnswer; 2],
    verdict: &'static str,
}

#[derive(Serialize)]
struct OursAnswer {
    x: [f64; 2],
    mean: f64,
    std: Option<f64>,
    runs: usize,
}

impl<'a> ComparedAnswer<'a> {
    fn of(compared: &'a Compared<'_>) -> Self {
        Self {
            figure: &compared.figure,
            claims: compared.claims.iter().map(ClaimAnswer::of).collect(),
            published: compared.published.values.iter().map(ValueAnswer::of).collect(),
            carries_over: compared.published.relations.iter().map(RelationAnswer::of).collect(),
        }
    }
}

impl<'a> ClaimAnswer<'a> {
    fn of(Judged { claim, outcome }: &'a Judged<'_>) -> Self {
        let Outcome { verdict, p, statistics } = outcome;
        Self { id: &claim.id, text: &claim.text, verdict: verdict.name(), p: *p, statistics }
    }
}

impl<'a> ValueAnswer<'a> {
    fn of(ComparedValue { published, value, ours, standing }: &'a ComparedValue<'_>) -> Self {
        Self {
            panel: &published.panel,
            curve: &value.curve,
            x: value.x,
            published: value.mean,
            published_std: value.std,
            ours: ours.as_ref().map(OursAnswer::of),
            verdict: standing.name(),
        }
    }
}

impl<'a> RelationAnswer<'a> {
    fn of(Relation { published, kind, values, ours, standing }: &'a Relation<'_>) -> Self {
        Self {
            panel: &published.panel,
            x: values[0].x,
            kind: if *kind == Carry::Ratio { "ratio" } else { "order" },
            curves: values.map(|value| value.curve.as_str()),
            published: values.map(|value| value.mean),
            ours: ours.each_ref().map(OursAnswer::of),
            verdict: standing.name(),
        }
    }
}

impl OursAnswer {
    fn of(ours: &Ours) -> Self {
        let sample = ours.sample();
        let std = sample.std.is_finite().then_some(sample.std);
        Self { x: ours.x, mean: sample.mean, std, runs: sample.n }
    }
}
