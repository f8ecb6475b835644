//! What has to run, and what it should cost: stage by stage, by family, and for each target.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::num::NonZeroUsize;

use serde::Serialize;

use super::estimates::{Estimates, estimates};
use super::workers::Workers;
use crate::cost::{self, gpus, gpus::Gpu};
use crate::graph::StageId;
use crate::plan::{MissReason, Plan};
use crate::project::Failure;
use crate::project::targets::select::Selection;
use crate::stages::{Device, describe};
use store::Store;

/// More targets than this get no bill of their own.
const BILLS: usize = 100;

/// A plan, and what it should cost.
pub struct Forecast<'a> {
    selection: &'a Selection,
    /// What has to run.
    pub plan: Plan,
    /// Stages at a time.
    pub jobs: NonZeroUsize,
    /// Why it is not known how long stages take, if it is not.
    pub unknown: Option<String>,
    estimates: Estimates,
}

/// What some stages cost, were none of them cached.
#[derive(Debug, Default, Serialize)]
pub struct Bill {
    /// Of which target it is.
    pub target: String,
    /// Stages.
    pub stages: usize,
    /// Of those, the ones that have to run.
    pub to_run: usize,
    /// Epochs of training.
    pub epochs: u64,
    /// Operations.
    pub flops: f64,
    /// Bytes that are stored.
    pub bytes: u64,
    /// Seconds that those which have to run should take, if that is known.
    pub seconds: Option<f64>,
    /// Bytes of a GPU's memory that the largest of those takes, on a GPU that is assumed.
    pub gpu_bytes: Option<u64>,
}

/// The stages of one name, without sweep values and epochs.
#[derive(Debug, Default, Serialize)]
pub struct StageFamily {
    /// The name.
    pub name: String,
    /// Their kind.
    pub kind: &'static str,
    /// Stages behind the targets.
    pub stages: usize,
    /// Of those, the ones that have to run.
    pub to_run: usize,
    /// Seconds that these should take; 0 if that is not known.
    pub seconds: f64,
    /// Why the first of them has to run.
    pub reason: Option<MissReason>,
}

impl Selection {
    /// Estimates what a plan costs: on the device of `workers`, or on a GPU that is not here.
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
        // Nothing is assumed of a device that is not here and on which nothing was measured.
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

    /// Tells whether stages of every kind that computes were measured on this device.
    pub fn is_measured(&self) -> bool {
        self.estimates.measured()
    }

    /// Returns the seconds that a stage should take, if they are known.
    pub fn seconds(&self, stage: StageId) -> Option<f64> {
        self.unknown.is_none().then(|| self.estimates.seconds[stage])
    }

    /// Returns the seconds that the whole plan should take, if they are known.
    pub fn total(&self) -> Option<f64> {
        self.unknown.is_none().then(|| self.estimates.of_plan(&self.plan, self.jobs))
    }

    /// Counts the operations of a stage.
    pub fn flops(&self, stage: StageId) -> f64 {
        cost::flops(&self.selection.graph, stage)
    }

    /// Groups the stages behind the targets by their names without sweep values and epochs, in the graph's order.
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
            // A real cause says more than that something waits.
            let waits = |reason: &MissReason| matches!(reason, MissReason::Waits(_));
            if family.reason.as_ref().is_none_or(|reason| waits(reason) && !waits(&run.reason)) {
                family.reason = Some(run.reason.clone());
            }
        }
        families
    }

    /// Makes out a bill for each target, and one for all together if they are several.
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
