//! `wdpipe compare`: the paper's claims and published values beside what was computed here.

use clap::Args;

use super::arguments::VariantArgs;
use super::format::columns;
use super::ui::Ui;
use crate::graph::Carry;
use crate::project::{
    Compared, ComparedValue, Comparison, Failure, Judged, Ours, Project, Relation, relation_rows, tally, value_rows,
};

/// Compares figures with the paper: claims with a verdict, published values beside those computed here.
///
/// A claim is reproduced, not reproduced or undecided by one-sided tests over three or more seeds at 5 %, corrected for the
/// claims of its figure and for seeds added later. A published value stands beside ours at the same share of the same phase
/// of the learning rate; it agrees if the 90 % interval of the difference lies within the tolerance. Nothing is computed:
/// make the figures first.
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
            return Err(Failure::usage("the target is no figure", "name figures, such as fig3, or none for all"));
        }
        let store = project.store()?;
        let compared = selection.compare(&figures, &store)?;
        if self.variant.profile != "paper" {
            let profile = &self.variant.profile;
            ui.say(&format!(
                "profile {profile} is not the paper's scale: only what its pipelines say carries over is compared"
            ));
        }
        let mut objects = Vec::new();
        for Compared { figure, claims, published } in &compared {
            if self.json {
                objects.push(json(figure, claims, published));
            } else {
                print(figure, claims, published, ui.verbose, ui);
            }
        }
        if self.json {
            ui.answer(&serde_json::json!({ "profile": self.variant.profile, "figures": objects }).to_string());
        }
        Ok(())
    }
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
        columns(&value_rows(shown.iter().copied())).iter().for_each(|line| ui.answer(&format!("    {line}")));
    }
    if shown.len() < published.values.len() {
        ui.answer("    (-v shows also those that have nothing beside them here)");
    }
    if !published.relations.is_empty() {
        let standings = published.relations.iter().map(|relation| relation.standing);
        ui.answer(&format!("  what carries over: {}", tally(standings)));
        columns(&relation_rows(&published.relations)).iter().for_each(|line| ui.answer(&format!("    {line}")));
    }
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
    let value = |beside: &ComparedValue<'_>| {
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
