//! `wdpipe compare`: the paper's claims and published values beside what was computed here.

use clap::Args;

use super::format::{columns, short};
use super::judged::{self, Beside, Judged};
use super::select::{Variant, select};
use super::ui::Ui;
use super::{Failure, Global};
use crate::engine::Resolver;

/// Compares figures with the paper: claims with a verdict, published values beside those computed here.
///
/// A claim is reproduced, not reproduced or undecided by a test over the seeds at 5 %. Nothing is computed: make the
/// figures first.
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
            ui.say(&format!("profile {profile} is not the paper's scale: its values need not be the published ones"));
        }
        let mut objects = Vec::new();
        for figure in &figures {
            let claims = judged::claims(&selection, &knowledge, &store, figure)?;
            let published = judged::published(&selection, &knowledge, &store, figure)?;
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

fn print(figure: &str, claims: &[Judged<'_>], published: &[Beside<'_>], all: bool, ui: &Ui) {
    ui.answer(figure);
    if claims.is_empty() && published.is_empty() {
        ui.answer("  nothing is claimed and nothing published");
    }
    for Judged { claim, outcome } in claims {
        ui.answer(&format!("  {}: {}", outcome.verdict.name(), claim.text));
        outcome.statistics.iter().for_each(|line| ui.answer(&format!("      {line}")));
    }
    let shown: Vec<_> = published.iter().filter(|beside| all || beside.ours.is_some()).collect();
    if !shown.is_empty() {
        ui.answer("  published values beside those computed here");
        let heading = ["panel", "curve", "published at", "published", "here at", "here", "runs", ""];
        let rows = std::iter::once(heading.map(str::to_owned).to_vec()).chain(shown.iter().map(|beside| row(beside)));
        columns(&rows.collect::<Vec<_>>()).iter().for_each(|line| ui.answer(&format!("    {line}")));
    }
    if shown.len() < published.len() {
        let left = published.len() - shown.len();
        ui.answer(&format!("  {left} published values have nothing beside them in this profile (-v shows them)"));
    }
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

fn row(beside: &Beside<'_>) -> Vec<String> {
    let Beside { published, value, ours } = beside;
    let mut row =
        vec![published.panel.clone(), value.curve.clone(), place(value.x), with_spread(value.mean, value.std)];
    row.extend(match ours {
        Some(ours) => {
            let word = if ours.agrees { "agrees" } else { "differs" };
            [place(ours.x), with_spread(ours.mean, Some(ours.std)), ours.runs.to_string(), word.to_owned()]
        }
        None => ["–", "–", "0", "not in this profile, or not made yet"].map(str::to_owned),
    });
    row
}

fn json(figure: &str, claims: &[Judged<'_>], published: &[Beside<'_>]) -> serde_json::Value {
    let claim = |judged: &Judged<'_>| {
        serde_json::json!({
            "id": judged.claim.id, "text": judged.claim.text, "verdict": judged.outcome.verdict.name(),
            "statistics": judged.outcome.statistics,
        })
    };
    let value = |beside: &Beside<'_>| {
        let ours = beside.ours.as_ref().map(|ours| {
            let std = ours.std.is_finite().then_some(ours.std);
            serde_json::json!({ "x": ours.x, "mean": ours.mean, "std": std, "runs": ours.runs, "agrees": ours.agrees })
        });
        serde_json::json!({
            "panel": beside.published.panel, "curve": beside.value.curve, "x": beside.value.x,
            "published": beside.value.mean, "published_std": beside.value.std, "ours": ours,
        })
    };
    serde_json::json!({
        "figure": figure,
        "claims": claims.iter().map(claim).collect::<Vec<_>>(),
        "published": published.iter().map(value).collect::<Vec<_>>(),
    })
}
