//! Recognition of CIFAR's files in a folder or archive, and their pixels and labels, checked as they are read.

use std::collections::BTreeMap;
use std::io::Read;

use super::Layout;
use super::error::Fault;
use super::known;
use super::npy::{self, ReadError};
use super::pickle::Pickle;
use crate::data::images::IMAGE_BYTES;
use base::work::Source;

/// Largest number of folders before a file's name, including the named folder.
pub(super) const DEPTH: usize = 3;

/// Words for the pixels and for the labels in an array's name, next to `train` or `test`.
const ARRAYS: [&[&str]; 2] = [&["x", "images", "data"], &["y", "labels"]];

/// The role of a file in a data set. Forms are preferred in this order, if there are several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Slot {
    /// A file of the binary version: index of the layout, and index of the file.
    Binary(usize, usize),
    /// A file of the Python version: index of the layout, and index of the file.
    Pickle(usize, usize),
    /// An array: training or test set (0, 1), pixels or labels (0, 1).
    Array(usize, usize),
}

/// Content of a file.
#[derive(Debug, Default)]
pub(super) struct Part {
    /// Name of the file, with the folders before it.
    pub(super) name: String,
    /// The file's images, as planes of colours.
    pub(super) pixels: Vec<u8>,
    /// The images' classes.
    pub(super) labels: Vec<u8>,
    /// Whether the file has its published MD5 sum.
    published: bool,
}

/// A whole data set.
#[derive(Debug)]
pub(super) struct Collected {
    /// The layout of the data set.
    pub(super) layout: Layout,
    /// The parts of the training set and of the test set, in the order of the files.
    pub(super) parts: [Vec<Part>; 2],
    /// Whether all files have their published MD5 sums.
    pub(super) published: bool,
}

/// Selects CIFAR's files among the files of a folder or archive.
#[derive(Debug)]
pub(super) struct Collector<'a> {
    layouts: &'a [Layout],
    parts: BTreeMap<Slot, Part>,
    data_set: Option<Source>,
}

impl<'a> Collector<'a> {
    pub(super) fn new(layouts: &'a [Layout]) -> Self {
        Self { layouts, parts: BTreeMap::new(), data_set: None }
    }

    /// Checks whether nothing was found.
    pub(super) fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// Returns the data set of the last file whose name determines one.
    pub(super) fn data_set(&self) -> Option<Source> {
        self.data_set
    }

    /// Checks by its name whether a file could be CIFAR's. Names are only compared.
    pub(super) fn wants(&self, name: &str) -> bool {
        self.slot(name).is_some()
    }

    fn slot(&self, name: &str) -> Option<Slot> {
        let mut folders: Vec<&str> = name.strip_prefix("./").unwrap_or(name).split('/').collect();
        let file = folders.pop()?;
        if folders.len() > DEPTH || folders.iter().any(|folder| ["", ".", ".."].contains(folder)) {
            return None;
        }
        for (set, layout) in self.layouts.iter().enumerate() {
            if let Some(place) = layout.binary.iter().position(|&known| known == file) {
                return Some(Slot::Binary(set, place));
            }
            if let Some(place) = layout.python.iter().position(|&(known, _)| known == file) {
                return Some(Slot::Pickle(set, place));
            }
        }
        let name = file.strip_suffix(".npy")?.to_ascii_lowercase();
        let (one, other) = name.split_once('_')?;
        [("train", 0), ("test", 1)].into_iter().find_map(|(word, split)| {
            let content = if one == word { other } else { Some(one).filter(|_| other == word)? };
            ARRAYS.iter().position(|words| words.contains(&content)).map(|kind| Slot::Array(split, kind))
        })
    }

    /// Reads a file, if its name is one of CIFAR's.
    pub(super) fn take(&mut self, name: &str, size: u64, reader: &mut dyn Read) -> Result<(), Fault> {
        let Some(slot) = self.slot(name) else { return Ok(()) };
        if let Some(other) = self.parts.get(&slot) {
            let file = name.rsplit('/').next().unwrap_or(name).to_owned();
            return Err(Fault::Twice { file, places: [other.name.clone(), name.to_owned()] });
        }
        if let Slot::Binary(set, _) | Slot::Pickle(set, _) = slot {
            self.data_set = Some(self.layouts[set].source);
        }
        let part = match slot {
            Slot::Binary(set, file) => Some(binary(&self.layouts[set], file, name, size, reader)?),
            Slot::Pickle(set, file) => pickle(&self.layouts[set], file, name, size, reader)?,
            Slot::Array(_, kind) => Some(array(kind, name, reader)?),
        };
        self.parts.extend(part.map(|part| (slot, part)));
        Ok(())
    }

