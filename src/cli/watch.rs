//! `wdpipe watch`: serves a page with the live curves of the running stages.

use std::cell::RefCell;
use std::sync::atomic::Ordering;

use clap::Args;

use super::signals::cancel_on_interrupt;
use super::ui::Ui;
use crate::engine::running;
use crate::project::{ExitCode, Failure, Project};
use crate::watch::Door;
use store::StoreError;

/// Serve a page with live curves of all stages that run now.
///
/// The page shows every process that computes stages of this cache, and changes nothing. Only this machine can open it, and
/// only with the whole address. Ctrl-C ends it.
#[derive(Debug, Args)]
pub struct WatchCommand {
    /// Port of 127.0.0.1 [default: a free one].
    #[arg(long, value_name = "PORT", default_value_t = 0, hide_default_value = true)]
    port: u16,
}

impl WatchCommand {
    /// Runs the command.
    ///
    /// # Errors
    /// If the port cannot be opened, or the store cannot be read.
    pub fn run(&self, project: &Project, ui: &Ui) -> Result<(), Failure> {
        let refused = |error: std::io::Error| {
            let (message, hint) = match self.port {
                0 => (format!("cannot open a port of 127.0.0.1: {error}"), ""),
                port => {
                    (format!("cannot open port {port} of 127.0.0.1: {error}"), "leave out --port to use a free one")
                }
            };
            Failure::new(ExitCode::Failed, message, hint)
        };
        let cancel = cancel_on_interrupt();
        match project.store() {
            // The first `make` can begin after this command.
            Err(error @ StoreError::NoStore(_)) => ui.say(&format!("{error}: the page is empty until a `make` begins")),
            store => drop(store?),
        }
        let door = Door::open(self.port).map_err(refused)?;
        ui.answer(&door.address());
        ui.say("open this address in a browser of this machine; Ctrl-C ends it");
        let (project, store) = (project.clone(), RefCell::new(None));
        let look = move || {
            let mut store = store.borrow_mut();
            *store = store.take().or_else(|| project.store_if_any());
            // A cache that cannot be read now can be readable later.
            store.as_ref().and_then(|store| running(store).ok()).unwrap_or_default()
        };
        door.show(look, || cancel.load(Ordering::Relaxed)).map_err(refused)
    }
}
