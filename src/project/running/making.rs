//! Makes a selection: first plans and estimates, then runs stages, then signs the results.

use std::sync::atomic::AtomicBool;

use super::estimates::{estimates, pace};
use super::room::Room;
use super::workers::Workers;
use crate::engine::{self, Duty, Environment, Event, Preference, Request, Summary};
use crate::plan::{Knowledge, Plan};
use crate::project::sharing::signing::{Signer, catch_up, obstacle, sign};
use crate::project::targets::select::Selection;
use crate::project::{ExitCode, Failure};
use crate::stages::{Device, describe};
use base::record::Record;
use store::Store;

/// Options for making a selection.
pub struct Making<'a> {
    /// Store of the inputs and outputs.
    pub store: &'a Store,
    /// Device and number of parallel stages.
    pub workers: &'a Workers,
    /// Key that signs the results, if there is one.
    pub signer: Option<&'a Signer>,
    /// Whether to continue with stages that do not depend on a failed stage.
    pub keep_going: bool,
    /// Limits on what this process computes.
    pub duty: &'a dyn Duty,
    /// User and machine, for the records.
    pub environment: &'a Environment,
    /// Flag that stops the run when it is set.
    pub cancel: &'a AtomicBool,
}

/// A notice to the caller while a selection is made.
pub enum Notice<'a> {
    /// Earlier records of this user had no signature and were signed: their number.
    CaughtUp(usize),
    /// The plan is made. Sent once.
    Planned {
        /// The plan.
        plan: &'a Plan,
        /// Estimated duration of each stage of the graph, in seconds.
        seconds: &'a [f64],
        /// Estimated duration of the plan, in seconds.
        total: f64,
        /// Room on disk for the results.
        room: Room,
    },
    /// An event of the engine.
    Event(&'a Event),
    /// All stages have ended.
    Ended,
    /// New records were signed: their number.
    Signed(usize),
}

impl Selection {
    /// Computes the stages that are not known yet, and reports progress to `tell`.
    ///
    /// # Errors
    /// If the project would not use this user's results, the device is not available, or the store fails.
    pub fn make(&self, how: &Making<'_>, tell: &mut dyn FnMut(Notice<'_>)) -> Result<Summary, Failure> {
        let Making { store, workers, signer, keep_going, duty, environment, cancel } = *how;
        let chosen = &workers.chosen;
        // Report an unusable key before anything runs.
        match (signer, obstacle(self, signer, &environment.who)) {
            (_, Some(obstacle)) if !self.plan(store)?.run.is_empty() => return Err(obstacle),
            (Some(signer), None) if self.preference.is_strict() => {
                let signed = catch_up(store, signer, &environment.who)?;
                if signed > 0 {
                    tell(Notice::CaughtUp(signed));
                }
            }
            _ => {}
        }
        let mut estimates = estimates(self, store, &workers.likely)?;
        if let Device::Cuda(_) = chosen {
            // Report a missing device before anything runs.
            describe(chosen, self.graph.policy).map_err(|error| Failure::new(ExitCode::Missing, error, ""))?;
        }
        let request = Request {
            graph: &self.graph,
            targets: &self.targets,
            store,
            preference: &self.preference,
            device: chosen,
            jobs: workers.most(),
            grow: workers.grow,
            keep_going,
            duty,
            environment,
            cancel,
        };
        let summary = engine::make(&request, &mut |event| {
            if let Event::Planned(plan) = &event {
                let measure = |steps: &_, chains| pace(chosen, self.graph.policy, steps, chains);
                estimates.calibrate(&self.graph, plan, workers.jobs, measure);
                let total = estimates.of_plan(plan, workers.jobs);
                let room = self.room(plan, store);
                tell(Notice::Planned { plan, seconds: &estimates.seconds, total, room });
            }
            tell(Notice::Event(&event));
        })?;
        tell(Notice::Ended);
        if let (Some(signer), false) = (signer, summary.published.is_empty()) {
            sign(store, summary.published.iter().copied(), signer)?;
            tell(Notice::Signed(summary.published.len()));
        }
        Ok(summary)
    }

    /// Lists the stages that the targets need and whose training left the finite numbers, each with the place in words.
    pub fn diverged(&self, knowledge: &[Knowledge]) -> Vec<(String, String)> {
        let needed = self.graph.closure(&self.targets);
        let stages = self.graph.stages.iter().zip(knowledge).zip(needed).filter(|(_, needed)| *needed);
        stages.filter_map(|((stage, known), _)| Some((stage.name.clone(), engine::divergence(known)?))).collect()
    }

    /// Returns the number of stages with several different results, and the name and the used record of the first one.
    ///
    /// # Errors
    /// If the record cannot be read.
    pub fn several(&self, summary: &Summary, store: &Store) -> Result<Option<(usize, String, Record)>, Failure> {
        let stages = self.graph.stages.iter().zip(&summary.knowledge);
        let several: Vec<_> = stages
            .filter_map(|(stage, known)| match known {
                Knowledge::Known { key, outline, .. } if summary.several.contains(key) => Some((stage, key, outline)),
                _ => None,
            })
            .collect();
        let Some((stage, key, outline)) = several.first() else { return Ok(None) };
        let record = store.recorded(key, &outline.digest)?;
        Ok(record.map(|record| (several.len(), stage.name.clone(), record)))
    }

    /// Adds the results to the store's catalogue, if the store has one.
    ///
    /// # Errors
    /// If the store cannot be read or written.
    pub fn catalogue(&self, summary: &Summary, store: &Store) -> Result<(), Failure> {
        if summary.published.is_empty() || !store.has_catalogue()? {
            return Ok(());
        }
        let needed = self.graph.closure(&self.targets);
        let known = engine::known(&self.graph, &summary.knowledge, &needed, store)?;
        store.list(&known.iter().map(|member| (member.key, member.digest)).collect::<Vec<_>>(), &[])?;
        Ok(())
    }
}
