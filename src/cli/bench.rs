//! `wdpipe bench`: how fast this machine is.

use std::collections::BTreeMap;
use std::time::Duration;

use clap::{Args, ValueEnum};
use serde::Serialize;

use super::format::{columns, percent, short};
use super::parse::whole;
use super::share::store_or_none;
use super::ui::Ui;
use crate::bench::{Measured, repeated, storage};
use crate::project::{ExitCode, Failure, Project, Variant};
use crate::stages::{Device, describe};
use base::work::{ModelName, Policy, Precision};
use store::StoreError;

/// Measure how fast this machine trains, evaluates, stores and plans.
#[derive(Debug, Args)]
pub struct BenchCommand {
    /// Operations to measure [default: all].
    #[arg(value_name = "WHAT")]
    what: Vec<What>,
    /// Networks.
    #[arg(long, value_delimiter = ',', default_value = "preact-resnet18", value_name = "NAME,…", value_parser = network)]
    network: Vec<ModelName>,
    /// Widths: numbers of channels of the first stage.
    #[arg(long, value_delimiter = ',', default_value = "8,16", value_name = "N,…", value_parser = whole(1..=1024_u32))]
    width: Vec<u32>,
    /// Images per training step, or per chunk of a Hessian trace [default: 128; for a trace 50, or 250 on a GPU].
    #[arg(long, value_delimiter = ',', value_name = "N,…", value_parser = whole(1..=1_u32 << 16))]
    batch: Vec<u32>,
    /// Number of images of a Hessian trace [default: 100, or 2000 on a GPU].
    #[arg(long, value_name = "N", value_parser = whole(1..=1_u32 << 20))]
    images: Option<u32>,
    /// Precisions: fp32, tf32, bf16, fp16.
    #[arg(long, value_delimiter = ',', default_value = "fp32", value_name = "NAME,…", value_parser = precision)]
    precision: Vec<Precision>,
    /// Numbers of runs side by side, such as 1,2.
    #[arg(long, value_delimiter = ',', default_value = "1", value_name = "N,…", value_parser = whole(1..=64_u32))]
    chains: Vec<u32>,
    /// Use the NHWC instead of the NCHW memory layout.
    #[arg(long)]
    channels_last: bool,
    /// Also keep a moving average of the parameters.
    #[arg(long)]
    ema: bool,
    /// Also measure training with algorithms of libtorch that do not repeat bit by bit. Stages never use these; the
    /// difference is the cost of reproducibility.
    #[arg(long)]
    relaxed: bool,
    /// Device to measure: auto, cpu, cuda or cuda:N.
    #[arg(long, default_value = "auto", value_name = "DEVICE")]
    device: Device,
    /// Approximate duration of each measurement.
    #[arg(long, default_value = "3", value_name = "SECONDS", value_parser = seconds)]
    seconds: Duration,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Operation to measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    /// A training step.
    Train,
    /// An evaluation of 1000 images.
    Evaluate,
    /// A fine-tuning probe: an epoch over 2048 images, and their evaluation.
    Probe,
    /// A Hessian trace with four draws of Hutchinson's estimator.
    Trace,
    /// An exact Hessian trace, image by image.
    ExactTrace,
    /// Copying a checkpoint from the device, serializing and hashing it, for which training waits.
    Checkpoint,
    /// Writing checkpoints to the cache's disk, and reading them.
    Store,
    /// Planning all pipelines at the paper's scale.
    Plan,
}

/// Operations that need libtorch.
const LEARNING: [What; 6] = [What::Train, What::Evaluate, What::Probe, What::Trace, What::ExactTrace, What::Checkpoint];

fn network(text: &str) -> Result<ModelName, String> {
    let short = |name: &str| name == text || name.strip_prefix("preact-") == Some(text);
    let names = ModelName::ALL.map(|(name, _)| name).join(", ");
    let found = ModelName::ALL.into_iter().find(|(name, _)| short(name));
    found.map(|(_, network)| network).ok_or_else(|| format!("the networks are {names}"))
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().filter(|seconds| (0.0..=3600.0).contains(seconds));
    seconds.map(Duration::from_secs_f64).ok_or_else(|| "a number of seconds from 0 to 3600 is needed".to_owned())
}

fn precision(text: &str) -> Result<Precision, String> {
    let found = Precision::ALL.into_iter().find(|(name, _)| *name == text);
    found.map(|(_, precision)| precision).ok_or_else(|| "the precisions are fp32, tf32, bf16 and fp16".to_owned())
}

