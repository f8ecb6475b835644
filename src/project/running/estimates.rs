//! Estimates how long stages take: from the times of similar stages, from one second of real steps, or from assumed speeds.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;

use crate::cost::{self, gpus::Gpu};
use crate::graph::{Graph, StageId};
use crate::plan::Plan;
use crate::project::Failure;
use crate::project::targets::select::Selection;
use crate::stages::Device;
use base::work::{Images, Policy, Steps};
use store::Store;

/// Minimum duration of a plan, in seconds at the assumed speed, for which the second that a measurement takes is worthwhile.
const WORTH: f64 = 30.0;
/// Maximum number of parallel chains of steps in a measurement; more jobs are assumed to be as fast as this many.
const CHAINS: usize = 16;

/// Estimated durations of stages.
#[derive(Debug, Clone, Default)]
pub struct Estimates {
    /// Duration of every stage of the graph, in seconds.
    pub seconds: Vec<f64>,
    /// Kinds with counted arithmetic of which no stage was measured on this device, so their speed is assumed.
    pub assumed: BTreeSet<&'static str>,
    /// The assumed GPU, if the plan is for a GPU that is not present.
    pub gpu: Option<Gpu>,
}

impl Estimates {
    /// Estimates from a GPU's data sheet. Stages with negligible arithmetic take no time.
    pub fn by_data_sheet(selection: &Selection, gpu: Gpu) -> Self {
        let stages = &selection.graph.stages;
        let second = |id: StageId| cost::flops(&selection.graph, id) / gpu.rate(&stages[id].work);
        let seconds = (0..stages.len()).map(second).collect();
        let assumed = stages.iter().map(|stage| stage.work.kind()).collect();
        Self { seconds, assumed, gpu: Some(gpu) }
    }

    /// Checks whether stages of every kind with counted arithmetic were measured on this device.
    pub fn measured(&self) -> bool {
        self.assumed.is_empty()
    }

    /// Returns the estimated duration of a plan in seconds: all the work divided by the number of jobs.
    pub fn of_plan(&self, plan: &Plan, jobs: NonZeroUsize) -> f64 {
        let work: f64 = plan.run.iter().map(|run| self.seconds[run.stage]).sum();
        work / jobs.get().min(plan.run.len().max(1)) as f64
    }

    /// Replaces the assumed speed by a measured one, if the plan is long enough. `measure` times parallel chains of steps and
    /// returns the operations per second of one chain; `None` if it cannot.
    pub fn calibrate(
        &mut self,
        graph: &Graph,
        plan: &Plan,
        jobs: NonZeroUsize,
        measure: impl FnOnce(&Steps, usize) -> Option<f64>,
    ) {
        let is_assumed =
            |id: StageId| self.assumed.contains(graph.stages[id].work.kind()) && cost::flops(graph, id) > 0.0;
        let stages: Vec<StageId> = plan.run.iter().map(|run| run.stage).filter(|&id| is_assumed(id)).collect();
        let chains = jobs.get().min(plan.run.len().max(1));
        if stages.iter().map(|&id| self.seconds[id]).sum::<f64>() / (chains as f64) < WORTH {
            return;
        }
        let Some(steps) = dominating(graph, &stages) else { return };
        let Some(rate) = measure(&steps, chains.min(CHAINS)).filter(|rate| *rate > 0.0 && rate.is_finite()) else {
            return;
        };
        for (id, seconds) in self.seconds.iter_mut().enumerate() {
            if self.assumed.contains(graph.stages[id].work.kind()) {
                *seconds = cost::flops(graph, id) / rate;
            }
        }
    }
}

/// Returns the steps that most of the stages' arithmetic consists of.
fn dominating(graph: &Graph, stages: &[StageId]) -> Option<Steps> {
    let mut totals: Vec<(Steps, f64)> = Vec::new();
    for &id in stages {
        let Some(steps) = graph.stages[id].work.cost(Images::default()).and_then(|cost| cost.steps) else { continue };
        let flops = cost::flops(graph, id);
        match totals.iter_mut().find(|(other, _)| *other == steps) {
            Some((_, total)) => *total += flops,
            None => totals.push((steps, flops)),
        }
    }
    totals.into_iter().max_by(|a, b| a.1.total_cmp(&b.1)).map(|(steps, _)| steps)
}

/// Measures the operations per second of one of several parallel chains of steps on this processor, for about a second. The
/// results of the steps are discarded. Does not measure GPUs, where the first stages find out how many stages fit.
#[cfg(feature = "torch")]
pub fn pace(device: &Device, policy: Policy, steps: &Steps, chains: usize) -> Option<f64> {
    use crate::bench::learning::{Bench, Setting};
    let Steps { model, batch, numerics } = *steps;
    let setting = Setting {
        model,
        batch: batch as usize,
        images: 0,
        precision: numerics.precision,
        channels_last: numerics.channels_last,
        average: false,
        chains,
        strict: true,
    };
    let bench = Bench::new(device, policy, std::time::Duration::from_millis(600)).ok()?;
    if bench.is_on_gpu() { None } else { bench.pace(&setting).ok() }
}

