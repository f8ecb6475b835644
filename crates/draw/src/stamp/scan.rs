//! Search for the text of stamps in a stream of bytes, in all the encodings that programs use.

use super::text::{PREFIX, ROOT, Stamp, TEXT_LIMIT};

/// Number of digits of a hash.
const DIGITS: usize = 64;

/// Recognises stamps in characters that come one by one.
#[derive(Default)]
struct Matcher {
    /// Number of characters of [`PREFIX`] that the last characters match. The first character of [`PREFIX`] occurs only
    /// once in it, so that the matcher never has to go back after a mismatch.
    prefix: usize,
    /// The characters of a stamp that has begun.
    text: Vec<u8>,
}

impl Matcher {
    fn push(&mut self, byte: u8) -> Option<Stamp> {
        let pattern = PREFIX.as_bytes();
        // In UTF-16, these are the characters of ASCII with zeros between them.
        if byte == 0 {
            return None;
        }
        self.prefix = if byte == pattern[self.prefix] { self.prefix + 1 } else { usize::from(byte == pattern[0]) };
        if self.prefix == pattern.len() {
            *self = Self { prefix: 0, text: pattern.to_vec() };
            return None;
        }
        if self.text.is_empty() {
            return None;
        }
        self.text.push(byte);
        let hashes = self.text.len().saturating_sub(DIGITS);
        let whole = self.text[..hashes].ends_with(ROOT.as_bytes());
        if !whole && self.text.len() < TEXT_LIMIT && (byte == b' ' || byte.is_ascii_graphic()) {
            return None;
        }
        let text = std::mem::take(&mut self.text);
        std::str::from_utf8(&text).ok()?.parse().ok()
    }
}

/// An encoding, with the state of its decoder.
enum Reading {
    /// Bytes as they are, including UTF-16, which the matcher handles.
    Plain,
    /// `\` and three octal digits, as in strings of PDF; the number of digits so far, and their value.
    Octal(Option<(u32, u8)>),
    /// Two hexadecimal digits, with or without space between them, as in strings of PDF and pictures of RTF; the first digit.
    Hexadecimal(Option<u8>),
    /// `%` and two hexadecimal digits, as in addresses; the digits so far.
    Percent(Option<Option<u8>>),
    /// Base64 after `base64,`, as in addresses; the number of matched characters of `base64,`, then bits and their number.
    Base64(usize, Option<(u32, u32)>),
}

const BASE64: &[u8] = b"base64,";
/// The replacement of bytes that cannot be decoded; no stamp contains it.
const BREAK: u8 = b'\n';

fn hexadecimal(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|value| value as u8)
}

fn sextet(digit: u8) -> Option<u32> {
    let value = match digit {
        b'A'..=b'Z' => digit - b'A',
        b'a'..=b'z' => digit - b'a' + 26,
        b'0'..=b'9' => digit - b'0' + 52,
        b'+' | b'-' => 62,
        b'/' | b'_' => 63,
        _ => return None,
    };
    Some(value.into())
}

impl Reading {
    /// Takes another byte and returns the decoded byte that it completes, if any.
    fn next(&mut self, byte: u8) -> Option<u8> {
        match self {
            Self::Plain => Some(byte),
            Self::Octal(state) => match (*state, byte) {
                (None, b'\\') => {
                    *state = Some((0, 0));
                    None
                }
                (Some((count, value)), b'0'..=b'7') => {
                    let value = value << 3 | (byte - b'0');
                    *state = (count < 2).then_some((count + 1, value));
                    state.is_none().then_some(value)
                }
                // An escaped line break continues the string.
                (Some((0, _)), b'\r' | b'\n') => {
                    *state = None;
                    None
                }
                _ => {
                    *state = None;
                    Some(byte)
                }
            },
            Self::Hexadecimal(first) => match (hexadecimal(byte), first.take()) {
                (Some(high), None) => {
                    *first = Some(high);
                    None
                }
                (Some(low), Some(high)) => Some(high << 4 | low),
                (None, held) if byte.is_ascii_whitespace() => {
                    *first = held;
                    None
                }
                (None, _) => Some(BREAK),
            },
            Self::Percent(digits) => match (digits.take(), hexadecimal(byte)) {
                (None, _) if byte == b'%' => {
                    *digits = Some(None);
                    None
                }
                (None, _) => Some(byte),
                (Some(None), Some(high)) => {
                    *digits = Some(Some(high));
                    None
                }
                (Some(Some(high)), Some(low)) => Some(high << 4 | low),
                (Some(_), None) => Some(BREAK),
            },
            Self::Base64(begun, None) => {
                *begun = if byte == BASE64[*begun] { *begun + 1 } else { usize::from(byte == BASE64[0]) };
                if *begun == BASE64.len() {
                    *self = Self::Base64(0, Some((0, 0)));
                    return Some(BREAK);
                }
                None
            }
            Self::Base64(_, state @ Some(_)) => {
                let (bits, count) = state.unwrap_or_default();
                let Some(value) = sextet(byte) else {
                    *state = byte.is_ascii_whitespace().then_some((bits, count));
                    return None;
                };
                let (bits, count) = ((bits << 6 | value) & 0xffff, count + 6);
                let whole = count >= 8;
                *state = Some((bits, if whole { count - 8 } else { count }));
                whole.then(|| (bits >> (count - 8)) as u8)
            }
        }
    }
}

/// Reads a stream in all encodings at once, in constant memory.
pub struct Scanner([(Reading, Matcher); 5]);

impl Scanner {
    pub fn new() -> Self {
        let readings = [
            Reading::Plain,
            Reading::Octal(None),
            Reading::Hexadecimal(None),
            Reading::Percent(None),
            Reading::Base64(0, None),
        ];
        Self(readings.map(|reading| (reading, Matcher::default())))
    }

    /// Reads more bytes. `found` gets each stamp and the place in these bytes where it ends, in no particular order.
    pub fn read(&mut self, bytes: &[u8], mut found: impl FnMut(Stamp, usize)) {
        for (reading, matcher) in &mut self.0 {
            for (place, &byte) in bytes.iter().enumerate() {
                if let Some(stamp) = reading.next(byte).and_then(|byte| matcher.push(byte)) {
                    found(stamp, place);
                }
            }
        }
    }
}
