//! NumPy arrays, alone and in zip archives (`.npz` files).
#![no_main]

use std::path::PathBuf;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use learn::data::import;
use wdpipe_fuzz::{folder, mode};

static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| folder("npz"));

fuzz_target!(|input: &[u8]| {
    let Some((mode, bytes)) = mode(input) else { return };
    let arrays = FOLDER.join("arrays");
    std::fs::create_dir_all(&arrays).expect("a folder");
    let (file, path) = match mode {
        0 => (arrays.join("x_train.npy"), arrays),
        1 => (arrays.join("y_test.npy"), arrays),
        _ => (FOLDER.join("arrays.npz"), FOLDER.join("arrays.npz")),
    };
    std::fs::write(&file, bytes).expect("the file");
    // The file cannot be a complete data set, which has 180 MB.
    let error = import(&path).expect_err("too small to be a data set").to_string();
    std::fs::remove_file(&file).expect("the file");
    assert!(error.contains("arrays"), "every message names the file: {error}");
});
