//! Finds the stages that targets of the command line name.

pub mod check;
pub mod folder;
pub mod select;
pub mod variants;
