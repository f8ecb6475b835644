//! wdpipe regenerates the figures of "Why Do We Need Weight Decay for Overparameterized Deep Networks?"
//! (D'Angelo, Varre, Andriushchenko, Flammarion, 2023) by real training, as a content-addressed
//! pipeline of stages. `ARCHITECTURE.md` explains how it is built. The building blocks are the crates in `crates/`; this
//! crate combines them into a program. The modules are listed in groups, lowest first: a module uses only modules of its
//! own group and of the groups listed before it, and `tests/it/layers.rs` checks this.

#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "tests make files of every kind"))]

// From pipelines to graphs, and from graphs to plans.
pub mod cost;
pub mod graph;
pub mod plan;
pub mod reasons;
pub mod spec;

// Running stages, and features built on that.
pub mod bench;
pub mod differ;
pub mod engine;
pub mod reports;
pub mod stages;
pub mod stress;
pub mod verify;

// A checkout, and operations on it that several commands share.
mod project;

// Workers on this machine and on clusters.
mod cluster;

// A page with live values.
mod watch;

// Arguments, terminal, exit codes.
pub mod cli;
