//! Choosing the objects to remove, from known facts and without reading files.

use std::collections::{BTreeMap, BTreeSet};

use base::digest::ObjectDigest;
use base::producers::Producers;

/// How strongly an object is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Status {
    /// Nothing needs it.
    Loose,
    /// A root reaches the object. If a limit requires it, the object can still be removed, provided it can be recomputed.
    Needed,
    /// It is always kept: pinned, part of a locked figure, imported, in use, or young.
    Fast,
}

/// An object in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Candidate {
    /// Size of its file in bytes.
    pub(super) bytes: u64,
    pub(super) status: Status,
}

pub(super) type Present = BTreeMap<ObjectDigest, Candidate>;

/// Returns the objects to remove, in this order. Without a limit, these are all loose objects. With a limit, objects
/// are removed only until the total is below it: first loose ones, then, unless `spare_needed` is set, needed ones;
/// within each class, first those that are cheapest to recompute for their size. No removed object would fit under
/// the limit.
pub(super) fn decide(
    producers: &Producers,
    present: &Present,
    limit: Option<u64>,
    spare_needed: bool,
) -> Vec<ObjectDigest> {
    let of = |status| present.iter().filter(move |(_, held)| held.status == status);
    let Some(limit) = limit else { return of(Status::Loose).map(|(object, _)| *object).collect() };
    let mut going = Going { producers, present, gone: BTreeSet::new() };
    let mut total: u64 = present.values().map(|held| held.bytes).sum();
    let mut order = Vec::new();
    for status in [Status::Loose, Status::Needed] {
        if total <= limit || (status == Status::Needed && spare_needed) {
            break;
        }
        let mut taken = Vec::new();
        let mut queue: BTreeSet<(Price, ObjectDigest)> =
            of(status).map(|(object, _)| (going.price(object), *object)).collect();
        while total > limit
            && let Some((price, object)) = queue.pop_first()
        {
            // Earlier removals can have raised its price. Prices never fall, so the first object whose price is
            // unchanged is the cheapest.
            let now = going.price(&object);
            if now > price {
                queue.insert((now, object));
                continue;
            }
            if status == Status::Needed && now == Price::NEVER {
                break;
            }
            going.gone.insert(object);
            total -= going.bytes(&object);
            taken.push(object);
        }
        // Removing a large object late can make earlier removals unnecessary. The objects that still fit are kept, the most
        // expensive first.
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

/// Seconds per byte in an ordered form: the bits of non-negative floating-point numbers have the same order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Price(u64);

impl Price {
    /// Price of objects that no record mentions. No stage can need such objects.
    const NOTHING: Self = Self(0);
    /// Price of objects that cannot be recomputed.
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

    /// Returns the price of an object if it is removed in addition to those already removed.
    fn price(&self, object: &ObjectDigest) -> Price {
        let is_loose = self.present.get(object).is_some_and(|held| held.status == Status::Loose);
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
