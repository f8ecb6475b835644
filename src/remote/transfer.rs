//! What goes from a store to a remote and back: the catalogue, what one side lacks, and many files at a time.

use std::collections::{BTreeMap, HashSet};
use std::io::{self, Read};
use std::sync::{Mutex, PoisonError};

use super::retry::retried;
use super::{Outgoing, RemoteError, Take, Transport};
use crate::codec::CodecError;
use crate::digest::{BatchDigest, ObjectDigest, RecordDigest, StageKey};
use crate::parallel::parallel;
use crate::record::{RECORD_LIMIT, Record};
use crate::sign;
use crate::store::{self, Catalogue, Listed, Part, Signed, Store, StoreError};

/// Bytes of a piece.
const PIECE: usize = 128 << 10;

/// What has come in is published after so many bytes or files, so that not all is lost with the process.
const TOGETHER: (u64, usize) = (512 << 20, 2000);

/// Is told how far a transfer is, and says whether to go on.
pub trait Watch: Sync {
    /// Whether it is to end.
    fn is_cancelled(&self) -> bool;

    /// Files are finished, and bytes were moved.
    fn moved(&self, files: usize, bytes: u64);
}

fn go_on(watch: &dyn Watch) -> Result<(), RemoteError> {
    if watch.is_cancelled() { Err(RemoteError::Interrupted) } else { Ok(()) }
}

/// Gives everything that can be read to `take`, with its place.
pub(super) fn pieces(
    source: &mut dyn Read,
    failed: &dyn Fn(io::Error) -> RemoteError,
    from: u64,
    take: &mut Take<'_>,
) -> Result<(), RemoteError> {
    let (mut buffer, mut place) = (vec![0; PIECE], from);
    loop {
        match source.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(read) => {
                take(place, &buffer[..read])?;
                place += read as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(failed(error)),
        }
    }
}

/// A whole small file.
fn small(transport: &dyn Transport, path: &str, limit: u64, watch: &dyn Watch) -> Result<Vec<u8>, RemoteError> {
    retried(|_| {
        go_on(watch)?;
        let mut bytes = Vec::new();
        transport.get(path, 0, &mut |_, piece| {
            if (bytes.len() + piece.len()) as u64 > limit {
                return Err(wrong(transport, path, format!("it is larger than {limit} bytes")));
            }
            bytes.extend_from_slice(piece);
            Ok(())
        })?;
        Ok(bytes)
    })
}

fn wrong(transport: &dyn Transport, path: &str, reason: impl Into<String>) -> RemoteError {
    RemoteError::Wrong { at: transport.name().to_owned(), path: path.to_owned(), reason: reason.into() }
}

/// The number of the last part of a remote's catalogue.
fn last_part(transport: &dyn Transport) -> Result<u64, RemoteError> {
    let part = |number: u64| format!("{}/{}", store::CATALOGUE, store::part_name(number));
    if let Some(names) = retried(|_| transport.list(store::CATALOGUE))? {
        return Ok(names.iter().filter_map(|name| store::part_number(name)).max().unwrap_or(0));
    }
    // Parts are numbered without gaps: twice as far while there is one, then halving.
    let has = |number: u64| retried(|_| transport.has(&part(number)));
    let (mut there, mut gone) = (0, 1);
    while has(gone)? {
        (there, gone) = (gone, gone * 2);
        if gone > 1 << 32 {
            return Err(wrong(transport, store::CATALOGUE, "it says yes to whatever it is asked for"));
        }
    }
    while there + 1 < gone {
        let middle = there + (gone - there) / 2;
        if has(middle)? { there = middle } else { gone = middle }
    }
    Ok(there)
}

