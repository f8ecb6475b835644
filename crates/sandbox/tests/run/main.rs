//! Runs programs at every level that this machine offers.

#![cfg(target_os = "linux")]
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "the test looks at the file system from outside, and prints what it measured"
)]

mod attempts;
mod devices;
mod ends;
mod host;
mod outputs;
mod probe;
mod traces;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use sandbox::{Ended, Level, Limits, Order};
use tempfile::TempDir;

/// Returns the levels that can be tried here, and says which cannot.
fn levels() -> Vec<Level> {
    for level in Level::ALL {
        if let Some(why) = sandbox::why_not(level) {
            println!("skipped at level {level}: {why}");
        }
    }
    sandbox::available()
}

/// Returns an order that runs a script of the shell.
fn order(level: Level, folder: &TempDir, script: &str) -> Order {
    let system = ["/usr", "/bin", "/lib", "/lib64", "/etc/ld.so.cache", "/etc/alternatives"].map(PathBuf::from);
    Order {
        level,
        program: ["sh", "-c", script].map(OsString::from).to_vec(),
        folder: folder.path().to_owned(),
        reads: Vec::new(),
        system: system.to_vec(),
        mounts: Vec::new(),
        variables: BTreeMap::from([("PATH".to_owned(), "/usr/bin:/bin".to_owned())]),
        devices: Vec::new(),
        limits: Limits { seconds: 20.0, memory: None, output_bytes: 1 << 20, output_files: 100, log_bytes: 10_000 },
    }
}

fn run(order: &Order) -> Ended {
    sandbox::run(order, &|| false).unwrap()
}

/// Runs a script, and returns how it ended and what it wrote to its log.
fn script(level: Level, script: &str) -> (Ended, String) {
    let folder = tempfile::tempdir().unwrap();
    let ended = run(&order(level, &folder, script));
    let log = String::from_utf8_lossy(&ended.log).into_owned();
    (ended, log)
}

/// Returns the numbers of all processes of this machine whose command line contains a text.
fn processes(text: &str) -> Vec<String> {
    let is_process = |name: &String| name.bytes().all(|byte| byte.is_ascii_digit());
    let has_text = |name: &String| {
        let words = std::fs::read(Path::new("/proc").join(name).join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&words).replace('\0', " ").contains(text)
    };
    let names = std::fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(is_process).filter(has_text).collect()
}
