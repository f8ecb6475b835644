//! Processes of a running program, and the memory that they use.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What the processes below a process use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Look {
    /// Number of processes.
    pub processes: usize,
    /// Their memory in bytes.
    pub memory: u64,
    /// Size of the files without a name that they have open on the file system of their folder, in bytes.
    pub unlinked: u64,
}

/// Largest text that is read about a process.
const TEXT: u64 = 4 << 20;

/// Looks at all processes below a process. Memory that several processes share is counted once if the sum would be
/// above `memory`: finding this out is slow.
pub(crate) fn look(root: u32, folder: &Path, memory: Option<u64>, processes: usize) -> Look {
    let found = descendants(root, processes);
    let mut sum: u64 = found.iter().filter_map(|process| resident(*process)).sum();
    if memory.is_some_and(|limit| sum > limit) {
        sum = found.iter().filter_map(|process| proportional(*process).or_else(|| resident(*process))).sum();
    }
    let open = |process: &u32| files::unlinked(Path::new(&format!("/proc/{process}/fd")), folder);
    let unlinked: BTreeMap<u64, u64> = found.iter().flat_map(open).collect();
    Look { processes: found.len(), memory: sum, unlinked: unlinked.values().sum() }
}

/// Returns the processes below a process, at most one more than `most`.
fn descendants(root: u32, most: usize) -> Vec<u32> {
    let mut found = Vec::new();
    let mut open = vec![root];
    while let Some(process) = open.pop() {
        for child in children(process) {
            if found.len() > most {
                return found;
            }
            found.push(child);
            open.push(child);
        }
    }
    found
}

fn children(process: u32) -> Vec<u32> {
    let tasks = PathBuf::from(format!("/proc/{process}/task"));
    let threads = files::list(&tasks).unwrap_or_default();
    let of_thread = |thread: String| files::read_text(&tasks.join(thread).join("children"), TEXT).unwrap_or_default();
    let numbers = |text: String| text.split_whitespace().filter_map(|word| word.parse().ok()).collect::<Vec<_>>();
    threads.into_iter().map(of_thread).flat_map(numbers).collect()
}

/// Returns the memory of a process that is not backed by files: what it has written, and what is swapped out.
fn resident(process: u32) -> Option<u64> {
    let text = files::read_text(Path::new(&format!("/proc/{process}/status")), TEXT).ok()?;
    Some(sum_of(&text, &["RssAnon:", "RssShmem:", "VmSwap:"]))
}

/// Returns the memory of a process, in which each page counts as a share of one among its users.
fn proportional(process: u32) -> Option<u64> {
    let text = files::read_text(Path::new(&format!("/proc/{process}/smaps_rollup")), TEXT).ok()?;
    Some(sum_of(&text, &["Pss_Anon:", "Pss_Shmem:", "SwapPss:"]))
}

/// Adds up the lines of these names, such as `RssAnon:   120 kB`.
fn sum_of(text: &str, names: &[&str]) -> u64 {
    let kilobytes = |line: &str| {
        let mut words = line.split_whitespace();
        let name = words.next()?;
        names.contains(&name).then(|| words.next()?.parse::<u64>().ok()).flatten()
    };
    text.lines().filter_map(kilobytes).sum::<u64>() * 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_summed() {
        let text = "Name:\tx\nRssAnon:\t  100 kB\nRssFile:\t 7 kB\nRssShmem:\t 20 kB\nVmSwap: 3 kB\n";
        assert_eq!(sum_of(text, &["RssAnon:", "RssShmem:", "VmSwap:"]), 123 * 1024);
        let own = std::process::id();
        assert!(resident(own).unwrap() > 0 && proportional(own).unwrap() > 0);
    }
}
