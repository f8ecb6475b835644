//! Says why there is no figure to verify, and what the user probably meant.

use std::collections::BTreeSet;

use super::committed::Subject;
use crate::project::targets::folder::Folder;
use crate::project::{ExitCode, Failure, Project, quoted};
use crate::reports::Place;
use crate::spec::did_you_mean;

impl Project {
    /// Makes the failure for a target that has no files among the figures in the reports folder.
    pub(super) fn no_figure(&self, target: &str, subjects: &[Subject]) -> Failure {
        let drawn = Folder::read(&self.pipelines).map(|folder| folder.targets()).unwrap_or_default();
        let is_figure = drawn.contains(target) && !target.contains('/');
        let there: BTreeSet<&str> = subjects.iter().map(|subject| subject.place.name.as_str()).collect();
        let close = did_you_mean(target, there.iter().copied());
        let message = format!("there is no locked figure `{target}` in {}", self.reports.display());
        if is_figure {
            return Failure::new(
                ExitCode::Missing,
                message,
                format!("run `wdpipe lock {}` to lock it", quoted(target)),
            );
        }
        let hint = match there.is_empty() {
            true => String::new(),
            false => format!("figures there: {}", Vec::from_iter(there).join(", ")),
        };
        Failure::usage(message + &close, hint)
    }

    /// Makes the failure for a reports folder without figures, or without figures of a profile.
    pub(super) fn no_figures(&self, profile: Option<&str>) -> Failure {
        let folders = files::list(&self.reports).unwrap_or_default();
        let has_figures = |name: &&String| Place::any(&self.reports.join(name)).is_ok_and(|places| !places.is_empty());
        let profiles: Vec<&str> = folders.iter().filter(has_figures).map(String::as_str).collect();
        let reports = self.reports.display();
        if let (Some(profile), [_, ..]) = (profile, &profiles[..]) {
            let message = format!("there is no figure of profile {profile} in {reports}");
            return Failure::usage(message, format!("profiles there: {}", profiles.join(", ")));
        }
        let message = format!("there is no figure in {reports}");
        if Place::any(&self.reports).is_ok_and(|places| !places.is_empty()) {
            let hint = "it is the folder of one profile: give the folder above it with --reports DIR";
            return Failure::usage(message, hint);
        }
        match Folder::read(&self.pipelines) {
            Ok(_) => {
                Failure::new(ExitCode::Missing, message, "run `wdpipe lock all` to lock all figures that were made")
            }
            Err(Failure { hint, .. }) => Failure::new(ExitCode::Missing, message, hint),
        }
    }
}
