//! The only writer to the terminal. What was asked for goes to standard output; what happens, warnings
//! and errors go to standard error. Texts of pipelines, records and remotes are written without what would steer a terminal.

use std::borrow::Cow;
use std::io::{ErrorKind, IsTerminal, Write};
use std::sync::{Mutex, PoisonError};

use serde::Serialize;

use super::advice::InForce;
use crate::project::{ExitCode, Failure};
use files::{FsError, Named, Stream};

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

    /// A recommended command alone, to be copied.
    pub fn command(&self, command: &str) {
        self.answer(self.in_force.complete(&format!("`{command}`")).trim_matches('`'));
    }

    /// What was asked for.
    pub fn answer(&self, text: &str) {
        let mut answers = ANSWERS.lock().unwrap_or_else(PoisonError::into_inner);
        if answers.failed.is_none() {
            answers.failed = answers.append(format!("{}\n", plain(text)).as_bytes()).err();
        }
    }

    /// Prints one JSON value, the keys of its objects in alphabetical order.
    pub fn json(&self, answer: &impl Serialize) {
        self.answer(&serde_json::to_value(answer).unwrap_or_default().to_string());
    }

    /// Whether all answers were written.
    ///
    /// # Errors
    /// If one could not be.
    pub fn finish(&self) -> Result<(), Failure> {
        let failed = ANSWERS.lock().unwrap_or_else(PoisonError::into_inner).failed.take();
        failed.map_or(Ok(()), |error| Err(error.into()))
    }

    /// What happens.
    pub fn say(&self, text: &str) {
        if !self.quiet {
            let _ = writeln!(std::io::stderr().lock(), "{}", plain(&self.in_force.complete(text)));
        }
    }

    /// Something that should be known, and is no error.
    pub fn warn(&self, text: &str) {
        let _ = writeln!(std::io::stderr().lock(), "warning: {}", plain(&self.in_force.complete(text)));
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
        let _ = writeln!(out, "error: {}", plain(&in_force.complete(&failure.message)).replace('\n', "\n       "));
        if !failure.hint.is_empty() {
            let _ = writeln!(out, " hint: {}", plain(&in_force.complete(&failure.hint)).replace('\n', "\n       "));
        }
    }
}

/// A text without characters that steer a terminal or turn the direction of writing: they are written as in JSON, so that
/// JSON stays what it is. Lines and tabs stay.
pub fn plain(text: &str) -> Cow<'_, str> {
    if !text.chars().any(steers) {
        return Cow::Borrowed(text);
    }
    let mut plain = String::with_capacity(text.len());
    for character in text.chars() {
        match steers(character) {
            true => plain += &format!("\\u{:04x}", u32::from(character)),
            false => plain.push(character),
        }
    }
    Cow::Owned(plain)
}

fn steers(character: char) -> bool {
    let turns =
        matches!(character, '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    turns || character.is_control() && !matches!(character, '\n' | '\t')
}

/// A file for what is no text: a terminal takes such bytes for commands.
///
/// # Errors
/// If the file is a terminal.
pub fn not_for_eyes(named: Named) -> Result<Named, Failure> {
    if named.is_terminal() {
        let message = format!("{} is a terminal, and what is to be written is no text", named.path().display());
        return Err(Failure::usage(message, "name a file, or pass it on to a program: … | PROGRAM"));
    }
    Ok(named)
}

/// Whether a terminal can show bytes without being set to something else by them.
pub fn is_text(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_ok_and(|text| !text.chars().any(|c| steers(c) && c != '\r'))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_steers_the_terminal() {
        for (text, wanted) in [
            ("Tr(∇²L)\tLR 0.1\nwd", "Tr(∇²L)\tLR 0.1\nwd"),
            ("a\u{1b}[2Jb\u{7}\r", "a\\u001b[2Jb\\u0007\\u000d"),
            ("\u{9b}31m\u{7f}", "\\u009b31m\\u007f"),
            ("a\u{202e}b\u{2066}", "a\\u202eb\\u2066"),
        ] {
            assert_eq!(plain(text), wanted);
        }
        // JSON says the same after as before.
        let text = serde_json::Value::from("a\u{9b}b\u{202e}\u{1b}\"\\").to_string();
        let read = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(read(&plain(&text)), read(&text));
    }
}
