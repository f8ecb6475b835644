//! Stores that others can write to, as far as one account can test this. For several accounts see
//! `tests/it/accounts.rs`.

use std::os::unix::fs::{MetadataExt, PermissionsExt};

use super::super::Options;
use super::*;

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn indexes(folder: &Path) -> Vec<PathBuf> {
    let names = files::list(folder).unwrap().into_iter().filter(|name| name.ends_with(".sqlite"));
    names.map(|name| folder.join(name)).collect()
}

#[test]
fn the_index_of_a_store_that_others_write_to_lies_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    let (root, private) = (folder.path().join("store"), folder.path().join("home/.cache/wdpipe"));
    let options = Options { private: vec![private.clone()], ..Options::default() };
    Store::open_with(&root, &options).unwrap().put(b"x").unwrap();
    assert!(indexes(&root).len() == 1 && !private.exists(), "a private index is next to the files");
    fs::remove_file(root.join("index.sqlite")).unwrap();

    chmod(&root, 0o3777);
    let store = Store::open_with(&root, &options).unwrap();
    store.publish(&record("train", 1, 1, b"", &[b"x"])).unwrap();
    assert_eq!(store.last_named("fig/train@1").unwrap().unwrap().provenance.finished, 1);
    let index = indexes(&private);
    assert!(indexes(&root).is_empty() && index.len() == 1, "{index:?}");
    let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o7777;
    assert_eq!((mode(&private), mode(&index[0])), (0o700, 0o600));
    // Another store has its own index; another path to the same store has the same index.
    std::os::unix::fs::symlink(&root, folder.path().join("link")).unwrap();
    Store::open_with(&folder.path().join("link"), &options).unwrap();
    assert_eq!(indexes(&private).len(), 1);
    let other = folder.path().join("other");
    Store::open(&other).unwrap();
    chmod(&other, 0o3777);
    Store::open_with(&other, &options).unwrap();
    assert_eq!(indexes(&private).len(), 2);
    // Without a private folder, or with one that others can write to, the index is in memory.
    chmod(&private, 0o777);
    for options in [Options::default(), options] {
        let store = Store::open_with(&root, &options).unwrap();
        assert_eq!(store.history("train", "cpu").unwrap().len(), 1);
    }
    assert!(indexes(&root).is_empty() && indexes(&private).len() == 2);
}

#[test]
fn an_index_never_lies_on_a_network_file_system() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let store = Store::open(&at("store")).unwrap();
    let mut sharing = store.sharing.clone();
    sharing.system.is_network = true;
    let options = Options { private: ["home/net", "open", "link", "local"].map(at).into(), ..Options::default() };
    fs::create_dir(at("open")).unwrap();
    chmod(&at("open"), 0o777);
    std::os::unix::fs::symlink(at("local"), at("link")).unwrap();
    let index = |sharing: &super::super::Sharing, networks: &[&str]| {
        let system = |path: &Path| {
            let is_network = networks.iter().any(|name| path.ends_with(name));
            Ok(files::System { is_network, ..files::System::UNKNOWN })
        };
        sharing.index(&store.layout, &options, &system)
    };
    // A local home is best. The next two folders are not private.
    assert_eq!(index(&sharing, &[]).unwrap().parent(), Some(&*at("home/net")));
    assert_eq!(index(&sharing, &["net"]).unwrap().parent(), Some(&*at("local")));
    assert_eq!(fs::metadata(at("local")).unwrap().mode() & 0o7777, 0o700);
    assert_eq!(index(&sharing, &["net", "local"]), None);
    sharing.system.is_network = false;
    assert_eq!(index(&sharing, &["net"]), Some(store.layout.index()));
}

#[test]
fn what_lies_on_a_network_is_looked_for_in_its_folder_too() {
    let (_folder, mut store) = store();
    store.sharing.system.is_network = true;
    let one = record("train", 1, 1, b"", &[b"x"]);
    assert_eq!(store.state(&ObjectDigest::of(b"x")).unwrap(), ObjectState::Missing);
    assert_eq!(store.record(&one.parts.key()).unwrap(), None);
    assert!(!store.is_seen_anew(&object_file(&store, b"x")));
    store.put(b"x").unwrap();
    store.publish(&one).unwrap();
    assert!(store.is_seen_anew(&object_file(&store, b"x")));
    assert_eq!(store.state(&ObjectDigest::of(b"x")).unwrap(), ObjectState::Present);
    assert_eq!(store.record(&one.parts.key()).unwrap(), Some(one));
    let findings = store.sharing().unwrap();
    assert!(findings.len() == 1 && !findings[0].is_fault && findings[0].mend.contains("cache stress-test"));
}

#[test]
fn a_store_of_ones_own_has_nothing_to_tell_and_an_open_one_has() {
    let (folder, store) = store();
    assert!(store.sharing().unwrap().is_empty() && store.sharing_thoroughly().unwrap().is_empty());
    chmod(folder.path(), 0o777);
    let store = Store::open(folder.path()).unwrap();
    let told: Vec<_> = store.sharing().unwrap().into_iter().map(|finding| finding.what).collect();
    assert!(told[0].contains("anyone on this machine can write there"), "{told:?}");
    assert!(told.iter().any(|what| what.contains("no sticky bit")), "{told:?}");
}
