//! Which records may come into the store from elsewhere.

use std::collections::BTreeSet;

use clap::Args;

use super::{Failure, Global};
use base::digest::RecordDigest;
use store::sign::{Accept, Batch, PublicKey, Standing, Trust};

/// What to do where something else was imported here under the same name.
pub const OTHER_IMPORT: &str = "figures here would start from other data: use another cache for it, with --cache DIR";

/// What is accepted beyond what the project trusts.
#[derive(Debug, Clone, Default, Args)]
pub struct Accepting {
    /// Accept records that nobody who is trusted signed: `unsigned`, or the public key (ed25519:…) of who signed them.
    /// Repeatable.
    #[arg(long, value_name = "WHOSE", value_parser = whose)]
    accept: Vec<Whose>,
}

/// Whose records.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Whose {
    /// Nobody's: those without a signature.
    Unsigned,
    /// Those that this key signed.
    Key(PublicKey),
}

fn whose(text: &str) -> Result<Whose, String> {
    match text {
        "unsigned" => Ok(Whose::Unsigned),
        key => key.parse().map(Whose::Key).map_err(|_| "`unsigned` or a public key (ed25519:…) is expected".to_owned()),
    }
}

/// Decides what comes in.
pub struct Gate {
    trust: Trust,
    accept: Vec<Whose>,
}

impl Accepting {
    /// What was said, as words.
    pub fn words(&self) -> Vec<String> {
        let word = |whose: &Whose| match whose {
            Whose::Unsigned => "unsigned".to_owned(),
            Whose::Key(key) => key.to_string(),
        };
        self.accept.iter().map(word).collect()
    }

    /// The project's policy, with what the user accepts beyond it.
    ///
    /// # Errors
    /// If the project's trust file is wrong.
    pub fn gate(&self, global: &Global) -> Result<Gate, Failure> {
        Ok(Gate { trust: Trust::load(&global.trust)?, accept: self.accept.clone() })
    }
}

/// Why a record may not come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Objection {
    /// Nobody signed it.
    Unsigned,
    /// Only revoked keys signed it.
    Revoked,
    /// A key signed it that the project does not name.
    Stranger(PublicKey),
}

impl Gate {
    /// The same, and what a list of words says as `--accept` does.
    ///
    /// # Errors
    /// If a word is none.
    pub fn and(mut self, words: &[String]) -> Result<Self, Failure> {
        for word in words {
            let whose = whose(word).map_err(|error| Failure::usage(format!("`{word}`: {error}"), ""))?;
            self.accept.push(whose);
        }
        Ok(self)
    }

    /// Whether a record may come in, with batches of signatures beside it; otherwise why not.
    ///
    /// # Errors
    /// With the reason, and what the user may say to let it in.
    pub fn admits(&self, digest: RecordDigest, batches: &[Batch]) -> Result<(), String> {
        let signs = |batch: &&Batch| batch.records().binary_search(&digest).is_ok();
        let signers: BTreeSet<PublicKey> = batches.iter().filter(signs).map(|batch| *batch.by()).collect();
        self.objects(&signers).map_or(Ok(()), |objection| {
            Err(match objection {
                Objection::Stranger(key) => format!(
                    "it is signed by {key}, whom trust.toml does not name: `wdpipe keys trust NAME {key}` trusts them, \
                     `--accept {key}` lets it in once"
                ),
                Objection::Unsigned => "nobody signed it: `--accept unsigned` lets it in".to_owned(),
                Objection::Revoked => "only revoked keys signed it: `--accept unsigned` lets it in".to_owned(),
            })
        })
    }

    /// Why a record signed by these keys may not come in; `None` if it may.
    pub fn objects(&self, signers: &BTreeSet<PublicKey>) -> Option<Objection> {
        let revoked = |key: &PublicKey| matches!(self.trust.standing(key), Standing::Revoked(..));
        let accepted = |key: &PublicKey| {
            matches!(self.trust.standing(key), Standing::Trusted(_))
                || (self.accept.contains(&Whose::Key(*key)) && !revoked(key))
        };
        if self.trust.policy.import == Accept::Any || signers.iter().any(accepted) {
            return None;
        }
        if signers.iter().all(revoked) && self.accept.contains(&Whose::Unsigned) {
            return None;
        }
        Some(match signers.iter().find(|key| !revoked(key)) {
            Some(key) => Objection::Stranger(*key),
            None if signers.is_empty() => Objection::Unsigned,
            None => Objection::Revoked,
        })
    }
}
