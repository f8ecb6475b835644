//! How objects are had again whose bytes are gone: which recorded stages would have to run, and how long they took.
//! Pure: records in, answers out.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use crate::digest::{ObjectDigest, RecordDigest, StageKey};
use crate::record::{Record, is_import};

/// What matters of a record for having its objects again.
#[derive(Debug, Clone, PartialEq)]
pub struct Producer {
    /// The stage's key.
    pub key: StageKey,
    /// The record.
    pub record: RecordDigest,
    /// The stage's kind.
    pub kind: String,
    /// What the stage was called.
    pub stage: String,
    /// How long it took.
    pub seconds: f64,
    /// What it read.
    pub inputs: BTreeSet<ObjectDigest>,
    /// What it yielded as objects.
    pub outputs: BTreeSet<ObjectDigest>,
    /// What it yielded that lies in the record itself, and so is never gone.
    pub inline: BTreeSet<ObjectDigest>,
}

impl Producer {
    /// Of a record and its name.
    pub fn of(digest: RecordDigest, record: &Record) -> Self {
        let seconds = record.provenance.seconds;
        let outputs = |inline| {
            let outputs = record.outputs.iter().filter(move |output| output.inline.is_some() == inline);
            outputs.map(|output| output.object).collect()
        };
        Self {
            key: record.parts.key(),
            record: digest,
            kind: record.parts.kind.clone(),
            stage: record.provenance.stage.clone(),
            // A record from elsewhere may say anything.
            seconds: if seconds.is_finite() { seconds.max(0.0) } else { 0.0 },
            inputs: record.parts.inputs.values().copied().collect(),
            outputs: outputs(false),
            inline: outputs(true),
        }
    }

    /// Returns whether a user brought the outputs, see [`is_import`].
    pub fn is_import(&self) -> bool {
        is_import(&self.kind)
    }
}

/// What has to be done for some objects to be there again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Again {
    /// The stages that have to run, as places in [`Producers::producers`]; in this order each finds what it reads.
    pub run: BTreeSet<usize>,
    /// What nothing here can make: somebody has to bring it.
    pub lost: BTreeSet<ObjectDigest>,
}

/// Which record tells how an object is made. There may be several; those are taken that lead back to what was brought
/// or read from nowhere, never in a circle.
#[derive(Debug, Default)]
pub struct Producers {
    producers: Vec<Producer>,
    maker: HashMap<ObjectDigest, usize>,
    inline: HashMap<ObjectDigest, usize>,
    read: HashSet<ObjectDigest>,
}

impl Producers {
    /// Finds out from all records that there are. Of several that yield an object, quick ones are preferred.
    pub fn new(mut producers: Vec<Producer>) -> Self {
        // What somebody brought may have been computed here as well, such as weights that were exported before.
        let by_seconds = |a: &Producer, b: &Producer| a.seconds.total_cmp(&b.seconds).then(a.record.cmp(&b.record));
        producers.sort_by(|a, b| a.is_import().cmp(&b.is_import()).then(by_seconds(a, b)));
        let yielded: BTreeSet<ObjectDigest> = producers.iter().flat_map(outcomes).collect();
        let mut readers: BTreeMap<ObjectDigest, Vec<usize>> = BTreeMap::new();
        let mut lacking = vec![0_usize; producers.len()];
        for (place, producer) in producers.iter().enumerate() {
            for input in producer.inputs.iter().filter(|input| yielded.contains(*input)) {
                readers.entry(*input).or_default().push(place);
                lacking[place] += 1;
            }
        }
        let mut ready: BTreeSet<usize> = (0..producers.len()).filter(|&place| lacking[place] == 0).collect();
        let mut order = Vec::with_capacity(producers.len());
        while let Some(place) = ready.pop_first() {
            order.push(place);
            for object in outcomes(&producers[place]) {
                // Once: the first that yields it is its maker.
                for reader in readers.remove(&object).unwrap_or_default() {
                    lacking[reader] -= 1;
                    if lacking[reader] == 0 {
                        ready.insert(reader);
                    }
                }
            }
        }
        let sound = order.len();
        // What reads its own outcome by a circle of records comes last and makes nothing.
        order.extend((0..producers.len()).filter(|place| lacking[*place] > 0));
        let mut taken: Vec<Option<Producer>> = producers.into_iter().map(Some).collect();
        let producers: Vec<Producer> = order.into_iter().filter_map(|place| taken[place].take()).collect();
        let read = producers.iter().flat_map(|producer| producer.inputs.iter().copied()).collect();
        let mut producers = Self { producers, read, ..Self::default() };
        for (place, producer) in producers.producers.iter().enumerate() {
            for object in &producer.inline {
                producers.inline.entry(*object).or_insert(place);
            }
            for object in producer.outputs.iter().filter(|_| place < sound) {
                producers.maker.entry(*object).or_insert(place);
            }
        }
        producers
    }

    /// All records, those first that others read from.
    pub fn producers(&self) -> &[Producer] {
        &self.producers
    }

    /// The record that an object lies in, if it does.
    pub fn holder(&self, object: &ObjectDigest) -> Option<&Producer> {
        self.inline.get(object).map(|&place| &self.producers[place])
    }

    /// The record that tells how an object is made, if one does.
    pub fn producer(&self, object: &ObjectDigest) -> Option<&Producer> {
        self.maker.get(object).map(|&place| &self.producers[place])
    }

