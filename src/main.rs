//! The program: see `wdpipe --help`.

fn main() -> std::process::ExitCode {
    std::process::ExitCode::from(wdpipe::cli::run(std::env::args_os()) as u8)
}
