//! `wdpipe export` and `wdpipe import`: weights to and from other programs.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::advice::quoted;
use super::format::{bytes, count};
use super::select::{Variant, select};
use super::surroundings::brought;
use super::ui::Ui;
use super::{ExitCode, Failure, Global};
use crate::engine::{Import as Imported, Resolver};
use crate::fsx;
use crate::learn::LearnError;
use crate::learn::exchange;
use crate::learn::layout::layout;
use crate::learn::weights::Weights;
use crate::plan::Knowledge;
use crate::record::{Output, Record};
use crate::store::OBJECT_LIMIT;

/// Writes a stage's weights to a file for PyTorch and others.
///
/// Names and shapes are those of a PyTorch state dict; `load_state_dict(safetensors.torch.load_file(FILE))` takes it.
#[derive(Debug, Args)]
pub struct Export {
    /// A stage with weights, such as 'fig3/trunk[lr=0.1,seed=0]@3' or 'fig3/probe[after=3,lr=0.1,seed=0]'.
    #[arg(value_name = "STAGE")]
    stage: String,
    #[command(flatten)]
    variant: Variant,
    /// The file's format.
    #[arg(long, value_enum, default_value_t = Format::Safetensors, value_name = "FORMAT")]
    format: Format,
    /// What the tensors are called.
    #[arg(long, value_enum, default_value_t = Names::Own, value_name = "NAMES")]
    names: Names,
    /// Which weights: weights, ema (the averaged parameters) or momentum; the last two have no batch-norm statistics.
    #[arg(long, default_value = "weights", value_name = "NAME")]
    output: String,
    /// The file; - is standard output [default: STAGE.safetensors in this folder].
    #[arg(long, alias = "out", value_name = "FILE")]
    to: Option<PathBuf>,
}

/// Takes weights from a safetensors file into the store, for pipelines to start from.
#[derive(Debug, Args)]
pub struct Import {
    /// The file, as `wdpipe export` or PyTorch writes it.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// What pipelines call them [default: the file's name].
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
}

/// A file format.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    /// Named tensors that PyTorch, NumPy and JAX read.
    Safetensors,
}

/// What tensors are called.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Names {
    /// As in this program: stage2.0.norm1.weight.
    Own,
    /// As in the paper's authors' checkpoints: layer2.0.bn1.weight.
    Authors,
}

fn unreadable(error: LearnError) -> Failure {
    Failure::new(ExitCode::Failed, error.to_string(), "")
}

impl Export {
    /// Runs the command.
    ///
    /// # Errors
    /// If there is no such stage, it has no such weights or was not run yet, or the file cannot be written.
    pub fn run(&self, global: &Global, ui: &Ui) -> Result<(), Failure> {
        let selection = select(global, &self.variant, std::slice::from_ref(&self.stage))?;
        let graph = &selection.graph;
        let [id] = selection.targets[..] else {
            let message = format!("`{}` names {}", self.stage, count(selection.targets.len(), "stage"));
            let first = &graph.stages[selection.targets[0]].name;
            return Err(Failure::usage(message, format!("name one of them; the first is '{first}'")));
        };
        let stage = &graph.stages[id];
        let outputs = stage.work.outputs();
        let is_theirs = ["weights", "ema", "momentum"].contains(&self.output.as_str());
        let has_it = is_theirs && outputs.contains(&self.output.as_str());
        let Some(model) = stage.work.network().filter(|_| has_it) else {
            let message = format!("`{}` has no weights `{}`", stage.name, self.output);
            let hint = "stages of kind init, weights, train and probe have `weights`, some that train also `ema` or \
                        `momentum`; `wdpipe show STAGE --output NAME` shows any other output";
            return Err(Failure::usage(message, hint));
        };
        let store = global.store()?;
        let knowledge = Resolver::new(&store, graph, &selection.preference).all(&graph.closure(&[id]))?;
        let outline = match &knowledge[id] {
            Knowledge::Known { outline, .. } => outline,
            _ => {
                let message = format!("`{}` was not run yet with these settings", stage.name);
                return Err(Failure::new(
                    ExitCode::Missing,
                    message,
                    format!("`wdpipe make {}` runs it", quoted(&stage.name)),
                ));
            }
        };
        let Some(output) = outline.output(&self.output) else {
            return Err(Failure::usage(format!("`{}` has no output `{}`", stage.name, self.output), ""));
        };
        let layout = layout(model).map_err(unreadable)?;
        let content = store.output(output)?;
        let whole = self.output == "weights";
        let expected = layout.entries.iter().filter(|entry| whole || entry.is_parameter());
        let weights = Weights::from_bytes(&content, expected).map_err(unreadable)?;
        if !weights.is_finite() {
            ui.warn(&format!("`{}` diverged: its weights are not numbers, and cannot be imported again", stage.name));
        }
        let names = match self.names {
            Names::Own => exchange::Names::Own,
            Names::Authors => exchange::Names::Authors,
        };
        let Format::Safetensors = self.format;
        let file = exchange::export(&weights, &layout, names).map_err(unreadable)?;
        let path = self.to.clone().unwrap_or_else(|| PathBuf::from(file_name(&stage.name)));
        let place = fsx::write_named(&path, &file)?;
        let tensors = count(weights.iter().count(), "tensor");
        ui.say(&format!(
            "wrote {}: {tensors} of {}, width {} ({})",
            place.display(),
            model.name.name(),
            model.width,
            bytes(file.len() as u64)
        ));
        Ok(())
    }
}

