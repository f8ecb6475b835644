//! The same done with many things, several at a time.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Runs `run` on each thing, at most `jobs` at a time; each thread has a state of its own, made by `start`. Results come
/// in the order of the things; a thread that gets nothing stops, and what it did not begin has no result.
pub fn parallel<T: Sync, S, R: Send>(
    jobs: usize,
    things: &[T],
    start: impl Fn() -> S + Sync,
    run: impl Fn(&mut S, &T) -> Option<R> + Sync,
) -> Vec<R> {
    let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..jobs.min(things.len()) {
            scope.spawn(|| {
                let mut state = start();
                loop {
                    let place = next.fetch_add(1, Ordering::Relaxed);
                    let Some(result) = things.get(place).and_then(|thing| run(&mut state, thing)) else { return };
                    // Whoever panicked did so outside: the list is whole.
                    done.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push((place, result));
                }
            });
        }
    });
    let mut done = done.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    done.sort_by_key(|(place, _)| *place);
    done.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_order_and_stop_where_nothing_comes() {
        let things: Vec<u32> = (0..100).collect();
        assert_eq!(parallel(4, &things, || (), |(), thing| Some(2 * thing)), (0..200).step_by(2).collect::<Vec<_>>());
        assert_eq!(parallel(1, &things, || (), |(), thing| (*thing < 3).then_some(*thing)), [0, 1, 2]);
        assert!(parallel(4, &[], || (), |(), thing: &u32| Some(*thing)).is_empty());
    }
}
