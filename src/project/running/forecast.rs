//! Forecasts which stages have to run and what they cost: stage by stage, by family, and for each target.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::num::NonZeroUsize;

use serde::Serialize;

use super::estimates::{Estimates, estimates};
use super::workers::Workers;
use crate::cost::{self, fleet, gpus, gpus::Gpu};
use crate::graph::StageId;
use crate::plan::{MissReason, Plan};
use crate::project::Failure;
use crate::project::targets::select::Selection;
use crate::stages::{Device, describe};
use store::Store;

/// Maximum number of targets that get a bill of their own.
const BILLS: usize = 100;

/// A plan with its estimated cost.
pub struct Forecast<'a> {
    selection: &'a Selection,
    /// The plan.
    pub plan: Plan,
    /// Number of stages that run in parallel.
    pub jobs: NonZeroUsize,
    /// Why the durations are unknown, if they are.
    pub unknown: Option<String>,
    estimates: Estimates,
}

/// Cost of some stages: epochs, operations and bytes of all of them, and the time of those that have to run.
#[derive(Debug, Default, Serialize)]
pub struct Bill {
    /// Name of the target.
    pub target: String,
    /// Number of stages.
    pub stages: usize,
    /// Number of these stages that have to run.
    pub to_run: usize,
    /// Number of epochs of training.
    pub epochs: u64,
    /// Number of operations.
    pub flops: f64,
    /// Number of stored bytes.
    pub bytes: u64,
    /// Estimated duration, in seconds, of the stages that have to run, if it is known.
    pub seconds: Option<f64>,
    /// Bytes of GPU memory that the largest of these stages takes, if a GPU is assumed.
    pub gpu_bytes: Option<u64>,
}

/// Stages whose names differ only in sweep values and epochs.
#[derive(Debug, Default, Serialize)]
pub struct StageFamily {
    /// Name without sweep values and epochs.
    pub name: String,
    /// Kind of the stages.
    pub kind: &'static str,
    /// Number of stages that the targets need.
    pub stages: usize,
    /// Number of these stages that have to run.
    pub to_run: usize,
    /// Estimated duration of these in seconds; 0 if it is unknown.
    pub seconds: f64,
    /// Why a stage has to run: the first reason other than waiting for another stage, if there is one.
    pub reason: Option<MissReason>,
}

impl Selection {
    /// Estimates the cost of a plan on the device of `workers`, or on an assumed GPU that is not present.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn forecast(
        &self,
        plan: Plan,
        store: &Store,
        workers: &Workers,
        assumed: Option<Gpu>,
    ) -> Result<Forecast<'_>, Failure> {
        let estimates = match assumed {
            Some(gpu) => Estimates::by_data_sheet(self, gpu),
            None => estimates(self, store, &workers.likely)?,
        };
        // No speed is assumed for a device that is not present and was never measured.
        let unknown = match (&workers.chosen, assumed) {
            (chosen @ Device::Cuda(_), None) if !estimates.measured() => describe(chosen, self.graph.policy).err(),
            _ => None,
        };
        Ok(Forecast { selection: self, plan, jobs: workers.jobs, unknown, estimates })
    }
}

