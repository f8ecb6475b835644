//! Signing what a user makes, and what of it a project would use.

use std::collections::BTreeSet;

use crate::engine::Preference;
use crate::project::targets::select::Selection;
use crate::project::{ExitCode, Failure};
use base::digest::RecordDigest;
use store::Store;
use store::sign::{Batch, KeyName, PublicKey, SecretKey};

/// A key that signs, and what its user calls it.
pub struct Signer {
    /// The name.
    pub name: KeyName,
    /// The key.
    pub key: SecretKey,
}

/// What of the records behind some targets a user may sign.
#[derive(Default)]
pub struct Signable {
    /// Signed already with this key.
    pub signed: BTreeSet<RecordDigest>,
    /// Computed here by this user.
    pub own: BTreeSet<RecordDigest>,
    /// Computed by others.
    pub others: BTreeSet<RecordDigest>,
    /// Of the others those that say that this user computed them.
    pub claimed: usize,
}

/// Signs records, all with one signature.
///
/// # Errors
/// If there are too many, or the store cannot be written.
pub fn sign(store: &Store, records: impl IntoIterator<Item = RecordDigest>, signer: &Signer) -> Result<(), Failure> {
    let batch = Batch::sign(&signer.key, records);
    let batch = batch.map_err(|error| Failure::new(ExitCode::Storage, error.to_string(), "name fewer targets"))?;
    store.publish_signatures(&batch)?;
    Ok(())
}

/// Signs what this user computed here before and did not sign, before there was a key or in a run that was cut off:
/// where a project uses only what is signed, it would be computed again. Returns how many records there were.
///
/// # Errors
/// If the store cannot be read or written.
pub fn catch_up(store: &Store, signer: &Signer, me: &str) -> Result<usize, Failure> {
    let unsigned = unsigned(store, &signer.key, me)?;
    let count = unsigned.len();
    if count > 0 {
        sign(store, unsigned, signer)?;
    }
    Ok(count)
}

/// Finds what this user computed here and did not sign with this key.
fn unsigned(store: &Store, key: &SecretKey, me: &str) -> Result<BTreeSet<RecordDigest>, Failure> {
    let mut unsigned = BTreeSet::new();
    for (stage, digest) in store.made_here()? {
        if !store.signers(&digest)?.contains(&key.public())
            && let Some(record) = store.recorded(&stage, &digest)?
            // An import is vouched for as it comes, or by name.
            && !record.parts.is_import()
            && record.provenance.who == me
        {
            unsigned.insert(digest);
        }
    }
    Ok(unsigned)
}

/// Says why a project that uses only what is signed would not use what this user computes; nothing if it would.
pub fn obstacle(selection: &Selection, signer: Option<&Signer>, me: &str) -> Option<Failure> {
    let counts = signer.is_some_and(|signer| selection.preference.counts(&signer.key.public()));
    if !selection.preference.is_strict() || counts {
        return None;
    }
    let message = "the project uses only what a key that it trusts signed (use = \"signed\"), and ";
    let hint = "; until then whatever you compute would be computed again by the next run";
    let (message, cure) = match signer {
        None => {
            let cure = "`wdpipe keys generate` makes one and says how the project trusts it; of several, WDPIPE_KEY=NAME \
                        chooses";
            (format!("{message}you have no key that signs"), cure.to_owned())
        }
        Some(Signer { name, key }) => {
            let (known_as, public) = (trusted_name(name, me), key.public());
            let cure = format!("`wdpipe keys trust {known_as} {public}` makes it");
            (format!("{message}it does not trust your key `{name}`"), cure)
        }
    };
    Some(Failure::new(ExitCode::Missing, message, cure + hint))
}

/// Suggests the name under which a project trusts a key of the user `me` (`user@host`).
pub fn trusted_name(name: &KeyName, me: &str) -> KeyName {
    let owner = me.split('@').next().and_then(|user| user.parse().ok());
    owner.filter(|_| name.as_str() == "default").unwrap_or_else(|| name.clone())
}

impl Selection {
    /// Finds what of the records behind the targets the user `me` may sign with a key.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn signable(&self, store: &Store, public: &PublicKey, me: &str) -> Result<Signable, Failure> {
        let mut found = Signable::default();
        // The policy refuses what is unsigned, which is just what is to be signed.
        let lenient = self.preference.lenient();
        let resolved = self.resolve_by(store, &lenient, &self.targets)?;
        for (id, stage, _) in resolved.stages() {
            let mut all_used: Vec<_> =
                resolved.known(id).map(|(key, outline)| (*key, outline.digest)).into_iter().collect();
            // An import that nothing was made from yet counts too: a policy may want it signed first.
            if let Some(import) = stage.work.import() {
                all_used.extend(resolved.imported(import, store, &lenient));
            }
            for (key, used) in all_used {
                for (digest, record) in store.records(&key)? {
                    let says_so = record.provenance.who == me;
                    let mine = says_so && store.is_made_here(&key, &digest)?;
                    if store.signers(&digest)?.contains(public) {
                        found.signed.insert(digest);
                    } else if mine {
                        found.own.insert(digest);
                    } else if digest == used {
                        // Another outcome of somebody else's, which is not used, is not for this user to vouch for.
                        found.claimed += usize::from(found.others.insert(digest) && says_so);
                    }
                }
            }
        }
        Ok(found)
    }
}