/// Returns `None`: without libtorch, no stage trains.
#[cfg(not(feature = "torch"))]
pub fn pace(_: &Device, _: Policy, _: &Steps, _: usize) -> Option<f64> {
    None
}

/// Estimates the duration of every stage, from similar stages on this device or from assumed speeds.
///
/// # Errors
/// If the store cannot be read.
pub fn estimates(selection: &Selection, store: &Store, device: &Device) -> Result<Estimates, Failure> {
    let device = device.to_string();
    let class = device.split(':').next().unwrap_or_default();
    let (mut rates, mut uncounted) = (BTreeMap::new(), BTreeMap::new());
    let seconds = Vec::with_capacity(selection.graph.stages.len());
    let mut estimates = Estimates { seconds, assumed: BTreeSet::new(), gpu: None };
    let timings = |kind: &str, class: &str| -> Result<Vec<(f64, f64)>, Failure> {
        Ok(store.history(kind, class)?.iter().map(|timing| (timing.flops, timing.seconds)).collect())
    };
    for (id, stage) in selection.graph.stages.iter().enumerate() {
        let flops = cost::flops(&selection.graph, id);
        let kind = stage.work.kind();
        if flops == 0.0 {
            let seconds = match uncounted.get(kind) {
                Some(seconds) => *seconds,
                None => {
                    // These stages always run on the processor.
                    let seconds = cost::measured_seconds(&timings(kind, "cpu")?).unwrap_or_default();
                    uncounted.insert(kind, seconds);
                    seconds
                }
            };
            estimates.seconds.push(seconds);
            continue;
        }
        let rate = match rates.get(kind) {
            Some(rate) => *rate,
            None => {
                let measured = cost::measured_rate(&timings(kind, class)?);
                if measured.is_none() {
                    estimates.assumed.insert(kind);
                }
                let rate = measured.unwrap_or_else(|| cost::assumed_rate(class));
                rates.insert(kind, rate);
                rate
            }
        };
        estimates.seconds.push(flops / rate);
    }
    Ok(estimates)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Knowledge, plan};
    use crate::spec::{Pipeline, expand};
    use base::work::ModelName;

    const FIG1: &str = include_str!("../../../pipelines/fig1.toml");

    /// Makes the graph of Figure 1, a plan in which nothing is known, and estimates at 1e10 operations per second. The speed of
    /// the kinds in `assumed` counts as assumed.
    fn fresh(assumed: &[&'static str]) -> (Graph, Plan, Estimates) {
        let graph = expand(&Pipeline::read("fig1", "fig1.toml", FIG1, "paper", &[]).unwrap()).unwrap();
        let targets = [graph.figures["fig1"].stage];
        let plan = plan(&graph, &targets, &vec![Knowledge::Waits; graph.stages.len()]);
        let seconds = (0..graph.stages.len()).map(|id| cost::flops(&graph, id) / 1e10).collect();
        (graph, plan, Estimates { seconds, assumed: assumed.iter().copied().collect(), gpu: None })
    }

    #[test]
    fn what_was_assumed_is_measured_by_the_steps_that_most_work_consists_of() {
        let jobs = NonZeroUsize::new(2).unwrap();
        let (graph, plan, mut estimates) = fresh(&["train"]);
        let before = estimates.of_plan(&plan, jobs);
        let mut asked = None;
        estimates.calibrate(&graph, &plan, jobs, |steps, chains| {
            asked = Some((*steps, chains));
            Some(7e10)
        });
        // Each network has twenty runs, and the ResNet-34 on CIFAR-100 has the most work.
        let (steps, chains) = asked.unwrap();
        assert_eq!((steps.model.name, steps.model.width, steps.model.classes), (ModelName::PreactResnet34, 64, 100));
        assert_eq!((steps.batch, chains), (128, 2));
        assert!((before / estimates.of_plan(&plan, jobs) - 7.0).abs() < 1e-9);
    }

    #[test]
    fn nothing_is_measured_where_speeds_are_known_or_the_plan_is_short() {
        let jobs = NonZeroUsize::MIN;
        let measured = |scale: f64, assumed: &[&'static str], rate: Option<f64>| {
            let (graph, plan, mut estimates) = fresh(assumed);
            estimates.seconds.iter_mut().for_each(|seconds| *seconds *= scale);
            let (before, mut asked) = (estimates.seconds.clone(), false);
            estimates.calibrate(&graph, &plan, jobs, |_, _| {
                asked = true;
                rate
            });
            (asked, estimates.seconds == before)
        };
        assert_eq!(measured(1.0, &["train"], Some(1.0)), (true, false));
        assert_eq!(measured(1.0, &[], Some(1.0)), (false, true));
        // The plan has no stage of the kind whose speed is assumed.
        assert_eq!(measured(1.0, &["probe"], Some(1.0)), (false, true));
        // The whole plan takes seconds.
        assert_eq!(measured(1e-9, &["train"], Some(1.0)), (false, true));
        // If the measurement fails, the speed remains assumed.
        for nothing in [None, Some(0.0), Some(f64::NAN), Some(f64::INFINITY)] {
            assert_eq!(measured(1.0, &["train"], nothing), (true, true), "{nothing:?}");
        }
    }
}
