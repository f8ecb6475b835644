//! Copying parts of files. If the system can copy them, the bytes do not pass through this program.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::os::fd::AsRawFd;

/// Number of bytes copied at a time.
const PIECE: u64 = 4 << 20;

/// Copies `length` bytes of a file, from `start` on, into an empty file; repeatedly reports the number of copied
/// bytes.
pub(super) fn copy_range(
    mut from: &File,
    start: u64,
    length: u64,
    mut to: &File,
    copied: &mut dyn FnMut(u64),
) -> io::Result<()> {
    from.seek(SeekFrom::Start(start))?;
    let mut done = 0;
    while done < length {
        match io::copy(&mut from.take(PIECE.min(length - done)), &mut to)? {
            0 => return Err(ErrorKind::UnexpectedEof.into()),
            piece => done += piece,
        }
        copied(done);
    }
    Ok(())
}

/// Clones a part of a file into an empty one, so that both share the bytes, if the file system can: `start` must be a
/// multiple of its block size, and the part must end on a block or with the file. A `length` of 0 means up to the
/// end.
pub(super) fn clone_range(from: &File, start: u64, length: u64, to: &File) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    {
        let range = libc::file_clone_range {
            src_fd: from.as_raw_fd().into(),
            src_offset: start,
            src_length: length,
            dest_offset: 0,
        };
        // SAFETY: a system call on two open files; it reads the structure, which lives until it returns.
        match unsafe { libc::ioctl(to.as_raw_fd(), libc::FICLONERANGE, &raw const range) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }
    #[cfg(not(target_os = "linux"))]
    {
        let _ = (from.as_raw_fd(), start, length, to.as_raw_fd());
        Err(ErrorKind::Unsupported.into())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_part_of_a_file_is_copied_whatever_its_size() {
        let folder = tempfile::tempdir().unwrap();
        let (one, two) = (folder.path().join("one"), folder.path().join("two"));
        for (start, length) in [(0, 0), (16, 0), (16, 5), (4096, 5000), (4096, 9 << 20)] {
            let bytes: Vec<u8> = (0..start + length).map(|at| (at / 7) as u8).collect();
            fs::write(&one, &bytes).unwrap();
            let from = File::open(&one).unwrap();
            let to = File::options().read(true).write(true).create(true).truncate(true).open(&two).unwrap();
            let mut marks = vec![0];
            copy_range(&from, start as u64, length as u64, &to, &mut |mark| marks.push(mark)).unwrap();
            assert!(fs::read(&two).unwrap() == bytes[start..], "{start} {length}");
            assert!(marks.is_sorted() && marks.last() == Some(&(length as u64)));
            let (more, none) = (length as u64 + 1, File::create(&two).unwrap());
            assert!(copy_range(&from, start as u64, more, &none, &mut |_| ()).is_err());
        }
    }
}
