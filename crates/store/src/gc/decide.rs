//! Which objects go: decided from what is known, without touching a disk.

use std::collections::{BTreeMap, BTreeSet};

use base::digest::ObjectDigest;
use base::producers::Producers;

/// Who keeps an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Standing {
    /// Nobody.
    Loose,
    /// A root reaches it; where room is asked for it may go nevertheless, if it can be computed again.
    Needed,
    /// It stays whatever is asked for: pinned, a locked figure's, brought by somebody, in use, or young.
    Fast,
}

/// An object that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Held {
    /// Bytes of its file.
    pub(super) bytes: u64,
    pub(super) standing: Standing,
}

pub(super) type Present = BTreeMap<ObjectDigest, Held>;

/// What goes, in this order. Without a limit all that is loose. With one only as much as brings the whole under it:
/// first what is loose, then, if `spare_needed` is not asked for, what is needed; in either of them first what is cheap
/// to have again for its size. Nothing that goes could stay.
pub(super) fn decide(
    producers: &Producers,
    present: &Present,
    limit: Option<u64>,
    spare_needed: bool,
) -> Vec<ObjectDigest> {
    let of = |standing| present.iter().filter(move |(_, held)| held.standing == standing);
    let Some(limit) = limit else { return of(Standing::Loose).map(|(object, _)| *object).collect() };
    let mut going = Going { producers, present, gone: BTreeSet::new() };
    let mut total: u64 = present.values().map(|held| held.bytes).sum();
    let mut order = Vec::new();
    for standing in [Standing::Loose, Standing::Needed] {
        if total <= limit || (standing == Standing::Needed && spare_needed) {
            break;
        }
        let mut taken = Vec::new();
        let mut queue: BTreeSet<(Price, ObjectDigest)> =
            of(standing).map(|(object, _)| (going.price(object), *object)).collect();
        while total > limit
            && let Some((price, object)) = queue.pop_first()
        {
            // What went since may have made it dearer. Prices never fall, so the first that kept its price is cheapest.
            let now = going.price(&object);
            if now > price {
                queue.insert((now, object));
                continue;
            }
            if standing == Standing::Needed && now == Price::NEVER {
                break;
            }
            going.gone.insert(object);
            total -= going.bytes(&object);
            taken.push(object);
        }
        // A large one that came late may have made others needless, which then stay: the dearest first.
        for object in taken.iter().rev() {
            if total + going.bytes(object) <= limit {
                total += going.bytes(object);
                going.gone.remove(object);
            }
        }
        order.extend(taken.into_iter().filter(|object| going.gone.contains(object)));
    }
    order
}

/// Seconds for each byte, as something that can be ordered: for numbers that are not negative their bits are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Price(u64);

impl Price {
    /// Nobody can want it, since no record tells of it.
    const NOTHING: Self = Self(0);
    /// It cannot be had again.
    const NEVER: Self = Self(f64::INFINITY.to_bits());
}

struct Going<'a> {
    producers: &'a Producers,
    present: &'a Present,
    gone: BTreeSet<ObjectDigest>,
}

impl Going<'_> {
    fn bytes(&self, object: &ObjectDigest) -> u64 {
        self.present.get(object).map_or(0, |held| held.bytes)
    }

    /// What an object costs if it goes besides what has gone.
    fn price(&self, object: &ObjectDigest) -> Price {
        let is_loose = self.present.get(object).is_some_and(|held| held.standing == Standing::Loose);
        if is_loose && !self.producers.knows(object) {
            return Price::NOTHING;
        }
        let again = self
            .producers
            .again([*object], &mut |object| self.gone.contains(object) || !self.present.contains_key(object));
        if again.lost.is_empty() {
            Price((self.producers.seconds(&again.run) / self.bytes(object).max(1) as f64).to_bits())
        } else {
            Price::NEVER
        }
    }
}
