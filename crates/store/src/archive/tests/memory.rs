//! Memory used by hostile and large archives, measured in separate processes.

use std::process::Command;

use super::*;

const CASE: &str = "WDPIPE_TEST_ARCHIVE";

/// Returns the peak memory of this process in KiB.
fn peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Writes an archive whose unpacked bytes start with `start`, followed by repeated `unit`s up to `length` bytes.
fn bomb(path: &Path, start: &[u8], unit: &[u8], length: u64) {
    bomb_after(path, &ALONE.to_le_bytes(), start, unit, length);
}

/// Like [`bomb`], with these bytes before the first frame.
fn bomb_after(path: &Path, head: &[u8], start: &[u8], unit: &[u8], length: u64) {
    let mut frame = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
    frame.write_all(start).unwrap();
    for _ in 0..length / unit.len() as u64 {
        frame.write_all(unit).unwrap();
    }
    let mut bytes = [&MAGIC[..], head, &frame.finish().unwrap()].concat();
    let hash = *hasher().update(&bytes).finalize().as_bytes();
    bytes.extend(hash);
    fs::write(path, bytes).unwrap();
}

fn entry(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u64).to_le_bytes()[..], bytes].concat()
}

/// Returns a record of nearly 4 MiB with the maximum memory use: a list of maps with one entry each. `number` makes
/// records different.
fn heavy(number: i64) -> Vec<u8> {
    let mut record = record("heavy", &[], &[]);
    let map = Value::Map([(String::new(), Value::Bool(true))].into());
    record.parts.parameters.insert("list".into(), Value::List(vec![map; 167_000]));
    record.parts.parameters.insert("number".into(), Value::Int(number));
    record.to_bytes().unwrap().1
}

/// Body of the child: reads or imports one archive, and prints the result and its memory use.
#[test]
#[ignore = "is started by another test"]
fn measures() {
    let Ok(case) = std::env::var(CASE) else { return };
    let (folder, path) = case.rsplit_once('/').map(|(folder, _)| (Path::new(folder), Path::new(&case))).unwrap();
    let said = if case.ends_with("large") {
        let store = Store::open(&folder.join("in")).unwrap();
        let admission = Admission { admitted: &|_, _, _| Ok(()), keep: &|_| Ok(true) };
        let done = import(path, &store, &admission, false).unwrap();
        let mut archive = super::super::reference::Checked::open(path).unwrap();
        let closure = Numbers::take(&mut archive.entries().unwrap()).unwrap().closure();
        export(&store, &closure, &[], Scope::All, &mut fs::File::create(folder.join("again")).unwrap()).unwrap();
        format!("took {}", done.new_bytes)
    } else {
        read_numbers(path).unwrap_err().to_string()
    };
    println!("{} KiB, {said}", peak());
}

/// Runs the child on an archive; returns its memory use in MiB and its output.
fn measured(path: &Path) -> (u64, String) {
    let program = std::env::current_exe().unwrap();
    let mut command = Command::new(program);
    command.args(["archive::tests::memory::measures", "--exact", "--ignored", "--nocapture"]).env(CASE, path);
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    let line = text.lines().find_map(|line| line.split_once(" KiB, ")).unwrap();
    let digits: String = line.0.chars().rev().take_while(char::is_ascii_digit).collect();
    (digits.chars().rev().collect::<String>().parse::<u64>().unwrap() >> 10, line.1.to_owned())
}

