//! What has to run, where, and what it costs; and running it.

pub mod estimates;
pub mod forecast;
pub mod making;
pub mod seeds;
pub mod workers;
