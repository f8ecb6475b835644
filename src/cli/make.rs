//! `wdpipe make`: figures, panels or stages, with all that they need.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use clap::Args;

use super::admit::Accepting;
use super::advice::all_quoted;
use super::dry;
use super::environment::{now, who};
use super::estimates::{Estimates, estimates, pace};
use super::export::{Exported, export, notices};
use super::format::{count, date, duration, shown};
use super::lock;
use super::narrow::{self, Limits};
use super::parse;
use super::progress::Progress;
use super::remote::Through;
use super::report;
use super::select::{Selection, Variant, select};
use super::share;
use super::signals::cancel_on_interrupt;
use super::signing::{self, sign};
use super::ui::Ui;
use super::{ExitCode, Failure, Global};
use crate::cost::gpus::Gpu;
use crate::engine::{self, EngineError, Environment, Event, Preference, Request};
use crate::plan::{Knowledge, Plan};
use crate::stages::Device;
use store::Store;

/// Makes figures: computes what is not known yet, and draws.
///
/// A target is a figure (fig3), a panel of it (fig3c), a stage or several (fig3/trunk[lr=0.1]), or all.
#[derive(Debug, Args)]
pub struct Make {
    /// What to make.
    #[arg(required = true, value_name = "TARGET")]
    targets: Vec<String>,
    #[command(flatten)]
    variant: Variant,
    /// What the figure's files are called [default: as the figure; FIGURE@HASH8 if --set or --ci makes it another].
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Where to train: auto (a GPU if there is one), cpu, cuda or cuda:N.
    #[arg(long, default_value = "auto", value_name = "DEVICE")]
    device: Device,
    /// Stages at a time [default: the number of cores; on GPUs as many as make it faster, which is found out].
    #[arg(long, short, value_name = "N", value_parser = parse::jobs)]
    jobs: Option<NonZeroUsize>,
    /// Go on with what does not depend on a stage that failed.
    #[arg(long, short)]
    keep_going: bool,
    /// Use what others computed: a name of the project's remotes, or a URL [without a value: the only one of the list].
    #[arg(long, value_name = "REMOTE", num_args = 0..=1, require_equals = true)]
    remote: Option<Option<String>>,
    #[command(flatten)]
    accepting: Accepting,
    /// Only say what would run, why, and what it should cost.
    #[arg(long, short = 'n')]
    dry_run: bool,
    /// With --dry-run: what it should cost on a GPU that is not here, assumed from its data sheet: h200, h100, a100, l40s or
    /// rtx4090.
    #[arg(long, value_name = "GPU", value_parser = Gpu::named, requires = "dry_run", conflicts_with = "device")]
    assume: Option<Gpu>,
    /// Print one JSON object at the end.
    #[arg(long)]
    json: bool,
    /// Add seeds, to 3, 5, 8, 12, 18, …, until the 95 % confidence interval of every point's mean is at most so wide, in the
    /// unit of the axis. The looks at these numbers share the 5 %. Each interval holds by itself, for runs that do not diverge.
    #[arg(long, value_name = "WIDTH", value_parser = narrow::width)]
    ci: Option<f64>,
    /// With --ci: stop adding seeds before this time is spent, such as 90s, 20min or 2h.
    #[arg(long, value_name = "TIME", requires = "ci", value_parser = narrow::time)]
    budget: Option<f64>,
}

/// What one run of `make` came to.
pub struct Once {
    /// What was made.
    pub selection: Selection,
    /// Counts, records and errors.
    pub summary: engine::Summary,
    /// Jobs at a time.
    pub jobs: NonZeroUsize,
    /// The device, as chosen and as it should come to.
    pub devices: (Device, Device),
}

