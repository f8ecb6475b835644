//! Commands in container images: how strictly the program that starts an image can be isolated.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use sha2::{Digest, Sha256};

use super::{StageError, isolation, last_lines};
use base::isolation::Isolation;
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

/// Checks the digest of an image that is a single file.
///
/// # Errors
/// If the file has another digest or cannot be read.
fn check_file(image: &Image) -> Result<(), StageError> {
    for path in paths(image).filter(|path| path.is_file()) {
        let (mut file, _) = files::open(&path)?;
        let unreadable = |error| StageError::Unavailable(format!("cannot read {}: {error}", path.display()));
        let (mut hasher, mut piece) = (Sha256::new(), vec![0; 1 << 20]);
        loop {
            match file.read(&mut piece).map_err(unreadable)? {
                0 => break,
                length => hasher.update(&piece[..length]),
            }
        }
        let digest: String = hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        if !image.reference.ends_with(&digest) {
            let (path, reference) = (path.display(), &image.reference);
            return Err(StageError::Unavailable(format!("{path} is sha256:{digest}, not the image {reference}")));
        }
    }
    Ok(())
}

/// Writes the accounts into a folder. Returns the files, and the paths at which the program finds them.
pub fn accounts(folder: &Path) -> Result<Vec<(PathBuf, PathBuf)>, StageError> {
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
/// which the levels allow to some and refuse to others, so each level is tried, once in this process. Before, the digest
/// of an image that is a single file is checked.
///
/// # Errors
/// If the digest is wrong, or the image cannot be started at any level, or only at one that is weaker than `wanted`.
pub fn level(
    image: &Image,
    wanted: Isolation,
    attempt: &dyn Fn(Level, Vec<String>) -> Result<Ended, StageError>,
) -> Result<Level, StageError> {
    static KNOWN: Mutex<Vec<(Image, Level)>> = Mutex::new(Vec::new());
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let is_allowed = |level: &Level| isolation(*level) >= wanted;
    let found = known.iter().find(|(other, level)| other == image && is_allowed(level));
    if let Some((_, level)) = found {
        return Ok(*level);
    }
    check_file(image)?;
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
    let required = match wanted {
        Isolation::None => String::new(),
        wanted => format!(" in a sandbox of level {wanted} or stricter, which the stage needs"),
    };
    let reference = &image.reference;
    Err(StageError::Unavailable(format!(
        "`{program}` cannot run `{ATTEMPT}` in the image {reference}{required}{attempts}"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_that_is_a_file_must_have_its_digest() {
        let folder = tempfile::tempdir().unwrap();
        // The SHA-256 of "abc", as FIPS 180 gives it.
        let reference = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad".to_owned();
        let path = folder.path().join(format!("{reference}.sif"));
        let with = vec!["exec".to_owned(), format!("{}/{{image}}.sif", folder.path().display())];
        let image = Image { reference, with };
        assert_eq!(paths(&image).collect::<Vec<_>>(), std::slice::from_ref(&path));
        assert!(check_file(&image).is_ok(), "nothing is there");
        std::fs::write(&path, "abc").unwrap();
        assert!(check_file(&image).is_ok());
        std::fs::write(&path, "abd").unwrap();
        let error = check_file(&image).unwrap_err().to_string();
        assert!(error.contains(".sif is sha256:a52d159f") && error.contains("not the image sha256:ba78"), "{error}");
    }
}
