//! One signature for many records.

use serde::{Deserialize, Serialize};

use super::key::{PublicKey, Purpose, SecretKey, Signature};
use base::codec::{self, CodecError, Format};
use base::digest::{BatchDigest, RecordDigest};

/// Maximum number of records of a batch.
pub const BATCH_LIMIT: usize = 400_000;

const FORMAT: Format = Format { magic: *b"WDsg", version: 1, name: "batch of signatures" };

/// Why a batch is invalid.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// The bytes are not an encoded batch, or have another version.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// The batch has no records.
    #[error("a batch of signatures without a record")]
    Empty,
    /// The batch has more records than allowed.
    #[error("a batch of signatures has at most {BATCH_LIMIT} records")]
    TooMany,
    /// The records are not in ascending order, or one is repeated.
    #[error("the records of this batch of signatures are not in order")]
    Order,
    /// The signature was made with another key, for another purpose, or for other records.
    #[error("this signature was not made by {0} for these records")]
    Signature(PublicKey),
}

/// Records that the owner of a key vouches for. A batch in memory is always valid: its signature was made here or
/// verified.
///
/// Encoded, after the codec's header `WDsg` 1: the public key (32 bytes), the number of records (8 bytes,
/// little-endian), the records' digests in ascending order (32 bytes each), and the signature (64 bytes). The
/// signature covers the digests, one after the other, for [`Purpose::Records`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch(Stored);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Stored {
    by: PublicKey,
    records: Vec<RecordDigest>,
    signature: Signature,
}

impl Batch {
    /// Maximum number of bytes of an encoded batch.
    pub const MAX_BYTES: u64 = 6 + 32 + 8 + 32 * BATCH_LIMIT as u64 + 64;

    /// Signs records; their order does not matter, and repeated ones count once.
    ///
    /// # Errors
    /// If there are no records, or more than [`BATCH_LIMIT`].
    pub fn sign(key: &SecretKey, records: impl IntoIterator<Item = RecordDigest>) -> Result<Self, BatchError> {
        let mut records: Vec<_> = records.into_iter().collect();
        records.sort_unstable();
        records.dedup();
        check(&records)?;
        let signature = key.sign(Purpose::Records, &message(&records));
        Ok(Self(Stored { by: key.public(), records, signature }))
    }

    /// Returns the key of the signer.
    pub fn by(&self) -> &PublicKey {
        &self.0.by
    }

    /// Returns the signed records: at least one, in ascending order.
    pub fn records(&self) -> &[RecordDigest] {
        &self.0.records
    }

    /// Returns the signature.
    pub fn signature(&self) -> &Signature {
        &self.0.signature
    }

    /// Returns the encoded batch and its name.
    ///
    /// # Errors
    /// If the codec cannot encode the batch, which does not happen for a batch within the limit.
    pub fn to_bytes(&self) -> Result<(BatchDigest, Vec<u8>), CodecError> {
        let bytes = codec::encode(FORMAT, &self.0)?;
        Ok((BatchDigest::of(&bytes), bytes))
    }

    /// Decodes and verifies a batch; safe on untrusted bytes. The caller must check that the bytes match their name.
    ///
    /// # Errors
    /// If the bytes are not a batch, have another version, or the signature is invalid.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, BatchError> {
        if bytes.len() as u64 > Self::MAX_BYTES {
            return Err(BatchError::TooMany);
        }
        let stored: Stored = codec::decode(FORMAT, bytes)?;
        check(&stored.records)?;
        if !stored.by.verify(Purpose::Records, &message(&stored.records), &stored.signature) {
            return Err(BatchError::Signature(stored.by));
        }
        Ok(Self(stored))
    }
}

fn check(records: &[RecordDigest]) -> Result<(), BatchError> {
    match records.len() {
        0 => Err(BatchError::Empty),
        length if length > BATCH_LIMIT => Err(BatchError::TooMany),
        _ if !records.is_sorted_by(|one, next| one < next) => Err(BatchError::Order),
        _ => Ok(()),
    }
}

