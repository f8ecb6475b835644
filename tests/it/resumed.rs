//! An interrupted transfer of a large object continues where it stopped: received bytes are not sent again.

use std::sync::atomic::{AtomicUsize, Ordering};

use base::digest::ObjectDigest;
use base::record::{KeyParts, Output, Provenance, Record};
use base::value::Map;
use store::Store;
use store::remote::{self, Environment, Fetch, Watch};

use crate::servers::{self, Fault};

const BYTES: usize = 6 << 20;

/// Number of bytes after which a connection ends, and number of connections that end this way.
const CUT: (usize, usize) = (2 << 20, 2);

/// A store with one large incompressible object, which one record names.
struct There {
    folder: tempfile::TempDir,
    store: Store,
    record: Record,
    object: ObjectDigest,
}

impl There {
    fn new() -> Self {
        let mut bytes = vec![0; BYTES];
        blake3::Hasher::new().finalize_xof().fill(&mut bytes);
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("cache")).unwrap();
        let object = store.put(&bytes).unwrap();
        let record = Record {
            parts: KeyParts {
                kind: "test".into(),
                version: 1,
                parameters: Map::new(),
                inputs: [].into(),
                policy: Map::new(),
            },
            outputs: vec![Output { name: "weights".into(), object, bytes: BYTES as u64, inline: None }],
            tensors: vec![],
            provenance: Provenance::default(),
        };
        store.publish(&record).unwrap();
        Self { folder, store, record, object }
    }

    fn send(&self, url: &str, around: &Environment) {
        let transport = remote::open(&url.parse().unwrap(), around, true).unwrap();
        let named = [(self.store.publish(&self.record).unwrap(), &self.record)];
        let all = remote::Sending { records: &named, is_wanted: &|_| true, thorough: false };
        remote::send(transport.as_ref(), &self.store, all, &Quiet).unwrap();
    }

    /// Fetches the object and checks that hardly more than its bytes came over the wire.
    fn comes(&self, url: &str, around: &Environment, carried: &AtomicUsize) {
        let size = std::fs::metadata(self.store.root().join(store::object_path(&self.object))).unwrap().len();
        let folder = tempfile::tempdir().unwrap();
        let here = Store::open(folder.path()).unwrap();
        let wanted = Fetch { objects: vec![(self.object, size)], ..Fetch::default() };
        // If a run gives up, the next run continues where it stopped.
        let fetched = (0..3).find_map(|_| {
            let transport = remote::open(&url.parse().unwrap(), around, false).ok()?;
            let fetched = remote::fetch(transport.as_ref(), &here, &wanted, &|_, _, _| Ok(()), &Quiet);
            fetched.inspect_err(|error| println!("{url}: {error}")).ok()
        });
        assert_eq!(fetched.unwrap().objects, 1);
        assert_eq!(here.get(&self.object).unwrap().len(), BYTES);
        let carried = carried.load(Ordering::Relaxed);
        println!("{url}: {carried} bytes for a file of {size}");
        assert!(carried as u64 >= size && (carried as u64) < size + size / 8, "{url}: {carried} bytes for {size}");
    }
}

struct Quiet;

impl Watch for Quiet {
    fn is_cancelled(&self) -> bool {
        false
    }

    fn moved(&self, _: usize, _: u64) {}
}

fn surroundings(variables: &[(&str, String)]) -> Environment {
    Environment::new(variables.iter().map(|(name, value)| ((*name).to_owned(), value.clone())))
}

/// Objects in a public bucket can be fetched without a signature, as from a web server that supports ranges.
#[test]
fn from_a_bucket_and_from_a_web_server() {
    let Some(server) = servers::s3() else { return };
    let there = There::new();
    there.send("s3://cache/large", &surroundings(&servers::s3_variables(server.port)));
    let (port, carried) = servers::counting_wire(server.port, Fault::Cut(CUT.0), CUT.1);
    there.comes("s3://cache/large", &surroundings(&servers::s3_variables(port)), &carried);
    servers::s3_open(server.port, &format!("large/{}", store::object_path(&there.object)));
    let (port, carried) = servers::counting_wire(server.port, Fault::Cut(CUT.0), CUT.1);
    there.comes(&format!("http://127.0.0.1:{port}/cache/large"), &surroundings(&[]), &carried);
}

#[test]
fn from_a_machine_behind_ssh() {
    let there = There::new();
    let Some((server, config)) = servers::ssh(&there.folder.path().join("ssh")) else { return };
    let (port, carried) = servers::counting_wire(server.port, Fault::Cut(CUT.0), CUT.1);
    // The client connects to the wire instead of the server.
    for path in [&config, &there.folder.path().join("ssh/known")] {
        let text = std::fs::read_to_string(path).unwrap();
        std::fs::write(path, text.replace(&server.port.to_string(), &port.to_string())).unwrap();
    }
    let around = surroundings(&[("WDPIPE_SSH", format!("ssh -F {}", config.display()))]);
    there.comes(&format!("ssh://there{}", there.store.root().display()), &around, &carried);
}
