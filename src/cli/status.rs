//! `wdpipe status`: prints which stages are cached, and which would run.

use clap::Args;
use serde::Serialize;

use super::arguments::VariantArgs;
use super::format::{columns, duration};
use super::planned::warn_of_damage;
use super::share::store_or_none;
use super::ui::Ui;
use crate::plan::MissReason;
use crate::project::{Failure, Project, Selection, StageFamily, Workers, command, family};
use crate::reports::{ReportError, VariantSettings};
use crate::stages::Device;

/// Print how much of a figure is cached, and what would run.
#[derive(Debug, Args)]
pub struct StatusCommand {
    /// Figures, panels or stages [default: all].
    #[arg(value_name = "TARGET")]
    targets: Vec<String>,
    #[command(flatten)]
    variant: VariantArgs,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Output of `status --json`.
#[derive(Serialize)]
struct StatusAnswer<'a> {
    profile: &'a str,
    stages_total: usize,
    stages_cached: usize,
    stages_to_run: usize,
    families: &'a [StageFamily],
    variants: Vec<VariantAnswer<'a>>,
}

#[derive(Serialize)]
struct VariantAnswer<'a> {
    name: &'a str,
    figure: &'a str,
    set: &'a [String],
}

impl<'a> VariantAnswer<'a> {
    fn of((name, settings): &'a (String, VariantSettings)) -> Self {
        Self { name, figure: &settings.figure, set: &settings.set }
    }
}

impl StatusCommand {
    /// Runs the command.
    ///
    /// # Errors
    /// If a pipeline or target is wrong, or the store cannot be read.
    pub fn run(&self, project: &Project, ui: &Ui) -> Result<(), Failure> {
        let selection = project.select(&self.variant.to_variant(), &self.targets)?;
        let store = store_or_none(project, ui)?;
        let plan = selection.plan(&store)?;
        warn_of_damage(&plan, ui);
        let workers = Workers::choose(&Device::Auto, selection.graph.policy, None);
        let workers = workers.map_err(|error| Failure::usage(error, ""))?;
        let forecast = selection.forecast(plan, &store, &workers, None)?;
        let (plan, families) = (&forecast.plan, forecast.families());
        let variants = variants(&selection)?;
        if self.json {
            ui.json(&StatusAnswer {
                profile: &self.variant.profile,
                stages_total: plan.cached + plan.run.len(),
                stages_cached: plan.cached,
                stages_to_run: plan.run.len(),
                families: &families,
                variants: variants.iter().map(VariantAnswer::of).collect(),
            });
            return Ok(());
        }
        family_lines(&families).iter().for_each(|line| ui.tell(line));
        let row = |(name, made): &(String, VariantSettings)| {
            vec![format!("  {name}"), command(&made.command(name), &made.profile, &made.set)]
        };
        if !variants.is_empty() {
            ui.answer(&format!("variants in {}, and how each was made", selection.folder.display()));
            columns(&variants.iter().map(row).collect::<Vec<_>>()).iter().for_each(|line| ui.answer(line));
        }
        Ok(())
    }
}

/// Returns the variants of the targets' figures in the reports folder, and how they were made.
fn variants(selection: &Selection) -> Result<Vec<(String, VariantSettings)>, Failure> {
    let all = VariantSettings::all(&selection.folder).map_err(ReportError::from)?.into_iter();
    let ours = all.filter(|(_, settings)| selection.figures().any(|(figure, _)| figure == settings.figure));
    Ok(ours.map(|(place, settings)| (place.name, settings)).collect())
}

/// Returns a table of families.
pub fn family_lines(families: &[StageFamily]) -> Vec<String> {
    let mut rows = vec![["stage", "kind", "cached", "to run", "cost", "why"].map(str::to_owned).to_vec()];
    for StageFamily { name, kind, stages, to_run, seconds, reason } in families {
        let cost = if *seconds > 0.0 { duration(*seconds) } else { String::new() };
        let why = match reason {
            // One of the stages is as good as the other.
            Some(MissReason::Waits(stage)) => MissReason::Waits(family(stage).to_owned()).to_string(),
            Some(reason) => reason.to_string(),
            None => String::new(),
        };
        let cached = format!("{}/{stages}", stages - to_run);
        rows.push(vec![name.clone(), (*kind).to_owned(), cached, to_run.to_string(), cost, why]);
    }
    columns(&rows)
}
