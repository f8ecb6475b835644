use std::{fs, io};

use flate2::{Compression, write::GzEncoder};

use super::*;
use crate::data::images::IMAGE_BYTES;

/// Returns the real layouts with files small enough for a test: ten images per class in CIFAR-10's training set,
/// two in CIFAR-100's, one in each test set.
fn small() -> [Layout; 2] {
    let [cifar10, cifar100] = LAYOUTS;
    [Layout { images: [20, 10], ..cifar10 }, Layout { images: [200, 100], ..cifar100 }]
}

/// Returns a balanced file: image `i` of a file has the label `i` modulo the number of classes, and its pixels begin with
/// the file's number and `i`.
fn records(layout: &Layout, file: usize, images: usize) -> Vec<u8> {
    let classes = *layout.labels.last().unwrap() as usize;
    let mut bytes = Vec::new();
    for i in 0..images {
        let label = (i % classes) as u8;
        // CIFAR-100's coarse label, whose value does not matter.
        bytes.extend(if layout.labels.len() == 2 { vec![label / 5, label] } else { vec![label] });
        bytes.extend([file as u8, i as u8]);
        bytes.extend(vec![7; IMAGE_BYTES - 2]);
    }
    bytes
}

type Members = Vec<(String, Vec<u8>)>;

fn members(layout: &Layout) -> Members {
    layout
        .binary
        .iter()
        .enumerate()
        .map(|(i, file)| ((*file).to_owned(), records(layout, i, layout.images_of(i))))
        .collect()
}

/// Returns the same images in the Python version.
fn python(layout: &Layout) -> Members {
    let names = layout.python.iter().map(|(name, _)| (*name).to_owned());
    let batch = |bytes: Vec<u8>| {
        let (labels, pixels): (Vec<_>, Vec<_>) =
            bytes.chunks(layout.labels.len() + IMAGE_BYTES).map(|record| record.split_at(layout.labels.len())).unzip();
        let labels: Vec<u8> = labels.iter().map(|labels| *labels.last().unwrap()).collect();
        pickle::tests::python2(layout.label_key, &labels, &pixels.concat())
    };
    names.zip(members(layout)).map(|(name, (_, bytes))| (name, batch(bytes))).collect()
}

/// Returns the same images as arrays: colours mixed or in planes, labels of the given type.
fn arrays(layout: &Layout, names: [&str; 4], mixed: bool, labels: &str) -> Members {
    let skip = layout.labels.len();
    let mut members = members(layout).into_iter().map(|(_, bytes)| bytes).collect::<Vec<_>>();
    let test = members.pop().unwrap();
    let mut arrays = Vec::new();
    for (bytes, names) in [members.concat(), test].iter().zip(names.chunks(2)) {
        let records = bytes.chunks(skip + IMAGE_BYTES);
        let n = records.len();
        let image = |record: &[u8]| -> Vec<u8> {
            let planes = &record[skip..];
            let places = (0..1024).flat_map(|i| [planes[i], planes[1024 + i], planes[2048 + i]]);
            if mixed { places.collect() } else { planes.to_vec() }
        };
        let shape = if mixed { format!("({n}, 32, 32, 3)") } else { format!("({n}, 3, 32, 32)") };
        let pixels = records.clone().flat_map(image).collect::<Vec<_>>();
        arrays.push((format!("{}.npy", names[0]), npy::tests::npy("|u1", &shape, &pixels)));
        let label = |record: &[u8]| match labels {
            "<i8" => i64::from(record[skip - 1]).to_le_bytes().to_vec(),
            _ => vec![record[skip - 1]],
        };
        let (shape, data) = (format!("({n}, 1)"), records.flat_map(label).collect::<Vec<_>>());
        arrays.push((format!("{}.npy", names[1]), npy::tests::npy(labels, &shape, &data)));
    }
    arrays
}

fn write_folder(folder: &Path, members: &[(String, Vec<u8>)]) {
    fs::create_dir_all(folder).unwrap();
    members.iter().for_each(|(name, bytes)| fs::write(folder.join(name), bytes).unwrap());
}

fn tar(prefix: &str, members: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, bytes) in members {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        // Bypasses the crate's own checks, so that hostile names are possible.
        let name = format!("{prefix}{name}");
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_cksum();
        tar.append(&header, &bytes[..]).unwrap();
    }
    tar.into_inner().unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    io::Write::write_all(&mut gzip, bytes).unwrap();
    gzip.finish().unwrap()
}

fn archive(prefix: &str, members: &[(String, Vec<u8>)]) -> Vec<u8> {
    gzip(&tar(prefix, members))
}

