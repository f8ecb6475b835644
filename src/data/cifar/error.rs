//! Why a data set could not be imported.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::data::files::FileError;
use crate::work::Source;

/// A data set that could not be imported.
#[derive(Debug)]
pub struct ImportError {
    /// What was to be imported.
    pub path: PathBuf,
    /// Which data set it seems to be.
    pub data_set: Option<Source>,
    /// What is wrong.
    pub fault: Fault,
}

impl fmt::Display for ImportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.fault {
            // It names the very file.
            Fault::File(error) => error.fmt(f),
            fault => write!(f, "`{}` {fault}", self.path.display()),
        }
    }
}

impl std::error::Error for ImportError {}

/// What is wrong with a data set.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The file system refused, or it is a device.
    #[error(transparent)]
    File(#[from] FileError),
    /// Neither the files of CIFAR-10 nor those of CIFAR-100.
    #[error("holds no CIFAR data{}", .beside.as_ref().map(|name| format!(" itself, but there is `{name}`")).unwrap_or_default())]
    NotCifar {
        /// A file in the folder that may be meant.
        beside: Option<String>,
    },
    /// Both data sets.
    #[error("holds CIFAR-10 (in `{}`) and CIFAR-100 (in `{}`)", .0[0], .0[1])]
    Both([String; 2]),
    /// One file in two places.
    #[error("holds `{file}` twice: as `{}` and as `{}`", .places[0], .places[1])]
    Twice {
        /// The file.
        file: String,
        /// Where it is.
        places: [String; 2],
    },
    /// Files that belong to the data set are not there.
    #[error("lacks {}", .0.join(", "))]
    Missing(Vec<&'static str>),
    /// A format that is not read.
    #[error("is {0}, which is not read")]
    Format(Format),
    /// The file ends too early.
    #[error("is truncated")]
    Truncated,
    /// The archive is damaged, or holds what no CIFAR archive holds.
    #[error("is damaged: {0}")]
    Damaged(String),
    /// A file of another size.
    #[error("is not CIFAR: its `{file}` has {found} bytes instead of {expected}")]
    Size {
        /// The file.
        file: String,
        /// Its size.
        found: u64,
        /// The size that it should have.
        expected: u64,
    },
    /// A file that is something else than it should be.
    #[error("cannot be used: in `{file}`, {reason}")]
    Content {
        /// The file.
        file: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A label that is no class.
    #[error("is not CIFAR: image {index} of `{file}` has the label {label}, but there are {classes} classes")]
    Label {
        /// The file.
        file: String,
        /// Which image of the file, from 0.
        index: usize,
        /// Its label.
        label: u8,
        /// Number of classes.
        classes: u32,
    },
    /// A class with more or fewer images than the data set has.
    #[error("is not CIFAR: class {class} has {found} images in {} instead of {expected}", .files.join(", "))]
    ClassSize {
        /// The files of the training or test set.
        files: Vec<String>,
        /// The class.
        class: usize,
        /// Its images.
        found: usize,
        /// The images that it should have.
        expected: usize,
    },
}

/// What broke while a file was unpacked.
impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::Truncated,
            _ => Self::Damaged(error.to_string()),
        }
    }
}

/// A format that people have CIFAR in, or take for CIFAR, and that is not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Apache Parquet: Hugging Face's files.
    Parquet,
    /// One file of several, or something else.
    Other(&'static str),
}

impl Format {
    /// What begins with these bytes; nothing if it may be an archive.
    pub(super) fn of(start: &[u8]) -> Option<Self> {
        const OTHERS: [(&[u8], &str); 12] = [
            (b"ARROW1", "an Arrow file"),
            (b"\x89HDF", "an HDF5 file"),
            (b"MATLAB 5.0", "a file of MATLAB"),
            (b"\x93NUMPY", "one array of NumPy"),
            (b"BZh", "compressed with bzip2"),
            (b"\xfd7zXZ", "compressed with xz"),
            (b"\x28\xb5\x2f\xfd", "compressed with zstd"),
            (b"7z\xbc\xaf", "a 7-Zip archive"),
            (b"Rar!", "a RAR archive"),
            (b"\x89PNG", "an image"),
            (b"<", "a page of the web"),
            (b"version https://git-lfs", "a pointer of Git LFS"),
        ];
        if start.starts_with(b"PAR1") {
            return Some(Self::Parquet);
        }
        if start.is_empty() {
            return Some(Self::Other("an empty file"));
        }
        if super::pickle::Pickle::begins(start) {
            return Some(Self::Other("one pickle"));
        }
        OTHERS.iter().find(|(magic, _)| start.starts_with(magic)).map(|&(_, name)| Self::Other(name))
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Parquet => f.write_str("a Parquet file"),
            Self::Other(name) => f.write_str(name),
        }
    }
}
