//! Level *audits*: how much of a figure was recomputed according to attestations.

use super::{Check, Level, Verdict};
use crate::reports::Place;
use store::attestation::{Coverage, coverage};
use store::lockfile::Lock;

/// Reads the attestations beside a lock; returns `None` if there are none.
pub fn audits(lock: &Lock, place: &Place) -> Option<Check> {
    let attestations = match place.attestations() {
        Ok(attestations) if attestations.is_empty() => return None,
        Ok(attestations) => attestations,
        Err(error) => return Some(Check::failed(Level::Audits, Verdict::Differs, &error.to_string())),
    };
    let Coverage { segments, covered, disputed, keys, elsewhere } = coverage(lock, &attestations);
    let share = covered as f64 / segments.max(1) as f64;
    let keys = match keys.len() {
        1 => "1 key".to_owned(),
        keys => format!("{keys} keys"),
    };
    let summary = format!(
        "{covered} of {segments} segments of training ({:.0} %) recomputed by {keys}; one forged segment would have \
         escaped with probability {:.2}",
        100.0 * share,
        1.0 - share
    );
    let mut check = Check::done(Level::Audits, summary);
    for name in disputed {
        check.found(Verdict::Differs, format!("{name} came out differently when it was recomputed"));
    }
    if elsewhere > 0 {
        check.findings.push(format!("attestations that do not concern the locked figure: {elsewhere}"));
    }
    Some(check)
}
