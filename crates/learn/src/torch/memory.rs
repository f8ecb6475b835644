//! Memory that the process keeps between steps.

/// Size in bytes from which a piece of memory is allocated from the system separately: the largest value that glibc accepts.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const APART: i32 = 32 << 20;

/// Number of bytes that are allocated from the system at once.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const AT_ONCE: i32 = 64 << 20;

/// Makes the process keep memory that was freed. libtorch frees the activations of every step and allocates them again in the
/// next. By default, glibc returns the memory of threads to the system each time, and clearing it again took 4 to 12 % of a
/// step (docs/performance.md). Each thread keeps its own memory: with common memory, threads waited for its lock, which took a
/// fifth of a step of two tiny networks side by side. Call this function before the first thread starts. It does nothing on
/// systems without glibc.
pub fn keep_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    for (setting, value) in
        [(libc::M_TRIM_THRESHOLD, i32::MAX), (libc::M_MMAP_THRESHOLD, APART), (libc::M_TOP_PAD, AT_ONCE)]
    {
        // SAFETY: plain values. If a setting is refused, the default remains.
        unsafe { libc::mallopt(setting, value) };
    }
}
