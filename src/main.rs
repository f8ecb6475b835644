//! The program: see `wdpipe --help`.

fn main() {}
