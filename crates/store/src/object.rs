//! The file format of an object: a header, then the object's bytes, raw or compressed.
//!
//! ObjectHeader: `WDob`, version (2 bytes, little-endian), codec (0 raw, 1 zstd), a zero byte, the number of raw bytes (8
//! bytes, little-endian). Compressed bytes are preceded by the first 8 bytes of their BLAKE3 hash, so that only bytes
//! written here reach the decompressor, and flipped bits are found even where zstd would not notice them. Raw bytes
//! need no such checksum: they are hashed against the object's name.
//!
//! Version 2 is for large raw objects: its header is padded with zeros to a full block, so that file systems with
//! clone support can share the object's bytes with another file without copying them. Everything else has version 1.

use std::io::Read;

use super::StoreError;
use base::digest::ObjectDigest;

const MAGIC: [u8; 4] = *b"WDob";
/// Newest version that this program reads.
pub(super) const VERSION: u16 = 2;
const ALIGNED: u16 = 2;
pub(super) const RAW: u8 = 0;
pub(super) const ZSTD: u8 = 1;

/// Compression level; higher levels take longer but do not make weights smaller.
pub(super) const LEVEL: i32 = 3;

/// Number of bytes that every header starts with; the whole header in version 1.
pub(super) const HEADER: usize = 16;

/// Number of bytes of a version-2 header: no file system with clone support has larger blocks by default.
pub(super) const BLOCK: usize = 4096;

/// Number of bytes from which raw objects have version 2.
pub(super) const LARGE: u64 = 1 << 20;

/// Number of bytes of the checksum before compressed bytes.
pub(super) const SEAL: usize = 8;

/// Maximum number of bytes of an object (4 GiB); a file that declares more is rejected unread.
pub const OBJECT_LIMIT: u64 = 4 << 30;

/// Maximum number of bytes of an object's file.
pub(super) const FILE_LIMIT: u64 = OBJECT_LIMIT + BLOCK as u64;

/// What is wrong with the file of an object.
#[derive(Debug)]
pub(super) struct ObjectError(pub(super) String);

/// Contents of the header of an object's file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ObjectHeader {
    pub(super) codec: u8,
    /// Number of raw bytes.
    pub(super) length: u64,
    version: u16,
}

impl ObjectHeader {
    pub(super) fn new(codec: u8, length: u64) -> Self {
        let version = if codec == RAW && length >= LARGE { ALIGNED } else { 1 };
        Self { codec, length, version }
    }

    /// Returns the number of bytes of the header.
    pub(super) fn size(&self) -> usize {
        if self.version == ALIGNED { BLOCK } else { HEADER }
    }

    pub(super) fn to_bytes(self) -> Vec<u8> {
        let mut bytes =
            [&MAGIC[..], &self.version.to_le_bytes(), &[self.codec, 0], &self.length.to_le_bytes()].concat();
        bytes.resize(self.size(), 0);
        bytes
    }

    /// Parses the start of a file; `file` must hold at least a block, or the whole file.
    pub(super) fn from_start(file: &[u8]) -> Result<Self, ObjectError> {
        let wrong = |reason: &str| Err(ObjectError(reason.to_owned()));
        let Some(start) = file.first_chunk::<HEADER>() else { return wrong("the file is shorter than its header") };
        let [_, _, _, _, v0, v1, codec, _, length @ ..] = *start;
        let header = Self { codec, length: u64::from_le_bytes(length), version: u16::from_le_bytes([v0, v1]) };
        // Early programs gave version 1 to large objects too.
        let has_version = header.version == 1 || header.version == Self::new(codec, header.length).version;
        if !has_version || file.get(..header.size()) != Some(&header.to_bytes()[..]) {
            return wrong("the file has no header known to this wdpipe");
        }
        if header.length > OBJECT_LIMIT { wrong("the header declares too many bytes") } else { Ok(header) }
    }
}

