//! Files that are not data: names of things for the kernel, and files through which it is asked or told something.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

#[cfg(target_os = "linux")]
use super::optional;
use super::{FsError, failed};

/// Opens a path only to name it to the kernel, without the right to read it; `None` if it is missing.
///
/// # Errors
/// If it cannot be found for another reason.
#[cfg(target_os = "linux")]
pub fn open_path(path: &Path) -> Result<Option<File>, FsError> {
    use std::os::unix::fs::OpenOptionsExt;

    let opened = File::options().read(true).custom_flags(libc::O_PATH).open(path);
    optional(opened.map_err(failed("find", path)))
}

/// Returns the target of a symbolic link; `None` if the path is not one.
pub fn link_target(path: &Path) -> Option<PathBuf> {
    fs::read_link(path).ok()
}

/// Opens an existing file of the kernel for writing.
///
/// # Errors
/// If it cannot be opened.
pub fn open_to_tell(path: &Path) -> Result<File, FsError> {
    File::options().write(true).open(path).map_err(failed("write", path))
}

/// Writes a text to an existing file of the kernel.
///
/// # Errors
/// If the kernel refuses it.
pub fn tell(path: &Path, text: &str) -> Result<(), FsError> {
    open_to_tell(path)?.write_all(text.as_bytes()).map_err(failed("write", path))
}

/// Creates one folder.
///
/// # Errors
/// If it cannot be created, or there is something with this name.
pub fn create_one_folder(path: &Path) -> Result<(), FsError> {
    fs::create_dir(path).map_err(failed("create", path))
}

/// Returns the number of the account that owns a file; `None` if it is missing.
pub fn owner(path: &Path) -> Option<u32> {
    fs::metadata(path).ok().map(|metadata| metadata.uid())
}

/// Returns inode and size of all regular files without a name that the links in a folder such as `/proc/N/fd` lead to,
/// if they are on the same file system as `beside`.
pub fn unlinked(links: &Path, beside: &Path) -> Vec<(u64, u64)> {
    let Ok(beside) = fs::metadata(beside) else { return Vec::new() };
    let entries = fs::read_dir(links).into_iter().flatten().filter_map(Result::ok);
    let files = entries.filter_map(|entry| fs::metadata(entry.path()).ok());
    let here = |file: &fs::Metadata| file.is_file() && file.nlink() == 0 && file.dev() == beside.dev();
    files.filter(here).map(|file| (file.ino(), file.len())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn files_without_a_name_are_found() {
        let folder = tempfile::tempdir().unwrap();
        let file = tempfile::tempfile_in(folder.path()).unwrap();
        file.set_len(1234).unwrap();
        let inode = file.metadata().unwrap().ino();
        let own = Path::new("/proc/self/fd");
        assert!(unlinked(own, folder.path()).contains(&(inode, 1234)));
        assert!(!unlinked(own, Path::new("/proc")).contains(&(inode, 1234)));
        assert!(open_path(&folder.path().join("none")).unwrap().is_none());
        assert!(tell(&folder.path().join("none"), "x").is_err());
    }
}
