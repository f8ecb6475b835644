//! How many stages share a GPU: the number with the highest throughput. It starts with one stage and admits another as
//! long as the total work per second grows. The code is pure: its caller reports the work done and the time.

/// Factor by which one more stage must raise the throughput.
const GAIN: f64 = 1.05;
/// Seconds after a change that are not measured, since the new stage loads and warms up.
const SETTLE: f64 = 10.0;
/// Length of a measurement in seconds.
const WINDOW: f64 = 20.0;

/// The number of stages that may run in parallel.
#[derive(Debug, Clone, PartialEq)]
pub struct Packing {
    limit: usize,
    most: usize,
    /// Work per second under the last limit that was an improvement.
    best: f64,
    /// Start of the measurement, and the work done since; `None` once the limit is settled.
    window: Option<(f64, f64)>,
}

impl Packing {
    /// Creates a fixed limit of `jobs` stages.
    pub fn fixed(jobs: usize) -> Self {
        Self { limit: jobs, most: jobs, best: 0.0, window: None }
    }

    /// Creates a limit that grows from one to at most `most` stages.
    pub fn growing(most: usize) -> Self {
        let window = (most > 1).then_some((SETTLE, 0.0));
        Self { limit: 1, most, best: 0.0, window }
    }

    /// Returns how many stages may run now.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Notes that `work` was done up to `now`, in seconds since the start, while `running` stages ran. `room` says whether
    /// the device's memory can hold another stage.
    pub fn done(&mut self, work: f64, running: usize, now: f64, room: impl FnOnce() -> bool) {
        let Some((begins, done)) = &mut self.window else { return };
        if running < self.limit {
            // Fewer stages than the limit are running, so the throughput says nothing about the limit.
            (*begins, *done) = (now + SETTLE, 0.0);
            return;
        }
        if now < *begins {
            return;
        }
        *done += work;
        if now - *begins < WINDOW {
            return;
        }
        let rate = *done / (now - *begins);
        if rate > GAIN * self.best {
            self.best = rate;
            if self.limit == self.most || !room() {
                self.settle(self.limit);
            } else {
                self.limit += 1;
                self.window = Some((now + SETTLE, 0.0));
            }
        } else {
            self.settle(self.limit - 1);
        }
    }

    /// Notes that the device ran out of memory, and lowers the limit. Returns false if only one stage was running.
    pub fn out_of_memory(&mut self, running: usize) -> bool {
        let fewer = running.saturating_sub(1);
        if fewer == 0 {
            return false;
        }
        self.most = fewer;
        self.settle(fewer.min(self.limit));
        true
    }

    fn settle(&mut self, limit: usize) {
        (self.limit, self.window) = (limit.max(1), None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Simulates a device of a given throughput for an hour, one second at a time.
    fn settled(mut packing: Packing, throughput: impl Fn(usize) -> f64) -> Packing {
        for second in 0..3600 {
            packing.done(throughput(packing.limit()), packing.limit(), f64::from(second), || true);
        }
        packing
    }

    #[test]
    fn it_grows_as_long_as_more_is_done() {
        let saturates = |at: usize| move |running: usize| 100.0 * running.min(at) as f64;
        for (at, most, wanted) in [(1, 8, 1), (3, 8, 3), (8, 8, 8), (20, 4, 4), (5, 1, 1)] {
            assert_eq!(settled(Packing::growing(most), saturates(at)).limit(), wanted, "{at} {most}");
        }
        // A gain that does not justify the memory, and a loss.
        assert_eq!(settled(Packing::growing(8), |running| 100.0 + running as f64).limit(), 1);
        assert_eq!(settled(Packing::growing(8), |running| 100.0 / running as f64).limit(), 1);
        assert_eq!(settled(Packing::fixed(3), saturates(1)).limit(), 3);
    }

    #[test]
    fn it_does_not_grow_beyond_the_memory() {
        let mut packing = Packing::growing(8);
        for second in 0..1000 {
            let room = packing.limit() < 3;
            packing.done(packing.limit() as f64, packing.limit(), f64::from(second), || room);
        }
        assert_eq!(packing.limit(), 3);
    }

    #[test]
    fn what_is_done_while_too_few_run_tells_nothing() {
        let mut packing = Packing::growing(8);
        for second in 0..1000 {
            packing.done(100.0, 0, f64::from(second), || true);
        }
        assert_eq!(packing.limit(), 1);
        assert_eq!(packing.window, Some((999.0 + SETTLE, 0.0)));
    }

    #[test]
    fn without_room_there_are_fewer_for_good_but_never_none() {
        let mut packing = settled(Packing::growing(8), |running| running as f64);
        assert_eq!(packing.limit(), 8);
        assert!(packing.out_of_memory(5));
        assert_eq!(settled(packing.clone(), |running| running as f64).limit(), 4);
        assert!(packing.out_of_memory(2));
        assert_eq!(packing.limit(), 1);
        assert!(!packing.out_of_memory(1), "alone it is a failure");
        let mut fixed = Packing::fixed(2);
        assert!(fixed.out_of_memory(2) && fixed.limit() == 1);
    }
}
