//! Import of CIFAR-10 and CIFAR-100 (Krizhevsky 2009) in their binary layout, from a folder or from the
//! official `.tar.gz`.
//!
//! A file is a row of records: CIFAR-10's are one label byte and 3072 pixel bytes (1024 red, 1024 green,
//! 1024 blue, each row by row), CIFAR-100's have the coarse label before the fine one, which is used.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;

use super::files::{self, FileError, failed};
use super::images::{IMAGE_BYTES, Images};
use crate::work::Source;

/// An archive may hold this many bytes; CIFAR's hold 185 MB.
const ARCHIVE_LIMIT: u64 = 1 << 30;

/// A whole data set.
#[derive(Debug)]
pub struct Imported {
    /// Which one it is.
    pub source: Source,
    /// The training images, in the order of the files.
    pub train: Images,
    /// The test images.
    pub test: Images,
}

/// Why a data set could not be imported. Every variant says which path it came from.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file system refused.
    #[error(transparent)]
    File(#[from] FileError),
    /// Neither the files of CIFAR-10 nor those of CIFAR-100.
    #[error(
        "`{}` holds no CIFAR data: a folder or .tar.gz with `data_batch_1.bin` (CIFAR-10) \
         or `train.bin` (CIFAR-100) is expected",
        .0.display()
    )]
    NotCifar(PathBuf),
    /// Both data sets.
    #[error("`{}` holds both CIFAR-10 and CIFAR-100: name the folder of one", .0.display())]
    Both(PathBuf),
    /// The version for Python.
    #[error("`{}` holds the Python version of the data: download the binary version, `{archive}`", path.display())]
    Pickle {
        /// The folder or archive.
        path: PathBuf,
        /// The archive to download.
        archive: &'static str,
    },
    /// Files that belong to the data set are not there.
    #[error("`{}` lacks {}", path.display(), files.join(", "))]
    Missing {
        /// The folder or archive.
        path: PathBuf,
        /// Names of the files.
        files: Vec<&'static str>,
    },
    /// Not what its name promises.
    #[error("`{}` is not a gzip-compressed tar archive: {reason}", path.display())]
    NotAnArchive {
        /// The archive.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The archive ends too early.
    #[error("`{}` is truncated: download it again", .0.display())]
    Truncated(PathBuf),
    /// The archive is damaged, or holds what no CIFAR archive holds.
    #[error("`{}` is damaged: {reason}", path.display())]
    Damaged {
        /// The archive.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A file of another size.
    #[error("`{file}` in `{}` has {found} bytes instead of {expected}", path.display())]
    Size {
        /// The folder or archive.
        path: PathBuf,
        /// The file.
        file: &'static str,
        /// Its size.
        found: u64,
        /// The size that it should have.
        expected: u64,
    },
    /// A label that is no class.
    #[error("`{file}` in `{}`: image {index} has the label {label}, but there are {classes} classes", path.display())]
    Label {
        /// The folder or archive.
        path: PathBuf,
        /// The file.
        file: &'static str,
        /// Which image of the file, from 0.
        index: usize,
        /// Its label.
        label: u8,
        /// Number of classes.
        classes: u32,
    },
    /// A class with more or fewer images than the data set has.
    #[error("{} in `{}`: class {class} has {found} images instead of {expected}", files.join(", "), path.display())]
    ClassSize {
        /// The folder or archive.
        path: PathBuf,
        /// The files of the training or test set.
        files: Vec<&'static str>,
        /// The class.
        class: usize,
        /// Its images.
        found: usize,
        /// The images that it should have.
        expected: usize,
    },
}

/// What a data set's files are called and hold.
#[derive(Clone, Copy)]
struct Layout {
    source: Source,
    folder: &'static str,
    archive: &'static str,
    /// What tells the version for Python: its folder, and a file in it.
    pickle: [&'static str; 2],
    /// Labels per record and how many classes each tells apart; the last one is used.
    labels: &'static [u32],
    train: &'static [&'static str],
    test: &'static [&'static str],
    /// Images in a training and in a test file.
    images: [usize; 2],
}

