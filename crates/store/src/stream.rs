//! Reading and writing objects piece by piece, for objects that should not be held in memory whole.

use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::sync::atomic::Ordering;

use super::object::{self, BLOCK, HEADER, LEVEL, OBJECT_LIMIT, ObjectHeader, RAW, SEAL, ZSTD};
use super::{ObjectState, Store, StoreError};
use base::digest::{Hashing, ObjectDigest};
use files::{Draft, FsError};

/// Number of bytes of a piece.
const PIECE: usize = 128 << 10;

/// Largest zstd window accepted for unpacking (8 MiB); this program writes smaller ones.
const WINDOW_LOG: u32 = 23;

/// Why reading an object piece by piece ended early.
enum Stopped<E> {
    /// The file is invalid.
    Wrong(String),
    /// A newer program wrote the file, or its header says so.
    Newer,
    /// The file cannot be read, or the receiver of the pieces failed.
    By(E),
}

impl Store {
    /// Passes the bytes of an object to `take` piece by piece and returns their number. The bytes are verified only
    /// at the end: if this fails, anything derived from them must be discarded.
    ///
    /// # Errors
    /// If [`Store::get`] would fail, or if `take` fails.
    pub fn read_object<E: From<StoreError>>(
        &self,
        digest: &ObjectDigest,
        take: &mut dyn FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<u64, E> {
        let path = self.layout.object(digest);
        let now = files::now();
        let (mut file, identity) = match files::open(&path) {
            Ok(opened) => opened,
            Err(error) if error.is_missing() => return Err(StoreError::Missing(*digest).into()),
            Err(error) => return Err(StoreError::from(error).into()),
        };
        let failed = |source| {
            let error = FsError { operation: "read", path: path.clone(), source };
            // Another machine can remove a file that is being read.
            E::from(if error.is_missing() { StoreError::Missing(*digest) } else { error.into() })
        };
        let mut hasher = blake3::Hasher::new();
        let mut hashed = |piece: &[u8]| {
            hasher.update(piece);
            take(piece)
        };
        let read = unpack(&mut file, identity.size, &failed, &mut hashed);
        let reason = match read {
            Ok(length) if hasher.finalize() == *digest.as_bytes() => {
                self.remember(digest, length, &identity, now);
                return Ok(length);
            }
            Ok(_) => "its bytes have the wrong hash".to_owned(),
            Err(Stopped::Wrong(reason)) => reason,
            Err(Stopped::Newer) => {
                let bytes = self.get(digest)?;
                return take(&bytes).map(|()| bytes.len() as u64);
            }
            Err(Stopped::By(error)) => return Err(error),
        };
        Err(self.damaged(digest, &reason, Some(identity)).into())
    }

    /// Stores the next `length` bytes of a source, which must be the given object; returns whether it was stored. If
    /// the object exists, nothing is read from the source; wrong bytes in the store are replaced.
    ///
    /// # Errors
    /// If the bytes are not that object, cannot be read, or cannot be written. In that case, nothing is stored.
    pub fn put_from(&self, digest: &ObjectDigest, length: u64, source: &mut dyn Read) -> Result<bool, StoreError> {
        let written = self.written(digest, length, source)?;
        let is_new = written.is_some();
        if let Some(draft) = written {
            match draft.publish(&self.layout.object(digest))? {
                Some(file) => self.remember(digest, length, &file, files::now()),
                // Another process was faster, or a damaged file could not be moved out of the way.
                None => drop(self.read_object::<StoreError>(digest, &mut |_| Ok(()))?),
            }
        }
        // Count an object that existed too, because its writer may not have synced the folder yet.
        self.shards[usize::from(digest.as_bytes()[0])].0.fetch_add(1, Ordering::SeqCst);
        Ok(is_new)
    }

    /// Writes the file of an object, unless it exists, from the next `length` bytes of a source, which must be the
    /// object's.
    pub(super) fn written(
        &self,
        digest: &ObjectDigest,
        length: u64,
        source: &mut dyn Read,
    ) -> Result<Option<Draft>, StoreError> {
        if length > OBJECT_LIMIT {
            return Err(StoreError::TooLarge { bytes: length });
        }
        if self.state(digest)? == ObjectState::Present {
            self.keep(digest, length);
            return Ok(None);
        }
        let mut raw = Draft::new(&self.drafts()?)?;
        raw.append(&ObjectHeader::new(RAW, length).to_bytes())?;
        let mut hasher = blake3::Hasher::new();
        let mut bytes = BufReader::with_capacity(PIECE, source.take(length));
        let copied = pieces(&mut bytes, |piece| {
            hasher.update(piece);
            raw.append(piece)
        });
        let copied = copied.map_err(StoreError::Source)??;
        if copied != length || hasher.finalize() != *digest.as_bytes() {
            return Err(StoreError::Another(*digest));
        }
        Ok(Some(self.packed(&raw, length)?.unwrap_or(raw)))
    }

    /// Returns the compressed form of an object's file, if compression pays.
    fn packed(&self, raw: &Draft, length: u64) -> Result<Option<Draft>, StoreError> {
        let body = ObjectHeader::new(RAW, length).size() as u64;
        if !object::is_compressible(length, |start, part| raw.read_at(body + start, part))? {
            return Ok(None);
        }
        let draft = Draft::new(&self.drafts()?)?;
        let mut sealed = Hashing::new(draft, blake3::Hasher::new());
        sealed.out.append(&ObjectHeader::new(ZSTD, length).to_bytes())?;
        sealed.out.append(&[0; SEAL])?;
        let failed = |source| FsError { operation: "write", path: self.layout.temporary(), source };
        let mut encoder = zstd::stream::write::Encoder::new(sealed, LEVEL).map_err(failed)?;
        let mut piece = vec![0; PIECE];
        let mut start = 0;
        while start < length {
            let part = &mut piece[..usize::try_from(length - start).unwrap_or(PIECE).min(PIECE)];
            raw.read_at(body + start, part)?;
            encoder.write_all(part).map_err(failed)?;
            start += part.len() as u64;
        }
        let Hashing { out: draft, hasher, length: packed } = encoder.finish().map_err(failed)?;
        draft.write_at(HEADER as u64, &object::seal(hasher.finalize()))?;
        Ok(object::pays(length, SEAL as u64 + packed).then_some(draft))
    }
}

/// Unpacks like [`unpack`], but returns a fault of the file as a value.
pub(super) fn unpacked<E>(
    file: &mut (impl Read + Seek),
    size: u64,
    failed: &dyn Fn(io::Error) -> E,
    take: &mut dyn FnMut(&[u8]) -> Result<(), E>,
) -> Result<Result<u64, String>, E> {
    match unpack(file, size, failed, take) {
        Ok(length) => Ok(Ok(length)),
        Err(Stopped::Wrong(reason)) => Ok(Err(reason)),
        Err(Stopped::Newer) => Ok(Err("it was written by a newer wdpipe: use a newer version".to_owned())),
        Err(Stopped::By(error)) => Err(error),
    }
}

/// Passes the raw bytes of an object's file of `size` bytes to `take`; their number is checked against the header.
fn unpack<E>(
    file: &mut (impl Read + Seek),
    size: u64,
    failed: &dyn Fn(io::Error) -> E,
    take: &mut dyn FnMut(&[u8]) -> Result<(), E>,
) -> Result<u64, Stopped<E>> {
    let wrong = |reason: &str| Err(Stopped::Wrong(reason.to_owned()));
    let by = |error| Stopped::By(failed(error));
    let mut start = Vec::new();
    file.take(BLOCK as u64).read_to_end(&mut start).map_err(by)?;
    if object::newer(&start).is_some() {
        return Err(Stopped::Newer);
    }
    let header = ObjectHeader::from_start(&start).map_err(|error| Stopped::Wrong(error.0))?;
    let length = header.length;
    file.seek(SeekFrom::Start(header.size() as u64)).map_err(by)?;
    let given = |read: io::Result<Result<u64, E>>| read.map_err(by)?.map_err(Stopped::By);
    match header.codec {
        RAW if size.checked_sub(header.size() as u64) != Some(length) => {
            wrong("the length of the file does not match its header")
        }
        RAW => match given(pieces(&mut BufReader::with_capacity(PIECE, file.take(length)), take))? {
            read if read == length => Ok(length),
            _ => wrong("the file ends too soon"),
        },
        ZSTD => {
            let mut sealed = [0; SEAL];
            if file.read_exact(&mut sealed).is_err() {
                return wrong("the file ends too soon");
            }
            let mut hasher = blake3::Hasher::new();
            let hashed = pieces(&mut BufReader::with_capacity(PIECE, &mut *file), |piece| {
                hasher.update(piece);
                Ok(())
            });
            given(hashed)?;
            // Only verified bytes reach the decompressor.
            if sealed != object::seal(hasher.finalize()) {
                return wrong("the compressed bytes have the wrong checksum");
            }
            file.seek(SeekFrom::Start((HEADER + SEAL) as u64)).map_err(by)?;
            let mut decoder = zstd::stream::read::Decoder::new(file).map_err(by)?;
            decoder.window_log_max(WINDOW_LOG).map_err(by)?;
            match pieces(&mut BufReader::with_capacity(PIECE, decoder.take(length + 1)), take) {
                Ok(Ok(read)) if read == length => Ok(length),
                Ok(Ok(_)) => wrong("its unpacked length does not match its header"),
                Ok(Err(error)) => Err(Stopped::By(error)),
                Err(error) => Err(Stopped::Wrong(format!("it cannot be unpacked: {error}"))),
            }
        }
        _ => wrong("the file has a codec unknown to this wdpipe"),
    }
}

/// Passes everything that can be read to `take`; returns the number of bytes.
fn pieces<E>(source: &mut impl BufRead, mut take: impl FnMut(&[u8]) -> Result<(), E>) -> io::Result<Result<u64, E>> {
    let mut count = 0;
    loop {
        let piece = match source.fill_buf() {
            Ok([]) => return Ok(Ok(count)),
            Ok(piece) => piece,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if let Err(error) = take(piece) {
            return Ok(Err(error));
        }
        let length = piece.len();
        count += length as u64;
        source.consume(length);
    }
}