fn message(records: &[RecordDigest]) -> Vec<u8> {
    records.iter().flat_map(|record| *record.as_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digests(count: u8) -> Vec<RecordDigest> {
        (0..count).map(|i| RecordDigest::of(&[i])).collect()
    }

    /// Returns the bytes of a batch with arbitrary contents.
    fn forged(by: PublicKey, records: Vec<RecordDigest>, signature: Signature) -> Vec<u8> {
        codec::encode(FORMAT, &Stored { by, records, signature }).unwrap()
    }

    #[test]
    fn batches_round_trip_whatever_the_order() {
        let key = SecretKey::generate().unwrap();
        let records = digests(5);
        let batch = Batch::sign(&key, records.iter().rev().chain(&records).copied()).unwrap();
        assert_eq!((batch.by(), batch.records().len()), (&key.public(), 5));
        assert_eq!(batch, Batch::sign(&key, records).unwrap());
        let (digest, bytes) = batch.to_bytes().unwrap();
        assert_eq!((digest, bytes.len()), (BatchDigest::of(&bytes), 6 + 32 + 8 + 5 * 32 + 64));
        assert_eq!(&bytes[bytes.len() - 64..], base::digest::from_hex::<64>(&batch.signature().to_string()).unwrap());
        assert_eq!(Batch::from_bytes(&bytes), Ok(batch));
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_refused() {
        let (_, good) = Batch::sign(&SecretKey::generate().unwrap(), digests(3)).unwrap().to_bytes().unwrap();
        for at in 0..good.len() {
            for bit in 0..8 {
                let mut bad = good.clone();
                bad[at] ^= 1 << bit;
                assert!(Batch::from_bytes(&bad).is_err(), "byte {at}, bit {bit}");
            }
            assert!(Batch::from_bytes(&good[..at]).is_err(), "{at} bytes");
        }
        assert!(Batch::from_bytes(&[&good[..], b"x"].concat()).is_err());
    }

    #[test]
    fn what_was_signed_differently_is_refused() {
        let key = SecretKey::generate().unwrap();
        let signed = |purpose, records: Vec<RecordDigest>| {
            let signature = key.sign(purpose, &message(&records));
            Batch::from_bytes(&forged(key.public(), records, signature))
        };
        let mut sorted = digests(3);
        sorted.sort_unstable();
        assert!(signed(Purpose::Records, sorted.clone()).is_ok());
        assert_eq!(signed(Purpose::Attestation, sorted.clone()), Err(BatchError::Signature(key.public())));
        assert_eq!(signed(Purpose::Records, vec![]), Err(BatchError::Empty));
        sorted.swap(0, 1);
        assert_eq!(signed(Purpose::Records, sorted.clone()), Err(BatchError::Order));
        assert_eq!(signed(Purpose::Records, vec![sorted[1], sorted[1]]), Err(BatchError::Order));
        let other = SecretKey::generate().unwrap();
        let signature = other.sign(Purpose::Records, &message(&sorted[..1]));
        let stolen = forged(key.public(), sorted[..1].to_vec(), signature);
        assert_eq!(Batch::from_bytes(&stolen), Err(BatchError::Signature(key.public())));
        let newer = [&b"WDsg\x02\x00"[..], &stolen[6..]].concat();
        assert!(matches!(Batch::from_bytes(&newer), Err(BatchError::Codec(CodecError::Version { found: 2, .. }))));
    }

    #[test]
    fn there_is_a_limit() {
        let key = SecretKey::generate().unwrap();
        let numbered = |i: usize| {
            let mut bytes = [0; 32];
            bytes[..8].copy_from_slice(&(i as u64).to_be_bytes());
            RecordDigest::from_bytes(bytes)
        };
        let full = Batch::sign(&key, (0..BATCH_LIMIT).map(numbered)).unwrap();
        let (_, bytes) = full.to_bytes().unwrap();
        assert_eq!(bytes.len() as u64, Batch::MAX_BYTES);
        assert!(Batch::from_bytes(&bytes).is_ok());
        assert_eq!(Batch::sign(&key, (0..=BATCH_LIMIT).map(numbered)), Err(BatchError::TooMany));
        assert_eq!(Batch::from_bytes(&[bytes, vec![0]].concat()), Err(BatchError::TooMany));
        assert_eq!(Batch::sign(&key, []), Err(BatchError::Empty));
        // A false number of records is rejected.
        let mut lie = forged(key.public(), digests(1), *full.signature());
        lie[38..46].copy_from_slice(&u64::MAX.to_le_bytes());
        assert!(matches!(Batch::from_bytes(&lie), Err(BatchError::Codec(CodecError::Damaged { .. }))));
    }
}
