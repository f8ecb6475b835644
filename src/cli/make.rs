//! `wdpipe make`: makes figures, panels or stages, with everything they need.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use clap::Args;
use serde::Serialize;

use super::arguments::{AcceptArgs, VariantArgs};
use super::cluster::{Start, Started, Wanted};
use super::consent;
use super::dry;
use super::environment::{now, of_remotes, signer, who};
use super::format::{count, date, duration, shown};
use super::live::LiveEvents;
use super::narrow;
use super::parse;
use super::planned::{say_plan, warn_of_room};
use super::progress::ProgressView;
use super::remote::Moving;
use super::report;
use super::share::{self, store_or_none};
use super::signals::cancel_on_interrupt;
use super::ui::Ui;
use crate::cost::gpus::Gpu;
use crate::engine::{self, EngineError, Environment, Everything};
use crate::project::{
    ChosenRemote, Departure, ExitCode, Exported, Failure, Limits, Making, Notice, PageWish, Project, Selection,
    Through, Variant, Workers, all_quoted, obstacle,
};
use crate::stages::Device;
use base::digest::ObjectDigest;
use store::Store;

/// Make figures: compute missing results, and draw.
///
/// A target is a figure (fig3), a panel of it (fig3c), one or more stages (fig3/trunk[lr=0.1]), or all.
#[derive(Debug, Args)]
pub struct MakeCommand {
    /// Figures, panels or stages, or all.
    #[arg(required = true, value_name = "TARGET")]
    targets: Vec<String>,
    #[command(flatten)]
    variant: VariantArgs,
    /// Name of the figure's files [default: that of the figure; FIGURE@HASH8 if --set or --until-width
    /// changes the figure].
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Device to train on: auto (a GPU if there is one), cpu, cuda or cuda:N.
    #[arg(long, default_value = "auto", value_name = "DEVICE")]
    device: Device,
    /// Number of stages that run at a time [default: the number of cores; on GPUs the fastest number, found by trial].
    #[arg(long, short, value_name = "N", value_parser = parse::jobs)]
    jobs: Option<NonZeroUsize>,
    /// Continue with stages that do not depend on a failed stage.
    #[arg(long, short)]
    keep_going: bool,
    /// Use results of others from a remote: a name from the project's list, or a URL [without a value: the only remote in
    /// the list].
    #[arg(long, value_name = "REMOTE", num_args = 0..=1, require_equals = true)]
    remote: Option<Option<String>>,
    #[command(flatten)]
    accepting: AcceptArgs,
    /// Only print what would run, why, and the estimated cost.
    #[arg(long, short = 'n')]
    dry_run: bool,
    /// With --dry-run: GPU to estimate the cost for, from its data sheet: h200, h100, a100, l40s or rtx4090.
    #[arg(long, value_name = "GPU", value_parser = Gpu::named, requires = "dry_run", conflicts_with = "device")]
    assume: Option<Gpu>,
    /// Write the numbers of every stage as runs of TensorBoard into a folder, while stages are computed.
    #[arg(long, value_name = "DIR", conflicts_with = "dry_run")]
    tensorboard: Option<PathBuf>,
    /// Print one JSON object at the end.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    start: Start,
    /// Add seeds, in steps to 3, 5, 8, 12, 18, …, until the 95 % confidence interval of every point's mean is at most this wide,
    /// in the unit of the axis. The looks at these numbers of seeds share the 5 %. Each interval holds by itself, for runs
    /// that do not diverge.
    #[arg(long, alias = "ci", value_name = "WIDTH", value_parser = parse::width)]
    until_width: Option<f64>,
    /// With --until-width: time limit, such as 90s, 20min or 2h; seeds that would exceed it are not added.
    #[arg(long, value_name = "TIME", requires = "until_width", value_parser = parse::time)]
    budget: Option<f64>,
}

/// Output of `make --json`.
#[derive(Serialize)]
struct MakeAnswer<'a> {
    target: String,
    profile: &'a str,
    device: String,
    stages_total: usize,
    stages_cached: usize,
    stages_run: usize,
    seconds: f64,
    outputs: Vec<WrittenAnswer<'a>>,
    diverged: Vec<&'a str>,
    notices: &'a [String],
    errors: Vec<String>,
}

