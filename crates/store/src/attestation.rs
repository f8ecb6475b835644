//! Attestations: signed statements that somebody recomputed parts of a figure, and with what result. Their coverage
//! adds up.
//!
//! `reports/<profile>/<figure>.receipts` holds them as TOML, one `[[receipt]]` after the other; new ones are
//! appended. The signature covers the encoded [`Testimony`].

use std::fmt::Write;

use serde::{Deserialize, Serialize};

use crate::lockfile::{Lock, Locked};
use crate::sign::{PublicKey, Purpose, SecretKey, Signature};
use base::closure;
use base::codec::{self, Format};
use base::digest::{ClosureRoot, StageKey};
use base::work::KindName;

const FORMAT: Format = Format { magic: *b"WDrc", version: 1, name: "attestation" };

/// Maximum number of bytes of a file of attestations.
pub const LIMIT: u64 = 4 << 20;

/// A recomputed stage: its key, and the root of its outputs alone ([`closure::root`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Segment {
    /// Key of the stage.
    pub key: StageKey,
    /// Root of its recorded outputs.
    pub outcome: ClosureRoot,
}

impl Segment {
    /// Returns the segment of a locked stage.
    pub fn of(stage: &Locked) -> Self {
        Self { key: stage.key, outcome: closure::root([stage.outcome()]) }
    }
}

/// Contents of an attestation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Testimony {
    /// The figure's name.
    pub figure: String,
    /// Root of the figure's closure.
    pub root: ClosureRoot,
    /// Seed of the random choice of segments ([`wdpipe::verify::pick`]).
    pub seed: String,
    /// Number of segments that the choice was made from.
    pub out_of: u32,
    /// Segments that were reproduced bit for bit.
    pub equal: Vec<Segment>,
    /// Segments with different bits within the tolerances of their contract.
    pub within: Vec<Segment>,
    /// Segments with different results.
    pub differs: Vec<Segment>,
    /// The class of the machine.
    pub machine: String,
    /// The user and host, as `user@host`.
    pub who: String,
    /// Time of completion, in seconds since 1970 (UTC).
    pub finished: u64,
    /// Version of wdpipe.
    pub wdpipe: String,
}

/// A signed testimony. If it was read from a text, its signature has been verified.
#[derive(Debug, Clone, PartialEq)]
pub struct Attestation {
    /// The signed testimony.
    pub said: Testimony,
    /// Key of the signer.
    pub by: PublicKey,
    signature: Signature,
}

/// Why a text cannot be read as attestations.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AttestationError {
    /// The text has invalid syntax.
    #[error("invalid attestations: {0}")]
    Syntax(String),
    /// The signature of an attestation does not match its contents.
    #[error("attestation {0} of {1} has a wrong signature: it was altered or forged")]
    Signature(usize, usize),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default, rename = "receipt")]
    attestations: Vec<Row>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    figure: String,
    root: ClosureRoot,
    seed: String,
    out_of: u32,
    equal: Vec<String>,
    within: Vec<String>,
    differs: Vec<String>,
    machine: String,
    who: String,
    finished: u64,
    wdpipe: String,
    by: String,
    signature: String,
}

impl Testimony {
    fn signed_bytes(&self) -> Result<Vec<u8>, AttestationError> {
        codec::encode(FORMAT, self).map_err(|error| AttestationError::Syntax(error.to_string()))
    }
}

impl Attestation {
    /// Signs a testimony.
    ///
    /// # Errors
    /// If it is too large.
    pub fn sign(said: Testimony, key: &SecretKey) -> Result<Self, AttestationError> {
        let signature = key.sign(Purpose::Attestation, &said.signed_bytes()?);
        Ok(Self { said, by: key.public(), signature })
    }

