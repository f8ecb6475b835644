//! The only writer to the terminal. What was asked for goes to standard output; what happens, warnings
//! and errors go to standard error.

use std::io::{ErrorKind, IsTerminal, Write};
use std::sync::{Mutex, PoisonError};

use super::advice::InForce;
use super::{ExitCode, Failure};
use crate::fsx::{FsError, Stream};

/// Standard output, as far as anything was written to it.
static ANSWERS: Mutex<Answers> = Mutex::new(Answers { stream: None, failed: None });

struct Answers {
    stream: Option<Stream>,
    /// Why writing failed first; nothing is written after that.
    failed: Option<FsError>,
}

impl Answers {
    fn append(&mut self, bytes: &[u8]) -> Result<(), FsError> {
        match &mut self.stream {
            Some(stream) => stream.append(bytes),
            none => none.insert(Stream::standard_output()?).append(bytes),
        }
    }
}

/// How much is said, and to whom.
#[derive(Debug, Clone, Copy)]
pub struct Ui {
    quiet: bool,
    /// Whether more was asked for.
    pub verbose: bool,
    /// Whether a person watches standard error.
    pub terminal: bool,
    /// What recommended commands are completed with.
    in_force: &'static InForce,
}

impl Ui {
    /// Looks at the terminal once.
    pub fn new(quiet: bool, verbose: bool, in_force: InForce) -> Self {
        // They hold as long as the program runs.
        let in_force = Box::leak(Box::new(in_force));
        Self { quiet, verbose, terminal: std::io::stderr().is_terminal(), in_force }
    }

    /// What was asked for, with recommended commands in it.
    pub fn tell(&self, text: &str) {
        self.answer(&self.in_force.complete(text));
    }

    /// What was asked for.
    pub fn answer(&self, text: &str) {
        self.answer_bytes(format!("{text}\n").as_bytes());
    }

    /// What was asked for, byte for byte.
    pub fn answer_bytes(&self, bytes: &[u8]) {
        let mut answers = ANSWERS.lock().unwrap_or_else(PoisonError::into_inner);
        if answers.failed.is_none() {
            answers.failed = answers.append(bytes).err();
        }
    }

    /// Whether all answers were written.
    ///
    /// # Errors
    /// If one could not be.
    pub fn finish(&self) -> Result<(), Failure> {
        let failed = ANSWERS.lock().unwrap_or_else(PoisonError::into_inner).failed.take();
        failed.map_or(Ok(()), |error| Err(error.into()))
    }

    /// Whether a person sees the answers.
    pub fn shows_answers(&self) -> bool {
        std::io::stdout().is_terminal()
    }

    /// What happens.
    pub fn say(&self, text: &str) {
        if !self.quiet {
            let _ = writeln!(std::io::stderr().lock(), "{}", self.in_force.complete(text));
        }
    }

    /// Something that should be known, and is no error.
    pub fn warn(&self, text: &str) {
        let _ = writeln!(std::io::stderr().lock(), "warning: {}", self.in_force.complete(text));
    }

    /// Whether anything is to be said while things happen.
    pub fn quiet(&self) -> bool {
        self.quiet
    }

    /// Why the program ends.
    pub fn failure(&self, failure: &Failure) {
        if failure.message.is_empty() {
            return;
        }
        let mut out = std::io::stderr().lock();
        // What is wrong with the command line would be so again.
        let fewer = self.in_force.without_settings();
        let in_force = if failure.code == ExitCode::Usage { &fewer } else { self.in_force };
        let _ = writeln!(out, "error: {}", in_force.complete(&failure.message).replace('\n', "\n       "));
        if !failure.hint.is_empty() {
            let _ = writeln!(out, " hint: {}", in_force.complete(&failure.hint).replace('\n', "\n       "));
        }
    }
}

/// Shows clap's message: help and version on standard output, mistakes on standard error.
pub fn usage(error: &clap::Error) -> ExitCode {
    if error.use_stderr() {
        let _ = error.print();
        return ExitCode::Usage;
    }
    let cannot = |source| FsError { operation: "write", path: "standard output".into(), source };
    let printed = || error.print().and_then(|()| std::io::stdout().flush());
    match Stream::standard_output().and_then(|_| printed().map_err(cannot)) {
        Err(error) if error.source.kind() != ErrorKind::BrokenPipe => {
            let failure = Failure::from(error);
            Ui::new(false, false, InForce::default()).failure(&failure);
            failure.code
        }
        _ => ExitCode::Success,
    }
}
