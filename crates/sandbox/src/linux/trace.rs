//! Lists what a program looked for that its order does not declare.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path, PathBuf};

use super::layout::{INSIDE, TEMPORARY};
use super::levels::Bubblewrap;
use super::notify;
use super::run::Running;
use crate::order::{Access, AccessKind, Level, Order, SandboxError};

/// Maximum number of different paths that are remembered.
const MOST: usize = 100_000;

/// Runs a program once more, in the same sandbox, and returns what it looked for that the order does not declare:
/// first what exists, then names in its folder that do not exist. Use an empty folder.
///
/// `candidates` are files that it may have forgotten to declare, such as all files of its project. They are shown in
/// the folder like declared ones, and are reported where the program uses them. Without them, a program that lists a
/// folder before it looks for a file, as Python does, never names the file.
///
/// # Errors
/// As for [`run`], and if the kernel cannot report system calls.
///
/// [`run`]: super::run
pub fn trace(
    order: &Order,
    candidates: &[(PathBuf, PathBuf)],
    cancelled: &dyn Fn() -> bool,
) -> Result<Vec<Access>, SandboxError> {
    let mut shown = order.clone();
    let is_declared = |name: &Path| order.reads.iter().any(|(_, declared)| name.starts_with(declared));
    shown.reads.extend(candidates.iter().filter(|(_, name)| !is_declared(name)).cloned());
    let heard = listen(&shown, cancelled)?;
    let is_candidate = |name: &Path| candidates.iter().any(|(_, candidate)| name.starts_with(candidate));
    let undeclared = heard.0.into_iter().filter_map(|(path, kind)| undeclared(order, &is_candidate, path, kind));
    let mut accesses: Vec<Access> = undeclared.collect();
    accesses.sort_by_key(|access| !access.exists);
    Ok(accesses)
}

/// Runs a program, and returns everything that it looked for.
fn listen(order: &Order, cancelled: &dyn Fn() -> bool) -> Result<Heard, SandboxError> {
    let failed = SandboxError::system("watch the program's files");
    let (microphone, ear) = notify::connect().map_err(failed)?;
    let (stop, running) = io::pipe().map_err(SandboxError::system("make a pipe"))?;
    std::thread::scope(|scope| {
        // It must listen before the program starts, which is itself a call.
        let listener = scope.spawn(move || {
            let mut heard = Heard::default();
            ear.listen(&stop, &mut |call| heard.note(order, call));
            heard
        });
        let ended = Running::start(order, Some(microphone)).and_then(|program| program.finish(order, cancelled));
        drop(running);
        let heard = listener.join().unwrap_or_default();
        ended.map(|_| heard)
    })
}

/// Everything that was heard: paths as the program sees them, or addresses.
#[derive(Debug, Default)]
struct Heard(BTreeMap<PathBuf, AccessKind>);

impl Heard {
    /// Notes a call; returns whether it may be carried out.
    fn note(&mut self, order: &Order, call: &libc::seccomp_notif) -> bool {
        let (number, arguments) = (libc::c_long::from(call.data.nr), call.data.args);
        let process = Process(call.pid);
        if number == libc::SYS_socket {
            let refused = order.level == Level::Landlock;
            let family = arguments[0] as libc::c_int;
            if refused && matches!(family, libc::AF_INET | libc::AF_INET6) {
                self.add(PathBuf::from("the network"), AccessKind::Connect);
            }
            return !refused;
        }
        if order.level == Level::Namespaces && process.is_bubblewrap() {
            return true;
        }
        let (kind, found) = match number {
            libc::SYS_connect => (AccessKind::Connect, process.address(arguments[1], arguments[2])),
            libc::SYS_sendto => (AccessKind::Connect, process.address(arguments[4], arguments[5])),
            libc::SYS_openat => (opening(arguments[2]), process.path(Some(arguments[0]), arguments[1])),
            libc::SYS_openat2 => (AccessKind::Read, process.path(Some(arguments[0]), arguments[1])),
            libc::SYS_execve => (AccessKind::Execute, process.path(None, arguments[0])),
            libc::SYS_execveat => (AccessKind::Execute, process.path(Some(arguments[0]), arguments[1])),
            libc::SYS_newfstatat
            | libc::SYS_statx
            | libc::SYS_faccessat
            | libc::SYS_faccessat2
            | libc::SYS_readlinkat => (AccessKind::Look, process.path(Some(arguments[0]), arguments[1])),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_open => (opening(arguments[1]), process.path(None, arguments[0])),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_creat => (AccessKind::Write, process.path(None, arguments[0])),
            _ => (AccessKind::Look, process.path(None, arguments[0])),
        };
        if let Some(path) = found {
            self.add(path, kind);
        }
        true
    }

    fn add(&mut self, path: PathBuf, kind: AccessKind) {
        if self.0.len() < MOST {
            let known = self.0.entry(path).or_insert(kind);
            *known = kind.max(*known);
        }
    }
}

fn opening(flags: u64) -> AccessKind {
    let flags = flags as libc::c_int;
    let writes = flags & (libc::O_WRONLY | libc::O_RDWR | libc::O_CREAT | libc::O_TRUNC) != 0;
    if writes { AccessKind::Write } else { AccessKind::Read }
}

/// A process that waits for its call to be carried out.
struct Process(u32);