impl Make {
    /// Runs the command.
    ///
    /// # Errors
    /// Whatever keeps a target from being made.
    pub fn run(&self, global: &Global, ui: &Ui) -> Result<(), Failure> {
        let started = Instant::now();
        let cancel = cancel_on_interrupt();
        // First, so that a mistake in it or the wrong folder leaves no store behind.
        let first = self.selected(global, &self.variant, ui)?;
        let store = if self.dry_run { global.store_or_none(ui)? } else { global.store_to_fill()? };
        share::warn(&store, ui)?;
        let through = match &self.remote {
            Some(remote) => Some(Through::open(global, remote.as_deref(), &self.accepting, Arc::clone(&cancel), ui)?),
            None => None,
        };
        if self.dry_run {
            let mut estimates = match self.assume {
                Some(gpu) => Estimates::by_data_sheet(&first.0, gpu),
                None => estimates(&first.0, &store, &first.2.1)?,
            };
            if let (chosen @ Device::Cuda(_), false, None) = (&first.2.0, estimates.measured(), self.assume)
                && let Err(why) = crate::stages::describe(chosen, first.0.graph.policy)
            {
                estimates.known = false;
                ui.warn(&format!("{why}; how long the stages take there is not known"));
            }
            let plan = match &through {
                Some(through) => {
                    let (plan, records) = through.planned(&first.0, &store)?;
                    ui.say(&format!("would fetch {}, if they may be used here", count(records, "record")));
                    plan
                }
                None => planned(&first.0, &store)?,
            };
            if !plan.run.is_empty()
                && let Some(Failure { message, hint, .. }) =
                    signing::obstacle(&first.0, signing::signing_key()?.as_ref())
            {
                ui.warn(&format!("{message}: {hint}"));
            }
            let printed = dry::print(&first.0, &plan, &estimates, first.1, (&self.variant.profile, self.json), ui);
            // As at the end of finish.
            std::mem::forget((first, plan));
            return printed;
        }
        if let Some(through) = through {
            let records = through.records(&first.0, &store)?;
            let objects = through.bytes(&first.0, &store)?;
            if let Some(Failure { message, hint, .. }) = through.trouble(&all_quoted(&self.targets)) {
                ui.warn(&format!("{message}; what is needed of it is computed here. {hint}"));
            }
            if records + objects > 0 {
                let (records, objects) = (count(records, "record"), count(objects, "object"));
                ui.say(&format!("fetched {records} and {objects} ({})", through.moved().0));
            }
        }
        let mut once = self.once(first, &store, &cancel, ui)?;
        if let Some(width) = self.ci {
            let limits = Limits { width, budget: self.budget, started };
            while once.summary.errors.is_empty() && !cancel.load(Ordering::Relaxed) {
                let Some(variant) =
                    narrow::more_seeds(&once, &store, global, &self.variant, &self.targets, &limits, ui)?
                else {
                    break;
                };
                once = self.once(self.selected(global, &variant, ui)?, &store, &cancel, ui)?;
            }
        }
        self.finish(once, &store, global, (started, cancel.load(Ordering::Relaxed)), ui)
    }

    /// Reads the pipelines and says what is about to be made.
    fn selected(
        &self,
        global: &Global,
        variant: &Variant,
        ui: &Ui,
    ) -> Result<(Selection, NonZeroUsize, (Device, Device)), Failure> {
        let mut selection = select(global, variant, &self.targets)?;
        if let Some(name) = &self.name {
            selection.call(name, global)?;
        }
        let policy = selection.graph.policy;
        let device = if self.assume.is_some() { &Device::Cuda(0) } else { &self.device };
        let chosen = device.under(policy).map_err(|error| Failure::usage(error, "say --device cpu"))?;
        let device = chosen.guess();
        let jobs = self.jobs.unwrap_or_else(|| default_jobs(&device));
        let about = match &selection.about[..] {
            [about] if !about.is_empty() => format!(" ({about})"),
            _ => String::new(),
        };
        let targets = self.targets.join(" ");
        ui.say(&format!(
            "{targets}: profile {}{about}, device {}, {}",
            variant.profile,
            self.assume.map_or_else(|| device.to_string(), |gpu| format!("{} (assumed)", gpu.name)),
            if self.grows(&device) && self.assume.is_none() {
                "as many jobs as make it faster".to_owned()
            } else {
                count(jobs.get(), "job")
            }
        ));
        Ok((selection, jobs, (chosen, device)))
    }

    /// Whether it is found out while stages run how many may share the device.
    fn grows(&self, device: &Device) -> bool {
        self.jobs.is_none() && matches!(device, Device::Cuda(_))
    }

