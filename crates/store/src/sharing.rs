//! The owner of a store, and problems of stores that several accounts use.
//!
//! A shared store's folders let the members of a group add files, but not remove or replace those of others (mode
//! 3775: setgid and sticky); its files are read-only. The owner of a folder can remove files in it, so all shards
//! belong to the store's owner. Permissions prevent nobody from publishing wrong bytes under a right name: files
//! written by another account are hashed when this one first reads them, since every account has its own index.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::claims::{HEARTBEAT, HolderName};
use super::faults::{Fault, Faults};
use super::layout::Layout;
use super::{Store, StoreError};
use base::digest::ObjectDigest;
use files::{Access, Account, FsError, Lock, System};

/// Options for opening a store.
#[derive(Debug, Clone)]
pub struct Options {
    /// Private folders of this account, best first: the index is kept in the first one that is on a local disk and that
    /// nobody else can write to, if the store belongs to another account or is on a network file system. Without such a
    /// folder, that index is kept in memory.
    pub private: Vec<PathBuf>,
    /// Under which names keys are claimed.
    pub holder: HolderName,
    /// Time between two signs of life of a held claim: from 0.05 s to 1 h.
    pub heartbeat: Duration,
}

impl Default for Options {
    fn default() -> Self {
        let holder = HolderName { process: std::process::id(), ..HolderName::default() };
        Self { private: Vec::new(), holder, heartbeat: HEARTBEAT }
    }
}

/// A problem that keeps others from using a store, or a notice about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Whether it is a fault; otherwise it is a notice.
    pub is_fault: bool,
    /// Description with the place.
    pub what: String,
    /// What to do; can be empty.
    pub mend: String,
}

/// The owner of a store, and how it is shared.
#[derive(Debug, Clone)]
pub(super) struct Sharing {
    /// Owner and mode of the store's folder.
    pub(super) access: Access,
    pub(super) account: Account,
    pub(super) system: System,
}

impl Sharing {
    pub(super) fn of(root: &Path) -> Result<Self, FsError> {
        // Resolves a symbolic link to the folder.
        let found = files::access(&files::canonical(root)?)?;
        let access = found.unwrap_or(Access { owner: 0, group: 0, mode: 0, is_folder: true });
        Ok(Self { access, account: Account::current(), system: files::system(root)? })
    }

    /// Returns the value for a store that does not exist.
    pub(super) fn of_none() -> Self {
        let account = Account::current();
        let access = Access { owner: account.user, group: 0, mode: 0, is_folder: true };
        Self { access, account, system: System::UNKNOWN }
    }

    /// Whether nobody else can write to the store.
    pub(super) fn is_own(&self) -> bool {
        self.access.owner == self.account.user && !self.access.is_shared()
    }

    /// Returns the path of the index: next to the files if nobody else writes there, otherwise in a private folder,
    /// if any. SQLite loses rows on network file systems, and in a shared folder one account's crash locks the others
    /// out. `system` tells the file system of a folder.
    pub(super) fn index(
        &self,
        layout: &Layout,
        options: &Options,
        system: &dyn Fn(&Path) -> Result<System, FsError>,
    ) -> Option<PathBuf> {
        if self.is_own() && !self.system.is_network {
            return Some(layout.index());
        }
        let place = files::canonical(layout.root()).ok()?;
        // Includes the inode, since another store can be created at the same path later.
        let inode = files::identity(&place).ok()??.inode;
        let name = ObjectDigest::of(&[place.as_os_str().as_bytes(), &[0], &inode.to_le_bytes()].concat()).to_string();
        let folder = options.private.iter().find(|folder| is_private_and_local(folder, system))?;
        Some(folder.join(format!("index-{}.sqlite", &name[..32])))
    }
}

/// Whether a folder can be used for an index: it may have to be created, and is left alone if others can write to it.
fn is_private_and_local(folder: &Path, system: &dyn Fn(&Path) -> Result<System, FsError>) -> bool {
    files::private_folder(folder).is_ok() && system(folder).is_ok_and(|system| !system.is_network)
}

impl Store {
    /// Returns the problems that keep several accounts from using this store together, judging by its main folders.
    /// There are none for a store of this account alone.
    ///
    /// # Errors
    /// If a folder cannot be inspected.
    pub fn sharing(&self) -> Result<Vec<Finding>, StoreError> {
        let mut faults = Faults::default();
        if self.sharing.access.is_shared() {
            for path in self.layout.main_folders() {
                if let Some(access) = files::access(&path)? {
                    faults.folder(&path, &access, &self.sharing.access, &self.sharing.account);
                    if access.owner != self.sharing.access.owner {
                        faults.add(Fault::NotTheOwners(access.owner), &path, access.owner);
                    }
                }
            }
        }
        let mut findings = self.about_me();
        findings.extend(self.in_words(faults));
        Ok(findings)
    }

