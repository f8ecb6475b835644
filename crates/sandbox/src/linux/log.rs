//! The log of a program: its beginning and its end, if it is long.

use std::collections::VecDeque;

/// What a program wrote, without the middle if it is longer than allowed.
#[derive(Debug)]
pub(crate) struct Log {
    head: Vec<u8>,
    tail: VecDeque<u8>,
    /// Number of bytes kept of each end.
    half: usize,
    left_out: u64,
}

impl Log {
    pub fn new(limit: u64) -> Self {
        let half = usize::try_from(limit / 2).unwrap_or(usize::MAX);
        Self { head: Vec::new(), tail: VecDeque::new(), half, left_out: 0 }
    }

    pub fn append(&mut self, bytes: &[u8]) {
        let (head, rest) = bytes.split_at(bytes.len().min(self.half - self.head.len()));
        self.head.extend_from_slice(head);
        // Only the end of a long piece can stay.
        let (skipped, rest) = rest.split_at(rest.len().saturating_sub(self.half));
        let surplus = (self.tail.len() + rest.len()).saturating_sub(self.half);
        self.tail.drain(..surplus);
        self.tail.extend(rest);
        self.left_out += (skipped.len() + surplus) as u64;
    }

    pub fn into_bytes(self) -> Vec<u8> {
        let mut bytes = self.head;
        if self.left_out > 0 {
            bytes.extend(format!("\n[… {} bytes left out …]\n", self.left_out).into_bytes());
        }
        bytes.extend(self.tail);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_log_keeps_both_ends() {
        for piece in [1, 3, 7, 1000] {
            let text: Vec<u8> = (0..1000).map(|at| b'a' + (at % 26) as u8).collect();
            let mut log = Log::new(20);
            text.chunks(piece).for_each(|piece| log.append(piece));
            let bytes = log.into_bytes();
            assert!(bytes.starts_with(&text[..10]) && bytes.ends_with(&text[990..]));
            assert!(String::from_utf8_lossy(&bytes).contains("980 bytes left out"));
        }
        let mut log = Log::new(20);
        log.append(b"short text\n");
        log.append(b"more");
        assert_eq!(log.into_bytes(), b"short text\nmore");
    }
}
