//! From what a user types to stages of a graph.

pub mod check;
pub mod find;
pub mod folder;
pub mod merge;
pub mod select;
pub mod variants;
