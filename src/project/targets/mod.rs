//! From what a user types to stages of a graph.

pub mod check;
pub mod folder;
pub mod select;
pub mod variants;
