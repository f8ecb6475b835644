//! Archives that are packed against another one.

use super::hostile::sealed;
use super::*;

/// A folder with `a.wdpipe`, the archive of [`sample`], and `b.wdpipe`, one of nearly the same records and tables.
struct Folder {
    folder: TempDir,
    /// Bytes of `b.wdpipe`, packed alone.
    alone: Vec<u8>,
}

impl Folder {
    fn new(table: &[u8]) -> Self {
        let (_folder, store) = empty();
        let of = |figure: &str| {
            let records = [
                record("train", &[], &[("predictions", table.to_vec()), ("metrics", b"m".to_vec())]),
                record("figure", &[("a", table), (figure, b"m")], &[("svg", b"plotted numbers".repeat(20))]),
            ];
            store.put(table).unwrap();
            store.put(&b"plotted numbers".repeat(20)).unwrap();
            archive(&store, &closure_of(&records), &[], Scope::Numbers)
        };
        let folder = tempfile::tempdir().unwrap();
        let alone = of("b");
        fs::write(folder.path().join("a.wdpipe"), of("a")).unwrap();
        fs::write(folder.path().join("b.wdpipe"), &alone).unwrap();
        Self { folder, alone }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    /// Packs `b` against `a`; returns the bytes.
    fn pack(&self) -> Vec<u8> {
        let bytes = repack(&self.path("b.wdpipe"), Some(&self.path("a.wdpipe"))).unwrap();
        fs::write(self.path("b.wdpipe"), &bytes).unwrap();
        bytes
    }

    fn said(&self) -> String {
        read_numbers(&self.path("b.wdpipe")).unwrap_err().to_string()
    }
}

#[test]
fn it_takes_little_space_and_holds_the_same() {
    let it = Folder::new(&noise(100_000, 5));
    let (a, b) = (it.path("a.wdpipe"), it.path("b.wdpipe"));
    let numbers = read_numbers(&b).unwrap();
    assert_eq!(reference(&b).unwrap(), None);

    let packed = it.pack();
    assert!(it.alone.len() > 100_000 && packed.len() < 1000, "{} and {}", it.alone.len(), packed.len());
    assert_eq!(reference(&b).unwrap().unwrap().file, "a.wdpipe");
    assert_eq!(read_numbers(&b).unwrap(), numbers);
    let (_store_folder, store) = empty();
    let done = import(&b, &store, &Admission { admitted: &|_, _, _| Ok(()), keep: &|_| Ok(true) }, false).unwrap();
    assert_eq!((done.new_records, done.new_objects), (2, 1));

    // Packing it again changes nothing, and packed alone it is as it was written.
    assert_eq!(it.pack(), packed);
    assert_eq!(repack(&b, None).unwrap(), it.alone);
    assert_eq!(repack(&a, None).unwrap(), fs::read(&a).unwrap());
}

#[test]
fn the_reference_can_be_larger_than_the_window_or_shorter() {
    for length in [0, 1, 9 << 20] {
        let it = Folder::new(&noise(200 + length, 6));
        let numbers = read_numbers(&it.path("b.wdpipe")).unwrap();
        it.pack();
        assert_eq!(read_numbers(&it.path("b.wdpipe")).unwrap(), numbers);
    }
}

#[test]
fn without_its_reference_it_says_what_is_missing() {
    let it = Folder::new(&noise(1000, 7));
    let packed = it.pack();
    let a = it.path("a.wdpipe");
    let bytes = fs::read(&a).unwrap();
    let start = "it holds only what a.wdpipe in the same folder does not hold, and a.wdpipe";

    fs::write(&a, Folder::new(&noise(1000, 8)).alone).unwrap();
    assert_eq!(it.said(), format!("{start} is not the one that it was written with"));
    fs::write(&a, &bytes[1..]).unwrap();
    assert_eq!(it.said(), format!("{start} cannot be used: not a wdpipe archive"));
    fs::remove_file(&a).unwrap();
    assert_eq!(it.said(), format!("{start} is missing"));
    assert!(
        import(&it.path("b.wdpipe"), &empty().1, &Admission { admitted: &|_, _, _| Ok(()), keep: &|_| Ok(true) }, true)
            .is_err()
    );
    let said = Numbers::from_bytes(&packed).unwrap_err().to_string();
    assert!(said.contains("packed against another archive"), "{said}");

    // No chains: a reference is packed alone. So there are no circles either.
    fs::write(&a, &packed).unwrap();
    assert!(it.said().contains("it is packed against another archive"), "{}", it.said());
    fs::write(it.path("c.wdpipe"), &it.alone).unwrap();
    assert!(repack(&it.path("c.wdpipe"), Some(&it.path("b.wdpipe"))).is_err());
}

#[test]
fn an_archive_with_weights_is_not_packed_so() {
    let (_folder, store, closure) = full();
    let it =
        Folder::new(b"a table of many numbers of 100 bytes or more, which is why no record holds it: it is an object");
    fs::write(it.path("b.wdpipe"), archive(&store, &closure, &[], Scope::All)).unwrap();
    assert!(repack(&it.path("b.wdpipe"), Some(&it.path("a.wdpipe"))).is_err());
    // An archive of everything can be a reference: only its numbers are used.
    fs::rename(it.path("b.wdpipe"), it.path("c.wdpipe")).unwrap();
    fs::write(it.path("b.wdpipe"), &it.alone).unwrap();
    fs::write(it.path("b.wdpipe"), repack(&it.path("b.wdpipe"), Some(&it.path("c.wdpipe"))).unwrap()).unwrap();
    read_numbers(&it.path("b.wdpipe")).unwrap();
}

#[test]
fn every_flip_and_cut_is_refused_with_or_without_a_right_checksum() {
    let it = Folder::new(&noise(1000, 9));
    let good = read_numbers(&it.path("b.wdpipe")).unwrap();
    let packed = it.pack();
    let body = packed.len() - TRAILER as usize;
    let read = |bytes: &[u8]| {
        fs::write(it.path("b.wdpipe"), bytes).unwrap();
        read_numbers(&it.path("b.wdpipe"))
    };
    for at in 0..packed.len() {
        let mut bad = packed.clone();
        bad[at] ^= 1;
        assert!(read(&bad).is_err(), "{at}");
        bad.truncate(body);
        // Whoever runs a stage, and when, is covered by signatures only.
        let is_harmless =
            read(&sealed(bad)).is_ok_and(|n| n.closure().root() == good.header.root && n.objects == good.objects);
        assert!(is_harmless || read_numbers(&it.path("b.wdpipe")).is_err(), "{at}");
        assert!(read(&packed[..at]).is_err(), "{at}");
        assert!(at >= body || read(&sealed(packed[..at].to_vec())).is_err(), "{at}");
    }
}

#[test]
fn names_lead_nowhere_else() {
    let it = Folder::new(&noise(1000, 10));
    let (head, end) = (&[&MAGIC[..], &AGAINST.to_le_bytes()].concat(), [0; 32]);
    for name in [
        "",
        ".",
        "..",
        "/etc/passwd",
        "../a.wdpipe",
        "x/a.wdpipe",
        "a.wdpipe/",
        "./a.wdpipe",
        ".wdpipe",
        "a",
        "a`b.wdpipe",
        "a\0",
        "\u{1b}[2J",
        "\n",
    ] {
        let bytes = sealed([head, &[name.len() as u8][..], name.as_bytes(), &end].concat());
        fs::write(it.path("b.wdpipe"), bytes).unwrap();
        assert!(it.said().contains("not that of a file in the same folder"), "{name:?}: {}", it.said());
    }
    fs::write(it.path("b.wdpipe"), sealed([head, &[2][..], &[0xff, 0xfe], &end].concat())).unwrap();
    assert!(it.said().contains("not that of a file in the same folder"), "{}", it.said());
    let named = |name: &str| sealed([head, &[name.len() as u8][..], name.as_bytes(), &end].concat());
    for (name, part) in [("b.wdpipe", "it is packed against another"), ("x.wdpipe", "x.wdpipe is missing")] {
        fs::write(it.path("b.wdpipe"), named(name)).unwrap();
        assert!(it.said().contains(part), "{name}: {}", it.said());
    }
    for cut in 4..39 {
        fs::write(it.path("b.wdpipe"), &named("")[..cut]).unwrap();
        assert!(
            matches!(read_numbers(&it.path("b.wdpipe")), Err(ArchiveError::Checksum | ArchiveError::Refused(_))),
            "{cut}"
        );
    }
}