/// A stage's name as that of a file.
fn file_name(stage: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "=.@-".contains(c) { c } else { '-' };
    format!("{}.safetensors", stage.replace(']', "").chars().map(plain).collect::<String>())
}

impl Import {
    /// Runs the command.
    ///
    /// # Errors
    /// If the file cannot be read, or its tensors are of no network of this program.
    pub fn run(&self, global: &Global, ui: &Ui) -> Result<(), Failure> {
        let stem = || self.file.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        let name = self.name.clone().unwrap_or_else(stem);
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)) {
            let message = format!("`{name}` is no name for weights");
            return Err(Failure::usage(message, "letters, digits, - _ and . are allowed: say --name NAME"));
        }
        let started = std::time::Instant::now();
        let file = fsx::read(&self.file, OBJECT_LIMIT)
            .map_err(|error| Failure::new(ExitCode::Missing, error.to_string(), ""))?;
        let (model, weights) = exchange::import(&file).map_err(|error| {
            let hint = "save it from PyTorch with safetensors.torch.save_file(model.state_dict(), FILE)";
            Failure::new(ExitCode::Failed, format!("{}: {error}", self.file.display()), hint)
        })?;
        let content = weights.to_bytes().map_err(unreadable)?;
        let store = global.store_to_fill()?;
        let object = store.put(&content)?;
        let record = Record {
            parts: Imported::Weights(&name).parts(),
            outputs: vec![Output { name: "weights".to_owned(), object, bytes: content.len() as u64, inline: None }],
            tensors: weights.digests().map(|(name, digest)| (name.to_owned(), digest)).collect(),
            provenance: brought(format!("weights/{name}"), started),
        };
        let before = store.records(&record.parts.key())?;
        if before.first().is_some_and(|(_, newest)| !newest.same_outputs(&record)) {
            ui.warn(&format!("other weights were called `{name}` before; from now on these are"));
        }
        store.publish_newest(record)?;
        ui.say(&format!("imported {} as `{}`; a pipeline starts from them with", object.short(), name));
        ui.answer(&format!(
            "[stage.start]\nkind    = \"weights\"\nname    = \"{}\"\nmodel   = \"{}\"\nwidth   = {}\nclasses = {}{}",
            name,
            model.name.name(),
            model.width,
            model.classes,
            match (model.conv_bias, model.name.is_residual()) {
                (true, _) => "\nconv_bias = true",
                // Not told by the tensors.
                (false, false) => "\ninput_norm = \"cifar+imagenet\"    # or \"cifar\", as it was trained",
                (false, true) => "",
            }
        ));
        Ok(())
    }
}
