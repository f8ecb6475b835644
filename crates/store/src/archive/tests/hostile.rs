//! Damaged and forged archives.

use super::*;

/// The contents of an archive, which can be changed and written again with a valid checksum.
#[derive(Clone)]
struct Forged {
    header: Header,
    entries: Vec<Vec<u8>>,
}

impl Forged {
    fn of(bytes: &[u8]) -> Self {
        let packed = &bytes[6..bytes.len() - TRAILER as usize];
        let unpacked = zstd::decode_all(packed).unwrap();
        let (mut entries, mut rest) = (Vec::new(), &unpacked[..]);
        while let Some((length, after)) = rest.split_first_chunk::<8>() {
            let (entry, after) = after.split_at(u64::from_le_bytes(*length) as usize);
            entries.push(entry.to_vec());
            rest = after;
        }
        Self { header: Header::from_bytes(&entries.remove(0)).unwrap(), entries }
    }

    /// Returns the unpacked bytes.
    fn unpacked(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for entry in [&self.header.to_bytes().unwrap()].into_iter().chain(&self.entries) {
            bytes.extend((entry.len() as u64).to_le_bytes());
            bytes.extend(entry);
        }
        bytes
    }

    fn bytes(&self) -> Vec<u8> {
        packed(&self.unpacked())
    }

    /// Replaces the records, in order.
    fn set_records(&mut self, records: &[Record]) {
        let mut encoded: Vec<_> = records.iter().map(|record| record.to_bytes().unwrap()).collect();
        encoded.sort_unstable();
        let old = std::mem::replace(&mut self.header.records, records.len() as u32) as usize;
        self.entries.splice(..old, encoded.into_iter().map(|(_, bytes)| bytes));
    }

    /// Makes the header match a closure.
    fn set_header(&mut self, closure: &Closure) {
        let figure = closure.figure().unwrap();
        (self.header.key, self.header.record, self.header.root) = (figure.key, figure.digest, closure.root());
    }

    fn objects(&mut self) -> &mut [Vec<u8>] {
        &mut self.entries[self.header.records as usize..]
    }
}

/// Returns an archive of the given unpacked bytes.
pub(super) fn packed(unpacked: &[u8]) -> Vec<u8> {
    let frame = zstd::encode_all(unpacked, 1).unwrap();
    sealed([&MAGIC[..], &ALONE.to_le_bytes(), &frame].concat())
}

/// Appends a valid checksum.
pub(super) fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    let hash = *hasher().update(&bytes).finalize().as_bytes();
    bytes.extend(hash);
    bytes
}

fn sample_forged() -> (Closure, Forged, Vec<u8>) {
    let (_folder, store, closure) = full();
    let bytes = archive(&store, &closure, &[], Scope::Numbers);
    (closure, Forged::of(&bytes), bytes)
}

#[test]
fn every_flip_cut_and_addition_is_refused_with_or_without_a_right_checksum() {
    let (_, forged, bytes) = sample_forged();
    let good = Numbers::from_bytes(&bytes).unwrap();
    let root = good.header.root;
    assert_eq!(Numbers::from_bytes(&forged.bytes()).as_ref().ok(), Some(&good));
    let body = bytes.len() - TRAILER as usize;
    // A forger who fixes the checksum can change who ran a stage other than the figure, and when: signatures reveal
    // this. Changes of keys, inputs or outputs change the root.
    let harmless = |bad: &[u8]| {
        let same =
            |n: Numbers| (n.closure().root(), n.header, n.objects) == (root, good.header.clone(), good.objects.clone());
        Numbers::from_bytes(bad).map_or(true, same)
    };
    for at in 0..bytes.len() {
        for bit in [1, 0x80] {
            let mut bad = bytes.clone();
            bad[at] ^= bit;
            assert!(Numbers::from_bytes(&bad).is_err(), "{at}");
            bad.truncate(body);
            assert!(harmless(&sealed(bad)), "{at}");
        }
        assert!(Numbers::from_bytes(&bytes[..at]).is_err(), "{at}");
        assert!(at >= body || Numbers::from_bytes(&sealed(bytes[..at].to_vec())).is_err(), "{at}");
    }
    for more in [&b"x"[..], &[0; 32], &bytes] {
        assert!(matches!(Numbers::from_bytes(&[&bytes[..], more].concat()), Err(ArchiveError::Checksum)));
        assert!(Numbers::from_bytes(&sealed([&bytes[..body], more].concat())).is_err());
    }
    // Altered or truncated unpacked bytes are harmless or refused too.
    let unpacked = forged.unpacked();
    for at in 0..unpacked.len() {
        let mut bad = unpacked.clone();
        bad[at] ^= 1;
        assert!(harmless(&packed(&bad)), "{at} of {}", unpacked.len());
        assert!(at % 16 > 0 || Numbers::from_bytes(&packed(&unpacked[..at])).is_err(), "{at}");
    }
    assert!(Numbers::from_bytes(&packed(&[&unpacked[..], b"x"].concat())).is_err());
}

