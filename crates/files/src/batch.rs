//! Publishing many files together: they are written one after the other, and one sync of the file system makes them
//! durable.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use super::{Draft, FsError, Identity, failed, folder_of, identity, sync_folder};

/// Up to this number of files are synced one by one: a sync of the whole file system also writes the data of other
/// programs.
const FEW: usize = 8;

/// Files under temporary names that are published together. Files that are dropped unpublished are removed.
#[derive(Debug, Default)]
pub struct Batch {
    files: Vec<Waiting>,
}

/// A finished file under a temporary name; it is closed, so that there can be many.
#[derive(Debug)]
struct Waiting {
    temporary: PathBuf,
    target: PathBuf,
}

impl Batch {
    /// Adds a file to be published as `target`, on the same file system.
    ///
    /// # Errors
    /// If its mode cannot be set.
    pub fn add(&mut self, draft: Draft, target: PathBuf) -> Result<(), FsError> {
        let temporary = draft.finish()?;
        self.files.push(Waiting { temporary, target });
        Ok(())
    }

    /// Returns the number of waiting files.
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// Whether no files are waiting.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Makes all files durable, gives them their names, and makes the names durable. Returns the identity of each
    /// file, or `None` if its name was taken; no files are waiting afterwards.
    ///
    /// # Errors
    /// If anything cannot be written. In that case, some files may have their names, complete and durable or not, and the
    /// others do not.
    pub fn publish(&mut self) -> Result<Vec<Option<Identity>>, FsError> {
        let Some(first) = self.files.first() else { return Ok(Vec::new()) };
        let few = self.files.len() <= FEW || cfg!(not(target_os = "linux"));
        match few {
            true => self.files.iter().try_for_each(|file| sync_file(&file.temporary))?,
            false => sync_file_system(&first.temporary)?,
        }
        let published = self.files.iter().map(Waiting::publish).collect::<Result<Vec<_>, _>>()?;
        match few {
            true => self.files.iter().try_for_each(|file| sync_names(&file.target))?,
            false => sync_file_system(folder_of(&first.temporary))?,
        }
        self.files.clear();
        Ok(published)
    }
}

impl Waiting {
    fn publish(&self) -> Result<Option<Identity>, FsError> {
        let linked = super::draft::link_or_move(&self.temporary, &self.target)?;
        // Removing the temporary name changes the file's identity, so it comes first.
        let _ = fs::remove_file(&self.temporary);
        if linked { identity(&self.target) } else { Ok(None) }
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        for file in &self.files {
            // A leftover is harmless and removed later.
            let _ = fs::remove_file(&file.temporary);
        }
    }
}

fn sync_file(path: &Path) -> Result<(), FsError> {
    File::open(path).and_then(|file| file.sync_all()).map_err(failed("write", path))
}

/// Makes a file's name durable, and that of its folder, which can be new.
fn sync_names(path: &Path) -> Result<(), FsError> {
    let folder = folder_of(path);
    sync_folder(folder)?;
    sync_folder(folder_of(folder))
}

/// Writes all cached data of the file system of `path` to disk.
#[cfg(target_os = "linux")]
fn sync_file_system(path: &Path) -> Result<(), FsError> {
    use std::os::fd::AsRawFd;
    let file = File::open(path).map_err(failed("sync", path))?;
    // SAFETY: the descriptor is open as long as `file` lives, and the call takes nothing else.
    match unsafe { libc::syncfs(file.as_raw_fd()) } {
        0 => Ok(()),
        _ => Err(failed("sync", path)(std::io::Error::last_os_error())),
    }
}

/// On other systems no call reports completion and errors, so the files are synced one by one.
#[cfg(not(target_os = "linux"))]
fn sync_file_system(_: &Path) -> Result<(), FsError> {
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "they look at the file system from outside")]

    use super::*;

    fn batch(folder: &Path, count: usize) -> Batch {
        let mut batch = Batch::default();
        for number in 0..count {
            let mut draft = Draft::new(folder).unwrap();
            draft.append(format!("number {number}").as_bytes()).unwrap();
            batch.add(draft, folder.join(format!("new/{}/{number}", number % 3))).unwrap();
        }
        batch
    }

    #[test]
    fn few_and_many_are_there_whole_and_nothing_is_left_over() {
        for count in [0, 1, FEW, FEW + 20] {
            let folder = tempfile::tempdir().unwrap();
            let published = batch(folder.path(), count).publish().unwrap();
            assert_eq!(published.len(), count);
            for (number, file) in published.into_iter().enumerate() {
                let path = folder.path().join(format!("new/{}/{number}", number % 3));
                assert_eq!(fs::read_to_string(&path).unwrap(), format!("number {number}"));
                assert_eq!(identity(&path).unwrap(), file);
                assert!(file.unwrap().is_settled(0));
            }
            let again = batch(folder.path(), count).publish().unwrap();
            assert!(again.iter().all(Option::is_none), "existing files are kept");
            let left = fs::read_dir(folder.path()).unwrap().count();
            assert_eq!(left, usize::from(count > 0));
        }
    }

    #[test]
    fn what_is_not_published_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        drop(batch(folder.path(), 20));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
