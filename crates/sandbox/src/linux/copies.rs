//! Gives back the memory that a forked process shares with the process that forked it. Async-signal-safe.
//!
//! The supervisor lives as long as the program. Without this, every page that the caller changes in this time would be
//! kept twice.

/// Number of bytes of one line of `/proc/self/maps` that are looked at; the interesting part is shorter.
const LINE: usize = 256;

/// Number of bytes that are kept on each side of an address. The system joins neighbouring memory, so the stack of a
/// thread can be a small part of one range.
const AROUND: usize = 1 << 20;

/// Gives back all private memory without a file, but for the stack and the variables of the calling thread.
pub(crate) fn give_back() {
    let on_stack = 0u8;
    // SAFETY: the call returns the address of a variable of this thread.
    let (stack, variable) = (&raw const on_stack as usize, unsafe { libc::__errno_location() } as usize);
    let kept = [stack.min(variable), stack.max(variable)];
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
            if let Some(range) = line.get(..length).and_then(private) {
                for (start, end) in without(range, kept) {
                    // SAFETY: the range is memory of this process alone, and nothing in it is used any more: the
                    // supervisor needs only the end of its stack, the variables of its thread, and its code.
                    unsafe { libc::madvise(start as *mut libc::c_void, end - start, libc::MADV_DONTNEED) };
                }
            }
            length = 0;
        }
    }
    // SAFETY: the descriptor was opened here.
    unsafe { libc::close(file) };
}

/// Returns what is left of a range without the surroundings of two addresses, the lower one first.
fn without((start, end): (usize, usize), [low, high]: [usize; 2]) -> impl Iterator<Item = (usize, usize)> {
    const PAGES: usize = !0xffff;
    let before = |address: usize| address.saturating_sub(AROUND) & PAGES;
    let after = |address: usize| (address & PAGES).saturating_add(AROUND);
    let pieces = [(start, end.min(before(low))), (start.max(after(low)), end.min(before(high)))];
    let pieces = pieces.into_iter().chain([(start.max(after(high)), end)]);
    pieces.filter(|(start, end)| start < end)
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
    fn surroundings_are_kept() {
        let left = |range, kept| without(range, kept).collect::<Vec<_>>();
        let (mib, far) = (1 << 20, 1 << 40);
        assert_eq!(left((mib, 9 * mib), [far, far]), [(mib, 9 * mib)]);
        assert_eq!(left((mib, 9 * mib), [4 * mib, far]), [(mib, 3 * mib), (5 * mib, 9 * mib)]);
        assert_eq!(left((mib, 9 * mib), [0, 8 * mib + 5]), [(mib, 7 * mib)]);
        assert_eq!(left((mib, 9 * mib), [2 * mib, 6 * mib]), [(3 * mib, 5 * mib), (7 * mib, 9 * mib)]);
        assert_eq!(left((mib, 9 * mib), [5 * mib, 5 * mib]), [(mib, 4 * mib), (6 * mib, 9 * mib)]);
        assert_eq!(left((mib, 2 * mib), [mib, mib + 5]), []);
    }

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
