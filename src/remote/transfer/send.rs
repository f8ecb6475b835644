//! From a store to a remote.

use std::collections::HashSet;
use std::io::{self, Read};

use super::{Watch, catalogue, each, go_on, retried, small, wrong};
use crate::digest::{ObjectDigest, RecordDigest, StageKey};
use crate::record::Record;
use crate::remote::{Outgoing, RemoteError, Transport};
use crate::store::{self, Catalogue, Listed, Part, Signed, Store, StoreError};

/// What was sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sent {
    /// Records that were not there.
    pub records: usize,
    /// Objects that were not there.
    pub objects: usize,
    /// Bytes of both, and of signatures.
    pub bytes: u64,
    /// Objects that are not here, so that they could not be sent.
    pub missing: usize,
}

/// Sends records with their objects and signatures: first objects, then what refers to them, in the end the part of the
/// catalogue that lists them. What is there is not sent again.
///
/// # Errors
/// If the remote fails or can only be read, or the store cannot be read. What was sent before stays, and is not sent
/// again next time if the remote was told of it; else it is, and nothing is lost.
pub fn send(
    transport: &dyn Transport,
    store: &Store,
    records: &[(RecordDigest, &Record)],
    is_wanted: &(dyn Fn(&str) -> bool + Sync),
    watch: &dyn Watch,
) -> Result<Sent, RemoteError> {
    let there = catalogue(transport, watch)?;
    let (mut part, mut done) = (Part::default(), Sent::default());

    let outputs = records.iter().flat_map(|(_, record)| &record.outputs);
    let stored = outputs.filter(|output| output.inline.is_none() && is_wanted(&output.name));
    let mut seen = HashSet::new();
    let objects: Vec<_> = stored.map(|output| output.object).filter(|object| seen.insert(*object)).collect();
    let sent = each(transport, &objects, |object| send_object(transport, store, &there, object, watch))?;
    for (object, sent) in objects.iter().zip(sent) {
        match sent {
            Some((size, new)) => {
                done.objects += usize::from(new);
                done.bytes += if new { size } else { 0 };
                if there.object(object).is_none() {
                    part.objects.push((*object, size));
                }
            }
            None => done.missing += 1,
        }
    }
    transport.settle()?;

    let new: Vec<_> =
        records.iter().filter(|(digest, record)| !there.has_record(&record.parts.key(), digest)).collect();
    for listed in each(transport, &new, |(digest, record)| send_record(transport, *digest, record, watch))? {
        done.records += 1;
        done.bytes += listed.bytes;
        part.records.push(listed);
    }
    let digests: HashSet<RecordDigest> = records.iter().map(|(digest, _)| *digest).collect();
    for (digest, batch) in store.batches()? {
        if !there.has_batch(&digest) && batch.records().iter().any(|record| digests.contains(record)) {
            let (_, bytes) = batch.to_bytes().map_err(|error| wrong(transport, "signatures", error.to_string()))?;
            put_small(transport, &store::batch_path(&digest), &bytes, watch)?;
            done.bytes += bytes.len() as u64;
            part.signatures.push(Signed::of(digest, &batch));
        }
    }
    transport.settle()?;
    announce(transport, there, part, watch)?;
    Ok(done)
}

/// The size of an object's file, and whether it was sent; `None` if it is not here either.
fn send_object(
    transport: &dyn Transport,
    store: &Store,
    there: &Catalogue,
    object: &ObjectDigest,
    watch: &dyn Watch,
) -> Result<Option<(u64, bool)>, RemoteError> {
    go_on(watch)?;
    let path = store::object_path(object);
    if let Some(size) = there.object(object)
        && (!transport.is_near() || transport.has(&path)?)
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
        transport.put(&Outgoing { path: &path, length: size, open: &open })
    })?;
    watch.moved(1, size);
    Ok(Some((size, true)))
}

fn send_record(
    transport: &dyn Transport,
    digest: RecordDigest,
    record: &Record,
    watch: &dyn Watch,
) -> Result<Listed, RemoteError> {
    let key: StageKey = record.parts.key();
    let path = store::record_path(&key, &digest);
    let (_, bytes) = record.to_bytes().map_err(|error| wrong(transport, &path, error.to_string()))?;
    put_small(transport, &path, &bytes, watch)?;
    Ok(Listed::of(digest, record, bytes.len() as u64))
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

/// Adds a part to a remote's catalogue. Another writer may take the number first: then its part is read, and the next
/// number is tried.
fn announce(transport: &dyn Transport, mut there: Catalogue, part: Part, watch: &dyn Watch) -> Result<(), RemoteError> {
    if part.is_empty() || transport.relist()? {
        return Ok(());
    }
    for _ in 0..100 {
        let (number, whole) = there.next(part.clone());
        let path = format!("{}/{}", store::CATALOGUE, store::part_name(number));
        let bytes = whole.to_bytes().map_err(|error| wrong(transport, &path, error.to_string()))?;
        let created = retried(|_| transport.create(&path, &bytes))?;
        transport.settle()?;
        // Some servers let both of two writers believe that they were first: who finds its own part was the last.
        if created && small(transport, &path, store::PART_LIMIT, watch)? == bytes {
            return Ok(());
        }
        there = catalogue(transport, watch)?;
    }
    Err(wrong(transport, store::CATALOGUE, "others add to it without end: try again later"))
}
