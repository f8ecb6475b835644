//! What a store knows about stages, and which stages they depend on.

pub mod behind;
pub mod closures;
pub mod explained;
pub mod parameters;
pub mod preference;
pub mod resolved;
pub mod roots;
