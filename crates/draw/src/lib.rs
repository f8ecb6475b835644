//! Figures, the stamps in their files, pages, and verdicts on the paper's claims, all computed from recorded numbers. Pure.

pub mod claim;
pub mod figure;
pub mod page;
pub mod stamp;
