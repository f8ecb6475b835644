//! Names the undeclared files that a failed command looked for.

use std::path::{Path, PathBuf};

use base::work::NOT_CODE;
use sandbox::{Access, AccessKind, Order};

/// Maximum number and total size of the project files that are offered to the program.
const MOST: usize = 2000;
const BYTES: u64 = 64 << 20;
/// Files that are read before a connection over the network.
const OF_NETWORK: [&str; 2] = ["/etc/hosts", "/etc/resolv.conf"];
/// Files of the system that programs look for although they need none of them.
const SURROUNDINGS: [&str; 8] = [
    "/etc/hosts",
    "/etc/resolv.conf",
    "/etc/nsswitch.conf",
    "/etc/host.conf",
    "/etc/gai.conf",
    "/etc/passwd",
    "/etc/group",
    "/etc/inputrc",
];
/// Maximum number of paths that are named.
const NAMED: usize = 10;

/// Runs a command once more in a new folder, and names the undeclared files that it looked for: existing files of the
/// project, and files elsewhere that it tried to use. Returns an empty text if there are none, or accesses cannot be
/// traced on this machine.
pub fn words(order: &Order, root: &Path, folder: PathBuf, cancelled: &dyn Fn() -> bool) -> String {
    let order = Order { folder, ..order.clone() };
    let Ok(accesses) = sandbox::trace(&order, &candidates(root), cancelled) else { return String::new() };
    let used_network = accesses.iter().any(|access| {
        access.kind == AccessKind::Connect || OF_NETWORK.iter().any(|path| access.path == Path::new(path))
    });
    let network = used_network.then(|| "it tried to use the network, which commands do not have".to_owned());
    let named = accesses.iter().filter_map(word).take(NAMED).chain(network);
    named.map(|word| format!("\n    {word}")).collect()
}

fn word(access: &Access) -> Option<String> {
    match &access.within {
        Some(within) if access.exists => Some(format!("{} is not declared: add it to `code`", within.display())),
        // The C library looks for these files by itself, and does without them.
        None if SURROUNDINGS.iter().any(|path| access.path == Path::new(path)) => None,
        None if access.exists && access.kind > AccessKind::Look => {
            Some(format!("{} is outside the project, so the command cannot use it", access.path.display()))
        }
        _ => None,
    }
}

/// Lists files of a project that a command may have forgotten to declare.
fn candidates(root: &Path) -> Vec<(PathBuf, PathBuf)> {
    let start = if root.as_os_str().is_empty() { Path::new(".") } else { root };
    let Ok(start) = files::canonical(start) else { return Vec::new() };
    let mut bytes = 0;
    let is_theirs = |name: &Path| name.starts_with("in") || name.starts_with("out");
    let files = files::visible(&start, Path::new(""), &NOT_CODE).filter(|(name, _)| !is_theirs(name)).take(MOST);
    let few = files.take_while(|(_, size)| {
        bytes += size;
        bytes <= BYTES
    });
    few.map(|(name, _)| (start.join(&name), name)).collect()
}
