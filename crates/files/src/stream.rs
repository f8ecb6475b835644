//! Outputs that are written directly, not replaced: standard output, other inherited descriptors, devices and FIFOs.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::fd::{AsRawFd, FromRawFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::{FsError, failed};

/// Time to wait for a reader of a FIFO.
const PATIENCE: Duration = Duration::from_secs(10);

/// Whether the program was started without a standard output. Rust's runtime opens /dev/null instead before `main`,
/// so this is checked earlier.
static WAS_CLOSED: AtomicBool = AtomicBool::new(false);

#[used]
#[cfg_attr(target_os = "linux", unsafe(link_section = ".init_array"))]
#[cfg_attr(target_os = "macos", unsafe(link_section = "__DATA,__mod_init_func"))]
static AT_START: extern "C" fn() = look_at_standard_output;

extern "C" fn look_at_standard_output() {
    // SAFETY: queries the flags of a descriptor, which can be closed; nothing of Rust's runtime is needed.
    let flags = unsafe { libc::fcntl(libc::STDOUT_FILENO, libc::F_GETFD) };
    WAS_CLOSED.store(flags < 0, Ordering::Relaxed);
}

/// An open output that is written directly.
#[derive(Debug)]
pub struct Stream {
    file: File,
    path: PathBuf,
    is_standard_output: bool,
}

impl Stream {
    /// Opens standard output.
    ///
    /// # Errors
    /// If the program was started without one.
    pub fn standard_output() -> Result<Self, FsError> {
        let path = Path::new("standard output");
        match WAS_CLOSED.load(Ordering::Relaxed) {
            true => Err(failed("write", path)(io::Error::from_raw_os_error(libc::EBADF))),
            false => Self::duplicate(libc::STDOUT_FILENO, path),
        }
    }

    /// Opens a descriptor that the program was started with; `path` is the user's name for it.
    ///
    /// # Errors
    /// If the program was started without such a descriptor.
    pub(super) fn inherited(descriptor: RawFd, path: &Path) -> Result<Self, FsError> {
        if descriptor == libc::STDOUT_FILENO {
            return Self::standard_output();
        }
        // SAFETY: queries the flags of a descriptor, which can be closed.
        let flags = unsafe { libc::fcntl(descriptor, libc::F_GETFD) };
        // Descriptors opened by this process close on exec, and users cannot mean them.
        match flags >= 0 && flags & libc::FD_CLOEXEC == 0 {
            true => Self::duplicate(descriptor, path),
            false => Err(failed("write", path)(io::Error::from_raw_os_error(libc::EBADF))),
        }
    }

    fn duplicate(descriptor: RawFd, path: &Path) -> Result<Self, FsError> {
        // SAFETY: duplicates an open descriptor, or fails.
        let own = unsafe { libc::fcntl(descriptor, libc::F_DUPFD_CLOEXEC, 3) };
        if own < 0 {
            return Err(failed("write", path)(io::Error::last_os_error()));
        }
        // SAFETY: the descriptor was created just now and has no other owner.
        let file = unsafe { File::from_raw_fd(own) };
        Ok(Self { file, path: path.to_owned(), is_standard_output: descriptor == libc::STDOUT_FILENO })
    }

    /// Opens a device, a FIFO or a file of a running process. Waits some seconds for a reader of a FIFO.
    ///
    /// # Errors
    /// If it cannot be opened, or nobody reads the FIFO.
    pub(super) fn open(path: &Path) -> Result<Self, FsError> {
        Self::open_within(path, PATIENCE)
    }

    fn open_within(path: &Path, patience: Duration) -> Result<Self, FsError> {
        let failed = failed("write", path);
        let begun = Instant::now();
        // Without this flag, opening a FIFO without a reader would block forever.
        let open = || OpenOptions::new().write(true).custom_flags(libc::O_NONBLOCK).open(path);
        let file = loop {
            match open() {
                Err(error) if error.raw_os_error() == Some(libc::ENXIO) && begun.elapsed() < patience => {
                    thread::sleep(Duration::from_millis(20));
                }
                Err(error) if error.raw_os_error() == Some(libc::ENXIO) => {
                    let message = "nobody reads from it: start its reader first";
                    return Err(failed(io::Error::new(ErrorKind::NotConnected, message)));
                }
                opened => break opened.map_err(&failed)?,
            }
        };
        // Writing blocks again until the reader is ready.
        // SAFETY: changes the flags of a descriptor that is open.
        if unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETFL, 0) } < 0 {
            return Err(failed(io::Error::last_os_error()));
        }
        Ok(Self { file, path: path.to_owned(), is_standard_output: false })
    }

    /// Writes all of the bytes. It is not an error if the reader of standard output has gone (`wdpipe graph | head`).
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn append(&mut self, bytes: &[u8]) -> Result<(), FsError> {
        match self.file.write_all(bytes) {
            Err(error) if self.is_standard_output && error.kind() == ErrorKind::BrokenPipe => Ok(()),
            written => written.map_err(failed("write", &self.path)),
        }
    }

    /// Returns its name for messages.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the output is a terminal.
    pub fn is_terminal(&self) -> bool {
        // SAFETY: queries a descriptor that is open as long as `self`.
        unsafe { libc::isatty(self.file.as_raw_fd()) == 1 }
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::CString;
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    #[test]
    fn a_fifo_that_nobody_reads_is_not_waited_for_for_ever() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        let name = CString::new(pipe.as_os_str().as_bytes()).unwrap();
        // SAFETY: a system call that reads a NUL-terminated string.
        assert_eq!(unsafe { libc::mkfifo(name.as_ptr(), 0o600) }, 0);
        let error = Stream::open_within(&pipe, Duration::ZERO).unwrap_err();
        assert!(error.to_string().contains("nobody reads from it"), "{error}");
    }
}
