//! The parts of a stage's key, and the record of a run.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::codec::{self, CodecError, Format};
use crate::digest::{ObjectDigest, RecordDigest, StageKey};
use crate::isolation::Isolation;
use crate::value::{Map, encode_length, encode_map, encode_text};
use crate::work::KindName;

/// The layout of a record without a log. Records without one keep it, so that older programs can read them.
const FORMAT: Format = Format { magic: *b"WDre", version: 1, name: "record" };

/// The layout of a record with a log: the record as in version 1, then the log.
const WITH_LOG: Format = Format { version: 2, ..FORMAT };

/// Maximum number of bytes of a record: decoding the worst record of that size takes 110 MiB of memory (a list of
/// maps with one entry each, 27 times the bytes). Records of figures are the largest, with 40 kB at smoke scale.
pub const RECORD_LIMIT: u64 = 4 << 20;

/// Everything that determines a stage's outputs; nothing else enters its key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct KeyParts {
    /// Kind of the stage.
    pub kind: String,
    /// Version of the kind.
    pub version: u32,
    /// Parameters of the stage.
    pub parameters: Map,
    /// Objects that it reads, by role.
    pub inputs: BTreeMap<String, ObjectDigest>,
    /// How numbers are computed (determinism, threads); empty for kinds without floating point.
    pub policy: Map,
}

impl KeyParts {
    /// Returns whether a user brought the outputs into the store, see [`is_import`].
    pub fn is_import(&self) -> bool {
        is_import(&self.kind)
    }

    /// Returns the key: BLAKE3 (derived key, see the code) of, in this order, the kind as text, the version in 4
    /// bytes little-endian, the parameters, the number of inputs and each role as text with the 32 bytes of its
    /// object in ascending order of the roles, and the policy; encoded as described in [`crate::value`].
    pub fn key(&self) -> StageKey {
        let Self { kind, version, parameters, inputs, policy } = self;
        let inputs = inputs.iter().map(|(role, object)| (role.as_str(), object));
        let encoded = |map| {
            let mut bytes = Vec::with_capacity(1 << 9);
            encode_map(&mut bytes, map);
            bytes
        };
        key(kind, *version, &encoded(parameters), inputs, &encoded(policy))
    }
}

/// Returns whether records of this kind hold what a user brought into the store, so that no stage can compute it again.
/// All such kinds, known or not, begin with `import`.
pub fn is_import(kind: &str) -> bool {
    kind.starts_with("import")
}

/// Returns the key of encoded parts; see [`KeyParts::key`]. The inputs must come in ascending order of their roles.
pub fn key<'a>(
    kind: &str,
    version: u32,
    parameters: &[u8],
    inputs: impl ExactSizeIterator<Item = (&'a str, &'a ObjectDigest)>,
    policy: &[u8],
) -> StageKey {
    // Hashed at once: passing single words to a hasher takes several times as long.
    let mut bytes = Vec::with_capacity(1 << 10);
    encode_text(&mut bytes, kind);
    bytes.extend(version.to_le_bytes());
    bytes.extend(parameters);
    encode_length(&mut bytes, inputs.len());
    for (role, object) in inputs {
        encode_text(&mut bytes, role);
        bytes.extend(object.as_bytes());
    }
    bytes.extend(policy);
    StageKey::from_bytes(blake3::derive_key("wdpipe 2026 stage key v1", &bytes))
}

/// One output of a stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Output {
    /// Name of the output, such as `weights`.
    pub name: String,
    /// Hash of its bytes.
    pub object: ObjectDigest,
    /// Number of bytes.
    pub bytes: u64,
    /// The bytes themselves, if they are few. They are then stored only in the record.
    pub inline: Option<Vec<u8>>,
}

/// Circumstances of a run. They never enter a key.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Provenance {
    /// Name of the stage when it ran, such as `fig3/trunk[lr=0.1,seed=0]@3`.
    pub stage: String,
    /// Version of wdpipe.
    pub wdpipe: String,
    /// Time of completion, in seconds since 1970 (UTC).
    pub finished: u64,
    /// Duration in seconds.
    pub seconds: f64,
    /// Counted floating-point operations; 0 if not counted.
    pub flops: f64,
    /// The user and host that ran it, as `user@host`.
    pub who: String,
    /// Device of the run, such as `cpu` or `cuda`.
    pub device: String,
    /// Class of machines within which the same key gives the same bytes: processor or GPU model,
    /// instruction set, libtorch version.
    pub machine: String,
    /// What the program of a command printed. If that was much, the middle is left out.
    #[serde(skip)]
    pub log: String,
}