impl BenchCommand {
    /// Runs the command.
    ///
    /// # Errors
    /// If a size is invalid, or something required is missing.
    pub fn run(&self, project: &Project, ui: &Ui) -> Result<(), Failure> {
        let mut all = Vec::new();
        let budget = self.seconds;
        let mut done = |measured: Measured| {
            ui.say(&format!("{}: {}", measured.what, milliseconds(measured.seconds(0.5))));
            all.push(measured);
        };
        self.learning(budget, &mut done)?;
        if self.wants(What::Store) {
            stored(project, budget)?.into_iter().for_each(&mut done);
        }
        if self.wants(What::Plan) {
            done(plan(project, budget, ui)?);
        }
        let machine = describe(&self.device, Policy::Native).unwrap_or_else(|reason| reason);
        if self.json {
            ui.json(&BenchAnswer { machine, measured: all.iter().map(MeasuredAnswer::of).collect() });
        } else {
            ui.answer(&machine);
            columns(&table(&all)).iter().for_each(|line| ui.answer(line));
        }
        Ok(())
    }

    fn wants(&self, what: What) -> bool {
        self.what.is_empty() || self.what.contains(&what)
    }
}

#[cfg(feature = "torch")]
impl BenchCommand {
    /// Measures the operations that need libtorch: first the ceiling of every precision, then every setting.
    fn learning(&self, budget: Duration, done: &mut dyn FnMut(Measured)) -> Result<(), Failure> {
        use crate::bench::learning;
        use base::work::Model;

        if !LEARNING.iter().any(|what| self.wants(*what)) {
            return Ok(());
        }
        let failed = |error: crate::stages::StageError| {
            let (code, hint) = match error.is_missing() {
                true => (ExitCode::Missing, "run `wdpipe doctor` to see what is missing"),
                false => (ExitCode::Failed, ""),
            };
            Failure::new(code, error.to_string(), hint)
        };
        let mut bench = learning::Bench::new(&self.device, Policy::Native, budget).map_err(failed)?;
        let on_gpu = bench.is_on_gpu();
        for &precision in &self.precision {
            done(bench.ceiling(precision).map_err(failed)?);
        }
        for (name, width) in self.network.iter().flat_map(|name| self.width.iter().map(move |width| (*name, *width))) {
            let classes = if name == ModelName::PreactResnet34 { 100 } else { 10 };
            let model = Model::new(name, width, classes);
            for (&precision, &chains) in self.precision.iter().flat_map(|one| self.chains.iter().map(move |n| (one, n)))
            {
                let setting = learning::Setting {
                    model,
                    batch: 1,
                    images: self.images.map_or(if on_gpu { 2000 } else { 100 }, |images| images as usize),
                    precision,
                    channels_last: self.channels_last,
                    average: self.ema,
                    chains: chains as usize,
                    strict: true,
                };
                let batches = |usual| if self.batch.is_empty() { vec![usual] } else { self.batch.clone() };
                let sized = |usual| {
                    let with = move |batch: u32| learning::Setting { batch: batch as usize, ..setting };
                    batches(usual).into_iter().map(with)
                };
                for setting in sized(128).filter(|_| self.wants(What::Train)) {
                    done(bench.training(&setting).map_err(failed)?);
                    if self.relaxed {
                        done(bench.training(&learning::Setting { strict: false, ..setting }).map_err(failed)?);
                    }
                }
                if self.wants(What::Evaluate) {
                    done(bench.evaluation(&setting).map_err(failed)?);
                }
                for setting in sized(128).filter(|_| self.wants(What::Probe)) {
                    done(bench.probe(&setting).map_err(failed)?);
                }
                for (what, exact) in [(What::Trace, false), (What::ExactTrace, true)] {
                    for setting in sized(if on_gpu { 250 } else { 50 }).filter(|_| self.wants(what)) {
                        done(bench.trace(&setting, exact).map_err(failed)?);
                    }
                }
                if self.wants(What::Checkpoint) {
                    done(bench.checkpoint(&setting).map_err(failed)?);
                }
            }
        }
        Ok(())
    }
}

#[cfg(not(feature = "torch"))]
impl BenchCommand {
    /// Returns an error if a requested operation needs libtorch.
    fn learning(&self, _: Duration, _: &mut dyn FnMut(Measured)) -> Result<(), Failure> {
        match self.what.iter().find(|what| matches!(what, what if LEARNING.contains(what))) {
            None => Ok(()),
            Some(_) => {
                let message = "this wdpipe was built without libtorch: it can measure `store` and `plan`";
                Err(Failure::new(ExitCode::Missing, message, "build it with its default features"))
            }
        }
    }
}