    /// Whether any record tells of an object.
    pub fn knows(&self, object: &ObjectDigest) -> bool {
        self.maker.contains_key(object) || self.read.contains(object)
    }

    /// What it takes to have objects again, and with them what their making reads and `is_gone` as well. It is asked for
    /// an object once.
    pub fn again(
        &self,
        objects: impl IntoIterator<Item = ObjectDigest>,
        is_gone: &mut dyn FnMut(&ObjectDigest) -> bool,
    ) -> Again {
        let mut again = Again::default();
        let mut open: Vec<ObjectDigest> = objects.into_iter().collect();
        let mut seen: BTreeSet<ObjectDigest> = open.iter().copied().collect();
        while let Some(object) = open.pop() {
            let Some(&place) = self.maker.get(&object) else {
                again.lost.insert(object);
                continue;
            };
            let producer = &self.producers[place];
            if producer.is_import() {
                again.lost.insert(object);
            } else if again.run.insert(place) {
                let read = producer.inputs.iter().filter(|input| !self.inline.contains_key(*input));
                open.extend(read.filter(|input| seen.insert(**input) && is_gone(input)));
            }
        }
        again
    }

    /// How long stages took, together.
    pub fn seconds(&self, run: &BTreeSet<usize>) -> f64 {
        run.iter().map(|&place| self.producers[place].seconds).sum()
    }
}

fn outcomes(producer: &Producer) -> impl Iterator<Item = ObjectDigest> + '_ {
    producer.outputs.iter().chain(&producer.inline).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(name: &str) -> ObjectDigest {
        ObjectDigest::of(name.as_bytes())
    }

    /// A stage that reads and yields objects of these names; those in capitals lie in the record.
    fn producer(kind: &str, seconds: f64, reads: &[&str], yields: &[&str]) -> Producer {
        let named = format!("{kind} {seconds} {reads:?} {yields:?}");
        let is_inline = |name: &&&str| name.chars().all(char::is_uppercase);
        Producer {
            key: StageKey::from_bytes(*object(&format!("key of {named}")).as_bytes()),
            record: RecordDigest::of(named.as_bytes()),
            kind: kind.to_owned(),
            stage: kind.to_owned(),
            seconds,
            inputs: reads.iter().map(|name| object(name)).collect(),
            outputs: yields.iter().filter(|name| !is_inline(name)).map(|name| object(name)).collect(),
            inline: yields.iter().filter(is_inline).map(|name| object(name)).collect(),
        }
    }

    /// What has to run for an object if others are gone: the kinds in order, and the seconds.
    fn again(producers: &Producers, wanted: &str, gone: &[&str]) -> (Vec<String>, f64, usize) {
        let gone: BTreeSet<_> = gone.iter().map(|name| object(name)).collect();
        let Again { run, lost } = producers.again([object(wanted)], &mut |object| gone.contains(object));
        (
            run.iter().map(|&place| producers.producers[place].kind.clone()).collect(),
            producers.seconds(&run),
            lost.len(),
        )
    }

    #[test]
    fn what_is_gone_upstream_is_made_first_and_counted_once() {
        let producers = Producers::new(vec![
            producer("figure", 1.0, &["N", "c"], &["svg"]),
            producer("two", 20.0, &["b", "a"], &["c", "N"]),
            producer("one", 10.0, &["a"], &["b"]),
            producer("data", 5.0, &["raw"], &["a"]),
            producer("import", 0.0, &[], &["raw"]),
        ]);
        let kinds = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(again(&producers, "svg", &[]), (kinds(&["figure"]), 1.0, 0));
        assert_eq!(again(&producers, "svg", &["c"]), (kinds(&["two", "figure"]), 21.0, 0));
        let whole = kinds(&["data", "one", "two", "figure"]);
        assert_eq!(again(&producers, "svg", &["a", "b", "c"]), (whole.clone(), 36.0, 0));
        assert_eq!(again(&producers, "svg", &["a", "b", "c", "raw"]), (whole, 36.0, 1));
        assert_eq!(again(&producers, "nowhere", &[]), (vec![], 0.0, 1));
        assert_eq!(producers.holder(&object("N")).unwrap().kind, "two");
        assert_eq!(producers.producer(&object("N")), None);
    }

    #[test]
    fn circles_make_nothing_and_quick_makers_are_preferred() {
        // Weights that are not numbers any more stay as they are: every further segment yields what it reads.
        let producers = Producers::new(vec![
            producer("first", 9.0, &["a"], &["nan"]),
            producer("later", 1.0, &["nan"], &["nan"]),
            producer("slow", 30.0, &["a"], &["x"]),
            producer("quick", 3.0, &["a"], &["x"]),
            producer("circle one", 1.0, &["p"], &["q"]),
            producer("circle two", 1.0, &["q"], &["p"]),
        ]);
        assert_eq!(producers.producer(&object("nan")).unwrap().kind, "first");
        assert_eq!(producers.producer(&object("x")).unwrap().kind, "quick");
        assert_eq!(again(&producers, "p", &["q"]).2, 1);
        assert_eq!(producers.producers().len(), 6);
    }

    #[test]
    fn what_was_computed_and_imported_too_can_be_computed_again() {
        let producers =
            Producers::new(vec![producer("import_weights", 0.0, &[], &["x"]), producer("train", 9.0, &[], &["x"])]);
        assert_eq!(producers.producer(&object("x")).unwrap().kind, "train");
        assert_eq!(again(&producers, "x", &[]), (vec!["train".to_owned()], 9.0, 0));
    }
}
