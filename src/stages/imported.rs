//! The stage `weights`.

use super::{Outputs, Read, StageError};
use base::work::Imported;
use learn::init::scaled_to;
use learn::layout::layout;
use learn::weights::Weights;

/// Checks that imported weights fit the network, and scales them to the sphere if there is one.
pub fn run(work: &Imported, read: &Read<'_>) -> Result<Outputs, StageError> {
    let layout = layout(work.model)?;
    let weights = Weights::from_bytes(&read("weights")?, &layout.entries)?;
    let weights = match work.radius {
        Some(radius) => scaled_to(radius, &layout, &weights),
        None => weights,
    };
    Ok(Outputs::whole([("weights", weights.to_bytes()?)]))
}
