//! Messages about a plan.

use super::format::{count, duration};
use super::ui::Ui;
use crate::plan::Plan;

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

/// Warns of damaged outputs that nothing needs.
pub fn warn_of_damage(plan: &Plan, ui: &Ui) {
    if plan.damaged > 0 {
        let outputs = count(plan.damaged, "output");
        ui.warn(&format!("{outputs} found damaged and moved aside; nothing needs this now, so nothing is recomputed"));
    }
}
