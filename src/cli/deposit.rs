//! `wdpipe crate`: packs a locked figure for a deposit, with RO-Crate metadata.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::arguments::plain;
use super::format::{bytes, count, shown};
use super::ui::Ui;
use crate::project::{DepositOptions, Failure, Project};
use base::digest::ClosureRoot;

/// Pack a locked figure with RO-Crate metadata, for a deposit.
///
/// Writes the new folder DIR. It holds the figure's files, its lock, records and numbers, the pipeline, the files that commands
/// declare, CITATION.cff, and ro-crate-metadata.json, which describes how each output was made. `wdpipe verify` works in it.
/// Authors and licence are those of CITATION.cff. The same figure gives the same bytes.
#[derive(Debug, Args)]
pub struct CrateCommand {
    /// A locked figure or variant.
    #[arg(value_name = "FIGURE")]
    figure: String,
    /// Folder to write; it must not exist.
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Profile of the figure.
    #[arg(long, default_value = "smoke", value_name = "NAME", value_parser = plain)]
    profile: String,
    /// Also pack the weights and images that the cache holds.
    #[arg(long)]
    all: bool,
    /// Licence: an SPDX identifier such as CC-BY-4.0, or an address [default: that of CITATION.cff].
    #[arg(long, value_name = "LICENCE")]
    license: Option<String>,
    /// Day of publication [default: the day on which the last stage was computed].
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = day)]
    date: Option<String>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Output of `crate --json`.
#[derive(Serialize)]
struct CrateAnswer<'a> {
    figure: &'a str,
    path: String,
    root: &'a ClosureRoot,
    files: usize,
    bytes: u64,
    stages: usize,
}

/// Reads a day.
fn day(text: &str) -> Result<String, String> {
    let numbers: Vec<u32> = text.split('-').filter_map(|part| part.parse().ok()).collect();
    let digits = text
        .bytes()
        .enumerate()
        .all(|(at, byte)| if at == 4 || at == 7 { byte == b'-' } else { byte.is_ascii_digit() });
    match numbers[..] {
        [_, 1..=12, 1..=31] if digits && text.len() == 10 => Ok(text.to_owned()),
        _ => Err("a day is needed, such as 2026-12-01".to_owned()),
    }
}

impl CrateCommand {
    /// Runs the command.
    ///
    /// # Errors
    /// If the figure is not locked or does not verify, nothing names a licence, or the folder exists or cannot be written.
    pub fn run(&self, project: &Project, ui: &Ui) -> Result<(), Failure> {
        let figure = project.cited(&self.figure, &self.profile)?;
        let store = if self.all { Some(project.store()?) } else { None };
        let options = DepositOptions { all: store.as_ref(), licence: self.license.clone(), date: self.date.clone() };
        let packed = project.pack(&figure, &self.folder, &options)?;
        if self.json {
            let (files, bytes, stages) = (packed.files, packed.bytes, packed.stages);
            let (figure, root, path) = (self.figure.as_str(), &figure.stamp.root, shown(&self.folder));
            ui.json(&CrateAnswer { figure, path, root, files, bytes, stages });
        }
        let (folder, files, size) = (self.folder.display(), count(packed.files, "file"), bytes(packed.bytes));
        ui.say(&format!("wrote {folder}: {files}, {size}; its metadata describes {}", count(packed.stages, "stage")));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_days_are_days() {
        assert_eq!(day("2026-12-01").as_deref(), Ok("2026-12-01"));
        for text in ["2026", "2026-13-01", "2026-12-00", "2026-12-1", "12-01-2026", "+026-12-01", "2026-12-01T00"] {
            assert!(day(text).is_err(), "{text}");
        }
    }
}
