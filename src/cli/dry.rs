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
use crate::cost::gpus::{Gpu, REACHED};
use crate::cost::{self, gpus};
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
    /// Bytes of a GPU's memory that the largest of those takes.
    memory: f64,
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
                "gpu_bytes": estimates.gpu.map(|_| bill.memory as u64),
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
            "assumed": estimates.gpu.map(|gpu| gpu.name),
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
    let mut heading =
        ["target", "stages", "to run", "epochs", "FLOPs", "storage", "time to run"].map(str::to_owned).to_vec();
    heading.extend(estimates.gpu.map(|_| "GPU memory".to_owned()));
    let row = |(name, bill): &(String, Bill)| {
        let mut row = vec![
            name.clone(),
            bill.stages.to_string(),
            bill.to_run.to_string(),
            bill.epochs.to_string(),
            format!("{:.1e}", bill.flops),
            bytes(bill.bytes),
            if estimates.known { duration(bill.seconds / jobs.get() as f64) } else { "?".to_owned() },
        ];
        row.extend(estimates.gpu.map(|_| bytes(bill.memory as u64)));
        row
    };
    let rows = std::iter::once(heading).chain(bills.iter().map(row)).collect::<Vec<_>>();
    columns(&rows).iter().for_each(|line| ui.answer(line));
    if !estimates.known {
        ui.answer("Shared stages count in every target.");
        return Ok(());
    }
    if let Some(gpu) = estimates.gpu {
        ui.answer(&assumed(gpu, bills.iter().map(|(_, bill)| bill.memory).fold(0.0, f64::max)));
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

/// What the figures for a GPU that is not here rest on.
fn assumed(gpu: Gpu, largest: f64) -> String {
    let rate = |(name, (peak, share)): (&str, (f64, f64))| {
        format!("{:.0} % of {:.0} TFLOP/s in {name}", 100.0 * share, peak / 1e12)
    };
    let rates = ["fp32", "tf32", "16 bits"].into_iter().zip(gpu.peak.into_iter().zip(REACHED)).map(rate);
    let fit = match largest > 0.0 {
        true => format!(", which hold {:.0} of the largest stage", (gpu.memory / largest).floor()),
        false => String::new(),
    };
    format!(
        "Time and memory are ASSUMED for one {} with {}{fit}: one stage at a time, at {}. The peaks are from the maker's \
         data sheet, the shares are guesses; nothing was measured. Shared stages count in every target.",
        gpu.title,
        bytes(gpu.memory as u64),
        rates.collect::<Vec<_>>().join(", "),
    )
}

/// A bill for each target, and one for all together if they are several.
fn bills(selection: &Selection, plan: &Plan, estimates: &Estimates) -> Vec<(String, Bill)> {
    let graph = &selection.graph;
    let to_run: BTreeSet<usize> = plan.run.iter().map(|run| run.stage).collect();
    let mut sizes = BTreeMap::new();
    let asked = estimates.gpu.map(|_| &to_run).into_iter().flatten();
    let memory: BTreeMap<usize, f64> = asked.map(|&id| (id, gpus::memory(graph, id))).collect();
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
                bill.memory = bill.memory.max(memory.get(&id).copied().unwrap_or_default());
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
