//! Orders, results and errors.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// How strictly a program is kept from what its order does not declare.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Namespaces made by bubblewrap: undeclared paths do not exist, and there is no network.
    Namespaces,
    /// Landlock and seccomp: undeclared files cannot be opened, but they can be seen to exist.
    Landlock,
    /// Only the environment, the limits and the end of all processes.
    None,
}

impl Level {
    /// All levels, the strictest first.
    pub const ALL: [Self; 3] = [Self::Namespaces, Self::Landlock, Self::None];
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Namespaces => "namespaces",
            Self::Landlock => "landlock",
            Self::None => "none",
        })
    }
}

/// A program to run, and everything that it may use.
#[derive(Debug, Clone)]
pub struct Order {
    /// How strictly the order is enforced.
    pub level: Level,
    /// The program and its arguments. A name without `/` is looked up in the `PATH` of `variables`.
    pub program: Vec<OsString>,
    /// The program's working folder, the only place that it can write to. Its path must be absolute.
    pub folder: PathBuf,
    /// Declared files and folders: the place on this machine, and the name in `folder` under which the program finds
    /// a copy.
    pub reads: Vec<(PathBuf, PathBuf)>,
    /// Paths that the program can read where they are: the system, and the installation of its language. Missing
    /// ones are left out.
    pub system: Vec<PathBuf>,
    /// The whole environment. `HOME`, `TMPDIR`, `PWD`, `USER` and `LOGNAME` are added where they are missing.
    pub variables: BTreeMap<String, String>,
    /// Devices that it can use: the nodes of a GPU.
    pub devices: Vec<PathBuf>,
    /// Bounds of what it can consume.
    pub limits: Limits,
}

/// Bounds of what a program can consume.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// Time in seconds.
    pub seconds: f64,
    /// Memory of all its processes together in bytes.
    pub memory: Option<u64>,
    /// Total size of the files that it makes in its folder, in bytes. Temporary files count too. A folder in it that
    /// cannot be listed counts as endless.
    pub output_bytes: u64,
    /// Number of files and folders that it makes in its folder. Temporary ones count too.
    pub output_files: u64,
    /// Number of bytes that are kept of its standard output and standard error; more is not an error.
    pub log_bytes: u64,
}

/// Maximum number of processes of a program at the same time.
pub const PROCESSES: usize = 1000;

/// How a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// The program exited with this status.
    Exited(i32),
    /// A signal ended it.
    Signal(i32),
    /// It ran out of time.
    TimedOut,
    /// It used more memory than allowed.
    OutOfMemory,
    /// It wrote more bytes or more files than allowed.
    TooMuchOutput,
    /// It started more than [`PROCESSES`] processes.
    TooManyProcesses,
    /// The caller cancelled it.
    Cancelled,
}

/// A program that has ended, with all its processes.
#[derive(Debug, Clone)]
pub struct Ended {
    /// How it ended.
    pub how: How,
    /// Its standard output and standard error in the order of writing, without the middle if they are too long.
    pub log: Vec<u8>,
    /// Time that it took in seconds.
    pub seconds: f64,
    /// Level at which it ran.
    pub level: Level,
    /// Largest known memory of its processes in bytes.
    pub peak_memory: Option<u64>,
}

/// Something that a program looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// The absolute path as the program sees it, or the address of a socket.
    pub path: PathBuf,
    /// The name in the program's folder, if the path leads there.
    pub within: Option<PathBuf>,
    /// What the program wanted to do.
    pub kind: AccessKind,
    /// Whether it exists: on this machine, or in the program's folder if the path leads there.
    pub exists: bool,
}

/// What a program wanted to do with a path; of several kinds, the greatest is remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum AccessKind {
    /// To see whether it exists, how large it is, or where it leads.
    Look,
    /// To read it.
    Read,
    /// To write it.
    Write,
    /// To run it.
    Execute,
    /// To talk to it.
    Connect,
}

/// Why a program could not be run.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// An order that contradicts itself.
    #[error("{0}")]
    Order(String),
    /// This machine does not offer the level.
    #[error("the sandbox level {level} is not available: {why}")]
    Unavailable {
        /// The level of the order.
        level: Level,
        /// The reason.
        why: String,
    },
    /// The program could not be started.
    #[error("cannot start {}: {source}", program.display())]
    Start {
        /// First word of the command.
        program: PathBuf,
        /// Error reported by the system.
        source: io::Error,
    },
    /// A failed system call.
    #[error("cannot {operation}: {source}")]
    System {
        /// The attempted operation.
        operation: &'static str,
        /// Error reported by the system.
        source: io::Error,
    },
    /// The process that watches over the program is gone.
    #[error("the process that watches over the program was killed")]
    Lost,
    /// A failed operation on a file.
    #[error(transparent)]
    Files(#[from] files::FsError),
}

#[cfg(target_os = "linux")]
impl SandboxError {
    /// Returns a closure that adds the operation to an error of the system.
    pub(crate) fn system(operation: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::System { operation, source }
    }
}

/// Reads an output of a program: a regular file of at most `limit` bytes below the folder. Links are not followed.
///
/// # Errors
/// If it cannot be read, is larger, or is a link, a second name of another file, a FIFO or a device.
pub fn collect(folder: &Path, name: &Path, limit: u64) -> Result<Vec<u8>, files::FsError> {
    files::read_beneath(folder, name, limit)
}

/// Removes a program's folder with everything in it, whatever modes and depths the program has left there.
///
/// # Errors
/// If anything cannot be removed.
pub fn remove(folder: &Path) -> Result<(), files::FsError> {
    files::remove_untrusted(folder)
}
