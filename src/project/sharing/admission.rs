//! Decides which records from outside are admitted to the store.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use crate::project::{Failure, Project};
use base::closure::Member;
use base::digest::RecordDigest;
use store::sign::{Accept, Batch, PublicKey, Standing, Trust};
use store::{Refusal, Store};

/// Hint for the case that other data were imported here under the same name.
pub const OTHER_IMPORT: &str =
    "use another cache with --cache DIR, because figures in this cache would start from other data";

/// Records that are accepted in addition to those that the project trusts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Accepted {
    /// Records without a signature.
    Unsigned,
    /// Records that this key signed.
    Key(PublicKey),
}

impl FromStr for Accepted {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "unsigned" => Ok(Self::Unsigned),
            key => {
                key.parse().map(Self::Key).map_err(|_| "`unsigned` or a public key (ed25519:…) is expected".to_owned())
            }
        }
    }
}

impl fmt::Display for Accepted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsigned => write!(f, "unsigned"),
            Self::Key(key) => write!(f, "{key}"),
        }
    }
}

/// Decides which records are admitted.
pub struct Gate {
    trust: Trust,
    accept: Vec<Accepted>,
}

impl Project {
    /// Makes a gate from the project's policy and what the user accepts in addition.
    ///
    /// # Errors
    /// If the project's trust file is wrong.
    pub fn gate(&self, accept: &[Accepted]) -> Result<Gate, Failure> {
        Ok(Gate { trust: Trust::load(&self.trust)?, accept: accept.to_vec() })
    }
}

/// Why a record is not admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Objection {
    /// Nobody signed it.
    Unsigned,
    /// Only revoked keys signed it.
    Revoked,
    /// No trusted key signed it; this is the first signer that is not revoked.
    Stranger(PublicKey),
}

impl Gate {
    /// Also accepts the records that a list of words names, as `--accept` does.
    ///
    /// # Errors
    /// If a word cannot be parsed.
    pub fn and(mut self, words: &[String]) -> Result<Self, Failure> {
        for word in words {
            let accepted =
                word.parse::<Accepted>().map_err(|error| Failure::usage(format!("`{word}`: {error}"), ""))?;
            self.accept.push(accepted);
        }
        Ok(self)
    }

    /// Checks that a record is admitted, given batches of signatures.
    ///
    /// # Errors
    /// If the record is not admitted; the hint has the option that admits it.
    pub fn admits(&self, digest: RecordDigest, batches: &[Batch]) -> Result<(), Refusal> {
        let signs = |batch: &&Batch| batch.records().binary_search(&digest).is_ok();
        let signers: BTreeSet<PublicKey> = batches.iter().filter(signs).map(|batch| *batch.by()).collect();
        self.objects(&signers).map_or(Ok(()), |objection| {
            let unsigned = "`--accept unsigned` lets it in";
            let (reason, hint) = match objection {
                Objection::Stranger(key) => (
                    format!("it is signed by {key}, which trust.toml does not contain"),
                    format!("`wdpipe keys trust NAME {key}` trusts the key, `--accept {key}` lets the record in once"),
                ),
                Objection::Unsigned => ("nobody signed it".to_owned(), unsigned.to_owned()),
                Objection::Revoked => ("only revoked keys signed it".to_owned(), unsigned.to_owned()),
            };
            Err(Refusal { reason, hint })
        })
    }

    /// Returns the objection to a record that these keys signed, or `None` if the record is admitted.
    pub fn objects(&self, signers: &BTreeSet<PublicKey>) -> Option<Objection> {
        let revoked = |key: &PublicKey| matches!(self.trust.standing(key), Standing::Revoked(..));
        let accepted = |key: &PublicKey| {
            matches!(self.trust.standing(key), Standing::Trusted(_))
                || (self.accept.contains(&Accepted::Key(*key)) && !revoked(key))
        };
        if self.trust.policy.import == Accept::Any || signers.iter().any(accepted) {
            return None;
        }
        if signers.iter().all(revoked) && self.accept.contains(&Accepted::Unsigned) {
            return None;
        }
        Some(match signers.iter().find(|key| !revoked(key)) {
            Some(key) => Objection::Stranger(*key),
            None if signers.is_empty() => Objection::Unsigned,
            None => Objection::Revoked,
        })
    }

    /// Counts the records that a receiver with this gate would not admit, by reason.
    ///
    /// # Errors
    /// If signatures cannot be read.
    pub fn objections(&self, known: &[Member], store: &Store) -> Result<BTreeMap<Objection, usize>, Failure> {
        let mut objections = BTreeMap::new();
        for member in known {
            let signers: BTreeSet<_> = store.signers(&member.digest)?.into_iter().collect();
            if let Some(objection) = self.objects(&signers) {
                *objections.entry(objection).or_default() += 1;
            }
        }
        Ok(objections)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::project::trusted_name;
    use store::sign::SecretKey;

    #[test]
    fn a_record_comes_in_if_somebody_who_is_trusted_or_accepted_signed_it() {
        let [ann, bob, eve] = [(); 3].map(|()| SecretKey::generate().unwrap().public());
        let key = |name: &str, key: &PublicKey, more: &str| {
            format!("[[key]]\nname = \"{name}\"\npublic = \"{key}\"\n{more}\n")
        };
        let trust = |policy: &str| {
            let text = format!(
                "[policy]\nimport = \"{policy}\"\n{}",
                key("ann", &ann, "") + &key("bob", &bob, "revoked = \"lost\"")
            );
            Trust::parse(std::path::Path::new("trust.toml"), &text).unwrap()
        };
        let gate = |accept: &[Accepted]| Gate { trust: trust("signed"), accept: accept.to_vec() };
        let of = |gate: &Gate, signers: &[&PublicKey]| gate.objects(&signers.iter().map(|key| **key).collect());
        let strict = gate(&[]);
        assert_eq!(of(&strict, &[&ann]), None);
        assert_eq!(of(&strict, &[&eve, &ann]), None, "one trusted signer is enough");
        assert_eq!(of(&strict, &[]), Some(Objection::Unsigned));
        assert_eq!(of(&strict, &[&bob]), Some(Objection::Revoked));
        assert_eq!(of(&strict, &[&bob, &eve]), Some(Objection::Stranger(eve)));
        // A user who accepts unsigned records also accepts records that only revoked keys signed, but no stranger's.
        let unsigned = gate(&[Accepted::Unsigned]);
        assert_eq!((of(&unsigned, &[]), of(&unsigned, &[&bob])), (None, None));
        assert_eq!(of(&unsigned, &[&eve]), Some(Objection::Stranger(eve)));
        assert_eq!(of(&gate(&[Accepted::Key(eve)]), &[&eve]), None);
        assert_eq!(
            of(&gate(&[Accepted::Key(bob)]), &[&bob]),
            Some(Objection::Revoked),
            "a revoked key cannot be accepted"
        );
        assert_eq!(of(&Gate { trust: trust("any"), accept: Vec::new() }, &[&eve]), None);
    }

    #[test]
    fn what_is_accepted_is_read_and_written_as_words() {
        let key = SecretKey::generate().unwrap().public();
        for accepted in [Accepted::Unsigned, Accepted::Key(key)] {
            assert_eq!(accepted.to_string().parse(), Ok(accepted));
        }
        assert!("everybody".parse::<Accepted>().unwrap_err().contains("`unsigned` or a public key"));
        // The name `default` becomes the name of the key's owner.
        let name = |name: &str| trusted_name(&name.parse().unwrap(), "ann@host").to_string();
        assert_eq!((name("default"), name("laptop")), ("ann".to_owned(), "laptop".to_owned()));
    }
}
