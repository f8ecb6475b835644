//! The commands that recomputing committed figures would run.

use std::collections::{BTreeMap, BTreeSet};

use super::committed::Subject;
use crate::engine::Rerunner;
use crate::project::running::commands::consent_to;
use crate::project::{Consent, Failure, Project};
use crate::stages::other_files;
use crate::verify::{self, Evidence, Pick};
use base::digest::StageKey;
use base::work::Work;
use store::Store;

impl Project {
    /// Lists the commands among the stages that would be recomputed, each once with the keys of its stages. Commands whose
    /// files are not in the project's folder cannot run, so they are left out. Figures that cannot be read are left to
    /// [`Project::verify`].
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn commands_again(
        &self,
        subjects: &[Subject],
        store: &Store,
        (count, seed): (Option<usize>, &str),
    ) -> Result<Vec<(Consent, BTreeSet<StageKey>)>, Failure> {
        let mut found: BTreeMap<Vec<String>, (Consent, BTreeSet<StageKey>)> = BTreeMap::new();
        for subject in subjects {
            let (Ok(Some(lock)), Ok(beside)) = (subject.place.lock(), subject.beside()) else { continue };
            let evidence = Evidence::gather(&lock, &beside.0, &beside.1, Some(store))?;
            for (stage, record) in verify::pick(&evidence, Pick { count, seed, training: false }) {
                let Ok((Work::Command(command), _)) = Rerunner::work(record) else { continue };
                if other_files(&command, self.root()).is_none() {
                    let consent = consent_to(&command);
                    let (_, keys) = found.entry(consent.lines.clone()).or_insert((consent, BTreeSet::new()));
                    keys.insert(stage.key);
                }
            }
        }
        Ok(found.into_values().collect())
    }
}
