//! Many records in a bucket.

use base::digest::ObjectDigest;
use base::record::{KeyParts, Output, Provenance, Record};
use base::value::{Map, Value};
use store::Store;
use store::remote::{self, Environment, Sending, Watch};

use crate::servers;

/// Finding the missing records of a figure of 5,000 records needs few requests, however many pushes came before.
#[test]
fn a_figure_of_five_thousand_records() {
    let Some(server) = servers::s3() else { return };
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let records: Vec<_> = (0..5000).map(small_record).collect();
    let mut bulk = store.bulk();
    let named: Vec<_> = records.iter().map(|record| (bulk.record(record).unwrap(), record)).collect();
    bulk.publish().unwrap();
    let around = servers::s3_variables(server.port).map(|(name, value)| (name.to_owned(), value));
    let around = Environment::new(around);
    let open = || remote::open(&"s3://cache/many".parse().unwrap(), &around, true).unwrap();
    // Eleven pushes of five records each, then all at once.
    for few in named[..55].chunks(5).chain([&named[..]]) {
        let sending = Sending { records: few, is_wanted: &|_| true, thorough: false };
        remote::send(open().as_ref(), &store, sending, &Quiet).unwrap();
    }
    let there = open();
    let catalogue = remote::catalogue(there.as_ref(), &Quiet).unwrap();
    let missing = named.iter().filter(|(digest, record)| !catalogue.has_record(&record.parts.key(), digest)).count();
    println!("5,000 records: {} requests to learn that {missing} are missing", there.requests());
    assert_eq!(missing, 0);
    assert!(there.requests() <= 20, "{}", there.requests());
}

fn small_record(number: i64) -> Record {
    let bytes = number.to_le_bytes().repeat(50);
    Record {
        parts: KeyParts {
            kind: "test".into(),
            version: 1,
            parameters: [("number".into(), Value::Int(number))].into(),
            inputs: [].into(),
            policy: Map::new(),
        },
        outputs: vec![Output {
            name: "metrics".into(),
            object: ObjectDigest::of(&bytes),
            bytes: bytes.len() as u64,
            inline: Some(bytes),
        }],
        tensors: vec![],
        provenance: Provenance::default(),
    }
}

struct Quiet;

impl Watch for Quiet {
    fn is_cancelled(&self) -> bool {
        false
    }

    fn moved(&self, _: usize, _: u64) {}
}
