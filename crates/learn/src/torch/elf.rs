//! Shared libraries as files: checks whether a library is complete, which libraries it opens, and where its hidden names are.
//!
//! The dynamic loader maps a truncated library without an error, and the process ends with a bus error when it
//! accesses the missing part. So this module first checks that the file contains everything that its headers mention.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};

/// The reason why a file is not a complete library.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// The file ends too early.
    #[error("it is truncated: it has {found} of at least {needed} bytes")]
    CutOff {
        /// Length of the file.
        found: u64,
        /// End of the last part that its headers mention.
        needed: u64,
    },
    /// The file does not begin like a library of a 64-bit little-endian machine.
    #[error("it is not a shared library")]
    NotALibrary,
    /// The file cannot be read: the system's message.
    #[error("{0}")]
    Unreadable(String),
}

/// Checks one library.
///
/// # Errors
/// The damage of the library.
pub fn whole(library: &Path) -> Result<(), Damage> {
    if cfg!(target_os = "linux") { Elf::whole(Map::of(library)?.bytes()).map(|_| ()) } else { Ok(()) }
}

/// Checks a library and all libraries that it opens from folders that it names itself. Libraries of the system are not
/// checked.
///
/// # Errors
/// The first damaged file, and its damage.
pub fn check(library: &Path) -> Result<(), (PathBuf, Damage)> {
    if !cfg!(target_os = "linux") {
        return Ok(());
    }
    let (mut waiting, mut seen) = (vec![library.to_owned()], BTreeSet::new());
    while let Some(path) = waiting.pop() {
        if !seen.insert(path.clone()) {
            continue;
        }
        let damage = |damage| (path.clone(), damage);
        let map = Map::of(&path).map_err(damage)?;
        let elf = Elf::whole(map.bytes()).map_err(damage)?;
        let folder = path.parent().unwrap_or(Path::new("/"));
        let folders: Vec<_> =
            elf.folders().map(|named| PathBuf::from(named.replace("$ORIGIN", &folder.to_string_lossy()))).collect();
        let find = |name: &str| {
            std::iter::once(folder)
                .chain(folders.iter().map(PathBuf::as_path))
                .find_map(|folder| folder.join(name).canonicalize().ok())
        };
        waiting.extend(elf.needed().filter_map(find));
    }
    Ok(())
}

/// Returns the addresses of names in a library, as offsets from its load address. It also finds names that the dynamic loader
/// does not. A missing name has `None`: a library can be stripped.
///
/// # Errors
/// If the file cannot be read or is damaged.
pub fn addresses<const N: usize>(library: &Path, names: [&str; N]) -> Result<[Option<Symbol>; N], Damage> {
    Ok(Elf::whole(Map::of(library)?.bytes())?.symbols(names))
}

/// Place and size of a symbol in a library.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Symbol {
    /// Offset from the library's load address.
    pub offset: u64,
    /// Size in bytes.
    pub size: u64,
}

/// The bytes of a library, checked to contain everything that its headers mention.
struct Elf<'a>(&'a [u8]);

// From the System V ABI, "Object Files" and "Program Loading and Dynamic Linking".
const MAGIC: &[u8; 6] = b"\x7fELF\x02\x01";
const LOADED: u64 = 1;
const DYNAMIC: u64 = 2;
const SYMBOLS: u64 = 2;
const NO_BYTES: u64 = 8;
const NEEDED: u64 = 1;
const STRINGS: u64 = 5;
const FOLDERS: [u64; 2] = [15, 29];

impl<'a> Elf<'a> {
    fn whole(bytes: &'a [u8]) -> Result<Self, Damage> {
        let elf = Self(bytes);
        let beginning = &bytes[..bytes.len().min(MAGIC.len())];
        if beginning != &MAGIC[..beginning.len()] {
            return Err(Damage::NotALibrary);
        }
        let found = bytes.len() as u64;
        let fits = |end: Option<u64>| match end {
            Some(end) if end <= found => Ok(()),
            end => Err(Damage::CutOff { found, needed: end.unwrap_or(u64::MAX) }),
        };
        let table =
            |offset: u64, number: u64, size: u64| number.checked_mul(size).and_then(|all| offset.checked_add(all));
        fits(Some(64))?;
        let (programs, sections) = (elf.programs(), elf.sections());
        fits(table(programs.0, programs.1, 56))?;
        fits(table(sections.0, sections.1, 64))?;
        let last = |ends: Vec<Option<u64>>| ends.into_iter().map(|end| end.unwrap_or(u64::MAX)).max();
        let parts = elf.segments().map(|at| elf.number(at + 8, 8).checked_add(elf.number(at + 32, 8)));
        let rest = elf.section_headers().filter(|at| elf.number(at + 4, 4) != NO_BYTES);
        let rest = rest.map(|at| elf.number(at + 24, 8).checked_add(elf.number(at + 32, 8)));
        fits(last(parts.chain(rest).collect()).or(Some(0)))?;
        Ok(elf)
    }

