//! Making a selection: a plan with its cost first, then stages, then signatures.

use std::sync::atomic::AtomicBool;

use super::estimates::{estimates, pace};
use super::workers::Workers;
use crate::engine::{self, Environment, Event, Preference, Request, Summary};
use crate::plan::{Knowledge, Plan};
use crate::project::sharing::signing::{Signer, catch_up, obstacle, sign};
use crate::project::targets::select::Selection;
use crate::project::{ExitCode, Failure};
use crate::stages::{Device, describe};
use base::record::Record;
use store::Store;

/// How a selection is made.
pub struct Making<'a> {
    /// Where inputs come from and outputs go.
    pub store: &'a Store,
    /// Where stages run.
    pub workers: &'a Workers,
    /// Who signs what is made, if anybody does.
    pub signer: Option<&'a Signer>,
    /// Whether to go on with what does not depend on a stage that failed.
    pub keep_going: bool,
    /// For the records.
    pub environment: &'a Environment,
    /// Set it to stop.
    pub cancel: &'a AtomicBool,
}

/// What is told while a selection is made.
pub enum Notice<'a> {
    /// So many records of this user's had no signature and were signed.
    CaughtUp(usize),
    /// What has to run is decided; told once.
    Planned {
        /// What has to run.
        plan: &'a Plan,
        /// Seconds that each stage of the graph should take.
        seconds: &'a [f64],
        /// Seconds that the plan should take.
        total: f64,
    },
    /// Something happened.
    Event(&'a Event),
    /// All stages have ended.
    Ended,
    /// So many new records were signed.
    Signed(usize),
}

impl Selection {
    /// Computes what is not known yet, and tells what happens.
    ///
    /// # Errors
    /// If the project would not use what this user computes, the device is not here, or the store fails.
    pub fn make(&self, how: &Making<'_>, tell: &mut dyn FnMut(Notice<'_>)) -> Result<Summary, Failure> {
        let Making { store, workers, signer, keep_going, environment, cancel } = *how;
        let chosen = &workers.chosen;
        // A key that cannot be used is said before anything runs.
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
            // Said before anything runs, not by the first stage that trains.
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
            environment,
            cancel,
        };
        let summary = engine::make(&request, &mut |event| {
            if let Event::Planned(plan) = &event {
                let measure = |steps: &_, chains| pace(chosen, self.graph.policy, steps, chains);
                estimates.calibrate(&self.graph, plan, workers.jobs, measure);
                let total = estimates.of_plan(plan, workers.jobs);
                tell(Notice::Planned { plan, seconds: &estimates.seconds, total });
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

    /// Lists the stages behind the targets whose training left the finite numbers, and where it did.
    pub fn diverged(&self, knowledge: &[Knowledge]) -> Vec<(String, String)> {
        let needed = self.graph.closure(&self.targets);
        let stages = self.graph.stages.iter().zip(knowledge).zip(needed).filter(|(_, needed)| *needed);
        stages.filter_map(|((stage, known), _)| Some((stage.name.clone(), engine::divergence(known)?))).collect()
    }

    /// Returns how many stages have several different results, the first of them, and the record of it that is used.
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

    /// Lists what was made in the store's catalogue, if it has one.
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
