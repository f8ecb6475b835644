//! Differences of named tensors from those of a network, described so that users can repair their file.

use std::collections::{BTreeMap, BTreeSet};

use super::{Names, called, short};
use crate::layout::Layout;
use crate::weights::Array;

/// Largest number of tensors of a kind that are named.
const NAMED: usize = 3;

/// The tensors because of which a file is not a network.
pub struct Faults {
    /// The missing tensors, with their shapes.
    missing: Vec<(String, Vec<usize>)>,
    /// The tensors of a wrong shape, with the found and the expected shape.
    misshapen: Vec<(String, Vec<usize>, Vec<usize>)>,
    /// The tensors that are not part of the network, with their shapes.
    extra: Vec<(String, Vec<usize>)>,
    /// Whether the only fault is that all running statistics of batch norms are missing.
    only_statistics: bool,
    /// The network and its sizes.
    of: String,
}

impl Faults {
    /// Compares tensors with those of a layout under some names.
    pub fn of(found: &BTreeMap<String, Array>, layout: &Layout, names: Names) -> Self {
        let model = layout.model;
        let (mut missing, mut misshapen, mut known) = (Vec::new(), Vec::new(), BTreeSet::new());
        for entry in &layout.entries {
            let name = called(&entry.name, model, names);
            match found.get(&name) {
                None => missing.push((name.clone(), entry.shape.clone())),
                Some(array) if array.shape != entry.shape => {
                    misshapen.push((name.clone(), array.shape.clone(), entry.shape.clone()));
                }
                Some(_) => {}
            }
            known.insert(name);
        }
        let extra = found.iter().filter(|(name, _)| !known.contains(*name));
        let extra: Vec<_> = extra.map(|(name, array)| (name.clone(), array.shape.clone())).collect();
        let statistics = layout.entries.iter().filter(|entry| !entry.is_parameter());
        let statistics: BTreeSet<_> = statistics.map(|entry| called(&entry.name, model, names)).collect();
        let only_statistics = !statistics.is_empty()
            && missing.len() == statistics.len()
            && missing.iter().all(|(name, _)| statistics.contains(name))
            && misshapen.is_empty()
            && extra.is_empty();
        let of = format!("{} of width {} and {} classes", model.name.name(), model.width, model.classes);
        Self { missing, misshapen, extra, only_statistics, of }
    }

    /// Returns the number of wrong tensors.
    pub fn count(&self) -> usize {
        self.missing.len() + self.misshapen.len() + self.extra.len()
    }

    /// Describes the faults.
    pub fn describe(&self) -> String {
        if self.only_statistics {
            return format!(
                "the running statistics of {} are missing ({} tensors, such as {}): parameters alone are not a network. \
                 To export a whole averaged network, give `wdpipe export` the stage of kind ema_eval; in PyTorch, run \
                 torch.optim.swa_utils.update_bn before saving the network",
                self.of,
                self.missing.len(),
                tensor(&self.missing[0]),
            );
        }
        let wrong = |(name, has, wants): &(String, Vec<usize>, Vec<usize>)| {
            format!("`{}` has the shape {has:?} instead of {wants:?}", short(name))
        };
        let parts = [
            list("missing", self.missing.iter().map(tensor)),
            list("misshapen", self.misshapen.iter().map(wrong)),
            list("not part of the network", self.extra.iter().map(tensor)),
        ];
        let parts: Vec<_> = parts.into_iter().flatten().collect();
        format!("it is almost {}: {}", self.of, parts.join("; "))
    }
}

fn tensor((name, shape): &(String, Vec<usize>)) -> String {
    format!("`{}` {shape:?}", short(name))
}

/// Formats `missing: A, B, C and 4 more`.
fn list(heading: &str, items: impl ExactSizeIterator<Item = String>) -> Option<String> {
    let more = items.len().saturating_sub(NAMED);
    let named: Vec<_> = items.take(NAMED).collect();
    let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
    (!named.is_empty()).then(|| format!("{heading}: {}{rest}", named.join(", ")))
}
