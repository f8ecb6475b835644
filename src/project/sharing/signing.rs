//! Signs a user's results, and checks whether the project would use them.

use std::collections::BTreeSet;

use crate::engine::Preference;
use crate::project::targets::select::Selection;
use crate::project::{ExitCode, Failure};
use base::digest::RecordDigest;
use store::Store;
use store::sign::{Batch, KeyName, PublicKey, SecretKey};

/// A key that signs, with its name.
pub struct Signer {
    /// The name.
    pub name: KeyName,
    /// The key.
    pub key: SecretKey,
}

/// The records that some targets depend on, sorted by whether a user can sign them.
#[derive(Default)]
pub struct Signable {
    /// Records already signed with this key.
    pub signed: BTreeSet<RecordDigest>,
    /// Records computed here by this user.
    pub own: BTreeSet<RecordDigest>,
    /// Records computed by others.
    pub others: BTreeSet<RecordDigest>,
    /// Number of the others' records which claim that this user computed them.
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

/// Signs earlier results that this user computed here without signing them, because there was no key yet or the run was cut
/// off. In a project that uses only signed results, they would be computed again. Returns the number of records.
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

/// Finds the records that this user computed here and did not sign with this key.
fn unsigned(store: &Store, key: &SecretKey, me: &str) -> Result<BTreeSet<RecordDigest>, Failure> {
    let mut unsigned = BTreeSet::new();
    for (stage, digest) in store.made_here()? {
        if !store.signers(&digest)?.contains(&key.public())
            && let Some(record) = store.recorded(&stage, &digest)?
            // Imports are signed when they are imported, or explicitly by name.
            && !record.parts.is_import()
            && record.provenance.who == me
        {
            unsigned.insert(digest);
        }
    }
    Ok(unsigned)
}

/// Returns why a project that uses only signed results would not use this user's results, or `None` if it would use them.
pub fn obstacle(selection: &Selection, signer: Option<&Signer>, me: &str) -> Option<Failure> {
    let counts = signer.is_some_and(|signer| selection.preference.counts(&signer.key.public()));
    if !selection.preference.is_strict() || counts {
        return None;
    }
    let message = "the project uses only results that a trusted key signed (use = \"signed\"), and ";
    let hint = "; until then, the next run would compute your results again";
    let (message, cure) = match signer {
        None => {
            let cure = "run `wdpipe keys generate` to make one and to see how the project trusts it; if you have several, \
                        choose one with WDPIPE_KEY=NAME";
            (format!("{message}you have no key that signs"), cure.to_owned())
        }
        Some(Signer { name, key }) => {
            let (known_as, public) = (trusted_name(name, me), key.public());
            let cure = format!("run `wdpipe keys trust {known_as} {public}` to trust it");
            (format!("{message}it does not trust your key `{name}`"), cure)
        }
    };
    Some(Failure::new(ExitCode::Missing, message, cure + hint))
}

/// Suggests a name under which a project can trust a key of the user `me` (`user@host`).
pub fn trusted_name(name: &KeyName, me: &str) -> KeyName {
    let owner = me.split('@').next().and_then(|user| user.parse().ok());
    owner.filter(|_| name.as_str() == "default").unwrap_or_else(|| name.clone())
}

impl Selection {
    /// Finds the records that the targets depend on and that the user `me` can sign with a key.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn signable(&self, store: &Store, public: &PublicKey, me: &str) -> Result<Signable, Failure> {
        let mut found = Signable::default();
        // Ignore the policy, because it refuses unsigned records, which are the ones to sign.
        let lenient = self.preference.lenient();
        let resolved = self.resolve_by(store, &lenient, &self.targets)?;
        for (id, stage, _) in resolved.stages() {
            let mut all_used: Vec<_> =
                resolved.known(id).map(|(key, outline)| (*key, outline.digest)).into_iter().collect();
            // An import that no stage has used yet counts too, because a policy can require its signature first.
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
                        // Users sign an outcome of another user only if it is the one that is used.
                        found.claimed += usize::from(found.others.insert(digest) && says_so);
                    }
                }
            }
        }
        Ok(found)
    }
}
