use std::fs;

use flate2::{Compression, write::GzEncoder};

use super::*;

/// The real layouts with files small enough for a test: ten images a class in CIFAR-10's training set,
/// two in CIFAR-100's, one in each test set.
fn small() -> [Layout; 2] {
    let [cifar10, cifar100] = LAYOUTS;
    [Layout { images: [20, 10], ..cifar10 }, Layout { images: [200, 100], ..cifar100 }]
}

/// A balanced file: image `i` of a file has the label `i` modulo the classes, and its pixels begin with
/// the file's number and `i`.
fn records(layout: &Layout, file: usize, images: usize) -> Vec<u8> {
    let classes = *layout.labels.last().unwrap() as usize;
    let mut bytes = Vec::new();
    for i in 0..images {
        let label = (i % classes) as u8;
        // CIFAR-100's coarse label; which one it is plays no part.
        bytes.extend(if layout.labels.len() == 2 { vec![label / 5, label] } else { vec![label] });
        bytes.extend([file as u8, i as u8]);
        bytes.extend(vec![7; IMAGE_BYTES - 2]);
    }
    bytes
}

fn members(layout: &Layout) -> Vec<(String, Vec<u8>)> {
    let [train, test] = layout.images;
    let sizes = layout.train.iter().map(|file| (file, train)).chain(layout.test.iter().map(|file| (file, test)));
    sizes.enumerate().map(|(i, (file, images))| ((*file).to_owned(), records(layout, i, images))).collect()
}

fn write_folder(folder: &Path, members: &[(String, Vec<u8>)]) {
    fs::create_dir_all(folder).unwrap();
    members.iter().for_each(|(name, bytes)| fs::write(folder.join(name), bytes).unwrap());
}

fn archive(prefix: &str, members: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    for (name, bytes) in members {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        // Written past the crate's own checks, so that hostile names can be made.
        let name = format!("{prefix}{name}");
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_cksum();
        tar.append(&header, &bytes[..]).unwrap();
    }
    tar.into_inner().unwrap().finish().unwrap()
}

fn import_bytes(bytes: &[u8]) -> Result<Imported, ImportError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.tar.gz");
    fs::write(&path, bytes).unwrap();
    import_as(&path, &small())
}

fn assert_whole(imported: &Imported, layout: &Layout) {
    assert_eq!(imported.source, layout.source);
    let train = &imported.train;
    assert_eq!((train.len(), imported.test.len()), (layout.train.len() * layout.images[0], layout.images[1]));
    assert_eq!(train.classes, *layout.labels.last().unwrap());
    for (index, (image, &label)) in train.pixels.chunks(IMAGE_BYTES).zip(&train.labels).enumerate() {
        let (file, i) = (index / layout.images[0], index % layout.images[0]);
        assert_eq!(image[..3], [file as u8, i as u8, 7]);
        assert_eq!(usize::from(label), i % train.classes as usize);
    }
    assert_eq!(imported.test.pixels[..2], [layout.train.len() as u8, 0]);
}

#[test]
fn both_sets_are_read_from_folders_and_archives() {
    for layout in small() {
        let folder = tempfile::tempdir().unwrap();
        write_folder(&folder.path().join(layout.folder), &members(&layout));
        assert_whole(&import_as(folder.path(), &small()).unwrap(), &layout);
        assert_whole(&import_as(&folder.path().join(layout.folder), &small()).unwrap(), &layout);
        let mut shuffled = members(&layout);
        shuffled.reverse();
        shuffled.push(("readme.html".into(), b"read me".to_vec()));
        for prefix in [format!("{}/", layout.folder), format!("./{}/", layout.folder), String::new()] {
            assert_whole(&import_bytes(&archive(&prefix, &shuffled)).unwrap(), &layout);
        }
    }
}

#[test]
fn folders_that_are_not_the_data_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    assert!(matches!(import_as(&path.join("nothing"), &small()), Err(ImportError::File(e)) if e.is_not_found()));
    assert!(matches!(import_as(path, &small()), Err(ImportError::NotCifar(_))));
    write_folder(&path.join("cifar-10-batches-py"), &[("data_batch_1".into(), vec![0x80])]);
    for place in [path.to_owned(), path.join("cifar-10-batches-py")] {
        let error = import_as(&place, &small()).unwrap_err();
        assert!(error.to_string().contains("download the binary version, `cifar-10-binary.tar.gz`"), "{error}");
    }
    let [cifar10, cifar100] = small();
    write_folder(&path.join(cifar10.folder), &members(&cifar10)[..3]);
    let error = import_as(path, &small()).unwrap_err();
    assert!(error.to_string().ends_with("lacks data_batch_4.bin, data_batch_5.bin, test_batch.bin"), "{error}");
    write_folder(&path.join(cifar100.folder), &members(&cifar100));
    assert!(matches!(import_as(path, &small()), Err(ImportError::Both(_))));
}

