//! The room on disk that a plan needs, and the room that there is.

use std::collections::BTreeMap;
use std::path::Path;

use crate::cost;
use crate::plan::Plan;
use crate::project::targets::select::Selection;
use store::Store;

/// Room for the results of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Number of bytes of the images and weights that the plan stores, before compression. Tables and drawings are small, and
    /// the outputs of commands are not known in advance.
    pub needed: u64,
    /// Number of bytes that this account can write to the file system of the store, if it is known.
    pub free: Option<u64>,
}

impl Room {
    /// Checks whether the file system has enough room, as far as that is known.
    pub fn is_enough(self) -> bool {
        self.free.is_none_or(|free| self.needed <= free)
    }
}

impl Selection {
    /// Returns the room that a plan needs in a store, which need not exist yet.
    pub fn room(&self, plan: &Plan, store: &Store) -> Room {
        let mut sizes = BTreeMap::new();
        let bytes = |run: &crate::plan::ToRun| cost::stored_bytes(&self.graph.stages[run.stage].work, &mut sizes);
        Room { needed: plan.run.iter().map(bytes).sum(), free: free(store.root()) }
    }
}

/// Returns the free space at a path, or at the first folder above it that exists.
fn free(path: &Path) -> Option<u64> {
    let folders = path.ancestors().map(|folder| if folder == Path::new("") { Path::new(".") } else { folder });
    folders.into_iter().find_map(|folder| files::free_space(folder).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_enough_unless_less_is_free() {
        let room = |needed, free| Room { needed, free };
        assert!(room(5, Some(5)).is_enough() && room(5, None).is_enough() && !room(5, Some(4)).is_enough());
    }

    #[test]
    fn a_folder_that_does_not_exist_is_on_the_file_system_of_the_one_above() {
        let folder = tempfile::tempdir().unwrap();
        assert!(free(&folder.path().join("no/such/cache")).is_some_and(|bytes| bytes > 0));
        assert!(free(Path::new("cache-that-does-not-exist")).is_some());
    }
}
