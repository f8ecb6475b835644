//! What is said of a plan.

use super::format::{count, duration};
use super::ui::Ui;
use crate::plan::Plan;

/// Says how much has to run, and how long it should take if that is known.
pub fn say_plan(plan: &Plan, seconds: Option<f64>, ui: &Ui) {
    let total = plan.cached + plan.run.len();
    let cost = match seconds {
        Some(seconds) if !plan.run.is_empty() => format!(", about {} of computing", duration(seconds)),
        _ => String::new(),
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
