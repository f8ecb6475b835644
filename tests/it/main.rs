//! Runs the real program, as its users do.

#![allow(clippy::disallowed_methods, reason = "tests and benchmarks make files of every kind")]
#![expect(clippy::unwrap_used, reason = "a test ends where it fails")]
#![expect(clippy::print_stdout, reason = "skipped checks and measured figures are printed")]

#[cfg(target_os = "linux")]
mod accounts;
mod archives;
mod bad_input;
mod bench;
mod bisect;
#[cfg(feature = "torch")]
mod cifar;
#[cfg(target_os = "linux")]
mod claims;
#[cfg(feature = "torch")]
mod clusters;
mod commands;
mod commands_again;
#[cfg(feature = "torch")]
mod damage;
#[cfg(feature = "torch")]
mod diverged;
// Documents are written for the program with training, and running their commands once is enough.
#[cfg(all(feature = "torch", unix))]
mod documents;
#[cfg_attr(not(feature = "torch"), expect(dead_code, reason = "only the tests that train need all of it"))]
mod environment;
#[cfg(feature = "torch")]
mod evaluated;
#[cfg(feature = "torch")]
mod exchange;
#[cfg(feature = "torch")]
mod figures;
// These tests kill processes for minutes, so they run only once, with the program that is built faster.
#[cfg(not(feature = "torch"))]
mod harsh;
mod housekeeping;
#[cfg(feature = "torch")]
mod incremental;
#[cfg(feature = "torch")]
mod interrupted;
mod isolation;
mod json;
mod keys;
#[cfg(feature = "torch")]
mod kinds;
#[cfg(target_os = "linux")]
mod lab;
mod layers;
#[cfg(feature = "torch")]
mod libtorch;
#[cfg(not(feature = "torch"))]
mod many;
mod mistakes;
mod old_stores;
mod outputs;
mod packed;
mod papers;
mod pipelines;
#[cfg(feature = "torch")]
mod printed;
#[cfg(feature = "torch")]
mod proof;
mod raised;
mod remotes;
mod resumed;
mod room;
mod schemas;
mod servers;
mod sharing;
mod shell;
mod shells;
#[cfg(all(feature = "torch", target_os = "linux"))]
mod signals;
mod stress;
mod subfolder;
mod surroundings;
mod tables;
mod tampered;
mod terminals;
mod told;
#[cfg(feature = "torch")]
mod trust;
#[cfg(feature = "torch")]
mod variables;
mod variants;
mod watch;
#[cfg(not(feature = "torch"))]
mod without_torch;
mod workers;
