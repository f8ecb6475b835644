//! The commands that a plan would run, as the user is asked about them.

use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::project::targets::select::Selection;
use crate::project::{Consent, Failure, all_quoted, quoted};
use base::work::{Command, Parameter, Work};
use store::Store;

/// The files that the commands of a selection declare.
#[derive(Debug, Default)]
pub struct Declared {
    /// The folder that the paths start from.
    pub root: PathBuf,
    /// The files, without repetitions.
    pub paths: BTreeSet<String>,
}

impl Selection {
    /// Lists the files that commands declare, whether they have to run or not.
    pub fn declared_files(&self) -> Declared {
        let mut declared = Declared::default();
        for stage in &self.graph.stages {
            let Work::Command(command) = &stage.work else { continue };
            declared.root.clone_from(&command.terms.root);
            declared.paths.extend(command.code.keys().chain(command.lock.iter().map(|lock| &lock.path)).cloned());
        }
        declared
    }

    /// Lists the commands that have to run, each once with its files and what it runs in. Sweeps do not make a command
    /// another one: the lines hold the words as they are written, and the hashes of the files.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn commands(&self, store: &Store) -> Result<Vec<Consent>, Failure> {
        if !self.graph.stages.iter().any(|stage| matches!(stage.work, Work::Command(_))) {
            return Ok(Vec::new());
        }
        let plan = self.plan(store)?;
        let commands = plan.run.iter().filter_map(|run| match &self.graph.stages[run.stage].work {
            Work::Command(command) => Some(lines(command)),
            _ => None,
        });
        let different: BTreeSet<Vec<String>> = commands.collect();
        Ok(different.into_iter().map(consent).collect())
    }
}

/// Returns the consent that a command needs.
pub fn consent_to(command: &Command) -> Consent {
    consent(lines(command))
}

fn consent(lines: Vec<String>) -> Consent {
    Consent { what: "this project wants to run a program of its own".to_owned(), lines }
}

/// Describes a command: its words with those that start its image, its files, and what it runs in. A text can be code, so
/// texts are among the lines, but numbers are not.
fn lines(command: &Command) -> Vec<String> {
    let with = command.image.iter().flat_map(|image| &image.with);
    let words: Vec<String> = with.chain(&command.run).cloned().collect();
    let texts = command.parameters.iter().filter_map(|(name, value)| match value {
        Parameter::Text(text) => Some(format!("{{{name}}} is {}", quoted(text))),
        Parameter::Bool(_) | Parameter::Int(_) | Parameter::Float(_) => None,
    });
    let code = command.code.iter().map(|(path, hash)| format!("{path}  {}", &hash[..16.min(hash.len())]));
    let lock = command.lock.iter().map(|lock| format!("{}  {}", lock.path, &lock.hash[..16.min(lock.hash.len())]));
    let image = command.image.iter().map(|image| format!("image {}", image.reference));
    let variables = command.variables.iter().map(|(name, value)| format!("{name}={value}"));
    std::iter::once(all_quoted(&words)).chain(texts).chain(code).chain(lock).chain(image).chain(variables).collect()
}
