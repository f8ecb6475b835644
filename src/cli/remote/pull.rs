//! `wdpipe pull`: what others computed, into this cache.

use std::collections::BTreeSet;

use clap::Args;

use super::super::admit::Accepting;
use super::super::advice::all_quoted;
use super::super::format::count;
use super::super::select::{Variant, select};
use super::super::signals::cancel_on_interrupt;
use super::super::ui::Ui;
use super::super::{ExitCode, Failure, Global};
use super::{Chosen, Through};
use crate::engine::{self, Resolver};
use crate::plan::Knowledge;
use base::work::is_bulk;
use store::ObjectState;

/// Fetches what others computed: by default records and numbers, from which figures are drawn here.
///
/// Everything is hashed as it arrives. What is here already is not fetched, and what was cut off goes on where it was.
#[derive(Debug, Args)]
pub struct Pull {
    /// Figures, panels or stages, or all.
    #[arg(required = true, value_name = "TARGET")]
    targets: Vec<String>,
    #[command(flatten)]
    variant: Variant,
    /// The remote: a name of the project's list, or a URL [default: the only one of the list].
    #[arg(long, value_name = "REMOTE")]
    from: Option<String>,
    /// Fetch everything: weights, images and drawings too.
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    accepting: Accepting,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

impl Pull {
    /// Runs the command.
    ///
    /// # Errors
    /// If the remote fails or has nothing of the targets, or the store cannot be written.
    pub fn run(&self, global: &Global, ui: &Ui) -> Result<(), Failure> {
        let selection = select(global, &self.variant, &self.targets)?;
        // A slip in the remote's name leaves no store behind.
        Chosen::find(global, self.from.as_deref())?;
        let store = global.store_to_fill()?;
        let through = Through::open(global, self.from.as_deref(), &self.accepting, cancel_on_interrupt(), ui)?;
        let records = through.records(&selection, &store)?;

        let needed = selection.graph.closure(&selection.targets);
        let knowledge = Resolver::new(&store, &selection.graph, &selection.preference).outlook(&needed)?;
        let known = engine::known(&selection.graph, &knowledge, &needed, &store)?;
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

        let stages = needed.iter().filter(|needed| **needed).count();
        let unknown =
            (0..needed.len()).filter(|&id| needed[id] && !matches!(knowledge[id], Knowledge::Known { .. })).count();
        let not_there = wanted.len() - fetched.objects;
        let (moved, size) = through.moved();
        if self.json {
            let object = serde_json::json!({
                "stages": stages, "unknown": unknown, "records": records, "objects": fetched.objects,
                "not_there": not_there, "bytes": size, "requests": through.requests(),
            });
            ui.answer(&object.to_string());
        } else {
            ui.say(&format!("fetched {} and {} ({moved})", count(records, "record"), count(fetched.objects, "object")));
            if not_there > 0 {
                ui.say(&format!("{} of it are not there either (dropped to save space)", count(not_there, "object")));
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
                let has = format!("{} of {} behind {targets}", stages - unknown, count(stages, "stage"));
                ui.warn(&format!(
                    "{has} are known now; `wdpipe make {}` computes the others",
                    all_quoted(&self.targets)
                ));
                Ok(())
            }
        }
    }
}