/// Returns the header. If compression saves at least a tenth, also returns the compressed bytes with their checksum.
/// Otherwise the caller must write the raw bytes after the header.
pub(super) fn encode(bytes: &[u8]) -> Result<(Vec<u8>, Option<Vec<u8>>), StoreError> {
    let length = bytes.len() as u64;
    if length > OBJECT_LIMIT {
        return Err(StoreError::TooLarge { bytes: length });
    }
    let compressed = compress(bytes);
    Ok((ObjectHeader::new(if compressed.is_some() { ZSTD } else { RAW }, length).to_bytes(), compressed))
}

/// Whether a size reduction justifies unpacking the bytes later.
pub(super) fn pays(before: u64, after: u64) -> bool {
    after < before / 10 * 9
}

/// Estimates whether bytes, read by `read` from a given position, can be compressed. Most weights cannot be; three
/// samples are cheap and suffice to decide.
pub(super) fn is_compressible<E>(length: u64, read: impl Fn(u64, &mut [u8]) -> Result<(), E>) -> Result<bool, E> {
    const PIECE: usize = 64 << 10;
    let piece = PIECE as u64;
    if length <= 4 * piece {
        return Ok(true);
    }
    let mut sample = vec![0; 3 * PIECE];
    for (part, start) in sample.chunks_exact_mut(PIECE).zip([0, (length - piece) / 2, length - piece]) {
        read(start, part)?;
    }
    let packed = zstd::bulk::compress(&sample, 1);
    Ok(packed.is_ok_and(|packed| pays(sample.len() as u64, packed.len() as u64)))
}

fn compress(bytes: &[u8]) -> Option<Vec<u8>> {
    let read = |start: u64, part: &mut [u8]| {
        let start = usize::try_from(start).map_err(drop)?;
        part.copy_from_slice(bytes.get(start..start + part.len()).ok_or(())?);
        Ok::<_, ()>(())
    };
    if !is_compressible(bytes.len() as u64, read).ok()? {
        return None;
    }
    let body = zstd::bulk::compress(bytes, LEVEL).ok()?;
    let sealed = [&seal(blake3::hash(&body))[..], &body].concat();
    pays(bytes.len() as u64, sealed.len() as u64).then_some(sealed)
}

/// Returns the checksum that precedes compressed bytes with the given hash.
pub(super) fn seal(compressed: blake3::Hash) -> [u8; SEAL] {
    let mut seal = [0; SEAL];
    seal.copy_from_slice(&compressed.as_bytes()[..SEAL]);
    seal
}

/// Returns the version of a file whose header says that a newer program wrote it.
pub(super) fn newer(file: &[u8]) -> Option<u16> {
    let [m0, m1, m2, m3, v0, v1] = *file.first_chunk()?;
    let version = u16::from_le_bytes([v0, v1]);
    ([m0, m1, m2, m3] == MAGIC && version > VERSION).then_some(version)
}

/// Checks whether a file with a newer version in its header is really a file of a known version whose header has a flipped
/// bit. The rest of such a file is valid.
pub(super) fn is_of_known_version(mut file: Vec<u8>, object: &ObjectDigest) -> bool {
    let Some(&[_, _, _, _, _, _, _, _, ref length @ ..]) = file.first_chunk::<HEADER>() else { return false };
    let is_aligned = u64::from_le_bytes(*length).checked_add(BLOCK as u64) == Some(file.len() as u64);
    let version: u16 = if is_aligned { ALIGNED } else { 1 };
    file[4..6].copy_from_slice(&version.to_le_bytes());
    decode(file).is_ok_and(|bytes| ObjectDigest::of(&bytes) == *object)
}