#[derive(Serialize)]
struct WrittenAnswer<'a> {
    path: String,
    blake3: &'a ObjectDigest,
}

impl<'a> WrittenAnswer<'a> {
    fn of(file: &'a Exported) -> Self {
        Self { path: shown(&file.path), blake3: &file.digest }
    }
}

/// Outcome of one run of `make`.
pub struct Once {
    /// Stages that were made.
    pub selection: Selection,
    /// Counts, records and errors.
    pub summary: engine::Summary,
    /// Device and number of jobs.
    pub workers: Workers,
}

impl MakeCommand {
    /// Runs the command.
    ///
    /// # Errors
    /// If a target cannot be made.
    pub fn run(&self, project: &Project, ui: &Ui) -> Result<(), Failure> {
        let started = Instant::now();
        let cancel = cancel_on_interrupt();
        let variant = self.variant.to_variant();
        // The pipelines are read first, so that a mistake in them or a wrong folder does not create a store.
        let (selection, workers) = self.selected(project, &variant, ui)?;
        if selection.figures().next().is_some() && project.reports.is_file() {
            let message = format!("{} is a file, but figures need a folder", project.reports.display());
            return Err(Failure::new(ExitCode::Storage, message, "give --reports DIR to write to another folder"));
        }
        let store = if self.dry_run { store_or_none(project, ui)? } else { project.store_to_fill()? };
        share::warn(&store, ui)?;
        let moving = self.remote.as_ref().map(|_| Moving::new("fetched", Arc::clone(&cancel), ui));
        let through = match (&self.remote, &moving) {
            (Some(remote), Some(moving)) => {
                let chosen = ChosenRemote::find(project, remote.as_deref(), of_remotes())?;
                Some(Through::open(project, chosen, &self.accepting.accept, moving)?)
            }
            _ => None,
        };
        if self.dry_run {
            return self.dry_run(selection, project, (&workers, &store), through.as_ref(), ui);
        }
        if let (Some(through), Some(moving)) = (through, &moving) {
            let records = through.records(&selection, &store)?;
            let objects = through.bytes(&selection, &store)?;
            if let Some(Failure { message, hint, .. }) = through.trouble(&all_quoted(&self.targets)) {
                ui.warn(&format!("{message}; missing results are computed here if needed. {hint}"));
            }
            if records + objects > 0 {
                let (records, objects) = (count(records, "record"), count(objects, "object"));
                ui.say(&format!("fetched {records} and {objects} ({})", moving.so_far()));
            }
        }
        drop(moving);
        for consent in selection.commands(&store)? {
            consent::ensure(&consent, self.start.site.yes, ui)?;
        }
        let mut by_workers = 0;
        if let Some(choice) = &self.start.executor {
            let wanted = Wanted {
                targets: &self.targets,
                variant: &variant,
                device: &self.device,
                jobs: self.jobs.map(NonZeroUsize::get),
                workers: &workers,
                json: self.json,
            };
            match self.start.run(choice, &wanted, (project, &store, &selection), &cancel, ui)? {
                Started::Complete(stages) => by_workers = stages,
                Started::GoesOn => return Ok(()),
            }
        }
        let mut once = self.once(selection, workers, &store, &cancel, ui)?;
        // What the workers computed is known now.
        let by_workers = by_workers.min(once.summary.cached);
        once.summary.cached -= by_workers;
        once.summary.computed += by_workers;
        if let Some(width) = self.until_width {
            let limits = Limits { width, budget: self.budget, started };
            while once.summary.errors.is_empty() && !cancel.load(Ordering::Relaxed) {
                let next = narrow::more_seeds(&once, project, &store, (&variant, &self.targets), &limits, ui)?;
                let Some(variant) = next else { break };
                let (selection, workers) = self.selected(project, &variant, ui)?;
                once = self.once(selection, workers, &store, &cancel, ui)?;
            }
        }
        self.finish(once, &store, project, (started, cancel.load(Ordering::Relaxed)), ui)
    }

