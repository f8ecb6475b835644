//! Hears of system calls before the kernel carries them out (seccomp user notification, Linux 5.5).

use std::io::{self, PipeReader};
use std::mem::zeroed;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use super::seccomp::Filter;

/// System calls that name files or addresses.
const CALLS: [libc::c_long; 13] = [
    libc::SYS_openat,
    libc::SYS_openat2,
    libc::SYS_newfstatat,
    libc::SYS_statx,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_readlinkat,
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_chdir,
    libc::SYS_connect,
    libc::SYS_sendto,
    libc::SYS_socket,
];

/// Older forms of them, which newer architectures do not have.
#[cfg(target_arch = "x86_64")]
const OLD_CALLS: [libc::c_long; 7] = [
    libc::SYS_open,
    libc::SYS_creat,
    libc::SYS_stat,
    libc::SYS_lstat,
    libc::SYS_access,
    libc::SYS_readlink,
    libc::SYS_getxattr,
];
#[cfg(not(target_arch = "x86_64"))]
const OLD_CALLS: [libc::c_long; 1] = [libc::SYS_getxattr];

/// Requests of `ioctl` on a listener.
const RECEIVE: libc::c_ulong = 0xc050_2100;
const ANSWER: libc::c_ulong = 0xc018_2101;
const CONTINUE: u32 = 1;

/// What the process of the program needs to be heard.
#[derive(Debug)]
pub(crate) struct Microphone {
    filter: Filter,
    socket: OwnedFd,
}

/// The receiving end, until the first call is heard.
#[derive(Debug)]
pub(crate) struct Ear(OwnedFd);

/// Connects a program that will be started with a thread that hears its calls.
///
/// # Errors
/// If the system refuses a pair of sockets.
pub(crate) fn connect() -> io::Result<(Microphone, Ear)> {
    let mut pair: [RawFd; 2] = [-1; 2];
    let kind = libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC;
    // SAFETY: the call fills an array that outlives it.
    if unsafe { libc::socketpair(libc::AF_UNIX, kind, 0, pair.as_mut_ptr()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: both descriptors were opened just now, and nothing else owns them.
    let [socket, ear] = pair.map(|fd| unsafe { OwnedFd::from_raw_fd(fd) });
    let filter = Filter::new(&[&CALLS[..], &OLD_CALLS].concat(), libc::SECCOMP_RET_USER_NOTIF);
    Ok((Microphone { filter, socket }, Ear(ear)))
}

/// Space for a message with one descriptor.
#[repr(C, align(8))]
struct Control([u8; 64]);

impl Microphone {
    /// Makes the calls of this process, and of everything that it will start, heard. Async-signal-safe.
    ///
    /// # Errors
    /// If the kernel refuses it.
    pub fn open(&self) -> io::Result<()> {
        let listener = self.filter.install(libc::SECCOMP_FILTER_FLAG_NEW_LISTENER)?;
        let (mut byte, mut control) = (0u8, Control([0; 64]));
        let mut piece = libc::iovec { iov_base: (&raw mut byte).cast(), iov_len: 1 };
        // SAFETY: the message consists of local variables that outlive the call, and `Control` has room for a header
        // and a number, with the alignment that the header needs.
        unsafe {
            let mut message = message(&mut piece, &mut control);
            message.msg_controllen = libc::CMSG_SPACE(size_of::<RawFd>() as u32) as _;
            let header = libc::CMSG_FIRSTHDR(&raw const message);
            (*header).cmsg_level = libc::SOL_SOCKET;
            (*header).cmsg_type = libc::SCM_RIGHTS;
            (*header).cmsg_len = libc::CMSG_LEN(size_of::<RawFd>() as u32) as _;
            libc::CMSG_DATA(header).cast::<RawFd>().write_unaligned(listener);
            let sent = libc::sendmsg(self.socket.as_raw_fd(), &raw const message, 0);
            libc::close(listener);
            if sent < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
        }
    }
}

fn message(piece: &mut libc::iovec, control: &mut Control) -> libc::msghdr {
    // SAFETY: all zeros is a valid value.
    let mut message: libc::msghdr = unsafe { zeroed() };
    message.msg_iov = piece;
    message.msg_iovlen = 1;
    message.msg_control = control.0.as_mut_ptr().cast();
    message.msg_controllen = control.0.len() as _;
    message
}

impl Ear {
    /// Hears calls until the other end of `stop` is closed. `hear` says whether the kernel carries the call out; if
    /// not, it fails.
    pub fn listen(self, stop: &PipeReader, hear: &mut dyn FnMut(&libc::seccomp_notif) -> bool) {
        let Some(listener) = self.receive(stop) else { return };
        while wait(listener.as_raw_fd(), stop) {
            // SAFETY: all zeros is a valid value, and the kernel requires it.
            let mut call: libc::seccomp_notif = unsafe { zeroed() };
            // SAFETY: the call fills a structure that outlives it.
            if unsafe { libc::ioctl(listener.as_raw_fd(), RECEIVE, &raw mut call) } != 0 {
                continue;
            }
            let (error, flags) = if hear(&call) { (0, CONTINUE) } else { (-libc::EPERM, 0) };
            let mut answer = libc::seccomp_notif_resp { id: call.id, val: 0, error, flags };
            // SAFETY: the call reads a structure that outlives it. It fails if the process was killed meanwhile.
            unsafe { libc::ioctl(listener.as_raw_fd(), ANSWER, &raw mut answer) };
        }
    }

    /// Receives the listener from the new process.
    fn receive(self, stop: &PipeReader) -> Option<OwnedFd> {
        if !wait(self.0.as_raw_fd(), stop) {
            return None;
        }
        let (mut byte, mut control) = (0u8, Control([0; 64]));
        let mut piece = libc::iovec { iov_base: (&raw mut byte).cast(), iov_len: 1 };
        // SAFETY: the message consists of local variables that outlive the call. A header is read only if the kernel
        // wrote one, and the descriptor in it is new and belongs to nobody else.
        unsafe {
            let mut message = message(&mut piece, &mut control);
            if libc::recvmsg(self.0.as_raw_fd(), &raw mut message, libc::MSG_CMSG_CLOEXEC) < 1 {
                return None;
            }
            let header = libc::CMSG_FIRSTHDR(&raw const message);
            if header.is_null() || (*header).cmsg_type != libc::SCM_RIGHTS {
                return None;
            }
            Some(OwnedFd::from_raw_fd(libc::CMSG_DATA(header).cast::<RawFd>().read_unaligned()))
        }
    }
}

/// Waits for something to read; returns whether there is something, and the end has not come.
fn wait(descriptor: RawFd, stop: &PipeReader) -> bool {
    let mut events = [descriptor, stop.as_raw_fd()].map(|fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 });
    // SAFETY: the call uses an array that outlives it, of the given length.
    unsafe { libc::poll(events.as_mut_ptr(), 2, -1) };
    events[1].revents == 0 && events[0].revents & libc::POLLIN != 0
}
