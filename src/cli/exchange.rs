//! `wdpipe export` and `wdpipe import`: weights to and from other programs.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::arguments::VariantArgs;
use super::environment::{brought, sign_import};
use super::format::{bytes, count};
use super::ui::{Ui, not_for_eyes};
use crate::project::{ExitCode, Failure, ImportedWeights, Project, evaluation_of, quoted, record_weights};
use crate::spec::OWN;
use base::work::Work;
use files::Named;
use learn::LearnError;
use learn::exchange::{self, Float64};
use learn::layout::layout;
use store::OBJECT_LIMIT;

/// Write a stage's weights to a file for PyTorch and others.
///
/// Names and shapes are those of a PyTorch state dict; `load_state_dict(safetensors.torch.load_file(FILE))` loads it.
#[derive(Debug, Args)]
pub struct ExportWeightsCommand {
    /// A stage with weights, such as 'fig3/trunk[lr=0.1,seed=0]@5' or 'fig3/probe[after=21,lr=0.1,seed=0]'; or one of kind
    /// ema_eval, such as 'fig3/ema[lr=0.1,seed=0]@5', for the averaged network with its batch-norm statistics.
    #[arg(value_name = "STAGE")]
    stage: String,
    #[command(flatten)]
    variant: VariantArgs,
    /// Format of the file.
    #[arg(long, value_enum, default_value_t = Format::Safetensors, value_name = "FORMAT")]
    format: Format,
    /// Names of the tensors.
    #[arg(long, value_enum, default_value_t = Names::Own, value_name = "NAMES")]
    names: Names,
    /// Output to write: weights, ema (the averaged parameters) or momentum; the last two have no batch-norm statistics.
    #[arg(long, default_value = "weights", value_name = "NAME")]
    output: String,
    /// File to write; - means standard output [default: STAGE.safetensors in this folder].
    #[arg(long, alias = "out", value_name = "FILE")]
    to: Option<PathBuf>,
}

/// Import weights from a safetensors file, for use in pipelines.
#[derive(Debug, Args)]
pub struct ImportWeightsCommand {
    /// Safetensors file, as written by `wdpipe export` or PyTorch.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Name of the weights in pipelines [default: the file's name without its extension].
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Round float64 numbers to float32. Without this option, a file is refused if float32 cannot represent one of its
    /// numbers exactly.
    #[arg(long)]
    round: bool,
}

/// File format.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    /// Named tensors that PyTorch, NumPy and JAX read.
    Safetensors,
}

/// Names of tensors.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Names {
    /// As in this program: stage2.0.norm1.weight.
    Own,
    /// As in the paper's authors' checkpoints: layer2.0.bn1.weight.
    Authors,
}

/// Hint how PyTorch writes a file that `import` accepts, even for a model in the memory format channels_last, whose
/// tensors are not contiguous.
const SAVE: &str = "from PyTorch: safetensors.torch.save_file({k: v.float().contiguous() for k, v in \
                    model.state_dict().items()}, FILE)";

fn unreadable(error: LearnError) -> Failure {
    Failure::new(ExitCode::Failed, error.to_string(), "")
}

