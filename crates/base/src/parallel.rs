//! Running a function on many elements in parallel.

use std::io;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError, RwLock, mpsc};
use std::thread::{self, Builder, ScopedJoinHandle};

/// Calls `run` on every element, on at most `jobs` threads; each thread has its own state, made by `start`. Results
/// come in the order of the elements. A thread stops when `run` returns `None`; elements that were not started have
/// no result.
pub fn parallel<T: Sync, S, R: Send>(
    jobs: usize,
    things: &[T],
    start: impl Fn() -> S + Sync,
    run: impl Fn(&mut S, &T) -> Option<R> + Sync,
) -> Vec<R> {
    let (next, done) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let work = || {
        let mut state = start();
        loop {
            let place = next.fetch_add(1, Ordering::Relaxed);
            let Some(result) = things.get(place).and_then(|thing| run(&mut state, thing)) else { return };
            // Panics happen outside of the lock, so the list is intact.
            done.lock().unwrap_or_else(PoisonError::into_inner).push((place, result));
        }
    };
    thread::scope(|scope| {
        // If no more threads can be started, the existing ones do all the work.
        let started = (0..jobs.min(things.len())).map_while(|_| Builder::new().spawn_scoped(scope, work).ok());
        if started.count() == 0 && jobs > 0 {
            work();
        }
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_by_key(|(place, _)| *place);
    done.into_iter().map(|(_, result)| result).collect()
}

/// Calls `run` on `count` threads at once, each with its number; returns the results or panics in that order. Since
/// threads that synchronize would wait for a missing one, none starts before all exist.
///
/// # Errors
/// If they cannot all be started. In that case, none has run.
pub fn together<R: Send>(count: usize, run: impl Fn(usize) -> R + Sync) -> io::Result<Vec<thread::Result<R>>> {
    let begins = RwLock::new(false);
    let mut gate = begins.write().unwrap_or_else(PoisonError::into_inner);
    let wait_and_run = |number| {
        let begins = *begins.read().unwrap_or_else(PoisonError::into_inner);
        begins.then(|| run(number))
    };
    let wait_and_run = &wait_and_run;
    thread::scope(|scope| {
        let start = |number| Builder::new().spawn_scoped(scope, move || wait_and_run(number));
        let started: io::Result<Vec<_>> = (0..count).map(start).collect();
        *gate = started.is_ok();
        drop(gate);
        Ok(started?.into_iter().filter_map(|thread| thread.join().transpose()).collect())
    })
}

/// Number of elements handed over at a time.
const TOGETHER: usize = 64;

/// Calls `run` on each element that `make` passes on, on further threads while `make` is running, and then on this
/// thread too, so that `jobs` threads work. Results come in any order.
pub fn beside<T: Send, R: Send, M>(
    jobs: usize,
    run: impl Fn(T) -> R + Sync,
    make: impl FnOnce(&mut dyn FnMut(T)) -> M,
) -> (M, Vec<R>) {
    let (sender, receiver) = mpsc::channel::<Vec<T>>();
    let receiver = Mutex::new(receiver);
    let work = || {
        let mut done = Vec::new();
        loop {
            let next = receiver.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok(things) = next else { return done };
            done.extend(things.into_iter().map(&run));
        }
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (1..jobs).map_while(|_| Builder::new().spawn_scoped(scope, work).ok()).collect();
        let mut waiting = Vec::with_capacity(TOGETHER);
        let made = make(&mut |thing| {
            waiting.push(thing);
            if waiting.len() == TOGETHER {
                // If no other thread receives the batch, this thread does.
                let _ = sender.send(std::mem::replace(&mut waiting, Vec::with_capacity(TOGETHER)));
            }
        });
        let _ = sender.send(waiting);
        drop(sender);
        let mut all = work();
        let done = |worker: ScopedJoinHandle<'_, Vec<R>>| worker.join().unwrap_or_else(|panic| resume_unwind(panic));
        all.extend(workers.into_iter().flat_map(done));
        (made, all)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_meanwhile_is_all_done() {
        for count in [0, 1, 256, 1000] {
            for jobs in [0, 1, 3] {
                let (made, mut done) = beside(jobs, |thing: u32| 2 * thing, |give| (0..count).map(give).count());
                done.sort_unstable();
                assert_eq!((made, done), (count as usize, (0..count).map(|thing| 2 * thing).collect()));
            }
        }
    }

    #[test]
    fn all_begin_together_and_one_that_panics_keeps_nobody() {
        let barrier = std::sync::Barrier::new(4);
        let ended = together(4, |number| {
            barrier.wait();
            assert_ne!(number, 2, "on purpose");
            number
        });
        let ended: Vec<_> = ended.unwrap().into_iter().map(Result::ok).collect();
        assert_eq!(ended, [Some(0), Some(1), None, Some(3)]);
        assert!(together(0, |number| number).unwrap().is_empty());
    }

    #[test]
    fn results_come_in_order_and_stop_where_nothing_comes() {
        let things: Vec<u32> = (0..100).collect();
        assert_eq!(parallel(4, &things, || (), |(), thing| Some(2 * thing)), (0..200).step_by(2).collect::<Vec<_>>());
        assert_eq!(parallel(1, &things, || (), |(), thing| (*thing < 3).then_some(*thing)), [0, 1, 2]);
        assert!(parallel(4, &[], || (), |(), thing: &u32| Some(*thing)).is_empty());
    }
}
