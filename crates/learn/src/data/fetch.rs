//! Download of the official archives: resumed after an interruption, and checked before the file gets its final name.

use std::fs::{File, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use md5::{Digest, Md5};
use ureq::http::{StatusCode, header};

use super::files::{self, FileError, failed};
use base::work::Source;

/// The address where the authors of CIFAR publish it.
pub const BASE_URL: &str = "https://www.cs.toronto.edu/~kriz/";

/// A published archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Archive {
    /// The last part of the archive's address, and its name on disk.
    pub file: &'static str,
    /// The published MD5 sum, in hexadecimal digits.
    pub md5: &'static str,
    /// Size in bytes. It is shown as the total until the server reports one, and more than twice this size is
    /// refused. Only the checksum decides whether the archive is the right one.
    pub bytes: u64,
}

/// Returns the archive of a data set's binary version; `None` for a built-in data set.
pub fn archive(source: Source) -> Option<Archive> {
    let (file, md5, bytes) = match source {
        Source::Cifar10 => ("cifar-10-binary.tar.gz", "c32a1d4ab5d03f1284b67883e8d87530", 170_052_171),
        Source::Cifar100 => ("cifar-100-binary.tar.gz", "03b5dce01913d631647c71ecec9e9cb8", 168_513_733),
        Source::Shapes10 => return None,
    };
    Some(Archive { file, md5, bytes })
}

/// Options of a download.
#[derive(Debug, Clone)]
pub struct Options {
    /// The address before the archive's name: [`BASE_URL`] or that of a mirror.
    pub base_url: String,
    /// The proxy to use. The environment is not searched for one.
    pub proxy: Option<ureq::Proxy>,
    /// Longest wait for a connection, for an answer, and for each piece of the answer.
    pub timeout: Duration,
    /// Number of attempts in a row that can fail without receiving a byte.
    pub attempts: u32,
    /// Pause after the first failed attempt; it doubles with every further one.
    pub pause: Duration,
}

impl Default for Options {
    fn default() -> Self {
        let (timeout, pause) = (Duration::from_secs(30), Duration::from_secs(1));
        Self { base_url: BASE_URL.to_owned(), proxy: None, timeout, attempts: 5, pause }
    }
}

/// The reason why a download failed.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// An error of the file system.
    #[error(transparent)]
    File(#[from] FileError),
    /// The user cancelled the download.
    #[error("the download was cancelled; the part on disk is kept, and the next download continues it")]
    Cancelled,
    /// Another process has the lock.
    #[error("another process is downloading to `{}`", .0.display())]
    Busy(PathBuf),
    /// The address is invalid.
    #[error("`{url}` is not an address to download from: {reason}")]
    Address {
        /// The invalid address.
        url: String,
        /// The fault of the address.
        reason: String,
    },
    /// The server refused the request.
    #[error("`{url}`: the server answered {status}")]
    Status {
        /// The address.
        url: String,
        /// The HTTP status.
        status: u16,
    },
    /// Too many attempts failed.
    #[error(
        "`{url}`: {reason} (after {attempts} attempts; the part on disk is kept, and the next download continues it)"
    )]
    Unreachable {
        /// The address.
        url: String,
        /// Number of attempts.
        attempts: u32,
        /// The error of the last attempt.
        reason: String,
    },
    /// The server sent far more than the archive's size.
    #[error("`{url}` has more than {limit} bytes: it is not the archive, and was removed")]
    TooLarge {
        /// The address.
        url: String,
        /// Largest number of bytes that is accepted.
        limit: u64,
    },
    /// The file is not the published archive.
    #[error(
        "`{url}` has the MD5 sum {found} instead of {expected}: it is not the published archive, and was removed; \
         try again or use another mirror"
    )]
    Checksum {
        /// The address.
        url: String,
        /// The published sum.
        expected: &'static str,
        /// The found sum.
        found: String,
    },
}

