//! How missing objects can be recomputed: which recorded stages would have to run, and how long they took. This is
//! pure computation on records.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use crate::digest::{ObjectDigest, RecordDigest, StageKey};
use crate::record::{Record, is_import};

/// The parts of a record that matter for recomputing its objects.
#[derive(Debug, Clone, PartialEq)]
pub struct Producer {
    /// Key of the stage.
    pub key: StageKey,
    /// Name of the record.
    pub record: RecordDigest,
    /// Kind of the stage.
    pub kind: String,
    /// Name of the stage.
    pub stage: String,
    /// Duration in seconds.
    pub seconds: f64,
    /// Objects that the stage read.
    pub inputs: BTreeSet<ObjectDigest>,
    /// Objects that it yielded, except inline ones.
    pub outputs: BTreeSet<ObjectDigest>,
    /// Objects that it yielded inline: they are stored in the record, and so never missing.
    pub inline: BTreeSet<ObjectDigest>,
}

impl Producer {
    /// Returns the producer for a record and its name.
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
            // A record from elsewhere can contain anything.
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

/// The work needed to restore some objects.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Again {
    /// Stages that have to run, as indices in [`Producers::producers`]; in this order, the inputs of each are
    /// available.
    pub run: BTreeSet<usize>,
    /// Objects that cannot be recomputed here: somebody has to import them.
    pub lost: BTreeSet<ObjectDigest>,
}

/// Which record describes how an object is computed. If there are several, those are chosen that lead back to imports
/// or to stages without inputs, never in a cycle.
#[derive(Debug, Default)]
pub struct Producers {
    producers: Vec<Producer>,
    maker: HashMap<ObjectDigest, usize>,
    inline: HashMap<ObjectDigest, usize>,
    read: HashSet<ObjectDigest>,
}

impl Producers {
    /// Chooses the producers from all given records. Of several records that yield an object, faster ones are
    /// preferred.
    pub fn new(mut producers: Vec<Producer>) -> Self {
        // Imported objects can have been computed here too, such as weights that were exported before.
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
                // Remove the readers only once: the first stage that yields an object counts as its producer.
                for reader in readers.remove(&object).unwrap_or_default() {
                    lacking[reader] -= 1;
                    if lacking[reader] == 0 {
                        ready.insert(reader);
                    }
                }
            }
        }
        let sound = order.len();
        // Records that depend on their own outputs in a cycle come last and produce nothing.
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

    /// Returns all records; records come after those that they read from.
    pub fn producers(&self) -> &[Producer] {
        &self.producers
    }

    /// Returns the record that contains an object inline, if any.
    pub fn holder(&self, object: &ObjectDigest) -> Option<&Producer> {
        self.inline.get(object).map(|&place| &self.producers[place])
    }

    /// Returns the record that describes how an object is computed, if any.
    pub fn producer(&self, object: &ObjectDigest) -> Option<&Producer> {
        self.maker.get(object).map(|&place| &self.producers[place])
    }

    /// Whether any record mentions an object.
    pub fn knows(&self, object: &ObjectDigest) -> bool {
        self.maker.contains_key(object) || self.read.contains(object)
    }

    /// Returns what is needed to recompute objects, including their inputs for which `is_gone` returns true.
    /// `is_gone` is called at most once per object.
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

    /// Returns the total duration of stages in seconds.
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

    /// Returns a stage that reads and yields objects of these names; those in capitals are inline in the record.
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

    /// Returns what has to run for an object if others are missing: the kinds in order, and the seconds.
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
        // Weights that have become NaN no longer change: every further segment yields its own input.
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
