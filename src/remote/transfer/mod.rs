//! What goes from a store to a remote and back: many files at a time, tried again where that may help.

mod fetch;
mod send;

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::sync::atomic::{AtomicBool, Ordering};

pub use fetch::{Admits, Fetch, Fetched, fetch};
pub use send::{Sent, send};

use super::retry::retried;
use super::{RemoteError, Take, Transport};
use crate::parallel::parallel;
use crate::store::{self, Catalogue, Part};

/// Bytes of a piece.
const PIECE: usize = 128 << 10;

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
    let parts = each(transport, &numbers, |number| {
        let path = format!("{}/{}", store::CATALOGUE, store::part_name(*number));
        let bytes = small(transport, &path, store::PART_LIMIT, watch)?;
        Ok((*number, Part::from_bytes(&bytes).map_err(|error| wrong(transport, &path, error.to_string()))?))
    });
    let parts = parts?.into_iter().collect::<BTreeMap<u64, Part>>();
    Ok(Catalogue::new(parts))
}

/// Runs `run` on each thing, several at a time. After the first failure nothing new is begun.
fn each<T: Sync, R: Send>(
    transport: &dyn Transport,
    things: &[T],
    run: impl Fn(&T) -> Result<R, RemoteError> + Sync,
) -> Result<Vec<R>, RemoteError> {
    let failed = AtomicBool::new(false);
    let done = parallel(
        lanes(transport),
        things,
        || (),
        |(), thing| {
            if failed.load(Ordering::Relaxed) {
                return None;
            }
            let result = run(thing);
            failed.fetch_or(result.is_err(), Ordering::Relaxed);
            Some(result)
        },
    );
    // Where something was not begun, something else failed.
    done.into_iter().collect()
}

/// Transfers at a time.
fn lanes(transport: &dyn Transport) -> usize {
    if transport.is_near() { 4 } else { 16 }
}
