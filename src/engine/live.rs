//! The latest values of running stages, for those who watch.
//!
//! Values flow in one direction: a worker overwrites those of its stage and waits for nobody, and readers take a copy
//! whenever they like. Other processes read them in the note on the stage's claim.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::graph::{Stage, StageId};
use crate::stages::{MetricsRow, Progress};
use base::digest::StageKey;
use base::record::KeyParts;
use base::work::Work;
use store::{Holder, Note, Store, StoreError};

/// Shortest time between two notes of a stage, and from its start to the first one: short stages have none.
const NOTE_EVERY: Duration = Duration::from_millis(500);

/// Maximum number of points of a trail.
const POINTS: usize = 240;

/// Maximum length of a name in a note, in bytes.
const NAME: usize = 4096;

/// The parameters of training in which the segments of one run differ.
const PLACE: [&str; 2] = ["first_epoch", "epochs"];

/// The latest values of a running stage. All numbers are finite.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Reading {
    /// Name of the stage.
    pub stage: String,
    /// Hash of what all segments of its run have in common; empty if the stage is no segment.
    pub run: String,
    /// Share of its work that is done, from 0 to 1.
    pub done: f64,
    /// Number of epochs since the initial weights; a probe counts from its own start.
    pub epoch: Option<f64>,
    /// Training loss of the latest batch that was read, or mean of the last epoch, whichever is newer.
    pub loss: Option<f64>,
    /// Error on the test set in percent, when the network was last evaluated.
    pub test_error: Option<f64>,
    /// Training images per second.
    pub images_per_second: Option<f64>,
    /// Mean training loss of each epoch.
    pub losses: Trail,
    /// Error on the test set of each evaluated epoch.
    pub test_errors: Trail,
}

/// Numbers by epoch. A long run keeps fewer of its older points.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Trail {
    /// Epochs in ascending order, with their numbers.
    pub points: Vec<(f64, f64)>,
}

impl Trail {
    /// Adds a number, unless it is not finite. Points at this epoch and later, which an earlier attempt at the stage left,
    /// are removed.
    pub fn push(&mut self, epoch: f64, number: f64) {
        self.points.retain(|(earlier, _)| *earlier < epoch);
        if !(epoch.is_finite() && number.is_finite()) {
            return;
        }
        if self.points.len() == POINTS {
            let mut index = 0..;
            self.points.retain(|_| index.next().is_some_and(|index: usize| index.is_multiple_of(2)));
        }
        self.points.push((epoch, number));
    }
}

impl Reading {
    fn update(&mut self, progress: &Progress) {
        match *progress {
            Progress::Done(done) => self.done = done,
            Progress::Step { done, epoch, loss, images_per_second } => {
                let rate = Some(images_per_second).filter(|rate| rate.is_finite());
                (self.done, self.epoch, self.images_per_second) = (done, Some(epoch), rate);
                self.loss = loss.filter(|loss| loss.is_finite()).or(self.loss);
            }
            Progress::Epoch { epoch, loss } => {
                self.losses.push(epoch, loss);
                (self.epoch, self.loss) = (Some(epoch), Some(loss).filter(|loss| loss.is_finite()));
            }
            Progress::Evaluated([epoch, _, _, _, _, test_error, _]) => {
                self.test_errors.push(epoch + 1.0, test_error);
                self.test_error = Some(test_error).filter(|error| error.is_finite());
            }
        }
    }
}

/// Returns the name that all segments of a run share: the stage's name without the checkpoint.
pub fn chain(stage: &str) -> &str {
    match stage.rsplit_once('@') {
        Some((chain, epoch)) if epoch.bytes().all(|byte| byte.is_ascii_digit()) => chain,
        _ => stage,
    }
}

/// The values of all stages of a process.
#[derive(Debug, Default)]
pub struct Live {
    stages: Mutex<BTreeMap<StageId, Entry>>,
}

#[derive(Debug)]
struct Entry {
    reading: Reading,
    /// The rows that no reader has taken.
    rows: Vec<MetricsRow>,
    is_new: bool,
    /// When the last note was returned.
    noted: Instant,
}

