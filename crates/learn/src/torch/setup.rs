//! The script that installs libtorch, and the files that it needs. They are part of the program, so that a program without
//! a checkout can install libtorch too.

/// The name of the script among [`SETUP`].
pub const SCRIPT: &str = "setup.py";

/// The script and the files next to it: names and contents.
pub const SETUP: [(&str, &str); 4] = [
    (SCRIPT, include_str!("../../libtorch/setup.py")),
    ("shim.cpp", SHIM),
    ("gpu.cpp", include_str!("../../libtorch/gpu.cpp")),
    ("symbols.txt", include_str!("../../libtorch/symbols.txt")),
];

/// The C++ file with the functions that tch lacks.
pub(super) const SHIM: &str = include_str!("../../libtorch/shim.cpp");

#[cfg(test)]
mod tests {
    use super::*;

    /// The bindings must be compiled from the sources of the crate that declares them.
    #[test]
    fn the_script_names_the_locked_version_of_torch_sys() {
        let script = SETUP.iter().find(|(name, _)| *name == SCRIPT).unwrap().1;
        let lock = include_str!("../../../../Cargo.lock");
        let version =
            |text: &str, before: &str| text.split_once(before).unwrap().1.split('"').next().unwrap().to_owned();
        assert_eq!(version(script, "TORCH_SYS = \""), version(lock, "name = \"torch-sys\"\nversion = \""));
    }
}
