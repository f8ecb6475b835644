//! How memory is kept between steps.

/// Bytes from which on a piece of memory is taken from the system by itself: the most that glibc takes.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const APART: i32 = 32 << 20;

/// Bytes that are taken from the system at once.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const AT_ONCE: i32 = 64 << 20;

/// Has the process keep memory that was freed. libtorch frees the activations of every step, and takes them again in the
/// next; by default glibc gives those of threads back to the system each time, and what the system then clears again took
/// 4 to 12 % of a step (docs/performance.md). Threads keep theirs apart: with one place for all they wait for its lock, which
/// took a fifth of a step of two tiny networks side by side. To be called before the first thread starts; elsewhere nothing
/// is done.
pub fn keep_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    for (setting, value) in
        [(libc::M_TRIM_THRESHOLD, i32::MAX), (libc::M_MMAP_THRESHOLD, APART), (libc::M_TOP_PAD, AT_ONCE)]
    {
        // SAFETY: plain values. A setting that is refused leaves what is usual.
        unsafe { libc::mallopt(setting, value) };
    }
}
