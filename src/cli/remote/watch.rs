//! Progress of transfers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use super::super::format::{bytes, count, duration};
use super::super::ui::Ui;
use store::remote::Watch;

/// Progress of a transfer: one line that is updated, if the output is a terminal.
pub struct Moving {
    verb: &'static str,
    cancel: Arc<AtomicBool>,
    started: Instant,
    files: AtomicUsize,
    bytes: AtomicU64,
    bar: ProgressBar,
}

impl Moving {
    /// Begins to show a transfer, which ends early when `cancel` is set.
    pub fn new(verb: &'static str, cancel: Arc<AtomicBool>, ui: &Ui) -> Self {
        let shown = ui.terminal && !ui.quiet();
        let bar = if shown { ProgressBar::new_spinner() } else { ProgressBar::hidden() };
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(120));
        let (files, bytes) = (AtomicUsize::new(0), AtomicU64::new(0));
        Self { verb, cancel, started: Instant::now(), files, bytes, bar }
    }

    /// Returns the files, bytes, time and rate so far, as a text.
    pub fn so_far(&self) -> String {
        let (files, moved) = (self.files.load(Ordering::Relaxed), self.bytes.load(Ordering::Relaxed));
        let seconds = self.started.elapsed().as_secs_f64();
        let rate =
            if seconds > 0.5 { format!(", {}/s", bytes((moved as f64 / seconds) as u64)) } else { String::new() };
        format!("{}, {} in {}{rate}", count(files, "file"), bytes(moved), duration(seconds))
    }

    /// Returns the number of bytes transferred.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}

impl Watch for Moving {
    fn is_cancelled(&self) -> bool {
        self.cancel.load(Ordering::Relaxed)
    }

    fn moved(&self, files: usize, bytes: u64) {
        self.files.fetch_add(files, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.bar.set_message(format!("{} {}", self.verb, self.so_far()));
    }
}

impl Drop for Moving {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
