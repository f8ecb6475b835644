//! The duty of one worker: what it begins, what it declines, and what it notes.

use std::time::{Duration, Instant};

use super::super::shift::{Deadline, Shift};
use super::*;
use crate::engine::{Duty, EngineError};
use crate::stages::StageError;
use store::Holder;

/// Returns a deadline after which this many seconds are left for stages, of a worker's whole time of 4000 s.
fn left(seconds: f64) -> Deadline {
    let limit = Duration::from_secs(4000);
    let usable = Deadline::usable(4000.0);
    Deadline { began: Instant::now().checked_sub(Duration::from_secs_f64(usable - seconds)).unwrap(), limit }
}

fn with_shift(bench: &Bench, executor: &Fake, jobs: usize, deadline: Option<Deadline>, test: impl FnOnce(&Shift<'_>)) {
    let (name, cancel) = (job("7_0"), AtomicBool::new(false));
    let shift = Shift::new(&bench.run, &bench.selection.graph, (&name, jobs), deadline, (executor, &cancel));
    test(&shift);
}

#[test]
fn a_stage_begins_only_if_there_is_time_for_it() {
    let (bench, executor) = (Bench::new(), Fake::new(State::Unknown));
    let (stage, key) = bench.ready();
    let fits = |deadline: Option<Deadline>, estimate: f64, tried: Option<f64>| {
        bench.run.reopen().unwrap();
        if let Some(seconds) = tried {
            bench.run.note_failed(&key, 0, &Failed { seconds, ..failed(Kind::Time) }).unwrap();
        }
        let mut fits = None;
        with_shift(&bench, &executor, 1, deadline, |shift| {
            shift.plan(&vec![estimate; bench.selection.graph.stages.len()]);
            fits = Some(shift.fits(stage, &key));
        });
        fits.unwrap()
    };
    assert!(fits(None, 1e9, None), "no deadline");
    assert!(fits(Some(left(1000.0)), 700.0, None));
    assert!(!fits(Some(left(1000.0)), 900.0, None), "with a margin");
    assert!(!fits(Some(left(-1.0)), 0.0, None), "time for nothing");
    // Its time was over once after 1200 s, so the estimate is wrong.
    assert!(!fits(Some(left(1000.0)), 1.0, Some(1200.0)));
    // A worker at its beginning tries what seems too long for any: estimates can be wrong.
    assert!(fits(Some(left(3800.0)), 1e9, Some(1200.0)));
    assert_eq!((Deadline::usable(40.0), Deadline::usable(4000.0)), (30.0, 3820.0));
}

#[test]
fn a_stage_that_ran_out_of_memory_needs_a_worker_with_fewer_at_a_time() {
    let (bench, executor) = (Bench::new(), Fake::new(State::Unknown));
    let (stage, key) = bench.ready();
    bench.run.note_failed(&key, 0, &failed(Kind::Memory)).unwrap();
    for (jobs, fits) in [(1, true), (2, true), (3, true), (4, false), (8, false)] {
        with_shift(&bench, &executor, jobs, None, |shift| {
            shift.plan(&[]);
            assert_eq!(shift.fits(stage, &key), fits, "{jobs} jobs");
            assert_eq!(shift.refuses(&key).unwrap(), None);
        });
    }
}

#[test]
fn failures_count_for_all_workers_and_interruptions_do_not() {
    let (bench, executor) = (Bench::new(), Fake::new(State::Unknown));
    let (stage, key) = bench.ready();
    let failure = |source: StageError| EngineError::Stage { stage: "a".into(), source: Box::new(source) };
    with_shift(&bench, &executor, 4, None, |shift| {
        for error in [EngineError::Interrupted, failure(StageError::Device("no GPU".into()))] {
            shift.begins(stage, &key);
            shift.fails(stage, &key, &error);
        }
        assert!(bench.run.failed(&key).unwrap().is_empty());
        for attempt in 1..=2 {
            assert_eq!(shift.refuses(&key).unwrap(), None, "attempt {attempt}");
            shift.begins(stage, &key);
            shift.fails(stage, &key, &failure(StageError::NoInput("x".into())));
        }
        assert!(shift.refuses(&key).unwrap().unwrap().contains("the input `x` is missing"));
        assert_eq!(shift.trouble(), None);
    });
    assert!(bench.open().given_up.iter().any(|(given_up, _)| *given_up == stage));
    // A worker that is interrupted when its time is over has found out that the stage takes longer.
    bench.run.reopen().unwrap();
    with_shift(&bench, &executor, 4, Some(left(-1.0)), |shift| {
        shift.begins(stage, &key);
        shift.fails(stage, &key, &EngineError::Interrupted);
    });
    let noted = bench.run.failed(&key).unwrap();
    assert!(matches!(&noted[..], [one] if one.kind == Kind::Time), "{noted:?}");
}

#[test]
fn a_short_time_is_over_when_slurm_warns() {
    let (bench, executor) = (Bench::new(), Fake::new(State::Unknown));
    let (stage, key) = bench.ready();
    let ago = |seconds| Instant::now().checked_sub(Duration::from_secs(seconds)).unwrap();
    // A worker's whole time, how much of it was over when the stage began, and whether an interruption counts.
    for (limit, over, counts) in [(4000, 0, false), (60, 30, false), (60, 0, true)] {
        bench.run.reopen().unwrap();
        let deadline = Deadline { began: ago(over), limit: Duration::from_secs(limit) };
        with_shift(&bench, &executor, 1, Some(deadline), |shift| {
            shift.begins(stage, &key);
            std::thread::sleep(Duration::from_millis(300));
            shift.fails(stage, &key, &EngineError::Interrupted);
        });
        let noted = bench.run.failed(&key).unwrap();
        assert_eq!(noted.iter().any(|failed| failed.kind == Kind::Time), counts, "{limit} s, {over} s over: {noted:?}");
    }
}

#[test]
fn the_end_of_a_dead_worker_decides_how_it_counts() {
    let dead = |job: Option<&str>| Holder {
        host: "n1".into(),
        process: 9,
        job: job.map(str::to_owned),
        user: "me".into(),
        since: 0,
        heartbeat: Duration::from_secs(30),
    };
    let noted = |state: State, holder: Holder| {
        let (bench, executor) = (Bench::new(), Fake::new(state));
        let (stage, key) = bench.ready();
        bench.run.note_jobs(&[Submission { id: job("4711"), tasks: 1 }]).unwrap();
        bench.say("4711_0", (stage, key));
        with_shift(&bench, &executor, 2, None, |shift| shift.inherits(stage, &key, &holder));
        bench.run.failed(&key).unwrap().into_iter().map(|failed| failed.kind).collect::<Vec<_>>()
    };
    for (state, kinds) in [
        (State::Ended(TaskEnd::OutOfMemory), vec![Kind::Memory]),
        (State::Ended(TaskEnd::TimeLimit), vec![Kind::Time]),
        (State::Ended(TaskEnd::Failed), vec![Kind::Lost]),
        (State::Unknown, vec![Kind::Lost]),
        (State::Ended(TaskEnd::Preempted), vec![]),
        (State::Ended(TaskEnd::NodeLost), vec![]),
        (State::Ended(TaskEnd::Cancelled), vec![]),
    ] {
        assert_eq!(noted(state.clone(), dead(Some("4711_0"))), kinds, "{state:?}");
    }
    // Somebody who was no worker of this run, or whose claim says anything.
    for job in [None, Some("4712_0"), Some("../../x"), Some("")] {
        assert!(noted(LOST, dead(job)).is_empty(), "{job:?}");
    }
}

#[test]
fn a_worker_says_what_it_does_and_stops_when_the_run_does() {
    let (bench, executor) = (Bench::new(), Fake::new(State::Unknown));
    let (stage, key) = bench.ready();
    let (name, cancel, over) = (job("7_0"), AtomicBool::new(false), AtomicBool::new(false));
    let shift = Shift::new(&bench.run, &bench.selection.graph, (&name, 2), None, (&executor, &cancel));
    shift.begins(stage, &key);
    shift.progressed(stage, 0.25);
    std::thread::scope(|scope| {
        scope.spawn(|| shift.beat(&over));
        bench.run.stop().unwrap();
        let begun = Instant::now();
        while !cancel.load(Ordering::SeqCst) {
            assert!(begun.elapsed() < Duration::from_secs(60));
            std::thread::sleep(Duration::from_millis(5));
        }
        over.store(true, Ordering::SeqCst);
    });
    let workers = bench.run.workers().unwrap();
    let [(said, worker)] = &workers[..] else { panic!("{workers:?}") };
    assert_eq!((said, worker.jobs, worker.stages[0].done), (&name, 2, 0.25));
    assert_eq!(worker.stages[0].key, key.to_string());
    shift.ended(stage, true);
    shift.say(Some("done".to_owned()));
    let (_, worker) = bench.run.workers().unwrap().remove(0);
    assert_eq!((worker.computed, worker.ended.as_deref(), worker.stages.len()), (1, Some("done"), 0));
}