fn import_bytes(bytes: &[u8]) -> Result<ImportedImages, Fault> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.tar.gz");
    fs::write(&path, bytes).unwrap();
    import_from(&path)
}

fn import_from(path: &Path) -> Result<ImportedImages, Fault> {
    import_as(path, &small()).map_err(|error| {
        assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
        error.fault
    })
}

/// Checks that all images are present with their labels, in canonical order.
fn assert_whole(imported: &ImportedImages, layout: &Layout) {
    assert_eq!(imported.source, layout.source);
    let mut records: Vec<Vec<u8>> = members(layout).into_iter().map(|(_, bytes)| bytes).collect();
    let test = records.pop().unwrap();
    for (images, records) in [(&imported.train, records.concat()), (&imported.test, test)] {
        assert_eq!(images.classes, *layout.labels.last().unwrap());
        let mut expected: Vec<&[u8]> = records
            .chunks(layout.labels.len() + IMAGE_BYTES)
            .map(|record| &record[layout.labels.len() - 1..])
            .collect();
        expected.sort_by_key(|record| *blake3::hash(record).as_bytes());
        let found = images.labels.iter().zip(images.pixels.chunks(IMAGE_BYTES));
        let found: Vec<_> = found.map(|(&label, pixels)| [&[label], pixels].concat()).collect();
        assert!(found == expected, "the images are others, or in another order");
    }
}

#[test]
fn both_sets_are_read_from_folders_and_archives() {
    for layout in small() {
        let folder = tempfile::tempdir().unwrap();
        write_folder(&folder.path().join("one/cifar"), &members(&layout));
        for place in ["", "one", "one/cifar"] {
            assert_whole(&import_from(&folder.path().join(place)).unwrap(), &layout);
        }
        let mut shuffled = members(&layout);
        shuffled.reverse();
        shuffled.push(("readme.html".into(), b"read me".to_vec()));
        for prefix in ["cifar-10-batches-bin/", "./cifar-10-batches-bin/", "", "data/one/more/"] {
            let tar = tar(prefix, &shuffled);
            assert_whole(&import_bytes(&tar).unwrap(), &layout);
            assert_whole(&import_bytes(&gzip(&tar)).unwrap(), &layout);
            let (a, b) = tar.split_at(tar.len() / 3);
            assert_whole(&import_bytes(&[gzip(a), gzip(b)].concat()).unwrap(), &layout);
        }
    }
}

#[test]
fn the_python_version_is_read_from_folders_and_archives() {
    for layout in small() {
        let folder = tempfile::tempdir().unwrap();
        write_folder(&folder.path().join("data/cifar-py"), &python(&layout));
        for place in ["", "data", "data/cifar-py"] {
            let imported = import_from(&folder.path().join(place)).unwrap();
            assert_whole(&imported, &layout);
            assert!(!imported.published, "these are not the authors' files");
        }
        assert_whole(&import_bytes(&archive("cifar-py/", &python(&layout))).unwrap(), &layout);
        assert_whole(&import_bytes(&zip::tests::zip(&python(&layout), true)).unwrap(), &layout);
    }
}

#[test]
fn arrays_are_read_by_whatever_names_people_give_them() {
    for layout in small() {
        for (names, mixed, labels) in [
            (["x_train", "y_train", "x_test", "y_test"], true, "|u1"),
            (["train_images", "train_labels", "test_images", "test_labels"], false, "<i8"),
            (["X_train", "Y_train", "test_data", "labels_test"], true, "<i8"),
        ] {
            let arrays = arrays(&layout, names, mixed, labels);
            for packed in [false, true] {
                assert_whole(&import_bytes(&zip::tests::zip(&arrays, packed)).unwrap(), &layout);
            }
            let folder = tempfile::tempdir().unwrap();
            write_folder(folder.path(), &arrays);
            assert_whole(&import_from(folder.path()).unwrap(), &layout);
        }
        let mut some = arrays(&layout, ["x_train", "y_train", "x_test", "y_test"], true, "|u1");
        some.remove(2);
        let lost = import_bytes(&zip::tests::zip(&some, false)).unwrap_err();
        assert!(matches!(&lost, Fault::Missing(names) if names == &["x_test"]), "{lost}");
    }
}