/// Measures the disk of the cache; no files remain there.
fn stored(project: &Project, budget: Duration) -> Result<Vec<Measured>, Failure> {
    let name = format!("bench-{}", std::process::id());
    let folder = match project.store() {
        Ok(store) => store.root().join("tmp").join(name),
        // A store is not created for this: the folder beside its place is on the same disk.
        Err(StoreError::NoStore(root)) => root.with_file_name(format!(".wdpipe-{name}")),
        Err(error) => return Err(error.into()),
    };
    let measured = storage::storage(&folder, budget);
    let removed = files::remove_all(&folder).map_err(|error| Failure::new(ExitCode::Storage, error.to_string(), ""));
    let measured = measured?;
    removed.map(|()| measured)
}

/// Measures planning every pipeline at the paper's scale, with the records of the cache.
fn plan(project: &Project, budget: Duration, ui: &Ui) -> Result<Measured, Failure> {
    let store = store_or_none(project, ui)?;
    let variant = Variant { profile: "paper".to_owned(), set: Vec::new() };
    let mut stages = 0;
    let seconds = repeated(budget, || {
        let selection = project.select(&variant, &[])?;
        stages = selection.graph.stages.len();
        selection.plan(&store).map(|_| 1)
    })?;
    Ok(Measured::new("plan of the paper's profile", (stages as f64, "stages"), 0.0, seconds))
}

fn milliseconds(seconds: f64) -> String {
    format!("{} ms", short(1e3 * seconds))
}

fn table(all: &[Measured]) -> Vec<Vec<String>> {
    let heads = [
        "what",
        "with",
        "median",
        "p10 to p90",
        "processor",
        "timings",
        "per second",
        "TFLOP/s",
        "of ceiling",
        "GB/s at least",
    ];
    let row = |m: &Measured| {
        let with: Vec<_> = m.settings.iter().filter_map(|(name, value)| told(name, value)).collect();
        let spread = format!("{} to {}", short(1e3 * m.seconds(0.1)), milliseconds(m.seconds(0.9)));
        let (_, items) = m.items;
        let bytes = (m.bytes > 0.0).then(|| short(m.bytes / m.seconds(0.5) / 1e9));
        vec![
            m.what.to_owned(),
            with.join(", "),
            milliseconds(m.seconds(0.5)),
            spread,
            milliseconds(m.processor(0.5)),
            m.count().to_string(),
            format!("{} {items}", short(m.rate())),
            m.flops_per_second().map_or(String::new(), |flops| short(flops / 1e12)),
            m.share().map_or(String::new(), percent),
            bytes.unwrap_or_default(),
        ]
    };
    std::iter::once(heads.map(str::to_owned).to_vec()).chain(all.iter().map(row)).collect()
}

/// Returns a setting as the table shows it, or `None` for a usual value.
fn told(name: &str, value: &str) -> Option<String> {
    match (name, value) {
        ("chains", "1") | ("bits", "repeat") => None,
        ("network" | "precision" | "layout", _) => Some(value.to_owned()),
        ("chains", _) => Some(format!("{value} chains")),
        _ => Some(format!("{name} {value}")),
    }
}

/// Output of `bench --json`.
#[derive(Serialize)]
struct BenchAnswer<'a> {
    machine: String,
    measured: Vec<MeasuredAnswer<'a>>,
}

#[derive(Serialize)]
struct MeasuredAnswer<'a> {
    what: &'a str,
    with: BTreeMap<&'a str, &'a str>,
    ms_median: f64,
    ms_min: f64,
    ms_p10: f64,
    ms_p90: f64,
    processor_ms_median: f64,
    timings: usize,
    items: &'a str,
    items_per_s: f64,
    flops: f64,
    bytes: f64,
    tflops: Option<f64>,
    share_of_ceiling: Option<f64>,
}

impl<'a> MeasuredAnswer<'a> {
    fn of(measured: &'a Measured) -> Self {
        let milliseconds = |quantile| 1e3 * measured.seconds(quantile);
        Self {
            what: measured.what,
            with: measured.settings.iter().map(|(name, value)| (*name, value.as_str())).collect(),
            ms_median: milliseconds(0.5),
            ms_min: milliseconds(0.0),
            ms_p10: milliseconds(0.1),
            ms_p90: milliseconds(0.9),
            processor_ms_median: 1e3 * measured.processor(0.5),
            timings: measured.count(),
            items: measured.items.1,
            items_per_s: measured.rate(),
            flops: measured.flops,
            bytes: measured.bytes,
            tflops: measured.flops_per_second().map(|flops| flops / 1e12),
            share_of_ceiling: measured.share(),
        }
    }
}
