//! Pins: objects and records that garbage collection must keep. A pin is a small immutable text file in `pins/`:
//!
//! ```text
//! wdpipe pin, version 1
//! made 1795418100
//! who ann@lab
//! reason for the rebuttal
//! key <64 digits>        (any number, ascending: what their records read and yielded is kept)
//! object <64 digits>     (any number, ascending)
//! ```

use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;
use std::str::FromStr;

use super::{Store, StoreError};
use base::digest::{ObjectDigest, StageKey};

/// Start of the first line, before the version number.
const HEADER: &str = "wdpipe pin, version ";
const VERSION: u32 = 1;

/// Maximum number of bytes of a pin: enough for some 200,000 keys.
const PIN_LIMIT: u64 = 16 << 20;

/// Maximum number of characters of a reason or a user's name.
const LINE_LIMIT: usize = 500;

/// Name of a pin: 1 to 64 of the characters `A`–`Z`, `a`–`z`, `0`–`9`, `.`, `_`, `@` and `-`, not starting with a
/// dot; so it is safe as a file name and on a terminal.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PinName(String);

/// The text is not a valid pin name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a valid pin name: use 1 to 64 letters, digits and . _ @ -, not starting with a dot")]
pub struct NotAPinName(String);

impl PinName {
    /// Returns a valid name similar to a text: other characters become `-`.
    pub fn like(text: &str) -> Self {
        let mut name: String = text.chars().map(|c| if is_allowed(c) { c } else { '-' }).take(64).collect();
        if name.is_empty() || name.starts_with('.') {
            name.insert(0, '-');
            name.truncate(64);
        }
        Self(name)
    }

    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_allowed(c: char) -> bool {
    c.is_ascii_alphanumeric() || "._@-".contains(c)
}

impl fmt::Display for PinName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for PinName {
    type Err = NotAPinName;

    fn from_str(text: &str) -> Result<Self, NotAPinName> {
        if (1..=64).contains(&text.len()) && text.chars().all(is_allowed) && !text.starts_with('.') {
            Ok(Self(text.to_owned()))
        } else {
            Err(NotAPinName(text.chars().take(80).flat_map(char::escape_debug).collect()))
        }
    }
}

/// A pin: what must be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    /// Name of the pin.
    pub name: PinName,
    /// Time of creation, in seconds since 1970 (UTC).
    pub made: u64,
    /// Creator, as `user@host`.
    pub who: String,
    /// Reason; can be empty.
    pub reason: String,
    /// Keys whose records are kept, with everything that these read and yielded.
    pub keys: BTreeSet<StageKey>,
    /// Objects that are kept.
    pub objects: BTreeSet<ObjectDigest>,
}

impl Pin {
    fn to_text(&self) -> String {
        let Self { name: _, made, who, reason, keys, objects } = self;
        let mut text = format!("{HEADER}{VERSION}\nmade {made}\nwho {}\nreason {}\n", line(who), line(reason));
        keys.iter().for_each(|key| text += &format!("key {key}\n"));
        objects.iter().for_each(|object| text += &format!("object {object}\n"));
        text
    }

    /// Parses the text of a pin's file; returns what is wrong with it otherwise.
    fn from_text(name: PinName, text: &str) -> Result<Self, String> {
        let damage =
            format!("it is not a pin or was altered: remove it with `wdpipe cache unpin {name}` and pin again");
        let damaged = || damage.clone();
        let mut lines = text.lines();
        let version = lines.next().and_then(|line| line.strip_prefix(HEADER)?.parse::<u32>().ok());
        match version.ok_or_else(damaged)? {
            VERSION => {}
            found => {
                return Err(format!(
                    "it has format version {found}, but this wdpipe reads {VERSION}: use a newer wdpipe"
                ));
            }
        }
        let mut field = |name: &str| lines.next()?.strip_prefix(name)?.strip_prefix(' ').map(str::to_owned);
        let (made, who, reason) = (field("made"), field("who"), field("reason"));
        let made = made.and_then(|made| made.parse().ok()).ok_or_else(damaged)?;
        let (who, reason) = who.zip(reason).ok_or_else(damaged)?;
        let mut pin = Self { name, made, who, reason, keys: BTreeSet::new(), objects: BTreeSet::new() };
        for line in lines {
            match line.split_once(' ') {
                Some(("key", key)) => pin.keys.insert(key.parse().map_err(|_| damaged())?),
                Some(("object", object)) => pin.objects.insert(object.parse().map_err(|_| damaged())?),
                _ => return Err(damaged()),
            };
        }
        // A pin has exactly one text: a different order or a repeated line means that it was edited by hand.
        if pin.to_text() == text { Ok(pin) } else { Err(damaged()) }
    }
}

/// Turns a text into one line of bounded length.
fn line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(LINE_LIMIT).collect()
}