    /// Returns a number of `bytes` bytes; zero past the end.
    fn number(&self, at: u64, bytes: usize) -> u64 {
        let slice = usize::try_from(at).ok().and_then(|at| self.0.get(at..at.checked_add(bytes)?));
        slice.map_or(0, |slice| slice.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    /// Returns the position and number of the headers of segments.
    fn programs(&self) -> (u64, u64) {
        (self.number(32, 8), self.number(56, 2))
    }

    /// Returns the position and number of the headers of sections.
    fn sections(&self) -> (u64, u64) {
        (self.number(40, 8), self.number(60, 2))
    }

    fn segments(&self) -> impl Iterator<Item = u64> + use<> {
        let (start, number) = self.programs();
        (0..number).map(move |i| start.saturating_add(56 * i))
    }

    fn section_headers(&self) -> impl Iterator<Item = u64> + use<> {
        let (start, number) = self.sections();
        (0..number).map(move |i| start.saturating_add(64 * i))
    }

    /// Returns the text at a place, up to its NUL.
    fn text(&self, at: u64) -> &'a str {
        let rest = usize::try_from(at).ok().and_then(|at| self.0.get(at..)).unwrap_or_default();
        let end = rest.iter().position(|byte| *byte == 0).unwrap_or(0);
        std::str::from_utf8(&rest[..end]).unwrap_or_default()
    }

    /// Returns the position in the file of the bytes at an address.
    fn place(&self, address: u64) -> Option<u64> {
        let holds = |at: &u64| {
            let (start, length) = (self.number(at + 16, 8), self.number(at + 32, 8));
            self.number(*at, 4) == LOADED && address >= start && address - start < length
        };
        let at = self.segments().find(holds)?;
        Some(address - self.number(at + 16, 8) + self.number(at + 8, 8))
    }

    /// Returns the texts of the dynamic section's entries with one of the tags.
    fn dynamic(&self, tags: &'static [u64]) -> impl Iterator<Item = &'a str> {
        let section = self.segments().find(|at| self.number(*at, 4) == DYNAMIC);
        let (start, length) = section.map_or((0, 0), |at| (self.number(at + 8, 8), self.number(at + 32, 8)));
        let entries: Vec<_> =
            (0..length / 16).map(|i| start + 16 * i).map(|at| (self.number(at, 8), self.number(at + 8, 8))).collect();
        let strings = entries.iter().find(|(tag, _)| *tag == STRINGS).and_then(|(_, address)| self.place(*address));
        let chosen: Vec<_> = entries.into_iter().filter(|(tag, _)| tags.contains(tag)).collect();
        let texts = chosen.into_iter().filter_map(|(_, offset)| Some(self.text(strings?.checked_add(offset)?)));
        texts.collect::<Vec<_>>().into_iter()
    }

    /// Returns the names of the libraries that this library opens.
    fn needed(&self) -> impl Iterator<Item = &'a str> {
        self.dynamic(&[NEEDED])
    }

    /// Returns the folders in which this library looks for them.
    fn folders(&self) -> impl Iterator<Item = &'a str> {
        self.dynamic(&FOLDERS).flat_map(|list| list.split(':'))
    }

    fn symbols<const N: usize>(&self, names: [&str; N]) -> [Option<Symbol>; N] {
        let mut found = [None; N];
        for at in self.section_headers().filter(|at| self.number(at + 4, 4) == SYMBOLS) {
            let (start, length, linked) = (self.number(at + 24, 8), self.number(at + 32, 8), self.number(at + 40, 4));
            let strings = self.number(self.sections().0.saturating_add(64 * linked) + 24, 8);
            let table = usize::try_from(start).ok().zip(usize::try_from(length).ok());
            let table = table.and_then(|(start, length)| self.0.get(start..start + length)).unwrap_or_default();
            for entry in table.chunks_exact(24) {
                let entry = Self(entry);
                let name =
                    usize::try_from(strings.saturating_add(entry.number(0, 4))).ok().and_then(|at| self.0.get(at..));
                let is = |wanted: &&str| {
                    name.and_then(|name| name.strip_prefix(wanted.as_bytes()))
                        .is_some_and(|rest| rest.first() == Some(&0))
                };
                if let Some(i) = names.iter().position(is) {
                    found[i] = Some(Symbol { offset: entry.number(8, 8), size: entry.number(16, 8) });
                }
            }
        }
        found
    }
}

