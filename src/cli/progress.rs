//! Progress of running stages: a live view on a terminal, plain lines otherwise.

use std::collections::BTreeMap;
use std::time::Instant;

use indicatif::{ProgressBar, ProgressStyle};

use super::environment::now;
use super::format::{date, duration};
use super::running::lines;
use super::ui::{Ui, plain};
use crate::engine::{Event, Outcome, Reading};
use crate::graph::{Graph, StageId};
use store::{Finding, Holder};

/// Display of events.
pub struct ProgressView<'a> {
    graph: &'a Graph,
    ui: Ui,
    /// Estimated seconds of each stage.
    estimates: Vec<f64>,
    started: Instant,
    /// Estimated seconds of all stages to run, and of the stages that have ended.
    work: f64,
    done: f64,
    to_run: usize,
    ended: usize,
    live: Option<Live>,
    /// Whether the warning that recording failed was printed.
    said_one_by_one: bool,
}

struct Live {
    /// The bar of the whole run; its message has the lines of the running stages.
    bar: ProgressBar,
    stages: BTreeMap<StageId, Reading>,
}

/// Resolution of the bar, which counts estimated work and not stages.
const TICKS: u64 = 1000;

impl<'a> ProgressView<'a> {
    /// Creates a display of a graph's events.
    pub fn new(graph: &'a Graph, ui: Ui) -> Self {
        let estimates = vec![0.0; graph.stages.len()];
        let (work, done, to_run, ended) = (0.0, 0.0, 0, 0);
        Self {
            graph,
            ui,
            estimates,
            started: Instant::now(),
            work,
            done,
            to_run,
            ended,
            live: None,
            said_one_by_one: false,
        }
    }

    /// Begins to show `stages` running; `estimates` are the estimated seconds of each stage of the graph.
    pub fn begin(&mut self, stages: &[StageId], estimates: &[f64]) {
        self.estimates = estimates.to_vec();
        self.started = Instant::now();
        self.to_run = stages.len();
        self.work = stages.iter().map(|&stage| self.estimates[stage]).sum::<f64>().max(1e-9);
        // On a terminal that cannot move its cursor (TERM=dumb), bars are hidden.
        let bar = ProgressBar::new(TICKS).with_style(style());
        if !bar.is_hidden() && !self.ui.quiet() && !stages.is_empty() {
            self.live = Some(Live { bar, stages: BTreeMap::new() });
        }
    }

    /// Shows one event.
    pub fn show(&mut self, event: &Event) {
        match event {
            Event::Planned(_) => {}
            Event::Started { stage, reason } => {
                if self.ui.verbose {
                    self.line(&format!("      start {} ({reason})", self.graph.stages[*stage].name));
                }
                if let Some(live) = &mut self.live {
                    let name = self.graph.stages[*stage].name.clone();
                    live.stages.insert(*stage, Reading { stage: name, ..Reading::default() });
                }
            }
            Event::Progress { stage, reading, .. } => {
                if let Some(shown) = self.live.as_mut().and_then(|live| live.stages.get_mut(stage)) {
                    shown.clone_from(reading);
                }
            }
            Event::Elsewhere { stage, holder } => {
                let name = &self.graph.stages[*stage].name;
                let who = holder
                    .as_ref()
                    .map_or_else(|| "another process is computing it".to_owned(), |holder| told(holder, now()));
                self.line(&format!("    waiting {name}: {who}"));
            }
            Event::NoLocks(Finding { what, mend, .. }) => self.line(&format!("warning: {what}; {mend}")),
            Event::Again(stage) => {
                let name = &self.graph.stages[*stage].name;
                self.line(&format!(
                    "warning: the GPU was short of memory while {name} ran, so its bits may differ: it runs again, with \
                     fewer stages beside it. --jobs N limits them to N from the start"
                ));
            }
            Event::OneByOne { stage, reason } => {
                // Warn only once: the same reason most likely affects all stages.
                if !std::mem::replace(&mut self.said_one_by_one, true) {
                    let name = &self.graph.stages[*stage].name;
                    self.line(&format!(
                        "warning: training steps cannot be recorded on this GPU and run one by one, which is slower but \
                         gives the same bits (first {name}: {reason}). `wdpipe doctor` shows libtorch and the GPUs here"
                    ));
                }
            }
            Event::Ended { stage, outcome } => self.ended(*stage, outcome),
            Event::Differs { stage, outputs } => {
                let (name, outputs) = (&self.graph.stages[*stage].name, outputs.join("` and `"));
                self.line(&format!(
                    "warning: recomputing {name} gave a different `{outputs}` than recorded; both records are kept"
                ));
            }
        }
        self.overall();
    }