#[test]
fn the_header_is_no_other_than_the_records_say() {
    let (closure, forged, _) = sample_forged();
    let said = |change: &dyn Fn(&mut Header)| {
        let mut forged = forged.clone();
        change(&mut forged.header);
        Numbers::from_bytes(&forged.bytes()).unwrap_err().to_string()
    };
    let other = closure.members[0].digest;
    for (change, part) in [
        (&(|h: &mut Header| h.root = ClosureRoot::from_bytes([0; 32])) as &dyn Fn(&mut Header), "root of its records"),
        (&|h| h.key = StageKey::from_bytes([0; 32]), "does not match its header"),
        (&|h| h.figure = "figure8".into(), "not that of the figure named in its header"),
        (&|h| h.figure = "\u{1b}[2J".into(), "not that of the figure named in its header"),
        (&|h| h.record = RecordDigest::from_bytes([0; 32]), "record is missing"),
        (&|h| h.record = other, "does not match its header"),
        (&|h| h.scope = Scope::All, "holds more than numbers"),
        (&|h| h.bulk = 1, "holds more than numbers"),
        (&|h| h.records += 1, "invalid archive"),
        (&|h| h.records -= 1, "invalid archive"),
        (&|h| h.objects += 1, "cannot be unpacked"),
        (&|h| h.objects -= 1, "is missing"),
        (&|h| h.batches = 1, "is not a batch of signatures"),
        (&|h| h.records = u32::MAX, "entries"),
        (&|h| h.figure = "x".repeat(5000), "header of"),
    ] {
        let said = said(change);
        assert!(said.contains(part) || said.contains("not a wdpipe record"), "{part}: {said}");
    }
}

#[test]
fn nothing_is_missing_in_it_too_much_or_twice() {
    let (closure, forged, _) = sample_forged();
    let records: Vec<Record> = closure.members.iter().map(|member| member.record.clone()).collect();
    let (_folder, store) = empty();
    let refused = |change: &dyn Fn(&mut Forged), part: &str| {
        let mut forged = forged.clone();
        change(&mut forged);
        let said = Numbers::from_bytes(&forged.bytes()).unwrap_err().to_string();
        assert!(said.contains(part), "{part}: {said}");
        assert_eq!(take(&store, &forged.bytes()).unwrap_err().to_string(), said);
        assert_eq!((files(&store, "objects"), files(&store, "records"), files(&store, "tmp")), (0, 0, 0));
    };
    refused(&|f| f.entries.swap(0, 1), "records are not in order");
    refused(&|f| f.objects().swap(0, 1), "objects are not in order");
    refused(&|f| f.entries[1] = f.entries[0].clone(), "records are not in order, or one is repeated");
    refused(
        &|f| {
            let twice = f.objects()[1].clone();
            f.entries.push(twice);
            f.header.objects += 1;
        },
        "objects are not in order, or one is repeated",
    );
    refused(&|f| f.objects()[0][0] ^= 1, "object");
    refused(&|f| f.set_records(&records[1..]), "no stage in it yields an input of \"f/dataset\": \"test\"");
    refused(
        &|f| f.set_records(&[&records[..], &[record("else", &[], &[])]].concat()),
        "1 of its records do not belong",
    );
    // A record that yields a needed object belongs to the figure, and so changes the root.
    let also = record("else", &[], &[("metrics", b"short".to_vec())]);
    refused(&|f| f.set_records(&[&[also.clone()][..], &records].concat()), "root of its records");
    refused(
        &|f| {
            f.entries.push(b"more".to_vec());
            f.header.objects += 1;
            let start = f.header.records as usize;
            f.entries[start..].sort_by_key(|bytes| *ObjectDigest::of(bytes).as_bytes());
        },
        "does not belong to the figure",
    );
    let two_batches = |f: &mut Forged, batches: [Vec<u8>; 2]| {
        let at = f.header.records as usize;
        f.entries.splice(at..at, batches);
        f.header.batches = 2;
    };
    refused(&|f| two_batches(f, [batch("1"), batch("1")]), "batches are not in order, or one is repeated");
    // A record with a wrong length of an object, and a root that matches it.
    let mut lying = records.clone();
    lying[3].outputs[0].bytes += 1;
    refused(
        &|f| {
            f.set_records(&lying);
            f.set_header(&closure_of(&lying));
        },
        "does not match its record",
    );
    let mut two_lengths = records.clone();
    let mut again = two_lengths[3].outputs[0].clone();
    again.bytes += 1;
    two_lengths[2].outputs.push(again);
    refused(
        &|f| {
            f.set_records(&two_lengths);
            f.set_header(&closure_of(&two_lengths));
        },
        "two lengths",
    );
    // The same record in another encoding: a map whose names are not in order decodes to the same value.
    refused(
        &|f| {
            let mut odd = records[0].clone();
            odd.parts.parameters.insert("nbme".into(), Value::Bool(true));
            let bytes = odd.to_bytes().unwrap().1;
            let at = bytes.windows(4).position(|window| window == b"name").unwrap();
            let other = bytes.windows(4).position(|window| window == b"nbme").unwrap();
            let mut bytes = bytes;
            (bytes[at + 1], bytes[other + 1]) = (b'b', b'a');
            f.entries[0] = bytes;
            f.entries[..4].sort_by_key(|bytes| *RecordDigest::of(bytes).as_bytes());
        },
        "is not encoded as this program encodes records",
    );
}

