//! libtorch: loaded when the first stage needs it, and restricted to one numeric policy.
//!
//! Linking libtorch would add 0.3 s to every start of the program, and make it unusable without libtorch. So
//! nothing is linked. Each of tch's functions is one jump through a table (written by `build.rs`), which [`load`]
//! fills from `libtch.so`, tch's C++ half as compiled by `ci/setup` or `wdpipe setup`. Calling a tensor operation before [`load`]
//! ends the process with a clear message. [`Loaded::load_cuda`] loads the CUDA half if there is one, so that the
//! same program works with and without CUDA.
//!
//! Functions that tch does not bind are in `shim.cpp`, and only the module [`shim`] calls them. Further functions for
//! CUDA are in `gpu.cpp` and [`gpu`](fn@gpu). Only [`policy`] sets how numbers are computed.

mod caches;
mod cuda;
mod elf;
mod environment;
mod gpu;
mod library;
mod loader;
mod memory;
pub mod policy;
mod setup;
mod shim;

pub use cuda::{CudaError, devices};
pub use environment::{settle, settled};
pub use gpu::{Gpu, Recording, gpu, own_stream, recorded_lately, refusals, to_host};
pub use loader::{Libraries, LoadError, Loaded, VERSION, load};
pub use memory::keep_memory;
pub use policy::Session;
pub use setup::{SCRIPT, SETUP};
