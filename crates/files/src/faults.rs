//! Lets tests make system calls fail as a network file system does.

use std::io;

/// A system call on a file that other machines use too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Open,
    Lock,
    Link,
    Inspect,
    List,
    Read,
    Move,
    Remove,
}

/// Fails if a test asked for it. Outside of tests this does nothing.
#[cfg(not(test))]
pub(super) fn pass(_: Step) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
pub(super) use scripted::{failing, pass};

#[cfg(test)]
mod scripted {
    use std::cell::RefCell;

    use super::{Step, io};

    thread_local! {
        /// The step that fails, how often, and the system's number of the error.
        static FAULT: RefCell<Option<(Step, usize, i32)>> = const { RefCell::new(None) };
    }

    pub(crate) fn pass(step: Step) -> io::Result<()> {
        FAULT.with_borrow_mut(|fault| match fault {
            Some((failing, left, number)) if *failing == step && *left > 0 => {
                *left -= 1;
                Err(io::Error::from_raw_os_error(*number))
            }
            _ => Ok(()),
        })
    }

    /// Runs a function on this thread while the next `times` calls of a step fail.
    pub(crate) fn failing<T>(step: Step, times: usize, number: i32, run: impl FnOnce() -> T) -> T {
        FAULT.set(Some((step, times, number)));
        let result = run();
        FAULT.set(None);
        result
    }
}
