//! Commands in container images: how strictly the program that starts an image can be isolated.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use super::{StageError, last_lines};
use base::work::{Command, Image};
use sandbox::{Ended, How, Level, Order};

/// Accounts for the program that starts an image. Some of these programs ask for the name of the caller.
const ACCOUNTS: [(&str, &str); 2] =
    [("passwd", "wdpipe:x:1000:1000::/wdpipe:/bin/sh\n"), ("group", "wdpipe:x:1000:\n")];

/// Program that is run in an image to find out whether the image can be started.
const ATTEMPT: &str = "true";

/// Returns the paths among the words before a command that lead to its image.
pub fn paths(image: &Image) -> impl Iterator<Item = PathBuf> {
    let has_image = |word: &String| Command::placeholders(word).any(|name| name == "image");
    let words = image.with.iter().zip(image.words("")).filter(move |(written, _)| has_image(written));
    words.map(|(_, word)| PathBuf::from(word)).filter(|path| path.is_absolute())
}

/// Writes the accounts into a folder. Returns the files, and the paths at which the program finds them.
pub fn accounts(folder: &std::path::Path) -> Result<Vec<(PathBuf, PathBuf)>, StageError> {
    let write = |(name, text): &(&str, &str)| {
        let path = folder.join(name);
        files::replace(&path, text.as_bytes())?;
        Ok((path, PathBuf::from("/etc").join(name)))
    };
    ACCOUNTS.iter().map(write).collect()
}

/// Returns the whole command for an order: the words that start the image, and those that run in it.
pub fn program(image: &Image, order: &Order, words: Vec<std::ffi::OsString>) -> Vec<std::ffi::OsString> {
    let folder = match order.level {
        Level::Namespaces => sandbox::INSIDE.to_owned(),
        Level::Landlock | Level::None => order.folder.display().to_string(),
    };
    image.words(&folder).into_iter().map(Into::into).chain(words).collect()
}

/// Returns the strictest level at which an image can be started. Such programs mount file systems and make namespaces,
/// which the levels allow to some and refuse to others, so each level is tried, once in this process.
///
/// # Errors
/// If the image cannot be started at any level, or only without a sandbox and `sandboxed` refuses that.
pub fn level(
    image: &Image,
    sandboxed: bool,
    attempt: &dyn Fn(Level, Vec<String>) -> Result<Ended, StageError>,
) -> Result<Level, StageError> {
    static KNOWN: Mutex<Vec<(Image, Level)>> = Mutex::new(Vec::new());
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let is_allowed = |level: &Level| !sandboxed || *level != Level::None;
    let found = known.iter().find(|(other, level)| other == image && is_allowed(level));
    if let Some((_, level)) = found {
        return Ok(*level);
    }
    let mut attempts = String::new();
    for level in sandbox::available().into_iter().filter(is_allowed) {
        let ended = attempt(level, vec![ATTEMPT.to_owned()])?;
        match ended.how {
            How::Exited(0) => {
                known.push((image.clone(), level));
                return Ok(level);
            }
            How::Cancelled => return Err(StageError::Cancelled),
            _ => attempts += &format!("\n  at the level {level}:{}", last_lines(&ended)),
        }
    }
    let program = image.with.first().map_or("", String::as_str);
    let required = if sandboxed { " in a sandbox, which the stage requires" } else { "" };
    let reference = &image.reference;
    Err(StageError::Unavailable(format!(
        "`{program}` cannot run `{ATTEMPT}` in the image {reference}{required}{attempts}"
    )))
}
