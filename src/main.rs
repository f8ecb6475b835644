//! The program: see `wdpipe --help`.

fn main() -> std::process::ExitCode {
    #[cfg(feature = "torch")]
    wdpipe::torch::keep_memory();
    std::process::ExitCode::from(wdpipe::cli::run(std::env::args_os()) as u8)
}