/// The record of a run of a key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Parts of the key.
    pub parts: KeyParts,
    /// Outputs of the run, in the order defined by the kind.
    pub outputs: Vec<Output>,
    /// BLAKE3 of every tensor of the end state of training, by name; empty for other kinds.
    pub tensors: Vec<(String, ObjectDigest)>,
    /// Circumstances of the run.
    pub provenance: Provenance,
}

impl Record {
    /// Returns the encoded record and its name.
    ///
    /// # Errors
    /// If the record is larger than [`RECORD_LIMIT`].
    pub fn to_bytes(&self) -> Result<(RecordDigest, Vec<u8>), CodecError> {
        let bytes = match self.provenance.log.as_str() {
            "" => codec::encode(FORMAT, self)?,
            log => codec::encode(WITH_LOG, &(self, log))?,
        };
        codec::within(FORMAT, &bytes, RECORD_LIMIT)?;
        Ok((RecordDigest::of(&bytes), bytes))
    }

    /// Decodes a record; safe on untrusted bytes. The caller must check that the bytes match their name.
    ///
    /// # Errors
    /// If the bytes are not a record, are more than [`RECORD_LIMIT`], have another version, or an inline output does
    /// not match its hash.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CodecError> {
        within_limit(bytes)?;
        let record = Self::decode(bytes)?;
        for output in &record.outputs {
            if let Some(inline) = &output.inline
                && (ObjectDigest::of(inline) != output.object || inline.len() as u64 != output.bytes)
            {
                let reason = format!("the bytes of output `{}` do not match its hash", output.name);
                return Err(CodecError::Damaged { name: FORMAT.name, reason });
            }
        }
        Ok(record)
    }

    fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        match codec::decode::<(Self, String)>(WITH_LOG, bytes) {
            // One record must have one encoding.
            Ok((_, log)) if log.is_empty() => {
                Err(CodecError::Damaged { name: FORMAT.name, reason: "its log is empty".to_owned() })
            }
            Ok((record, log)) => Ok(Self { provenance: Provenance { log, ..record.provenance }, ..record }),
            Err(CodecError::Version { found, .. }) if found == FORMAT.version => codec::decode(FORMAT, bytes),
            Err(error) => Err(error),
        }
    }

    /// Returns the output of a name.
    pub fn output(&self, name: &str) -> Option<&Output> {
        self.outputs.iter().find(|output| output.name == name)
    }

    /// Returns how strictly the program was isolated; `None` if the stage ran no program of the user's own.
    pub fn isolation(&self) -> Option<Isolation> {
        let runs_program = KindName::named(&self.parts.kind).is_some_and(KindName::runs_program);
        runs_program.then(|| Isolation::recorded(&self.provenance.machine))
    }

    /// Whether both yielded the same outputs, byte for byte.
    pub fn same_outputs(&self, other: &Self) -> bool {
        same(&self.outputs, &other.outputs)
    }

    /// Returns the outline of the record, with the record's name.
    pub fn into_outline(self, digest: RecordDigest) -> Outline {
        Outline { digest, outputs: self.outputs }
    }
}

/// The part of a record that dependent stages need: a plan with very many stages keeps only this of each. The rest is
/// read when needed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outline {
    /// Name of the record.
    pub digest: RecordDigest,
    /// Outputs, as in the record.
    pub outputs: Vec<Output>,
}

impl Outline {
    /// Returns the output of a name.
    pub fn output(&self, name: &str) -> Option<&Output> {
        self.outputs.iter().find(|output| output.name == name)
    }

    /// Whether both runs yielded the same outputs, byte for byte.
    pub fn same_outputs(&self, other: &Self) -> bool {
        self.says(&other.outputs)
    }

    /// Whether its outputs are exactly these.
    pub fn says(&self, outputs: &[Output]) -> bool {
        same(&self.outputs, outputs)
    }
}

fn same(one: &[Output], other: &[Output]) -> bool {
    one.len() == other.len() && one.iter().zip(other).all(|(a, b)| (&a.name, a.object) == (&b.name, b.object))
}

