//! A stamp and its text: one line of ASCII that survives in every format.

use std::fmt;
use std::str::FromStr;

use super::StampError;
use base::digest::{ClosureRoot, StageKey};

/// Start of every stamp: the kind of text and the version of its format.
pub const PREFIX: &str = "wdpipe-figure/1 ";
/// Text between the name and the key.
const KEY: &str = " key=";
/// Text between the key and the root.
pub const ROOT: &str = " root=";
/// Largest number of bytes of a name: that of file names on all systems.
const NAME_LIMIT: usize = 255;
/// Largest number of bytes of a written stamp, with every byte of the name escaped.
pub const TEXT_LIMIT: usize = PREFIX.len() + "name=".len() + 3 * NAME_LIMIT + KEY.len() + ROOT.len() + 2 * 64;

/// What a figure was made from. It is displayed as
///
/// ```text
/// wdpipe-figure/1 name=fig3 key=<64 digits> root=<64 digits>
/// ```
///
/// The name is encoded as UTF-8, and every byte other than `A-Z a-z 0-9 . _ -` is written as `%` followed by two upper-case
/// hexadecimal digits. So the text has no character that XML, PDF's strings or Latin-1 would write differently, and every
/// stamp has exactly one text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stamp {
    /// The figure's name: 1 to 255 bytes without control characters.
    pub figure: String,
    /// The key of the stage that draws it.
    pub key: StageKey,
    /// The root of the stage's closure: everything that it depends on ([`base::closure`]).
    pub root: ClosureRoot,
}

impl Stamp {
    /// Refuses a name that is not allowed in a stamp.
    pub(super) fn check(&self) -> Result<(), StampError> {
        let fits = (1..=NAME_LIMIT).contains(&self.figure.len()) && !self.figure.contains(char::is_control);
        if fits { Ok(()) } else { Err(StampError::Name(self.figure.chars().take(80).collect())) }
    }
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}name=")?;
        for byte in self.figure.bytes() {
            match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-' => write!(f, "{}", char::from(byte))?,
                other => write!(f, "%{other:02X}")?,
            }
        }
        write!(f, "{KEY}{}{ROOT}{}", self.key, self.root)
    }
}

impl FromStr for Stamp {
    type Err = StampError;

    /// Reads exactly the text that `Display` writes.
    fn from_str(text: &str) -> Result<Self, StampError> {
        parse(text).filter(|stamp| stamp.check().is_ok() && stamp.to_string() == text).ok_or(StampError::Text)
    }
}

fn parse(text: &str) -> Option<Stamp> {
    let (name, hashes) = text.strip_prefix(PREFIX)?.strip_prefix("name=")?.split_once(KEY)?;
    let (key, root) = hashes.split_once(ROOT)?;
    Some(Stamp { figure: unescaped(name)?, key: key.parse().ok()?, root: root.parse().ok()? })
}

fn unescaped(name: &str) -> Option<String> {
    let mut pieces = name.split('%');
    let mut bytes = pieces.next()?.as_bytes().to_vec();
    for piece in pieces {
        bytes.push(u8::from_str_radix(piece.get(..2)?, 16).ok()?);
        bytes.extend_from_slice(piece.get(2..)?.as_bytes());
    }
    String::from_utf8(bytes).ok()
}