    /// Reads the pipelines and prints what will be made.
    fn selected(&self, project: &Project, variant: &Variant, ui: &Ui) -> Result<(Selection, Workers), Failure> {
        let mut selection = project.select(variant, &self.targets)?;
        if let Some(name) = &self.name {
            selection.call(name, project)?;
        }
        let device = if self.assume.is_some() { &Device::Cuda(0) } else { &self.device };
        let workers = Workers::choose(device, selection.graph.policy, self.jobs);
        let workers = workers.map_err(|error| Failure::usage(error, "use --device cpu, or add --set policy=native"))?;
        let about = match &selection.about[..] {
            [about] if !about.is_empty() => format!(" ({about})"),
            _ => String::new(),
        };
        let targets = self.targets.join(" ");
        ui.say(&format!(
            "{targets}: profile {}{about}, device {}, {}",
            variant.profile,
            self.assume.map_or_else(|| workers.likely.to_string(), |gpu| format!("{} (assumed)", gpu.name)),
            if workers.grow && self.assume.is_none() {
                "as many jobs as make it faster".to_owned()
            } else {
                count(workers.jobs.get(), "job")
            }
        ));
        Ok((selection, workers))
    }

    /// Prints what would run, and the estimated cost.
    fn dry_run(
        &self,
        selection: Selection,
        project: &Project,
        (workers, store): (&Workers, &Store),
        through: Option<&Through<'_>>,
        ui: &Ui,
    ) -> Result<(), Failure> {
        let plan = match through {
            Some(through) => {
                let (plan, records) = through.planned(&selection, store)?;
                ui.say(&format!("would fetch {}, if they may be used here", count(records, "record")));
                plan
            }
            None => selection.plan(store)?,
        };
        let room = selection.room(&plan, store);
        let forecast = selection.forecast(plan, store, workers, self.assume)?;
        if let Some(why) = &forecast.unknown {
            ui.warn(&format!("{why}; the duration of the stages there is unknown"));
        }
        if !forecast.plan.run.is_empty()
            && let Some(Failure { message, hint, .. }) = obstacle(&selection, signer()?.as_ref(), &who())
        {
            ui.warn(&format!("{message}: {hint}"));
        }
        dry::print(&selection.graph, &forecast, (room, &project.cache), &self.variant.profile, self.json, ui);
        if self.until_width.is_some() {
            ui.say("only the first look is shown; `make` then adds seeds as long as an interval is too wide");
        }
        if let Some(choice) = self.start.executor.as_ref().filter(|_| !forecast.plan.run.is_empty()) {
            let jobs = self.jobs.map(NonZeroUsize::get);
            self.start.describe(choice, (project, &selection.graph), (workers, jobs), &forecast, ui)?;
        }
        // The program ends here: freeing these would take long, as at the end of `finish`.
        std::mem::forget(forecast);
        std::mem::forget(selection);
        Ok(())
    }

    /// Computes missing results.
    fn once(
        &self,
        selection: Selection,
        workers: Workers,
        store: &Store,
        cancel: &AtomicBool,
        ui: &Ui,
    ) -> Result<Once, Failure> {
        let signer = signer()?;
        let environment = Environment { who: who(), now };
        let making = Making {
            store,
            workers: &workers,
            signer: signer.as_ref(),
            keep_going: self.keep_going,
            duty: &Everything,
            environment: &environment,
            cancel,
        };
        let name = signer.as_ref().map(|signer| signer.name.to_string()).unwrap_or_default();
        let mut view = ProgressView::new(&selection.graph, *ui);
        let mut live = self.tensorboard.as_ref().map(|folder| LiveEvents::new(folder));
        let summary = selection.make(&making, &mut |notice| match notice {
            Notice::CaughtUp(records) => {
                let records = count(records, "record");
                ui.say(&format!("{records} that you computed here before had no signature; signed by `{name}`"));
            }
            Notice::Planned { plan, seconds, total, room } => {
                say_plan(plan, Some(total), ui);
                warn_of_room(room, store.root(), ui);
                view.begin(&plan.run.iter().map(|run| run.stage).collect::<Vec<_>>(), seconds);
            }
            Notice::Event(event) => {
                view.show(event);
                if let Some(live) = &mut live {
                    live.hear(event, &selection, store, ui);
                }
            }
            Notice::Ended => view.end(),
            Notice::Signed(records) => ui.say(&format!("{} signed by `{name}`", count(records, "record"))),
        })?;
        if let Some(live) = live {
            live.end(&selection, store, ui);
        }
        Ok(Once { selection, summary, workers })
    }

