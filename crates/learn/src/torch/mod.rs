//! libtorch: loaded when the first stage needs it, and held to one numeric policy.
//!
//! Linking libtorch would cost every start of the program 0.3 s and make it unusable without libtorch. So
//! nothing is linked. tch's functions are one jump each through a table (written by `build.rs`), which [`load`]
//! fills from `libtch.so`, tch's C++ half as compiled by `ci/setup`. Calling a tensor operation before [`load`]
//! ends the process with a clear message. [`Loaded::load_cuda`] brings the CUDA half in where there is one, so
//! that the same program serves both.
//!
//! What tch does not bind is in `shim.cpp`; [`shim`] is the only module that calls it. What needs CUDA besides is in
//! `gpu.cpp` and [`gpu`](fn@gpu). [`policy`] is the only
//! one that sets how numbers are computed.

mod caches;
mod cuda;
mod elf;
mod environment;
mod gpu;
mod library;
mod loader;
mod memory;
pub mod policy;
mod shim;

pub use cuda::{CudaError, devices};
pub use environment::{settle, settled};
pub use gpu::{Gpu, Recording, gpu, own_stream, recorded_lately, refusals, to_host};
pub use loader::{Libraries, LoadError, Loaded, VERSION, load};
pub use memory::keep_memory;
pub use policy::Session;