#[test]
fn arrays_of_the_wrong_size_are_refused() {
    let [cifar10, _] = small();
    let short = Layout { images: [10, 10], ..cifar10 };
    let names = ["x_train", "y_train", "x_test", "y_test"];
    let error = import_bytes(&zip::tests::zip(&arrays(&short, names, true, "|u1"), false)).unwrap_err().to_string();
    assert_eq!(error, "cannot be used: in `x_train.npy`, there are 50 images instead of 100");
    let mut above = arrays(&cifar10, names, true, "|u1");
    above[3].1.pop();
    above[3].1.push(200);
    let error = import_bytes(&zip::tests::zip(&above, false)).unwrap_err().to_string();
    assert_eq!(error, "cannot be used: in `y_test.npy`, the label 200 is above those of CIFAR-100");
}

#[test]
fn coarse_labels_are_not_taken_for_classes() {
    let [_, cifar100] = small();
    let names = ["x_train", "y_train", "x_test", "y_test"];
    let mut arrays = arrays(&cifar100, names, true, "|u1");
    for place in [1, 3] {
        let labels = arrays[place].1.len() - cifar100.images[place / 2];
        arrays[place].1[labels..].iter_mut().for_each(|label| *label /= 5);
    }
    let error = import_bytes(&zip::tests::zip(&arrays, false)).unwrap_err().to_string();
    assert_eq!(error, "cannot be used: in `y_train.npy`, the labels are the 20 coarse ones: save the fine ones");
}

#[test]
fn published_sums_tell_the_authors_files() {
    let [cifar10, _] = small();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.tar.gz");
    let published = |bytes: &[u8], layout: Layout| {
        fs::write(&path, bytes).unwrap();
        import_as(&path, &[layout]).unwrap().published
    };
    // The sum is that of the whole archive, including the bytes after the last member; a recompressed archive differs.
    let official = archive("cifar-10-batches-bin/", &members(&cifar10));
    let sum: &str = known::md5(&official).leak();
    let known = Layout { archives: ["", sum], ..cifar10 };
    assert!(published(&official, known));
    assert!(!published(&official, cifar10));
    assert!(!published(&gzip(&tar("", &members(&cifar10))), known));
    // Alternatively, the sums of all files of the Python version, in any folder.
    let mut pickles = python(&cifar10);
    let sums = pickles.iter().zip(cifar10.python).map(|((_, bytes), (name, _))| (*name, &*known::md5(bytes).leak()));
    let known = Layout { python: sums.collect::<Vec<_>>().leak(), ..cifar10 };
    assert!(published(&tar("x/", &pickles), known));
    // Change a letter of a file name, which does not affect the images.
    let place = pickles[5].1.len() - 8;
    pickles[5].1[place] ^= 1;
    assert!(!published(&tar("x/", &pickles), known));
}

#[test]
fn every_form_becomes_the_same_object() {
    let [layout, _] = small();
    let names = ["x_train", "y_train", "x_test", "y_test"];
    let forms = [
        archive("cifar-10-batches-bin/", &members(&layout)),
        archive("cifar-10-batches-py/", &python(&layout)),
        zip::tests::zip(&arrays(&layout, names, true, "<i8"), true),
    ];
    let [a, b, c] = forms.map(|form| import_bytes(&form).unwrap().train.to_bytes().unwrap());
    assert!(a == b && b == c);
    // The images of one file in another order, and two files swapped.
    let mut members = members(&layout);
    let moved = members[0].1.chunks(3073).rev().collect::<Vec<_>>().concat();
    members[0].1 = std::mem::replace(&mut members[1].1, moved);
    assert!(import_bytes(&archive("", &members)).unwrap().train.to_bytes().unwrap() == a);
}

#[test]
fn images_that_are_not_the_data_sets_are_named() {
    let [layout, _] = small();
    let imported = import_bytes(&archive("", &members(&layout))).unwrap();
    // None of these are CIFAR images.
    let [train, test] = imported.strangers.unwrap();
    assert_eq!((train.len(), test.len()), (100, 10));
    assert_eq!(train[41], Place { file: "data_batch_3.bin".into(), index: 1 });
    assert_eq!(test[9], Place { file: "test_batch.bin".into(), index: 9 });
}

