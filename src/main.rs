//! The program: see `wdpipe --help`.

/// A plan of very many stages is made of small pieces: the system's allocator takes a fifth of its time. libtorch keeps to
/// that one.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    #[cfg(feature = "torch")]
    wdpipe::torch::keep_memory();
    std::process::ExitCode::from(wdpipe::cli::run(std::env::args_os()) as u8)
}
