//! What the page shows: running stages, with all segments of one run of training in one place. Pure.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::engine::{Reading, RunningStage, Trail, chain};
use store::Holder;

/// Time after which a run without a note counts as ended. A segment has no note in its first seconds.
const PAUSE: Duration = Duration::from_secs(6);

/// Maximum number of runs that are shown. Those that ended first are left out.
const MOST: usize = 200;

/// The runs that were seen so far, by name and identity.
#[derive(Debug, Default)]
pub struct Board {
    runs: BTreeMap<(String, String), Seen>,
}

#[derive(Debug)]
struct Seen {
    stage: RunningStage,
    /// When there was last a note, and when it last changed.
    noted: Instant,
    changed: Instant,
}

/// A run as the page reads it.
#[derive(Debug, Serialize)]
struct ShownRun<'a> {
    name: &'a str,
    identity: &'a str,
    is_running: bool,
    /// Seconds since the values last changed.
    quiet: u64,
    host: &'a str,
    process: u32,
    job: Option<&'a str>,
    user: &'a str,
    #[serde(flatten)]
    reading: &'a Reading,
}

impl Seen {
    fn shown<'a>(&'a self, (name, identity): &'a (String, String), now: Instant) -> ShownRun<'a> {
        let RunningStage { holder: Holder { host, process, job, user, .. }, reading, .. } = &self.stage;
        ShownRun {
            name,
            identity,
            is_running: now.duration_since(self.noted) < PAUSE,
            quiet: now.duration_since(self.changed).as_secs(),
            host,
            process: *process,
            job: job.as_deref(),
            user,
            reading,
        }
    }
}

impl Board {
    /// Takes in the stages that are running now.
    pub fn update(&mut self, stages: Vec<RunningStage>, now: Instant) {
        let mut latest: BTreeMap<(String, String), RunningStage> = BTreeMap::new();
        for stage in stages {
            let is_older = |other: &RunningStage| other.reading.epoch > stage.reading.epoch;
            // While a segment is stored, the next one runs.
            if !latest.get(&place(&stage)).is_some_and(is_older) {
                latest.insert(place(&stage), stage);
            }
        }
        for (place, mut stage) in latest {
            let before = self.runs.get(&place);
            if let Some(Seen { stage: before, .. }) = before {
                stage.reading.losses = joined(&before.reading.losses, stage.reading.losses);
                stage.reading.test_errors = joined(&before.reading.test_errors, stage.reading.test_errors);
                stage.reading.test_error = stage.reading.test_error.or(before.reading.test_error);
            }
            let same = before.filter(|before| before.stage == stage);
            let changed = same.map_or(now, |before| before.changed);
            self.runs.insert(place, Seen { stage, noted: now, changed });
        }
        while self.runs.len() > MOST {
            let oldest = self.runs.iter().min_by_key(|(_, seen)| seen.noted).map(|(place, _)| place.clone());
            oldest.and_then(|place| self.runs.remove(&place));
        }
    }

    /// Returns all runs as JSON, those that are running first.
    pub fn to_json(&self, now: Instant) -> String {
        let mut runs: Vec<_> = self.runs.iter().map(|(place, seen)| seen.shown(place, now)).collect();
        runs.sort_by_key(|run| !run.is_running);
        serde_json::json!({ "runs": runs }).to_string()
    }
}

/// Returns the name of a run and what distinguishes it from others of this name, such as those of another profile.
fn place(stage: &RunningStage) -> (String, String) {
    let RunningStage { key, reading, .. } = stage;
    match reading.run.is_empty() {
        true => (reading.stage.clone(), key.short()),
        false => (chain(&reading.stage).to_owned(), reading.run.clone()),
    }
}

/// Returns a trail with the earlier points that its process does not know, because another one computed them.
fn joined(before: &Trail, mut now: Trail) -> Trail {
    let first = now.points.first().map_or(f64::INFINITY, |(epoch, _)| *epoch);
    let mut points: Vec<_> = before.points.iter().copied().take_while(|(epoch, _)| *epoch < first).collect();
    points.append(&mut now.points);
    Trail { points }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::digest::StageKey;
    use serde_json::Value;

    fn segment(checkpoint: u8, run: &str, points: &[(f64, f64)]) -> RunningStage {
        let holder = Holder {
            host: "n1".into(),
            process: 7,
            job: None,
            user: "ann".into(),
            since: 0,
            heartbeat: Duration::from_secs(30),
        };
        let reading = Reading {
            stage: format!("fig3/trunk[lr=0.1]@{checkpoint}"),
            run: run.into(),
            epoch: points.last().map(|(epoch, _)| *epoch),
            losses: Trail { points: points.to_vec() },
            ..Reading::default()
        };
        RunningStage { key: StageKey::from_bytes([checkpoint; 32]), holder, reading }
    }

    fn runs(board: &Board, now: Instant) -> Vec<Value> {
        let json: Value = serde_json::from_str(&board.to_json(now)).unwrap();
        json["runs"].as_array().unwrap().clone()
    }

    #[test]
    fn segments_of_a_run_are_in_one_place_and_keep_their_curve() {
        let (mut board, start) = (Board::default(), Instant::now());
        board.update(vec![segment(5, "a", &[(1.0, 2.0), (2.0, 1.5)])], start);
        // The next segment is computed by a process that does not know the first one, which is still being stored.
        let next = segment(10, "a", &[(6.0, 1.0)]);
        board.update(vec![next.clone(), segment(5, "a", &[(1.0, 2.0), (2.0, 1.5)])], start);
        let [run] = &runs(&board, start)[..] else { panic!() };
        assert_eq!((&run["name"], &run["stage"]), (&"fig3/trunk[lr=0.1]".into(), &"fig3/trunk[lr=0.1]@10".into()));
        assert_eq!(run["losses"], serde_json::json!([[1.0, 2.0], [2.0, 1.5], [6.0, 1.0]]));
        // A run of another profile has another place.
        board.update(vec![next, segment(10, "b", &[(6.0, 3.0)])], start);
        assert_eq!(runs(&board, start).len(), 2);
    }

    #[test]
    fn a_run_without_news_is_quiet_and_one_without_a_note_has_ended() {
        let (mut board, start) = (Board::default(), Instant::now());
        let later = |seconds| start + Duration::from_secs(seconds);
        let (one, other) = (segment(5, "a", &[(1.0, 2.0)]), segment(5, "b", &[(1.0, 2.0)]));
        board.update(vec![one.clone(), other.clone()], start);
        board.update(vec![other], later(20));
        let state = |run: &Value| (run["identity"].clone(), run["is_running"].clone(), run["quiet"].clone());
        let wanted = [("b", true), ("a", false)].map(|(name, runs)| (name.into(), runs.into(), 20.into()));
        assert_eq!(runs(&board, later(20)).iter().map(state).collect::<Vec<_>>(), wanted);
        board.update(vec![segment(5, "a", &[(1.0, 2.0), (2.0, 1.0)])], later(21));
        let [first, _] = &runs(&board, later(21))[..] else { panic!() };
        assert_eq!(state(first), ("a".into(), true.into(), 0.into()));
    }

    #[test]
    fn the_list_stays_short() {
        let (mut board, start) = (Board::default(), Instant::now());
        for number in 0..MOST as u64 + 5 {
            let run = format!("{number:04}");
            board.update(vec![segment(5, &run, &[])], start + Duration::from_secs(number));
        }
        let shown = runs(&board, start);
        assert_eq!((shown.len(), &shown[0]["identity"]), (MOST, &"0005".into()));
    }
}
