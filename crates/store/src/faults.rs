//! Faults of the folders and files of a shared store, their messages, and the commands that fix them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::Store;
use super::sharing::{Finding, Sharing};
use files::{Access, Account, SHARED_FILE};

/// A fault of a file or folder of a shared store, worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fault {
    AnyoneWrites,
    NoSticky,
    NotTheOwners(u32),
    FileWritable,
    OtherGroup(u32),
    NoSetgid,
    GroupCannotAdd,
    CannotAdd,
    Unreadable,
    FileUnreadable,
}

/// Faults, each with the first place that has it, the owner of that place, and the number of places.
#[derive(Default)]
pub(super) struct Faults(BTreeMap<Fault, (PathBuf, u32, usize)>);

impl Faults {
    pub(super) fn add(&mut self, fault: Fault, path: &Path, owner: u32) {
        self.0.entry(fault).or_insert_with(|| (path.to_owned(), owner, 0)).2 += 1;
    }

    pub(super) fn folder(&mut self, path: &Path, access: &Access, root: &Access, account: &Account) {
        let mut add = |fault| self.add(fault, path, access.owner);
        let mode = access.mode;
        [
            (mode & 0o002 != 0, Fault::AnyoneWrites),
            (mode & 0o1000 == 0, Fault::NoSticky),
            (access.group != root.group, Fault::OtherGroup(access.group)),
            (mode & 0o2000 == 0, Fault::NoSetgid),
            (mode & 0o070 != 0o070, Fault::GroupCannotAdd),
        ]
        .into_iter()
        .filter(|(is_so, _)| *is_so)
        .for_each(|(_, fault)| add(fault));
        if mode & 0o020 != 0 && account.is_in(access.group) && !files::may_add(path) {
            add(Fault::CannotAdd);
        }
    }

    pub(super) fn file(&mut self, path: &Path, access: &Access) {
        if access.mode & 0o222 != 0 {
            self.add(Fault::FileWritable, path, access.owner);
        }
        if access.mode & SHARED_FILE != SHARED_FILE {
            self.add(Fault::FileUnreadable, path, access.owner);
        }
    }
}

impl Store {
    /// Returns messages that describe the faults.
    pub(super) fn in_words(&self, faults: Faults) -> impl Iterator<Item = Finding> {
        faults.0.into_iter().map(|(fault, (path, owner, count))| {
            let owner = files::user_name(owner);
            Finding { is_fault: true, what: self.told(fault, &path, &owner, count), mend: self.mend(fault, &owner) }
        })
    }

    fn told(&self, fault: Fault, path: &Path, owner: &str, count: usize) -> String {
        let Sharing { access: root, .. } = &self.sharing;
        let what = match fault {
            Fault::AnyoneWrites => "anyone on this machine can write there".to_owned(),
            Fault::NoSticky => {
                "anyone who can write there can remove and replace files of others (no sticky bit)".to_owned()
            }
            Fault::NotTheOwners(_) => format!(
                "{owner} owns it and can remove files of others there; it should belong to the store's owner, {}",
                files::user_name(root.owner)
            ),
            Fault::FileWritable => "the file can be changed".to_owned(),
            Fault::OtherGroup(group) => {
                format!(
                    "its group is {}, but the store's is {}",
                    files::group_name(group),
                    files::group_name(root.group)
                )
            }
            Fault::NoSetgid => "new files there do not get the store's group (no setgid bit)".to_owned(),
            Fault::GroupCannotAdd => "the group cannot add to it".to_owned(),
            Fault::CannotAdd => {
                "you cannot add to it although your group can: is the disk mounted read-only?".to_owned()
            }
            Fault::Unreadable => "the folder cannot be read".to_owned(),
            Fault::FileUnreadable => "not everyone can read the file".to_owned(),
        };
        let more = if count > 1 { format!(" (and {} more)", count - 1) } else { String::new() };
        format!("{}{more}: {what}", path.display())
    }

    fn mend(&self, fault: Fault, owner: &str) -> String {
        let Sharing { access: root, account, .. } = &self.sharing;
        let command =
            format!("`wdpipe cache share {} --group {}`", self.root().display(), files::group_name(root.group));
        match fault {
            Fault::CannotAdd => String::new(),
            Fault::NotTheOwners(_) => format!("as root, `chown {} FOLDER`", files::user_name(root.owner)),
            _ if account.user == 0 || files::user_name(account.user) == owner => command,
            _ => format!("ask {owner} to run {command}"),
        }
    }
}
