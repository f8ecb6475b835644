//! Turning a store into one that several accounts use, and mending one.

use std::path::{Path, PathBuf};

use super::index::Index;
use super::layout::Layout;
use super::sharing::{Finding, Options};
use super::{Store, StoreError};
use files::{Account, FsError, SHARED_FILE, SHARED_FOLDER};

/// What was done to share a store. All of it may be done again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shared {
    /// Folders whose group or mode was set.
    pub folders: u64,
    /// Files whose group or mode was set.
    pub files: u64,
    /// What should be set and belongs to others: the first, its owner, and how many they are.
    pub others: Option<(PathBuf, u32, u64)>,
    /// What is not as it should be in the end.
    pub findings: Vec<Finding>,
}

/// The lock files of dead processes, as [`files::Lock`] makes them.
const CLAIM: u32 = 0o660;

/// Makes a folder a store that the members of a group use together: a new one, one that was private, or one whose modes
/// are wrong. The owner of the store's folder must do it; members run it for files that belong to them.
///
/// # Errors
/// If the folder is no store and not empty, if this account is not in the group, or if what belongs to it cannot be set.
pub fn share(root: &Path, group: u32) -> Result<Shared, StoreError> {
    let account = Account::current();
    if !account.is_in(group) {
        return Err(StoreError::NotInGroup { group: files::group_name(group) });
    }
    let layout = Layout::open(root)?;
    let mut shared = Shared::default();
    // From the top down: as soon as the group can write anywhere, the sticky bit is there with it.
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
    shared.set(&account, &layout.marker(), group, SHARED_FILE)?;
    // From now on every account has an index of its own.
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
