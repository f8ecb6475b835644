//! What a command can use besides its declared files: the system, and the installation of its language.

use std::path::{Path, PathBuf};

use base::digest::ObjectDigest;

/// The parts of the system that every command can read.
const SYSTEM: [&str; 13] = [
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/etc/alternatives",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/fonts",
    "/etc/localtime",
    "/etc/R",
];

/// Environment variables that have the same values in every run. They exclude random seeds, the locale and the current
/// time in files, and set one thread, so that sums do not depend on the number of cores.
pub const VARIABLES: [(&str, &str); 10] = [
    ("LC_ALL", "C.UTF-8"),
    ("TZ", "UTC"),
    ("SOURCE_DATE_EPOCH", "0"),
    ("PYTHONHASHSEED", "0"),
    ("PYTHONDONTWRITEBYTECODE", "1"),
    ("OMP_NUM_THREADS", "1"),
    ("OPENBLAS_NUM_THREADS", "1"),
    ("MKL_NUM_THREADS", "1"),
    ("MPLBACKEND", "Agg"),
    ("MPLCONFIGDIR", "/tmp"),
];

/// Maximum size of a program that is hashed, in bytes.
const PROGRAM_LIMIT: u64 = 1 << 30;

/// The programs and libraries that a command can use.
#[derive(Debug)]
pub struct Installation {
    /// The project's Python virtual environment, if it has one.
    environment: Option<PathBuf>,
    /// Installation folder of the interpreter that this environment was created with, unless it is in `/usr`.
    base: Option<PathBuf>,
    /// Path of the program with links resolved, unless it is a declared file.
    program: Option<PathBuf>,
}

impl Installation {
    /// Finds the installation that a program of a project uses.
    pub fn find(root: &Path, program: &str) -> Self {
        let environment = files::canonical(&root.join(".venv")).ok().filter(|path| path.join("bin").is_dir());
        let above = |path: PathBuf| path.parent().and_then(Path::parent).map(Path::to_owned);
        let python = environment.as_ref().and_then(|path| files::canonical(&path.join("bin/python")).ok());
        let base = python.and_then(above).filter(|path| !path.starts_with("/usr"));
        let mut found = Self { environment, base, program: None };
        found.program = found.look(program);
        found
    }

    fn look(&self, program: &str) -> Option<PathBuf> {
        let found = match program.contains('/') {
            true => Some(PathBuf::from(program)).filter(|path| path.is_absolute()),
            false => self.path().split(':').map(|folder| Path::new(folder).join(program)).find(|path| path.is_file()),
        };
        files::canonical(&found?).ok()
    }

    /// Returns the project's virtual environment.
    pub fn environment(&self) -> Option<&Path> {
        self.environment.as_deref()
    }

    /// Returns the folders that the command can read.
    pub fn folders(&self) -> Vec<PathBuf> {
        let own = self.environment.iter().chain(&self.base).cloned();
        SYSTEM.iter().map(PathBuf::from).chain(own).collect()
    }

    /// Returns the value of `PATH`.
    pub fn path(&self) -> String {
        let own = self.environment.as_ref().map(|path| format!("{}/bin:", path.display())).unwrap_or_default();
        format!("{own}/usr/local/bin:/usr/bin:/bin")
    }

    /// Describes the program for the record: its path, and the hash of its bytes.
    pub fn words(&self) -> String {
        let Some(program) = &self.program else { return "a declared program".to_owned() };
        let hash = files::read_regular(program, PROGRAM_LIMIT).map(|bytes| ObjectDigest::of(&bytes).short());
        let hash = hash.map(|hash| format!(" ({hash})")).unwrap_or_default();
        format!("{}{hash}", program.display())
    }
}
