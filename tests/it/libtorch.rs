//! An unusable libtorch is refused with advice, before any of its code runs.

use std::io::{Read, Write};
use std::path::Path;

use super::environment::{Environment, ended};

#[test]
fn a_libtorch_that_was_cut_off_is_refused_with_what_to_do() {
    let environment = Environment::new();
    let name = if cfg!(target_os = "macos") { "libtorch_cpu.dylib" } else { "libtorch_cpu.so" };
    let whole = std::fs::File::open(Path::new(env!("CARGO_MANIFEST_DIR")).join(".libtorch/lib").join(name)).unwrap();
    let mut start = Vec::new();
    whole.take(1 << 20).read_to_end(&mut start).unwrap();
    // A truncated file, as after an interrupted copy, and an empty file.
    for length in [start.len(), 0] {
        let folder = tempfile::tempdir().unwrap();
        std::fs::File::create(folder.path().join(name)).unwrap().write_all(&start[..length]).unwrap();
        for arguments in [&Environment::tiny("fig3/trunk", &[])[..], &["doctor"]] {
            let output = environment.command(arguments).env("WDPIPE_LIBTORCH", folder.path()).output().unwrap();
            let ended = ended(&output);
            assert_eq!(ended.code, Some(3), "{length} bytes, {arguments:?}: {}", ended.stderr);
            let said = ended.stdout + &ended.stderr;
            for part in [name, "is damaged", "run `wdpipe setup` again"] {
                assert!(cfg!(target_os = "macos") || said.contains(part), "{length} bytes: no {part} in {said}");
            }
        }
    }
}