/// What a remote has.
///
/// # Errors
/// If it cannot be reached, or its catalogue is damaged.
pub fn catalogue(transport: &dyn Transport, watch: &dyn Watch) -> Result<Catalogue, RemoteError> {
    if let Some(catalogue) = transport.contents()? {
        return Ok(catalogue);
    }
    let numbers = store::parts_to_read(last_part(transport)?);
    let read = parallel(
        lanes(transport),
        &numbers,
        || (),
        |(), number| {
            let path = format!("{}/{}", store::CATALOGUE, store::part_name(*number));
            let bytes = small(transport, &path, store::PART_LIMIT, watch);
            let part = bytes
                .and_then(|bytes| Part::from_bytes(&bytes).map_err(|error| wrong(transport, &path, error.to_string())));
            Some(part.map(|part| (*number, part)))
        },
    );
    let parts = read.into_iter().collect::<Result<BTreeMap<u64, Part>, _>>()?;
    Ok(Catalogue::new(parts))
}

/// Transfers at a time.
fn lanes(transport: &dyn Transport) -> usize {
    if transport.is_near() { 4 } else { 16 }
}

/// What is to be fetched.
#[derive(Debug, Default)]
pub struct Fetch<'a> {
    /// Records.
    pub records: Vec<&'a Listed>,
    /// Signatures that may be under them.
    pub signatures: Vec<&'a Signed>,
    /// Objects with the bytes of their files.
    pub objects: Vec<(ObjectDigest, u64)>,
}

/// What was fetched.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Fetched {
    /// Records that were not here.
    pub records: usize,
    /// Objects that were not here.
    pub objects: usize,
    /// Objects that the remote lists and does not have.
    pub missing: usize,
}

/// Whether a record may come in, with the batches of signatures that were fetched; else why not.
pub type Admits<'a> = &'a (dyn Fn(RecordDigest, &Record, &[sign::Batch]) -> Result<(), RemoteError> + Sync);

/// Brings things into a store; each is hashed before it is there. What is there already must be left out by the caller.
///
/// # Errors
/// If the remote fails, a record may not come in, or the store cannot be written. What was published before stays, and
/// what was fetched in part goes on from there next time.
pub fn fetch(
    transport: &dyn Transport,
    store: &Store,
    wanted: &Fetch<'_>,
    admits: Admits<'_>,
    watch: &dyn Watch,
) -> Result<Fetched, RemoteError> {
    let mut done = Fetched::default();
    let batches = fetch_signatures(transport, &wanted.signatures, watch)?;
    let records =
        parallel(lanes(transport), &wanted.records, || (), |(), listed| Some(fetch_record(transport, listed, watch)));
    let records = records.into_iter().collect::<Result<Vec<_>, _>>()?;
    for (listed, record) in wanted.records.iter().zip(&records) {
        admits(listed.record, record, &batches)?;
    }
    let mut bulk = store.bulk();
    for record in &records {
        bulk.record(record)?;
    }
    for batch in batches {
        bulk.signatures(batch)?;
    }
    done.records = bulk.publish()?.records;
    fetch_objects(transport, store, &wanted.objects, watch, &mut done)?;
    Ok(done)
}

