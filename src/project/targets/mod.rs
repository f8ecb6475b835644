//! Finds the stages that targets of the command line name.

pub mod check;
pub mod find;
pub mod folder;
pub mod isolation;
pub mod merge;
mod misnamed;
pub mod select;
pub mod variants;
pub mod words;
