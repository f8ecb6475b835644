//! `wdpipe status`: what is known of each stage of a pipeline, and what would run.

use std::collections::HashMap;

use clap::Args;

use super::advice;
use super::estimates::estimates;
use super::format::{columns, duration};
use super::make::{planned, warn_of_damage};
use super::select::{Selection, Variant, select};
use super::ui::Ui;
use super::{Failure, Global};
use crate::plan::{MissReason, Plan};
use crate::reports::{ReportError, Settings};
use crate::stages::Device;

/// Says how much of a figure is cached, and what would run.
#[derive(Debug, Args)]
pub struct Status {
    /// Figures, panels or stages [default: all].
    #[arg(value_name = "TARGET")]
    targets: Vec<String>,
    #[command(flatten)]
    variant: Variant,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// The stages of one name.
#[derive(Default)]
pub struct Family {
    kind: &'static str,
    total: usize,
    to_run: usize,
    seconds: f64,
    reason: Option<MissReason>,
}

impl Status {
    /// Runs the command.
    ///
    /// # Errors
    /// If a pipeline or target is wrong, or the store cannot be read.
    pub fn run(&self, global: &Global, ui: &Ui) -> Result<(), Failure> {
        let selection = select(global, &self.variant, &self.targets)?;
        let store = global.store_or_none(ui)?;
        let plan = planned(&selection, &store)?;
        warn_of_damage(&plan, ui);
        let device = Device::Auto.under(selection.graph.policy).map_err(|error| Failure::usage(error, ""))?;
        let estimates = estimates(&selection, &store, &device.guess())?;
        let families = families(&selection, &plan, &estimates.seconds);
        let variants = variants(&selection)?;
        if self.json {
            let family = |(name, family): &(String, Family)| {
                let Family { kind, total, to_run, seconds, reason } = family;
                serde_json::json!({
                    "name": name, "kind": kind, "stages": total, "to_run": to_run, "seconds": seconds, "reason": reason,
                })
            };
            let object = serde_json::json!({
                "profile": self.variant.profile,
                "stages_total": plan.cached + plan.run.len(),
                "stages_cached": plan.cached,
                "stages_to_run": plan.run.len(),
                "families": families.0.iter().map(family).collect::<Vec<_>>(),
                "variants": variants.iter().map(|(name, settings)| {
                    serde_json::json!({ "name": name, "figure": settings.figure, "set": settings.set })
                }).collect::<Vec<_>>(),
            });
            ui.answer(&object.to_string());
            return Ok(());
        }
        families.lines().iter().for_each(|line| ui.answer(line));
        let row = |(name, Settings { figure, profile, set, .. }): &(String, Settings)| {
            vec![format!("  {name}"), advice::command(&["make", figure], profile, set)]
        };
        if !variants.is_empty() {
            ui.answer(&format!("variants in {}, and how each was made", selection.folder.display()));
            columns(&variants.iter().map(row).collect::<Vec<_>>()).iter().for_each(|line| ui.answer(line));
        }
        Ok(())
    }
}

/// The variants of the targets' figures in the reports folder, and how they were made.
fn variants(selection: &Selection) -> Result<Vec<(String, Settings)>, Failure> {
    let all = Settings::all(&selection.folder).map_err(ReportError::from)?.into_iter();
    let ours = all.filter(|(_, settings)| selection.figures().any(|(figure, _)| figure == settings.figure));
    Ok(ours.map(|(place, settings)| (place.name, settings)).collect())
}

/// The families of stages behind some targets, in the graph's order.
pub struct Families(Vec<(String, Family)>);

/// Groups the stages behind the targets by their names without sweep values and epochs.
pub fn families(selection: &Selection, plan: &Plan, seconds: &[f64]) -> Families {
    let closure = selection.graph.closure(&selection.targets);
    let mut places: HashMap<String, usize> = HashMap::new();
    let mut families: Vec<(String, Family)> = Vec::new();
    for (stage, _) in selection.graph.stages.iter().zip(&closure).filter(|(_, needed)| **needed) {
        let name = family(&stage.name);
        let place = *places.entry(name.to_owned()).or_insert_with(|| {
            families.push((name.to_owned(), Family { kind: stage.work.kind(), ..Family::default() }));
            families.len() - 1
        });
        families[place].1.total += 1;
    }
    for run in &plan.run {
        let Some(&place) = places.get(family(&selection.graph.stages[run.stage].name)) else { continue };
        let family = &mut families[place].1;
        family.to_run += 1;
        family.seconds += seconds[run.stage];
        // A real cause says more than that something waits.
        let waits = |reason: &MissReason| matches!(reason, MissReason::Waits(_));
        if family.reason.as_ref().is_none_or(|reason| waits(reason) && !waits(&run.reason)) {
            family.reason = Some(run.reason.clone());
        }
    }
    Families(families)
}

impl Families {
    /// A table of them.
    pub fn lines(&self) -> Vec<String> {
        let mut rows = vec![["stage", "kind", "cached", "to run", "cost", "why"].map(str::to_owned).to_vec()];
        for (name, Family { kind, total, to_run, seconds, reason }) in &self.0 {
            let cost = if *seconds > 0.0 { duration(*seconds) } else { String::new() };
            let why = reason.as_ref().map(ToString::to_string).unwrap_or_default();
            let cached = format!("{}/{total}", total - to_run);
            rows.push(vec![name.clone(), (*kind).to_owned(), cached, to_run.to_string(), cost, why]);
        }
        columns(&rows)
    }
}

/// A stage's name without sweep values and epoch.
pub fn family(name: &str) -> &str {
    name.split(['[', '@']).next().unwrap_or(name)
}
