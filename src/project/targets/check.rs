//! Checks every pipeline in each of its profiles.

use std::collections::BTreeMap;

use super::folder::{File, Folder};
use crate::project::{Failure, Project};
use crate::spec::{Diagnostic, Pipeline, expand};

/// Result of the check.
pub struct CheckedPipelines {
    /// One line for each mistake: file, line, message, profiles.
    pub mistakes: Vec<String>,
    /// Number of pipelines.
    pub pipelines: usize,
    /// Number of pairs of a pipeline and a profile.
    pub variants: usize,
}

impl Project {
    /// Checks every pipeline of the folder alone in each of its profiles, and that no two pipelines draw the same name.
    ///
    /// # Errors
    /// If there is no pipeline.
    pub fn check(&self) -> Result<CheckedPipelines, Failure> {
        let folder = Folder::read(&self.pipelines)?;
        let mut checked = CheckedPipelines { mistakes: Vec::new(), pipelines: folder.0.len(), variants: 0 };
        for file in &folder.0 {
            checked.add(file);
        }
        if let Err(clashes) = folder.clashes(|_| true) {
            checked.mistakes.extend(clashes.message.lines().map(|line| format!("{line}: {}", clashes.hint)));
        }
        Ok(checked)
    }
}

impl CheckedPipelines {
    fn add(&mut self, file: &File) {
        let text = match file.text() {
            Ok(text) => text,
            Err(why) => return self.mistakes.push(why.message),
        };
        let profiles = match Pipeline::profiles(&file.path, text) {
            Ok(profiles) => profiles,
            Err(complaint) => return self.mistakes.push(complaint.to_string()),
        };
        self.variants += profiles.len();
        // Mistakes in the order in which they are found.
        let mut found: Vec<Diagnostic> = Vec::new();
        let mut places: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        for (profile, _) in &profiles {
            let read = Pipeline::read(&file.name, &file.path, text, profile, &[]);
            for complaint in read.and_then(|pipeline| expand(&pipeline)).err().unwrap_or_default() {
                let profiles = places.entry(complaint.to_string()).or_default();
                if profiles.is_empty() {
                    found.push(complaint);
                }
                profiles.push(profile);
            }
        }
        if profiles.is_empty() {
            let none = Pipeline::read(&file.name, &file.path, text, "smoke", &[]).err().unwrap_or_default();
            self.mistakes.extend(none.iter().map(ToString::to_string));
        }
        let line = |complaint: Diagnostic| {
            let text = complaint.to_string();
            let named = places[&text].join(", ");
            format!("{text} (profile{} {named})", if places[&text].len() > 1 { "s" } else { "" })
        };
        self.mistakes.extend(found.into_iter().map(line));
    }
}
