//! wdpipe regenerates the figures of "Why Do We Need Weight Decay for Overparameterized Deep Networks?"
//! (D'Angelo, Varre, Andriushchenko, Flammarion, 2023) by real training, as a content-addressed
//! pipeline of stages. `ARCHITECTURE.md` explains how it is built. What the program is made of lies in the crates of
//! `crates/`; here they become a program. The modules stand in groups, lowest first: a module uses others of its own group
//! or of the groups above it, and `tests/it/layers.rs` says which.

#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "tests make files of every kind"))]

// Pipelines to graphs; graphs to plans.
pub mod cost;
pub mod graph;
pub mod plan;
pub mod reasons;
pub mod spec;

// Stages that run; the whole.
pub mod bench;
pub mod differ;
pub mod engine;
pub mod reports;
pub mod stages;
pub mod stress;
pub mod verify;

// A checkout, and what every command needs of it.
mod project;

// Arguments, terminal, exit codes.
pub mod cli;
