//! Decides when to ask again for stages that other processes compute: first whether they have a record now, and if not,
//! whether they can be claimed, because the other process may have died. Every attempt to claim one costs the file system
//! of the store a lock, and there can be many processes.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::graph::StageId;
use store::Holder;

/// The longest delay of a stage, in first delays: it doubles with each attempt, from 0.2 s to 5 s.
const LONGEST: u32 = 25;

/// Time between two attempts of this process to claim any of the stages, in first delays: 1 s.
const APART: u32 = 5;

/// Time after which it is said again for whom a stage waits.
const SAY_AGAIN: Duration = Duration::from_secs(10 * 60);

/// The stages that other processes were computing at the last attempt to claim them.
#[derive(Debug)]
pub struct Waiting {
    /// Time from the first question for a stage to the second.
    first: Duration,
    stages: BTreeMap<StageId, Asked>,
    /// Time of the last attempt to claim a stage in this list.
    last: Option<Instant>,
}

#[derive(Debug)]
struct Asked {
    /// Time of the next question, and the delay that it ends.
    next: Instant,
    delay: Duration,
    /// Time of the last attempt to claim it, and the delay until the next.
    tried: Instant,
    patience: Duration,
    /// Who computes it, and when that was said.
    holder: Option<Holder>,
    said: Instant,
}

impl Waiting {
    /// Creates an empty list. `first` is the time from the first question for a stage to the second.
    pub fn new(first: Duration) -> Self {
        Self { first, stages: BTreeMap::new(), last: None }
    }

    /// Whether a stage is in this list.
    pub fn contains(&self, stage: StageId) -> bool {
        self.stages.contains_key(&stage)
    }

    /// Removes a stage: it no longer has to be claimed.
    pub fn remove(&mut self, stage: StageId) {
        self.stages.remove(&stage);
    }

    /// Returns the stages whose records to look for now, the one that was not looked for longest first.
    pub fn to_look_for(&self, now: Instant) -> Vec<StageId> {
        in_order(self.stages.iter().filter(|(_, asked)| asked.next <= now).map(|(stage, asked)| (asked.next, *stage)))
    }

    /// Notes that a stage was looked for in vain.
    pub fn looked_for(&mut self, stage: StageId, now: Instant) {
        let longest = self.first * LONGEST;
        if let Some(asked) = self.stages.get_mut(&stage) {
            asked.delay = (asked.delay * 2).min(longest);
            asked.next = now + asked.delay;
        }
    }

    /// Returns the stages that can be claimed now, the one that was not tried for longest first.
    pub fn to_claim(&self, now: Instant) -> Vec<StageId> {
        let is_soon = |time: Option<Instant>, delay| time.is_some_and(|time| now < time + delay);
        if is_soon(self.last, self.first * APART) {
            return Vec::new();
        }
        let due = self.stages.iter().filter(|(_, asked)| !is_soon(Some(asked.tried), asked.patience));
        in_order(due.map(|(stage, asked)| (asked.tried, *stage)))
    }

    /// Notes an attempt to claim a stage, which can be in the list or not.
    pub fn claims(&mut self, stage: StageId, now: Instant) {
        if self.contains(stage) {
            self.last = Some(now);
        }
    }

    /// Notes that the attempt failed because of `holder`, if that is known. Returns whether to say so.
    pub fn failed(&mut self, stage: StageId, holder: Option<&Holder>, now: Instant) -> bool {
        let first = self.first;
        let Some(asked) = self.stages.get_mut(&stage) else {
            let holder = holder.cloned();
            let asked = Asked { next: now + first, delay: first, tried: now, patience: first, holder, said: now };
            self.stages.insert(stage, asked);
            return true;
        };
        (asked.tried, asked.patience) = (now, (asked.patience * 2).min(first * LONGEST));
        let is_other = holder.is_some_and(|holder| asked.holder.as_ref() != Some(holder));
        let says = is_other || now.saturating_duration_since(asked.said) >= SAY_AGAIN;
        if says {
            (asked.holder, asked.said) = (holder.cloned(), now);
        }
        says
    }
}