#[test]
fn folders_that_are_not_the_data_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    assert!(matches!(import_from(&path.join("nothing")), Err(Fault::File(e)) if e.is_not_found()));
    assert!(matches!(import_from(path), Err(Fault::NotCifar { beside: None })));
    fs::write(path.join("cifar-10-python.tar.gz"), b"").unwrap();
    assert!(
        matches!(import_from(path), Err(Fault::NotCifar { beside: Some(name) }) if name == "cifar-10-python.tar.gz")
    );
    // Programs and texts can also be called `test` and `train`.
    fs::write(path.join("test"), b"\x7fELF").unwrap();
    fs::create_dir(path.join("train")).unwrap();
    assert!(matches!(import_from(path), Err(Fault::NotCifar { .. })));
    let [cifar10, cifar100] = small();
    write_folder(&path.join("a"), &members(&cifar10)[..3]);
    let error = import_from(path).unwrap_err();
    assert_eq!(error.to_string(), "lacks data_batch_4.bin, data_batch_5.bin, test_batch.bin");
    // A second, complete version is used.
    write_folder(&path.join("b"), &python(&cifar10));
    assert_whole(&import_from(path).unwrap(), &cifar10);
    write_folder(&path.join("c"), &members(&cifar100));
    let error = import_from(path).unwrap_err();
    assert!(matches!(&error, Fault::Both([a, c]) if a == "a/data_batch_1.bin" && c == "c/train.bin"), "{error}");
    fs::remove_dir_all(path.join("c")).unwrap();
    write_folder(&path.join("d"), &members(&cifar10));
    let error = import_from(path).unwrap_err();
    assert!(
        matches!(&error, Fault::Twice { places: [a, d], .. } if a == "a/data_batch_1.bin" && d == "d/data_batch_1.bin")
    );
    // Files in an outer folder hide those in deeper folders.
    write_folder(path, &members(&cifar10));
    assert_whole(&import_from(path).unwrap(), &cifar10);
}

#[test]
fn what_is_no_file_is_not_opened() {
    for device in ["/dev/zero", "/dev/null"] {
        assert!(import(Path::new(device)).unwrap_err().to_string().contains("it is a device, not a file"));
    }
    let folder = tempfile::tempdir().unwrap();
    for name in ["pipe", "data_batch_1.bin"] {
        let path = folder.path().join(name);
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        assert!(import(&path).unwrap_err().to_string().contains("it is a pipe, not a file"));
    }
    assert!(import(folder.path()).unwrap_err().to_string().contains("data_batch_1.bin`: it is a pipe, not a file"));
}

#[test]
fn formats_that_are_not_read_are_called_by_their_name() {
    for (start, message) in [
        (&b"PAR1\x15\x04"[..], "is a Parquet file, which is not supported"),
        (b"\x89HDF\r\n", "is an HDF5 file, which is not supported"),
        (b"\xfd7zXZ\0", "is compressed with xz, which is not supported"),
        (b"\x93NUMPY\x01\0", "is only one array of NumPy"),
        (b"\x80\x02}q\x01(", "is only one pickle"),
        (b"<html>not found</html>", "is an HTML or XML page, which is not supported"),
        (b"version https://git-lfs.github.com/spec/v1", "is a pointer of Git LFS, which is not supported"),
        (b"", "is an empty file, which is not supported"),
        (b"short", "is neither a folder nor a tar or zip archive"),
        (&[b'x'; 2000], "is neither a folder nor a tar or zip archive"),
        (&gzip(&[b'x'; 2000]), "is neither a folder nor a tar or zip archive"),
    ] {
        let error = import_bytes(start).unwrap_err();
        assert_eq!(error.to_string(), message);
    }
    let folder = tempfile::tempdir().unwrap();
    write_folder(folder.path(), &members(&small()[0]));
    let error = import_from(&folder.path().join("data_batch_1.bin")).unwrap_err();
    assert_eq!(error.to_string(), "is only one of the files");
}

#[test]
fn damage_in_the_files_is_named() {
    let [layout, _] = small();
    let read = |change: fn(&mut Vec<u8>)| {
        let mut members = members(&layout);
        change(&mut members[1].1);
        let folder = tempfile::tempdir().unwrap();
        write_folder(folder.path(), &members);
        let error = import_from(folder.path()).unwrap_err().to_string();
        assert_eq!(error, import_bytes(&archive("", &members)).unwrap_err().to_string());
        assert_eq!(error, import_bytes(&zip::tests::zip(&members, true)).unwrap_err().to_string());
        error
    };
    let short = read(|bytes| bytes.truncate(bytes.len() - 1));
    assert_eq!(short, "is not CIFAR: its `data_batch_2.bin` has 61459 bytes instead of 61460");
    assert!(read(|bytes| bytes.push(0)).contains("has 61461 bytes instead of 61460"));
    let label = read(|bytes| bytes[2 * 3073] = 10);
    assert_eq!(label, "is not CIFAR: image 2 of `data_batch_2.bin` has the label 10, but there are 10 classes");
    let sizes = read(|bytes| bytes[0] = 9);
    assert!(sizes.starts_with("is not CIFAR: class 0 has 9 images in data_batch_1.bin, "), "{sizes}");
    assert!(sizes.ends_with(" instead of 10"), "{sizes}");
    let [_, cifar100] = small();
    let mut members = members(&cifar100);
    members[0].1[0] = 20;
    let error = import_bytes(&archive("", &members)).unwrap_err();
    assert!(matches!(error, Fault::Label { label: 20, classes: 20, .. }), "the coarse label");
    let mut pickles = python(&layout);
    pickles[1].1 = pickle::tests::python2("labels", &[0; 19], &[0; 19 * IMAGE_BYTES]);
    let error = import_bytes(&archive("", &pickles)).unwrap_err().to_string();
    assert_eq!(error, "cannot be used: in `data_batch_2`, there are 19 images instead of 20");
    pickles[1].1 = pickle::tests::python2("labels", &[10; 20], &[0; 20 * IMAGE_BYTES]);
    assert!(matches!(import_bytes(&archive("", &pickles)), Err(Fault::Label { index: 0, label: 10, .. })));
    pickles[1].1 = b"version https://git-lfs.github.com/spec/v1".to_vec();
    let error = import_bytes(&archive("", &pickles)).unwrap_err().to_string();
    assert!(error.starts_with("cannot be used: in `data_batch_2`, "), "{error}");
}

