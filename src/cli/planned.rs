//! Messages about a plan.

use std::path::Path;

use super::format::{bytes, count, duration};
use super::ui::Ui;
use crate::plan::Plan;
use crate::project::Room;

/// Prints how much must run, and the estimated time if it is known.
pub fn say_plan(plan: &Plan, seconds: Option<f64>, ui: &Ui) {
    let total = plan.cached + plan.run.len();
    let cost = match seconds {
        Some(seconds) if !plan.run.is_empty() => format!(", about {} of computing", duration(seconds)),
        _ => String::new(),
    };
    ui.say(&format!("{}: {} cached, {} to run{cost}", count(total, "stage"), plan.cached, plan.run.len()));
    warn_of_damage(plan, ui);
}

/// Warns if the results of a plan do not fit on the file system of the store.
pub fn warn_of_room(room: Room, store: &Path, ui: &Ui) {
    if let Some(free) = room.free.filter(|_| !room.is_enough()) {
        ui.warn(&format!(
            "the results take about {}, but there are only {} free for {}: free some space, or name a folder on another disk \
             with --cache DIR",
            bytes(room.needed),
            bytes(free),
            store.display()
        ));
    }
}

/// Warns of damaged outputs that nothing needs.
pub fn warn_of_damage(plan: &Plan, ui: &Ui) {
    if plan.damaged > 0 {
        let outputs = count(plan.damaged, "output");
        ui.warn(&format!("{outputs} found damaged and moved aside; nothing needs this now, so nothing is recomputed"));
    }
}
