//! Processes that share a run: what one of them declines, leaves, and tells the others.

use super::*;
use base::digest::StageKey;
use store::{Holder, StoreError};

/// A duty that treats one stage in a special way, and notes what it hears.
struct Choosy<'a> {
    trial: &'a Trial,
    /// The stage that does not fit.
    unfit: Option<StageId>,
    /// The stage that must not be tried.
    refused: Option<StageId>,
    patience: Duration,
    heard: Mutex<Vec<String>>,
}

impl<'a> Choosy<'a> {
    fn new(trial: &'a Trial) -> Self {
        Self { trial, unfit: None, refused: None, patience: Duration::MAX, heard: Mutex::default() }
    }

    fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }

    fn key(&self, stage: StageId) -> StageKey {
        self.trial.records[stage].parts.key()
    }
}

impl Duty for Choosy<'_> {
    fn fits(&self, stage: StageId, key: &StageKey) -> bool {
        assert_eq!(*key, self.key(stage));
        self.unfit != Some(stage)
    }

    fn refuses(&self, key: &StageKey) -> Result<Option<String>, StoreError> {
        Ok(self.refused.filter(|&stage| self.key(stage) == *key).map(|_| "it failed twice".to_owned()))
    }

    fn inherits(&self, stage: StageId, _: &StageKey, dead: &Holder) {
        self.heard.lock().unwrap().push(format!("inherits {stage} from {}", dead.process));
    }

    fn begins(&self, stage: StageId, _: &StageKey) {
        self.heard.lock().unwrap().push(format!("begins {stage}"));
    }

    fn fails(&self, stage: StageId, key: &StageKey, error: &EngineError) {
        let is_claimed = is_claimed(&self.trial.store, key);
        self.heard.lock().unwrap().push(format!("fails {stage}, claimed {is_claimed}: {error}"));
    }

    fn patience(&self) -> Duration {
        self.patience
    }
}

fn is_claimed(store: &Store, key: &StageKey) -> bool {
    store.claim(key).unwrap().ours().is_none()
}

#[test]
fn what_does_not_fit_is_left_with_all_that_needs_it() {
    let (_folder, store) = store();
    in_time("what does not fit", move || {
        for jobs in [1, 2] {
            for unfit in 0..EDGES.len() {
                let trial = Trial::new(&store, 20_000 + 100 * jobs as u64 + 10 * unfit as u64, Nothing, unfit);
                let duty = Choosy { unfit: Some(unfit), ..Choosy::new(&trial) };
                let (summary, _) = trial.make_under(&duty, jobs, true);
                assert!(summary.left && summary.errors.is_empty(), "{summary:?}");
                for id in 0..EDGES.len() {
                    assert_eq!(trial.ran(id), usize::from(!trial.needs(id)), "stage {id} without {unfit}");
                }
                let (summary, _) = trial.make(jobs, true);
                assert!(!summary.left && summary.errors.is_empty() && trial.ran(unfit) == 1);
            }
        }
    });
}

#[test]
fn what_others_gave_up_is_not_tried() {
    let (_folder, store) = store();
    in_time("what others gave up", move || {
        let trial = Trial::new(&store, 21_000, Nothing, 1);
        let duty = Choosy { refused: Some(1), ..Choosy::new(&trial) };
        let (summary, _) = trial.make_under(&duty, 2, true);
        let [EngineError::GivenUp { stage, why }] = &summary.errors[..] else { panic!("{:?}", summary.errors) };
        assert_eq!((stage.as_str(), why.as_str(), summary.left), ("s1", "it failed twice", false));
        assert_eq!([0, 1, 2, 3, 4].map(|id| trial.ran(id)), [1, 0, 1, 0, 1]);
        assert!(duty.heard().iter().all(|heard| heard.starts_with("begins") && heard != "begins 1"));
        assert!(!is_claimed(&trial.store, &duty.key(1)));
    });
}

#[test]
fn a_failure_is_told_while_the_key_is_claimed() {
    quiet_panics();
    let (_folder, store) = store();
    in_time("a failure is told", move || {
        let told = |trouble, base| {
            let trial = Trial::new(&store, base, trouble, 1);
            let duty = Choosy::new(&trial);
            let (summary, _) = trial.make_under(&duty, 2, true);
            let told: Vec<String> = duty.heard().into_iter().filter(|heard| heard.starts_with("fails")).collect();
            // A stage that ran again with fewer beside it, and then succeeded, has not failed.
            assert_eq!(told.len(), summary.errors.len() + usize::from(trouble == Cancelled), "{told:?}");
            told
        };
        let failed = told(Fails, 22_000);
        assert_eq!(failed, ["fails 1, claimed true: stage `s1` failed: broken"]);
        // A panic has released the claim.
        let panicked = told(Panics, 22_100);
        assert!(matches!(&panicked[..], [one] if one.contains(ON_PURPOSE)), "{panicked:?}");
        told(OutOfMemory, 22_200);
        let never = told(NeverRoom, 22_300);
        assert!(matches!(&never[..], [one] if one.contains("out of memory")), "{never:?}");
        assert!(matches!(&told(Cancelled, 22_400)[..], [one] if one.ends_with("interrupted")));
    });
}

#[test]
fn it_waits_for_others_as_long_as_its_patience() {
    let (_folder, store) = store();
    in_time("patience", move || {
        let trial = Trial::new(&store, 23_000, Nothing, 0);
        let duty = Choosy { patience: Duration::ZERO, ..Choosy::new(&trial) };
        let held = trial.store.claim(&duty.key(0)).unwrap();
        let (summary, events) = trial.make_under(&duty, 2, true);
        // It does its own work first.
        assert!(summary.left && summary.errors.is_empty() && trial.ran(4) == 1 && trial.ran(0) == 0);
        assert!(events.iter().any(|event| matches!(event, Event::Elsewhere { stage: 0, .. })), "{events:?}");
        drop(held);
        // With patience, it waits until the other process is done: see the trouble `Elsewhere`.
        let trial = Trial::new(&store, 23_100, Elsewhere, 0);
        let (summary, _) = trial.make_under(&Choosy::new(&trial), 2, true);
        assert!(!summary.left && summary.errors.is_empty() && trial.ran(0) == 0 && trial.ran(3) == 1);
    });
}