    fn ended(&mut self, stage: StageId, outcome: &Outcome) {
        self.ended += 1;
        self.done += self.estimates[stage];
        if let Some(live) = &mut self.live {
            live.stages.remove(&stage);
        }
        let name = &self.graph.stages[stage].name;
        let (ended, to_run) = (self.ended, self.to_run.max(self.ended));
        match outcome {
            Outcome::Computed(seconds) => {
                // On a terminal the live view shows this.
                if self.live.is_none() || self.ui.verbose {
                    self.line(&format!("  [{ended:>3}/{to_run}] {name}  {}", duration(*seconds)));
                }
            }
            Outcome::Cached => {
                if self.ui.verbose {
                    self.line(&format!("  [{ended:>3}/{to_run}] {name}  known"));
                }
            }
            Outcome::Diverged(_, place) => self.line(&format!("  [{ended:>3}/{to_run}] {name}  diverged: {place}")),
            Outcome::Failed(message) => self.line(&format!("  [{ended:>3}/{to_run}] {message}")),
        }
    }

    fn overall(&self) {
        let Some(live) = &self.live else { return };
        let part = |(&stage, reading): (&StageId, &Reading)| self.estimates[stage] * reading.done;
        let running: f64 = live.stages.iter().map(part).sum();
        let share = ((self.done + running) / self.work).clamp(0.0, 1.0);
        let elapsed = self.started.elapsed().as_secs_f64();
        let left = match share {
            share if share > 0.02 => format!(", about {} left", duration(elapsed * (1.0 - share) / share)),
            _ => String::new(),
        };
        live.bar.set_position((share * TICKS as f64) as u64);
        // The numbers come first, so that they stay together on a narrow terminal.
        live.bar.set_prefix(format!("{}/{} stages, {}{left}", self.ended, self.to_run, duration(elapsed)));
        let stages: Vec<_> = live.stages.values().map(|reading| (reading.clone(), "")).collect();
        let lines = lines(&stages, self.ui.screen());
        live.bar.set_message(lines.iter().map(|line| format!("\n{line}")).collect::<String>());
    }

    fn line(&self, text: &str) {
        match &self.live {
            Some(live) => live.bar.println(plain(text)),
            None => self.ui.say(text),
        }
    }

    /// Clears the live view.
    pub fn end(&mut self) {
        if let Some(live) = self.live.take() {
            live.bar.finish_and_clear();
        }
    }
}

/// Says who computes a stage and since when by their clock: `process 4711 on n2 (job 12_3) is computing it since 13:05 UTC`.
fn told(holder: &Holder, now: u64) -> String {
    let Holder { host, process, job, since, .. } = holder;
    let host = if host.is_empty() { String::new() } else { format!(" on {host}") };
    let job = job.as_ref().map(|job| format!(" (job {job})")).unwrap_or_default();
    let (began, now) = (date(*since), date(now));
    // The day is left out if it is today.
    let (day, time) = began.split_once(' ').unwrap_or_default();
    let day = if now.starts_with(day) { String::new() } else { format!("{day} ") };
    let minute = time.rsplit_once(':').map_or(time, |(minute, _)| minute);
    format!("process {process}{host}{job} is computing it since {day}{minute} UTC")
}

fn style() -> ProgressStyle {
    // The template is a constant; a wrong one would only look plain.
    ProgressStyle::with_template("{prefix}  {bar:30.cyan/blue}{msg}")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("━╸─")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn it_is_told_who_computes_a_stage() {
        let (host, user, heartbeat) = ("n2".to_owned(), "ann".to_owned(), Duration::from_secs(30));
        let holder = Holder { host, process: 4711, job: Some("12_3".into()), user, since: 1_795_418_100, heartbeat };
        let today = 1_795_418_100 + 3600;
        assert_eq!(told(&holder, today), "process 4711 on n2 (job 12_3) is computing it since 07:15 UTC");
        let alone = Holder { host: String::new(), job: None, ..holder };
        assert_eq!(told(&alone, today + 86_400), "process 4711 is computing it since 2026-11-23 07:15 UTC");
        // A clock can be wrong by any amount.
        assert!(told(&Holder { since: u64::MAX / 2, ..alone }, 0).starts_with("process 4711 is computing it since "));
    }
}