#[test]
fn sizes_are_not_believed() {
    let (_, forged, _) = sample_forged();
    let header = forged.header.to_bytes().unwrap();
    let start = [&(header.len() as u64).to_le_bytes()[..], &header].concat();
    for (length, part) in [
        (u64::MAX, "larger than the limit"),
        (1 << 40, "larger than the limit"),
        (base::record::RECORD_LIMIT + 1, "larger than the limit"),
        (base::record::RECORD_LIMIT, "it ends within a record"),
        (0, "not a wdpipe record"),
    ] {
        let said = Numbers::from_bytes(&packed(&[&start[..], &length.to_le_bytes()].concat())).unwrap_err();
        assert!(said.to_string().contains(part), "{length}: {said}");
    }
    let said = Numbers::from_bytes(&packed(&u64::MAX.to_le_bytes())).unwrap_err().to_string();
    assert!(said.contains("a header of"), "{said}");
    for (bytes, part) in [
        (&b""[..], "not a wdpipe archive"),
        (b"WDar", "checksum"),
        (b"WDar\x03\x00", "format version 3"),
        (b"WDar\x01\x00", "checksum"),
        (&sealed(b"WDar\x01\x00".to_vec()), "cannot be unpacked"),
        (&sealed(b"WDar\x01\x00rubbish".to_vec()), "cannot be unpacked"),
        (b"%PDF-1.7", "not a wdpipe archive"),
    ] {
        let said = Numbers::from_bytes(bytes).unwrap_err().to_string();
        assert!(said.contains(part), "{part}: {said}");
    }
}

#[test]
fn bulk_is_held_to_what_the_records_name() {
    let (_folder, store, closure) = full();
    let forged = Forged::of(&archive(&store, &closure, &[], Scope::All));
    let (_other_folder, other) = empty();
    assert_eq!(forged.header.bulk, 4);
    for (change, part) in [
        (&(|f: &mut Forged| f.entries.swap(6, 7)) as &dyn Fn(&mut Forged), "bulk objects are not in order"),
        (&|f| f.entries[8] = f.entries[7].clone(), "bulk objects are not in order, or one is repeated"),
        (&|f| f.entries[6][0] ^= 1, "does not belong to the figure"),
        (&|f| f.entries[6].truncate(5), "does not belong to the figure"),
        (&|f| f.header.bulk = 5, "cannot be unpacked"),
        (&|f| f.header.bulk = 3, "more entries than"),
    ] {
        let mut forged = forged.clone();
        change(&mut forged);
        let said = take(&other, &forged.bytes()).unwrap_err().to_string();
        assert!(said.contains(part), "{part}: {said}");
    }
    let mut endless = forged.unpacked();
    let bulk: usize = forged.entries[6..].iter().map(|entry| entry.len() + 8).sum();
    endless.truncate(endless.len() - bulk);
    endless.extend(((4_u64 << 30) + 1).to_le_bytes());
    assert!(take(&other, &packed(&endless)).unwrap_err().to_string().contains("larger than the limit"));
    assert_eq!((files(&other, "objects"), files(&other, "records"), files(&other, "tmp")), (0, 0, 0));
    take(&other, &forged.bytes()).unwrap();
}
