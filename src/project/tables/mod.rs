//! Recorded numbers as tables for other programs: one row per measurement, and the settings behind it as columns.

pub mod events;
pub mod macros;
pub mod replicas;
pub mod sheet;
pub mod stages;
pub mod tensorboard;
