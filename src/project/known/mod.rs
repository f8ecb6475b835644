//! What a store knows of stages, and what is behind them.

pub mod behind;
pub mod closures;
pub mod explained;
pub mod parameters;
pub mod preference;
pub mod resolved;
pub mod roots;
