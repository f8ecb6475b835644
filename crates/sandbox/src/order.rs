//! Orders to run a program, and their results and errors.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// How strictly a program is isolated from everything that its order does not declare.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Namespaces created by bubblewrap: undeclared paths do not exist for the program, and it has no network.
    Namespaces,
    /// Landlock and seccomp: undeclared files cannot be opened, but the program can find out that they exist.
    Landlock,
    /// No isolation: only the environment variables and limits are set, and all processes are ended at the end.
    None,
}

impl Level {
    /// All levels, from the strictest to the weakest.
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

/// A program to run, and everything that it can use.
#[derive(Debug, Clone)]
pub struct Order {
    /// How strictly the order is enforced.
    pub level: Level,
    /// The program and its arguments. A name without `/` is looked up in the `PATH` of `variables`.
    pub program: Vec<OsString>,
    /// Absolute path of the program's working folder, the only place that it can write to.
    pub folder: PathBuf,
    /// Declared files and folders: the path on this machine, and the name of the copy that the program finds in
    /// `folder`.
    pub reads: Vec<(PathBuf, PathBuf)>,
    /// Paths that the program can read in place: the system, and the installation of its language. Missing paths are
    /// ignored.
    pub system: Vec<PathBuf>,
    /// Files that the program finds at other absolute paths than where they are on this machine: the path here, and the
    /// path there. Only namespaces can show them; at the other levels, the program finds what the machine has.
    pub mounts: Vec<(PathBuf, PathBuf)>,
    /// All environment variables. `HOME`, `TMPDIR`, `PWD`, `USER` and `LOGNAME` are added if they are missing.
    pub variables: BTreeMap<String, String>,
    /// Devices that the program can use, such as the device nodes of a GPU.
    pub devices: Vec<PathBuf>,
    /// Limits of the resources that it can use.
    pub limits: Limits,
}

/// Limits of the resources that a program can use.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// Time in seconds.
    pub seconds: f64,
    /// Total memory of all its processes in bytes, if limited.
    pub memory: Option<u64>,
    /// Total size in bytes of the files that it creates in its folder, including temporary files. A subfolder that
    /// cannot be listed counts as infinitely large.
    pub output_bytes: u64,
    /// Number of files and folders that it creates in its folder, including temporary ones.
    pub output_files: u64,
    /// Number of bytes of its standard output and standard error that are kept. More output is not an error.
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

/// Result of a program that has ended together with all its processes.
#[derive(Debug, Clone)]
pub struct Ended {
    /// How it ended.
    pub how: How,
    /// Its standard output and standard error in the order of writing. If they are too long, the middle is omitted.
    pub log: Vec<u8>,
    /// Duration in seconds.
    pub seconds: f64,
    /// Level at which it ran.
    pub level: Level,
    /// Largest observed memory use of its processes in bytes, if known.
    pub peak_memory: Option<u64>,
}

/// A path or socket that a program tried to access.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// Absolute path as the program sees it, or address of a socket.
    pub path: PathBuf,
    /// Path relative to the program's folder, if the access leads into that folder.
    pub within: Option<PathBuf>,
    /// What the program wanted to do.
    pub kind: AccessKind,
    /// Whether it exists: on this machine, or in the program's folder if the path leads there.
    pub exists: bool,
}

/// What a program tried to do with a path. If it tried several kinds of access, the last of them in this order counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum AccessKind {
    /// Check whether the path exists, how large the file is, or where the link leads.
    Look,
    /// Read the file.
    Read,
    /// Write the file.
    Write,
    /// Run the file.
    Execute,
    /// Connect to the socket.
    Connect,
}

/// Why a program could not be run.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The order is contradictory.
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
        /// The program, which is the first word of the command.
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
    /// The process that supervises the program was killed.
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

/// Removes a program's folder with everything in it, regardless of file modes and of how deeply folders are nested.
///
/// # Errors
/// If anything cannot be removed.
pub fn remove(folder: &Path) -> Result<(), files::FsError> {
    files::remove_untrusted(folder)
}
