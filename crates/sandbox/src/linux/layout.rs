//! The program's folder: copies of the declared files, and a place for temporary files.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use crate::order::{Level, Order, SandboxError};

/// Path of the program's folder as the program sees it at the level of namespaces. Nothing else should have this name
/// on any machine, because it would be hidden.
pub const INSIDE: &str = "/wdpipe";

/// Name of the folder for temporary files in the program's folder.
pub(crate) const TEMPORARY: &str = ".tmp";

/// Largest file that is copied where it can be shown without a copy.
const COPIED: u64 = 16 << 20;

/// Puts the declared files into the program's folder. A file that exists there already is left unchanged. [`run`]
/// does this itself.
///
/// [`run`]: super::run
///
/// # Errors
/// If a name leads out of the folder, or a file cannot be copied.
pub fn prepare(order: &Order) -> Result<(), SandboxError> {
    check(order)?;
    files::create_folder(&order.folder.join(TEMPORARY))?;
    let shown = shown_in_place(order);
    for (from, name) in order.reads.iter().filter(|(from, _)| !shown.contains(&from.as_path())) {
        let to = order.folder.join(name);
        if files::identity(&to)?.is_some() && !from.is_dir() {
            continue;
        }
        if !from.is_dir() {
            files::hand_over(from, &to)?;
            continue;
        }
        files::create_folder(&to)?;
        for (file, _) in files::walk(from)? {
            let below = file.strip_prefix(from).map(|below| to.join(below)).unwrap_or_default();
            if files::identity(&below)?.is_none() {
                files::hand_over(&file, &below)?;
            }
        }
    }
    Ok(())
}

/// Returns the declared files that are too large to copy and can be shown in the folder without a copy.
pub(crate) fn shown_in_place(order: &Order) -> Vec<&Path> {
    let is_large = |path: &Path| {
        let size = files::canonical(path).ok().and_then(|path| files::identity(&path).ok().flatten());
        !path.is_dir() && size.is_some_and(|identity| identity.size > COPIED)
    };
    match order.level {
        Level::Namespaces => order.reads.iter().map(|(from, _)| from.as_path()).filter(|from| is_large(from)).collect(),
        Level::Landlock | Level::None => Vec::new(),
    }
}

fn check(order: &Order) -> Result<(), SandboxError> {
    let wrong = |text: String| Err(SandboxError::Order(text));
    if order.program.is_empty() {
        return wrong("the command has no words".to_owned());
    }
    if !order.folder.is_absolute() {
        return wrong(format!("the folder {} is not absolute", order.folder.display()));
    }
    for (_, name) in &order.reads {
        let is_plain = name.components().all(|part| matches!(part, Component::Normal(_)));
        if !is_plain || name.as_os_str().is_empty() || name.starts_with(TEMPORARY) {
            return wrong(format!("{} is not a name in the command's folder", name.display()));
        }
    }
    // A program that ran here before can have left links to other places.
    let names = order.reads.iter().map(|(_, name)| name.as_path()).chain([Path::new(TEMPORARY)]);
    let mut on_the_way = names.flat_map(Path::ancestors).map(|name| order.folder.join(name));
    if let Some(link) = on_the_way.find(|path| files::link_target(path).is_some()) {
        return wrong(format!("{} is a link: use an empty folder", link.display()));
    }
    match order.variables.keys().find(|name| name.is_empty() || name.contains(['=', '\0'])) {
        Some(name) => wrong(format!("{name:?} is not a name of an environment variable")),
        None => Ok(()),
    }
}

/// Returns the whole environment, with the variables whose values depend on the level.
pub(crate) fn variables(order: &Order) -> BTreeMap<String, String> {
    let (folder, temporary) = match order.level {
        Level::Namespaces => (PathBuf::from(INSIDE), PathBuf::from("/tmp")),
        Level::Landlock | Level::None => (order.folder.clone(), order.folder.join(TEMPORARY)),
    };
    let text = |path: PathBuf| path.to_string_lossy().into_owned();
    let mut variables = order.variables.clone();
    for (name, value) in [
        ("PWD", text(folder)),
        // Caches and settings that libraries write there are no outputs.
        ("HOME", text(temporary.clone())),
        ("TMPDIR", text(temporary)),
        ("USER", "wdpipe".to_owned()),
        ("LOGNAME", "wdpipe".to_owned()),
    ] {
        variables.entry(name.to_owned()).or_insert(value);
    }
    variables
}
