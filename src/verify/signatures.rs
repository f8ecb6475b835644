//! Level *signatures*: who vouches for the records of a figure.

use std::collections::{BTreeMap, BTreeSet};

use super::{Check, Evidence, Level, Verdict};
use base::record::Record;
use store::sign::{Accept, Batch, PublicKey, Standing, Trust};

/// Reports who signed the records of a lock. `batches` are the signatures beside the lock. Under a policy that uses
/// only signed records, a record without a trusted signature is an error. An invalid signature always is.
pub fn signatures(evidence: &Evidence<'_>, batches: &[Vec<u8>], trust: &Trust) -> Check {
    let mut check = Check::new(Level::Signatures);
    let digests: BTreeSet<_> = evidence.records.iter().flatten().map(|(digest, _)| *digest).collect();
    let mut signed: BTreeMap<PublicKey, BTreeSet<_>> = BTreeMap::new();
    for batch in batches {
        match Batch::from_bytes(batch) {
            Ok(batch) => signed.entry(*batch.by()).or_default().extend(batch.records().iter().copied()),
            Err(error) => check.found(Verdict::Differs, error.to_string()),
        }
    }
    let mut vouched = BTreeSet::new();
    let mut parts = Vec::new();
    for (key, records) in &signed {
        let count = records.intersection(&digests).count();
        let who = match trust.standing(key) {
            Standing::Trusted(name) => {
                vouched.extend(records.intersection(&digests).copied());
                format!("{name} (trusted)")
            }
            Standing::Revoked(name, reason) => format!("{name} (REVOKED: {reason})"),
            Standing::Unknown => format!("{key} (not in trust.toml)"),
        };
        if count > 0 {
            parts.push(format!("{count} by {who}"));
        }
    }
    let unsigned = digests.len() - digests.iter().filter(|digest| signed.values().any(|s| s.contains(digest))).count();
    if unsigned > 0 {
        parts.push(format!("{unsigned} unsigned"));
    }
    if trust.policy.using == Accept::Signed && vouched.len() < digests.len() {
        let count = digests.len() - vouched.len();
        check.found(
            Verdict::Differs,
            format!(
                "{count} records are not signed by a trusted key, as trust.toml requires: `wdpipe keys sign FIGURE` and then \
                 `wdpipe lock FIGURE` sign them"
            ),
        );
    }
    let wanted = trust.policy.sandbox;
    let weaker = |record: &Record| record.isolation().is_some_and(|ran| ran < wanted);
    let weak = evidence.records.iter().flatten().filter(|(_, record)| weaker(record)).count();
    if weak > 0 {
        check.found(
            Verdict::Differs,
            format!("{weak} commands ran in a weaker sandbox than {wanted}, which trust.toml requires"),
        );
    }
    check.summed_up(format!("of {} records {}", digests.len(), parts.join(", ")))
}
