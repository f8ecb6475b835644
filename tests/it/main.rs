//! Drives the real program, as its users do.

mod bad_input;
mod environment;
mod layers;
#[cfg(feature = "torch")]
mod cifar;
#[cfg(feature = "torch")]
mod damage;
#[cfg(feature = "torch")]
mod incremental;
#[cfg(feature = "torch")]
mod interrupted;
#[cfg(not(feature = "torch"))]
mod without_torch;
