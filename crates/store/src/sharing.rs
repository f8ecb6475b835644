//! Whose a store is, and what is wrong with it where several accounts use it.
//!
//! A shared store's folders let a group add files, and nobody remove or replace another's (mode 3775: setgid and
//! sticky); its files can only be read. The owner of a folder may remove what is in it, so all shards belong to the
//! store's owner. Permissions keep nobody from publishing wrong bytes under a right name: what another account wrote is
//! hashed when this one first meets it, since the index is each account's own.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::faults::{Fault, Faults};
use super::layout::Layout;
use super::{Store, StoreError};
use base::digest::ObjectDigest;
use files::{Access, Account, FsError, Lock, System};

/// What a store is opened with.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// A folder of this account alone, on a disk of this machine: the index lies there if the store is not this
    /// account's own, or on a network. Without one it is in memory.
    pub private: Option<PathBuf>,
}

/// Something about a store that keeps others from using it, or that they should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Whether it is a fault; else it is only good to know.
    pub is_fault: bool,
    /// What is so, and where.
    pub what: String,
    /// What to do; may be empty.
    pub mend: String,
}

/// Whose a store is.
#[derive(Debug, Clone)]
pub(super) struct Sharing {
    /// The store's folder.
    pub(super) access: Access,
    pub(super) account: Account,
    pub(super) system: System,
}

impl Sharing {
    pub(super) fn of(root: &Path) -> Result<Self, FsError> {
        // The folder itself, should it be named by a link.
        let found = files::access(&files::canonical(root)?)?;
        let access = found.unwrap_or(Access { owner: 0, group: 0, mode: 0, is_folder: true });
        Ok(Self { access, account: Account::current(), system: files::system(root)? })
    }

    /// That of a store that is not there.
    pub(super) fn of_none() -> Self {
        let account = Account::current();
        let access = Access { owner: account.user, group: 0, mode: 0, is_folder: true };
        Self { access, account, system: System::UNKNOWN }
    }

    /// Whether nobody else writes there.
    pub(super) fn is_own(&self) -> bool {
        self.access.owner == self.account.user && !self.access.is_shared()
    }

    /// Where the index lies: beside the files if nobody else writes there, else in the private folder, if there is one.
    /// SQLite loses rows on network file systems, and in a shared folder one account's crash locks the others out.
    pub(super) fn index(&self, layout: &Layout, options: &Options) -> Option<PathBuf> {
        if self.is_own() && !self.system.is_network {
            return Some(layout.index());
        }
        let folder = options.private.as_ref()?;
        let place = files::canonical(layout.root()).ok()?;
        // The inode too: another store may come to lie at the same place.
        let inode = files::identity(&place).ok()??.inode;
        let name = ObjectDigest::of(&[place.as_os_str().as_bytes(), &[0], &inode.to_le_bytes()].concat()).to_string();
        files::private_folder(folder).ok()?;
        Some(folder.join(format!("index-{}.sqlite", &name[..32])))
    }
}

impl Store {
    /// What keeps several accounts from using this store together, as far as a look at its main folders tells. Of a
    /// store that is this account's own there is nothing to tell.
    ///
    /// # Errors
    /// If a folder cannot be looked at.
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

    /// The same after a look at every folder and file, and a try of what the file system can do. That this account may
    /// only read is no fault here.
    ///
    /// # Errors
    /// If a folder cannot be looked at.
    pub fn sharing_thoroughly(&self) -> Result<Vec<Finding>, StoreError> {
        let mut faults = Faults::default();
        let root = self.sharing.access;
        if root.is_shared() {
            // What belongs to others in key folders is as it should be; above them only the owner's do.
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

    /// What this account should know of its own place here, and where the store lies.
    fn about_me(&self) -> Vec<Finding> {
        let Sharing { access: root, account, system } = &self.sharing;
        let mut findings = Vec::new();
        let place = self.root().display();
        if system.is_network {
            let what = format!("{place} lies on {}: your index of it is kept elsewhere", system.name);
            let mend =
                "`wdpipe cache stress-test DIR`, in an empty folder beside it, tries what this file system guarantees";
            findings.push(Finding { is_fault: false, what, mend: mend.to_owned() });
        }
        let (owner, group) = (files::user_name(root.owner), files::group_name(root.group));
        if root.owner == account.user || root.mode & 0o002 != 0 {
            return findings;
        }
        let is_fault = !files::may_add(&self.layout.temporary());
        if !root.is_shared() {
            let what = format!("{place} belongs to {owner}, who does not share it: you may read what is there");
            let mend = format!(
                "to add to it, ask {owner} to run `wdpipe cache share {place} --group GROUP`, GROUP being one that you \
                 both are in"
            );
            findings.push(Finding { is_fault, what, mend });
        } else if !account.is_in(root.group) {
            let what = format!("you are not in the group {group} that shares {place}: you may read what is there");
            let mend = format!(
                "if you were added to it since you logged in, `newgrp {group}`; else ask who manages this machine to add \
                 you (`usermod -aG {group} {}`)",
                files::user_name(account.user)
            );
            findings.push(Finding { is_fault, what, mend });
        }
        findings
    }

    /// Folders above the store that keep the group from reaching it.
    fn unreachable(&self) -> Result<Vec<Finding>, StoreError> {
        let root = &self.sharing.access;
        let mut findings = Vec::new();
        if !root.is_shared() {
            return Ok(findings);
        }
        for above in files::canonical(self.root())?.ancestors().skip(1) {
            let Some(access) = files::access(above)? else { continue };
            // Where a folder has the same group, only its bit counts for the members.
            let (who, bit) = if access.group == root.group { ('g', 0o010) } else { ('o', 0o001) };
            if access.mode & bit == 0 {
                let (path, owner) = (above.display(), files::user_name(access.owner));
                findings.push(Finding {
                    is_fault: true,
                    what: format!("others than {owner} cannot reach the store through {path}"),
                    mend: format!(
                        "{owner} lets them pass, not look, with `chmod {who}+x {path}`; or choose a place outside"
                    ),
                });
            }
        }
        Ok(findings)
    }

    /// What the file system lacks, tried where this account may write.
    fn incapable(&self) -> Vec<Finding> {
        let folder = self.layout.temporary();
        if !files::may_add(&folder) {
            return Vec::new();
        }
        let fault = |what: &str| Finding {
            is_fault: true,
            what: format!("{} lies on {}, {what}", self.root().display(), self.sharing.system.name),
            mend: "move it to another file system".to_owned(),
        };
        let mut findings = Vec::new();
        if self.sharing.access.is_shared() && files::can_link(&folder).is_ok_and(|can| !can) {
            findings.push(fault("where a file has one name only: two accounts may replace each other's files"));
        }
        let locked = Lock::try_acquire(&folder.join(format!("try-{}", files::now())), &folder);
        if locked.is_err_and(|error| !error.is_disk_full()) {
            findings.push(fault("where nothing can be locked: stages may be computed twice"));
        }
        findings
    }
}
