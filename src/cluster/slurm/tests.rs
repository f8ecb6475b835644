//! Tests of the splitting and of the limits, and, with WDPIPE_TEST_SLURM=1, of a real cluster.

use std::slice::from_ref;

use super::super::conformance::{ExecutorTrial, conforms};
use super::super::executor::{State, TaskEnd};
use super::*;

/// How long a real cluster may take for a change of state.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn tasks_are_split_so_that_the_width_is_kept() {
    let part = |tasks, width, after| Part { tasks, width, after };
    assert_eq!(parts(48, 16, 1001), [part(48, Some(16), None)]);
    assert_eq!(parts(4, 4, 1001), [part(4, None, None)]);
    assert_eq!(parts(12, 4, 5), [part(4, Some(2), None), part(4, Some(1), None), part(4, Some(1), None)]);
    assert_eq!(parts(5, 1, 2), [part(2, Some(1), None), part(2, Some(1), Some(0)), part(1, None, Some(1))]);
    for (tasks, width, most) in (1..40).flat_map(|tasks| [(tasks, 3, 5), (tasks, 7, 2), (tasks, 1, 4), (tasks, 50, 6)])
    {
        let parts = parts(tasks, width, most);
        assert_eq!(parts.iter().map(|part| part.tasks).sum::<usize>(), tasks);
        assert!(parts.iter().all(|part| (1..=most).contains(&part.tasks)));
        let at_once = parts.iter().filter(|part| part.after.is_none());
        assert!(at_once.map(|part| part.width.unwrap_or(part.tasks)).sum::<usize>() <= width.max(1), "{parts:?}");
    }
    assert_eq!(parts(0, 4, 5), []);
}

#[test]
fn settings_that_can_never_work_are_named() {
    let gpu = Partition { name: "gpu".to_owned(), longest: Some(600), is_up: true, ..Partition::default() };
    let site = |time: &str| SlurmSite {
        partition: Some("gpu".to_owned()),
        time: Some(time.to_owned()),
        ..SlurmSite::default()
    };
    let message = |site: &SlurmSite, partitions: &[Partition]| unfit(site, partitions).map(|failure| failure.message);
    assert_eq!(message(&site("10min"), from_ref(&gpu)), None);
    let wanted = "a worker's time of 30 min is longer than partition `gpu` allows: 10 min";
    assert_eq!(message(&site("30min"), from_ref(&gpu)).as_deref(), Some(wanted));
    let long = Partition { name: "long".to_owned(), longest: None, ..gpu.clone() };
    assert_eq!(message(&site("30min"), &[gpu.clone(), long.clone()]), None);
    assert_eq!(message(&site("30min"), &[]), None);
    let staff = Partition { accounts: Some(vec!["staff".to_owned()]), ..gpu.clone() };
    let lab = SlurmSite { account: Some("lab".to_owned()), ..site("10min") };
    assert_eq!(message(&lab, &[staff]).as_deref(), Some("account `lab` may not use partition `gpu`"));

    let site = SlurmSite { gpus: Some("h200:1".to_owned()), ..site("4h") };
    let wanted = Allowance { seconds: Some(14_400), place: "gpu, 1 h200, 4 h".to_owned() };
    assert_eq!(limits(&site, from_ref(&gpu)), wanted);
    let usual = Partition { usual: Some(5400), ..gpu };
    let wanted = Allowance { seconds: Some(5400), place: "gpu, 1 h 30 min".to_owned() };
    assert_eq!(limits(&SlurmSite::default(), &[usual]), wanted);
}

/// Returns whether there is a cluster to test with. `ci/cluster` starts one.
fn has_cluster() -> bool {
    let has = std::env::var("WDPIPE_TEST_SLURM").is_ok_and(|value| value == "1");
    if !has {
        println!("skipped: WDPIPE_TEST_SLURM is not 1 (`ci/cluster` starts a cluster)");
    }
    has
}

fn real(workers: u32) -> Slurm {
    Slurm::new(SlurmSite { workers: Some(workers), time: Some("5min".to_owned()), ..SlurmSite::default() })
}

#[test]
fn a_real_cluster_conforms() {
    if has_cluster() {
        let slurm = real(2);
        assert_eq!(slurm.check().unwrap().seconds, Some(300));
        conforms(&slurm, PATIENCE);
    }
}

/// `ci/cluster` allows arrays of 5 tasks.
#[test]
fn arrays_are_no_longer_than_a_real_cluster_allows() {
    if has_cluster() {
        let slurm = real(3);
        let most = slurm.settings().unwrap().array;
        assert!(most <= 5, "MaxArraySize is {most}");
        let trial = ExecutorTrial::new(&slurm, PATIENCE);
        let jobs = trial.submit(12);
        assert!(jobs.len() == 12_usize.div_ceil(most) && jobs.iter().all(|job| job.tasks <= most), "{jobs:?}");
        trial.go(0);
        // The controller may have forgotten the first before the last ends.
        trial.wait(&jobs, "all have ended", |states| {
            let running = states.iter().filter(|state| matches!(state, State::Running(_))).count();
            assert!(running <= 3 && states.len() == 12, "{states:?}");
            let is_over = |state: &State| matches!(state, State::Ended(TaskEnd::Done) | State::Unknown);
            trial.begun().len() == 12 && states.iter().all(is_over)
        });
    }
}

/// `ci/cluster` makes the controller forget jobs after two seconds.
#[test]
fn ends_that_the_controller_has_forgotten_come_from_the_accounting() {
    if has_cluster() {
        let slurm = real(2);
        let trial = ExecutorTrial::new(&slurm, PATIENCE);
        trial.go(3);
        let jobs = trial.submit(2);
        let id = jobs[0].id.to_string();
        trial.wait(&jobs, "they have ended", |states| states.iter().all(|state| matches!(state, State::Ended(_))));
        let begun = std::time::Instant::now();
        let is_known =
            || slurm.ask("squeue", &["--noheader", "--states=all", "--jobs", &id]).is_ok_and(|text| !text.is_empty());
        while is_known() {
            assert!(begun.elapsed() < Duration::from_secs(180), "the controller does not forget job {id}");
            std::thread::sleep(Duration::from_millis(500));
        }
        let states = trial.states(&jobs);
        let wanted = match slurm.has_no_accounting.load(Ordering::Relaxed) {
            true => State::Unknown,
            false => State::Ended(TaskEnd::Failed),
        };
        assert_eq!(states, [wanted.clone(), wanted]);
    }
}
