//! Import of CIFAR-10 and CIFAR-100 (Krizhevsky 2009) in the common forms.
//!
//! - The binary version: a file is a sequence of records. CIFAR-10's records have one label byte and 3072 pixel bytes (1024 red,
//!   1024 green, 1024 blue, each row by row). CIFAR-100's have the coarse label before the fine one; the fine label is used.
//! - The Python version: files are pickled dictionaries ([`pickle`]).
//! - Arrays: `x_train`, `y_train`, `x_test`, `y_test` in an `.npz` ([`npy`]).
//!
//! The files are in a folder, or in a tar or zip archive ([`container`]); [`collect`] knows their names.
//!
//! Images are put into canonical order, so that every form of the same content becomes the same object.

mod collect;
mod container;
mod error;
mod known;
mod npy;
mod pickle;
mod zip;

use std::path::Path;

use collect::{Collected, Collector, Part};
pub use error::{Fault, Format, ImportError};
pub use known::known_content;

use super::files;
use super::images::{Images, ImagesError};
use base::work::Source;

/// A whole data set.
#[derive(Debug)]
pub struct ImportedImages {
    /// The data set.
    pub source: Source,
    /// The training images, in canonical order.
    pub train: Images,
    /// The test images, in canonical order.
    pub test: Images,
    /// Whether the bytes that were read have the published MD5 sums.
    pub published: bool,
    /// The images of the training and test set that do not belong to the data set, if the content is not the known one.
    pub strangers: Option<[Vec<Place>; 2]>,
}

/// Where an image was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file.
    pub file: String,
    /// Index of the image in the file, from 0.
    pub index: usize,
}

/// Names and contents of a data set's files. The last file is the test set.
#[derive(Debug, Clone, Copy)]
struct Layout {
    source: Source,
    /// MD5 sums of the archives that the authors publish.
    archives: [&'static str; 2],
    /// Files of the binary version.
    binary: &'static [&'static str],
    /// Files of the Python version, with their MD5 sums.
    python: &'static [(&'static str, &'static str)],
    /// Key of the labels in the Python version.
    label_key: &'static str,
    /// Number of classes of each label in a record of the binary version. The last label is used.
    labels: &'static [u32],
    /// Number of images in a training file and in a test file.
    images: [usize; 2],
}

const LAYOUTS: [Layout; 2] = [
    Layout {
        source: Source::Cifar10,
        archives: ["c32a1d4ab5d03f1284b67883e8d87530", "c58f30108f718f92721af3b95e74349a"],
        binary: &[
            "data_batch_1.bin",
            "data_batch_2.bin",
            "data_batch_3.bin",
            "data_batch_4.bin",
            "data_batch_5.bin",
            "test_batch.bin",
        ],
        python: &[
            ("data_batch_1", "c99cafc152244af753f735de768cd75f"),
            ("data_batch_2", "d4bba439e000b95fd0a9bffe97cbabec"),
            ("data_batch_3", "54ebc095f3ab1f0389bbae665268c751"),
            ("data_batch_4", "634d18415352ddfa80567beed471001a"),
            ("data_batch_5", "482c414d41f54cd18b22e5b47cb7c3cb"),
            ("test_batch", "40351d587109b95175f43aff81a1287e"),
        ],
        label_key: "labels",
        labels: &[10],
        images: [10_000, 10_000],
    },
    Layout {
        source: Source::Cifar100,
        archives: ["03b5dce01913d631647c71ecec9e9cb8", "eb9058c3a382ffc7106e4002c42a8d85"],
        binary: &["train.bin", "test.bin"],
        python: &[("train", "16019d7e3df5f24257cddd939b257f8d"), ("test", "f0ef6b0ae62326f3e7ffdfab6717acfc")],
        label_key: "fine_labels",
        labels: &[20, 100],
        images: [50_000, 10_000],
    },
];

impl Layout {
    /// Returns the number of images in one of the files.
    fn images_of(&self, file: usize) -> usize {
        self.images[usize::from(file + 1 == self.binary.len())]
    }
}

/// Imports CIFAR-10 or CIFAR-100 from a folder, from an archive or from an `.npz` file. The data set is recognised by the
/// files' names, or by the labels of arrays.
///
/// # Errors
/// If files are missing, damaged or of a wrong size, a label is outside the range of classes, or a class does not have the
/// right number of images (5,000 and 1,000 in CIFAR-10, 500 and 100 in CIFAR-100).
pub fn import(path: &Path) -> Result<ImportedImages, ImportError> {
    import_as(path, &LAYOUTS)
}

fn import_as(path: &Path, layouts: &[Layout]) -> Result<ImportedImages, ImportError> {
    let mut collector = Collector::new(layouts);
    let mut seems = None;
    let read = || {
        let sum = match files::is_folder(path)? {
            true => container::read_folder(path, &mut collector).map(|()| None),
            false => container::read_archive(path, &mut collector),
        };
        seems = collector.data_set();
        let sum = sum?;
        let collected = collector.finish()?;
        let published = collected.published || sum.is_some_and(|sum| collected.layout.archives.contains(&&*sum));
        assemble(collected, published)
    };
    read().map_err(|fault| ImportError { path: path.to_owned(), data_set: seems, fault })
}

fn assemble(collected: Collected, published: bool) -> Result<ImportedImages, Fault> {
    let Collected { layout, parts, .. } = collected;
    let classes = layout.labels.last().copied().unwrap_or_default();
    let [train, test] = parts;
    let (train, test) = (Set::new(train, classes)?, Set::new(test, classes)?);
    let strangers = known::strangers(layout.source, [&train.images, &test.images], [&train.hashes, &test.hashes])?;
    let strangers = strangers.map(|[a, b]| [train.places(&a), test.places(&b)]);
    Ok(ImportedImages { source: layout.source, train: train.images, test: test.images, published, strangers })
}

/// A training or test set.
struct Set {
    /// The images in canonical order.
    images: Images,
    /// Hashes of the images in the order of the files.
    hashes: Vec<[u8; 32]>,
    /// The files, with their numbers of images.
    files: Vec<(String, usize)>,
}

impl Set {
    fn new(parts: Vec<Part>, classes: u32) -> Result<Self, Fault> {
        let files: Vec<_> = parts.iter().map(|part| (part.name.clone(), part.labels.len())).collect();
        let (mut pixels, mut labels) = (Vec::new(), Vec::new());
        for mut part in parts {
            pixels.append(&mut part.pixels);
            labels.append(&mut part.labels);
        }
        let expected = labels.len() / classes.max(1) as usize;
        let images = Images::new(pixels, labels, classes)?;
        let mut sizes = vec![0; classes as usize];
        images.labels.iter().for_each(|&label| sizes[usize::from(label)] += 1);
        if let Some(class) = sizes.iter().position(|&size| size != expected) {
            let files = files.into_iter().map(|(name, _)| name).collect();
            return Err(Fault::ClassSize { files, class, found: sizes[class], expected });
        }
        let hashes = images.hashes();
        Ok(Self { images: images.in_order_of(&hashes), hashes, files })
    }

    /// Converts indices among all images to files and indices in them.
    fn places(&self, indices: &[usize]) -> Vec<Place> {
        let place = |&index: &usize| {
            let mut index = index;
            for (file, count) in &self.files {
                if index < *count {
                    return Some(Place { file: file.clone(), index });
                }
                index -= count;
            }
            None
        };
        indices.iter().filter_map(place).collect()
    }
}

impl From<ImagesError> for Fault {
    fn from(error: ImagesError) -> Self {
        Self::Damaged(error.to_string())
    }
}

#[cfg(test)]
mod tests;