    /// Returns the data set that was found.
    pub(super) fn finish(mut self) -> Result<Collected, Fault> {
        let mut found = Vec::new();
        for (set, layout) in self.layouts.iter().enumerate() {
            let binary = layout.binary.iter().copied().enumerate().map(|(file, name)| (Slot::Binary(set, file), name));
            let python = layout.python.iter().enumerate().map(|(file, &(name, _))| (Slot::Pickle(set, file), name));
            found.extend(self.form(layout, binary));
            found.extend(self.form(layout, python));
        }
        let arrays = [0, 1].map(|split| [0, 1].map(|kind| self.parts.remove(&Slot::Array(split, kind))));
        let there = arrays.each_ref().map(|split| split.each_ref().map(Option::is_some));
        if let [[Some(a), Some(b)], [Some(c), Some(d)]] = arrays {
            found.push(of_arrays(self.layouts, [[a, b], [c, d]])?);
        } else if found.is_empty() && there.as_flattened().contains(&true) {
            let names = ["x_train", "y_train", "x_test", "y_test"].into_iter().zip(there.as_flattened());
            return Err(Fault::Missing(names.filter(|(_, there)| !**there).map(|(name, _)| name).collect()));
        }
        let first = found.first().ok_or(Fault::NotCifar { beside: None })?;
        if let Some(other) = found.iter().find(|form| form.layout.source != first.layout.source) {
            return Err(Fault::Both([first, other].map(|form| form.place.clone())));
        }
        let most = found.iter().map(|form| form.parts.len()).max();
        let best = found.iter().position(|form| form.missing.is_empty());
        let best = best.or(found.iter().position(|form| Some(form.parts.len()) == most)).unwrap_or_default();
        found.swap_remove(best).whole()
    }