impl Live {
    fn stages(&self) -> MutexGuard<'_, BTreeMap<StageId, Entry>> {
        self.stages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins with a stage. A segment of training continues the trails of the segment before it.
    pub fn begin(&self, id: StageId, stage: &Stage, parts: &KeyParts) {
        let mut reading = Reading { stage: stage.name.clone(), ..Reading::default() };
        let mut stages = self.stages();
        if let Work::Train(train) = &stage.work {
            reading.run = run_of(parts);
            let is_before = |(_, entry): &(&StageId, &Entry)| {
                entry.reading.run == reading.run && chain(&entry.reading.stage) == chain(&stage.name)
            };
            // The stages of a graph are in the order in which they run.
            let before = stages.iter().rev().find(is_before).filter(|_| train.first_epoch > 0);
            if let Some((before, entry)) = before.map(|(id, entry)| (*id, entry)) {
                let Reading { loss, test_error, losses, test_errors, .. } = entry.reading.clone();
                reading = Reading { loss, test_error, losses, test_errors, ..reading };
                if !entry.is_new {
                    stages.remove(&before);
                }
            }
        }
        stages.insert(id, Entry { reading, rows: Vec::new(), is_new: false, noted: Instant::now() });
    }

    /// Notes the progress of a stage. Returns the share of its work that is done and, if it is time for one, a note for other
    /// processes.
    pub fn hear(&self, id: StageId, progress: &Progress) -> (f64, Option<Vec<u8>>) {
        let mut stages = self.stages();
        let Some(entry) = stages.get_mut(&id) else { return (0.0, None) };
        entry.reading.update(progress);
        entry.is_new = true;
        if let Progress::Evaluated(row) = progress {
            entry.rows.push(*row);
        }
        let is_due = entry.noted.elapsed() >= NOTE_EVERY;
        if is_due {
            entry.noted = Instant::now();
        }
        let done = entry.reading.done;
        let reading = is_due.then(|| entry.reading.clone());
        drop(stages);
        (done, reading.and_then(|reading| serde_json::to_vec(&reading).ok()))
    }

    /// Returns the values that have changed since the last call, with new rows of `metrics`.
    pub fn take(&self) -> Vec<(StageId, Reading, Vec<MetricsRow>)> {
        let mut stages = self.stages();
        let changed = stages.iter_mut().filter(|(_, entry)| entry.is_new);
        let taken = changed.map(|(id, entry)| {
            entry.is_new = false;
            (*id, entry.reading.clone(), std::mem::take(&mut entry.rows))
        });
        taken.collect()
    }
}

/// A stage that a process is running, of any machine that uses the store.
#[derive(Debug, Clone, PartialEq)]
pub struct RunningStage {
    /// Its key.
    pub key: StageKey,
    /// Who runs it.
    pub holder: Holder,
    /// Its latest values.
    pub reading: Reading,
}

/// Returns the stages that are running according to the notes on their claims. A stage has a note after about two seconds.
///
/// # Errors
/// If the folder of claims cannot be read.
pub fn running(store: &Store) -> Result<Vec<RunningStage>, StoreError> {
    let read = |Note { key, holder, text }| {
        // Anybody who can write to the store can write anything there.
        let reading: Reading = serde_json::from_slice(&text).ok()?;
        let is_short = reading.losses.points.len().max(reading.test_errors.points.len()) <= POINTS
            && reading.stage.len() <= NAME
            && reading.run.len() <= NAME;
        is_short.then_some(RunningStage { key, holder, reading })
    };
    Ok(store.notes()?.into_iter().filter_map(read).collect())
}

