//! The program: see `wdpipe --help`.

/// Allocator of the Rust code. A large plan makes many small allocations, on which the system's allocator would spend a
/// fifth of the time. libtorch still uses the system's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    #[cfg(feature = "torch")]
    learn::torch::keep_memory();
    wdpipe::cli::main(std::env::args_os())
}
