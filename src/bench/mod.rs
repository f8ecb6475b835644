//! How fast this machine does what a run consists of: single numbers, and how they spread.

#[cfg(feature = "torch")]
pub mod learning;
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
    /// Seconds of each, sorted; never empty.
    seconds: Vec<f64>,
}

impl Measured {
    /// Timings, sorted, of something that consists of items and moves bytes, without arithmetic.
    pub fn new(what: &'static str, items: (f64, &'static str), bytes: f64, seconds: Vec<f64>) -> Self {
        Self { what, settings: Vec::new(), flops: 0.0, bytes, items, ceiling: None, seconds }
    }

    /// Seconds, such that a share of the timings is not longer: 0.5 gives the median.
    pub fn seconds(&self, share: f64) -> f64 {
        let last = self.seconds.len().saturating_sub(1);
        self.seconds.get((share * last as f64).round() as usize).copied().unwrap_or(f64::NAN)
    }

    /// How many were timed.
    pub fn count(&self) -> usize {
        self.seconds.len()
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
pub fn repeated<E>(budget: Duration, mut round: impl FnMut() -> Result<u32, E>) -> Result<Vec<f64>, E> {
    round()?;
    let begun = Instant::now();
    let mut seconds = Vec::new();
    while seconds.len() < 3 || begun.elapsed() < budget {
        let started = Instant::now();
        let done = round()?;
        seconds.push(started.elapsed().as_secs_f64() / f64::from(done.max(1)));
    }
    seconds.sort_by(f64::total_cmp);
    Ok(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timings_are_of_one_and_sorted() {
        let mut rounds = 0;
        let seconds = repeated(Duration::ZERO, || {
            rounds += 1;
            std::thread::sleep(Duration::from_millis(4));
            Ok::<_, ()>(2)
        });
        let seconds = seconds.unwrap();
        assert_eq!((rounds, seconds.len()), (4, 3));
        assert!(seconds.is_sorted() && seconds[0] >= 0.002, "{seconds:?}");
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
            seconds: vec![1.0, 2.0, 10.0],
        };
        assert_eq!((measured.seconds(0.0), measured.seconds(0.5), measured.seconds(1.0)), (1.0, 2.0, 10.0));
        assert_eq!((measured.rate(), measured.flops_per_second(), measured.share()), (2.0, Some(4.0), Some(0.5)));
        assert_eq!(Measured { flops: 0.0, ..measured }.share(), None);
    }
}
