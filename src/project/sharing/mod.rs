//! What goes out of a store and comes into it, and who vouches for it.

pub mod admission;
pub mod archives;
pub mod fetching;
pub mod imports;
pub mod remotes;
pub mod repairing;
pub mod signing;
pub mod weights;