/// Returns the stages in the order of their times.
fn in_order(stages: impl Iterator<Item = (Instant, StageId)>) -> Vec<StageId> {
    let mut stages: Vec<_> = stages.collect();
    stages.sort_unstable();
    stages.into_iter().map(|(_, stage)| stage).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Duration = Duration::from_millis(200);

    fn holder(process: u32) -> Holder {
        let (host, user, heartbeat) = ("n2".to_owned(), "ann".to_owned(), Duration::from_secs(30));
        Holder { host, process, job: None, user, since: 7, heartbeat }
    }

    /// Returns the times in seconds at which the stages are asked for until `end`; `holder` tells who computes them.
    fn asked(stages: usize, end: f64, holder: &dyn Fn(f64) -> Option<Holder>) -> (Vec<(f64, StageId)>, Vec<f64>) {
        let (start, mut waiting) = (Instant::now(), Waiting::new(FIRST));
        let (mut attempts, mut said) = (Vec::new(), Vec::new());
        let mut at = 0.0;
        while at <= end {
            let now = start + Duration::from_secs_f64(at);
            let new = (0..stages).find(|stage| !waiting.contains(*stage));
            if let Some(stage) = new.or_else(|| waiting.to_claim(now).first().copied()) {
                if new.is_none() {
                    attempts.push((at, stage));
                }
                waiting.claims(stage, now);
                if waiting.failed(stage, holder(at).as_ref(), now) {
                    said.push(at);
                }
            } else {
                at += 0.05;
            }
        }
        (attempts, said)
    }

    #[test]
    fn a_stage_is_asked_for_less_and_less_often() {
        let (attempts, said) = asked(1, 60.0, &|_| Some(holder(1)));
        let times: Vec<_> = attempts.iter().map(|(at, _)| (at * 10.0).round() / 10.0).collect();
        assert_eq!(&times[..6], [0.2, 1.2, 2.2, 3.8, 7.0, 12.0], "{times:?}");
        assert!(times.windows(2).skip(4).all(|pair| (pair[1] - pair[0] - 5.0).abs() < 0.2), "{times:?}");
        assert_eq!(said, [0.0]);
    }

    #[test]
    fn however_many_stages_wait_there_is_one_attempt_a_second_and_each_has_its_turn() {
        let (attempts, _) = asked(30, 120.0, &|_| None);
        assert!(attempts.windows(2).all(|pair| pair[1].0 - pair[0].0 >= 0.999), "{attempts:?}");
        assert!(attempts.len() > 100, "{attempts:?}");
        for stage in 0..30 {
            assert!(attempts.iter().filter(|(_, asked)| *asked == stage).count() >= 3, "{stage}");
        }
    }

    #[test]
    fn it_is_said_for_whom_a_stage_waits_when_that_changes_and_after_ten_minutes() {
        let (_, said) = asked(1, 1300.0, &|at| Some(holder(if at < 30.0 { 1 } else { 2 })));
        let minutes: Vec<_> = said.iter().map(|at| (at / 60.0 * 2.0).round() / 2.0).collect();
        assert_eq!(minutes, [0.0, 0.5, 10.5, 20.5], "{said:?}");
        // A moment in which it is not known who holds it is no change.
        let (_, said) = asked(1, 60.0, &|at| (!(30.0..=40.0).contains(&at)).then(|| holder(1)));
        assert_eq!(said, [0.0]);
        let (_, said) = asked(1, 60.0, &|at| (at > 10.0).then(|| holder(1)));
        assert_eq!(said.len(), 2, "{said:?}");
    }

    #[test]
    fn records_of_all_stages_are_looked_for_without_waiting_for_each_other() {
        let (start, mut waiting) = (Instant::now(), Waiting::new(FIRST));
        for stage in 0..100 {
            waiting.failed(stage, None, start);
        }
        let mut looks = Vec::new();
        for tick in 0..600_u32 {
            let now = start + tick * Duration::from_millis(50);
            let stages = waiting.to_look_for(now);
            stages.iter().for_each(|stage| waiting.looked_for(*stage, now));
            assert!(stages.is_empty() || stages.len() == 100);
            if !stages.is_empty() {
                looks.push(f64::from(tick) * 0.05);
            }
        }
        let wanted = [0.2, 0.6, 1.4, 3.0, 6.2, 11.2, 16.2, 21.2, 26.2];
        assert!(looks.len() == wanted.len() && looks.iter().zip(wanted).all(|(at, wanted)| (at - wanted).abs() < 0.06));
    }

    #[test]
    fn what_is_known_is_not_asked_for() {
        let mut waiting = Waiting::new(FIRST);
        let now = Instant::now();
        assert!(waiting.failed(3, None, now) && waiting.contains(3));
        assert!(waiting.to_look_for(now).is_empty() && waiting.to_claim(now).is_empty());
        let soon = now + FIRST;
        assert_eq!((waiting.to_look_for(soon), waiting.to_claim(soon)), (vec![3], vec![3]));
        waiting.looked_for(3, soon);
        assert_eq!((waiting.to_look_for(soon), waiting.to_claim(soon)), (vec![], vec![3]));
        waiting.remove(3);
        assert!(!waiting.contains(3) && waiting.to_look_for(soon).is_empty() && waiting.to_claim(soon).is_empty());
        // A stage that is claimed for the first time does not count as waiting.
        waiting.claims(4, now);
        assert!(waiting.last.is_none());
    }
}
