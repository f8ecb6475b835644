//! Figures, the stamps in their files, pages, and verdicts on the paper's claims, all computed from recorded numbers. Pure.

#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "tests make files of every kind"))]

pub mod claim;
pub mod figure;
pub mod page;
pub mod stamp;
