//! Tests of archives as a whole.
#![allow(clippy::disallowed_methods, reason = "they look at files from outside")]

mod hostile;
mod memory;
mod reference;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::Path;

use tempfile::TempDir;

use super::*;
use crate::{ObjectState, Refusal, Store};
use base::closure::Closure;
use base::record::{KeyParts, Output, Provenance, Record};
use base::value::{Map, Value};

/// Returns bytes that do not compress.
fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut bytes = vec![0; length];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}

/// Contents of outputs by name. Contents of less than 100 bytes are inline.
type Outputs<'a> = &'a [(&'a str, Vec<u8>)];

fn record(kind: &str, reads: &[(&str, &[u8])], yields: Outputs<'_>) -> Record {
    let inputs = reads.iter().map(|(role, bytes)| ((*role).to_owned(), ObjectDigest::of(bytes))).collect();
    let output = |(name, bytes): &(&str, Vec<u8>)| Output {
        name: (*name).to_owned(),
        object: ObjectDigest::of(bytes),
        bytes: bytes.len() as u64,
        inline: (bytes.len() < 100).then(|| bytes.clone()),
    };
    let parameters = [("name".to_owned(), Value::Text(format!("{kind}9")))].into();
    Record {
        parts: KeyParts { kind: kind.into(), version: 1, parameters, inputs, policy: Map::new() },
        outputs: yields.iter().map(output).collect(),
        tensors: vec![],
        provenance: Provenance { stage: format!("f/{kind}"), finished: 7, ..Provenance::default() },
    }
}

/// Returns a figure (`figure9`) with its closure, from imported images to the drawing, and all bytes.
fn sample() -> (Closure, Vec<Vec<u8>>) {
    let (images, test, some) = (noise(3000, 1), noise(300, 2), noise(1000, 3));
    let (weights, table) = (noise(200_000, 4), b"a table of many numbers ".repeat(300));
    let (metrics, plotted) = (b"short".to_vec(), b"plotted numbers".repeat(20));
    let records = [
        record("import", &[], &[("train", images.clone()), ("test", test.clone())]),
        record("dataset", &[("train", &images), ("test", &test)], &[("train", some.clone()), ("test", test.clone())]),
        record(
            "train",
            &[("train", &some), ("test", &test)],
            &[("weights", weights.clone()), ("metrics", metrics.clone()), ("predictions", table.clone())],
        ),
        record(
            "figure",
            &[("a", &metrics), ("b", &table)],
            &[("numbers", plotted.clone()), ("landscape", b"n".to_vec())],
        ),
    ];
    (closure_of(&records), vec![images, test, some, weights, table, plotted])
}

/// Returns the closure of the last of some records.
fn closure_of(records: &[Record]) -> Closure {
    let named: BTreeMap<_, _> = records.iter().map(|record| (name(record), record.clone())).collect();
    Closure::of(name(records.last().unwrap()), &named)
}

fn name(record: &Record) -> RecordDigest {
    record.to_bytes().unwrap().0
}

fn empty() -> (TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    (folder, store)
}

/// Returns a store with all of [`sample`].
fn full() -> (TempDir, Store, Closure) {
    let (folder, store) = empty();
    let (closure, objects) = sample();
    objects.iter().for_each(|bytes| _ = store.put(bytes).unwrap());
    (folder, store, closure)
}

fn archive(store: &Store, closure: &Closure, batches: &[Vec<u8>], scope: Scope) -> Vec<u8> {
    let mut bytes = Vec::new();
    let exported = export(store, closure, batches, scope, &mut bytes).unwrap();
    assert_eq!(exported.bytes, bytes.len() as u64);
    bytes
}

fn take(store: &Store, bytes: &[u8]) -> Result<Imported, ArchiveError> {
    take_if(store, bytes, &|_, _, _| Ok(()), false)
}

fn take_if(store: &Store, bytes: &[u8], admitted: &Admitted<'_>, dry_run: bool) -> Result<Imported, ArchiveError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.wdpipe");
    fs::write(&path, bytes).unwrap();
    import(&path, store, &Admission { admitted, keep: &|_| Ok(true) }, dry_run)
}

/// Returns the number of files in a part of a store.
fn files(store: &Store, part: &str) -> usize {
    let all = walkdir::WalkDir::new(store.root().join(part)).into_iter();
    all.filter(|entry| entry.as_ref().unwrap().file_type().is_file()).count()
}

/// Returns bytes that archives accept as a batch of signatures.
fn batch(text: &str) -> Vec<u8> {
    format!("WDsg{text}").into_bytes()
}

#[test]
fn the_same_contents_give_the_same_bytes() {
    let (_folder, store, closure) = full();
    let (_other_folder, other) = empty();
    // In another order, and through files that differ: zstd knows the length in one case but not in the other.
    let (_, objects) = sample();
    for bytes in objects.iter().rev() {
        other.put_from(&ObjectDigest::of(bytes), bytes.len() as u64, &mut &bytes[..]).unwrap();
    }
    let mut turned = closure.clone();
    turned.members[..3].reverse();
    let (one, two) = (vec![batch("1"), batch("2")], vec![batch("2"), batch("1"), batch("2")]);
    for scope in [Scope::Numbers, Scope::All] {
        let first = archive(&store, &closure, &one, scope);
        assert_eq!(archive(&store, &closure, &one, scope), first);
        assert_eq!(archive(&other, &closure, &two, scope), first);
        assert_ne!(archive(&store, &closure, &[], scope), first);
    }
}

#[test]
fn numbers_come_back_as_they_were_and_are_small() {
    let (_folder, store, closure) = full();
    let bytes = archive(&store, &closure, &[batch("x")], Scope::Numbers);
    assert!(bytes.len() < 2000, "{}", bytes.len());
    let numbers = Numbers::from_bytes(&bytes).unwrap();
    let Header { figure, root, record, key, records, batches, objects, bulk, scope } = &numbers.header;
    assert_eq!((figure.as_str(), *root, *scope), ("figure9", closure.root(), Scope::Numbers));
    assert_eq!((*record, *key), (closure.figure().unwrap().digest, closure.figure().unwrap().key));
    assert_eq!((*records, *batches, *objects, *bulk), (4, 1, 2, 0));
    assert_eq!(numbers.closure(), closure);
    assert_eq!(numbers.batches, [batch("x")]);
    let drawn = &closure.figure().unwrap().record.outputs[0];
    assert_eq!(numbers.objects[&drawn.object], store.get(&drawn.object).unwrap());

    let refused = Numbers::from_bytes(&archive(&store, &closure, &[], Scope::All)).unwrap_err();
    assert!(refused.to_string().contains("holds more than numbers"), "{refused}");
}

#[test]
fn what_goes_out_comes_in_once() {
    let (_folder, store, closure) = full();
    let (_other_folder, other) = empty();
    let numbers = archive(&store, &closure, &[batch("x")], Scope::Numbers);
    let all = archive(&store, &closure, &[], Scope::All);

    let would = take_if(&other, &all, &|_, _, _| Ok(()), true).unwrap();
    assert_eq!((would.new_records, would.new_objects), (4, 6));
    assert_eq!((files(&other, "objects"), files(&other, "records")), (0, 0));

    let done = take(&other, &numbers).unwrap();
    assert_eq!((done.new_records, done.new_objects, done.new_batches), (4, 2, 1));
    let done = take(&other, &all).unwrap();
    assert_eq!((done.new_records, done.new_objects, done.new_bytes), (0, 4, 3000 + 300 + 1000 + 200_000));
    let again = take(&other, &all).unwrap();
    assert_eq!((again.new_records, again.new_objects, again.new_bytes), (0, 0, 0));
    assert_eq!((files(&other, "objects"), files(&other, "records"), files(&other, "tmp")), (6, 4, 0));
    for member in &closure.members {
        assert_eq!(other.records(&member.key).unwrap(), [(member.digest, member.record.clone())]);
        for output in &member.record.outputs {
            assert_eq!(other.output(output).unwrap(), store.output(output).unwrap());
        }
    }
    assert_eq!(archive(&other, &closure, &[], Scope::All), all);
}

#[test]
fn what_is_damaged_in_the_store_is_replaced() {
    use std::os::unix::fs::PermissionsExt;
    let (_folder, store, closure) = full();
    let all = archive(&store, &closure, &[], Scope::All);
    let objects = walkdir::WalkDir::new(store.root().join("objects")).into_iter().map(Result::unwrap);
    for file in objects.filter(|entry| entry.file_type().is_file()) {
        let mut bytes = fs::read(file.path()).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::set_permissions(file.path(), fs::Permissions::from_mode(0o644)).unwrap();
        fs::write(file.path(), bytes).unwrap();
    }
    let done = take(&store, &all).unwrap();
    assert_eq!((done.new_objects, done.new_records), (6, 4));
    assert!(store.check(&mut |_| {}).unwrap().is_sound());
    assert_eq!((files(&store, "quarantine"), archive(&store, &closure, &[], Scope::All)), (6, all));
}

#[test]
fn dropped_bulk_is_left_out_and_a_missing_table_is_said() {
    let (_folder, store) = empty();
    let (closure, objects) = sample();
    objects[4..].iter().for_each(|bytes| _ = store.put(bytes).unwrap());
    let mut bytes = Vec::new();
    let exported = export(&store, &closure, &[], Scope::All, &mut bytes).unwrap();
    assert_eq!((exported.header.bulk, exported.dropped), (0, 4));
    assert_eq!(take(&empty().1, &bytes).unwrap().new_objects, 2);

    let (_folder, store) = empty();
    store.put(&objects[5]).unwrap();
    let error = export(&store, &closure, &[], Scope::Numbers, &mut Vec::new()).unwrap_err();
    let said = "output `predictions` of `f/train` is not in the store";
    assert!(matches!(&error, ArchiveError::Missing { .. }) && error.to_string().starts_with(said), "{error}");
}

#[test]
fn records_must_be_admitted_and_another_import_is_not() {
    let (_folder, store, closure) = full();
    let bytes = archive(&store, &closure, &[batch("x")], Scope::All);
    let (_other_folder, other) = empty();
    let admitted = |record: &Record, digest: RecordDigest, batches: &[Vec<u8>]| {
        assert_eq!((name(record), batches), (digest, &[batch("x")][..]));
        if record.parts.kind == "train" {
            Err(Refusal { reason: "nobody signed it".into(), hint: String::new() })
        } else {
            Ok(())
        }
    };
    let error = take_if(&other, &bytes, &admitted, false).unwrap_err();
    assert_eq!(error.to_string(), "the record of `f/train` is not admitted: nobody signed it");
    assert_eq!((files(&other, "objects"), files(&other, "records")), (0, 0));

    // The store has other images under the same key.
    other.publish(&record("import", &[], &[("train", b"others".to_vec()), ("test", b"x".to_vec())])).unwrap();
    assert!(matches!(take(&other, &bytes), Err(ArchiveError::OtherImport(stage)) if stage == "f/import"));
    assert_eq!((files(&other, "objects"), files(&other, "records")), (0, 1));

    // If the store has newer ones, the archive's import changes nothing.
    other.publish_newest(record("import", &[], &[("train", b"newest".to_vec()), ("test", b"x".to_vec())])).unwrap();
    assert_eq!(take(&other, &bytes).unwrap().differing, ["f/import"]);
    assert_eq!(other.record(&closure.members[0].key).unwrap().unwrap().outputs[0].bytes, 6);

    // A different outcome of a computation is evidence.
    let (_third_folder, third) = empty();
    let mut differing = closure.members[2].record.clone();
    differing.outputs[1] = record("x", &[], &[("metrics", b"else".to_vec())]).outputs[0].clone();
    third.publish(&differing).unwrap();
    assert_eq!(take(&third, &bytes).unwrap().differing, ["f/train"]);
    assert_eq!(third.records(&closure.members[2].key).unwrap().len(), 2);
    assert_eq!(third.state(&closure.members[2].record.outputs[0].object).unwrap(), ObjectState::Present);
}
