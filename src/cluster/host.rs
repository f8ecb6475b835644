//! What Linux says about this machine and its processes.

use std::path::Path;

/// Returns the machine's name, made fit for names of files.
pub fn host() -> String {
    let name = files::read(Path::new("/proc/sys/kernel/hostname"), 256).unwrap_or_default();
    let is_fine = |c: &char| c.is_ascii_alphanumeric() || *c == '.' || *c == '-';
    let name: String = String::from_utf8_lossy(&name).trim().chars().filter(is_fine).take(32).collect();
    let name = name.trim_start_matches(['-', '.']);
    if name.is_empty() { "localhost".to_owned() } else { name.to_owned() }
}

/// Returns when a process started, in ticks since this machine did; `None` if there is no such process or it has ended.
/// Together with its number this names a process for good, since numbers are used again.
pub fn started(process: u32) -> Option<u64> {
    let stat = files::read(Path::new(&format!("/proc/{process}/stat")), 4096).ok()?;
    let stat = String::from_utf8_lossy(&stat).into_owned();
    // The name of the program comes second, in brackets, and can contain anything.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_ascii_whitespace().collect();
    if matches!(*fields.first()?, "Z" | "X") {
        return None;
    }
    fields.get(19)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_known_by_its_number_and_start() {
        let own = started(std::process::id()).unwrap();
        assert!(own > 0 && started(1).unwrap() <= own);
        assert_eq!(started(u32::MAX), None);
        assert!(!host().is_empty());
    }
}
