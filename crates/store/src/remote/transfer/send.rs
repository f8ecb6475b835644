//! Sending from a store to a remote.

use std::collections::{HashMap, HashSet};
use std::io::{self, Read};

use super::fetch::fetch_object;
use super::{Watch, catalogue, each, go_on, retried, small, wrong};
use crate::remote::{Outgoing, RemoteError, Transport};
use crate::{Catalogue, Listed, Part, Signed, Store, StoreError};
use base::digest::{ObjectDigest, RecordDigest};
use base::record::Record;

/// What to send, and how.
pub struct Sending<'a> {
    /// Records to send.
    pub records: &'a [(RecordDigest, &'a Record)],
    /// Selects the outputs to send, by name.
    pub is_wanted: &'a (dyn Fn(&str) -> bool + Sync),
    /// Whether existing files on the remote are read and hashed.
    pub thorough: bool,
}

/// Result of sending.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sent {
    /// Number of records that the remote did not have.
    pub records: usize,
    /// Number of objects that the remote did not have.
    pub objects: usize,
    /// Number of records, objects and signatures that the remote lists but did not have, or only damaged.
    pub mended: usize,
    /// Total number of bytes sent.
    pub bytes: u64,
    /// Number of objects that could not be sent because the local store does not have them.
    pub missing: usize,
}

/// Sends records with their objects and signatures: first objects, then files that refer to them, and finally the
/// part of the catalogue that lists them. Files that the remote has are not sent again, according to its catalogue
/// and a check of the files.
///
/// # Errors
/// If the remote fails or is read-only, or the store cannot be read. Files sent before remain. Listed ones are not
/// sent again next time; the others are, and nothing is lost.
pub fn send(
    transport: &dyn Transport,
    store: &Store,
    Sending { records, is_wanted, thorough }: Sending<'_>,
    watch: &dyn Watch,
) -> Result<Sent, RemoteError> {
    let there = Inventory::of(transport, store, thorough, watch)?;
    let (mut part, mut done) = (Part::default(), Sent::default());

    let outputs = records.iter().flat_map(|(_, record)| &record.outputs);
    let stored = outputs.filter(|output| output.inline.is_none() && is_wanted(&output.name));
    let mut seen = HashSet::new();
    let objects: Vec<_> = stored.map(|output| output.object).filter(|object| seen.insert(*object)).collect();
    let sent = each(transport, &objects, |object| send_object(&there, object, watch))?;
    for (object, sent) in objects.iter().zip(sent) {
        match sent {
            Some((size, new)) => {
                let listed = there.listed.object(object);
                done.objects += usize::from(new);
                done.mended += usize::from(new && listed.is_some());
                done.bytes += if new { size } else { 0 };
                if listed != Some(size) {
                    part.objects.push((*object, size));
                }
            }
            None => done.missing += 1,
        }
    }
    transport.settle()?;

    let sent = each(transport, records, |(digest, record)| send_record(&there, *digest, record, watch))?;
    for listed in sent.into_iter().flatten() {
        done.records += 1;
        done.bytes += listed.bytes;
        match there.listed.has_record(&listed.key, &listed.record) {
            true => done.mended += 1,
            false => part.records.push(listed),
        }
    }
    let digests: HashSet<RecordDigest> = records.iter().map(|(digest, _)| *digest).collect();
    for (digest, batch) in store.batches()? {
        if !batch.records().iter().any(|record| digests.contains(record)) {
            continue;
        }
        let (_, bytes) = batch.to_bytes().map_err(|error| wrong(transport, "signatures", error.to_string()))?;
        let (path, is_listed) = (crate::batch_path(&digest), there.listed.has_batch(&digest));
        if is_listed && there.holds(Thing::Small(&path, &bytes))? {
            continue;
        }
        put_small(transport, &path, &bytes, watch)?;
        done.bytes += bytes.len() as u64;
        match is_listed {
            true => done.mended += 1,
            false => part.signatures.push(Signed::of(digest, &batch)),
        }
    }
    transport.settle()?;
    announce(transport, there.listed, part, watch)?;
    Ok(done)
}

/// Files that a remote lists, and which of them exist.
struct Inventory<'a> {
    transport: &'a dyn Transport,
    store: &'a Store,
    watch: &'a dyn Watch,
    listed: Catalogue,
    /// Sizes of all files, if the remote can list them all.
    sizes: Option<HashMap<String, u64>>,
    thorough: bool,
}

/// A file that a remote lists.
enum Thing<'a> {
    /// An object, with the size of its file.
    Object(&'a ObjectDigest, u64),
    /// A file that is sent whole: path and bytes.
    Small(&'a str, &'a [u8]),
}

impl<'a> Inventory<'a> {
    fn of(
        transport: &'a dyn Transport,
        store: &'a Store,
        thorough: bool,
        watch: &'a dyn Watch,
    ) -> Result<Self, RemoteError> {
        let listed = catalogue(transport, watch)?;
        let mut sizes = None;
        if listed.last > 0 {
            for folder in ["objects", "records", "signatures"] {
                let Some(files) = retried(|_| transport.walk(folder))? else { break };
                sizes.get_or_insert_with(HashMap::new).extend(files);
            }
        }
        Ok(Self { transport, store, watch, listed, sizes, thorough })
    }

