//! `wdpipe pull`: fetches results of others into this cache.

use std::collections::BTreeSet;

use clap::Args;
use serde::Serialize;

use super::Moving;
use crate::cli::arguments::{AcceptArgs, VariantArgs};
use crate::cli::environment::of_remotes;
use crate::cli::format::count;
use crate::cli::signals::cancel_on_interrupt;
use crate::cli::ui::Ui;
use crate::project::{ChosenRemote, ExitCode, Failure, Project, Through, all_quoted};
use base::work::is_bulk;
use store::ObjectState;

/// Fetch results of others from a remote.
///
/// By default these are records and numbers, from which figures are drawn here. Everything is hashed as it arrives.
/// Files that are here already are not fetched, and an interrupted transfer continues where it stopped.
#[derive(Debug, Args)]
pub struct PullCommand {
    /// Figures, panels or stages, or all.
    #[arg(required = true, value_name = "TARGET")]
    targets: Vec<String>,
    #[command(flatten)]
    variant: VariantArgs,
    /// Remote: a name from the project's list, or a URL [default: the only remote in the list].
    #[arg(long, value_name = "REMOTE")]
    from: Option<String>,
    /// Fetch everything: weights, images and drawings too.
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    accepting: AcceptArgs,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Output of `pull --json`.
#[derive(Serialize)]
struct PullAnswer {
    stages: usize,
    unknown: usize,
    records: usize,
    objects: usize,
    not_there: usize,
    bytes: u64,
    requests: u64,
}

impl PullCommand {
    /// Runs the command.
    ///
    /// # Errors
    /// If the remote fails or has nothing of the targets, or the store cannot be written.
    pub fn run(&self, project: &Project, ui: &Ui) -> Result<(), Failure> {
        let selection = project.select(&self.variant.to_variant(), &self.targets)?;
        // The remote is found first, so that a misspelled name does not create a store.
        let chosen = ChosenRemote::find(project, self.from.as_deref(), of_remotes())?;
        let store = project.store_to_fill()?;
        let moving = Moving::new("fetched", cancel_on_interrupt(), ui);
        let through = Through::open(project, chosen, &self.accepting.accept, &moving)?;
        let records = through.records(&selection, &store)?;

        let resolved = selection.resolve(&store)?;
        let known = resolved.members(&store)?;
        let mut wanted = BTreeSet::new();
        for output in known.iter().flat_map(|member| &member.record.outputs) {
            if output.inline.is_none()
                && (self.all || !is_bulk(&output.name))
                && store.state(&output.object)? != ObjectState::Present
            {
                wanted.insert(output.object);
            }
        }
        let fetched = through.objects(&store, wanted.iter().copied())?;
        store.list(&known.iter().map(|member| (member.key, member.digest)).collect::<Vec<_>>(), &[])?;

        let stages = resolved.stages().count();
        let unknown = resolved.stages().filter(|(id, ..)| resolved.known(*id).is_none()).count();
        let not_there = wanted.len() - fetched.objects;
        let (moved, size) = (moving.so_far(), moving.bytes());
        if self.json {
            let (objects, requests) = (fetched.objects, through.requests());
            ui.json(&PullAnswer { stages, unknown, records, objects, not_there, bytes: size, requests });
        } else {
            ui.say(&format!("fetched {} and {} ({moved})", count(records, "record"), count(fetched.objects, "object")));
            if not_there > 0 {
                ui.say(&format!("the remote lacks {} too", count(not_there, "object")));
            }
        }
        if let Some(failure) = through.trouble(&all_quoted(&self.targets)) {
            return Err(failure);
        }
        let targets = self.targets.join(" ");
        match unknown {
            0 => Ok(()),
            _ if unknown == stages => {
                let message = format!("the remote has nothing of {targets} with these settings");
                let quoted = all_quoted(&self.targets);
                let hint = format!("`wdpipe make {quoted}` computes it; then `wdpipe push {quoted}` shares it");
                Err(Failure::new(ExitCode::Missing, message, hint))
            }
            _ => {
                let has = format!("{} of {} for {targets}", stages - unknown, count(stages, "stage"));
                ui.warn(&format!(
                    "{has} are known now; `wdpipe make {}` computes the others",
                    all_quoted(&self.targets)
                ));
                Ok(())
            }
        }
    }
}
