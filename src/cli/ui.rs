//! The only writer to the terminal. Results go to standard output; progress, warnings and errors go to standard error.
//! Characters that control a terminal are escaped, since texts can come from pipelines, records and remotes.

use std::borrow::Cow;
use std::io::{BufRead, ErrorKind, IsTerminal, Read, Write};
use std::sync::{Mutex, PoisonError};

use serde::Serialize;
use terminal_size::{Height, Width, terminal_size_of};

use super::advice::InForce;
use super::fold::folded;
use super::format::table;
use super::running::Screen;
use crate::project::{ExitCode, Failure};
use files::{FsError, Named, Stream};

/// Standard output, opened for the first result.
static ANSWERS: Mutex<Answers> = Mutex::new(Answers { stream: None, failed: None });

struct Answers {
    stream: Option<Stream>,
    /// First error of a write; nothing is written after it.
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

/// Amount of messages, and how to print them.
#[derive(Debug, Clone, Copy)]
pub struct Ui {
    quiet: bool,
    /// Whether more messages were requested.
    pub verbose: bool,
    /// Whether standard error is a terminal.
    pub terminal: bool,
    /// Widths of standard output and standard error, if they are terminals.
    widths: [Option<usize>; 2],
    /// Options that recommended commands are completed with.
    in_force: &'static InForce,
}

impl Ui {
    /// Creates the writer, and checks whether standard error is a terminal.
    pub fn new(quiet: bool, verbose: bool, in_force: InForce) -> Self {
        // The options are needed as long as the program runs.
        let in_force = Box::leak(Box::new(in_force));
        let width = |size: Option<(Width, Height)>| size.map(|(width, _)| width.0.into());
        let widths = [terminal_size_of(std::io::stdout()), terminal_size_of(std::io::stderr())].map(width);
        Self { quiet, verbose, terminal: std::io::stderr().is_terminal(), widths, in_force }
    }

    /// Prints a result in words, which may contain recommended commands.
    pub fn tell(&self, text: &str) {
        self.answer(&folded(&self.in_force.complete(text), self.widths[0]));
    }

    /// Prints a recommended command alone, to be copied.
    pub fn command(&self, command: &str) {
        self.answer(self.in_force.complete(&format!("`{command}`")).trim_matches('`'));
    }

    /// Prints a result.
    pub fn answer(&self, text: &str) {
        let mut answers = ANSWERS.lock().unwrap_or_else(PoisonError::into_inner);
        if answers.failed.is_none() {
            answers.failed = answers.append(format!("{}\n", plain(text)).as_bytes()).err();
        }
    }

    /// Prints rows under a heading: in columns, or cell by cell if the terminal is too narrow for these.
    pub fn table(&self, rows: &[Vec<String>], indent: usize) {
        let width = self.widths[0].map(|width| width.saturating_sub(indent));
        table(rows, width).iter().for_each(|line| self.answer(format!("{:indent$}{line}", "").trim_end()));
    }

    /// Prints one JSON value, the keys of its objects in alphabetical order.
    pub fn json(&self, answer: &impl Serialize) {
        self.answer(&serde_json::to_value(answer).unwrap_or_default().to_string());
    }

    /// Checks whether all results were written.
    ///
    /// # Errors
    /// If a result could not be written.
    pub fn finish(&self) -> Result<(), Failure> {
        let failed = ANSWERS.lock().unwrap_or_else(PoisonError::into_inner).failed.take();
        failed.map_or(Ok(()), |error| Err(error.into()))
    }

    /// Prints a message, unless the user requested quiet.
    pub fn say(&self, text: &str) {
        if !self.quiet {
            self.message(&self.in_force.complete(text));
        }
    }

    /// Prints a warning.
    pub fn warn(&self, text: &str) {
        self.message(&format!("warning: {}", self.in_force.complete(text)));
    }

    fn message(&self, text: &str) {
        let _ = writeln!(std::io::stderr().lock(), "{}", plain(&folded(text, self.widths[1])));
    }

    /// Asks a question at the terminal; everything but a yes is a no.
    pub fn ask(&self, question: &str) -> bool {
        let mut out = std::io::stderr().lock();
        let _ = write!(out, "{}", plain(question));
        let _ = out.flush();
        let mut answer = String::new();
        let read = std::io::stdin().lock().take(100).read_line(&mut answer);
        read.is_ok() && matches!(answer.trim().to_lowercase().as_str(), "y" | "yes")
    }

    /// Returns the size of the terminal now, since its user can change it; a usual one if standard error is no terminal.
    pub fn screen(&self) -> Screen {
        let size = terminal_size_of(std::io::stderr());
        size.map_or_else(Screen::default, |(width, height)| Screen { width: width.0.into(), height: height.0.into() })
    }

    /// Returns whether messages other than warnings and errors are suppressed.
    pub fn quiet(&self) -> bool {
        self.quiet
    }

    /// Prints the error that ends the program, with its hint.
    pub fn failure(&self, failure: &Failure) {
        if failure.message.is_empty() {
            return;
        }
        // A recommended command must not repeat a setting that can be the mistake in the command line.
        let fewer = self.in_force.without_settings();
        let in_force = if failure.code == ExitCode::Usage { &fewer } else { self.in_force };
        for (label, text) in [("error: ", &failure.message), (" hint: ", &failure.hint)] {
            if !text.is_empty() {
                self.message(&format!("{label}{}", in_force.complete(text).replace('\n', "\n       ")));
            }
        }
    }
}

/// Escapes characters of a text that control a terminal or change the direction of writing. They are escaped as in JSON, so
/// that JSON keeps its meaning. Line breaks and tabs stay.
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

/// Returns the file for binary output unless it is a terminal, which would interpret the bytes as commands.
///
/// # Errors
/// If the file is a terminal.
pub fn not_for_eyes(named: Named) -> Result<Named, Failure> {
    if named.is_terminal() {
        let message = format!("{} is a terminal, and the output is binary", named.path().display());
        return Err(Failure::usage(message, "name a file, or pipe the output to a program: … | PROGRAM"));
    }
    Ok(named)
}

/// Returns whether bytes are a text that cannot change the state of a terminal.
pub fn is_text(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_ok_and(|text| !text.chars().any(|c| steers(c) && c != '\r'))
}

/// Prints clap's message: help and version on standard output, errors on standard error.
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
        // Escaping does not change the meaning of JSON.
        let text = serde_json::Value::from("a\u{9b}b\u{202e}\u{1b}\"\\").to_string();
        let read = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(read(&plain(&text)), read(&text));
    }
}
