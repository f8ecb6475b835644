//! Errors of the import of a data set.

use std::fmt;
use std::io;
use std::path::PathBuf;

use super::pickle::Pickle;
use crate::data::files::FileError;
use base::work::Source;

/// A data set that could not be imported.
#[derive(Debug)]
pub struct ImportError {
    /// The file or folder to import.
    pub path: PathBuf,
    /// The data set that it seems to be.
    pub data_set: Option<Source>,
    /// The fault.
    pub fault: Fault,
}

impl fmt::Display for ImportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.fault {
            // A file error already names the file.
            Fault::File(error) => error.fmt(f),
            fault => write!(f, "`{}` {fault}", self.path.display()),
        }
    }
}

impl std::error::Error for ImportError {}

/// The fault of a data set.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// An error of the file system, or a device instead of a file.
    #[error(transparent)]
    File(#[from] FileError),
    /// The files of CIFAR-10 and the files of CIFAR-100 are both missing.
    #[error("holds no CIFAR data{}", .beside.as_ref().map(|name| format!(" itself, but there is `{name}`")).unwrap_or_default())]
    NotCifar {
        /// A file in the folder that the user could mean.
        beside: Option<String>,
    },
    /// There are both data sets.
    #[error("holds CIFAR-10 (in `{}`) and CIFAR-100 (in `{}`)", .0[0], .0[1])]
    Both([String; 2]),
    /// One file is in two places.
    #[error("holds `{file}` twice: as `{}` and as `{}`", .places[0], .places[1])]
    Twice {
        /// The file.
        file: String,
        /// The two places.
        places: [String; 2],
    },
    /// Files of the data set are missing.
    #[error("lacks {}", .0.join(", "))]
    Missing(Vec<&'static str>),
    /// A format that is not supported.
    #[error("{0}")]
    Format(Format),
    /// The file ends too early.
    #[error("is truncated")]
    Truncated,
    /// The archive is damaged, or contains something that no CIFAR archive contains.
    #[error("is damaged: {0}")]
    Damaged(String),
    /// A file has a wrong size.
    #[error("is not CIFAR: its `{file}` has {found} bytes instead of {expected}")]
    Size {
        /// The file.
        file: String,
        /// Size of the file.
        found: u64,
        /// Expected size.
        expected: u64,
    },
    /// A file has unexpected content.
    #[error("cannot be used: in `{file}`, {reason}")]
    Content {
        /// The file.
        file: String,
        /// The fault of the file.
        reason: String,
    },
    /// A label is outside the range of classes.
    #[error("is not CIFAR: image {index} of `{file}` has the label {label}, but there are {classes} classes")]
    Label {
        /// The file.
        file: String,
        /// Index of the image in the file, from 0.
        index: usize,
        /// Label of the image.
        label: u8,
        /// Number of classes.
        classes: u32,
    },
    /// A class has more or fewer images than in the data set.
    #[error("is not CIFAR: class {class} has {found} images in {} instead of {expected}", .files.join(", "))]
    ClassSize {
        /// The files of the training or test set.
        files: Vec<String>,
        /// The class.
        class: usize,
        /// Number of images found.
        found: usize,
        /// Expected number of images.
        expected: usize,
    },
}

/// An error while a file was unpacked.
impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::Truncated,
            _ => Self::Damaged(error.to_string()),
        }
    }
}

/// A format that is not supported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Apache Parquet: Hugging Face's files.
    Parquet,
    /// One of several files that belong together.
    One(&'static str),
    /// A compression other than gzip's.
    Compressed(&'static str),
    /// Another known format.
    Other(&'static str),
    /// An unknown format.
    Unknown,
}

impl Format {
    /// Returns the unsupported format that begins with these bytes; `None` if the file could be an archive.
    pub(super) fn of(start: &[u8]) -> Option<Self> {
        const KNOWN: [(&[u8], Format); 13] = [
            (b"PAR1", Format::Parquet),
            (b"\x93NUMPY", Format::One("one array of NumPy")),
            (b"BZh", Format::Compressed("bzip2")),
            (b"\xfd7zXZ", Format::Compressed("xz")),
            (b"\x28\xb5\x2f\xfd", Format::Compressed("zstd")),
            (b"7z\xbc\xaf", Format::Compressed("7-Zip")),
            (b"Rar!", Format::Compressed("RAR")),
            (b"ARROW1", Format::Other("an Arrow file")),
            (b"\x89HDF", Format::Other("an HDF5 file")),
            (b"MATLAB 5.0", Format::Other("a file of MATLAB")),
            (b"\x89PNG", Format::Other("an image")),
            (b"<", Format::Other("an HTML or XML page")),
            (b"version https://git-lfs", Format::Other("a pointer of Git LFS")),
        ];
        match start {
            [] => Some(Self::Other("an empty file")),
            start if Pickle::begins(start) => Some(Self::One("one pickle")),
            start => KNOWN.iter().find(|(magic, _)| start.starts_with(magic)).map(|&(_, format)| format),
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Parquet => f.write_str("is a Parquet file, which is not supported"),
            Self::One(name) => write!(f, "is only {name}"),
            Self::Compressed(name) => write!(f, "is compressed with {name}, which is not supported"),
            Self::Other(name) => write!(f, "is {name}, which is not supported"),
            Self::Unknown => f.write_str("is neither a folder nor a tar or zip archive"),
        }
    }
}