/// Downloads an archive into a folder and returns its path. Existing files are used: the archive itself if
/// its checksum is right, or the `.part` file of an interrupted download. `progress` is called with the number of
/// bytes on disk and the total; `cancel` is checked before every piece.
///
/// # Errors
/// If the folder cannot be written, the server refuses or cannot be reached, or it sends something else.
pub fn fetch(
    archive: &Archive,
    folder: &Path,
    options: &Options,
    cancel: &AtomicBool,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<PathBuf, FetchError> {
    files::make_folder(folder)?;
    let (path, part_path) = (folder.join(archive.file), folder.join(format!("{}.part", archive.file)));
    if is_archive(archive, &path)? {
        return Ok(path);
    }
    let part = files::open_to_extend(&part_path)?;
    match part.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(FetchError::Busy(part_path)),
        Err(TryLockError::Error(error)) => return Err(failed("lock", &part_path)(error).into()),
    }
    // Another process could have finished between the check and the lock.
    if is_archive(archive, &path)? {
        files::remove(&part_path)?;
        return Ok(path);
    }
    let url = format!("{}/{}", options.base_url.trim_end_matches('/'), archive.file);
    let mut download = Download { url, archive, agent: agent(options), part, part_path, cancel, progress };
    download.run(options)?;

    let found = md5_of(&mut download.part, &download.part_path)?;
    if found != archive.md5 {
        files::remove(&download.part_path)?;
        return Err(FetchError::Checksum { url: download.url, expected: archive.md5, found });
    }
    files::put_in_place(&download.part, &download.part_path, &path)?;
    Ok(path)
}

fn agent(options: &Options) -> ureq::Agent {
    let timeout = Some(options.timeout);
    let config = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .proxy(options.proxy.clone())
        .timeout_resolve(timeout)
        .timeout_connect(timeout)
        .timeout_send_request(timeout)
        .timeout_recv_response(timeout)
        .timeout_per_read(timeout)
        // A range counts the bytes that are sent, so the transfer must not be compressed.
        .accept_encoding("identity")
        .user_agent(concat!("wdpipe/", env!("CARGO_PKG_VERSION")));
    config.build().new_agent()
}

fn is_archive(archive: &Archive, path: &Path) -> Result<bool, FileError> {
    match files::open(path) {
        Ok(mut file) => Ok(md5_of(&mut file, path)? == archive.md5),
        Err(error) if error.is_not_found() => Ok(false),
        Err(error) => Err(error),
    }
}