const LAYOUTS: [Layout; 2] = [
    Layout {
        source: Source::Cifar10,
        folder: "cifar-10-batches-bin",
        archive: "cifar-10-binary.tar.gz",
        pickle: ["cifar-10-batches-py", "data_batch_1"],
        labels: &[10],
        train: &["data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin"],
        test: &["test_batch.bin"],
        images: [10_000, 10_000],
    },
    Layout {
        source: Source::Cifar100,
        folder: "cifar-100-binary",
        archive: "cifar-100-binary.tar.gz",
        pickle: ["cifar-100-python", "train"],
        labels: &[20, 100],
        train: &["train.bin"],
        test: &["test.bin"],
        images: [50_000, 10_000],
    },
];

impl Layout {
    /// Every file with its size in bytes.
    fn files(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let size = |images: usize| (images * (self.labels.len() + IMAGE_BYTES)) as u64;
        let [train, test] = self.images.map(size);
        self.train.iter().map(move |&file| (file, train)).chain(self.test.iter().map(move |&file| (file, test)))
    }
}

/// Imports CIFAR-10 or CIFAR-100 from the folder of its files, a folder that contains that folder, or the
/// official archive of the binary version. Which of the two it is shows in the files' names.
///
/// # Errors
/// If files are missing, of another size or damaged, a label is no class, or a class is not as large as it
/// should be (5,000 and 1,000 images in CIFAR-10, 500 and 100 in CIFAR-100).
pub fn import(path: &Path) -> Result<Imported, ImportError> {
    import_as(path, &LAYOUTS)
}

fn import_as(path: &Path, layouts: &[Layout]) -> Result<Imported, ImportError> {
    let (layout, mut contents) = match files::is_folder(path)? {
        true => read_folder(path, layouts)?,
        false => read_archive(path, layouts)?,
    };
    let mut images = |files| to_images(path, &layout, files, &mut contents);
    Ok(Imported { source: layout.source, train: images(layout.train)?, test: images(layout.test)? })
}

/// The bytes of each file, by name; sizes are checked.
type Contents = BTreeMap<&'static str, Vec<u8>>;

fn read_folder(path: &Path, layouts: &[Layout]) -> Result<(Layout, Contents), ImportError> {
    let holds = |folder: &Path, layout: &Layout| layout.files().any(|(file, _)| files::exists(&folder.join(file)));
    let places = layouts.iter().flat_map(|layout| [(layout, path.to_owned()), (layout, path.join(layout.folder))]);
    let mut found = places.filter(|(layout, folder)| holds(folder, layout));
    let Some((layout, folder)) = found.next() else {
        let pickled = |layout: &&Layout| {
            let [folder, file] = layout.pickle;
            files::exists(&path.join(folder)) || files::is_folder(&path.join(file)).is_ok_and(|folder| !folder)
        };
        return Err(match layouts.iter().find(pickled) {
            Some(layout) => ImportError::Pickle { path: path.to_owned(), archive: layout.archive },
            None => ImportError::NotCifar(path.to_owned()),
        });
    };
    if found.any(|(other, _)| other.source != layout.source) {
        return Err(ImportError::Both(path.to_owned()));
    }
    let missing: Vec<_> =
        layout.files().map(|(file, _)| file).filter(|file| !files::exists(&folder.join(file))).collect();
    if !missing.is_empty() {
        return Err(ImportError::Missing { path: folder, files: missing });
    }
    let mut contents = Contents::new();
    for (file, expected) in layout.files() {
        let full = folder.join(file);
        let mut bytes = Vec::new();
        // One byte more than there should be shows a file that is too long without reading all of it.
        files::open(&full)?.take(expected + 1).read_to_end(&mut bytes).map_err(failed("read", &full))?;
        if bytes.len() as u64 != expected {
            let found = files::size(&full)?;
            return Err(ImportError::Size { path: folder, file, found, expected });
        }
        contents.insert(file, bytes);
    }
    Ok((*layout, contents))
}