impl ExportWeightsCommand {
    /// Runs the command.
    ///
    /// # Errors
    /// If there is no such stage, it has no such weights or was not run yet, or the file cannot be written.
    pub fn run(&self, project: &Project, ui: &Ui) -> Result<(), Failure> {
        let selection = project.select(&self.variant.to_variant(), std::slice::from_ref(&self.stage))?;
        let graph = &selection.graph;
        let [id] = selection.targets[..] else {
            let message = format!("`{}` names {}", self.stage, count(selection.targets.len(), "stage"));
            let first = &graph.stages[selection.targets[0]].name;
            return Err(Failure::usage(message, format!("name one of them; the first is '{first}'")));
        };
        let stage = &graph.stages[id];
        let store = project.store_of(std::slice::from_ref(&self.stage))?;
        let (model, weights) = match &stage.work {
            Work::EmaEval(work) if ["weights", "ema"].contains(&self.output.as_str()) => {
                let estimating = || ui.say("estimating batch-norm statistics from the training images");
                (work.model, selection.averaged_weights(id, work, &store, &estimating)?)
            }
            _ => selection.recorded_weights(id, &self.output, &store)?,
        };
        let layout = layout(model).map_err(unreadable)?;
        if weights.iter().count() < layout.entries.len() {
            let statistics = layout.entries.iter().filter(|entry| !entry.is_parameter()).count();
            let without = format!(
                "`{}` has no batch-norm statistics: {} of the network are left out",
                self.output,
                count(statistics, "tensor")
            );
            ui.warn(&match (self.output.as_str(), evaluation_of(graph, id)) {
                ("ema", Some(evaluation)) => {
                    format!("{without}; `wdpipe export {}` writes the complete averaged network", quoted(evaluation))
                }
                ("ema", None) => format!("{without}; in PyTorch torch.optim.swa_utils.update_bn estimates them"),
                _ => without,
            });
        }
        if !weights.is_finite() {
            ui.warn(&format!("`{}` diverged: its weights are not finite, and cannot be imported again", stage.name));
        }
        let names = match self.names {
            Names::Own => exchange::Names::Own,
            Names::Authors => exchange::Names::Authors,
        };
        let Format::Safetensors = self.format;
        let file = exchange::export(&weights, &layout, names).map_err(unreadable)?;
        let path = self.to.clone().unwrap_or_else(|| PathBuf::from(file_name(&stage.name)));
        let named = not_for_eyes(Named::create(&path)?)?;
        let place = named.path().to_owned();
        named.write_whole(&file)?;
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

/// Returns the name of a file for a stage's weights.
fn file_name(stage: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || "=.@-".contains(c) { c } else { '-' };
    format!("{}.safetensors", stage.replace(']', "").chars().map(plain).collect::<String>())
}

impl ImportWeightsCommand {
    /// Runs the command.
    ///
    /// # Errors
    /// If the file cannot be read, or its tensors do not fit a network of this program.
    pub fn run(&self, project: &Project, ui: &Ui) -> Result<(), Failure> {
        let stem = || self.file.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        let name = self.name.clone().unwrap_or_else(stem);
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)) {
            let message = format!("`{name}` is not a valid name for weights");
            return Err(Failure::usage(message, "use only letters, digits, - _ and . in --name NAME"));
        }
        let started = std::time::Instant::now();
        let file = files::read_regular(&self.file, OBJECT_LIMIT)
            .map_err(|error| Failure::new(ExitCode::Missing, error.to_string(), ""))?;
        let float64 = if self.round { Float64::Rounded } else { Float64::Exact };
        let exchange::ImportedWeights { model, weights, done, is_average } =
            exchange::import(&file, float64).map_err(|error| {
                let is_archive = self.file.extension().is_some_and(|extension| extension == "wdpipe");
                let path = self.file.display().to_string();
                let archive = format!("it is an archive: run `wdpipe cache import {}` to import it", quoted(&path));
                let hint = match error {
                    _ if is_archive => archive,
                    LearnError::Data(_) => format!("{SAVE}; {OWN}"),
                    _ => SAVE.to_owned(),
                };
                Failure::new(ExitCode::Failed, format!("{path}: {error}"), hint)
            })?;
        for done in done {
            ui.say(&done);
        }
        if is_average {
            ui.warn(
                "the file comes from PyTorch's AveragedModel, whose batch-norm statistics do not fit the averaged weights \
                 unless torch.optim.swa_utils.update_bn estimated them again",
            );
        }
        let content = weights.to_bytes().map_err(unreadable)?;
        let store = project.store_to_fill()?;
        let provenance = brought(format!("weights/{name}"), started);
        let ImportedWeights { object, digest, replaced } =
            record_weights(&store, &name, &weights, &content, provenance)?;
        if replaced {
            ui.warn(&format!("`{name}` named other weights before; from now on it names these"));
        }
        sign_import(&store, digest, ui)?;
        ui.say(&format!("imported {} as `{}`; to start a pipeline from them, write", object.short(), name));
        ui.answer(&format!(
            "[stage.start]\nkind    = \"weights\"\nname    = \"{}\"\nmodel   = \"{}\"\nwidth   = {}\nclasses = {}{}",
            name,
            model.name.name(),
            model.width,
            model.classes,
            match (model.conv_bias, model.name.is_residual()) {
                (true, _) => "\nconv_bias = true",
                // The tensors do not show this.
                (false, false) => "\ninput_norm = \"cifar+imagenet\"    # or \"cifar\", as it was trained",
                (false, true) => "",
            }
        ));
        Ok(())
    }
}
