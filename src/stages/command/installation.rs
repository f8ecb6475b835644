//! What a command can use besides its declared files: the system, and the installation of its language.

use std::path::{Path, PathBuf};

use super::image;
use base::digest::ObjectDigest;
use base::work::Command;

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
#[derive(Debug, Default)]
pub struct Installation {
    /// The project's Python virtual environment, if it has one and the command runs outside images.
    environment: Option<PathBuf>,
    /// Installation folder of the interpreter that this environment was created with, unless it is in `/usr`.
    base: Option<PathBuf>,
    /// Path of the program with links resolved, unless it is a declared file. For an image, this is the program that
    /// starts the image.
    program: Option<PathBuf>,
    /// Paths that lead to the image that the command runs in.
    image: Vec<PathBuf>,
    /// What surrounds the program, for the record.
    place: String,
}

impl Installation {
    /// Finds the installation that a command uses.
    pub fn of(work: &Command) -> Self {
        let (words, mut found) = match &work.image {
            None => (&work.run, Self::of_project(&work.terms.root)),
            Some(image) => {
                let paths = image::paths(image).chain([PathBuf::from("/sys")]).collect();
                (&image.with, Self { image: paths, ..Self::default() })
            }
        };
        found.place = match (&work.image, &work.lock) {
            (Some(image), _) => format!("image {} by ", image.reference),
            (None, Some(_)) => String::new(),
            (None, None) => "host ".to_owned(),
        };
        found.program = words.first().and_then(|program| found.look(program));
        found
    }

    fn of_project(root: &Path) -> Self {
        let environment = files::canonical(&root.join(".venv")).ok().filter(|path| path.join("bin").is_dir());
        let above = |path: PathBuf| path.parent().and_then(Path::parent).map(Path::to_owned);
        let python = environment.as_ref().and_then(|path| files::canonical(&path.join("bin/python")).ok());
        let base = python.and_then(above).filter(|path| !path.starts_with("/usr"));
        Self { environment, base, ..Self::default() }
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

    /// Returns the path of the program; `None` if it is a declared file.
    pub fn program(&self) -> Option<&Path> {
        self.program.as_deref()
    }

    /// Returns the folders that the command can read.
    pub fn folders(&self) -> Vec<PathBuf> {
        let own = self.environment.iter().chain(&self.base).chain(&self.image).cloned();
        SYSTEM.iter().map(PathBuf::from).chain(own).collect()
    }

    /// Returns the value of `PATH`.
    pub fn path(&self) -> String {
        let own = self.environment.as_ref().map(|path| format!("{}/bin:", path.display())).unwrap_or_default();
        format!("{own}/usr/local/bin:/usr/bin:/bin")
    }

    /// Describes the program for the record: what surrounds it, its path, and the hash of its bytes.
    pub fn words(&self) -> String {
        let place = &self.place;
        let Some(program) = &self.program else { return format!("{place}a declared program") };
        let hash = files::read_regular(program, PROGRAM_LIMIT).map(|bytes| ObjectDigest::of(&bytes).short());
        let hash = hash.map(|hash| format!(" ({hash})")).unwrap_or_default();
        format!("{place}{}{hash}", program.display())
    }
}
