//! Fetching from a remote into a store.

use std::sync::{Mutex, PoisonError};

use super::{Watch, each, go_on, retried, small, wrong};
use crate::remote::{RemoteError, Transport};
use crate::sign;
use crate::{Listed, Signed, Store, StoreError};
use base::codec::CodecError;
use base::digest::{BatchDigest, ObjectDigest, RecordDigest, StageKey};
use base::record::{RECORD_LIMIT, Record};
use files::Draft;

/// Number of bytes or files after which fetched objects are published, so that a killed process does not lose all of
/// them.
const TOGETHER: (u64, usize) = (512 << 20, 2000);

/// What to fetch.
#[derive(Debug, Default)]
pub struct Fetch<'a> {
    /// Records to fetch.
    pub records: Vec<&'a Listed>,
    /// Batches that can contain signatures of these records.
    pub signatures: Vec<&'a Signed>,
    /// Objects with the sizes of their files in bytes.
    pub objects: Vec<(ObjectDigest, u64)>,
}

/// Result of a fetch.
#[derive(Debug, Default)]
pub struct Fetched {
    /// Number of new records.
    pub records: usize,
    /// Number of new objects.
    pub objects: usize,
    /// Number of objects that the remote lists but does not have.
    pub missing: usize,
    /// Records that were not admitted, and why.
    pub refused: Vec<(StageKey, RecordDigest, RemoteError)>,
    /// Records that the remote lists, but that are missing or damaged.
    pub lost: Vec<RecordDigest>,
    /// Errors of listed files that could not be fetched, except missing objects.
    pub trouble: Vec<RemoteError>,
}

/// Decides whether a record is admitted, given the fetched batches of signatures; the error says why not.
pub type Admits<'a> = &'a (dyn Fn(RecordDigest, &Record, &[sign::Batch]) -> Result<(), RemoteError> + Sync);

/// Fetches files into a store; each is hashed before it is published. The caller must leave out files that the store
/// has. A lost or damaged file on the remote does not prevent others from being fetched.
///
/// # Errors
/// If the remote fails, or the store cannot be written. Files published before remain, and partly fetched ones are
/// resumed next time.
pub fn fetch(
    transport: &dyn Transport,
    store: &Store,
    wanted: &Fetch<'_>,
    admits: Admits<'_>,
    watch: &dyn Watch,
) -> Result<Fetched, RemoteError> {
    let mut done = Fetched::default();
    let batches = each(transport, &wanted.signatures, |signed| one(fetch_batch(transport, signed, watch)))?;
    let batches: Vec<_> = had(batches, &mut done.trouble).flatten().collect();
    let records = each(transport, &wanted.records, |listed| one(fetch_record(transport, listed, watch)))?;
    let mut bulk = store.bulk();
    for (listed, record) in wanted.records.iter().zip(records) {
        let record = &match record {
            Ok(record) => record,
            Err(error) => {
                done.lost.push(listed.record);
                done.trouble.push(error);
                continue;
            }
        };
        let admitted =
            admits(listed.record, record, &batches).and_then(|()| stays_what_it_is(transport, store, record));
        match admitted {
            Ok(()) => drop(bulk.record(record)?),
            Err(error) => done.refused.push((listed.key, listed.record, error)),
        }
    }
    for batch in batches {
        bulk.signatures(batch)?;
    }
    done.records = bulk.publish()?.records;
    fetch_objects(transport, store, &wanted.objects, watch, &mut done)?;
    Ok(done)
}

/// Checks that a record does not replace a different local import.
fn stays_what_it_is(transport: &dyn Transport, store: &Store, record: &Record) -> Result<(), RemoteError> {
    match store.replaces_import(record)? {
        false => Ok(()),
        true => {
            let stage = record.provenance.stage.clone();
            Err(RemoteError::OtherImport { at: transport.name().to_owned(), stage })
        }
    }
}

/// Returns an error as a value if it concerns only one file.
fn one<T>(fetched: Result<T, RemoteError>) -> Result<Result<T, RemoteError>, RemoteError> {
    match fetched {
        Err(error) if error.is_of_one_file() => Ok(Err(error)),
        fetched => fetched.map(Ok),
    }
}

/// Returns the files that were fetched, and collects the errors of the others.
fn had<T>(files: Vec<Result<T, RemoteError>>, trouble: &mut Vec<RemoteError>) -> impl Iterator<Item = T> {
    files.into_iter().filter_map(|file| file.map_err(|error| trouble.push(error)).ok())
}

