//! Finds everything that a target or a hash depends on, which is what a pin keeps.

use std::collections::BTreeSet;

use crate::project::targets::select::Variant;
use crate::project::{ExitCode, Failure, Project};
use base::closure::Closure;
use base::digest::ObjectDigest;
use store::Store;

/// Minimum number of digits that name a hash. A shorter word is read as a name.
const DIGITS: usize = 8;

/// Checks whether a word consists of hexadecimal digits.
pub fn is_hex(word: &str) -> bool {
    word.bytes().all(|digit| digit.is_ascii_digit() || (b'a'..=b'f').contains(&digit))
}

/// Checks whether a word can be the beginning of a hash.
pub fn is_hash(word: &str) -> bool {
    is_hex(word) && (DIGITS..=64).contains(&word.len())
}

impl Project {
    /// Finds all stages that a target of the pipelines, or the record or key whose hash begins with `target`, depends on. If
    /// no record or key has such a hash, finds the object instead.
    ///
    /// # Errors
    /// If the target is unknown or was not made, or the store cannot be read.
    pub fn behind(
        &self,
        target: &str,
        variant: &Variant,
        store: &Store,
    ) -> Result<(Closure, BTreeSet<ObjectDigest>), Failure> {
        if is_hash(target) {
            return behind_hash(store, target);
        }
        let selection = self.select(variant, &[target.to_owned()])?;
        let resolved = selection.resolve(store)?;
        let mut all = Closure::default();
        for &id in &selection.targets {
            all.members.extend(resolved.closure(id, store)?.members);
        }
        Ok((all, BTreeSet::new()))
    }
}

/// Finds all stages that the records with a hash prefix depend on. If there is no such record, finds the object with this
/// prefix.
fn behind_hash(store: &Store, prefix: &str) -> Result<(Closure, BTreeSet<ObjectDigest>), Failure> {
    let found = store.find(prefix)?;
    let keys: BTreeSet<_> = found.iter().map(|(_, record)| record.parts.key()).collect();
    let several = |names: Vec<String>| {
        let names = names.iter().take(8).map(|name| format!("\n{name}")).collect::<String>();
        Err(Failure::usage(format!("{prefix} matches several hashes:{names}"), "give more digits"))
    };
    if keys.len() > 1 {
        return several(keys.iter().map(ToString::to_string).collect());
    }
    if !found.is_empty() {
        let records = store.every_record()?;
        let members = found.iter().flat_map(|(digest, _)| Closure::of(*digest, &records).members).collect();
        return Ok((Closure { members }, BTreeSet::new()));
    }
    match store.find_objects(prefix)?[..] {
        [object] => Ok((Closure::default(), [object].into())),
        [] => {
            let message = format!("no key, record or object in {} begins with {prefix}", store.root().display());
            Err(Failure::new(ExitCode::Missing, message, "run `wdpipe explain STAGE` to see a stage's key"))
        }
        ref objects => several(objects.iter().map(ToString::to_string).collect()),
    }
}
