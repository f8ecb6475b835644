//! Lists of remotes: adding or removing a remote leaves the others unchanged, or is refused.
#![no_main]

use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use store::remote::Remotes;
use wdpipe_fuzz::folder;

static PATH: LazyLock<PathBuf> = LazyLock::new(|| folder("remotes").join("remotes.toml"));

fuzz_target!(|bytes: &[u8]| {
    fs::write(&*PATH, bytes).expect("the list");
    let Ok(mut remotes) = Remotes::load(&PATH) else { return };
    let before = remotes.all().clone();
    let Some((name, named)) = before.first_key_value() else { return };
    if remotes.remove(name).is_ok() {
        let mut others = before.clone();
        others.remove(name);
        assert_eq!(Remotes::load(&PATH).expect("was written").all(), &others);
    } else {
        assert_eq!(fs::read(&*PATH).expect("the list"), bytes);
    }
    fs::write(&*PATH, bytes).expect("the list");
    let mut remotes = Remotes::load(&PATH).expect("as before");
    if !before.contains_key("fuzzed") && remotes.add("fuzzed", named.clone()).is_ok() {
        let mut all = before.clone();
        all.insert("fuzzed".to_owned(), named.clone());
        assert_eq!(Remotes::load(&PATH).expect("was written").all(), &all);
    }
});