impl Forecast<'_> {
    /// Returns the GPU that the forecast assumes, if it assumes one.
    pub fn gpu(&self) -> Option<Gpu> {
        self.estimates.gpu
    }

    /// Checks whether stages of every kind with counted arithmetic were measured on this device.
    pub fn is_measured(&self) -> bool {
        self.estimates.measured()
    }

    /// Returns the estimated duration of a stage in seconds, if it is known.
    pub fn seconds(&self, stage: StageId) -> Option<f64> {
        self.unknown.is_none().then(|| self.estimates.seconds[stage])
    }

    /// Returns the estimated duration of the whole plan in seconds, if it is known.
    pub fn total(&self) -> Option<f64> {
        self.unknown.is_none().then(|| self.estimates.of_plan(&self.plan, self.jobs))
    }

    /// Returns the estimated durations of the plan in seconds if `machines` run one stage each at a time, and the longest
    /// chain of stages, with the name of its last; `None` if they are not known or nothing has to run.
    pub fn on_machines<const N: usize>(&self, machines: [usize; N]) -> Option<([f64; N], f64, &str)> {
        let (graph, seconds) = (&self.selection.graph, &self.estimates.seconds);
        let stages: Vec<StageId> = self.plan.run.iter().map(|run| run.stage).collect();
        let (longest, last) = fleet::longest_chain(graph, &stages, seconds).filter(|_| self.unknown.is_none())?;
        let times = machines.map(|machines| fleet::makespan(graph, &stages, seconds, machines));
        Some((times, longest, &graph.stages[last].name))
    }

    /// Counts the operations of a stage.
    pub fn flops(&self, stage: StageId) -> f64 {
        cost::flops(&self.selection.graph, stage)
    }

    /// Groups the targets and the stages that they need by their names without sweep values and epochs, in the graph's order.
    pub fn families(&self) -> Vec<StageFamily> {
        let graph = &self.selection.graph;
        let mut places: HashMap<&str, usize> = HashMap::new();
        let mut families: Vec<StageFamily> = Vec::new();
        for stage in self.selection.stages() {
            let name = family(&stage.name);
            let place = *places.entry(name).or_insert_with(|| {
                let (name, kind) = (name.to_owned(), stage.work.kind());
                families.push(StageFamily { name, kind, ..StageFamily::default() });
                families.len() - 1
            });
            families[place].stages += 1;
        }
        for run in &self.plan.run {
            let Some(&place) = places.get(family(&graph.stages[run.stage].name)) else { continue };
            let family = &mut families[place];
            family.to_run += 1;
            family.seconds += self.seconds(run.stage).unwrap_or_default();
            // A real cause is more informative than waiting.
            let waits = |reason: &MissReason| matches!(reason, MissReason::Waits(_));
            if family.reason.as_ref().is_none_or(|reason| waits(reason) && !waits(&run.reason)) {
                family.reason = Some(run.reason.clone());
            }
        }
        families
    }

    /// Makes a bill for each target, and one for all together if there are several.
    pub fn bills(&self) -> Vec<Bill> {
        let Self { selection, plan, estimates, .. } = self;
        let graph = &selection.graph;
        let to_run: BTreeSet<StageId> = plan.run.iter().map(|run| run.stage).collect();
        let mut sizes = BTreeMap::new();
        let asked = estimates.gpu.map(|_| &to_run).into_iter().flatten();
        let memory: BTreeMap<StageId, f64> = asked.map(|&id| (id, gpus::memory(graph, id))).collect();
        let mut bill = |target: &str, targets: &[StageId]| {
            let mut bill = Bill { target: target.to_owned(), ..Bill::default() };
            let (mut seconds, mut most) = (0.0, 0.0_f64);
            for (id, _) in graph.closure(targets).iter().enumerate().filter(|(_, needed)| **needed) {
                bill.stages += 1;
                bill.epochs += u64::from(cost::epochs(&graph.stages[id].work));
                bill.flops += cost::flops(graph, id);
                bill.bytes += cost::stored_bytes(&graph.stages[id].work, &mut sizes);
                if to_run.contains(&id) {
                    bill.to_run += 1;
                    seconds += estimates.seconds[id];
                    most = most.max(memory.get(&id).copied().unwrap_or_default());
                }
            }
            bill.seconds = self.unknown.is_none().then(|| seconds / self.jobs.get() as f64);
            bill.gpu_bytes = estimates.gpu.map(|_| most as u64);
            bill
        };
        let mut bills: Vec<_> =
            selection.targets.iter().map(|&id| bill(&graph.stages[id].name, &[id])).take(BILLS).collect();
        if selection.targets.len() > 1 {
            bills.push(bill("together", &selection.targets));
        }
        bills
    }
}

/// Strips sweep values and epoch from a stage's name.
pub fn family(name: &str) -> &str {
    name.split(['[', '@']).next().unwrap_or(name)
}