    /// Computes what is not known yet.
    fn once(
        &self,
        (selection, jobs, devices): (Selection, NonZeroUsize, (Device, Device)),
        store: &Store,
        cancel: &AtomicBool,
        ui: &Ui,
    ) -> Result<Once, Failure> {
        let (chosen, device) = &devices;
        // A key that cannot be used is said before anything runs.
        let signing = signing::signing_key()?;
        match (&signing, signing::obstacle(&selection, signing.as_ref())) {
            (_, Some(obstacle)) if !planned(&selection, store)?.run.is_empty() => return Err(obstacle),
            (Some(signing), None) if selection.preference.is_strict() => signing::catch_up(store, signing, ui)?,
            _ => {}
        }
        let mut estimates = estimates(&selection, store, device)?;
        if let Device::Cuda(_) = chosen {
            // Said before anything runs, not by the first stage that trains.
            crate::stages::describe(chosen, selection.graph.policy)
                .map_err(|error| Failure::new(ExitCode::Missing, error, ""))?;
        }
        let environment = Environment { who: who(), now };
        let request = Request {
            graph: &selection.graph,
            targets: &selection.targets,
            store,
            preference: &selection.preference,
            device: chosen,
            jobs: if self.grows(device) { SHARE_GPUS } else { jobs },
            grow: self.grows(device),
            keep_going: self.keep_going,
            environment: &environment,
            cancel,
        };
        let mut progress = Progress::new(&selection.graph, *ui);
        let summary = engine::make(&request, &mut |event| {
            if let Event::Planned(plan) = &event {
                let policy = selection.graph.policy;
                let measure = |steps: &_, chains| pace(chosen, policy, steps, chains);
                estimates.calibrate(&selection.graph, plan, jobs, measure);
                say_plan(plan, &estimates, jobs, ui);
                progress.begin(&plan.run.iter().map(|run| run.stage).collect::<Vec<_>>(), &estimates.seconds);
            }
            progress.show(&event);
        })?;
        progress.end();
        if let (Some((name, key)), false) = (&signing, summary.published.is_empty()) {
            sign(store, summary.published.iter().copied(), key)?;
            ui.say(&format!("{} signed by `{name}`", count(summary.published.len(), "record")));
        }
        Ok(Once { selection, summary, jobs, devices })
    }

    /// Writes the figures and says what was done.
    fn finish(
        &self,
        once: Once,
        store: &Store,
        global: &Global,
        (started, interrupted): (Instant, bool),
        ui: &Ui,
    ) -> Result<(), Failure> {
        let Once { selection, summary, devices, .. } = once;
        let diverged = diverged(&selection, &summary.knowledge);
        for (stage, place) in &diverged {
            ui.warn(&format!("{stage} diverged ({place}); this is recorded and drawn as a result"));
        }
        say_several(&selection, &summary, store, ui)?;
        let exported = export(&selection, &summary.knowledge, store)?;
        for Exported { path, changed, .. } in &exported {
            ui.say(&format!("{} {}", if *changed { "wrote" } else { "unchanged" }, path.display()));
        }
        let notices = notices(&selection, &summary.knowledge, store)?;
        notices.iter().for_each(|notice| ui.warn(notice));
        lock::left(&selection, &summary.knowledge, store, ui);
        if !summary.published.is_empty() && store.has_catalogue()? {
            let needed = selection.graph.closure(&selection.targets);
            let known = engine::known(&selection.graph, &summary.knowledge, &needed, store)?;
            store.list(&known.iter().map(|member| (member.key, member.digest)).collect::<Vec<_>>(), &[])?;
        }
        if self.targets.iter().any(|target| target == "all") && summary.errors.is_empty() && !interrupted {
            report::write(&selection, true, store, global, ui)?;
        }
        let seconds = started.elapsed().as_secs_f64();
        ui.say(&format!("{} run, {} cached, {}", count(summary.computed, "stage"), summary.cached, duration(seconds)));
        if self.json {
            let outputs: Vec<_> = exported
                .iter()
                .map(|file| serde_json::json!({ "path": shown(&file.path), "blake3": file.digest.to_string() }))
                .collect();
            let object = serde_json::json!({
                "target": self.targets.join(" "),
                "profile": self.variant.profile,
                "device": devices.1.to_string(),
                "stages_total": summary.total,
                "stages_cached": summary.cached,
                "stages_run": summary.computed,
                "seconds": seconds,
                "outputs": outputs,
                "diverged": diverged.iter().map(|(stage, _)| stage).collect::<Vec<_>>(),
                "notices": notices,
                "errors": summary.errors.iter().map(ToString::to_string).collect::<Vec<_>>(),
            });
            ui.answer(&object.to_string());
        }
        let first = summary.errors.into_iter().next();
        // The program ends: taking a large graph apart first would be a tenth of what it does.
        std::mem::forget((selection, summary.knowledge));
        match first {
            Some(error) => Err(error.into()),
            None if interrupted => Err(EngineError::Interrupted.into()),
            None => Ok(()),
        }
    }
}

