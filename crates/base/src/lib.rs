//! Types, formats and arithmetic: keys, records, tables and the kinds of stages, and calculations with recorded
//! numbers. Nothing here does input or output.

#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "tests make files of every kind"))]

pub mod changes;
pub mod closure;
pub mod codec;
pub mod digest;
pub mod expr;
pub mod isolation;
pub mod name;
pub mod parallel;
pub mod producers;
pub mod record;
pub mod rng;
pub mod stats;
pub mod table;
pub mod unlocked;
pub mod value;
pub mod work;
