//! A separate type for every hash, so that an object is never mistaken for a stage's key.
//!
//! All of them are 32 bytes of BLAKE3, written as 64 lower-case hexadecimal digits.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::io::{self, Write};
use std::str::FromStr;

/// Text that is not a hash: wrong length or a character that is not a lower-case hexadecimal digit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a hash: 64 hexadecimal digits are expected")]
pub struct NotADigest(String);

macro_rules! digest {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub struct $name([u8; 32]);

        impl Hash for $name {
            /// Uses only the first bytes, which suffice because they come from a hash.
            fn hash<H: Hasher>(&self, state: &mut H) {
                let [a, b, c, d, e, f, g, h, ..] = self.0;
                state.write_u64(u64::from_le_bytes([a, b, c, d, e, f, g, h]));
            }
        }

        impl $name {
            /// Wraps the bytes of a hash.
            pub const fn from_bytes(bytes: [u8; 32]) -> Self {
                Self(bytes)
            }

            /// Returns the bytes of the hash.
            pub const fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }

            /// Returns all hexadecimal digits.
            pub fn digits(&self) -> [u8; 64] {
                let mut digits = [0; 64];
                hex(&self.0, &mut digits);
                digits
            }

            /// Returns the first 12 hexadecimal digits, for display.
            pub fn short(&self) -> String {
                self.to_string()[..12].to_owned()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_hex(f, &self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.short())
            }
        }

        impl FromStr for $name {
            type Err = NotADigest;

            fn from_str(text: &str) -> Result<Self, NotADigest> {
                from_hex(text).map(Self).ok_or_else(|| NotADigest(text.chars().take(80).collect()))
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
                if out.is_human_readable() { out.collect_str(self) } else { self.0.serialize(out) }
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
                if input.is_human_readable() {
                    let text = String::deserialize(input)?;
                    text.parse().map_err(serde::de::Error::custom)
                } else {
                    <[u8; 32]>::deserialize(input).map(Self)
                }
            }
        }
    };
}

digest! {
    /// Name of an object: BLAKE3 of its raw (uncompressed) bytes.
    ObjectDigest
}
digest! {
    /// Name of a computation: the hash of everything that determines a stage's outputs.
    StageKey
}
digest! {
    /// Name of a record: BLAKE3 of its encoded bytes.
    RecordDigest
}

digest! {
    /// Name of a figure's closure: the hash of every stage's key and outputs ([`crate::closure`]).
    ClosureRoot
}
digest! {
    /// Name of a planned computation, known before anything is computed ([`wdpipe::graph::Graph::descriptions`]).
    Description
}
digest! {
    /// Name of a batch of signatures: BLAKE3 of its encoded bytes.
    BatchDigest
}

impl ObjectDigest {
    /// Returns the name of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(blake3::hash(bytes).into())
    }
}

impl RecordDigest {
    /// Returns the name of an encoded record.
    pub fn of(bytes: &[u8]) -> Self {
        Self(blake3::hash(bytes).into())
    }
}

impl BatchDigest {
    /// Returns the name of an encoded batch.
    pub fn of(bytes: &[u8]) -> Self {
        Self(blake3::hash(bytes).into())
    }
}

/// Writes bytes as lower-case hexadecimal digits.
///
/// # Errors
/// If the formatter fails.
pub fn write_hex(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    // Formats as many bytes as a hash has at once: byte by byte would take longer than hashing the object.
    let mut text = [0; 64];
    for bytes in bytes.chunks(text.len() / 2) {
        hex(bytes, &mut text);
        f.write_str(std::str::from_utf8(&text[..2 * bytes.len()]).map_err(|_| fmt::Error)?)?;
    }
    Ok(())
}

/// Writes two lower-case hexadecimal digits for each byte.
fn hex(bytes: &[u8], digits: &mut [u8; 64]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (pair, byte) in digits.chunks_exact_mut(2).zip(bytes) {
        pair.copy_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
    }
}

/// Parses exactly `2 N` lower-case hexadecimal digits, so that bytes have only one text.
pub fn from_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    if digits.len() != 2 * N {
        return None;
    }
    let nibble = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
    }
    Some(bytes)
}

/// A writer that hashes and counts the bytes written through it.
pub struct Hashing<W> {
    /// Underlying writer.
    pub out: W,
    /// Hash of the bytes so far.
    pub hasher: blake3::Hasher,
    /// Number of bytes so far.
    pub length: u64,
}

impl<W> Hashing<W> {
    /// Returns a new writer; `hasher` determines the domain of the hash.
    pub fn new(out: W, hasher: blake3::Hasher) -> Self {
        Self { out, hasher, length: 0 }
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        self.length += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_round_trips_and_is_the_published_blake3_of_nothing() {
        let digest = ObjectDigest::of(b"");
        let text = digest.to_string();
        // BLAKE3 specification, test vector of the empty input.
        assert_eq!(text, "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262");
        assert_eq!(text.parse(), Ok(digest));
        assert_eq!(digest.short(), "af1349b9f5f9");
    }

    #[test]
    fn what_is_no_hash_is_refused() {
        for text in ["", "af13", &"g".repeat(64), &"A".repeat(64), &"é".repeat(32)] {
            assert!(text.parse::<ObjectDigest>().is_err(), "{text}");
        }
    }
}
