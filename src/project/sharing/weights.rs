//! Reads recorded weights of stages, and computes averaged weights again.

use crate::engine::EngineError;
use crate::graph::{Graph, Stage, StageId};
use crate::project::targets::select::Selection;
use crate::project::{ExitCode, Failure, quoted};
use crate::stages::{Device, StageError, Worker};
use base::work::{EmaEval, Model, Work};
use learn::LearnError;
use learn::layout::layout;
use learn::weights::Weights;
use store::Store;

impl Selection {
    /// Reads the weights in an output of a stage, and returns them with their network.
    ///
    /// # Errors
    /// If the stage has no such weights, was not run yet, or they cannot be read.
    pub fn recorded_weights(&self, id: StageId, output: &str, store: &Store) -> Result<(Model, Weights), Failure> {
        let stage = &self.graph.stages[id];
        let model = network(stage, output)?;
        let resolved = self.resolve_imported(store)?;
        let Some((_, outline)) = resolved.known(id) else { return Err(not_run(&stage.name)) };
        let Some(recorded) = outline.output(output) else {
            return Err(Failure::usage(format!("`{}` has no output `{output}`", stage.name), ""));
        };
        let layout = layout(model).map_err(unreadable)?;
        let whole = output == "weights";
        let expected = layout.entries.iter().filter(|entry| whole || entry.is_parameter());
        let weights = Weights::from_bytes(&store.output(recorded)?, expected).map_err(unreadable)?;
        Ok((model, weights))
    }

    /// Returns the averaged network that a stage evaluates, with batch-norm statistics estimated as in that stage. They are
    /// computed again, since the stage records only numbers; `estimating` is called before that.
    ///
    /// # Errors
    /// If the inputs of the stage are not known, or the statistics cannot be computed.
    pub fn averaged_weights(
        &self,
        id: StageId,
        work: &EmaEval,
        store: &Store,
        estimating: &dyn Fn(),
    ) -> Result<Weights, Failure> {
        let name = &self.graph.stages[id].name;
        let Some((inputs, parts)) = self.resolve_imported(store)?.inputs(id, store)? else {
            return Err(not_run(name));
        };
        let read = |role: &str| {
            let output = inputs.get(role).ok_or_else(|| StageError::NoInput(role.to_owned()))?;
            Ok(store.output(output)?)
        };
        estimating();
        let weights = Worker::new(Device::Auto, self.graph.policy, 0).averaged(work, &parts.inputs, &read);
        weights.map_err(|source| EngineError::Stage { stage: name.clone(), source: Box::new(source) }.into())
    }
}

/// Returns the network of a stage whose output `output` has weights.
fn network(stage: &Stage, output: &str) -> Result<Model, Failure> {
    let is_theirs = ["weights", "ema", "momentum"].contains(&output);
    let has_it = is_theirs && stage.work.outputs().contains(&output);
    stage.work.network().filter(|_| has_it).ok_or_else(|| {
        let message = format!("`{}` has no weights `{output}`", stage.name);
        let hint = "stages of kind init, weights, train and probe have `weights`; some stages of kind train also have \
                    `ema` or `momentum`; name a stage of kind ema_eval for the averaged network; run \
                    `wdpipe show STAGE --output NAME` to see any other output";
        Failure::usage(message, hint)
    })
}

fn not_run(stage: &str) -> Failure {
    let message = format!("`{stage}` was not run yet with these settings");
    Failure::new(ExitCode::Missing, message, format!("run `wdpipe make {}`", quoted(stage)))
}

fn unreadable(error: LearnError) -> Failure {
    Failure::new(ExitCode::Failed, error.to_string(), "")
}

/// Finds the stage that evaluates the averaged weights of a stage of training.
pub fn evaluation_of(graph: &Graph, training: StageId) -> Option<&str> {
    let reads = |stage: &&Stage| stage.inputs.iter().any(|input| input.stage == training && input.output == "ema");
    let evaluations = graph.stages.iter().filter(|stage| matches!(stage.work, Work::EmaEval(_)));
    evaluations.filter(|stage| reads(stage)).map(|stage| stage.name.as_str()).next()
}
