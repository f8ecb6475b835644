//! `wdpipe make --dry-run`: prints the plan, and the cost of each figure.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

use super::format::{bytes, columns, count, duration};
use super::planned::{say_plan, warn_of_room};
use super::status::family_lines;
use super::ui::Ui;
use crate::cost::gpus::{Gpu, REACHED};
use crate::graph::Graph;
use crate::plan::{MissReason, ToRun};
use crate::project::{Bill, Forecast, Room};

/// Largest number of stages that are listed one by one; more are listed by family.
const LINES: usize = 100;

/// Shortest plan, in seconds, for which it is of interest how long it takes on several machines.
const WORTH: f64 = 60.0;

/// Numbers of machines for which durations are listed.
const MACHINES: [usize; 3] = [1, 8, 64];

/// Prints the plan.
pub fn print(graph: &Graph, forecast: &Forecast<'_>, (room, store): (Room, &Path), profile: &str, json: bool, ui: &Ui) {
    let Forecast { plan, jobs, .. } = forecast;
    say_plan(plan, forecast.total(), ui);
    warn_of_room(room, store, ui);
    let bills = forecast.bills();
    if json {
        let stage = |run| ToRunAnswer::of(run, graph, forecast);
        ui.json(&DryRunAnswer {
            profile,
            stages_total: plan.cached + plan.run.len(),
            stages_cached: plan.cached,
            stages_to_run: plan.run.len(),
            bytes_to_write: room.needed,
            bytes_free: room.free,
            seconds: forecast.total(),
            measured: forecast.is_measured(),
            assumed: forecast.gpu().map(|gpu| gpu.name),
            machines: forecast.on_machines(MACHINES).map(|(seconds, longest_chain, last)| MachinesAnswer {
                seconds: MACHINES.into_iter().zip(seconds).collect(),
                longest_chain,
                last,
            }),
            targets: &bills,
            run: plan.run.iter().map(stage).collect(),
        });
        return;
    }
    if plan.run.len() > LINES {
        family_lines(&forecast.families()).iter().for_each(|line| ui.tell(line));
    } else {
        let row = |run: &ToRun| {
            let cost = forecast.seconds(run.stage).filter(|seconds| *seconds > 0.0).map(duration).unwrap_or_default();
            vec![graph.stages[run.stage].name.clone(), cost, run.reason.to_string()]
        };
        columns(&plan.run.iter().map(row).collect::<Vec<_>>()).iter().for_each(|line| ui.tell(line));
    }
    ui.answer("");
    let mut heading =
        ["target", "stages", "to run", "epochs", "FLOPs", "storage", "time to run"].map(str::to_owned).to_vec();
    heading.extend(forecast.gpu().map(|_| "GPU memory".to_owned()));
    let row = |bill: &Bill| {
        let mut row = vec![
            bill.target.clone(),
            bill.stages.to_string(),
            bill.to_run.to_string(),
            bill.epochs.to_string(),
            format!("{:.1e}", bill.flops),
            bytes(bill.bytes),
            bill.seconds.map_or_else(|| "?".to_owned(), duration),
        ];
        row.extend(bill.gpu_bytes.map(bytes));
        row
    };
    let rows = std::iter::once(heading).chain(bills.iter().map(row)).collect::<Vec<_>>();
    columns(&rows).iter().for_each(|line| ui.tell(line));
    if forecast.unknown.is_some() {
        ui.answer("Shared stages count in every target.");
        return;
    }
    if let Some((seconds, longest, last)) = forecast.on_machines(MACHINES).filter(|(seconds, ..)| seconds[0] >= WORTH) {
        let [one, eight, many] = seconds.map(duration);
        ui.tell(&format!(
            "One stage at a time on 1, 8 or 64 machines: {one}, {eight} or {many}. The longest chain of stages takes {} (to {last}).",
            duration(longest)
        ));
    }
    if let Some(gpu) = forecast.gpu() {
        ui.tell(&assumed(gpu, bills.iter().filter_map(|bill| bill.gpu_bytes).max().unwrap_or_default()));
        return;
    }
    let basis = if forecast.is_measured() {
        "measured on this device"
    } else {
        "assumed, since nothing was measured here (on a CPU, `make` times some steps first)"
    };
    ui.tell(&format!(
        "Time is for {}, at the throughput {basis}; shared stages count in every target.",
        count(jobs.get(), "job")
    ));
}

/// Output of `make --dry-run --json`.
#[derive(Serialize)]
struct DryRunAnswer<'a> {
    profile: &'a str,
    stages_total: usize,
    stages_cached: usize,
    stages_to_run: usize,
    bytes_to_write: u64,
    bytes_free: Option<u64>,
    seconds: Option<f64>,
    measured: bool,
    assumed: Option<&'static str>,
    machines: Option<MachinesAnswer<'a>>,
    targets: &'a [Bill],
    run: Vec<ToRunAnswer<'a>>,
}

/// Durations on several machines, in seconds by their number.
#[derive(Serialize)]
struct MachinesAnswer<'a> {
    seconds: BTreeMap<usize, f64>,
    longest_chain: f64,
    last: &'a str,
}

#[derive(Serialize)]
struct ToRunAnswer<'a> {
    stage: &'a str,
    reason: &'a MissReason,
    seconds: Option<f64>,
    flops: f64,
}

impl<'a> ToRunAnswer<'a> {
    fn of(run: &'a ToRun, graph: &'a Graph, forecast: &Forecast<'_>) -> Self {
        let (stage, reason) = (graph.stages[run.stage].name.as_str(), &run.reason);
        Self { stage, reason, seconds: forecast.seconds(run.stage), flops: forecast.flops(run.stage) }
    }
}

/// Explains the assumptions of an estimate for a GPU that this machine does not have.
fn assumed(gpu: Gpu, largest: u64) -> String {
    let rate = |(name, (peak, share)): (&str, (f64, f64))| {
        format!("{:.0} % of {:.0} TFLOP/s in {name}", 100.0 * share, peak / 1e12)
    };
    let rates = ["fp32", "tf32", "16 bits"].into_iter().zip(gpu.peak.into_iter().zip(REACHED)).map(rate);
    let fit = match largest > 0 {
        true => format!(", enough for {:.0} of the largest stage", (gpu.memory / largest as f64).floor()),
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
