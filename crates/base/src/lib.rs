//! Types, formats and arithmetic: what a key, a record and a table are, what each kind of stage is, and what is computed
//! from recorded numbers. Nothing here does input or output.

pub mod changes;
pub mod closure;
pub mod codec;
pub mod digest;
pub mod expr;
pub mod name;
pub mod parallel;
pub mod producers;
pub mod record;
pub mod rng;
pub mod stats;
pub mod table;
pub mod value;
pub mod work;
