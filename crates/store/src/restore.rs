//! Writing objects to files outside the store.

use std::fs::File;
use std::sync::mpsc;
use std::thread;

use super::object::{BLOCK, ObjectHeader, RAW};
use super::{Store, StoreError};
use base::digest::ObjectDigest;
use files::{Draft, Named};

/// Number of bytes hashed at a time.
const PIECE: usize = 128 << 10;

impl Store {
    /// Writes the bytes of an object to a file named by the user, moves it into place, and returns their number. Raw
    /// objects are cloned if the file system can; otherwise the copy is hashed while it is written. The file is not
    /// synced: the store still has the object.
    ///
    /// # Errors
    /// If [`Store::get`] would fail, or if the file cannot be written. In that case, an old regular file is untouched.
    pub fn restore(&self, digest: &ObjectDigest, mut named: Named) -> Result<u64, StoreError> {
        let copied = match named.draft() {
            Some(draft) => {
                let copied = self.clone_or_copy(digest, draft)?;
                if copied.is_none() {
                    // Compressed or damaged: the code below finds out which, and handles it.
                    draft.restart()?;
                }
                copied
            }
            None => None,
        };
        let length = match copied {
            Some(length) => length,
            None => self.read_object(digest, &mut |piece| named.append(piece).map_err(StoreError::from))?,
        };
        named.put_unsynced()?;
        Ok(length)
    }

    /// Fills an empty draft with an object's raw bytes; returns their number if that succeeded.
    fn clone_or_copy(&self, digest: &ObjectDigest, draft: &Draft) -> Result<Option<u64>, StoreError> {
        let (path, now) = (self.layout.object(digest), files::now());
        let Ok(header) = files::read_start(&path, BLOCK as u64).map(|start| ObjectHeader::from_start(&start)) else {
            return Ok(None);
        };
        let (Ok(header), Ok((file, identity))) = (header, files::open(&path)) else { return Ok(None) };
        let body = header.size() as u64;
        if header.codec != RAW || identity.size != body + header.length {
            return Ok(None);
        }
        if draft.clone_range(&file, body, header.length) {
            // This hashes the object, whose bytes may be cached in memory, not the clone. If the object had been
            // changed since, its identity would differ.
            self.read_object::<StoreError>(digest, &mut |_| Ok(()))?;
            let is_unchanged = identity.is_settled(now) && files::identity(&path)? == Some(identity);
            return Ok(is_unchanged.then_some(header.length));
        }
        let hash = hashed_copy(&file, body, header.length, draft);
        Ok(hash.is_some_and(|hash| hash == *digest.as_bytes()).then_some(header.length))
    }
}

/// Copies a part of a file to an empty draft, and hashes the copy at the same time.
fn hashed_copy(from: &File, start: u64, length: u64, draft: &Draft) -> Option<blake3::Hash> {
    let (marks, copied) = mpsc::channel();
    thread::scope(|scope| {
        let copy = move || {
            // Nobody receives the marks after reading the copy has failed.
            let mut say = |mark| marks.send(mark).unwrap_or(());
            draft.copy_range(from, start, length, &mut say).is_ok()
        };
        let copying = thread::Builder::new().spawn_scoped(scope, copy).ok()?;
        let (mut hasher, mut buffer, mut done) = (blake3::Hasher::new(), vec![0; PIECE], 0);
        for mark in copied {
            while done < mark {
                let piece = &mut buffer[..usize::try_from(mark - done).map_or(PIECE, |left| left.min(PIECE))];
                draft.read_at(done, piece).ok()?;
                hasher.update(piece);
                done += piece.len() as u64;
            }
        }
        copying.join().is_ok_and(|is_done| is_done).then(|| hasher.finalize())
    })
}