#[test]
fn bombs_are_refused_within_256_mib() {
    let folder = tempfile::tempdir().unwrap();
    let (_store_folder, store, closure) = full();
    let header = Numbers::from_bytes(&archive(&store, &closure, &[], Scope::Numbers)).unwrap().header;
    let header =
        |records, batches, objects| entry(&Header { records, batches, objects, ..header.clone() }.to_bytes().unwrap());
    let zeros = vec![0; 1 << 20];
    let (gib, mib) = (1_u64 << 30, 1_u64 << 20);
    let claim = |length: u64| length.to_le_bytes().to_vec();
    let heavy: Vec<Vec<u8>> = {
        let mut records: Vec<_> = (0..8).map(heavy).collect();
        records.sort_by_key(|bytes| *RecordDigest::of(bytes).as_bytes());
        records.iter().map(|record| entry(record)).collect()
    };
    let mut batches: Vec<Vec<u8>> = (0..70).map(|i: u8| [&b"WDsg"[..], &vec![i; 1 << 20]].concat()).collect();
    batches.sort_by_key(|bytes| *RecordDigest::of(bytes).as_bytes());
    let batches: Vec<u8> = batches.iter().flat_map(|bytes| entry(bytes)).collect();
    for (name, start, length, part) in [
        ("zeros", vec![], gib, "archive header"),
        ("header", claim(gib), gib, "a header of"),
        ("record", [header(1, 0, 0), claim(gib)].concat(), gib, "larger than the limit"),
        ("object", [header(0, 0, 1), claim(gib)].concat(), gib, "larger than the limit"),
        ("allowed", [header(0, 0, 1), claim(64 * mib - 1000)].concat(), gib, "its figure's record is missing"),
        ("empty", header(0, 0, 9_000_000), gib, "objects are not in order"),
        ("heavy", [vec![header(8, 0, 0)], heavy].concat().concat(), 0, "bytes of memory"),
        ("batches", [header(0, 70, 0), batches].concat(), 0, "numbers are more than"),
    ] {
        let path = folder.path().join(name);
        bomb(&path, &start, &zeros, length);
        let (memory, said) = measured(&path);
        assert!(said.contains(part), "{name}: {said}");
        assert!(memory < 256, "{name}: {memory} MiB");
    }
    // The reference may be as large as the archive.
    let allowed = [header(0, 0, 1), claim(64 * mib - 1000)].concat();
    bomb(&folder.path().join("r.wdpipe"), &[], &zeros, 64 * mib);
    let end = fs::read(folder.path().join("r.wdpipe")).unwrap();
    let head = [&AGAINST.to_le_bytes()[..], b"\x08r.wdpipe", &end[end.len() - 32..]].concat();
    bomb_after(&folder.path().join("both"), &head, &allowed, &zeros, gib);
    let (memory, said) = measured(&folder.path().join("both"));
    assert!(said.contains("its figure's record is missing"), "{said}");
    assert!(memory < 256, "{memory} MiB");
    bomb(&folder.path().join("r.wdpipe"), &[], &zeros, gib);
    let (memory, said) = measured(&folder.path().join("both"));
    assert!(said.contains("its numbers are more than"), "{said}");
    assert!(memory < 256, "{memory} MiB");
}

/// Returns a figure that depends on weights of 128 MiB, half of which is compressible.
fn large() -> (Closure, Vec<u8>) {
    let mut weights = noise(64 << 20, 1);
    weights.resize(128 << 20, 0);
    let records = [
        record("train", &[], &[("weights", weights.clone()), ("metrics", b"m".to_vec())]),
        record("figure", &[("m", b"m")], &[("svg", b"s".to_vec())]),
    ];
    (closure_of(&records), weights)
}

#[test]
fn large_objects_pass_through_little_memory() {
    let folder = tempfile::tempdir().unwrap();
    let (closure, weights) = large();
    let store = Store::open(&folder.path().join("out")).unwrap();
    store.put(&weights).unwrap();
    let path = folder.path().join("large");
    export(&store, &closure, &[], Scope::All, &mut fs::File::create(&path).unwrap()).unwrap();
    let (memory, said) = measured(&path);
    assert_eq!(said, format!("took {}", 128 << 20));
    assert!(memory < 64, "{memory} MiB");
    assert_eq!(fs::read(folder.path().join("again")).unwrap(), fs::read(&path).unwrap());
}