/// A file mapped into memory, so that only the used parts are read: libtorch has 450 MB, of which little is needed.
struct Map {
    start: *mut libc::c_void,
    length: usize,
}

impl Map {
    fn of(path: &Path) -> Result<Self, Damage> {
        let unreadable = |error: std::io::Error| Damage::Unreadable(error.to_string());
        #[expect(clippy::disallowed_methods, reason = "libraries are mapped, and `files` reads whole files")]
        let file = File::open(path).map_err(unreadable)?;
        let length = usize::try_from(file.metadata().map_err(unreadable)?.len()).unwrap_or(usize::MAX);
        if length == 0 {
            return Ok(Self { start: std::ptr::null_mut(), length });
        }
        // SAFETY: a new private mapping of a file that is open; it is unmapped once, on drop.
        let start = unsafe {
            let descriptor = std::os::fd::AsRawFd::as_raw_fd(&file);
            libc::mmap(std::ptr::null_mut(), length, libc::PROT_READ, libc::MAP_PRIVATE, descriptor, 0)
        };
        if start == libc::MAP_FAILED {
            Err(unreadable(std::io::Error::last_os_error()))
        } else {
            Ok(Self { start, length })
        }
    }

    fn bytes(&self) -> &[u8] {
        if self.length == 0 {
            return &[];
        }
        // SAFETY: `length` bytes are mapped at `start` as long as `self` lives. Libraries are replaced by new files of the
        // same name, not overwritten.
        unsafe { std::slice::from_raw_parts(self.start.cast(), self.length) }
    }
}

impl Drop for Map {
    fn drop(&mut self) {
        if self.length > 0 {
            // SAFETY: mapped in `of`, and no longer borrowed.
            unsafe { libc::munmap(self.start, self.length) };
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    fn library(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.libtorch/lib").join(name)
    }

    #[test]
    fn a_whole_library_is_fine_and_names_its_neighbours() {
        check(&library("libtorch_cpu.so")).unwrap();
        let map = Map::of(&library("libtch.so")).unwrap();
        let needed: Vec<_> = Elf::whole(map.bytes()).unwrap().needed().map(str::to_owned).collect();
        assert!(needed.contains(&"libtorch_cpu.so".to_owned()), "{needed:?}");
    }

    #[test]
    fn a_library_cut_off_anywhere_is_refused() {
        let map = Map::of(&library("libc10.so")).unwrap();
        let all = map.bytes();
        // A few bytes at the end can be unused.
        let lengths = [1, 5, 6, 63, 64, 100, 4096, all.len() / 2, all.len() - 4096];
        for length in (0..all.len() - 4096).step_by(9973).chain(lengths).skip(1) {
            assert!(matches!(Elf::whole(&all[..length]), Err(Damage::CutOff { .. })), "{length}");
        }
    }

    #[test]
    fn a_neighbour_that_was_cut_off_is_named() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["libtch.so", "libtorch_cpu.so", "libc10.so", "libgomp.so.1"] {
            std::os::unix::fs::symlink(library(name), folder.path().join(name)).unwrap();
        }
        let (cut, whole) = (folder.path().join("libgomp.so.1"), std::fs::read(library("libgomp.so.1")).unwrap());
        std::fs::remove_file(&cut).unwrap();
        std::fs::write(&cut, &whole[..whole.len() / 2]).unwrap();
        // The library is found through a folder of links, as set up from a PyTorch package.
        let (path, damage) = check(&folder.path().join("libtorch_cpu.so")).unwrap_err();
        assert_eq!((path.file_name(), matches!(damage, Damage::CutOff { .. })), (cut.file_name(), true));
    }

    #[test]
    fn what_is_no_library_is_refused_without_a_panic() {
        let no_library: [&[u8]; 4] = [b"", b"#!/bin/sh\n", b"\x7fELF\x01\x01", &[0xff; 4096]];
        for bytes in &no_library[1..] {
            assert_eq!(Elf::whole(bytes).err(), Some(Damage::NotALibrary));
        }
        assert!(Elf::whole(no_library[0]).is_err());
        // Headers with impossible positions.
        let mut absurd = vec![0xff; 8192];
        absurd[..6].copy_from_slice(b"\x7fELF\x02\x01");
        assert!(Elf::whole(&absurd).is_err());
        assert!(matches!(check(Path::new("/nowhere/lib.so")), Err((_, Damage::Unreadable(_)))));
    }

    #[test]
    fn hidden_names_are_found() {
        let [known, unknown] =
            addresses(&library("libtorch_cpu.so"), ["_ZN2at15get_num_threadsEv", "_no_such_name"]).unwrap();
        assert!(known.is_some_and(|symbol| symbol.offset > 0 && symbol.size > 0));
        assert_eq!(unknown, None);
    }
}