    /// Writes the figures and prints a summary.
    fn finish(
        &self,
        once: Once,
        store: &Store,
        project: &Project,
        (started, interrupted): (Instant, bool),
        ui: &Ui,
    ) -> Result<(), Failure> {
        let Once { selection, summary, workers } = once;
        let diverged = selection.diverged(&summary.knowledge);
        for (stage, place) in &diverged {
            ui.warn(&format!("{stage} diverged ({place}); this is recorded and drawn as a result"));
        }
        say_several(&selection, &summary, store, ui)?;
        let exported = selection.export(&summary.knowledge, store)?;
        for Exported { path, changed, .. } in &exported {
            ui.say(&format!("{} {}", if *changed { "wrote" } else { "unchanged" }, path.display()));
        }
        let notices = selection.notices(&summary.knowledge, store)?;
        notices.iter().for_each(|notice| ui.warn(notice));
        say_departures(&selection, &summary, store, ui);
        selection.catalogue(&summary, store)?;
        if self.targets.iter().any(|target| target == "all") && summary.errors.is_empty() && !interrupted {
            report::tell(&selection.write_page(PageWish { all: true, commit: false }, store, project)?, ui);
        }
        let seconds = started.elapsed().as_secs_f64();
        ui.say(&format!("{} run, {} cached, {}", count(summary.computed, "stage"), summary.cached, duration(seconds)));
        if self.json {
            ui.json(&MakeAnswer {
                target: self.targets.join(" "),
                profile: &self.variant.profile,
                device: workers.likely.to_string(),
                stages_total: summary.total,
                stages_cached: summary.cached,
                stages_run: summary.computed,
                seconds,
                outputs: exported.iter().map(WrittenAnswer::of).collect(),
                diverged: diverged.iter().map(|(stage, _)| stage.as_str()).collect(),
                notices: &notices,
                errors: summary.errors.iter().map(ToString::to_string).collect(),
            });
        }
        let first = summary.errors.into_iter().next();
        // The program ends here: freeing a large graph would take a tenth of the program's time.
        std::mem::forget((selection, summary.knowledge));
        match first {
            Some(error) => Err(error.into()),
            None if interrupted => Err(EngineError::Interrupted.into()),
            None => Ok(()),
        }
    }
}

/// Warns of stages with several different results, and names the result that was used.
///
/// # Errors
/// If a record cannot be read.
fn say_several(selection: &Selection, summary: &engine::Summary, store: &Store, ui: &Ui) -> Result<(), Failure> {
    if let Some((several, first, record)) = selection.several(summary, store)? {
        let made = &record.provenance;
        ui.warn(&format!(
            "{} came out differently in different runs, first {first}; the result by {} of {} is used (locked results come \
             first, then results signed by a trusted key, then the oldest). `wdpipe bisect {}` lists them",
            count(several, "stage"),
            made.who,
            date(made.finished),
            record.parts.key().short()
        ));
    }
    Ok(())
}

/// Reports figures that differ from their locks.
fn say_departures(selection: &Selection, summary: &engine::Summary, store: &Store, ui: &Ui) {
    for departure in selection.departures(&summary.knowledge, store) {
        match departure {
            Ok(Departure { figure, path, how }) => ui.say(&format!(
                "{figure} differs from {}: {how}; `wdpipe lock {figure}` locks the present result",
                path.display()
            )),
            Err(error) => ui.warn(&error.to_string()),
        }
    }
}