#[test]
fn damage_in_the_files_is_named() {
    let [layout, _] = small();
    let read = |change: fn(&mut Vec<u8>)| {
        let mut members = members(&layout);
        change(&mut members[1].1);
        let folder = tempfile::tempdir().unwrap();
        write_folder(folder.path(), &members);
        let from_archive = import_bytes(&archive("", &members)).unwrap_err();
        let error = import_as(folder.path(), &small()).unwrap_err();
        assert_eq!(std::mem::discriminant(&error), std::mem::discriminant(&from_archive));
        error
    };
    let short = read(|bytes| bytes.truncate(bytes.len() - 1));
    assert!(matches!(short, ImportError::Size { file: "data_batch_2.bin", found: 61_459, expected: 61_460, .. }));
    assert!(matches!(read(|bytes| bytes.push(0)), ImportError::Size { found: 61_461, .. }));
    let label = read(|bytes| bytes[2 * 3073] = 10);
    assert!(matches!(label, ImportError::Label { file: "data_batch_2.bin", index: 2, label: 10, classes: 10, .. }));
    let sizes = read(|bytes| bytes[0] = 9);
    assert!(matches!(sizes, ImportError::ClassSize { class: 0, found: 9, expected: 10, .. }), "{sizes}");
    let [_, cifar100] = small();
    let mut members = members(&cifar100);
    members[0].1[0] = 20;
    let error = import_bytes(&archive("", &members)).unwrap_err();
    assert!(matches!(error, ImportError::Label { file: "train.bin", label: 20, classes: 20, .. }), "the coarse label");
}

#[test]
fn damaged_and_hostile_archives_are_refused() {
    let [layout, cifar100] = small();
    let good = archive("cifar-10-batches-bin/", &members(&layout));
    for end in [3, 20, good.len() / 2, good.len() - 9, good.len() - 1] {
        let error = import_bytes(&good[..end]).unwrap_err();
        assert!(matches!(error, ImportError::Truncated(_)), "{end}: {error}");
    }
    // A pixel changed on the way: only gzip's checksum, at the very end, can tell.
    let mut changed = good.clone();
    let checksum = changed.len() - 6;
    changed[checksum] ^= 1;
    assert!(matches!(import_bytes(&changed), Err(ImportError::Damaged { .. })));
    assert!(matches!(import_bytes(b"<html>not found</html>"), Err(ImportError::NotAnArchive { .. })));
    assert!(matches!(import_bytes(b""), Err(ImportError::NotAnArchive { .. })));
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    io::Write::write_all(&mut gzip, &[b'x'; 2000]).unwrap();
    assert!(matches!(import_bytes(&gzip.finish().unwrap()), Err(ImportError::NotAnArchive { .. })));

    let lost = import_bytes(&archive("", &members(&layout)[..5])).unwrap_err();
    assert!(matches!(lost, ImportError::Missing { ref files, .. } if files == &["test_batch.bin"]));
    let twice = [members(&layout), members(&layout)].concat();
    assert!(matches!(import_bytes(&archive("", &twice)), Err(ImportError::Damaged { .. })));
    let both = [members(&layout), members(&cifar100)].concat();
    assert!(matches!(import_bytes(&archive("", &both)), Err(ImportError::Both(_))));
    let python = [("cifar-100-python/train".to_owned(), vec![0x80])];
    let error = import_bytes(&archive("", &python)).unwrap_err();
    assert!(matches!(error, ImportError::Pickle { archive: "cifar-100-binary.tar.gz", .. }));
    // Names are compared, and nothing more.
    for prefix in ["../", "/etc/", "cifar-10-batches-bin/../"] {
        assert!(matches!(import_bytes(&archive(prefix, &members(&layout))), Err(ImportError::NotCifar(_))), "{prefix}");
    }
}

#[test]
fn the_real_layouts_have_the_published_sizes() {
    let bytes = LAYOUTS.map(|layout| layout.files().map(|(_, bytes)| bytes).collect::<Vec<_>>());
    assert_eq!(bytes[0], [30_730_000; 6]);
    assert_eq!(bytes[1], [153_700_000, 30_740_000]);
}