    /// Whether a listed file exists and is intact, as far as this is checked.
    fn holds(&self, thing: Thing<'_>) -> Result<bool, RemoteError> {
        go_on(self.watch)?;
        let (path, size) = match thing {
            Thing::Object(object, size) => (&*crate::object_path(object), size),
            Thing::Small(path, bytes) => (path, bytes.len() as u64),
        };
        let is_there = match &self.sizes {
            Some(sizes) => sizes.get(path) == Some(&size),
            None => retried(|_| self.transport.holds(path, size))?,
        };
        if !is_there || !self.thorough || self.transport.is_near() {
            return Ok(is_there);
        }
        let read = match thing {
            Thing::Object(object, size) => {
                fetch_object(self.transport, self.store, object, size, self.watch).map(|examined| {
                    examined.discard();
                    true
                })
            }
            Thing::Small(path, bytes) => {
                small(self.transport, path, bytes.len() as u64, self.watch).map(|there| there == bytes)
            }
        };
        match read {
            Err(error) if error.is_of_one_file() => Ok(false),
            read => read,
        }
    }
}

/// Returns the size of an object's file and whether it was sent; `None` if the local store does not have it either.
fn send_object(
    there: &Inventory<'_>,
    object: &ObjectDigest,
    watch: &dyn Watch,
) -> Result<Option<(u64, bool)>, RemoteError> {
    let (path, store) = (crate::object_path(object), there.store);
    if let Some(size) = there.listed.object(object)
        && there.holds(Thing::Object(object, size))?
    {
        return Ok(Some((size, false)));
    }
    let size = match store.object_file(object) {
        Ok((_, size)) => size,
        Err(StoreError::Missing(_) | StoreError::Damaged { .. }) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let open = || Ok(Box::new(store.object_file(object)?.0) as Box<dyn Read + Send>);
    retried(|_| {
        go_on(watch)?;
        tracing::debug!(path, size, "send object");
        there.transport.put(&Outgoing { path: &path, length: size, open: &open })
    })?;
    watch.moved(1, size);
    Ok(Some((size, true)))
}

/// Sends a record unless the remote has it.
fn send_record(
    there: &Inventory<'_>,
    digest: RecordDigest,
    record: &Record,
    watch: &dyn Watch,
) -> Result<Option<Listed>, RemoteError> {
    let (key, transport) = (record.parts.key(), there.transport);
    let path = crate::record_path(&key, &digest);
    let (_, bytes) = record.to_bytes().map_err(|error| wrong(transport, &path, error.to_string()))?;
    if there.listed.has_record(&key, &digest) && there.holds(Thing::Small(&path, &bytes))? {
        return Ok(None);
    }
    put_small(transport, &path, &bytes, watch)?;
    Ok(Some(Listed::of(digest, record, bytes.len() as u64)))
}

fn put_small(transport: &dyn Transport, path: &str, bytes: &[u8], watch: &dyn Watch) -> Result<(), RemoteError> {
    let open = || Ok(Box::new(io::Cursor::new(bytes.to_vec())) as Box<dyn Read + Send>);
    retried(|_| {
        go_on(watch)?;
        transport.put(&Outgoing { path, length: bytes.len() as u64, open: &open })
    })?;
    watch.moved(1, bytes.len() as u64);
    Ok(())
}

/// Adds a part to a remote's catalogue. If another writer takes the number first, its part is read and the next
/// number is tried.
fn announce(
    transport: &dyn Transport,
    mut there: Catalogue,
    mut part: Part,
    watch: &dyn Watch,
) -> Result<(), RemoteError> {
    if (part.is_empty() && there.lost.is_empty()) || transport.relist()? {
        return Ok(());
    }
    for (number, _) in std::mem::take(&mut there.lost) {
        // The first lost part now lists what is no longer listed.
        if restore_part(transport, number, &part, watch)? {
            part = Part::default();
        }
    }
    if part.is_empty() {
        return Ok(());
    }
    for _ in 0..100 {
        let (number, whole) = there.next(part.clone());
        let path = format!("{}/{}", crate::CATALOGUE, crate::part_name(number));
        let bytes = whole.to_bytes().map_err(|error| wrong(transport, &path, error.to_string()))?;
        let created = retried(|_| transport.create(&path, &bytes))?;
        transport.settle()?;
        // Some servers let two writers both believe that they were first: the one that finds its own part was the
        // last.
        if created && small(transport, &path, crate::PART_LIMIT, watch)? == bytes {
            return Ok(());
        }
        there = catalogue(transport, watch)?;
    }
    Err(wrong(transport, crate::CATALOGUE, "others keep adding to it: try again later"))
}

/// Writes a part in place of a missing or damaged one; returns whether it did.
fn restore_part(transport: &dyn Transport, number: u64, part: &Part, watch: &dyn Watch) -> Result<bool, RemoteError> {
    let path = format!("{}/{}", crate::CATALOGUE, crate::part_name(number));
    // A damaged part is removed only after it has been read twice: the transfer may have damaged it.
    match super::part(transport, number, watch)? {
        Ok(_) => return Ok(false),
        Err(_) if retried(|_| transport.has(&path))? => transport.remove(&path)?,
        Err(_) => {}
    }
    let bytes = part.to_bytes().map_err(|error| wrong(transport, &path, error.to_string()))?;
    let created = retried(|_| transport.create(&path, &bytes))?;
    transport.settle()?;
    Ok(created)
}
