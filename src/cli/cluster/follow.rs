//! Shows the progress of a run while a command follows it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::super::format::{count, duration};
use super::super::running::lines;
use super::super::ui::{Ui, plain};
use crate::cluster::{Engine, Failed, Followed, News, Run, Running, View, Watch};
use crate::engine::{Reading, RunningStage, running};
use crate::project::{ExitCode, Failure};
use store::Store;

/// Time between two checks of a run's state.
pub const EVERY: Duration = Duration::from_secs(1);

/// Follows a run and shows its progress.
///
/// # Errors
/// If the run cannot be completed, or the store cannot be read.
pub fn follow(watch: &Watch<'_>, ui: &Ui) -> Result<Followed, Failure> {
    let mut shown = Shown::new(watch.store, ui);
    let followed = watch.follow(&mut |news| shown.show(news));
    shown.bar.finish_and_clear();
    followed
}

/// Explains why a run ended without being complete. Returns `None` if the run is complete or continues.
pub fn why_not(followed: &Followed, run: &Run) -> Option<Failure> {
    let logs = run.path("logs");
    let doctor = match run.request.engine {
        Engine::Local(_) => "",
        Engine::Slurm(_) => {
            "; `wdpipe doctor --executor slurm` checks whether nodes see this cache and run this program"
        }
    };
    Some(match followed {
        Followed::Complete | Followed::Interrupted => return None,
        Followed::Cancelled => Failure::new(
            ExitCode::Interrupted,
            format!("run {} was cancelled", run.id),
            "finished stages are kept; run the `make` command again to continue",
        ),
        Followed::Stuck(stages) => {
            let lines: Vec<String> = stages.iter().map(|(stage, why)| format!("{stage}: {why}")).collect();
            let message = format!("run {} cannot go on:\n{}", run.id, lines.join("\n"));
            let hint = format!(
                "the logs are in {}; run the `make` command again to try these stages once more",
                logs.display()
            );
            Failure::new(ExitCode::Failed, message, hint)
        }
        Followed::Barren(last) => Failure::new(
            ExitCode::Failed,
            format!("the workers of run {} end without computing anything; the last was {last}", run.id),
            format!("look at their logs in {}{}", logs.display(), doctor),
        ),
    })
}

/// What is on the screen.
struct Shown<'a> {
    store: &'a Store,
    ui: &'a Ui,
    bar: ProgressBar,
    began: Instant,
    /// Number of stages that were done at the beginning, and at the last printed line.
    done: Option<(usize, usize)>,
    waiting: String,
}

impl<'a> Shown<'a> {
    fn new(store: &'a Store, ui: &'a Ui) -> Self {
        let bar = match ui.terminal && !ui.quiet() {
            true => ProgressBar::new(0).with_style(style()),
            false => ProgressBar::hidden(),
        };
        Self { store, ui, bar, began: Instant::now(), done: None, waiting: String::new() }
    }

    fn show(&mut self, news: News<'_>) {
        match news {
            News::Submitted(workers) => self.line(&format!("  {} added", count(workers, "worker"))),
            News::Failed(Failed { stage, worker, message, .. }) => {
                self.line(&format!("  {stage} failed in {worker}: {message}"))
            }
            News::Unreachable(failure) => {
                self.line(&format!("warning: {}; the workers go on", failure.message));
            }
            News::View(view) => self.view(&view),
        }
    }

    fn view(&mut self, view: &View<'_>) {
        let (done, left) = (view.open.done, view.open.left.len());
        let (first, printed) = *self.done.get_or_insert((done, done));
        let elapsed = self.began.elapsed().as_secs_f64();
        let rest = match done - first.min(done) {
            0 => String::new(),
            new => format!(", about {} left", duration(elapsed * left as f64 / new as f64)),
        };
        let (waiting, why) = &view.waiting;
        let why = if why.is_empty() { String::new() } else { format!(" ({why})") };
        let tasks = match waiting {
            _ if left == 0 => "complete".to_owned(),
            0 => format!("{} running", count(view.workers.len(), "worker")),
            _ => format!("{} running, {waiting} waiting{why}", count(view.workers.len(), "worker")),
        };
        self.bar.set_length((done + left) as u64);
        self.bar.set_position(done as u64);
        if !self.bar.is_hidden() {
            let lines = lines(&self.running(view), self.ui.screen());
            let lines = lines.iter().map(|line| format!("\n{line}"));
            self.bar.set_message(format!("{tasks}, {}{rest}{}", duration(elapsed), lines.collect::<String>()));
        }
        // Without a terminal, print a line when there was progress.
        if self.bar.is_hidden() && (done > printed || tasks != self.waiting) {
            self.done = Some((first, done));
            self.line(&format!("  [{done}/{}] {tasks}", done + left));
            self.waiting = tasks;
        }
    }

    /// Returns the values of the running stages: from the notes on their claims, or else from the workers' states.
    fn running<'v>(&self, view: &View<'v>) -> Vec<(Reading, &'v str)> {
        let noted: BTreeMap<String, Reading> = running(self.store)
            .unwrap_or_default()
            .into_iter()
            .map(|RunningStage { key, reading, .. }| (key.to_string(), reading))
            .collect();
        let stages =
            view.workers.iter().flat_map(|(name, worker)| worker.stages.iter().map(move |stage| (name, stage)));
        let reading = |stage: &Running| match noted.get(&stage.key) {
            Some(reading) => reading.clone(),
            None => Reading { stage: stage.stage.clone(), done: stage.done, ..Reading::default() },
        };
        stages.map(|(name, stage)| (reading(stage), name.as_str())).collect()
    }

    fn line(&self, text: &str) {
        match self.bar.is_hidden() {
            true => self.ui.say(text),
            false => self.bar.println(plain(text)),
        }
    }
}

fn style() -> ProgressStyle {
    let style = ProgressStyle::with_template("{bar:10.cyan/blue} {pos}/{len} stages, {msg}");
    style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("━╸─")
}
