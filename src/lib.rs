//! wdpipe regenerates the figures of "Why Do We Need Weight Decay for Overparameterized Deep Networks?"
//! (D'Angelo, Varre, Andriushchenko, Flammarion, 2023) by real training, as a content-addressed
//! pipeline of stages. `ARCHITECTURE.md` explains how it is built. The modules stand here in groups, lowest
//! first: a module uses others of its own group or of the groups above it, and `tests/it/layers.rs` says which.

// Types, formats and arithmetic.
pub mod codec;
pub mod digest;
pub mod expr;
pub mod name;
pub mod parallel;
pub mod stats;
pub mod value;

// What is stored, and what stages are.
pub mod changes;
pub mod closure;
pub mod lock;
pub mod makers;
pub mod record;
pub mod rng;
pub mod table;
pub mod work;

// Each does one thing, by itself.
pub mod claim;
pub mod data;
pub mod differ;
pub mod figure;
pub mod fsx;
pub mod graph;
pub mod learn;
pub mod page;
pub mod stamp;
#[cfg(feature = "torch")]
pub mod torch;
pub mod valley;

// Pipelines to graphs; graphs to plans.
pub mod cost;
pub mod plan;
pub mod spec;

// Who vouches for what.
pub mod sign;

// Bytes on disk; stages that run; the whole.
pub mod archive;
pub mod bench;
pub mod engine;
pub mod receipt;
pub mod remote;
pub mod reports;
pub mod stages;
pub mod store;
pub mod torture;
pub mod verify;

// Arguments, terminal, exit codes.
pub mod cli;