impl Process {
    fn is_bubblewrap(&self) -> bool {
        let program = files::link_target(Path::new(&format!("/proc/{}/exe", self.0)));
        program.is_some() && program == Bubblewrap::get().ok().and_then(|found| files::canonical(&found.program).ok())
    }

    /// Returns a path that the call names, as the program sees it, absolute and without `..`.
    fn path(&self, folder: Option<u64>, address: u64) -> Option<PathBuf> {
        let mut name = self.memory(address, libc::PATH_MAX as usize);
        name.truncate(name.iter().position(|byte| *byte == 0)?);
        if name.is_empty() {
            return None;
        }
        let name = PathBuf::from(OsString::from_vec(name));
        let folder = match folder.map(|number| number as libc::c_int) {
            _ if name.is_absolute() => PathBuf::new(),
            None | Some(libc::AT_FDCWD) => files::link_target(Path::new(&format!("/proc/{}/cwd", self.0)))?,
            Some(number) => files::link_target(Path::new(&format!("/proc/{}/fd/{number}", self.0)))?,
        };
        Some(plain(&folder.join(name)))
    }

    /// Returns the address of a socket call as text; the path of a socket that has one.
    fn address(&self, address: u64, length: u64) -> Option<PathBuf> {
        let bytes = self.memory(address, length.min(128) as usize);
        let port = || Some(u16::from_be_bytes(*bytes.get(2..4)?.as_array()?));
        match libc::c_int::from(u16::from_ne_bytes(*bytes.get(..2)?.as_array()?)) {
            libc::AF_INET => {
                let host: [u8; 4] = *bytes.get(4..8)?.as_array()?;
                Some(SocketAddr::from((Ipv4Addr::from(host), port()?)).to_string().into())
            }
            libc::AF_INET6 => {
                let host: [u8; 16] = *bytes.get(8..24)?.as_array()?;
                Some(SocketAddr::from((Ipv6Addr::from(host), port()?)).to_string().into())
            }
            libc::AF_UNIX if bytes.get(2) == Some(&b'/') => {
                let path = bytes.get(2..)?.split(|byte| *byte == 0).next()?;
                Some(OsString::from_vec(path.to_vec()).into())
            }
            _ => None,
        }
    }

    /// Reads memory of the process up to the first address that it does not have, page by page.
    fn memory(&self, address: u64, most: usize) -> Vec<u8> {
        const PAGE: usize = 4096;
        let (mut bytes, mut at) = (Vec::new(), address as usize);
        while bytes.len() < most && address != 0 {
            let mut piece = vec![0u8; (PAGE - at % PAGE).min(most - bytes.len())];
            let here = libc::iovec { iov_base: piece.as_mut_ptr().cast(), iov_len: piece.len() };
            let there = libc::iovec { iov_base: at as *mut libc::c_void, iov_len: piece.len() };
            let process = self.0 as libc::pid_t;
            // SAFETY: the call writes to a local buffer of the given size. It only reads the other process.
            let read = unsafe { libc::process_vm_readv(process, &raw const here, 1, &raw const there, 1, 0) };
            let Some(read @ 1..) = usize::try_from(read).ok() else { break };
            let ended = piece.contains(&0);
            bytes.extend_from_slice(&piece[..read]);
            at += read;
            if ended && most == libc::PATH_MAX as usize {
                break;
            }
        }
        bytes
    }
}

/// Removes `.` and `..` from an absolute path, without looking at links.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::from("/");
    for part in path.components() {
        match part {
            Component::ParentDir => drop(plain.pop()),
            Component::Normal(name) => plain.push(name),
            _ => {}
        }
    }
    plain
}

/// Returns an access unless the order declares it, the program made the file itself, or it concerns nobody.
fn undeclared(order: &Order, is_candidate: &dyn Fn(&Path) -> bool, path: PathBuf, kind: AccessKind) -> Option<Access> {
    if kind == AccessKind::Connect && !path.is_absolute() {
        return Some(Access { path, within: None, kind, exists: true });
    }
    let (folder, temporary) = match order.level {
        Level::Namespaces => (PathBuf::from(INSIDE), PathBuf::from("/tmp")),
        Level::Landlock | Level::None => (order.folder.clone(), order.folder.join(TEMPORARY)),
    };
    if let Ok(below) = path.strip_prefix(&temporary)
        && (temporary.starts_with(&order.folder) || order.folder.join(TEMPORARY).join(below).exists())
    {
        return None;
    }
    if let Ok(name) = path.strip_prefix(&folder) {
        let is_known = order.reads.iter().any(|(_, declared)| declared.starts_with(name) || name.starts_with(declared));
        if is_known || kind == AccessKind::Write {
            return None;
        }
        let exists = files::identity(&order.folder.join(name)).ok().flatten().is_some();
        // Everything else that exists was made by the program itself.
        let is_foreign = !exists || is_candidate(name);
        return is_foreign.then(|| Access { within: Some(name.to_owned()), path: path.clone(), kind, exists });
    }
    let known = order.system.iter().chain(&order.devices).map(PathBuf::as_path);
    let known = known.chain(["/proc", "/dev", "/sys"].map(Path::new)).chain([folder.as_path()]);
    let is_known = known.into_iter().any(|known| path.starts_with(known) || known.starts_with(&path));
    (!is_known && path.exists()).then_some(Access { path, within: None, kind, exists: true })
}
