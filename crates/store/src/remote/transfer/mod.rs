//! Transfers between a store and a remote: many files at a time, retried after temporary failures.

mod fetch;
mod send;

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::sync::atomic::{AtomicBool, Ordering};

pub use fetch::{Admits, Fetch, Fetched, fetch};
pub use send::{Sending, Sent, send};

use super::retry::retried;
use super::{RemoteError, Take, Transport};
use crate::{Catalogue, Part};
use base::codec::CodecError;
use base::parallel::parallel;

/// Number of bytes of a piece.
const PIECE: usize = 128 << 10;

/// Receives the progress of a transfer, and can cancel it.
pub trait Watch: Sync {
    /// Whether to cancel the transfer.
    fn is_cancelled(&self) -> bool;

    /// Reports finished files and moved bytes.
    fn moved(&self, files: usize, bytes: u64);
}

fn go_on(watch: &dyn Watch) -> Result<(), RemoteError> {
    if watch.is_cancelled() { Err(RemoteError::Interrupted) } else { Ok(()) }
}

/// Passes everything that can be read to `take`, with its position.
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

/// Reads a whole small file.
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

/// Returns the number of the last part of a remote's catalogue.
fn last_part(transport: &dyn Transport) -> Result<u64, RemoteError> {
    let part = |number: u64| format!("{}/{}", crate::CATALOGUE, crate::part_name(number));
    if let Some(names) = retried(|_| transport.list(crate::CATALOGUE))? {
        return Ok(names.iter().filter_map(|name| crate::part_number(name)).max().unwrap_or(0));
    }
    last(&|number| retried(|_| transport.has(&part(number))))?
        .ok_or_else(|| wrong(transport, crate::CATALOGUE, "it claims to have every part"))
}

/// Returns the largest number for which `has` returns true; `None` if it always does. Numbers have no gaps, but one
/// or two parts can be lost, which must not hide the later ones.
fn last(has: &dyn Fn(u64) -> Result<bool, RemoteError>) -> Result<Option<u64>, RemoteError> {
    let mut there = 0;
    loop {
        // Double the step while parts exist, then halve it.
        let mut step = 1;
        while has(there + step)? {
            (there, step) = (there + step, step * 2);
            if step > 1 << 32 {
                return Ok(None);
            }
        }
        while step > 1 {
            step /= 2;
            if has(there + step)? {
                there += step;
            }
        }
        let beyond = [there + 2, there + 3].into_iter().find_map(|next| match has(next) {
            Ok(false) => None,
            asked => Some(asked.map(|_| next)),
        });
        match beyond {
            Some(next) => there = next?,
            None => return Ok(Some(there)),
        }
    }
}

/// Returns the contents of a remote.
///
/// # Errors
/// If [`catalogue`] would fail, or if there is no store, or it has no catalogue.
pub fn listed(transport: &dyn Transport, watch: &dyn Watch) -> Result<Catalogue, RemoteError> {
    let catalogue = catalogue(transport, watch)?;
    if catalogue.last > 0 || transport.is_near() {
        return Ok(catalogue);
    }
    let reason = match retried(|_| transport.has(crate::MARKER))? {
        true => "is a store without a catalogue: run `wdpipe cache catalogue` on its machine",
        false => "holds no store: check the address, or push something to it first",
    };
    Err(RemoteError::NoStore { at: transport.name().to_owned(), reason: reason.to_owned() })
}

/// Reads the catalogue of a remote.
///
/// # Errors
/// If the remote cannot be reached, or its catalogue was written by a newer program.
pub fn catalogue(transport: &dyn Transport, watch: &dyn Watch) -> Result<Catalogue, RemoteError> {
    if let Some(catalogue) = transport.contents()? {
        return Ok(catalogue);
    }
    let numbers = crate::parts_to_read(last_part(transport)?);
    let (mut parts, mut lost) = (BTreeMap::new(), Vec::new());
    for (number, part) in each(transport, &numbers, |number| Ok((*number, part(transport, *number, watch)?)))? {
        match part {
            Ok(part) => drop(parts.insert(number, part)),
            Err(reason) => lost.push((number, reason)),
        }
    }
    Ok(Catalogue::new(parts).with_lost(lost))
}

/// Returns a part of a remote's catalogue, or why it is lost.
fn part(transport: &dyn Transport, number: u64, watch: &dyn Watch) -> Result<Result<Part, String>, RemoteError> {
    let path = format!("{}/{}", crate::CATALOGUE, crate::part_name(number));
    let bytes = match small(transport, &path, crate::PART_LIMIT, watch) {
        Err(RemoteError::Missing { .. }) => return Ok(Err("it is missing".to_owned())),
        Err(RemoteError::Wrong { reason, .. }) => return Ok(Err(reason)),
        bytes => bytes?,
    };
    match Part::from_bytes(&bytes) {
        Err(error @ CodecError::Version { .. }) => Err(wrong(transport, &path, error.to_string())),
        part => Ok(part.map_err(|error| error.to_string())),
    }
}

/// Calls `run` on every element, several at a time. After the first failure no new calls are started.
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
    // If a call was not started, another one failed.
    done.into_iter().collect()
}

/// Returns the number of simultaneous transfers.
fn lanes(transport: &dyn Transport) -> usize {
    if transport.is_near() { 4 } else { 16 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_part_is_found_with_few_questions_and_behind_one_that_is_lost() {
        for count in [0, 1, 2, 3, 7, 8, 9, 100, 1000] {
            for lost in 0..count {
                let asked = std::cell::Cell::new(0);
                let has = |number| {
                    asked.set(asked.get() + 1);
                    Ok(number <= count && (lost == 0 || number != lost))
                };
                assert_eq!(last(&has).unwrap(), Some(count), "{count} without {lost}");
                assert!(asked.get() <= 50, "{count} without {lost}: {}", asked.get());
            }
        }
        assert_eq!(last(&|_| Ok(false)).unwrap(), Some(0));
        assert_eq!(last(&|_| Ok(true)).unwrap(), None);
    }
}
