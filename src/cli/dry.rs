//! `wdpipe make --dry-run`: the plan, and what each figure costs.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;

use super::Failure;
use super::estimates::Estimates;
use super::format::{bytes, columns, count, duration};
use super::make::say_plan;
use super::select::Selection;
use super::status::families;
use super::ui::Ui;
use crate::cost;
use crate::plan::{Plan, ToRun};

/// More stages than this are told family by family.
const LINES: usize = 100;

/// What some stages cost, were none of them cached.
#[derive(Default)]
struct Bill {
    stages: usize,
    to_run: usize,
    epochs: u64,
    flops: f64,
    bytes: u64,
    /// Of those that have to run.
    seconds: f64,
}

/// Prints the plan.
///
/// # Errors
/// If a network has a senseless size.
pub fn print(
    selection: &Selection,
    plan: &Plan,
    estimates: &Estimates,
    jobs: NonZeroUsize,
    (profile, json): (&str, bool),
    ui: &Ui,
) -> Result<(), Failure> {
    say_plan(plan, estimates, jobs, ui);
    let bills = bills(selection, plan, estimates);
    if json {
        let stage = |run: &ToRun| {
            serde_json::json!({
                "stage": selection.graph.stages[run.stage].name,
                "reason": run.reason,
                "seconds": estimates.known.then_some(estimates.seconds[run.stage]),
                "flops": cost::flops(&selection.graph, run.stage),
            })
        };
        let bill = |(name, bill): &(String, Bill)| {
            serde_json::json!({
                "target": name, "stages": bill.stages, "to_run": bill.to_run, "epochs": bill.epochs,
                "flops": bill.flops, "bytes": bill.bytes,
                "seconds": estimates.known.then_some(bill.seconds / jobs.get() as f64),
            })
        };
        let object = serde_json::json!({
            "profile": profile,
            "stages_total": plan.cached + plan.run.len(),
            "stages_cached": plan.cached,
            "stages_to_run": plan.run.len(),
            "seconds": estimates.known.then_some(estimates.of_plan(plan, jobs)),
            "measured": estimates.measured(),
            "targets": bills.iter().map(bill).collect::<Vec<_>>(),
            "run": plan.run.iter().map(stage).collect::<Vec<_>>(),
        });
        ui.answer(&object.to_string());
        return Ok(());
    }
    if plan.run.len() > LINES {
        let unknown = vec![0.0; estimates.seconds.len()];
        let seconds = if estimates.known { &estimates.seconds } else { &unknown };
        families(selection, plan, seconds).lines().iter().for_each(|line| ui.answer(line));
    } else {
        let row = |run: &ToRun| {
            let needed = estimates.seconds[run.stage];
            let cost = if needed > 0.0 && estimates.known { duration(needed) } else { String::new() };
            vec![selection.graph.stages[run.stage].name.clone(), cost, run.reason.to_string()]
        };
        columns(&plan.run.iter().map(row).collect::<Vec<_>>()).iter().for_each(|line| ui.answer(line));
    }
    ui.answer("");
    let heading = ["target", "stages", "to run", "epochs", "FLOPs", "storage", "time to run"].map(str::to_owned);
    let row = |(name, bill): &(String, Bill)| {
        vec![
            name.clone(),
            bill.stages.to_string(),
            bill.to_run.to_string(),
            bill.epochs.to_string(),
            format!("{:.1e}", bill.flops),
            bytes(bill.bytes),
            if estimates.known { duration(bill.seconds / jobs.get() as f64) } else { "?".to_owned() },
        ]
    };
    let rows = std::iter::once(heading.to_vec()).chain(bills.iter().map(row)).collect::<Vec<_>>();
    columns(&rows).iter().for_each(|line| ui.answer(line));
    if !estimates.known {
        ui.answer("Shared stages count in every target.");
        return Ok(());
    }
    let basis = if estimates.measured() {
        "measured on this device"
    } else {
        "assumed, since nothing was measured here (on a processor `make` times some steps first)"
    };
    ui.answer(&format!(
        "Time is for {}, at the throughput {basis}; shared stages count in every target.",
        count(jobs.get(), "job")
    ));
    Ok(())
}

/// A bill for each target, and one for all together if they are several.
fn bills(selection: &Selection, plan: &Plan, estimates: &Estimates) -> Vec<(String, Bill)> {
    let graph = &selection.graph;
    let to_run: BTreeSet<usize> = plan.run.iter().map(|run| run.stage).collect();
    let mut sizes = BTreeMap::new();
    let mut bill = |targets: &[usize]| {
        let mut bill = Bill::default();
        for (id, _) in graph.closure(targets).iter().enumerate().filter(|(_, needed)| **needed) {
            bill.stages += 1;
            bill.epochs += u64::from(cost::epochs(&graph.stages[id].work));
            bill.flops += cost::flops(graph, id);
            bill.bytes += cost::stored_bytes(&graph.stages[id].work, &mut sizes);
            if to_run.contains(&id) {
                bill.to_run += 1;
                bill.seconds += estimates.seconds[id];
            }
        }
        bill
    };
    let mut bills: Vec<_> =
        selection.targets.iter().map(|&id| (graph.stages[id].name.clone(), bill(&[id]))).take(LINES).collect();
    if selection.targets.len() > 1 {
        bills.push(("together".to_owned(), bill(&selection.targets)));
    }
    bills
}
