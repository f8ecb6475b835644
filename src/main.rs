//! The program: see `wdpipe --help`.

/// A plan of very many stages is made of small pieces: the system's allocator takes a fifth of its time. libtorch keeps to
/// that one.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    #[cfg(feature = "torch")]
    learn::torch::keep_memory();
    wdpipe::cli::main(std::env::args_os())
}
