//! The sandbox of a command, for a user who tries something in it by hand.

use std::ffi::OsString;
use std::path::Path;

use super::{Folder, Prepared, image, isolation, prepared};
use crate::stages::{Device, Read, StageError};
use base::isolation::Isolation;
use base::work::{Command, Image};
use sandbox::{How, Level, Order};

/// The shells to look for, the best first.
const SHELLS: [&str; 2] = ["/bin/bash", "/bin/sh"];

/// The sandbox of a command. Its folder is removed when this value is dropped, and nothing in it is recorded.
#[derive(Debug)]
pub struct CommandSandbox {
    order: Order,
    image: Option<Image>,
    _folder: Folder,
}

impl CommandSandbox {
    /// Prepares the sandbox as for the stage itself. Without a level, it is the level at which the stage would run.
    ///
    /// # Errors
    /// If the machine does not offer the level or lacks what the command runs in, an input cannot be read, or a declared
    /// file was changed.
    pub fn prepare(work: &Command, wanted: Option<Isolation>, read: &Read<'_>) -> Result<Self, StageError> {
        let wanted = wanted.map(at).transpose()?;
        let Prepared { folder, order, .. } = prepared(work, (&Device::Cpu, wanted), read, &|| false)?;
        Ok(Self { order, image: work.image.clone(), _folder: folder })
    }

    /// Returns its level.
    pub fn level(&self) -> Isolation {
        isolation(self.order.level)
    }

    /// Runs a program in it with the user's terminal, and waits for its end. Returns how it failed, if it did. The caller
    /// must have no other child processes.
    ///
    /// # Errors
    /// If the program cannot be started.
    pub fn run(mut self, words: Vec<OsString>) -> Result<Option<String>, StageError> {
        self.set_program(words);
        self.started()
    }

    /// Runs a shell in it with the user's terminal, whose type is `terminal`, and waits for its end.
    ///
    /// # Errors
    /// If there is no shell, or it cannot be started.
    pub fn shell(mut self, terminal: Option<String>) -> Result<(), StageError> {
        // The shells of an image are not those of this machine.
        let here = SHELLS.into_iter().find(|path| self.image.is_none() && Path::new(path).exists());
        let shell = here.unwrap_or("sh");
        // The user's own settings are out of reach, and those of the system would change the environment.
        let plain: &[&str] = if shell.ends_with("bash") { &["--noprofile", "--norc"] } else { &[] };
        self.set_program([&[shell], plain, &["-i"]].concat().into_iter().map(OsString::from).collect());
        self.order.variables.extend(terminal.map(|terminal| ("TERM".to_owned(), terminal)));
        // Its exit code is that of the last program, which says nothing about the shell.
        self.started().map(drop)
    }

    /// Sets the program, which runs in the image if there is one.
    fn set_program(&mut self, words: Vec<OsString>) {
        self.order.program = match &self.image {
            Some(image) => image::program(image, &self.order, words),
            None => words,
        };
    }

    fn started(self) -> Result<Option<String>, StageError> {
        let how = sandbox::shell(&self.order).map_err(|error| StageError::Command(error.to_string()))?;
        Ok(match how {
            How::Exited(0) => None,
            How::Exited(code) => Some(format!("it ended with exit code {code}")),
            How::Signal(signal) => Some(format!("signal {signal} ended it")),
            other => Some(format!("it ended otherwise: {other:?}")),
        })
    }
}

/// Returns a level, if this machine offers it.
fn at(wanted: Isolation) -> Result<Level, StageError> {
    let level = Level::ALL.into_iter().find(|level| isolation(*level) == wanted).unwrap_or(Level::None);
    match sandbox::why_not(level) {
        Some(why) => Err(StageError::Unavailable(format!("this machine has no sandbox of level {wanted}: {why}"))),
        None => Ok(level),
    }
}