fn fetch_signatures(
    transport: &dyn Transport,
    wanted: &[&Signed],
    watch: &dyn Watch,
) -> Result<Vec<sign::Batch>, RemoteError> {
    let batches = parallel(
        lanes(transport),
        wanted,
        || (),
        |(), signed| {
            let path = store::batch_path(&signed.batch);
            let bytes = match small(transport, &path, sign::Batch::MAX_BYTES, watch) {
                Ok(bytes) => bytes,
                Err(error) => return Some(Err(error)),
            };
            watch.moved(1, bytes.len() as u64);
            // One that is none says nothing: then its records count as unsigned.
            let is_it = BatchDigest::of(&bytes) == signed.batch;
            Some(Ok(is_it.then(|| sign::Batch::from_bytes(&bytes).ok()).flatten()))
        },
    );
    Ok(batches.into_iter().collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
}

fn fetch_record(transport: &dyn Transport, listed: &Listed, watch: &dyn Watch) -> Result<Record, RemoteError> {
    let path = store::record_path(&listed.key, &listed.record);
    let bytes = small(transport, &path, RECORD_LIMIT, watch)?;
    watch.moved(1, bytes.len() as u64);
    if RecordDigest::of(&bytes) != listed.record {
        return Err(wrong(transport, &path, "its bytes have another hash"));
    }
    match Record::from_bytes(&bytes) {
        Ok(record) if record.parts.key() == listed.key => Ok(record),
        Ok(_) => Err(wrong(transport, &path, "it is of another key")),
        Err(CodecError::Version { .. }) => Err(wrong(transport, &path, "a newer wdpipe wrote it: use a newer one")),
        Err(error) => Err(wrong(transport, &path, error.to_string())),
    }
}

fn fetch_objects(
    transport: &dyn Transport,
    store: &Store,
    wanted: &[(ObjectDigest, u64)],
    watch: &dyn Watch,
    done: &mut Fetched,
) -> Result<(), RemoteError> {
    let bulk = Mutex::new((store.bulk(), 0));
    let published = |bulk: store::Bulk<'_>| bulk.publish().map(|published| published.objects);
    let fetched = parallel(
        lanes(transport),
        wanted,
        || (),
        |(), (object, size)| {
            let ready = match fetch_object(transport, store, object, *size, watch) {
                Ok(ready) => ready,
                Err(RemoteError::Missing { .. }) => return Some(Ok((0, 1))),
                Err(error) => return Some(Err(error)),
            };
            let mut waiting = bulk.lock().unwrap_or_else(PoisonError::into_inner);
            waiting.1 += size;
            let mut objects = 0;
            let taken = waiting.0.object(ready).map_err(RemoteError::from).and_then(|()| {
                if waiting.1 >= TOGETHER.0 || waiting.0.len() >= TOGETHER.1 {
                    waiting.1 = 0;
                    objects = published(std::mem::replace(&mut waiting.0, store.bulk()))?;
                }
                Ok((objects, 0))
            });
            Some(taken)
        },
    );
    let last = published(bulk.into_inner().unwrap_or_else(PoisonError::into_inner).0);
    for fetched in fetched {
        let (objects, missing) = fetched?;
        done.objects += objects;
        done.missing += missing;
    }
    done.objects += last?;
    Ok(())
}

fn fetch_object(
    transport: &dyn Transport,
    store: &Store,
    object: &ObjectDigest,
    size: u64,
    watch: &dyn Watch,
) -> Result<store::Examined, RemoteError> {
    let path = store::object_path(object);
    let mut draft = store.incoming(object)?;
    retried(|reached| {
        go_on(watch)?;
        let from = draft.length().map_err(StoreError::from)?;
        *reached = from;
        if from == size {
            return Ok(());
        }
        let mut length = from;
        if from > size {
            draft.restart().map_err(StoreError::from)?;
            length = 0;
        }
        transport.get(&path, length, &mut |place, piece| {
            go_on(watch)?;
            // A remote that cannot begin in the middle sends again what is here.
            let known = usize::try_from(length.saturating_sub(place)).unwrap_or(usize::MAX).min(piece.len());
            let new = &piece[known..];
            if length + new.len() as u64 > size {
                return Err(wrong(transport, &path, format!("it is larger than the {size} bytes that are listed")));
            }
            draft.append(new).map_err(StoreError::from)?;
            length += new.len() as u64;
            *reached = length;
            watch.moved(0, new.len() as u64);
            Ok(())
        })
    })?;
    watch.moved(1, 0);
    store.examined(object, draft).map_err(|error| match error {
        StoreError::Source(reason) => wrong(transport, &path, reason.to_string()),
        error => error.into(),
    })
}

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
    let sent = parallel(
        lanes(transport),
        &objects,
        || (),
        |(), object| Some(send_object(transport, store, &there, object, watch)),
    );
    for (object, sent) in objects.iter().zip(sent) {
        match sent? {
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

    let new: Vec<_> = records.iter().filter(|(digest, _)| !there.has_record(digest)).collect();
    let sent = parallel(
        lanes(transport),
        &new,
        || (),
        |(), (digest, record)| Some(send_record(transport, *digest, record, watch)),
    );
    for sent in sent {
        let listed: Listed = sent?;
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