    /// Returns the problems as [`Store::sharing`] does, but inspects every folder and file, and tests what the file
    /// system can do. Read-only access of this account is not a fault here.
    ///
    /// # Errors
    /// If a folder cannot be inspected.
    pub fn sharing_thoroughly(&self) -> Result<Vec<Finding>, StoreError> {
        let mut faults = Faults::default();
        let root = self.sharing.access;
        if root.is_shared() {
            // Folders of keys can belong to other accounts; all folders above them must belong to the store's owner.
            let owned = self.layout.owned_folders();
            for top in self.layout.top_folders() {
                let has_files = self.layout.holds_published(&top);
                let unreadable = files::survey(&top, &mut |path, access| match access.is_folder {
                    true if path.starts_with(self.layout.temporary()) && path != self.layout.temporary() => {}
                    true => {
                        faults.folder(path, &access, &root, &self.sharing.account);
                        if access.owner != root.owner && owned.contains(path) {
                            faults.add(Fault::NotTheOwners(access.owner), path, access.owner);
                        }
                    }
                    false if has_files => faults.file(path, &access),
                    false => {}
                });
                for path in unreadable.iter().filter(|path| !path.starts_with(self.layout.temporary())) {
                    faults.add(Fault::Unreadable, path, files::access(path)?.map_or(root.owner, |access| access.owner));
                }
            }
            if let Some(access) = files::access(self.root())? {
                faults.folder(self.root(), &access, &root, &self.sharing.account);
            }
        }
        let mut findings = self.about_me();
        findings.iter_mut().for_each(|finding| finding.is_fault = false);
        findings.extend(self.in_words(faults));
        findings.extend(self.unreachable()?);
        findings.extend(self.incapable());
        Ok(findings)
    }

    /// Returns notices about this account's access to the store, and about the file system of the store.
    fn about_me(&self) -> Vec<Finding> {
        let Sharing { access: root, account, system } = &self.sharing;
        let mut findings = Vec::new();
        let place = self.root().display();
        if system.is_network {
            let what = format!("{place} is on {}: your index of it is kept elsewhere", system.name);
            let mend = "run `wdpipe cache stress-test DIR` on an empty folder next to it to test this file system";
            findings.push(Finding { is_fault: false, what, mend: mend.to_owned() });
        }
        let (owner, group) = (files::user_name(root.owner), files::group_name(root.group));
        if root.owner == account.user || root.mode & 0o002 != 0 {
            return findings;
        }
        let is_fault = !files::may_add(&self.layout.temporary());
        if !root.is_shared() {
            let what = format!("{place} belongs to {owner}, who does not share it: you can only read it");
            let mend = format!(
                "to add to it, ask {owner} to run `wdpipe cache share {place} --group GROUP`, where GROUP is a \
                 group that you both belong to"
            );
            findings.push(Finding { is_fault, what, mend });
        } else if !account.is_in(root.group) {
            let what = format!("you are not in the group {group} that shares {place}: you can only read it");
            let mend = format!(
                "if you were added to it after you logged in, run `newgrp {group}`; otherwise ask the administrator \
                 of this machine to add you (`usermod -aG {group} {}`)",
                files::user_name(account.user)
            );
            findings.push(Finding { is_fault, what, mend });
        }
        findings
    }

    /// Returns the folders above the store that keep the group from reaching it.
    fn unreachable(&self) -> Result<Vec<Finding>, StoreError> {
        let root = &self.sharing.access;
        let mut findings = Vec::new();
        if !root.is_shared() {
            return Ok(findings);
        }
        for above in files::canonical(self.root())?.ancestors().skip(1) {
            let Some(access) = files::access(above)? else { continue };
            // If a folder has the same group, only the group bit applies to the members.
            let (who, bit) = if access.group == root.group { ('g', 0o010) } else { ('o', 0o001) };
            if access.mode & bit == 0 {
                let (path, owner) = (above.display(), files::user_name(access.owner));
                findings.push(Finding {
                    is_fault: true,
                    what: format!("only {owner} can reach the store through {path}"),
                    mend: format!("ask {owner} to run `chmod {who}+x {path}`, or move the store to another place"),
                });
            }
        }
        Ok(findings)
    }

    /// Returns missing features of the file system, tested where this account can write.
    fn incapable(&self) -> Vec<Finding> {
        let folder = self.layout.temporary();
        if !files::may_add(&folder) {
            return Vec::new();
        }
        let fault = |what: &str| Finding {
            is_fault: true,
            what: format!("{} is on {}, {what}", self.root().display(), self.sharing.system.name),
            mend: "move it to another file system".to_owned(),
        };
        let mut findings = Vec::new();
        if self.sharing.access.is_shared() && files::can_link(&folder).is_ok_and(|can| !can) {
            findings.push(fault("which has no hard links: two accounts can replace each other's files"));
        }
        let locked = Lock::try_acquire(&folder.join(format!("try-{}", files::now())), &folder);
        findings.extend(self.about_locks(locked.is_err_and(|error| !error.is_disk_full())));
        findings
    }
}
