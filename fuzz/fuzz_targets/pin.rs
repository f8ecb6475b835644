//! Text files of a store: reading and writing preserves a pin, and opening a store with any marker never panics.
#![no_main]

use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use store::Store;
use wdpipe_fuzz::{folder, mode};

static STORE: LazyLock<(PathBuf, Store)> = LazyLock::new(|| {
    let root = folder("pin");
    let store = Store::open(&root).expect("a new store");
    fs::create_dir_all(root.join("pins")).expect("the pins' folder");
    (root, store)
});

static MARKED: LazyLock<PathBuf> = LazyLock::new(|| {
    let root = folder("marker");
    drop(Store::open(&root).expect("a new store"));
    root
});

fuzz_target!(|input: &[u8]| {
    let Some((mode, bytes)) = mode(input) else { return };
    if mode == 0 {
        fs::write(MARKED.join("wdpipe-store"), bytes).expect("the marker");
        let opened = Store::open(&MARKED);
        assert!(opened.is_err() || bytes.starts_with(b"wdpipe store, layout version "));
        return;
    }
    let (root, store) = &*STORE;
    let path = root.join("pins/x");
    fs::write(&path, bytes).expect("the pin's file");
    let read = store.pins();
    fs::remove_file(&path).expect("was written");
    let Ok([pin]) = read.as_deref() else { return };
    store.pin(pin).expect("a parsed value can be written");
    let written = fs::read(&path).expect("was written");
    store.unpin(&pin.name).expect("was written");
    assert_eq!(written, bytes);
});
