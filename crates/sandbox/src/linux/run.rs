//! Runs a program, and watches over it until its last process has ended.

use std::fs::File;
use std::io::{self, PipeReader, PipeWriter, Read};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::bwrap;
use super::cgroup::Group;
use super::child::{Restrictions, Terminal};
use super::landlock::{self, Ruleset};
use super::layout::{prepare, variables};
use super::levels::Bubblewrap;
use super::log::Log;
use super::notify::Microphone;
use super::seccomp::Filter;
use super::{supervisor, watch};
use crate::order::{Ended, How, Level, Order, PROCESSES, SandboxError};

/// Time between two questions whether the run was cancelled.
const TICK: Duration = Duration::from_millis(50);

/// Time between two measurements of what the program uses.
const MEASURE: Duration = Duration::from_millis(200);

/// Runs a program as ordered. When the function returns, all processes of the program have ended. If the calling
/// process dies, they are killed. Asks `cancelled` about every 50 ms.
///
/// # Errors
/// If the order is wrong, the level is not available, or the program cannot be started. A program that fails is not an
/// error.
pub fn run(order: &Order, cancelled: &dyn Fn() -> bool) -> Result<Ended, SandboxError> {
    Running::start(order, None)?.finish(order, cancelled)
}

/// A running program.
pub(crate) struct Running {
    supervisor: Child,
    /// The program lives as long as this is open.
    life: Option<PipeWriter>,
    log: PipeReader,
    report: PipeReader,
    /// What is in the folder before the program starts.
    before: files::Usage,
    started: Instant,
    group: Option<Group>,
}

impl Running {
    /// Starts a program; with a microphone, its system calls are heard.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start(order: &Order, microphone: Option<Microphone>) -> Result<Self, SandboxError> {
        prepare(order)?;
        let before = files::usage(&order.folder, u64::MAX);
        let (mut command, mut restrictions) = command(order, Terminal::None, microphone)?;
        let group = order.limits.memory.and_then(Group::create);
        restrictions.group = group.as_ref().and_then(Group::door);
        let pipe = || io::pipe().map_err(SandboxError::system("make a pipe"));
        let ((log, log_end), (life_end, life), (report, report_end)) = (pipe()?, pipe()?, pipe()?);
        let second = log_end.try_clone().map_err(SandboxError::system("make a pipe"))?;
        command.stdin(Stdio::null()).stdout(log_end).stderr(second);
        let (life_number, report_number) = (life_end.as_raw_fd(), report_end.as_raw_fd());
        // SAFETY: the closure makes only system calls, on memory and descriptors that were prepared before the fork.
        unsafe {
            command.pre_exec(move || {
                supervisor::split(life_number, report_number)?;
                restrictions.apply()
            });
        }
        let started = Instant::now();
        let program = PathBuf::from(command.get_program());
        let supervisor = command.spawn().map_err(|source| SandboxError::Start { program, source })?;
        Ok(Self { supervisor, life: Some(life), log, report, before, started, group })
    }

    /// Waits until the program has ended, and ends it where it reaches a limit.
    ///
    /// # Errors
    /// If the supervisor is lost.
    pub fn finish(mut self, order: &Order, cancelled: &dyn Fn() -> bool) -> Result<Ended, SandboxError> {
        let mut log = Log::new(order.limits.log_bytes);
        let (mut reported, mut log_is_open) = (Vec::new(), true);
        let (mut stopped, mut peak) = (None, 0);
        let (mut next_tick, mut next_measure) = (self.started + TICK, self.started + TICK);
        loop {
            let timeout = next_tick.saturating_duration_since(Instant::now());
            let [log_is_ready, report_is_ready] = poll([&self.log, &self.report], log_is_open, timeout)?;
            if log_is_ready {
                let mut piece = vec![0; 64 << 10];
                let length = self.log.read(&mut piece).map_err(SandboxError::system("read the log"))?;
                log.append(&piece[..length]);
                log_is_open = length > 0;
            }
            if report_is_ready {
                let mut piece = [0; 64];
                let length = self.report.read(&mut piece).map_err(SandboxError::system("read the status"))?;
                reported.extend_from_slice(&piece[..length]);
                if length == 0 {
                    break;
                }
            }
            let now = Instant::now();
            if now < next_tick || stopped.is_some() {
                continue;
            }
            next_tick = now + TICK;
            if cancelled() {
                stopped = Some(How::Cancelled);
            } else if self.started.elapsed().as_secs_f64() > order.limits.seconds {
                stopped = Some(How::TimedOut);
            } else if now >= next_measure {
                let memory = order.limits.memory;
                let look = watch::look(self.supervisor.id(), &order.folder, memory, PROCESSES);
                peak = peak.max(look.memory);
                stopped = match look.processes > PROCESSES {
                    true => Some(How::TooManyProcesses),
                    false if memory.is_some_and(|limit| look.memory > limit) => Some(How::OutOfMemory),
                    false => self.too_much_output(order, look.unlinked),
                };
                next_measure = Instant::now() + MEASURE;
            }
            if stopped.is_some() {
                self.life = None;
            }
        }
        let seconds = self.started.elapsed().as_secs_f64();
        self.supervisor.wait().map_err(SandboxError::system("wait for the program"))?;
        self.drain(&mut log);
        let status = last_number(&reported)?;
        let used = self.group.as_ref().map(Group::used).unwrap_or_default();
        let stopped = stopped.or_else(|| used.is_exhausted.then_some(How::OutOfMemory));
        let how = stopped.or_else(|| self.too_much_output(order, 0)).unwrap_or_else(|| how(status, order.level));
        let peak_memory = used.peak.or((peak > 0).then_some(peak));
        Ok(Ended { how, log: log.into_bytes(), seconds, level: order.level, peak_memory })
    }

    fn too_much_output(&self, order: &Order, unlinked: u64) -> Option<How> {
        let most_files = self.before.files.saturating_add(order.limits.output_files);
        let most_bytes = self.before.bytes.saturating_add(order.limits.output_bytes);
        let usage = files::usage(&order.folder, most_files.saturating_add(1));
        (usage.bytes.saturating_add(unlinked) > most_bytes || usage.files > most_files).then_some(How::TooMuchOutput)
    }

    /// Reads the rest of the log. All its writers are gone, unless the program found a way out.
    fn drain(&self, log: &mut Log) {
        let Ok(pipe) = self.log.try_clone() else { return };
        // SAFETY: the call takes only numbers.
        unsafe { libc::fcntl(pipe.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK) };
        let (mut pipe, mut piece) = (File::from(OwnedFd::from(pipe)), [0; 4096]);
        while let Ok(length @ 1..) = pipe.read(&mut piece) {
            log.append(&piece[..length]);
        }
    }
}

