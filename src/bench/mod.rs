//! How fast this machine does what a run consists of: single numbers, and how they spread.

#[cfg(feature = "torch")]
pub mod learning;
#[cfg(feature = "torch")]
mod pace;
pub mod storage;

use std::time::{Duration, Instant};

/// Many timings of the same thing.
#[derive(Debug, Clone, PartialEq)]
pub struct Measured {
    /// What was done, such as `training step`.
    pub what: &'static str,
    /// With what, by name, such as `width`.
    pub settings: Vec<(&'static str, String)>,
    /// Floating-point operations of one, counted beforehand.
    pub flops: f64,
    /// Bytes that one moves, at least.
    pub bytes: f64,
    /// What one consists of, such as 128 `images`.
    pub items: (f64, &'static str),
    /// Floating-point operations a second that the device does at most, as measured.
    pub ceiling: Option<f64>,
    timings: Timings,
}

/// How long the same thing took, again and again.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Timings {
    /// Seconds of each, sorted.
    pub seconds: Vec<f64>,
    /// Seconds of processor time of each, on its own thread, sorted: what else the machine does hardly matters to them.
    pub processor: Vec<f64>,
}

impl Timings {
    /// Those of several threads as one.
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

/// Of sorted numbers the one such that a share of them is not larger.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let last = sorted.len().saturating_sub(1);
    sorted.get((share * last as f64).round() as usize).copied().unwrap_or(f64::NAN)
}

impl Measured {
    /// Timings, sorted, of something that consists of items and moves bytes, without arithmetic.
    pub fn new(what: &'static str, items: (f64, &'static str), bytes: f64, timings: Timings) -> Self {
        Self { what, settings: Vec::new(), flops: 0.0, bytes, items, ceiling: None, timings }
    }

    /// Seconds, such that a share of the timings is not longer: 0.5 gives the median.
    pub fn seconds(&self, share: f64) -> f64 {
        quantile(&self.timings.seconds, share)
    }

    /// Seconds of processor time, likewise.
    pub fn processor(&self, share: f64) -> f64 {
        quantile(&self.timings.processor, share)
    }

    /// How many were timed.
    pub fn count(&self) -> usize {
        self.timings.seconds.len()
    }

    /// Items a second, at the median.
    pub fn rate(&self) -> f64 {
        self.items.0 / self.seconds(0.5)
    }

    /// Floating-point operations a second, at the median; nothing if none were counted.
    pub fn flops_per_second(&self) -> Option<f64> {
        (self.flops > 0.0).then(|| self.flops / self.seconds(0.5))
    }

    /// That as a share of the ceiling.
    pub fn share(&self) -> Option<f64> {
        Some(self.flops_per_second()? / self.ceiling?)
    }
}

/// Times `round` again and again for about so long, at least three times; each round says how many it did, and counts as
/// its time divided by that. The first, which may have to warm up, does not count.
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

/// The same for rounds that take their own times.
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

/// Takes times of the calling thread.
struct Clock(Instant, f64);

impl Clock {
    fn start() -> Self {
        Self(Instant::now(), processor_time())
    }

    /// Notes how long it took since the start or the last lap to do so many.
    fn lap(&mut self, done: u32, timings: &mut Timings) {
        let (now, busy) = (Instant::now(), processor_time());
        let done = f64::from(done.max(1));
        timings.seconds.push(now.duration_since(self.0).as_secs_f64() / done);
        timings.processor.push((busy - self.1) / done);
        *self = Self(now, busy);
    }
}

/// Seconds that the calling thread has had a processor.
fn processor_time() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: a pointer to a live variable, which the call fills.
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
        assert!(processor[0] >= 0.0 && processor[0] < seconds[0], "who sleeps has no processor: {processor:?}");
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
