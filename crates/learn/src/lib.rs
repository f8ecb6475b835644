//! Networks, training, evaluation and curvature. This crate does not depend on stores, stages or
//! pipelines: it gets weights, images and seeds as values.
//!
//! [`layout`], [`init`] and [`weights`] are plain Rust. The rest computes with libtorch, which the caller
//! must have loaded; every error of libtorch is returned as a [`LearnError`].

#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "tests make files of every kind"))]

pub mod data;
mod error;
pub mod exchange;
pub mod init;
pub mod layout;
#[cfg(feature = "torch")]
pub mod torch;
pub mod valley;
pub mod weights;
#[cfg_attr(not(feature = "torch"), expect(dead_code, reason = "only the forward pass reads it"))]
mod wiring;

#[cfg(feature = "torch")]
pub mod batches;
#[cfg(feature = "torch")]
pub mod curvature;
#[cfg(feature = "torch")]
pub mod evaluate;
#[cfg(feature = "torch")]
pub mod model;
#[cfg(feature = "torch")]
pub mod scaler;
#[cfg(feature = "torch")]
pub mod selftest;
#[cfg(feature = "torch")]
pub mod train;

pub use error::{Divergence, LearnError};