/// Returns the command that runs an order, and what its process does before.
pub(super) fn command(
    order: &Order,
    terminal: Terminal,
    microphone: Option<Microphone>,
) -> Result<(Command, Restrictions), SandboxError> {
    let mut words = order.program.clone();
    let (mut landlock, mut filter) = (None, Filter::everywhere());
    match order.level {
        Level::Namespaces => {
            filter = Filter::beside_namespaces();
            words.splice(0..0, bwrap::words(order, Bubblewrap::get()?, terminal)?);
        }
        Level::Landlock => {
            let why = || "this kernel has no Landlock".to_owned();
            let abi = landlock::abi();
            let abi = abi.ok_or_else(|| SandboxError::Unavailable { level: order.level, why: why() })?;
            landlock = Some(Ruleset::new(order, abi)?);
            // Sockets are refused, or heard and refused.
            filter = Filter::beside_landlock(microphone.is_none());
        }
        Level::None => {}
    }
    let (program, arguments) = words.split_first().ok_or_else(|| SandboxError::Order("no command".to_owned()))?;
    let mut command = Command::new(program);
    command.args(arguments).env_clear();
    match order.level {
        Level::Namespaces => command.current_dir("/"),
        Level::Landlock | Level::None => command.current_dir(&order.folder).envs(variables(order)),
    };
    // One byte more shows that a file reached the limit.
    let file_size = order.limits.output_bytes.saturating_add(1);
    if terminal == Terminal::Shared {
        filter = filter.without_typing();
    }
    Ok((command, Restrictions { terminal, file_size, group: None, landlock, filter, microphone }))
}

/// Waits until there is something to read, at most for the given time.
fn poll(pipes: [&PipeReader; 2], first: bool, timeout: Duration) -> Result<[bool; 2], SandboxError> {
    let mut events = pipes.map(|pipe| libc::pollfd { fd: pipe.as_raw_fd(), events: libc::POLLIN, revents: 0 });
    if !first {
        events[0].fd = -1;
    }
    let milliseconds = timeout.as_millis() as libc::c_int + 1;
    // SAFETY: the call uses an array that outlives it, of the given length.
    match unsafe { libc::poll(events.as_mut_ptr(), 2, milliseconds) } {
        -1 if io::Error::last_os_error().kind() != io::ErrorKind::Interrupted => {
            Err(SandboxError::system("wait for the program")(io::Error::last_os_error()))
        }
        _ => Ok(events.map(|event| event.revents != 0)),
    }
}

/// Returns the second number that the supervisor sent. If it sent only the number of the program's process, it was
/// killed, and the program with what is left of its group follows.
fn last_number(reported: &[u8]) -> Result<libc::c_int, SandboxError> {
    let numbers: Vec<_> = reported.as_chunks().0.iter().map(|bytes| libc::c_int::from_ne_bytes(*bytes)).collect();
    if let [program] = numbers[..] {
        // SAFETY: the call takes only numbers.
        unsafe { libc::kill(-program, libc::SIGKILL) };
    }
    numbers.get(1).copied().ok_or(SandboxError::Lost)
}

/// Returns how a program ended, from the status of its process.
pub(super) fn how(status: libc::c_int, level: Level) -> How {
    if libc::WIFSIGNALED(status) {
        return How::Signal(libc::WTERMSIG(status));
    }
    match libc::WEXITSTATUS(status) {
        // Bubblewrap reports a signal as shells do.
        code @ 129..=192 if level == Level::Namespaces => How::Signal(code - 128),
        code => How::Exited(code),
    }
}
