//! The words that make bubblewrap run a program in namespaces.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::child::Terminal;
use super::layout::{INSIDE, TEMPORARY, shown_in_place, variables};
use super::levels::Bubblewrap;
use crate::order::{Order, SandboxError};

/// Maximum number of words that bubblewrap takes.
const WORDS: usize = 8500;

/// Returns bubblewrap's words for an order, up to the program's own.
pub(crate) fn words(order: &Order, bubblewrap: &Bubblewrap, terminal: Terminal) -> Result<Vec<OsString>, SandboxError> {
    let mut words = Words(vec![bubblewrap.program.clone().into()]);
    words.add(["--unshare-all", "--unshare-user", "--die-with-parent"]);
    if terminal == Terminal::None {
        words.add(["--new-session"]);
    }
    words.add(["--hostname", "wdpipe", "--uid", "1000", "--gid", "1000", "--cap-drop", "ALL"]);
    // The language can be installed below /tmp.
    words.path("--bind", &order.folder.join(TEMPORARY), Path::new("/tmp"));
    let mut system: Vec<&Path> = order.system.iter().map(PathBuf::as_path).collect();
    if !order.devices.is_empty() {
        // The library of a GPU looks up the device in /sys.
        system.push(Path::new("/sys"));
    }
    // A folder is mounted before the paths below it, which it would hide otherwise.
    system.sort_unstable();
    system.dedup();
    for path in &system {
        words.show(path, &system);
    }
    for (here, there) in &order.mounts {
        words.path("--ro-bind", here, there);
    }
    words.add(["--proc", "/proc", "--dev", "/dev"]);
    for device in order.devices.iter().filter(|device| device.exists()) {
        words.path("--dev-bind", device, device);
    }
    if bubblewrap.has_sizes() {
        words.add(["--size", &order.limits.memory.unwrap_or(order.limits.output_bytes).max(1).to_string()]);
    }
    words.add(["--tmpfs", "/dev/shm"]);
    words.path("--bind", &order.folder, Path::new(INSIDE));
    let shown = shown_in_place(order);
    for (from, name) in order.reads.iter().filter(|(from, _)| shown.contains(&from.as_path())) {
        words.path("--ro-bind", from, &Path::new(INSIDE).join(name));
    }
    words.add(["--remount-ro", "/dev", "--remount-ro", "/", "--chdir", INSIDE]);
    for (name, value) in variables(order) {
        words.add(["--setenv", &name, &value]);
    }
    words.add(["--"]);
    match words.0.len() > WORDS {
        true => Err(SandboxError::Order("the command has too many paths and variables for bubblewrap".to_owned())),
        false => Ok(words.0),
    }
}

struct Words(Vec<OsString>);

impl Words {
    fn add<const N: usize>(&mut self, words: [&str; N]) {
        self.0.extend(words.map(OsString::from));
    }

    fn path(&mut self, option: &str, outside: &Path, inside: &Path) {
        self.0.extend([option.into(), outside.into(), inside.into()]);
    }

    /// Shows a path of the system where it is. A link into another shown path, such as `/bin` to `usr/bin`, stays a
    /// link, because programs find their installation through it.
    fn show(&mut self, path: &Path, system: &[&Path]) {
        let Some(target) = files::link_target(path) else {
            if path.exists() {
                self.path("--ro-bind", path, path);
            }
            return;
        };
        let full = path.parent().unwrap_or(Path::new("/")).join(&target);
        let is_shown = |shown: &&Path| *shown != path && full.starts_with(shown);
        match system.iter().any(is_shown) {
            true => self.path("--symlink", &target, path),
            false if path.exists() => self.path("--ro-bind", path, path),
            false => {}
        }
    }
}
