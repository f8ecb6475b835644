//! Plans, estimates and runs stages.

pub mod commands;
pub mod estimates;
pub mod forecast;
pub mod making;
pub mod room;
pub mod seeds;
pub mod shell;
pub mod workers;
