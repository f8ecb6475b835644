//! Pickles, as files of CIFAR's Python version.
#![no_main]

use std::path::PathBuf;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use learn::data::import;
use wdpipe_fuzz::{folder, mode};

static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| folder("pickle"));

fuzz_target!(|input: &[u8]| {
    let Some((mode, bytes)) = mode(input) else { return };
    let (folder, file) = [("cifar-10", "data_batch_1"), ("cifar-100", "train")][usize::from(mode % 2)];
    let folder = FOLDER.join(folder);
    std::fs::create_dir_all(&folder).expect("a folder");
    std::fs::write(folder.join(file), bytes).expect("the file");
    // The file cannot be a complete data set, which has 180 MB.
    let error = import(&folder).expect_err("too small to be a data set").to_string();
    assert!(error.contains("cifar-10"), "every message names the folder: {error}");
});
