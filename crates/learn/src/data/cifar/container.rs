//! Containers of a data set: a folder, a tar archive (plain or compressed with gzip), or a zip archive such as an `.npz`.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read, Seek};
use std::path::Path;

use flate2::read::MultiGzDecoder;
use md5::{Digest, Md5};

use super::collect::{Collector, DEPTH};
use super::error::{Fault, Format};
use super::zip;
use crate::data::files::{self, FileError};

/// Largest number of bytes in a tar archive; CIFAR's have 185 MB.
const ARCHIVE_LIMIT: u64 = 1 << 30;
/// Largest number of folders that are searched.
const FOLDERS: usize = 1000;

/// Gives the files of a folder to the collector: the files in the folder itself or, if there are none, in its subfolders,
/// and so on, up to a limited depth.
pub(super) fn read_folder(path: &Path, into: &mut Collector) -> Result<(), Fault> {
    let (mut folders, mut seen) = (VecDeque::from([String::new()]), 1);
    let (mut beside, mut closed): (_, Option<FileError>) = (None, None);
    let mut found_at = None;
    while let Some(folder) = folders.pop_front() {
        let depth = folder.matches('/').count();
        if found_at.is_some_and(|found| depth > found) {
            break;
        }
        let names = match files::names(&path.join(&folder)) {
            Ok(names) => names,
            Err(error) if depth == 0 => return Err(error.into()),
            Err(error) => {
                closed = closed.or(Some(error));
                continue;
            }
        };
        for name in names {
            let inside = format!("{folder}{name}");
            let full = path.join(&inside);
            if files::is_folder(&full).unwrap_or(false) {
                if depth + 1 < DEPTH && seen < FOLDERS {
                    seen += 1;
                    folders.push_back(format!("{inside}/"));
                }
            } else if into.wants(&inside) {
                let mut file = files::open(&full)?;
                let size = file.metadata()?.len();
                into.take(&inside, size, &mut file)?;
            } else if beside.is_none() && may_be_meant(&name) {
                beside = Some(inside);
            }
        }
        if !into.is_empty() {
            found_at = Some(depth);
        }
    }
    match (into.is_empty(), closed) {
        (false, _) => Ok(()),
        (true, Some(error)) => Err(error.into()),
        (true, None) => Err(Fault::NotCifar { beside }),
    }
}

/// Checks whether a file in a folder could be the one that the user means.
fn may_be_meant(name: &str) -> bool {
    [".tar.gz", ".tgz", ".tar", ".npz", ".zip", ".parquet"].iter().any(|end| name.ends_with(end))
}

/// Gives the members of an archive to the collector. Returns the archive's MD5 sum if it is a compressed tar archive, like
/// the archives that the authors publish.
pub(super) fn read_archive(path: &Path, into: &mut Collector) -> Result<Option<String>, Fault> {
    let mut file = files::open(path)?;
    let mut start = Vec::new();
    file.by_ref().take(32).read_to_end(&mut start)?;
    file.rewind()?;
    match &start[..] {
        [0x1f, 0x8b, ..] => {
            let mut summed = Summed { file, sum: Md5::new() };
            read_tar(MultiGzDecoder::new(io::BufReader::new(&mut summed)), into)?;
            Ok(Some(super::known::hex(&summed.sum.finalize())))
        }
        [b'P', b'K', ..] => {
            for entry in zip::entries(&mut file)? {
                if into.wants(&entry.name) {
                    zip::read(&mut file, &entry, |reader| into.take(&entry.name, entry.size, reader))?;
                }
            }
            Ok(None)
        }
        start => match Format::of(start) {
            Some(format) => Err(Fault::Format(format)),
            None if path.file_name().and_then(|name| name.to_str()).is_some_and(|name| into.wants(name)) => {
                Err(Fault::Format(Format::One("one of the files")))
            }
            None => read_tar(io::BufReader::new(file), into).map(|()| None),
        },
    }
}

fn read_tar(reader: impl Read, into: &mut Collector) -> Result<(), Fault> {
    let mut archive = tar::Archive::new(reader.take(ARCHIVE_LIMIT));
    let mut begun = false;
    // Raw mode takes names only from the fixed-size header, so that nothing in the archive sets the size of an
    // allocation.
    for member in archive.entries()?.raw(true) {
        let mut member = member.map_err(|error| match Fault::from(error) {
            // The file does not begin like an archive.
            Fault::Damaged(_) if !begun => Fault::Format(Format::Unknown),
            fault => fault,
        })?;
        begun = true;
        let name = member.path_bytes().into_owned();
        let Some(name) = std::str::from_utf8(&name).ok().filter(|name| into.wants(name)) else { continue };
        if !member.header().entry_type().is_file() {
            let reason = "there is a link or a part of a file instead of a file".to_owned();
            return Err(Fault::Content { file: name.to_owned(), reason });
        }
        let size = member.size();
        into.take(name, size, &mut member)?;
    }
    // Read to the end of the stream, where gzip's checksum is.
    let mut rest = archive.into_inner();
    io::copy(&mut rest, &mut io::sink())?;
    if rest.limit() == 0 {
        return Err(Fault::Damaged(format!("it unpacks to {ARCHIVE_LIMIT} bytes or more")));
    }
    Ok(())
}

/// A file whose MD5 sum is computed as it is read.
struct Summed {
    file: File,
    sum: Md5,
}

impl Read for Summed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        self.sum.update(&buffer[..count]);
        Ok(count)
    }
}