fn within_limit(bytes: &[u8]) -> Result<(), CodecError> {
    let length = bytes.len() as u64;
    let reason = || format!("its {length} bytes exceed the limit of {RECORD_LIMIT} for records");
    if length > RECORD_LIMIT { Err(CodecError::Damaged { name: FORMAT.name, reason: reason() }) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::Value;

    pub(crate) fn sample() -> Record {
        let parts = KeyParts {
            kind: "train".into(),
            version: 1,
            parameters: [("lr".into(), Value::Float(0.1))].into(),
            inputs: [("weights".into(), ObjectDigest::of(b"w"))].into(),
            policy: Map::new(),
        };
        let output = |inline: &[u8]| Output {
            name: "metrics".into(),
            object: ObjectDigest::of(inline),
            bytes: inline.len() as u64,
            inline: Some(inline.to_vec()),
        };
        Record { parts, outputs: vec![output(b"table")], tensors: vec![], provenance: Provenance::default() }
    }

    #[test]
    fn the_key_is_pinned_and_every_part_changes_it() {
        let parts = sample().parts;
        // If this fails, no stored result is found under its key any more: the derived key's context must say v2.
        assert_eq!(parts.key().to_string(), PINNED);
        let changed: [fn(&mut KeyParts); 6] = [
            |p| p.kind.push('x'),
            |p| p.version += 1,
            |p| p.parameters.extend([("lr".into(), Value::Float(0.2))]),
            |p| p.inputs.extend([("weights".into(), ObjectDigest::of(b"v"))]),
            |p| p.inputs.extend([("other".into(), ObjectDigest::of(b"w"))]),
            |p| p.policy.extend([("threads".into(), Value::Int(1))]),
        ];
        for change in changed {
            let mut other = parts.clone();
            change(&mut other);
            assert_ne!(other.key(), parts.key(), "{other:?}");
        }
    }

    const PINNED: &str = "153edbce413ecedf5d7adf7050543050ef16edeed568c7255c23615ef4671b48";

    #[test]
    fn records_round_trip_and_a_wrong_inline_output_is_refused() {
        let mut record = sample();
        let (_, bytes) = record.to_bytes().unwrap();
        assert_eq!(Record::from_bytes(&bytes), Ok(record.clone()));
        record.outputs[0].inline = Some(b"tablf".to_vec());
        let (_, bytes) = record.to_bytes().unwrap();
        assert!(matches!(Record::from_bytes(&bytes), Err(CodecError::Damaged { .. })));
    }

    #[test]
    fn a_log_is_kept_and_changes_neither_the_key_nor_a_record_without_one() {
        let plain = sample();
        let mut logged = plain.clone();
        logged.provenance.log = "epoch 1\n".into();
        let (old, bytes) = plain.to_bytes().unwrap();
        assert_eq!(bytes[4..6], [1, 0], "an older program can read it");
        let (new, with_log) = logged.to_bytes().unwrap();
        assert_eq!(with_log[4..6], [2, 0], "an older program refuses it");
        assert_eq!(Record::from_bytes(&with_log), Ok(logged.clone()));
        assert!(old != new && plain.parts.key() == logged.parts.key() && plain.same_outputs(&logged));
        let empty = codec::encode(WITH_LOG, &(&plain, "")).unwrap();
        assert!(matches!(Record::from_bytes(&empty), Err(CodecError::Damaged { .. })));
        let next = [&b"WDre\x03\x00"[..], &bytes[6..]].concat();
        assert!(matches!(Record::from_bytes(&next), Err(CodecError::Version { found: 3, known: 2, .. })));
    }

    #[test]
    fn hostile_bytes_end_neither_the_stack_nor_the_memory() {
        // A million nested lists.
        let list = [&4_u32.to_le_bytes()[..], &1_u64.to_le_bytes()].concat();
        let bytes = [&b"WDre\x01\x00"[..], &list.repeat(1_000_000)].concat();
        assert!(matches!(codec::decode::<Value>(FORMAT, &bytes), Err(CodecError::Damaged { .. })));

        let mut record = sample();
        record.provenance.who = "x".repeat(RECORD_LIMIT as usize);
        assert!(matches!(record.to_bytes(), Err(CodecError::TooLarge { limit: RECORD_LIMIT, .. })));
        let bytes = codec::encode(FORMAT, &record).unwrap();
        assert!(Record::from_bytes(&bytes).unwrap_err().to_string().contains("exceed the limit of 4194304"));
    }
}