/// Says which stages have several different results, and which of them was used.
///
/// # Errors
/// If a record cannot be read.
fn say_several(selection: &Selection, summary: &engine::Summary, store: &Store, ui: &Ui) -> Result<(), Failure> {
    let stages = selection.graph.stages.iter().zip(&summary.knowledge);
    let several: Vec<_> = stages
        .filter_map(|(stage, known)| match known {
            Knowledge::Known { key, outline, .. } if summary.several.contains(key) => Some((stage, key, outline)),
            _ => None,
        })
        .collect();
    if let [(stage, key, outline), ..] = &several[..]
        && let Some(record) = store.recorded(key, &outline.digest)?
    {
        let made = &record.provenance;
        ui.warn(&format!(
            "{} came out differently in different runs, first {}; used is that by {} of {} (what a lock holds comes \
             first, then what a trusted key signed, then what is oldest). `wdpipe bisect {}` lists them",
            count(several.len(), "stage"),
            stage.name,
            made.who,
            date(made.finished),
            key.short()
        ));
    }
    Ok(())
}

/// The stages behind the targets whose training left the finite numbers, and where.
fn diverged(selection: &Selection, knowledge: &[Knowledge]) -> Vec<(String, String)> {
    let needed = selection.graph.closure(&selection.targets);
    let stages = selection.graph.stages.iter().zip(knowledge).zip(needed).filter(|(_, needed)| *needed);
    stages.filter_map(|((stage, known), _)| Some((stage.name.clone(), engine::divergence(known)?))).collect()
}

/// What would have to run now.
///
/// # Errors
/// If the store cannot be read.
pub fn planned(selection: &Selection, store: &Store) -> Result<Plan, Failure> {
    let resolver = engine::Resolver::new(store, &selection.graph, &selection.preference);
    let knowledge = resolver.outlook(&selection.graph.closure(&selection.targets))?;
    Ok(crate::plan::plan(&selection.graph, &selection.targets, &knowledge))
}

pub fn say_plan(plan: &Plan, estimates: &Estimates, jobs: NonZeroUsize, ui: &Ui) {
    let total = plan.cached + plan.run.len();
    let cost = if plan.run.is_empty() || !estimates.known {
        String::new()
    } else {
        format!(", about {} of computing", duration(estimates.of_plan(plan, jobs)))
    };
    ui.say(&format!("{}: {} cached, {} to run{cost}", count(total, "stage"), plan.cached, plan.run.len()));
    warn_of_damage(plan, ui);
}

/// Says that something was damaged where nothing comes of it.
pub fn warn_of_damage(plan: &Plan, ui: &Ui) {
    if plan.damaged > 0 {
        let outputs = count(plan.damaged, "output");
        ui.warn(&format!("{outputs} found damaged and moved aside; nothing needs it, so it is not computed again"));
    }
}

/// Small networks run best side by side, one to a core. How many share a GPU is found out while they run: what a plan should
/// take is told for one.
fn default_jobs(device: &Device) -> NonZeroUsize {
    match device {
        Device::Cuda(_) => NonZeroUsize::MIN,
        _ => std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
    }
}

/// So many stages at most share the GPUs, unless `--jobs` says otherwise.
const SHARE_GPUS: NonZeroUsize = NonZeroUsize::new(8).unwrap();
