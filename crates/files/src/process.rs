//! Tells whether a process of this machine still exists.

use std::fs;
use std::io;

/// A process, described so that another process of the same machine can tell whether it still exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// The running system and its set of process numbers: they have a meaning only there. One word of ASCII.
    pub place: String,
    /// Number of the process.
    pub number: u32,
    /// Time at which it started, in the system's ticks. A later process with the same number has another.
    pub started: u64,
}

impl Process {
    /// Describes a process of this machine; `None` if the system does not show it.
    pub fn of(number: u32) -> Option<Self> {
        let (started, is_over) = status(number)?;
        if is_over { None } else { Some(Self { place: place()?, number, started }) }
    }

    /// Returns whether the process is known to have ended. A process of another machine or container is not known.
    pub fn has_ended(&self) -> bool {
        if self.number == 0 || place().is_none_or(|here| here != self.place) {
            return false;
        }
        let Ok(number) = libc::pid_t::try_from(self.number) else { return true };
        // SAFETY: signal 0 only asks whether the process exists.
        if unsafe { libc::kill(number, 0) } != 0 {
            return io::Error::last_os_error().raw_os_error() == Some(libc::ESRCH);
        }
        // Some systems hide the processes of other accounts in /proc.
        status(self.number).is_some_and(|(started, is_over)| is_over || started != self.started)
    }
}

/// Returns the start time of a process, and whether only its entry is left (a zombie).
fn status(number: u32) -> Option<(u64, bool)> {
    let text = fs::read_to_string(format!("/proc/{number}/stat")).ok()?;
    // The name of the program is in parentheses and can contain anything.
    let mut fields = text.get(text.rfind(')')? + 1..)?.split_ascii_whitespace();
    let is_over = matches!(fields.next()?, "Z" | "X");
    Some((fields.nth(18)?.parse().ok()?, is_over))
}

/// Returns the running system and its set of process numbers, as one word.
fn place() -> Option<String> {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let numbers = fs::read_link("/proc/self/ns/pid").ok()?;
    let text = format!("{}-{}", boot.trim(), numbers.to_string_lossy());
    Some(text.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn a_process_ends_and_its_number_may_be_used_again() {
        let own = Process::of(std::process::id()).unwrap();
        assert!(!own.has_ended() && own.place.is_ascii() && own.place.len() < 64, "{own:?}");
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let other = Process::of(child.id()).unwrap();
        assert!(!other.has_ended());
        child.kill().unwrap();
        // A killed process counts as ended before its parent asks for its exit code.
        while !other.has_ended() {
            std::thread::yield_now();
        }
        assert_eq!(Process::of(other.number), None);
        child.wait().unwrap();
        assert!(other.has_ended());
        assert!(Process { started: own.started + 1, ..own.clone() }.has_ended(), "another one with its number");
        assert!(!Process { place: "elsewhere".into(), ..other }.has_ended(), "nothing is known of other machines");
    }
}
