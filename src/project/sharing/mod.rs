//! Moves results out of a store and into it, and signs them.

pub mod admission;
pub mod archives;
pub mod fetching;
pub mod imports;
pub mod remotes;
pub mod repairing;
pub mod signing;
pub mod weights;
