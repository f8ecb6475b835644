//! The only module that uses bincode: every stored value starts with a magic number and a version, uses fixed-width
//! little-endian integers, is decoded under a size limit, and leaves no extra bytes.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Maximum number of bytes of an encoded value (tables and records; weights and images are not encoded here).
/// Decoding the worst table of that size (short text in every cell) takes 100 MiB of memory; records have a lower
/// limit.
const LIMIT: usize = 16 << 20;

/// Number of bytes of the magic number and the version.
const HEADER: usize = 6;

/// Type of a stored value and the version of its layout that this program writes.
#[derive(Debug, Clone, Copy)]
pub struct Format {
    /// First four bytes of the encoded value.
    pub magic: [u8; 4],
    /// Version, to be increased when the layout changes; older programs then refuse the value instead of misreading
    /// it.
    pub version: u16,
    /// Name for messages ("record", "table").
    pub name: &'static str,
}

/// Why bytes could not be decoded, or a value not be encoded.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// The magic number is wrong, or there are fewer bytes than in a header.
    #[error("not a wdpipe {0}")]
    NotThis(&'static str),
    /// The value was written in another version of the layout.
    #[error(
        "the {name} has format version {found}, but this wdpipe ({}) reads version {known}: use a newer wdpipe, one that reads \
         {found}",
        env!("CARGO_PKG_VERSION")
    )]
    Version {
        /// Name of the type.
        name: &'static str,
        /// Version of the value.
        found: u16,
        /// Version that this program reads.
        known: u16,
    },
    /// The value is too large to be read again, so it is not written.
    #[error("this {name} of {bytes} bytes is larger than the limit of {limit} bytes: it is not written")]
    TooLarge {
        /// Name of the type.
        name: &'static str,
        /// Number of bytes.
        bytes: u64,
        /// Maximum number of bytes.
        limit: u64,
    },
    /// The bytes are truncated, altered, too large, or followed by extra bytes.
    #[error("damaged {name}: {reason}")]
    Damaged {
        /// Name of the type.
        name: &'static str,
        /// Reason, such as bincode's message.
        reason: String,
    },
}

fn config() -> impl bincode::config::Config {
    bincode::config::legacy().with_limit::<LIMIT>()
}

/// Encodes a value after its header. [`decode`] reads the result.
///
/// # Errors
/// If the value is larger than the limit or contains something that serde cannot write.
pub fn encode<T: Serialize>(format: Format, value: &T) -> Result<Vec<u8>, CodecError> {
    let mut bytes = format.magic.to_vec();
    bytes.extend(format.version.to_le_bytes());
    bincode::serde::encode_into_std_write(value, &mut bytes, config())
        .map_err(|error| CodecError::Damaged { name: format.name, reason: error.to_string() })?;
    // bincode's own limit applies only to decoding.
    within(format, &bytes, (HEADER + LIMIT) as u64)?;
    Ok(bytes)
}

/// Checks that encoded bytes are within the limit for reading them.
///
/// # Errors
/// If they are larger.
pub fn within(format: Format, bytes: &[u8], limit: u64) -> Result<(), CodecError> {
    let bytes = bytes.len() as u64;
    if bytes > limit { Err(CodecError::TooLarge { name: format.name, bytes, limit }) } else { Ok(()) }
}

/// Decodes a value written by [`encode`]; safe on untrusted bytes.
///
/// # Errors
/// If the bytes are another type of value, have another version, or are damaged.
pub fn decode<T: DeserializeOwned>(format: Format, bytes: &[u8]) -> Result<T, CodecError> {
    let (Some(magic), Some(version)) = (bytes.get(..4), bytes.get(4..6)) else {
        return Err(CodecError::NotThis(format.name));
    };
    if magic != format.magic {
        return Err(CodecError::NotThis(format.name));
    }
    let found = u16::from_le_bytes([version[0], version[1]]);
    if found != format.version {
        return Err(CodecError::Version { name: format.name, found, known: format.version });
    }
    let damaged = |reason: String| CodecError::Damaged { name: format.name, reason };
    let body = &bytes[HEADER..];
    let (value, read) = bincode::serde::decode_from_slice(body, config()).map_err(|e| damaged(e.to_string()))?;
    if read != body.len() {
        return Err(damaged(format!("{} extra bytes", body.len() - read)));
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORMAT: Format = Format { magic: *b"WDtt", version: 2, name: "test value" };

    #[test]
    fn values_round_trip() {
        let value = (7_u32, String::from("sieben"), vec![1.5_f64, -0.0]);
        let bytes = encode(FORMAT, &value).unwrap();
        assert_eq!(decode(FORMAT, &bytes), Ok(value));
    }

    #[test]
    fn what_is_written_can_be_read_and_what_cannot_is_refused() {
        fn holds<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(of: impl Fn(usize) -> T, size: usize) {
            // Bisection finds the largest value that is written: it can be read, and a larger one is refused.
            let (mut fits, mut too_large) = (LIMIT / size - 16, LIMIT / size + 16);
            while too_large - fits > 1 {
                let middle = usize::midpoint(fits, too_large);
                if encode(FORMAT, &of(middle)).is_ok() { fits = middle } else { too_large = middle }
            }
            let bytes = encode(FORMAT, &of(fits)).unwrap();
            assert!(bytes.len() > LIMIT - 64, "{} bytes", bytes.len());
            assert_eq!(decode::<T>(FORMAT, &bytes).unwrap(), of(fits));
            let refused = encode(FORMAT, &of(fits + 1)).unwrap_err();
            assert!(matches!(refused, CodecError::TooLarge { .. }), "{refused}");
        }
        holds(|count| vec![f64::MAX; count], 8);
        holds(|count| "x".repeat(count), 1);
        holds(|count| vec![(Some(7_u16), "ab".to_owned(), [0_u8; 4]); count], 17);
    }

    #[test]
    fn hostile_bytes_are_refused_not_believed() {
        let good = encode(FORMAT, &vec![1_u64, 2, 3]).unwrap();
        let read = |bytes: &[u8]| decode::<Vec<u64>>(FORMAT, bytes);
        assert_eq!(read(b""), Err(CodecError::NotThis("test value")));
        assert_eq!(read(b"WDxx\x02\x00"), Err(CodecError::NotThis("test value")));
        let mut newer = good.clone();
        newer[4] = 3;
        assert!(matches!(read(&newer), Err(CodecError::Version { found: 3, known: 2, .. })));
        assert!(matches!(read(&good[..good.len() - 1]), Err(CodecError::Damaged { .. })));
        let longer = [&good[..], b"x"].concat();
        assert!(matches!(read(&longer), Err(CodecError::Damaged { .. })));
        // A length of 2^60 elements must be refused before memory is allocated.
        let mut huge = good[..6].to_vec();
        huge.extend((1_u64 << 60).to_le_bytes());
        assert!(matches!(read(&huge), Err(CodecError::Damaged { .. })));
    }
}
