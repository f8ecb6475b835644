//! The sandbox of a command's stage, for a user who tries something in it.

use crate::engine::EngineError;
use crate::project::targets::select::Selection;
use crate::project::{ExitCode, Failure, quoted};
use crate::stages::{CommandSandbox, StageError};
use base::isolation::Isolation;
use base::work::{Command, Work};
use store::Store;

impl Selection {
    /// Returns the name of the only target, and the command that it runs.
    ///
    /// # Errors
    /// If there are several targets, or it is not a command.
    pub fn only_command(&self) -> Result<(&str, &Command), Failure> {
        let stages: Vec<_> = self.targets.iter().map(|&id| &self.graph.stages[id]).collect();
        match &stages[..] {
            [stage] => match &stage.work {
                Work::Command(command) => Ok((&stage.name, command)),
                _ => Err(Failure::usage(
                    format!(
                        "`{}` is a stage of kind {}, which runs no program of yours",
                        stage.name,
                        stage.work.kind()
                    ),
                    "name a stage of kind command",
                )),
            },
            _ => Err(Failure::usage(
                format!("these are {} stages, but a sandbox is for one", stages.len()),
                stages
                    .first()
                    .map_or_else(String::new, |first| format!("name one of them; the first is '{}'", first.name)),
            )),
        }
    }

    /// Prepares the sandbox of the only target, with its inputs.
    ///
    /// # Errors
    /// The same as for [`Self::only_command`]; if an input was not made yet or cannot be read, or the sandbox cannot be had.
    pub fn sandbox(&self, store: &Store, level: Option<Isolation>) -> Result<CommandSandbox, Failure> {
        let (name, command) = self.only_command()?;
        let resolved = self.resolve_imported(store)?;
        let Some((inputs, _)) = self.targets.first().map(|&id| resolved.inputs(id, store)).transpose()?.flatten()
        else {
            let missing =
                resolved.stages().find(|(id, ..)| resolved.known(*id).is_none() && !self.targets.contains(id));
            let missing = missing.map_or(name, |(_, stage, _)| stage.name.as_str());
            return Err(Failure::new(
                ExitCode::Missing,
                format!("`{name}` reads `{missing}`, which was not made yet"),
                format!("run `wdpipe make {}` to make it", quoted(missing)),
            ));
        };
        let read = |role: &str| {
            let output = inputs.get(role).ok_or_else(|| StageError::NoInput(role.to_owned()))?;
            Ok(store.output(output)?)
        };
        let failed = |source| EngineError::Stage { stage: name.to_owned(), source: Box::new(source) };
        Ok(CommandSandbox::prepare(command, level, &read).map_err(failed)?)
    }
}
