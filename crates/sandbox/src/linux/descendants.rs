//! Kills the children of the calling process. Async-signal-safe.

use std::ffi::CStr;

/// Kills all children of the calling process.
pub(crate) fn kill_children() {
    // SAFETY: the call takes no arguments and changes nothing.
    let own = unsafe { libc::getpid() };
    // SAFETY: the call reads a NUL-terminated constant.
    let folder = unsafe { libc::open(c"/proc".as_ptr(), libc::O_RDONLY | libc::O_DIRECTORY | libc::O_CLOEXEC) };
    let mut entries = [0u8; 8192];
    loop {
        // SAFETY: the call fills a buffer that outlives it, of the given size.
        let length = unsafe { libc::syscall(libc::SYS_getdents64, folder, entries.as_mut_ptr(), entries.len()) };
        let Some(mut rest) = usize::try_from(length).ok().and_then(|length| entries.get(..length)) else { break };
        if rest.is_empty() {
            break;
        }
        // An entry has two numbers of 8 bytes, its length in 2 bytes, a type, and a name that ends with NUL.
        while let Some(&[low, high]) = rest.get(16..18) {
            let length = usize::from(u16::from_ne_bytes([low, high]));
            let (Some(name), Some(next)) = (rest.get(19..length), rest.get(length..)) else { break };
            if let Some(process) = CStr::from_bytes_until_nul(name).ok().and_then(number)
                && parent(folder, process) == Some(own)
            {
                // SAFETY: the call takes only numbers. A child keeps its number until this process reaps it.
                unsafe { libc::kill(process, libc::SIGKILL) };
            }
            rest = next;
        }
    }
    // SAFETY: the descriptor was opened here.
    unsafe { libc::close(folder) };
}

/// Returns the parent of a process.
fn parent(proc_folder: libc::c_int, process: libc::pid_t) -> Option<libc::pid_t> {
    let mut name = [0u8; 24];
    let mut at = name.len() - c"/stat".to_bytes_with_nul().len();
    name.get_mut(at..)?.copy_from_slice(c"/stat".to_bytes_with_nul());
    let mut rest = process;
    while rest > 0 {
        at -= 1;
        *name.get_mut(at)? = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    let path = name.get(at..)?;
    let mut text = [0u8; 512];
    // SAFETY: the calls read a NUL-terminated name and fill a buffer of the given size, and both outlive them.
    let length = unsafe {
        let file = libc::openat(proc_folder, path.as_ptr().cast(), libc::O_RDONLY | libc::O_CLOEXEC);
        let length = libc::read(file, text.as_mut_ptr().cast(), text.len());
        libc::close(file);
        length
    };
    parse_parent(text.get(..usize::try_from(length).ok()?)?)
}

/// Returns the parent from the text of `/proc/N/stat`: the number of the process, its name in parentheses (which can
/// contain parentheses), its state, and its parent.
fn parse_parent(text: &[u8]) -> Option<libc::pid_t> {
    let after = text.iter().rposition(|byte| *byte == b')')?;
    let digits = text.get(after + 4..)?.split(|byte| *byte == b' ').next()?;
    digits.iter().try_fold(0, |number: i32, digit| append(number, *digit))
}

fn number(name: &CStr) -> Option<libc::pid_t> {
    let digits = name.to_bytes();
    if digits.is_empty() { None } else { digits.iter().try_fold(0, |number: i32, digit| append(number, *digit)) }
}

fn append(number: i32, digit: u8) -> Option<i32> {
    digit.is_ascii_digit().then(|| number.checked_mul(10)?.checked_add(i32::from(digit - b'0'))).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parents_are_found() {
        assert_eq!(parse_parent(b"12 (a) b) S 77 12 12"), Some(77));
        assert_eq!(parse_parent(b"12"), None);
        assert_eq!((number(c"120"), number(c"self"), number(c"")), (Some(120), None, None));
        // SAFETY: both calls take no arguments, or read a NUL-terminated constant.
        unsafe {
            let folder = libc::open(c"/proc".as_ptr(), libc::O_RDONLY);
            assert_eq!(parent(folder, libc::getpid()), Some(libc::getppid()));
            libc::close(folder);
        }
    }
}
