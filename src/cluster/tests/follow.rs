//! Following a run: when it ends, when workers are submitted, and what is noted for those that died.

use std::time::Duration;

use super::super::follow::{Followed, News, Watch};
use super::*;

impl Bench {
    /// Follows the run; `look` is called at every look with its number.
    fn follow(&self, executor: &Fake, look: &dyn Fn(usize, &AtomicBool)) -> (Followed, Vec<String>) {
        let (cancel, launch, mut told, mut looks) = (AtomicBool::new(false), launch(), Vec::new(), 0);
        let watch = Watch {
            run: &self.run,
            selection: &self.selection,
            store: &self.store,
            executor,
            launch: &launch,
            every: Duration::from_millis(1),
            cancel: &cancel,
        };
        let followed = watch.follow(&mut |news| match news {
            News::Submitted(workers) => told.push(format!("submitted {workers}")),
            News::Failed(failed) => told.push(format!("failed in {}", failed.worker)),
            News::Unreachable(failure) => told.push(failure.message.clone()),
            News::View(_) => {
                looks += 1;
                look(looks, &cancel);
            }
        });
        (followed.unwrap(), told)
    }
}

#[test]
fn workers_that_get_nothing_done_are_not_submitted_for_ever() {
    let (bench, executor) = (Bench::new(), Fake::new(LOST));
    let (followed, told) = bench.follow(&executor, &|_, _| {});
    assert!(matches!(followed, Followed::Barren(_)), "{followed:?}");
    assert_eq!(told, ["submitted 2"; 3]);
    assert_eq!(bench.run.top_ups().unwrap(), 3);
}

#[test]
fn workers_that_only_find_out_what_fails_are_submitted_until_nothing_is_left_to_try() {
    let (bench, executor) = (Bench::new(), Fake::new(LOST));
    let ready = bench.open().ready;
    // Each worker notes one failure and ends, so six of them are needed for three stages.
    let (followed, told) = bench.follow(&executor, &|look, _| {
        if let Some((_, key)) = ready.get((look - 1) / 2) {
            bench.run.note_failed(key, look, &failed(Kind::Time)).unwrap();
        }
    });
    let Followed::Stuck(stages) = followed else { panic!("{followed:?}") };
    assert_eq!(stages.len(), ready.len());
    assert!(stages.iter().all(|(_, why)| why.contains("longer than a worker's time")), "{stages:?}");
    assert!(told.iter().filter(|told| told.starts_with("submitted")).count() > 4, "{told:?}");
}

#[test]
fn it_ends_when_everything_is_there_although_nobody_can_be_asked() {
    let (bench, executor) = (Bench::new(), Fake::new(LOST));
    executor.says(None);
    let (followed, told) = bench.follow(&executor, &|look, _| {
        if look == 5 {
            bench.compute();
        }
    });
    assert_eq!(followed, Followed::Complete);
    // It is said once, and nothing is submitted for workers that may be alive.
    assert_eq!(told, ["the controller does not answer"]);
    assert_eq!(executor.submitted.load(Ordering::SeqCst), 0);
}

#[test]
fn it_ends_when_it_is_cancelled_interrupted_or_stuck() {
    let bench = Bench::new();
    let waiting = Fake::new(State::Waiting("priority".to_owned()));
    assert_eq!(bench.follow(&waiting, &|_, cancel| cancel.store(true, Ordering::SeqCst)).0, Followed::Interrupted);
    for (_, key) in bench.open().ready {
        for attempt in 0..2 {
            bench.run.note_failed(&key, attempt, &failed(Kind::Stage)).unwrap();
        }
    }
    let (followed, told) = bench.follow(&waiting, &|_, _| {});
    let Followed::Stuck(stages) = followed else { panic!("{followed:?}") };
    assert_eq!(stages.len(), STAGES - 1, "the drawing only waits");
    assert!(stages.iter().all(|(name, why)| name.starts_with("fig4/valley[") && why.contains("2 attempts")));
    assert!(told.iter().all(|told| told == "failed in 9_0"), "{told:?}");
    bench.run.stop().unwrap();
    assert_eq!(bench.follow(&waiting, &|_, _| {}).0, Followed::Cancelled);
}

#[test]
fn workers_are_submitted_where_there_are_too_few() {
    let (bench, executor) = (Bench::new(), Fake::new(State::Running("n1".to_owned())));
    let (cancel, launch) = (AtomicBool::new(false), launch());
    let watch = Watch {
        run: &bench.run,
        selection: &bench.selection,
        store: &bench.store,
        executor: &executor,
        launch: &launch,
        every: Duration::from_millis(1),
        cancel: &cancel,
    };
    bench.run.note_failed(&bench.ready().1, 0, &failed(Kind::Stage)).unwrap();
    // A run without workers is begun anew, with three generations of two workers.
    assert_eq!(watch.begin(&bench.open(), 3).unwrap(), 2);
    assert_eq!(executor.submitted.load(Ordering::SeqCst), 6);
    assert!(bench.run.all_failed().unwrap().is_empty());
    // All of them are there, so nothing is missing, and failures count.
    bench.run.note_failed(&bench.ready().1, 0, &failed(Kind::Stage)).unwrap();
    assert_eq!(watch.begin(&bench.open(), 3).unwrap(), 0);
    assert_eq!(bench.run.all_failed().unwrap().len(), 1);
}

#[test]
fn what_workers_could_not_say_is_noted_once() {
    for (end, kind) in [(TaskEnd::OutOfMemory, Kind::Memory), (TaskEnd::TimeLimit, Kind::Time)] {
        let (bench, executor) = (Bench::new(), Fake::new(State::Ended(end)));
        let ready = bench.ready();
        bench.run.note_jobs(&[Submission { id: job("4711"), tasks: 1 }]).unwrap();
        bench.say("4711_0", ready);
        bench.follow(&executor, &|look, cancel| cancel.store(look == 3, Ordering::SeqCst));
        let noted = bench.run.failed(&ready.1).unwrap();
        assert!(matches!(&noted[..], [one] if one.kind == kind && one.jobs == 4), "{noted:?}");
    }
    // Preemption, a lost node and an unknown death say nothing by themselves.
    for end in [TaskEnd::Preempted, TaskEnd::NodeLost, TaskEnd::Cancelled, TaskEnd::Failed] {
        let (bench, executor) = (Bench::new(), Fake::new(State::Ended(end)));
        bench.run.note_jobs(&[Submission { id: job("4711"), tasks: 1 }]).unwrap();
        bench.say("4711_0", bench.ready());
        bench.follow(&executor, &|look, cancel| cancel.store(look == 3, Ordering::SeqCst));
        assert!(bench.run.all_failed().unwrap().is_empty(), "{end:?}");
    }
}
