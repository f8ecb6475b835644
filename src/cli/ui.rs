//! The only writer to the terminal. What was asked for goes to standard output; what happens, warnings
//! and errors go to standard error.

use std::io::{IsTerminal, Write};

use super::{ExitCode, Failure};

/// How much is said, and to whom.
#[derive(Debug, Clone, Copy)]
pub struct Ui {
    quiet: bool,
    /// Whether more was asked for.
    pub verbose: bool,
    /// Whether a person watches standard error.
    pub terminal: bool,
}

impl Ui {
    /// Looks at the terminal once.
    pub fn new(quiet: bool, verbose: bool) -> Self {
        Self { quiet, verbose, terminal: std::io::stderr().is_terminal() }
    }

    /// What was asked for.
    pub fn answer(&self, text: &str) {
        // A reader that went away (`wdpipe graph | head`) is no error.
        let _ = writeln!(std::io::stdout().lock(), "{text}");
    }

    /// What was asked for, byte for byte.
    pub fn answer_bytes(&self, bytes: &[u8]) {
        let _ = std::io::stdout().lock().write_all(bytes);
    }

    /// What happens.
    pub fn say(&self, text: &str) {
        if !self.quiet {
            let _ = writeln!(std::io::stderr().lock(), "{text}");
        }
    }

    /// Something that should be known, and is no error.
    pub fn warn(&self, text: &str) {
        let _ = writeln!(std::io::stderr().lock(), "warning: {text}");
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
        let _ = writeln!(out, "error: {}", failure.message.replace('\n', "\n       "));
        if !failure.hint.is_empty() {
            let _ = writeln!(out, " hint: {}", failure.hint.replace('\n', "\n       "));
        }
    }
}

/// Shows clap's message: help and version on standard output, mistakes on standard error.
pub fn usage(error: &clap::Error) -> ExitCode {
    let _ = error.print();
    if error.use_stderr() { ExitCode::Usage } else { ExitCode::Success }
}