/// Returns a hash of everything that determines a run of training except its start: the parameters of a segment without its
/// place, the data, and the numeric policy.
fn run_of(parts: &KeyParts) -> String {
    let parameters = parts.parameters.iter().filter(|(name, _)| !PLACE.contains(&name.as_str()));
    let parameters = parameters.map(|(name, value)| (name.clone(), value.clone())).collect();
    let mut inputs = parts.inputs.clone();
    inputs.retain(|role, _| role == "train" || role == "test");
    KeyParts { parameters, inputs, ..parts.clone() }.key().short()
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::digest::ObjectDigest;
    use base::work::{Model, ModelName, Numerics, Train};
    use std::collections::BTreeMap;

    /// A segment of a run of training, and the parts of its key.
    fn segment(first_epoch: u32, lr: f64) -> (Stage, KeyParts) {
        let train = Train {
            model: Model::new(ModelName::PreactResnet18, 1, 10),
            numerics: Numerics::float32(false),
            batch: 10,
            lr,
            wd: 0.0,
            momentum: 0.0,
            sphere: None,
            ema: None,
            first_epoch,
            epochs: 5,
            eval_every: None,
            eval_images: None,
            seed: 0,
        };
        let work = Work::Train(train);
        let weights = ObjectDigest::of(&first_epoch.to_le_bytes());
        let parts = KeyParts {
            kind: work.kind().to_owned(),
            version: work.version(),
            parameters: work.parameters().unwrap(),
            inputs: BTreeMap::from([("weights".to_owned(), weights), ("train".to_owned(), ObjectDigest::of(b"x"))]),
            policy: BTreeMap::new(),
        };
        (Stage { name: format!("fig3/trunk@{}", first_epoch + 5), work, inputs: vec![] }, parts)
    }

    fn epoch(live: &Live, id: StageId, number: u32) {
        let epoch = f64::from(number) + 1.0;
        let step = Progress::Step { done: 0.5, epoch, loss: None, images_per_second: 1.0 };
        for _ in 0..1000 {
            live.hear(id, &step);
        }
        live.hear(id, &Progress::Epoch { epoch, loss: 1.0 / epoch });
        live.hear(id, &Progress::Evaluated([f64::from(number), 0.0, 0.0, 0.0, 0.0, 50.0, 0.0]));
    }

    #[test]
    fn a_reader_gets_the_latest_values_and_every_row_and_nobody_waits_for_it() {
        let (live, (stage, parts)) = (Live::default(), segment(0, 0.1));
        live.begin(0, &stage, &parts);
        assert!(live.take().is_empty());
        (0..3).for_each(|number| epoch(&live, 0, number));
        let [(0, reading, rows)] = &live.take()[..] else { panic!() };
        assert_eq!((reading.epoch, reading.loss, reading.test_error), (Some(3.0), Some(1.0 / 3.0), Some(50.0)));
        assert_eq!(rows.iter().map(|row| row[0]).collect::<Vec<_>>(), [0.0, 1.0, 2.0]);
        assert_eq!((reading.losses.points.len(), reading.test_errors.points[2]), (3, (3.0, 50.0)));
        assert!(live.take().is_empty(), "nothing is new");
        // What left the finite numbers is no value.
        live.hear(0, &Progress::Epoch { epoch: 4.0, loss: f64::NAN });
        let [(0, reading, rows)] = &live.take()[..] else { panic!() };
        assert_eq!((reading.loss, reading.losses.points.len(), rows.len()), (None, 3, 0));
    }

    #[test]
    fn a_segment_continues_the_trails_of_its_run_only() {
        let live = Live::default();
        let (first, parts) = segment(0, 0.1);
        live.begin(0, &first, &parts);
        epoch(&live, 0, 4);
        live.take();
        let points = |id, (stage, parts): (Stage, KeyParts)| {
            live.begin(id, &stage, &parts);
            epoch(&live, id, 5);
            live.take().pop().unwrap().1.losses.points.len()
        };
        assert_eq!(points(1, segment(5, 0.2)), 1);
        assert_eq!(points(2, segment(5, 0.1)), 2);
        // The run starts again.
        assert_eq!(points(3, segment(0, 0.1)), 1);
    }

    #[test]
    fn a_stage_has_a_note_after_a_while() {
        let (live, (stage, parts)) = (Live::default(), segment(0, 0.1));
        live.begin(0, &stage, &parts);
        assert_eq!(live.hear(0, &Progress::Done(0.25)), (0.25, None));
        live.stages().get_mut(&0).unwrap().noted -= NOTE_EVERY;
        let (_, note) = live.hear(0, &Progress::Done(0.5));
        let reading: Reading = serde_json::from_slice(&note.unwrap()).unwrap();
        assert_eq!((&*reading.stage, reading.done), ("fig3/trunk@5", 0.5));
        assert_eq!(live.hear(0, &Progress::Done(0.5)).1, None);
    }

    #[test]
    fn a_trail_ascends_and_stays_short() {
        let mut trail = Trail::default();
        for epoch in 1..=1000 {
            trail.push(f64::from(epoch), 1.0 / f64::from(epoch));
        }
        assert!(trail.points.len() <= POINTS && trail.points.len() > POINTS / 2);
        assert_eq!((trail.points[0], trail.points[trail.points.len() - 1]), ((1.0, 1.0), (1000.0, 0.001)));
        assert!(trail.points.is_sorted_by(|one, other| one.0 < other.0));
        // A segment that runs again begins anew.
        trail.push(990.0, 0.5);
        trail.push(991.0, f64::NAN);
        assert_eq!(trail.points.last(), Some(&(990.0, 0.5)));
    }

    #[test]
    fn names_of_segments_are_cut_at_the_checkpoint() {
        for (stage, wanted) in [
            ("fig3/trunk[lr=0.1,seed=0]@20", "fig3/trunk[lr=0.1,seed=0]"),
            ("fig3/trunk@5", "fig3/trunk"),
            ("fig3/valley[path=a@b]", "fig3/valley[path=a@b]"),
            ("fig3/fig3", "fig3/fig3"),
        ] {
            assert_eq!(chain(stage), wanted);
        }
    }
}
