//! Measures how fast this machine performs the parts of a run: medians and their spread.

#[cfg(feature = "torch")]
pub mod learning;
#[cfg(feature = "torch")]
mod pace;
pub mod storage;

use std::time::{Duration, Instant};

/// Repeated timings of one operation.
#[derive(Debug, Clone, PartialEq)]
pub struct Measured {
    /// The operation, such as `training step`.
    pub what: &'static str,
    /// Its settings by name, such as `width`.
    pub settings: Vec<(&'static str, String)>,
    /// Number of floating-point operations, counted beforehand.
    pub flops: f64,
    /// Minimum number of bytes moved.
    pub bytes: f64,
    /// The items that are processed, such as 128 `images`.
    pub items: (f64, &'static str),
    /// The measured peak of the device in floating-point operations per second.
    pub ceiling: Option<f64>,
    timings: Timings,
}

/// Durations of repetitions.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Timings {
    /// Wall-clock seconds of each repetition, sorted.
    pub seconds: Vec<f64>,
    /// Seconds of CPU time of each repetition's thread, sorted. They hardly depend on the other load of the machine.
    pub processor: Vec<f64>,
}

impl Timings {
    /// Merges the timings of several threads.
    pub fn merged(all: Vec<Self>) -> Self {
        let mut merged = Self::default();
        for one in all {
            merged.seconds.extend(one.seconds);
            merged.processor.extend(one.processor);
        }
        merged.seconds.sort_by(f64::total_cmp);
        merged.processor.sort_by(f64::total_cmp);
        merged
    }
}

/// Returns a quantile of sorted numbers.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let last = sorted.len().saturating_sub(1);
    sorted.get((share * last as f64).round() as usize).copied().unwrap_or(f64::NAN)
}

impl Measured {
    /// Creates the measurement of an operation that moves bytes and does no arithmetic, from sorted timings.
    pub fn new(what: &'static str, items: (f64, &'static str), bytes: f64, timings: Timings) -> Self {
        Self { what, settings: Vec::new(), flops: 0.0, bytes, items, ceiling: None, timings }
    }

    /// Returns a quantile of the wall-clock seconds; 0.5 gives the median.
    pub fn seconds(&self, share: f64) -> f64 {
        quantile(&self.timings.seconds, share)
    }

    /// Returns a quantile of the seconds of CPU time.
    pub fn processor(&self, share: f64) -> f64 {
        quantile(&self.timings.processor, share)
    }

    /// Returns the number of timings.
    pub fn count(&self) -> usize {
        self.timings.seconds.len()
    }

    /// Returns the items per second, at the median.
    pub fn rate(&self) -> f64 {
        self.items.0 / self.seconds(0.5)
    }

    /// Returns the floating-point operations per second at the median; `None` if none were counted.
    pub fn flops_per_second(&self) -> Option<f64> {
        (self.flops > 0.0).then(|| self.flops / self.seconds(0.5))
    }

    /// Returns the floating-point operations per second as a fraction of the ceiling.
    pub fn share(&self) -> Option<f64> {
        Some(self.flops_per_second()? / self.ceiling?)
    }
}

/// Times `round` repeatedly for about `budget`, at least three times. Each round returns its number of operations, by
/// which its duration is divided. A first round to warm up is not counted.
///
/// # Errors
/// If a round fails.
pub fn repeated<E>(budget: Duration, mut round: impl FnMut() -> Result<u32, E>) -> Result<Timings, E> {
    round()?;
    until(budget, |timings| {
        let mut clock = Clock::start();
        let done = round()?;
        clock.lap(done, timings);
        Ok(())
    })
}

/// Repeats rounds that record their own timings, like [`repeated`].
fn until<E>(budget: Duration, mut round: impl FnMut(&mut Timings) -> Result<(), E>) -> Result<Timings, E> {
    let begun = Instant::now();
    let mut timings = Timings::default();
    for number in 0.. {
        if number >= 3 && begun.elapsed() >= budget {
            break;
        }
        round(&mut timings)?;
    }
    Ok(Timings::merged(vec![timings]))
}

/// Measures the time of the calling thread.
struct Clock(Instant, f64);

impl Clock {
    fn start() -> Self {
        Self(Instant::now(), processor_time())
    }

    /// Records the time since the start or the last lap, in which `done` operations were done.
    fn lap(&mut self, done: u32, timings: &mut Timings) {
        let (now, busy) = (Instant::now(), processor_time());
        let done = f64::from(done.max(1));
        timings.seconds.push(now.duration_since(self.0).as_secs_f64() / done);
        timings.processor.push((busy - self.1) / done);
        *self = Self(now, busy);
    }
}

/// Returns the CPU time of the calling thread in seconds.
fn processor_time() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer refers to a live variable, which the call fills.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timings_are_of_one_and_sorted() {
        let mut rounds = 0;
        let timings = repeated(Duration::ZERO, || {
            rounds += 1;
            std::thread::sleep(Duration::from_millis(4));
            Ok::<_, ()>(2)
        });
        let Timings { seconds, processor } = timings.unwrap();
        assert_eq!((rounds, seconds.len(), processor.len()), (4, 3, 3));
        assert!(seconds.is_sorted() && seconds[0] >= 0.002, "{seconds:?}");
        assert!(processor[0] >= 0.0 && processor[0] < seconds[0], "a sleeping thread uses no CPU: {processor:?}");
        assert_eq!(repeated(Duration::ZERO, || Err::<u32, _>("no")), Err("no"));
    }

    #[test]
    fn rates_follow_from_the_median() {
        let measured = Measured {
            what: "x",
            settings: vec![],
            flops: 8.0,
            bytes: 0.0,
            items: (4.0, "images"),
            ceiling: Some(8.0),
            timings: Timings { seconds: vec![1.0, 2.0, 10.0], processor: vec![0.5, 1.5] },
        };
        assert_eq!((measured.seconds(0.0), measured.seconds(0.5), measured.seconds(1.0)), (1.0, 2.0, 10.0));
        assert_eq!((measured.rate(), measured.flops_per_second(), measured.share()), (2.0, Some(4.0), Some(0.5)));
        assert_eq!(measured.processor(0.0), 0.5);
        assert_eq!(Measured { flops: 0.0, ..measured }.share(), None);
    }
}