fn fetch_batch(
    transport: &dyn Transport,
    signed: &Signed,
    watch: &dyn Watch,
) -> Result<Option<sign::Batch>, RemoteError> {
    let path = crate::batch_path(&signed.batch);
    let bytes = small(transport, &path, sign::Batch::MAX_BYTES, watch)?;
    watch.moved(1, bytes.len() as u64);
    if BatchDigest::of(&bytes) != signed.batch {
        return Err(wrong(transport, &path, "its bytes have the wrong hash"));
    }
    // An invalid batch is ignored: its records count as unsigned.
    Ok(sign::Batch::from_bytes(&bytes).ok())
}

pub(super) fn fetch_record(
    transport: &dyn Transport,
    listed: &Listed,
    watch: &dyn Watch,
) -> Result<Record, RemoteError> {
    let path = crate::record_path(&listed.key, &listed.record);
    tracing::debug!(path, "fetch record");
    let bytes = small(transport, &path, RECORD_LIMIT, watch)?;
    watch.moved(1, bytes.len() as u64);
    if RecordDigest::of(&bytes) != listed.record {
        return Err(wrong(transport, &path, "its bytes have the wrong hash"));
    }
    match Record::from_bytes(&bytes) {
        Ok(record) if record.parts.key() == listed.key => Ok(record),
        Ok(_) => Err(wrong(transport, &path, "it has the wrong key")),
        Err(CodecError::Version { .. }) => {
            Err(wrong(transport, &path, "it was written by a newer wdpipe: use a newer version"))
        }
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
    let published = |bulk: crate::Bulk<'_>| bulk.publish().map(|published| published.objects);
    let fetched = each(transport, wanted, |(object, size)| {
        let ready = match one(fetch_object(transport, store, object, *size, watch))? {
            // The object can have been removed to save space.
            Err(RemoteError::Missing { .. }) => return Ok((0, 1, None)),
            Err(error) => return Ok((0, 0, Some(error))),
            Ok(ready) => ready,
        };
        let mut waiting = bulk.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.1 += size;
        waiting.0.object(ready)?;
        if waiting.1 < TOGETHER.0 && waiting.0.len() < TOGETHER.1 {
            return Ok((0, 0, None));
        }
        waiting.1 = 0;
        Ok((published(std::mem::replace(&mut waiting.0, store.bulk()))?, 0, None))
    });
    // Do this after a failure too, so that fetched objects are not fetched again.
    done.objects += published(bulk.into_inner().unwrap_or_else(PoisonError::into_inner).0)?;
    for (objects, missing, trouble) in fetched? {
        done.objects += objects;
        done.missing += missing;
        done.trouble.extend(trouble);
    }
    Ok(())
}

pub(super) fn fetch_object(
    transport: &dyn Transport,
    store: &Store,
    object: &ObjectDigest,
    size: u64,
    watch: &dyn Watch,
) -> Result<crate::Examined, RemoteError> {
    let draft = store.incoming(object)?;
    let is_begun = draft.length().map_err(StoreError::from)? > 0;
    match fill(transport, store, object, size, draft, watch) {
        // The rest of an earlier attempt can be wrong while the remote's file is right.
        Err(RemoteError::Wrong { .. }) if is_begun => {
            fill(transport, store, object, size, store.incoming(object)?, watch)
        }
        fetched => fetched,
    }
}

/// Fetches the missing rest of an object's file; a draft that turns out to be wrong is removed.
fn fill(
    transport: &dyn Transport,
    store: &Store,
    object: &ObjectDigest,
    size: u64,
    mut draft: Draft,
    watch: &dyn Watch,
) -> Result<crate::Examined, RemoteError> {
    let path = crate::object_path(object);
    let filled = retried(|reached| {
        go_on(watch)?;
        let from = draft.length().map_err(StoreError::from)?;
        *reached = from;
        tracing::debug!(path, from, size, "fetch object");
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
            // A remote that cannot start in the middle sends known bytes again.
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
    });
    if let Err(error) = filled {
        if let RemoteError::Wrong { .. } = error {
            draft.discard();
        }
        return Err(error);
    }
    watch.moved(1, 0);
    store.examined(object, draft).map_err(|error| match error {
        StoreError::Source(reason) => wrong(transport, &path, reason.to_string()),
        error => error.into(),
    })
}