fn read_archive(path: &Path, layouts: &[Layout]) -> Result<(Layout, Contents), ImportError> {
    let mut file = files::open(path)?;
    let mut magic = Vec::new();
    file.by_ref().take(2).read_to_end(&mut magic).map_err(failed("read", path))?;
    if magic != [0x1f, 0x8b] {
        return Err(ImportError::NotAnArchive { path: path.to_owned(), reason: "it does not begin like gzip".into() });
    }
    let unpacked = GzDecoder::new(io::BufReader::new(io::Cursor::new(magic).chain(file)));
    let mut archive = tar::Archive::new(unpacked.take(ARCHIVE_LIMIT));
    let mut contents = Contents::new();
    let mut members = 0;
    // Raw: names come from the fixed-size header only, so that nothing in the archive sets the size of an
    // allocation.
    for member in archive.entries().map_err(|error| broken(path, members, error))?.raw(true) {
        let mut member = member.map_err(|error| broken(path, members, error))?;
        members += 1;
        let name = member.path_bytes().into_owned();
        let Ok(name) = std::str::from_utf8(&name) else { continue };
        let name = name.strip_prefix("./").unwrap_or(name);
        let (folder, name) = name.split_once('/').map_or((None, name), |(folder, rest)| (Some(folder), rest));
        if let Some(layout) = layouts.iter().find(|layout| folder == Some(layout.pickle[0])) {
            return Err(ImportError::Pickle { path: path.to_owned(), archive: layout.archive });
        }
        let wanted = layouts
            .iter()
            .filter(|layout| folder.is_none_or(|folder| folder == layout.folder))
            .find_map(|layout| layout.files().find(|(file, _)| *file == name));
        let Some((file, expected)) = wanted else { continue };
        let found = member.size();
        if found != expected || !member.header().entry_type().is_file() {
            return Err(ImportError::Size { path: path.to_owned(), file, found, expected });
        }
        let mut bytes = Vec::new();
        member.read_to_end(&mut bytes).map_err(|error| broken(path, members, error))?;
        if bytes.len() as u64 != expected {
            return Err(ImportError::Truncated(path.to_owned()));
        }
        if contents.insert(file, bytes).is_some() {
            return Err(ImportError::Damaged { path: path.to_owned(), reason: format!("it holds `{file}` twice") });
        }
    }
    // To the end of the stream, where gzip's checksum is.
    let mut rest = archive.into_inner();
    io::copy(&mut rest, &mut io::sink()).map_err(|error| broken(path, members, error))?;
    if rest.limit() == 0 {
        let reason = format!("it unpacks to {ARCHIVE_LIMIT} bytes or more");
        return Err(ImportError::Damaged { path: path.to_owned(), reason });
    }
    let mut found = layouts.iter().filter(|layout| layout.files().any(|(file, _)| contents.contains_key(file)));
    let layout = found.next().ok_or_else(|| ImportError::NotCifar(path.to_owned()))?;
    if found.next().is_some() {
        return Err(ImportError::Both(path.to_owned()));
    }
    let missing: Vec<_> = layout.files().map(|(file, _)| file).filter(|file| !contents.contains_key(file)).collect();
    if !missing.is_empty() {
        return Err(ImportError::Missing { path: path.to_owned(), files: missing });
    }
    Ok((*layout, contents))
}

/// Says in a person's words what an unreadable archive is.
fn broken(path: &Path, members: usize, error: io::Error) -> ImportError {
    let (path, reason) = (path.to_owned(), error.to_string());
    match error.kind() {
        io::ErrorKind::UnexpectedEof => ImportError::Truncated(path),
        _ if members == 0 => ImportError::NotAnArchive { path, reason },
        _ => ImportError::Damaged { path, reason },
    }
}

/// Takes the records of some files apart.
fn to_images(
    path: &Path,
    layout: &Layout,
    files: &'static [&'static str],
    contents: &mut Contents,
) -> Result<Images, ImportError> {
    let (mut pixels, mut labels) = (Vec::new(), Vec::new());
    let classes = layout.labels.last().copied().unwrap_or(0);
    for file in files {
        // Removed, so that there is one copy in memory and not two.
        let bytes = contents.remove(file).unwrap_or_default();
        for (index, record) in bytes.chunks_exact(layout.labels.len() + IMAGE_BYTES).enumerate() {
            let (record_labels, record_pixels) = record.split_at(layout.labels.len());
            for (&label, &classes) in record_labels.iter().zip(layout.labels) {
                if u32::from(label) >= classes {
                    return Err(ImportError::Label { path: path.to_owned(), file, index, label, classes });
                }
            }
            labels.extend(record_labels.last());
            pixels.extend_from_slice(record_pixels);
        }
    }
    let expected = labels.len() / classes.max(1) as usize;
    let mut sizes = vec![0; classes as usize];
    labels.iter().for_each(|&label| sizes[usize::from(label)] += 1);
    if let Some(class) = sizes.iter().position(|&size| size != expected) {
        let (path, files, found) = (path.to_owned(), files.to_vec(), sizes[class]);
        return Err(ImportError::ClassSize { path, files, class, found, expected });
    }
    Ok(Images { pixels, labels, classes })
}

#[cfg(test)]
mod tests;
