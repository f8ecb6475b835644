//! `wdpipe push`: sends results to a remote, for others.

use clap::Args;
use serde::Serialize;

use super::Moving;
use crate::cli::arguments::VariantArgs;
use crate::cli::environment::of_remotes;
use crate::cli::format::count;
use crate::cli::signals::cancel_on_interrupt;
use crate::cli::ui::Ui;
use crate::project::{ChosenRemote, ExitCode, Failure, Objection, Project, all_quoted};
use base::work::is_bulk;
use store::remote;

/// Send results to a remote.
///
/// These are records, signatures, and the objects that are here. Files that the remote already has are not sent again.
#[derive(Debug, Args)]
pub struct PushCommand {
    /// Figures, panels or stages, or all.
    #[arg(required = true, value_name = "TARGET")]
    targets: Vec<String>,
    #[command(flatten)]
    variant: VariantArgs,
    /// Remote: a name from the project's list, or a URL [default: the only remote in the list].
    #[arg(long, value_name = "REMOTE")]
    to: Option<String>,
    /// Send only records, numbers and signatures, no weights, images and drawings.
    #[arg(long)]
    numbers: bool,
    /// Also read and hash the files that the remote already has, and send damaged ones again. Without this option only
    /// presence and sizes are checked, except in a folder, where everything is hashed.
    #[arg(long)]
    check: bool,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Output of `push --json`.
#[derive(Serialize)]
struct PushAnswer {
    stages: usize,
    records: usize,
    objects: usize,
    bytes: u64,
    not_here: usize,
    mended: usize,
    requests: u64,
    unsigned: usize,
    not_admitted: usize,
}

impl PushCommand {
    /// Runs the command.
    ///
    /// # Errors
    /// If nothing of the targets was made, or the remote fails or can only be read.
    pub fn run(&self, project: &Project, ui: &Ui) -> Result<(), Failure> {
        let store = project.store()?;
        let selection = project.select(&self.variant.to_variant(), &self.targets)?;
        let known = selection.resolve(&store)?.members(&store)?;
        if known.is_empty() {
            let message = format!("nothing of {} was made with these settings", self.targets.join(" "));
            return Err(Failure::new(
                ExitCode::Missing,
                message,
                format!("`wdpipe make {}` makes it", all_quoted(&self.targets)),
            ));
        }
        let chosen = ChosenRemote::find(project, self.to.as_deref(), of_remotes())?;
        let there = chosen.open(true)?;
        let objections = chosen.gate(project, &[])?.objections(&known, &store)?;
        let records: Vec<_> = known.iter().map(|member| (member.digest, &member.record)).collect();
        let is_wanted = |output: &str| !self.numbers || !is_bulk(output);
        let moving = Moving::new("sent", cancel_on_interrupt(), ui);
        let send = remote::Sending { records: &records, is_wanted: &is_wanted, thorough: self.check };
        let sent = remote::send(there.as_ref(), &store, send, &moving)?;
        if self.json {
            ui.json(&PushAnswer {
                stages: known.len(),
                records: sent.records,
                objects: sent.objects,
                bytes: sent.bytes,
                not_here: sent.missing,
                mended: sent.mended,
                requests: there.requests(),
                unsigned: objections.get(&Objection::Unsigned).copied().unwrap_or_default(),
                not_admitted: objections.values().sum(),
            });
            return Ok(());
        }
        let (records, objects) = (count(sent.records, "record"), count(sent.objects, "object"));
        ui.say(&format!("sent {records} and {objects} to {} ({})", chosen.name, moving.so_far()));
        if sent.missing > 0 {
            let objects = count(sent.missing, "object");
            ui.say(&format!("not sent: {objects} that this cache does not have"));
        }
        if sent.mended > 0 {
            ui.say(&format!(
                "{} were missing or damaged in the remote and were sent again",
                count(sent.mended, "file")
            ));
        }
        let targets = all_quoted(&self.targets);
        for (objection, records) in objections {
            let records = format!("{} of {}", records, count(known.len(), "record"));
            ui.say(&match objection {
                Objection::Unsigned => format!(
                    "{records} are unsigned: the receiver must use `--accept unsigned`. To sign what you computed, run \
                     `wdpipe keys sign {targets}`, then push again"
                ),
                Objection::Revoked => format!(
                    "{records} are signed by revoked keys only: the receiver must use `--accept unsigned`"
                ),
                Objection::Stranger(key) => format!(
                    "{records} are signed by {key}, which trust.toml does not name: the receiver must use `--accept {key}`. \
                     `wdpipe keys trust NAME {key}` makes the project trust it"
                ),
            });
        }
        Ok(())
    }
}