    /// Returns its text, which can be appended to other attestations.
    pub fn to_text(&self) -> String {
        let Testimony { figure, root, seed, out_of, equal, within, differs, machine, who, finished, wdpipe } =
            &self.said;
        let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
        let mut out = format!(
            "[[receipt]]\nfigure = {}\nroot = \"{root}\"\nseed = {}\nout_of = {out_of}\n",
            quoted(figure),
            quoted(seed)
        );
        for (name, segments) in [("equal", equal), ("within", within), ("differs", differs)] {
            let lines = segments.iter().map(|segment| format!("\n  \"{} {}\",", segment.key, segment.outcome));
            let lines: String = lines.collect();
            let _ = writeln!(out, "{name} = [{lines}{}]", if lines.is_empty() { "" } else { "\n" });
        }
        let _ = writeln!(
            out,
            "machine = {}\nwho = {}\nfinished = {finished}\nwdpipe = {}\nby = \"{}\"\nsignature = \"{}\"\n",
            quoted(machine),
            quoted(who),
            quoted(wdpipe),
            self.by,
            self.signature
        );
        out
    }

    /// Reads and verifies attestations; safe on untrusted text.
    ///
    /// # Errors
    /// If the text is not a list of attestations, or a signature is wrong.
    pub fn read(text: &str) -> Result<Vec<Self>, AttestationError> {
        let syntax = |message: String| AttestationError::Syntax(message);
        if text.len() as u64 > LIMIT {
            return Err(syntax(format!("the file has more than {LIMIT} bytes")));
        }
        let file: File = toml::from_str(text).map_err(|error| syntax(error.to_string().trim_end().to_owned()))?;
        let count = file.attestations.len();
        let read = |(place, row): (usize, Row)| {
            let segments = |lines: Vec<String>| lines.iter().map(|line| segment(line)).collect::<Result<Vec<_>, _>>();
            let by: PublicKey = row.by.parse().map_err(|error| syntax(format!("{error}")))?;
            let signature: Signature = row.signature.parse().map_err(|error| syntax(format!("{error}")))?;
            let said = Testimony {
                figure: row.figure,
                root: row.root,
                seed: row.seed,
                out_of: row.out_of,
                equal: segments(row.equal)?,
                within: segments(row.within)?,
                differs: segments(row.differs)?,
                machine: row.machine,
                who: row.who,
                finished: row.finished,
                wdpipe: row.wdpipe,
            };
            if !by.verify(Purpose::Attestation, &said.signed_bytes()?, &signature) {
                return Err(AttestationError::Signature(place + 1, count));
            }
            Ok(Self { said, by, signature })
        };
        file.attestations.into_iter().enumerate().map(read).collect()
    }
}

fn segment(line: &str) -> Result<Segment, AttestationError> {
    let parsed = line.split_once(' ').and_then(|(key, outcome)| Some((key.parse().ok()?, outcome.parse().ok()?)));
    let (key, outcome) =
        parsed.ok_or_else(|| AttestationError::Syntax(format!("`{line}` is not a key and an outcome")))?;
    Ok(Segment { key, outcome })
}

/// How much of a figure was recomputed.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Coverage {
    /// Number of training segments that the figure depends on.
    pub segments: usize,
    /// Number of segments that somebody recomputed with the same result.
    pub covered: usize,
    /// Names of segments that somebody recomputed with a different result.
    pub disputed: Vec<String>,
    /// Keys of the signers.
    pub keys: Vec<PublicKey>,
    /// Number of attestations that cover nothing of this figure as it is locked now.
    pub elsewhere: usize,
}

