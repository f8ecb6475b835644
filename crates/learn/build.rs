//! Writes the jumps through which tch's functions are called (see `src/torch/mod.rs`), for the functions in
//! `libtorch/symbols.txt`. Without the feature `torch` this script does nothing.

#![allow(clippy::disallowed_methods, reason = "a build script has no other way to files")]

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::{env, fs, process};

/// The functions of tch and of our own C++ file.
const SYMBOLS: &str = "libtorch/symbols.txt";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if env::var_os("CARGO_FEATURE_TORCH").is_none() {
        return;
    }
    println!("cargo::rerun-if-changed={SYMBOLS}");
    if let Err(message) = write_jumps() {
        println!("cargo::error={message}");
        process::exit(1);
    }
}

fn write_jumps() -> Result<(), String> {
    let symbols = fs::read_to_string(SYMBOLS).map_err(|error| format!("cannot read {SYMBOLS}: {error}"))?;
    let names: Vec<&str> = symbols.lines().collect();
    let variable = |name: &str| env::var(name).map_err(|error| format!("{name}: {error}"));
    let (system, processor) = (variable("CARGO_CFG_TARGET_OS")?, variable("CARGO_CFG_TARGET_ARCH")?);
    let mut assembly = String::new();
    for (i, name) in names.iter().enumerate() {
        // Writing to a string cannot fail.
        let _ = writeln!(assembly, "{}", jump(&system, &processor, name, 8 * i)?);
    }
    let options = if processor == "x86_64" { ", options(att_syntax)" } else { "" };
    let text = format!(
        "pub static NAMES: [&str; {count}] = {names:?};\n\
         pub static TABLE: [AtomicPtr<()>; {count}] = [const {{ entry() }}; {count}];\n\
         core::arch::global_asm!(r#\"\n{assembly}\"#, table = sym TABLE{options});\n",
        count = names.len(),
    );
    let path = PathBuf::from(variable("OUT_DIR")?).join("jumps.rs");
    write_if_changed(&path, &text).map_err(|error| format!("cannot write {}: {error}", path.display()))
}

/// Returns the assembly of a function that jumps to the address in the table and leaves all arguments unchanged. x16 is the
/// register that the Arm calling convention reserves for such jumps.
fn jump(system: &str, processor: &str, name: &str, offset: usize) -> Result<String, String> {
    match (system, processor) {
        ("linux", "x86_64") => {
            Ok(format!(".globl {name}\n.hidden {name}\n.type {name},@function\n{name}: jmp *{{table}}+{offset}(%rip)"))
        }
        ("linux", "aarch64") => Ok(format!(
            ".globl {name}\n.hidden {name}\n.type {name},%function\n{name}:\n adrp x16, {{table}}+{offset}\n \
             ldr x16, [x16, :lo12:{{table}}+{offset}]\n br x16"
        )),
        ("macos", "aarch64") => Ok(format!(
            ".globl _{name}\n.private_extern _{name}\n.p2align 2\n_{name}:\n adrp x16, {{table}}@PAGE+{offset}\n \
             add x16, x16, {{table}}@PAGEOFF+{offset}\n ldr x16, [x16]\n br x16"
        )),
        _ => Err(format!("the feature torch does not support {processor} {system}: build with --no-default-features")),
    }
}

fn write_if_changed(path: &Path, text: &str) -> std::io::Result<()> {
    if fs::read_to_string(path).is_ok_and(|old| old == text) { Ok(()) } else { fs::write(path, text) }
}
