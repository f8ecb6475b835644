//! What is made of numbers: figures, the stamps in their files, pages, and verdicts on what the paper says. Pure.

pub mod claim;
pub mod figure;
pub mod page;
pub mod stamp;