#[test]
fn damaged_and_hostile_archives_are_refused() {
    let [layout, cifar100] = small();
    let good = archive("cifar-10-batches-bin/", &members(&layout));
    for end in [3, 20, good.len() / 2, good.len() - 9, good.len() - 1] {
        let error = import_bytes(&good[..end]).unwrap_err();
        assert!(matches!(error, Fault::Truncated), "{end}: {error}");
    }
    // A pixel changed in transfer: only gzip's checksum, at the end, can detect this.
    let mut changed = good.clone();
    let checksum = changed.len() - 6;
    changed[checksum] ^= 1;
    assert!(matches!(import_bytes(&changed), Err(Fault::Damaged(_))));

    let lost = import_bytes(&archive("", &members(&layout)[..5])).unwrap_err();
    assert!(matches!(lost, Fault::Missing(ref files) if files == &["test_batch.bin"]));
    let twice = [members(&layout), members(&layout)].concat();
    assert!(matches!(import_bytes(&archive("", &twice)), Err(Fault::Twice { .. })));
    let both = [members(&layout), members(&cifar100)].concat();
    assert!(matches!(import_bytes(&archive("", &both)), Err(Fault::Both(_))));
    // Names are only compared.
    for prefix in ["../", "/etc/", "cifar-10-batches-bin/../", "a/b/c/d/"] {
        assert!(matches!(import_bytes(&archive(prefix, &members(&layout))), Err(Fault::NotCifar { .. })), "{prefix}");
    }
}

#[test]
fn damaged_and_hostile_zips_are_refused() {
    let [layout, _] = small();
    for packed in [false, true] {
        let good = zip::tests::zip(&members(&layout), packed);
        for end in [10, good.len() / 2, good.len() - 1] {
            let error = import_bytes(&good[..end]).unwrap_err();
            assert!(matches!(error, Fault::Truncated), "{end}: {error}");
        }
        // A pixel changed in transfer: only the checksum can detect this.
        let mut changed = good.clone();
        changed[80] ^= 1;
        let error = import_bytes(&changed).unwrap_err();
        assert!(matches!(&error, Fault::Damaged(_) | Fault::Size { .. } | Fault::Truncated), "{error}");
    }
    // A member that unpacks to more than its header states.
    let [_, cifar100] = small();
    let mut bomb = zip::tests::zip(&members(&cifar100), true);
    let place = bomb.windows(4).position(|window| window == b"PK\x01\x02").unwrap();
    let (binary, size) = (cifar100.images_of(0) * 3074, place + 24);
    assert_eq!(bomb[size..size + 4], (binary as u32).to_le_bytes());
    bomb[size] -= 1;
    assert!(matches!(import_bytes(&bomb), Err(Fault::Size { .. })));
}

#[test]
fn the_real_layouts_have_the_published_sizes() {
    let bytes = LAYOUTS.map(|layout| {
        let bytes = |file| layout.images_of(file) * (layout.labels.len() + IMAGE_BYTES);
        assert_eq!(layout.binary.len(), layout.python.len());
        (0..layout.binary.len()).map(bytes).collect::<Vec<_>>()
    });
    assert_eq!(bytes[0], [30_730_000; 6]);
    assert_eq!(bytes[1], [153_700_000, 30_740_000]);
    // The archives' sums are those that the download checks.
    for layout in LAYOUTS {
        assert_eq!(crate::data::archive(layout.source).unwrap().md5, layout.archives[0]);
    }
}
