//! `wdpipe make --until-width`: reports how well the means are known, and why seeds are added or not.

use super::format::{count, duration};
use super::make::Once;
use super::ui::Ui;
use crate::project::{Failure, Limits, MOST_SEEDS, MoreSeeds, Project, Variant, Widest};
use store::Store;

/// Returns the variant with more seeds, or `None` if all intervals are narrow enough or the budget does not allow more.
///
/// # Errors
/// If the numbers cannot be read, or there is no setting `seed` to extend.
pub fn more_seeds(
    once: &Once,
    project: &Project,
    store: &Store,
    (variant, targets): (&Variant, &[String]),
    limits: &Limits,
    ui: &Ui,
) -> Result<Option<Variant>, Failure> {
    let means = once.selection.means(&once.summary.knowledge, store)?;
    let seeds = means.seeds;
    if means.agree > 0 {
        let places = count(means.agree, "mean");
        ui.say(&format!("{places} without an interval: the runs agree there to the last digit, so no spread is known"));
    }
    let Some(widest) = &means.widest else { return Ok(None) };
    let Widest { place, known, width } = widest;
    let told = if width.is_finite() { format!("{width:.3} wide") } else { "not known yet".to_owned() };
    let survivors = if known.runs < seeds {
        format!(" (of {} that did not diverge)", count(known.runs, "run"))
    } else {
        String::new()
    };
    ui.say(&format!("{}: the widest 95 % interval is {told}, at {place}{survivors}", count(seeds, "seed")));
    if *width <= limits.width {
        ui.say(&format!("all intervals are at most {} wide", limits.width));
        return Ok(None);
    }
    match project.more_seeds((&means, widest), (variant, targets), (store, &once.workers), limits)? {
        MoreSeeds::Make(next) => return Ok(Some(next)),
        MoreSeeds::TooMany => ui.warn(&format!("more than {MOST_SEEDS} seeds are not tried")),
        MoreSeeds::TooLong { added, spent, needed } => ui.warn(&format!(
            "stopped at {}: {} of {} are spent, and {} more should take {}",
            count(seeds, "seed"),
            duration(spent),
            duration(limits.budget.unwrap_or_default()),
            count(added, "seed"),
            duration(needed)
        )),
    }
    Ok(None)
}
