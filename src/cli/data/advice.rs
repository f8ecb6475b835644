//! Hints for data sets that cannot be imported, by data set and by fault; and how far the content of an import is known.

use crate::project::{ExitCode, Failure, quoted};
use crate::spec::OWN;
use std::path::Path;

use base::work::Source;
use learn::data::{Fault, Format, ImportError, ImportedImages, Place};

/// Formats that can be imported, as a hint for users who have something else.
const READ: &str = "supported: a folder, .tar, .tar.gz or .zip with CIFAR's binary files (data_batch_1.bin …; train.bin, \
                    test.bin) or Python files (data_batch_1 …; train, test), or an .npz with x_train, y_train, x_test and \
                    y_test";

/// Returns the failure for an error of an import.
pub(super) fn refused(error: &ImportError) -> Failure {
    let fetch = fetch(error.data_set.or_else(|| named(&error.path)));
    let path = error.path.display();
    // What a user has who has no CIFAR.
    let other = format!("only CIFAR-10 and CIFAR-100 can be imported; {OWN}");
    let (code, hint) = match &error.fault {
        fault if is_parquet(fault) => (
            ExitCode::Storage,
            format!(
                "the Python program on standard output converts it (it needs pandas, pyarrow and pillow): \
                 `python3 -c \"$(wdpipe data import {})\"`, then `wdpipe data import cifar.npz`",
                quoted(&error.path.to_string_lossy())
            ),
        ),
        Fault::File(file) if file.is_not_found() => (ExitCode::Missing, format!("check the path; {fetch}")),
        Fault::File(_) => (ExitCode::Storage, "name a folder or regular file that you may read".to_owned()),
        Fault::NotCifar { beside: Some(name) } => {
            (ExitCode::Missing, format!("if that is the data set, run {}", import(&error.path.join(name))))
        }
        Fault::NotCifar { beside: None } => (ExitCode::Missing, format!("{READ}; {other}")),
        Fault::Both(places) | Fault::Twice { places, .. } if error.path.is_dir() => (
            ExitCode::Usage,
            format!(
                "name the folder of one, for example: {}",
                import(error.path.join(&places[0]).parent().unwrap_or(&error.path))
            ),
        ),
        Fault::Both(_) | Fault::Twice { .. } => (ExitCode::Usage, "unpack it and name the folder of one".to_owned()),
        Fault::Missing(_) => (ExitCode::Missing, format!("use a complete copy; {fetch}")),
        Fault::Format(Format::One(_)) => {
            (ExitCode::Storage, format!("name the folder that holds all files of the data set; {READ}; {other}"))
        }
        Fault::Format(Format::Compressed(_)) => (ExitCode::Storage, format!("unpack it and name the result; {READ}")),
        Fault::Format(_) => (ExitCode::Storage, format!("{READ}; {other}")),
        Fault::Truncated | Fault::Damaged(_) => (ExitCode::Storage, format!("copy it again to `{path}`; {fetch}")),
        Fault::Size { .. } | Fault::Content { .. } | Fault::Label { .. } | Fault::ClassSize { .. } => {
            (ExitCode::Storage, format!("use another copy; {fetch}; {other}"))
        }
    };
    Failure::new(code, error.to_string(), hint)
}

/// Returns the command that downloads the data set, or both commands if it is unknown which data set is meant.
fn fetch(source: Option<Source>) -> String {
    match source {
        Some(source) => format!("`wdpipe data fetch {}` downloads it", source.name()),
        None => "`wdpipe data fetch cifar10` and `wdpipe data fetch cifar100` download the data".to_owned(),
    }
}

/// Returns the data set that a path is named after.
fn named(path: &Path) -> Option<Source> {
    path.components().rev().find_map(|part| {
        let part = part.as_os_str().to_string_lossy().to_lowercase().replace(['-', '_', ' '], "");
        let names = [("cifar100", Source::Cifar100), ("cifar10", Source::Cifar10)];
        names.into_iter().find(|(name, _)| part.contains(name)).map(|(_, source)| source)
    })
}

/// Returns the command that imports a path.
fn import(path: &Path) -> String {
    format!("`wdpipe data import {}`", quoted(&path.to_string_lossy()))
}

/// Returns a Python program that converts Hugging Face's Parquet files to an `.npz`, if the error is about such files.
pub(super) fn converter(error: &ImportError) -> Option<String> {
    if !is_parquet(&error.fault) {
        return None;
    }
    let path = &error.path;
    let folder = if path.is_dir() { path } else { path.parent().unwrap_or(path) };
    let folder = if folder == Path::new("") { Path::new(".") } else { folder };
    // A JSON string is also a Python string.
    let folder = serde_json::Value::from(folder.to_string_lossy().into_owned());
    Some(format!(
        r#"import io, pathlib, numpy, pandas
from PIL import Image
folder, arrays = pathlib.Path({folder}), {{}}
for split in ("train", "test"):
    rows = pandas.concat(map(pandas.read_parquet, sorted(folder.rglob(f"*{{split}}*.parquet"))))
    images = rows["img"] if "img" in rows else rows["image"]
    arrays["x_" + split] = numpy.stack([numpy.array(Image.open(io.BytesIO(i["bytes"])).convert("RGB")) for i in images])
    arrays["y_" + split] = rows["fine_label" if "fine_label" in rows else "label"].to_numpy("uint8")
numpy.savez("cifar.npz", **arrays)"#
    ))
}

fn is_parquet(fault: &Fault) -> bool {
    match fault {
        Fault::Format(format) => *format == Format::Parquet,
        Fault::NotCifar { beside: Some(name) } => name.ends_with(".parquet"),
        _ => false,
    }
}

/// Returns how far the content of an import is known: whether this is a warning, and a message.
pub(super) fn worth(imported: &ImportedImages) -> (bool, String) {
    let name = imported.source.name();
    match (&imported.strangers, imported.published) {
        (None, true) => (false, "its files are the authors' own, according to their published MD5 sums".to_owned()),
        (None, false) => {
            (false, format!("all images and labels are those that wdpipe knows as {name}, regardless of their order"))
        }
        // The sums are certain, the list is not: see data/cifar/known.rs.
        (Some(_), true) => (
            true,
            format!(
                "its files are the authors' own, according to their published MD5 sums, but wdpipe's list of the images of \
                 {name} differs: please report this"
            ),
        ),
        (Some([train, test]), false) => {
            let count = |places: &[Place], all: usize| format!("{} of {all}", places.len());
            let shown: Vec<String> =
                train.iter().chain(test).take(5).map(|place| format!("{} of {}", place.index, place.file)).collect();
            let more = (train.len() + test.len()).saturating_sub(shown.len());
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            (
                true,
                format!(
                    "this is not {name} as wdpipe knows it: {} training and {} test images differ in pixels or label \
                     (image {}{more}, counted from 0); results from it are not comparable with other results",
                    count(train, imported.train.len()),
                    count(test, imported.test.len()),
                    shown.join(", "),
                ),
            )
        }
    }
}
