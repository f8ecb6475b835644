//! The stage `valley`.

use super::{Outputs, Progress, Report, StageError};
use base::table::Table;
use base::work::{TUNED, Valley};
use learn::valley;

/// Runs the toy problem, and fine-tunes every `every`-th iterate.
pub fn run(work: &Valley, report: &mut Report<'_>) -> Result<Outputs, StageError> {
    let iterates = valley::iterates(work);
    let every = (work.every as usize).max(1);
    let mut rows = Vec::new();
    for (step, iterate) in iterates.iter().enumerate().step_by(every) {
        let done = step as f64 / iterates.len() as f64;
        if !report(Progress::Done(done)) {
            return Err(StageError::Cancelled);
        }
        rows.push(valley::tuned_row(step, *iterate, valley::tuned(work, *iterate)));
    }
    Ok(Outputs::whole([
        ("path", valley::path_table(&iterates).to_bytes()?),
        ("tuned", Table::of_rows(TUNED, &rows).to_bytes()?),
        ("optimum", valley::optimum_table(valley::optimum(work)).to_bytes()?),
        ("landscape", valley::landscape_table().to_bytes()?),
    ]))
}
