//! The stage `init`.

use super::{Outputs, StageError};
use base::work::Init;
use learn::init::initial_weights;

/// Draws initial weights.
pub fn run(work: &Init) -> Result<Outputs, StageError> {
    let weights = initial_weights(work.model, work.scheme, work.radius, work.seed)?;
    Ok(Outputs::whole([("weights", weights.to_bytes()?)]))
}