    /// Returns the files of one form of a data set, if any were found.
    fn form(&mut self, layout: &Layout, slots: impl Iterator<Item = (Slot, &'static str)>) -> Option<Form> {
        let (mut parts, mut missing) = (Vec::new(), Vec::new());
        for (slot, name) in slots {
            match self.parts.remove(&slot) {
                Some(part) => parts.push(part),
                None => missing.push(name),
            }
        }
        let place = parts.first()?.name.clone();
        Some(Form { layout: *layout, place, parts, missing })
    }
}

/// The files that were found of one form of a data set.
struct Form {
    layout: Layout,
    /// The name of one of its files.
    place: String,
    /// The files, the test set last.
    parts: Vec<Part>,
    missing: Vec<&'static str>,
}

impl Form {
    fn whole(mut self) -> Result<Collected, Fault> {
        if !self.missing.is_empty() {
            return Err(Fault::Missing(self.missing));
        }
        let published = self.parts.iter().all(|part| part.published);
        let test = self.parts.split_off(self.parts.len().saturating_sub(1));
        Ok(Collected { layout: self.layout, parts: [self.parts, test], published })
    }
}

/// Reads a file of `size` bytes, but at most one byte more than `most`.
fn bytes(size: u64, most: u64, reader: &mut dyn Read) -> Result<Vec<u8>, Fault> {
    let mut bytes = Vec::new();
    reader.take(most + 1).read_to_end(&mut bytes)?;
    if (bytes.len() as u64) < size.min(most) { Err(Fault::Truncated) } else { Ok(bytes) }
}

fn check_labels(name: &str, labels: &[u8], classes: u32) -> Result<(), Fault> {
    match labels.iter().position(|&label| u32::from(label) >= classes) {
        Some(index) => Err(Fault::Label { file: name.to_owned(), index, label: labels[index], classes }),
        None => Ok(()),
    }
}

/// Reads a file of the binary version: a sequence of records.
fn binary(layout: &Layout, file: usize, name: &str, size: u64, reader: &mut dyn Read) -> Result<Part, Fault> {
    let record = layout.labels.len() + IMAGE_BYTES;
    let expected = (layout.images_of(file) * record) as u64;
    let bytes = if size == expected { bytes(size, expected, reader)? } else { Vec::new() };
    if bytes.len() as u64 != expected {
        return Err(Fault::Size { file: name.to_owned(), found: size, expected });
    }
    let mut part = Part { name: name.to_owned(), ..Part::default() };
    for (place, &classes) in layout.labels.iter().enumerate() {
        part.labels = bytes.iter().copied().skip(place).step_by(record).collect();
        check_labels(name, &part.labels, classes)?;
    }
    for record in bytes.chunks_exact(record) {
        part.pixels.extend_from_slice(&record[layout.labels.len()..]);
    }
    Ok(part)
}

/// Reads a file of the Python version. Returns `None` if a file called `train` or `test`, which are common names, is not a
/// pickle.
fn pickle(layout: &Layout, file: usize, name: &str, size: u64, reader: &mut dyn Read) -> Result<Option<Part>, Fault> {
    let images = layout.images_of(file);
    // Python 3 can write every pixel byte as a character of two bytes. The pickle also contains file names.
    let most = (images * (2 * IMAGE_BYTES + 256) + (1 << 16)) as u64;
    let bytes = bytes(size, most, reader)?;
    if !Pickle::begins(&bytes) && layout.labels.len() > 1 {
        return Ok(None);
    }
    let wrong = |reason: String| Fault::Content { file: name.to_owned(), reason };
    if bytes.len() as u64 > most {
        return Err(wrong("there is more data than in a CIFAR file".to_owned()));
    }
    let pickle = Pickle::read(&bytes).map_err(wrong)?;
    let labels = pickle.labels(layout.label_key).map_err(wrong)?;
    let pixels = pickle.array("data").and_then(|array| array.into_pixels(true)).map_err(wrong)?;
    for (count, what) in [(pixels.len() / IMAGE_BYTES, "images"), (labels.len(), "labels")] {
        if count != images {
            return Err(wrong(format!("there are {count} {what} instead of {images}")));
        }
    }
    if let Some(&classes) = layout.labels.last() {
        check_labels(name, &labels, classes)?;
    }
    let published = known::md5(&bytes) == layout.python[file].1;
    Ok(Some(Part { name: name.to_owned(), pixels, labels, published }))
}

/// Reads an array of pixels (kind 0) or labels (kind 1).
fn array(kind: usize, name: &str, reader: &mut dyn Read) -> Result<Part, Fault> {
    let wrong = |reason: String| Fault::Content { file: name.to_owned(), reason };
    let array = npy::read(reader).map_err(|error| match error {
        ReadError::Io(error) => error.into(),
        ReadError::Wrong(reason) => wrong(reason),
    })?;
    let mut part = Part { name: name.to_owned(), ..Part::default() };
    if kind == 0 {
        part.pixels = array.into_pixels(false).map_err(wrong)?;
    } else {
        part.labels = array.labels().map_err(wrong)?;
    }
    Ok(part)
}

/// Returns the data set of four arrays, which the labels determine.
fn of_arrays(layouts: &[Layout], arrays: [[Part; 2]; 2]) -> Result<Form, Fault> {
    let of_part = |[_, labels]: &[Part; 2]| labels.labels.iter().max().map(|&label| (label, labels.name.clone()));
    let (highest, place) = arrays.iter().filter_map(of_part).max().unwrap_or_default();
    let fits = |layout: &&Layout| layout.labels.last().is_some_and(|&classes| u32::from(highest) < classes);
    let Some(layout) = layouts.iter().find(fits) else {
        return Err(Fault::Content { file: place, reason: format!("the label {highest} is above those of CIFAR-100") });
    };
    if let [coarse, _] = *layout.labels
        && u32::from(highest) < coarse
    {
        let reason = format!("the labels are the {coarse} coarse ones: save the fine ones");
        return Err(Fault::Content { file: place, reason });
    }
    let wanted = [layout.images[0] * (layout.binary.len() - 1), layout.images[1]];
    let mut parts = Vec::new();
    for ([images, labels], wanted) in arrays.into_iter().zip(wanted) {
        let counts = [(images.pixels.len() / IMAGE_BYTES, &images, "images"), (labels.labels.len(), &labels, "labels")];
        for (count, part, what) in counts {
            if count != wanted {
                let reason = format!("there are {count} {what} instead of {wanted}");
                return Err(Fault::Content { file: part.name.clone(), reason });
            }
        }
        parts.push(Part { labels: labels.labels, ..images });
    }
    Ok(Form { layout: *layout, place, parts, missing: Vec::new() })
}
