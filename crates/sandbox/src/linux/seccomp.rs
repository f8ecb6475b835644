//! Filters of system calls.

use std::io;
use std::os::fd::RawFd;

/// System calls that lead around every level: kernel keyrings are shared with the whole session, and io_uring can do
/// without system calls what other filters refuse.
const EVERYWHERE: [libc::c_long; 9] = [
    libc::SYS_add_key,
    libc::SYS_keyctl,
    libc::SYS_request_key,
    libc::SYS_userfaultfd,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
];

/// System calls that Landlock does not cover, besides sockets: other processes, shared memory by number.
const WITHOUT_NAMESPACES: [libc::c_long; 10] = [
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    libc::SYS_shmget,
    libc::SYS_shmat,
    libc::SYS_msgget,
    libc::SYS_semget,
    libc::SYS_mq_open,
];

#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: u32 = 0xc000_00b7;

/// Kinds of sockets that end in a network namespace. Others, such as those to the host of a virtual machine, do not.
const NAMESPACED: [libc::c_int; 4] = [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK];

/// Offsets in the structure that a filter reads; of the first argument, the lower half.
const NUMBER_AT: u32 = 0;
const ARCHITECTURE_AT: u32 = 4;
const ARGUMENT_AT: u32 = 16;
/// Offset of the second argument, lower half.
const SECOND_ARGUMENT_AT: u32 = 24;

/// Number of steps of a filter before its list of calls: they check the architecture and load the call's number.
const HEAD: usize = 6;

const REFUSE: u32 = libc::SECCOMP_RET_ERRNO | libc::EPERM as u32;

/// First number of the second set of system calls on x86-64 (x32), which no list here names.
const X32: u32 = 0x4000_0000;

/// A program for the kernel that decides on each system call.
#[derive(Debug, Clone)]
pub(crate) struct Filter(Vec<libc::sock_filter>);

impl Filter {
    /// Refuses what leads around every level.
    pub fn everywhere() -> Self {
        Self::new(&EVERYWHERE, REFUSE)
    }

    /// Refuses what leads out of namespaces.
    pub fn beside_namespaces() -> Self {
        let mut filter = Self::new(&EVERYWHERE, REFUSE);
        // In place of the last step, which allows all other calls.
        filter.0.pop();
        let kinds = NAMESPACED.len() as u8;
        filter.0.extend([skip(libc::BPF_JEQ, libc::SYS_socket as u32, 0, kinds + 2), load(ARGUMENT_AT)]);
        for (kind, left) in NAMESPACED.into_iter().zip((0..kinds).rev()) {
            filter.0.push(skip(libc::BPF_JEQ, kind as u32, left + 1, 0));
        }
        filter.0.extend([give(REFUSE), give(libc::SECCOMP_RET_ALLOW)]);
        filter
    }

    /// Refuses what Landlock does not cover, with or without sockets of all kinds.
    pub fn beside_landlock(sockets: bool) -> Self {
        let sockets: &[_] = if sockets { &[libc::SYS_socket] } else { &[] };
        Self::new(&[&EVERYWHERE[..], &WITHOUT_NAMESPACES, sockets].concat(), REFUSE)
    }

    /// Also refuses to type into the terminal, as if the user did: the text would go to the user's own shell later.
    pub fn without_typing(mut self) -> Self {
        let refused = [libc::TIOCSTI as u32, libc::TIOCLINUX as u32];
        let checks = [
            skip(libc::BPF_JEQ, libc::SYS_ioctl as u32, 0, 5),
            load(SECOND_ARGUMENT_AT),
            skip(libc::BPF_JEQ, refused[0], 1, 0),
            skip(libc::BPF_JEQ, refused[1], 0, 1),
            give(REFUSE),
            load(NUMBER_AT),
        ];
        self.0.splice(HEAD..HEAD, checks);
        self
    }

    /// Applies an action to the given calls, and allows all others.
    pub fn new(calls: &[libc::c_long], action: u32) -> Self {
        let foreign = libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32;
        let mut code = vec![load(ARCHITECTURE_AT), skip(libc::BPF_JEQ, ARCHITECTURE, 1, 0), give(foreign)];
        code.push(load(NUMBER_AT));
        code.extend([skip(libc::BPF_JGE, X32, 0, 1), give(foreign)]);
        for call in calls {
            code.extend([skip(libc::BPF_JEQ, *call as u32, 0, 1), give(action)]);
        }
        code.push(give(libc::SECCOMP_RET_ALLOW));
        Self(code)
    }

