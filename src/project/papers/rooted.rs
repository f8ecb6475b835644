//! Finds the figures whose root or key begins with some digits, as a caption or a badge gives them.

use std::collections::BTreeSet;

use crate::project::Project;
use crate::reports::{Place, bare, stamp_of};
use draw::stamp::Stamp;

/// Extensions of the files that can carry a stamp.
const STAMPED: [&str; 3] = ["svg", "png", "pdf"];

impl Project {
    /// Returns the stamps of all figures in the reports folder whose root or key begins with `digits`, sorted by name. Damaged
    /// locks and drawings are skipped; `verify` reports them.
    pub fn stamps_with(&self, digits: &str) -> Vec<Stamp> {
        let begins =
            |stamp: &Stamp| stamp.root.to_string().starts_with(digits) || stamp.key.to_string().starts_with(digits);
        let profiles = files::list(&self.reports).unwrap_or_default();
        let places = profiles.iter().flat_map(|profile| Place::any(&self.reports.join(profile)).unwrap_or_default());
        let found: BTreeSet<Stamp> = places.flat_map(|place| stamps(&place)).filter(begins).collect();
        found.into_iter().collect()
    }
}

/// Returns what the lock says that a figure's files carry; without a lock, what they carry.
fn stamps(place: &Place) -> Vec<Stamp> {
    if let Some(stamp) = place.lock().ok().flatten().as_ref().and_then(stamp_of) {
        return vec![stamp];
    }
    let stamp = |extension: &&str| bare(extension, &place.read(extension).ok()??).ok()?.1;
    STAMPED.iter().find_map(stamp).into_iter().collect()
}