/// Returns the MD5 sum of a whole file, in hexadecimal digits.
fn md5_of(file: &mut File, path: &Path) -> Result<String, FileError> {
    let mut sum = Md5::new();
    let mut piece = vec![0; 1 << 16];
    file.seek(SeekFrom::Start(0)).map_err(failed("read", path))?;
    loop {
        match file.read(&mut piece) {
            Ok(0) => return Ok(sum.finalize().iter().map(|byte| format!("{byte:02x}")).collect()),
            Ok(count) => sum.update(&piece[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(failed("read", path)(error)),
        }
    }
}

/// How an attempt ended.
enum Attempt {
    /// The download is complete.
    Complete,
    /// The attempt was interrupted for this reason; another attempt can continue.
    Broken(String),
}

struct Download<'a> {
    url: String,
    archive: &'a Archive,
    agent: ureq::Agent,
    part: File,
    part_path: PathBuf,
    cancel: &'a AtomicBool,
    progress: &'a mut dyn FnMut(u64, u64),
}

impl Download<'_> {
    /// Tries until the download is complete. An attempt that receives data resets the number of failures.
    fn run(&mut self, options: &Options) -> Result<(), FetchError> {
        let mut failures = 0;
        loop {
            let before = self.on_disk()?;
            let Attempt::Broken(reason) = self.attempt(before)? else { return Ok(()) };
            failures = if self.on_disk()? > before { 1 } else { failures + 1 };
            if failures >= options.attempts {
                return Err(FetchError::Unreachable { url: self.url.clone(), attempts: failures, reason });
            }
            self.pause(options.pause.saturating_mul(2_u32.saturating_pow(failures - 1)))?;
        }
    }

    /// Requests the part after the first `start` bytes and appends it.
    fn attempt(&mut self, start: u64) -> Result<Attempt, FetchError> {
        self.check_cancelled()?;
        let mut request = self.agent.get(&self.url);
        if start > 0 {
            request = request.header(header::RANGE, format!("bytes={start}-"));
        }
        let mut response = match request.call() {
            Ok(response) => response,
            Err(error @ (ureq::Error::BadUri(_) | ureq::Error::Http(_))) => {
                return Err(FetchError::Address { url: self.url.clone(), reason: error.to_string() });
            }
            Err(error) => return Ok(Attempt::Broken(error.to_string())),
        };
        let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
        let range = header(header::CONTENT_RANGE).and_then(ContentRange::parse);
        let length = header(header::CONTENT_LENGTH).and_then(|length| length.parse::<u64>().ok());
        let (offset, total) = match response.status() {
            // A server without support for ranges sends the whole file.
            StatusCode::OK => (0, length),
            StatusCode::PARTIAL_CONTENT if range.as_ref().is_some_and(|range| range.first == Some(start)) => {
                (start, range.and_then(|range| range.total))
            }
            StatusCode::RANGE_NOT_SATISFIABLE if range.is_some_and(|range| range.total == Some(start)) => {
                return Ok(Attempt::Complete);
            }
            // The part on disk is not the beginning of the server's file.
            StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE if start > 0 => {
                self.truncate(0)?;
                return Ok(Attempt::Broken("the file on the server differs from the part on disk".to_owned()));
            }
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => return Ok(Attempt::busy(response.status())),
            status if status.is_server_error() => return Ok(Attempt::busy(status)),
            status => return Err(FetchError::Status { url: self.url.clone(), status: status.as_u16() }),
        };
        self.truncate(offset)?;
        self.receive(&mut response.body_mut().as_reader(), offset, total)
    }

    fn receive(&mut self, body: &mut dyn Read, offset: u64, total: Option<u64>) -> Result<Attempt, FetchError> {
        let limit = self.archive.bytes.saturating_mul(2);
        let mut written = offset;
        let mut piece = vec![0; 1 << 16];
        loop {
            self.check_cancelled()?;
            (self.progress)(written, total.unwrap_or(self.archive.bytes));
            let count = match body.read(&mut piece) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Ok(Attempt::Broken(error.to_string())),
            };
            written += count as u64;
            if written > limit {
                files::remove(&self.part_path)?;
                return Err(FetchError::TooLarge { url: self.url.clone(), limit });
            }
            self.part.write_all(&piece[..count]).map_err(failed("write", &self.part_path))?;
        }
        match total {
            Some(total) if written < total => {
                Ok(Attempt::Broken(format!("the connection ended after {written} of {total} bytes")))
            }
            _ => Ok(Attempt::Complete),
        }
    }

    fn on_disk(&self) -> Result<u64, FileError> {
        Ok(self.part.metadata().map_err(failed("read", &self.part_path))?.len())
    }

    /// Keeps the first `length` bytes, and continues to write after them.
    fn truncate(&mut self, length: u64) -> Result<(), FileError> {
        self.part.set_len(length).map_err(failed("shorten", &self.part_path))?;
        self.part.seek(SeekFrom::Start(length)).map_err(failed("write", &self.part_path))?;
        Ok(())
    }

    fn check_cancelled(&self) -> Result<(), FetchError> {
        if self.cancel.load(Ordering::Relaxed) { Err(FetchError::Cancelled) } else { Ok(()) }
    }

    /// Waits in slices, so that a cancellation is noticed.
    fn pause(&self, mut left: Duration) -> Result<(), FetchError> {
        while !left.is_zero() {
            self.check_cancelled()?;
            let slice = left.min(Duration::from_millis(50));
            std::thread::sleep(slice);
            left -= slice;
        }
        Ok(())
    }
}

impl Attempt {
    fn busy(status: StatusCode) -> Self {
        Self::Broken(format!("the server answered {status}"))
    }
}

/// The header of a partial answer: `bytes 5-9/10`, or `bytes */10` if the range is invalid.
struct ContentRange {
    first: Option<u64>,
    total: Option<u64>,
}

impl ContentRange {
    fn parse(text: &str) -> Option<Self> {
        let (range, total) = text.strip_prefix("bytes ")?.split_once('/')?;
        let first = range.split_once('-').and_then(|(first, _)| first.parse().ok());
        Some(Self { first, total: total.parse().ok() })
    }
}

#[cfg(test)]
mod tests;
