//! Turning a store into one that several accounts use, and repairing such a store.

use std::path::{Path, PathBuf};

use super::index::Index;
use super::layout::Layout;
use super::sharing::{Finding, Options};
use super::{Store, StoreError};
use files::{Account, FsError, SHARED_FILE, SHARED_FOLDER};

/// Result of sharing a store. Sharing can be repeated.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shared {
    /// Folders whose group or mode was set.
    pub folders: u64,
    /// Files whose group or mode was set.
    pub files: u64,
    /// Entries that should be changed but belong to others: the first of them, its owner, and their number.
    pub others: Option<(PathBuf, u32, u64)>,
    /// Remaining problems.
    pub findings: Vec<Finding>,
}

/// Mode of the lock files of dead processes, as [`files::Lock`] creates them.
const CLAIM: u32 = 0o660;

/// Turns a folder into a store that the members of a group use together: a new store, a private one, or one with
/// wrong modes. The owner of the store's folder must run this; members run it for files that belong to them.
///
/// # Errors
/// If the folder is neither empty nor a store, this account is not in the group, or its own files cannot be changed.
pub fn share(root: &Path, group: u32) -> Result<Shared, StoreError> {
    let account = Account::current();
    if !account.is_in(group) {
        return Err(StoreError::NotInGroup { group: files::group_name(group) });
    }
    let layout = Layout::open(root)?;
    let mut shared = Shared::default();
    // Go from the top down, so that the sticky bit of a folder is set as soon as the group can write to it.
    shared.set(&account, root, group, SHARED_FOLDER)?;
    layout.complete()?;
    for top in layout.top_folders() {
        let mode = match () {
            () if layout.holds_published(&top) => Some(SHARED_FILE),
            () if top == layout.claims() => Some(CLAIM),
            // Files that are being written keep their modes.
            () => None,
        };
        let mut found = Vec::new();
        files::survey(&top, &mut |path, access| found.push((path.to_owned(), access.is_folder)));
        for (path, is_folder) in found {
            let is_draft = is_folder && path.parent() == Some(&layout.temporary());
            match mode {
                _ if is_draft => {}
                _ if is_folder => shared.set(&account, &path, group, SHARED_FOLDER)?,
                Some(mode) => shared.set(&account, &path, group, mode)?,
                None => {}
            }
        }
    }
    shared.set(&account, &layout.ignored(), group, SHARED_FILE)?;
    shared.set(&account, &layout.marker(), group, SHARED_FILE)?;
    // From now on every account has its own index.
    Index::remove(&layout.index());
    shared.findings = Store::open_with(root, &Options::default())?.sharing_thoroughly()?;
    Ok(shared)
}

impl Shared {
    fn set(&mut self, account: &Account, path: &Path, group: u32, mode: u32) -> Result<(), FsError> {
        let Some(there) = files::access(path)? else { return Ok(()) };
        if there.group == group && there.mode == mode {
            return Ok(());
        }
        if account.user != 0 && there.owner != account.user {
            self.others.get_or_insert_with(|| (path.to_owned(), there.owner, 0)).2 += 1;
            return Ok(());
        }
        if files::set_access(path, group, mode)? {
            *(if there.is_folder { &mut self.folders } else { &mut self.files }) += 1;
        }
        Ok(())
    }
}
