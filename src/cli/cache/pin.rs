//! `wdpipe cache pin`, `unpin` and `pins`: results that `cache gc` never removes.

use std::collections::BTreeSet;

use clap::Args;
use serde::Serialize;

use crate::cli::arguments::VariantArgs;
use crate::cli::environment::{now, who};
use crate::cli::format::{bytes, columns, count, date, plain};
use crate::cli::ui::Ui;
use crate::project::{ExitCode, Failure, Project, is_hex};
use base::digest::{ObjectDigest, StageKey};
use store::{PinName, Store};

/// Protect a figure, a stage or an object from `cache gc`.
///
/// Everything that it was made from is protected too.
/// Pinning does not bring back missing objects; `make` and `cache check --repair` do. Without a target, the pins are
/// listed.
#[derive(Debug, Args)]
pub struct PinCommand {
    /// A figure, panel or stages; or at least 8 digits of a key, a record or an object.
    #[arg(value_name = "TARGET")]
    target: Option<String>,
    /// Reason, for people who find the pin.
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
    /// Name of the pin [default: derived from the target].
    #[arg(long, value_name = "NAME")]
    name: Option<PinName>,
    #[command(flatten)]
    variant: VariantArgs,
}

/// Remove a pin; its objects stay until the next `cache gc`.
#[derive(Debug, Args)]
pub struct UnpinCommand {
    /// Name of the pin: see `cache pins`.
    #[arg(value_name = "NAME")]
    name: PinName,
}

/// List the pins.
#[derive(Debug, Args)]
pub struct PinsCommand {
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Output of `cache pins --json`.
#[derive(Serialize)]
struct PinsAnswer<'a> {
    pins: Vec<PinAnswer<'a>>,
}

#[derive(Serialize)]
struct PinAnswer<'a> {
    name: &'a str,
    made: u64,
    who: &'a str,
    reason: &'a str,
    keys: &'a BTreeSet<StageKey>,
    objects: &'a BTreeSet<ObjectDigest>,
}

impl<'a> PinAnswer<'a> {
    fn of(pin: &'a store::Pin) -> Self {
        let store::Pin { name, made, who, reason, keys, objects } = pin;
        Self { name: name.as_str(), made: *made, who, reason, keys, objects }
    }
}

impl PinCommand {
    /// Runs the command.
    ///
    /// # Errors
    /// If the target is unknown or was not made, or the pin cannot be written.
    pub fn run(&self, project: &Project, store: &Store, ui: &Ui) -> Result<(), Failure> {
        let Some(target) = &self.target else { return PinsCommand { json: false }.run(store, ui) };
        let (what, objects) = project.behind(target, &self.variant.to_variant(), store)?;
        let name = self.name.clone().unwrap_or_else(|| match is_hex(target) {
            true => PinName::like(&target[..target.len().min(12)]),
            false => PinName::like(&format!("{target}@{}", self.variant.profile)),
        });
        let keys: BTreeSet<StageKey> = what.members.iter().map(|member| member.key).collect();
        let pin =
            store::Pin { name, made: now(), who: who(), reason: self.reason.clone(), keys, objects: objects.clone() };
        store.pin(&pin)?;
        let outputs = what.members.iter().flat_map(|member| &member.record.outputs);
        let mut all: BTreeSet<ObjectDigest> =
            outputs.filter(|output| output.inline.is_none()).map(|output| output.object).collect();
        all.extend(objects);
        let (mut here, mut size) = (0, 0);
        for object in &all {
            if let Some(bytes) = store.stored_bytes(object)? {
                (here, size) = (here + 1, size + bytes);
            }
        }
        let (stages, kept) = (count(pin.keys.len(), "stage"), count(here, "object"));
        ui.say(&format!("pinned {}: {stages}, {kept}, {}", pin.name, bytes(size)));
        if here < all.len() {
            let gone = count(all.len() - here, "object");
            ui.say(&format!("{gone} of it are not here; `wdpipe cache check --repair` recovers them"));
        }
        Ok(())
    }
}

impl UnpinCommand {
    /// Runs the command.
    ///
    /// # Errors
    /// If there is no such pin, or it cannot be removed.
    pub fn run(&self, store: &Store, ui: &Ui) -> Result<(), Failure> {
        if !store.unpin(&self.name)? {
            let message = format!("there is no pin `{}` in {}", self.name, store.root().display());
            return Err(Failure::new(ExitCode::Missing, message, "`wdpipe cache pins` lists the pins"));
        }
        ui.say(&format!("unpinned {}; its objects stay until the next `wdpipe cache gc`", self.name));
        Ok(())
    }
}

impl PinsCommand {
    /// Runs the command.
    ///
    /// # Errors
    /// If a pin cannot be read.
    pub fn run(&self, store: &Store, ui: &Ui) -> Result<(), Failure> {
        let pins = store.pins()?;
        if self.json {
            ui.json(&PinsAnswer { pins: pins.iter().map(PinAnswer::of).collect() });
            return Ok(());
        }
        let row = |pin: &store::Pin| {
            let kept = match pin.objects.len() {
                0 => count(pin.keys.len(), "stage"),
                objects => count(objects, "object"),
            };
            vec![pin.name.to_string(), kept, date(pin.made), plain(&pin.who), plain(&pin.reason)]
        };
        match pins.is_empty() {
            true => ui.say("nothing is pinned"),
            false => columns(&pins.iter().map(row).collect::<Vec<_>>()).iter().for_each(|line| ui.answer(line)),
        }
        Ok(())
    }
}
