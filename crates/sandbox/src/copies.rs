//! Gives back the memory that a forked process shares with the process that forked it. Async-signal-safe.
//!
//! The supervisor lives as long as the program. Without this, every page that the caller changes in this time would be
//! kept twice.

/// Number of bytes of one line of `/proc/self/maps` that are looked at; the interesting part is shorter.
const LINE: usize = 256;

/// Gives back all private memory without a file, but for the stack and the variables of the calling thread.
pub(crate) fn give_back() {
    let on_stack = 0u8;
    // SAFETY: the call returns the address of a variable of this thread.
    let kept = [&raw const on_stack as usize, unsafe { libc::__errno_location() } as usize];
    // SAFETY: the call reads a NUL-terminated constant.
    let file = unsafe { libc::open(c"/proc/self/maps".as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC) };
    let (mut line, mut length) = ([0u8; LINE], 0);
    let mut buffer = [0u8; 4096];
    loop {
        // SAFETY: the call fills a buffer that outlives it, of the given size.
        let read = unsafe { libc::read(file, buffer.as_mut_ptr().cast(), buffer.len()) };
        let Some(bytes) = usize::try_from(read).ok().and_then(|read| buffer.get(..read)) else { break };
        if bytes.is_empty() {
            break;
        }
        for byte in bytes {
            if *byte != b'\n' {
                if let Some(place) = line.get_mut(length) {
                    *place = *byte;
                    length += 1;
                }
                continue;
            }
            if let Some((start, end)) = line.get(..length).and_then(private)
                && !kept.iter().any(|address| (start..end).contains(address))
            {
                // SAFETY: the range is memory of this process alone, and nothing in it is used any more: the
                // supervisor needs only its stack, the variables of its thread, and its code.
                unsafe { libc::madvise(start as *mut libc::c_void, end - start, libc::MADV_DONTNEED) };
            }
            length = 0;
        }
    }
    // SAFETY: the descriptor was opened here.
    unsafe { libc::close(file) };
}

/// Returns the addresses of a line about writable private memory without a file, such as
/// `7f00-7f80 rw-p 00000000 00:00 0`.
fn private(line: &[u8]) -> Option<(usize, usize)> {
    let mut words = line.split(|byte| *byte == b' ').filter(|word| !word.is_empty());
    let (range, modes) = (words.next()?, words.next()?);
    let (_offset, _device, inode) = (words.next()?, words.next()?, words.next()?);
    let is_anonymous = inode == b"0" && matches!(words.next(), None | Some(b"[heap]"));
    if modes != b"rw-p" || !is_anonymous {
        return None;
    }
    let mut ends = range.split(|byte| *byte == b'-').map(hexadecimal);
    Some((ends.next()??, ends.next()??))
}

fn hexadecimal(digits: &[u8]) -> Option<usize> {
    digits.iter().try_fold(0usize, |number, digit| {
        let digit = char::from(*digit).to_digit(16)?;
        number.checked_mul(16)?.checked_add(digit as usize)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_private_memory_without_a_file_is_given_back() {
        assert_eq!(private(b"7f00-7f80 rw-p 00000000 00:00 0"), Some((0x7f00, 0x7f80)));
        assert_eq!(private(b"7f00-7f80 rw-p 00000000 00:00 0       [heap]"), Some((0x7f00, 0x7f80)));
        for line in [
            &b"7f00-7f80 rw-p 00000000 00:00 0 [stack]"[..],
            b"7f00-7f80 r--p 00000000 00:00 0",
            b"7f00-7f80 rw-s 00000000 00:01 7 /dev/zero (deleted)",
            b"7f00-7f80 rw-p 00001000 08:01 99 /usr/lib/libc.so.6",
            b"",
        ] {
            assert_eq!(private(line), None);
        }
    }
}