    /// Applies the filter to the calling thread and everything that it will start, for ever. Returns the descriptor
    /// that the flags ask for. Async-signal-safe.
    ///
    /// # Errors
    /// If the kernel refuses it.
    pub fn install(&self, flags: libc::c_ulong) -> io::Result<RawFd> {
        let program = libc::sock_fprog { len: self.0.len() as u16, filter: self.0.as_ptr().cast_mut() };
        // SAFETY: the kernel reads the program, which lives until the call returns, and never writes to it.
        let result =
            unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const program) };
        if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result as RawFd) }
    }
}

fn load(offset: u32) -> libc::sock_filter {
    statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, offset, 0, 0)
}

fn skip(condition: u32, value: u32, if_true: u8, if_false: u8) -> libc::sock_filter {
    statement(libc::BPF_JMP | condition | libc::BPF_K, value, if_true, if_false)
}

fn give(action: u32) -> libc::sock_filter {
    statement(libc::BPF_RET | libc::BPF_K, action, 0, 0)
}

fn statement(code: u32, k: u32, jt: u8, jf: u8) -> libc::sock_filter {
    libc::sock_filter { code: code as u16, jt, jf, k }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs a filter as the kernel does.
    fn verdict(filter: &Filter, architecture: u32, number: u32, argument: u32) -> u32 {
        let (mut at, mut value) = (0, 0);
        loop {
            let step = filter.0[at];
            at += 1;
            match u32::from(step.code) {
                code if code == libc::BPF_LD | libc::BPF_W | libc::BPF_ABS => {
                    value = match step.k {
                        NUMBER_AT => number,
                        ARCHITECTURE_AT => architecture,
                        _ => argument,
                    };
                }
                code if code & 0x07 == libc::BPF_RET => return step.k,
                code => {
                    let holds = if code & 0xf0 == libc::BPF_JEQ { value == step.k } else { value >= step.k };
                    at += usize::from(if holds { step.jt } else { step.jf });
                }
            }
        }
    }

    #[test]
    fn a_filter_refuses_its_calls_and_foreign_ones() {
        let filter = Filter::beside_landlock(true);
        let foreign = libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32;
        for call in [libc::SYS_socket, libc::SYS_keyctl, libc::SYS_mq_open] {
            assert_eq!(verdict(&filter, ARCHITECTURE, call as u32, 0), REFUSE);
            assert_eq!(verdict(&filter, ARCHITECTURE, call as u32 | X32, 0), foreign);
            assert_eq!(verdict(&filter, ARCHITECTURE ^ 1, call as u32, 0), foreign);
        }
        for call in [libc::SYS_read, libc::SYS_socketpair, libc::SYS_execve] {
            assert_eq!(verdict(&filter, ARCHITECTURE, call as u32, 0), libc::SECCOMP_RET_ALLOW);
        }
        let socket =
            |filter: Filter, kind: libc::c_int| verdict(&filter, ARCHITECTURE, libc::SYS_socket as u32, kind as u32);
        assert_eq!(socket(Filter::everywhere(), libc::AF_VSOCK), libc::SECCOMP_RET_ALLOW);
        assert_eq!(socket(Filter::beside_namespaces(), libc::AF_VSOCK), REFUSE);
        for kind in NAMESPACED {
            assert_eq!(socket(Filter::beside_namespaces(), kind), libc::SECCOMP_RET_ALLOW);
        }
        for filter in [Filter::everywhere(), Filter::beside_namespaces(), Filter::beside_landlock(true)] {
            let ioctl = |filter: &Filter, request: libc::Ioctl| {
                verdict(filter, ARCHITECTURE, libc::SYS_ioctl as u32, request as u32)
            };
            assert_eq!(ioctl(&filter, libc::TIOCSTI), libc::SECCOMP_RET_ALLOW);
            let filter = filter.without_typing();
            assert_eq!([libc::TIOCSTI, libc::TIOCLINUX].map(|request| ioctl(&filter, request)), [REFUSE; 2]);
            assert_eq!(ioctl(&filter, libc::TIOCGWINSZ), libc::SECCOMP_RET_ALLOW);
            assert_eq!(verdict(&filter, ARCHITECTURE, libc::SYS_keyctl as u32, 0), REFUSE);
            assert_eq!(verdict(&filter, ARCHITECTURE, libc::SYS_read as u32, 0), libc::SECCOMP_RET_ALLOW);
        }
        let others = Filter::beside_namespaces();
        assert_eq!(verdict(&others, ARCHITECTURE, libc::SYS_read as u32, 99), libc::SECCOMP_RET_ALLOW);
        assert_eq!(verdict(&others, ARCHITECTURE, libc::SYS_keyctl as u32, 1), REFUSE);
    }
}
