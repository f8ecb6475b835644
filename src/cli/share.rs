//! `wdpipe cache share`, and messages about a store that several accounts use.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::format::count;
use super::ui::Ui;
use crate::project::{ExitCode, Failure, Project};
use store::{Finding, Shared, Store, StoreError};

/// Share a cache with a group, or repair a shared cache.
///
/// Members of the group can then read and add files. Only the owner of the folder, who is the first to run this command,
/// can change, replace or remove files of others. Correct modes stay unchanged.
#[derive(Debug, Args)]
pub struct ShareCommand {
    /// Folder of the cache: a new one, or one that only its owner used.
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Group, by name or number. You must be a member.
    #[arg(long, value_name = "GROUP")]
    group: String,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Output of `cache share --json`.
#[derive(Serialize)]
struct ShareAnswer<'a> {
    group: u32,
    folders_set: u64,
    files_set: u64,
    others: u64,
    findings: Vec<FindingAnswer<'a>>,
}

/// Finding about how a store is shared, for JSON.
#[derive(Serialize)]
pub struct FindingAnswer<'a> {
    fault: bool,
    what: &'a str,
    mend: &'a str,
}

impl ShareCommand {
    /// Runs the command.
    ///
    /// # Errors
    /// If there is no such group, or the folder cannot be shared with it.
    pub fn run(&self, ui: &Ui) -> Result<(), Failure> {
        let Self { folder, group, json } = self;
        let Some(number) = files::group_number(group) else {
            let hint = "`id` lists your groups; an administrator creates one with `groupadd lab` and adds people with \
                        `usermod -aG lab NAME`";
            return Err(Failure::usage(format!("this machine has no group `{group}`"), hint));
        };
        let Shared { folders, files, others, findings } = store::share(folder, number)?;
        if *json {
            ui.json(&ShareAnswer {
                group: number,
                folders_set: folders,
                files_set: files,
                others: others.as_ref().map_or(0, |(.., count)| *count),
                findings: answers(&findings),
            });
        } else {
            let (place, name) = (folder.display(), files::group_name(number));
            let (folders, files) = (count(folders as usize, "folder"), count(files as usize, "file"));
            ui.answer(&format!("{place} is shared with the group {name}: {folders} and {files} corrected"));
            if let Some((path, owner, number)) = &others {
                let (owner, files) = (files::user_name(*owner), count(*number as usize, "file"));
                ui.warn(&format!(
                    "{files} of others left unchanged, such as {} of {owner}: they must run the same command",
                    path.display()
                ));
            }
            lines(&findings).iter().for_each(|line| ui.answer(line));
            ui.say(&format!("members use it with --cache {place}, or WDPIPE_CACHE={place}"));
        }
        fails(&findings, &folder.display().to_string())
    }
}

/// Opens the cache for reading. If there is none, tells the user and returns an empty one.
///
/// # Errors
/// Like [`Store::existing`], except that a missing store is not an error.
pub fn store_or_none(project: &Project, ui: &Ui) -> Result<Store, StoreError> {
    match project.store() {
        Err(error @ StoreError::NoStore(_)) => {
            ui.say(&format!("{error}: nothing is cached"));
            Ok(Store::absent(&project.cache))
        }
        store => store,
    }
}

/// Warns of faults that keep others, or this account, from using a store.
///
/// # Errors
/// If the store cannot be inspected.
pub fn warn(store: &Store, ui: &Ui) -> Result<(), Failure> {
    for Finding { what, mend, .. } in store.sharing()?.into_iter().filter(|finding| finding.is_fault) {
        ui.warn(&format!("{what}{}{mend}", if mend.is_empty() { "" } else { "\n  " }));
    }
    Ok(())
}

/// Returns findings and their remedies as lines for people.
pub fn lines(findings: &[Finding]) -> Vec<String> {
    let mut lines = Vec::new();
    for Finding { what, mend, .. } in findings {
        lines.push(what.clone());
        if !mend.is_empty() {
            lines.push(format!("  {mend}"));
        }
    }
    lines
}

/// Returns findings and their remedies for JSON.
pub fn answers<'a>(findings: &'a [Finding]) -> Vec<FindingAnswer<'a>> {
    let one = |f: &'a Finding| FindingAnswer { fault: f.is_fault, what: &f.what, mend: &f.mend };
    findings.iter().map(one).collect()
}

/// Fails if a finding is a fault.
///
/// # Errors
/// If a finding is a fault. The findings were printed before.
pub fn fails(findings: &[Finding], place: &str) -> Result<(), Failure> {
    match findings.iter().filter(|finding| finding.is_fault).count() {
        0 => Ok(()),
        faults => {
            let message = format!("{} in the sharing of {place}", count(faults, "fault"));
            Err(Failure::new(ExitCode::Storage, message, "see each fault and its remedy above"))
        }
    }
}