/// Extracts the object's bytes from the bytes of its file; the caller must check their hash. Memory use is bounded by
/// the length in the header and by the actual data.
pub(super) fn decode(mut file: Vec<u8>) -> Result<Vec<u8>, ObjectError> {
    let wrong = |reason: &str| Err(ObjectError(reason.to_owned()));
    let header = ObjectHeader::from_start(&file)?;
    let length = header.length;
    match header.codec {
        RAW if (file.len() - header.size()) as u64 == length => {
            file.drain(..header.size());
            Ok(file)
        }
        RAW => wrong("the length of the file does not match its header"),
        ZSTD => {
            let Some((sealed, body)) = file[HEADER..].split_first_chunk::<SEAL>() else {
                return wrong("the file ends too soon");
            };
            if *sealed != seal(blake3::hash(body)) {
                return wrong("the compressed bytes have the wrong checksum");
            }
            let mut bytes = Vec::new();
            let decoder = zstd::stream::read::Decoder::with_buffer(body);
            let read = decoder.and_then(|decoder| decoder.take(length + 1).read_to_end(&mut bytes));
            match read {
                Ok(read) if read as u64 == length => Ok(bytes),
                Ok(_) => wrong("its unpacked length does not match its header"),
                Err(error) => Err(ObjectError(format!("it cannot be unpacked: {error}"))),
            }
        }
        _ => wrong("the file has a codec unknown to this wdpipe"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(bytes: &[u8]) -> Vec<u8> {
        let (header, compressed) = encode(bytes).unwrap();
        [&header[..], compressed.as_deref().unwrap_or(bytes)].concat()
    }

    #[test]
    fn bytes_round_trip_and_only_what_pays_is_compressed() {
        let text = b"weight decay ".repeat(30_000);
        let noise: Vec<u8> = (0..20_000_u64).flat_map(|i| *blake3::hash(&i.to_le_bytes()).as_bytes()).collect();
        for (bytes, packed) in [(&b""[..], false), (b"x", false), (&text, true), (&noise, false)] {
            let file = file(bytes);
            assert_eq!(file.len() < bytes.len(), packed);
            assert_eq!(decode(file).unwrap(), bytes);
        }
    }

    #[test]
    fn large_raw_objects_begin_on_a_block_and_those_of_early_programs_are_read() {
        let noise = |length: usize| {
            let mut bytes = vec![0; length];
            blake3::Hasher::new().finalize_xof().fill(&mut bytes);
            bytes
        };
        let large = noise(1 << 20);
        let whole = file(&large);
        assert_eq!((whole.len(), whole[4]), (large.len() + BLOCK, 2));
        assert_eq!(file(&large[1..]).len(), large.len() - 1 + HEADER);
        assert_eq!(decode(whole.clone()).unwrap(), large);
        let mut early = [&whole[..HEADER], &large].concat();
        early[4] = 1;
        assert_eq!(decode(early.clone()).unwrap(), large);

        for at in 0..BLOCK {
            let mut bad = whole.clone();
            bad[at] ^= 4;
            assert!(decode(bad).is_err(), "{at}");
        }
        // A flipped bit does not make either of them a file of a newer program.
        let object = ObjectDigest::of(&large);
        for mut file in [whole, early] {
            file[5] ^= 1;
            assert!(newer(&file).is_some() && is_of_known_version(file, &object));
        }
        let mut small = self::file(b"x");
        small[4] = 2;
        assert!(decode(small).is_err());
    }

    #[test]
    fn lies_are_refused_before_memory_is_spent() {
        for mut lie in [file(b"x"), file(&[0; 1000])] {
            for length in [OBJECT_LIMIT + 1, OBJECT_LIMIT, 1 << 31, 999, 0] {
                lie[8..16].copy_from_slice(&length.to_le_bytes());
                assert!(decode(lie.clone()).is_err(), "{length}");
            }
        }
        // 1 GiB of zeros in 32 KiB, with a header that declares 1000 bytes.
        let body = zstd::bulk::compress(&vec![0; 1 << 20], 1).unwrap().repeat(1 << 10);
        let (header, _) = encode(&[0; 1000]).unwrap();
        let bomb = [&header[..], &seal(blake3::hash(&body)), &body].concat();
        assert_eq!(decode(bomb).unwrap_err().0, "its unpacked length does not match its header");
    }

    #[test]
    fn every_cut_is_found() {
        for whole in [file(b"some bytes"), file(&[7; 1000])] {
            for length in 0..whole.len() {
                assert!(decode(whole[..length].to_vec()).is_err(), "{length}");
            }
            assert!(decode([&whole[..], b"x"].concat()).is_err());
        }
    }
}