impl Store {
    /// Creates a pin.
    ///
    /// # Errors
    /// If a different pin has this name, or the pin is too large or cannot be written.
    pub fn pin(&self, pin: &Pin) -> Result<(), StoreError> {
        let (text, path, folder) = (pin.to_text(), self.layout.pin(&pin.name), self.layout.pins());
        if text.len() as u64 > PIN_LIMIT {
            let reason = format!("its {} keys and its objects do not fit in a pin", pin.keys.len());
            return Err(StoreError::Pin { path, reason });
        }
        let first = files::identity(&folder)?.is_none();
        if files::publish(&self.drafts()?, &path, &[text.as_bytes()])?.is_none() {
            let there = self.read_pin(&pin.name, &path)?;
            if there.is_none_or(|there| (there.keys, there.objects) != (pin.keys.clone(), pin.objects.clone())) {
                let reason = "a pin of this name keeps something else: choose another name".to_owned();
                return Err(StoreError::Pin { path, reason });
            }
        }
        files::sync_folder(&folder)?;
        if first {
            files::sync_folder(self.root())?;
        }
        Ok(())
    }

    /// Removes a pin; returns whether it existed.
    ///
    /// # Errors
    /// If it cannot be removed.
    pub fn unpin(&self, name: &PinName) -> Result<bool, StoreError> {
        Ok(files::remove(&self.layout.pin(name))?)
    }

    /// Returns all pins, in the order of their names.
    ///
    /// # Errors
    /// If a pin cannot be read: then it is unknown what it keeps, so nothing must be removed.
    pub fn pins(&self) -> Result<Vec<Pin>, StoreError> {
        let mut pins = Vec::new();
        for name in files::list(&self.layout.pins())?.iter().filter_map(|name| name.parse().ok()) {
            // A pin that was removed in the meantime keeps nothing.
            pins.extend(self.read_pin(&name, &self.layout.pin(&name))?);
        }
        Ok(pins)
    }

    fn read_pin(&self, name: &PinName, path: &Path) -> Result<Option<Pin>, StoreError> {
        let wrong = |reason| StoreError::Pin { path: path.to_owned(), reason };
        match files::read_text(path, PIN_LIMIT) {
            Ok(text) => Pin::from_text(name.clone(), &text).map(Some).map_err(wrong),
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Pin {
        Pin {
            name: "fig3@smoke".parse().unwrap(),
            made: 1_795_418_100,
            who: "ann@lab".into(),
            reason: String::new(),
            keys: [StageKey::from_bytes([7; 32]), StageKey::from_bytes([1; 32])].into(),
            objects: [ObjectDigest::of(b"x")].into(),
        }
    }

    #[test]
    fn a_pin_is_one_text_and_nothing_else_is_read() {
        let pin = sample();
        let text = pin.to_text();
        assert_eq!(Pin::from_text(pin.name.clone(), &text), Ok(pin.clone()));
        assert!(text.find(&format!("key {}", "01".repeat(32))) < text.find(&format!("key {}", "07".repeat(32))));
        let newer = text.replace("version 1", "version 2");
        let said = Pin::from_text(pin.name.clone(), &newer).unwrap_err();
        assert!(said.contains("format version 2") && said.contains("use a newer wdpipe"), "{said}");
        let swapped = text.replace(&"01".repeat(32), &"08".repeat(32));
        for bad in ["", "x", &text[..text.len() - 1], &text[..100], &swapped, &format!("{text}more\n"), &text.repeat(2)]
        {
            assert!(Pin::from_text(pin.name.clone(), bad).unwrap_err().contains("unpin"), "{bad}");
        }
        let odd = Pin { reason: format!("two\nlines\u{1b}{}", "x".repeat(1000)), ..pin.clone() };
        let read = Pin::from_text(pin.name, &odd.to_text()).unwrap();
        assert!(read.reason.starts_with("two lines x") && read.reason.len() == LINE_LIMIT);
    }

    proptest::proptest! {
        #[test]
        fn no_text_ends_the_program(text in "\\PC*", at in 0..400_usize, with in "[a-z0-9 \n]{0,3}") {
            let whole = sample().to_text();
            let cut: String = whole.chars().take(at).chain(with.chars()).chain(whole.chars().skip(at + 1)).collect();
            for text in [text, cut] {
                if let Ok(pin) = Pin::from_text(sample().name, &text) {
                    proptest::prop_assert_eq!(pin.to_text(), text);
                }
            }
        }
    }

    #[test]
    fn names_are_no_paths() {
        for name in ["a", "fig3@smoke", "Ann_2-x.y"] {
            assert_eq!(name.parse::<PinName>().unwrap().as_str(), name);
        }
        for name in ["", ".", "..", ".x", "a/b", "a b", "é", "a\n", &"n".repeat(65)] {
            assert!(name.parse::<PinName>().is_err(), "{name:?}");
            assert!(PinName::like(name).as_str().parse::<PinName>().is_ok(), "{name:?}");
        }
        assert_eq!(PinName::like("fig3/trunk[lr=0.1]@3").as_str(), "fig3-trunk-lr-0.1-@3");
    }
}