/// Returns what attestations cover of a locked figure. A segment counts if its key and its outputs are those of the
/// lock, regardless of the figure or lock that it was recomputed for.
pub fn coverage<'a>(lock: &Lock, attestations: impl IntoIterator<Item = &'a Attestation>) -> Coverage {
    let mut segments: std::collections::BTreeMap<Segment, (&str, bool, bool)> = std::collections::BTreeMap::new();
    for stage in lock.stages.iter().filter(|stage| stage.kind == KindName::Train.name()) {
        segments.insert(Segment::of(stage), (&stage.name, false, false));
    }
    let mut coverage = Coverage { segments: segments.len(), ..Coverage::default() };
    for Attestation { said, by, .. } in attestations {
        let mut counts = false;
        for segment in said.equal.iter().chain(&said.within) {
            if let Some((_, covered, _)) = segments.get_mut(segment) {
                (*covered, counts) = (true, true);
            }
        }
        for segment in &said.differs {
            if let Some((_, _, disputed)) = segments.get_mut(segment) {
                (*disputed, counts) = (true, true);
            }
        }
        if !counts {
            coverage.elsewhere += 1;
        } else if !coverage.keys.contains(by) {
            coverage.keys.push(*by);
        }
    }
    coverage.covered = segments.values().filter(|(_, covered, _)| *covered).count();
    let disputed = segments.values().filter(|(_, _, disputed)| *disputed);
    coverage.disputed = disputed.map(|(name, ..)| (*name).to_owned()).collect();
    coverage
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::digest::ObjectDigest;

    fn lock() -> Lock {
        let stage = |i: u8| Locked {
            name: format!("s{i}"),
            kind: if i < 4 { "train" } else { "figure" }.into(),
            version: 1,
            key: StageKey::from_bytes([i; 32]),
            machine: String::new(),
            outputs: [("weights".to_owned(), ObjectDigest::of(&[i]))].into(),
        };
        let names = ("f".to_owned(), "f".to_owned(), "smoke".to_owned());
        let (figure, pipeline, profile) = names;
        Lock {
            name: figure.clone(),
            figure,
            pipeline,
            profile,
            set: vec![],
            files: Default::default(),
            stages: (0..5).map(stage).collect(),
        }
    }

    fn attestation(equal: &[usize], differs: &[usize], key: &SecretKey) -> Attestation {
        let lock = lock();
        let segments = |places: &[usize]| places.iter().map(|&place| Segment::of(&lock.stages[place])).collect();
        let said = Testimony {
            figure: "f".into(),
            root: lock.root(),
            seed: "\"x\"\n".into(),
            out_of: 4,
            equal: segments(equal),
            within: vec![],
            differs: segments(differs),
            machine: "m".into(),
            who: "a@b".into(),
            finished: 1,
            wdpipe: "0".into(),
        };
        Attestation::sign(said, key).unwrap()
    }

    #[test]
    fn attestations_add_up() {
        let (a, b) = (SecretKey::generate().unwrap(), SecretKey::generate().unwrap());
        let all = [attestation(&[0, 1], &[], &a), attestation(&[1, 2], &[3], &b), attestation(&[0], &[], &a)];
        let text: String = all.iter().map(Attestation::to_text).collect();
        assert_eq!(Attestation::read(&text).unwrap(), all);
        let coverage = coverage(&lock(), &all);
        assert_eq!((coverage.segments, coverage.covered, coverage.keys.len()), (4, 3, 2));
        assert_eq!(coverage.disputed, ["s3"]);
    }

    #[test]
    fn an_attestation_of_other_outputs_counts_for_nothing() {
        let mut other = lock();
        other.stages[0].outputs.insert("weights".into(), ObjectDigest::of(b"forged"));
        let coverage = coverage(&other, &[attestation(&[0], &[], &SecretKey::generate().unwrap())]);
        assert_eq!((coverage.covered, coverage.elsewhere), (0, 1));
    }

    #[test]
    fn every_altered_byte_is_found() {
        let attestation = attestation(&[0, 1], &[2], &SecretKey::generate().unwrap());
        let text = attestation.to_text();
        for at in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[at] ^= 1;
            let Ok(altered) = String::from_utf8(bytes) else { continue };
            match Attestation::read(&altered) {
                Err(_) => {}
                // White space between lines can change; the contents cannot.
                Ok(read) => assert!(read.is_empty() || read == [attestation.clone()], "byte {at}"),
            }
        }
    }
}
