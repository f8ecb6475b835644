//! How long storing, restoring, publishing and pushing take, compared with the system's own programs for the same bytes
//! on the same disk in the same run:
//!
//!     cargo bench --no-default-features --bench sharing [-- DIR]
//!
//! DIR (default: the system's folder for temporary files) selects the disk. The benchmark needs 5 GiB there.

#![allow(clippy::disallowed_methods, reason = "tests and benchmarks make files of every kind")]
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark prints, and ends where it fails")]

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use base::digest::ObjectDigest;
use base::record::{KeyParts, Output, Provenance, Record};
use base::value::{Map, Value};
use files::Named;
use store::Store;
use store::remote::{self, Environment, RemoteError, Watch};

/// Number of checkpoints of 64 MiB that cannot be compressed, 1 GiB in total.
const CHECKPOINTS: u64 = 16;
const BYTES: usize = 64 << 20;
const RECORDS: i64 = 10_000;
const ROUNDS: usize = 3;

fn main() {
    let disk = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let disk = disk.map_or_else(std::env::temp_dir, Into::into);
    let folder = tempfile::tempdir_in(&disk).unwrap();
    println!("on {}", disk.display());
    large(folder.path());
    small(folder.path());
}

fn timed(action: impl FnOnce()) -> Duration {
    let started = Instant::now();
    action();
    started.elapsed()
}

/// Returns the median time of some rounds. Each round starts after pending disk writes have finished.
fn median(mut action: impl FnMut(usize)) -> f64 {
    let mut times: Vec<_> = (0..ROUNDS)
        .map(|round| {
            run("sync", &[]);
            timed(|| action(round)).as_secs_f64()
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[ROUNDS / 2]
}

fn run(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
}

fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut bytes = vec![0; length];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}

fn large(folder: &Path) {
    let path = |name: &str| folder.join(name).display().to_string();
    let whole = path("whole");
    let checkpoints: Vec<_> = (0..CHECKPOINTS).map(|seed| noise(BYTES, seed)).collect();
    let mut file = File::create(&whole).unwrap();
    checkpoints.iter().for_each(|bytes| file.write_all(bytes).unwrap());
    drop(file);

    let dd = median(|round| {
        let (from, to) = (format!("if={whole}"), format!("of={}", path(&format!("dd{round}"))));
        run("dd", &[&from, &to, "bs=1M", "conv=fsync"]);
    });
    let storing = median(|round| {
        let store = Store::open(&folder.join(format!("store{round}"))).unwrap();
        for (number, bytes) in checkpoints.iter().enumerate() {
            let object = store.put(bytes).unwrap();
            store.publish(&record(number as i64, Some((object, bytes.len())))).unwrap();
        }
    });
    println!("storing 1 GiB durably: {storing:.2} s; dd conv=fsync: {dd:.2} s; ratio {:.2}", storing / dd);

    let cp = median(|round| run("cp", &["--reflink=auto", &whole, &path(&format!("cp{round}"))]));
    let (hasher, hashing) = match Command::new("b3sum").arg("--version").output() {
        Ok(_) => ("b3sum", median(|_| run("b3sum", &["--num-threads", "1", &whole]))),
        Err(_) => (
            "BLAKE3, one thread",
            median(|_| {
                let (mut hasher, mut buffer) = (blake3::Hasher::new(), vec![0; 1 << 20]);
                let mut file = File::open(&whole).unwrap();
                while let read @ 1.. = file.read(&mut buffer).unwrap() {
                    hasher.update(&buffer[..read]);
                }
                std::hint::black_box(hasher.finalize());
            }),
        ),
    };
    let store = Store::open(&folder.join("store0")).unwrap();
    let names: Vec<_> = checkpoints.iter().map(|bytes| ObjectDigest::of(bytes)).collect();
    let restoring = median(|round| {
        for (number, name) in names.iter().enumerate() {
            let place = folder.join(format!("restored{round}-{number}"));
            store.restore(name, Named::create(&place).unwrap()).unwrap();
        }
    });
    println!(
        "restoring 1 GiB: {restoring:.2} s; {hasher}: {hashing:.2} s + cp: {cp:.2} s; ratio {:.2}",
        restoring / (hashing + cp)
    );
}

/// Returns a record of a stage with one object, or with a small inline output.
fn record(number: i64, object: Option<(ObjectDigest, usize)>) -> Record {
    let small = noise(400, number.unsigned_abs());
    let output = match object {
        Some((object, bytes)) => Output { name: "weights".into(), object, bytes: bytes as u64, inline: None },
        None => Output { name: "metrics".into(), object: ObjectDigest::of(&small), bytes: 400, inline: Some(small) },
    };
    Record {
        parts: KeyParts {
            kind: "bench".into(),
            version: 1,
            parameters: [("number".into(), Value::Int(number))].into(),
            inputs: [].into(),
            policy: Map::new(),
        },
        outputs: vec![output],
        tensors: vec![],
        provenance: Provenance { stage: format!("bench[{number}]"), ..Provenance::default() },
    }
}

struct Quiet;

impl Watch for Quiet {
    fn is_cancelled(&self) -> bool {
        false
    }

    fn moved(&self, _: usize, _: u64) {}
}

fn small(folder: &Path) {
    let records: Vec<_> = (0..RECORDS).map(|number| record(number, None)).collect();
    let publishing = median(|round| {
        let store = Store::open(&folder.join(format!("small{round}"))).unwrap();
        let mut bulk = store.bulk();
        for record in &records {
            bulk.record(record).unwrap();
        }
        assert_eq!(bulk.publish().unwrap().records, records.len());
    });
    println!("publishing 10,000 records with small outputs durably: {publishing:.2} s");
    let store = Store::open(&folder.join("small0")).unwrap();
    let named: Vec<_> = records.iter().map(|record| (record.to_bytes().unwrap().0, record)).collect();
    let pushing = median(|round| {
        let location = folder.join(format!("remote{round}")).display().to_string().parse().unwrap();
        let there = remote::open(&location, &Environment::default(), true).unwrap();
        let all = remote::Sending { records: &named, is_wanted: &|_| true, thorough: false };
        let sent: Result<_, RemoteError> = remote::send(there.as_ref(), &store, all, &Quiet);
        assert_eq!(sent.unwrap().records, records.len());
    });
    println!("pushing them to a folder: {pushing:.2} s");
}
