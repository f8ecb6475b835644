//! wdpipe regenerates the figures of "Why Do We Need Weight Decay for Overparameterized Deep Networks?"
//! (D'Angelo, Varre, Andriushchenko, Flammarion, 2023) by real training, as a content-addressed
//! pipeline of stages. `ARCHITECTURE.md` says how it is built; the modules stand here in the order in
//! which they may use each other, lowest first.

pub mod codec;
pub mod digest;
pub mod value;

pub mod record;
pub mod rng;
pub mod table;
pub mod work;

pub mod graph;

pub mod spec;
