use super::*;

fn lock(stages: usize) -> Lock {
    let object = |i: usize, name: &str| ObjectDigest::of(format!("{i}{name}").as_bytes());
    let stage = |i: usize| Locked {
        name: format!("fig3/trunk[lr=0.1,\"seed\"={i}]@{i}"),
        kind: "train".into(),
        version: 1,
        key: StageKey::from_bytes(*blake3::hash(&i.to_le_bytes()).as_bytes()),
        machine: format!("machine {}", i % 30),
        outputs: [
            ("weights".into(), object(i, "w")),
            ("metrics".into(), object(i, "m")),
            ("plot.svg".into(), object(i, "p")),
        ]
        .into(),
    };
    let mut stages: Vec<_> = (0..stages).map(stage).collect();
    let outputs = ["svg", "png", "pdf", "numbers"].map(|name| (name.to_owned(), object(0, name)));
    stages.push(Locked {
        name: "fig3".into(),
        kind: "figure".into(),
        version: 3,
        key: StageKey::from_bytes([9; 32]),
        machine: String::new(),
        outputs: outputs.into(),
    });
    Lock {
        name: "fig3".into(),
        figure: "fig3".into(),
        pipeline: "fig3".into(),
        profile: "smoke".into(),
        set: vec!["lr=[0.1,\"x\"]".into()],
        files: FILES.iter().map(|name| ((*name).to_owned(), object(1, name))).collect(),
        stages,
    }
}

fn read(text: &Text) -> Result<Lock, LockError> {
    Lock::from_text(&text.lock, || Ok(text.list.clone().unwrap_or_default()))
}

#[test]
fn locks_round_trip_with_their_stages_inside_or_beside() {
    for (stages, beside) in [(3, false), (249, false), (250, true), (3000, true)] {
        let lock = lock(stages);
        let text = lock.to_text().unwrap();
        assert_eq!(text.list.is_some(), beside);
        assert_eq!(read(&text).unwrap(), lock);
        assert_eq!(read(&text).unwrap().to_text().unwrap(), text, "one lock has one text");
        assert!(!beside || text.lock.lines().count() < 80, "a long lock stays readable");
    }
}

/// The drawing of a command has an output whose name has a dot, and need not have all files.
#[test]
fn outputs_and_files_of_commands_round_trip() {
    let mut lock = lock(2);
    lock.stages[1].outputs.insert("plot.svg".into(), ObjectDigest::of(b"x"));
    let drawing = lock.stages.last_mut().unwrap();
    drawing.outputs.retain(|name, _| name == "svg");
    lock.files.retain(|extension, _| extension == "svg");
    let text = lock.to_text().unwrap();
    assert_eq!(read(&text).unwrap(), lock);
    lock.files.insert("pdf".into(), ObjectDigest::of(b"y"));
    let wrong = read(&lock.to_text().unwrap()).unwrap_err().to_string();
    assert!(wrong.contains("its files are not the outputs of its figure"), "{wrong}");
}

#[test]
fn a_variant_is_told_by_a_name_of_its_own() {
    let plain = lock(3).to_text().unwrap();
    assert!(!plain.lock.contains("\nname = "), "{}", plain.lock);
    for name in ["fig3@0123abcd", "mine"] {
        let variant = Lock { name: name.into(), ..lock(3) };
        let text = variant.to_text().unwrap();
        assert!(text.lock.contains(&format!("\nname = \"{name}\"\nfigure = \"fig3\"\n")), "{}", text.lock);
        assert_eq!(read(&text).unwrap(), variant);
    }
    for name in ["../x", "a/b", "@", "fig3@", ".x", "a@b@c", ""] {
        let text = Lock { name: name.into(), ..lock(3) }.to_text().unwrap();
        assert!(read(&text).unwrap_err().to_string().contains("it has an invalid name"), "{name}");
    }
}

#[test]
fn every_altered_byte_is_found() {
    let text = lock(3).to_text().unwrap();
    for at in 0..text.lock.len() {
        for bit in [1, 4] {
            let mut bytes = text.lock.clone().into_bytes();
            bytes[at] ^= bit;
            let Ok(altered) = String::from_utf8(bytes) else { continue };
            assert!(read(&Text { lock: altered, list: None }).is_err(), "byte {at}");
        }
        assert!(read(&Text { lock: text.lock[..at].to_owned(), list: None }).is_err(), "cut at {at}");
    }
    let text = lock(300).to_text().unwrap();
    let list = text.list.clone().unwrap();
    for at in (0..list.len()).step_by(7) {
        let mut altered = list.clone();
        altered[at] ^= 1;
        // zstd ignores some bits of its own header; the unpacked list must then be the same.
        if let Ok(read) = read(&Text { list: Some(altered), ..text.clone() }) {
            assert_eq!(read, lock(300));
        }
        assert!(read(&Text { list: Some(list[..at].to_vec()), ..text.clone() }).is_err(), "cut at {at}");
    }
}

#[test]
fn converted_line_ends_are_called_that_and_nothing_else_is() {
    let text = lock(3).to_text().unwrap().lock;
    let read = |lock: String| read(&Text { lock, list: None }).unwrap_err();
    assert_eq!(read(text.replace('\n', "\r\n")), LockError::LineEnds);
    assert_eq!(read(text.replacen('\n', "\r\n", 3)), LockError::LineEnds);
    assert!(matches!(read(text.replace('\n', "\r\n").replacen('a', "b", 1)), LockError::Altered(_)));
}

#[test]
fn a_text_with_a_right_checksum_must_still_be_consistent() {
    let text = lock(3).to_text().unwrap().lock;
    let resealed = |from: &str, to: &str| {
        let body = text[..text.rfind("# checksum").unwrap()].replacen(from, to, 1);
        assert_ne!(body, text[..body.len().min(text.len())], "{from}");
        format!("{body}# checksum {}\n", ObjectDigest::of(body.as_bytes()))
    };
    let cases = [
        ("count = 4", "count = 5", "number of stages does not match"),
        ("train = 3", "train = 4", "number of stages does not match"),
        ("figure = \"fig3\"", "figure = \"../fig3\"", "it has an invalid name"),
        ("machine = \"a\"", "machine = \"q\"", "no machine `q`"),
        ("kind = \"train 1\"", "kind = \"train\"", "is not a kind and version"),
        ("version = 1", "version = 2", "newer wdpipe"),
        ("svg = ", "exe = ", "its"),
        ("root = \"", "root = \"0", "hash"),
    ];
    for (from, to, message) in cases {
        let error = read(&Text { lock: resealed(from, to), list: None }).unwrap_err().to_string();
        assert!(error.contains(message), "{from}: {error}");
    }
    // A different object of one stage: the root reveals it.
    let weights = ObjectDigest::of(b"0w").to_string();
    let other = ObjectDigest::of(b"1w").to_string();
    let error = read(&Text { lock: resealed(&weights, &other), list: None }).unwrap_err().to_string();
    assert!(error.contains("root"), "{error}");
}

#[test]
fn a_bomb_beside_a_lock_is_not_unpacked() {
    let text = lock(300).to_text().unwrap();
    let bomb = zstd::bulk::compress(&vec![b' '; 256 << 20], 1).unwrap();
    assert!(read(&Text { list: Some(bomb), ..text }).is_err());
}
