//! A project's file of the keys that it trusts.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::Spanned;

use super::edit;
use super::key::PublicKey;
use super::name::KeyName;
use files::FsError;

/// No file of trusted keys has more bytes.
const FILE_LIMIT: u64 = 1 << 20;

/// Why a file of trusted keys cannot be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// The file system refused.
    #[error(transparent)]
    Fs(#[from] FsError),
    /// Something in the file is wrong.
    #[error("{}:{line}: {message}", file.display())]
    Wrong {
        /// The file.
        file: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What, and what to do.
        message: String,
    },
    /// The change that was asked for makes no sense.
    #[error("{}: {message}", file.display())]
    Refused {
        /// The file.
        file: PathBuf,
        /// Why.
        message: String,
    },
}

/// Which records are good enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Accept {
    /// All.
    Any,
    /// Those that a trusted key signed.
    Signed,
}

impl Accept {
    /// As it stands in the file.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Any => "any",
            Self::Signed => "signed",
        }
    }
}

/// What a project asks of records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Policy {
    /// Which records of the store are used: `use`; any, if it is not said.
    #[serde(rename = "use")]
    pub using: Accept,
    /// Which records may come in from archives and remotes: `import`; signed ones, if it is not said.
    pub import: Accept,
}

impl Default for Policy {
    fn default() -> Self {
        Self { using: Accept::Any, import: Accept::Signed }
    }
}

/// A key that a project trusts, or did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedKey {
    /// What the project calls it.
    pub name: KeyName,
    /// The key.
    pub public: PublicKey,
    /// Why it is trusted no more; then no signature of it counts, however old: nobody can tell when it was made.
    pub revoked: Option<String>,
}

/// What a project thinks of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing<'a> {
    /// Its signatures count.
    Trusted(&'a KeyName),
    /// They do not any more, for a reason.
    Revoked(&'a KeyName, &'a str),
    /// The project does not know it: its signatures do not count.
    Unknown,
}

/// Whom a project trusts, and for what. Without a file: nobody, and the default policy.
///
/// The file is TOML:
///
/// ```toml
/// [policy]
/// use = "any"        # or "signed": which records of the store are used
/// import = "signed"  # or "any": which records may come in from elsewhere
///
/// [[key]]
/// name = "ann"
/// public = "ed25519:d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
/// revoked = "laptop stolen in May"   # only if it is
/// ```
///
/// Any part may be missing. Names and keys stand there once; who changes keys gets another name for the new one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trust {
    /// What is asked of records.
    pub policy: Policy,
    /// In the file's order; no name and no key twice.
    keys: Vec<TrustedKey>,
}

impl Trust {
    /// Reads a file; one that is missing says nothing.
    ///
    /// # Errors
    /// If it cannot be read, is larger than 1 MiB, or something in it is wrong.
    pub fn load(file: &Path) -> Result<Self, TrustError> {
        Self::parse(file, &read(file)?)
    }

    /// Reads a file's text.
    ///
    /// # Errors
    /// If something in it is wrong, with the line.
    pub fn parse(file: &Path, text: &str) -> Result<Self, TrustError> {
        let line = |offset: usize| text.as_bytes().iter().take(offset).filter(|&&byte| byte == b'\n').count() + 1;
        let wrong = |offset, message| TrustError::Wrong { file: file.to_owned(), line: line(offset), message };
        let read: File = toml::from_str(text)
            .map_err(|error| wrong(error.span().map_or(0, |span| span.start), error.message().to_owned()))?;
        let mut trust = Self { policy: read.policy, keys: Vec::new() };
        let (mut names, mut keys) = (HashMap::new(), HashMap::new());
        for Entry { name, public, revoked } in read.key {
            let (name_at, public_at) = (name.span().start, public.span().start);
            let name: KeyName = name.get_ref().parse().map_err(|error| wrong(name_at, format!("{error}")))?;
            let key: PublicKey = public.get_ref().parse().map_err(|error| wrong(public_at, format!("{error}")))?;
            if let Some(first) = names.insert(name.clone(), name_at) {
                return Err(wrong(name_at, format!("the name `{name}` stands in line {} already", line(first))));
            }
            if let Some(first) = keys.insert(key, public_at) {
                return Err(wrong(public_at, format!("this key stands in line {} already", line(first))));
            }
            if let Some((reason, fault)) = revoked.as_ref().and_then(|r| Some((r, fault(r.get_ref())?))) {
                return Err(wrong(reason.span().start, fault.to_owned()));
            }
            trust.keys.push(TrustedKey { name, public: key, revoked: revoked.map(Spanned::into_inner) });
        }
        Ok(trust)
    }

    /// All keys, revoked ones too, in the file's order.
    pub fn keys(&self) -> &[TrustedKey] {
        &self.keys
    }

    /// What the project thinks of a key.
    pub fn standing(&self, key: &PublicKey) -> Standing<'_> {
        match self.keys.iter().find(|known| known.public == *key) {
            Some(TrustedKey { name, revoked: Some(reason), .. }) => Standing::Revoked(name, reason),
            Some(TrustedKey { name, revoked: None, .. }) => Standing::Trusted(name),
            None => Standing::Unknown,
        }
    }

    /// Whether one of those who signed something is trusted.
    pub fn vouches(&self, signers: &[PublicKey]) -> bool {
        signers.iter().any(|key| matches!(self.standing(key), Standing::Trusted(_)))
    }

    /// Adds a key to a file, or begins one; everything else in it stays as it is. Says whether it was not there yet.
    ///
    /// # Errors
    /// If the file cannot be read, is wrong or cannot be written, the name stands for another key, or the key is there
    /// under another name or revoked. Then the file is as before.
    pub fn add(file: &Path, name: &KeyName, public: &PublicKey) -> Result<bool, TrustError> {
        Self::change(file, |text| edit::add(file, text, name, public))
    }

    /// Revokes a key of a file; everything else in it stays as it is. Says whether it was not revoked yet.
    ///
    /// # Errors
    /// If the file cannot be read, is wrong or cannot be written, it has no such key, or the reason is empty, longer than
    /// 300 characters or not a line of text. Then the file is as before.
    pub fn revoke(file: &Path, name: &KeyName, reason: &str) -> Result<bool, TrustError> {
        Self::change(file, |text| edit::revoke(file, text, name, reason))
    }

    fn change(file: &Path, edit: impl FnOnce(&str) -> Result<Option<String>, TrustError>) -> Result<bool, TrustError> {
        match edit(&read(file)?)? {
            Some(text) => Ok(files::replace(file, text.as_bytes())?),
            None => Ok(false),
        }
    }

    pub(super) fn keys_mut(&mut self) -> &mut Vec<TrustedKey> {
        &mut self.keys
    }
}

fn read(file: &Path) -> Result<String, TrustError> {
    match files::read_text(file, FILE_LIMIT) {
        Ok(text) => Ok(text),
        Err(error) if error.is_missing() => Ok(String::new()),
        Err(error) => Err(error.into()),
    }
}

/// What is wrong with the text of a reason.
pub(super) fn fault(reason: &str) -> Option<&'static str> {
    if reason.trim().is_empty() {
        Some("say why the key is revoked")
    } else if reason.chars().count() > 300 || reason.chars().any(char::is_control) {
        // What is shown on a terminal must not command it.
        Some("a reason is one line of at most 300 characters")
    } else {
        None
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    policy: Policy,
    #[serde(default)]
    key: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: Spanned<String>,
    public: Spanned<String>,
    revoked: Option<Spanned<String>>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sign::SecretKey;

    fn parse(text: &str) -> Result<Trust, String> {
        Trust::parse(Path::new("trust.toml"), text).map_err(|error| error.to_string())
    }

    fn key(name: &str, public: &PublicKey, more: &str) -> String {
        format!("[[key]]\nname = \"{name}\"\npublic = \"{public}\"\n{more}\n")
    }

    #[test]
    fn what_is_not_said_is_the_default() {
        assert_eq!(parse(""), Ok(Trust::default()));
        assert_eq!(parse("[policy]\n").unwrap().policy, Policy { using: Accept::Any, import: Accept::Signed });
        let policy = parse("[policy]\nuse = \"signed\"\nimport = \"any\"").unwrap().policy;
        assert_eq!(policy, Policy { using: Accept::Signed, import: Accept::Any });
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Trust::load(&folder.path().join("trust.toml")).unwrap(), Trust::default());
        assert!(Trust::load(folder.path()).is_err(), "a folder is no missing file");
    }

    #[test]
    fn keys_have_a_standing() {
        let [ann, bob, eve] = [0; 3].map(|_| SecretKey::generate().unwrap().public());
        let trust = parse(&(key("ann", &ann, "") + &key("bob", &bob, "revoked = \"lost\""))).unwrap();
        assert!(matches!(trust.standing(&ann), Standing::Trusted(name) if name.as_str() == "ann"));
        assert!(matches!(trust.standing(&bob), Standing::Revoked(name, "lost") if name.as_str() == "bob"));
        assert_eq!(trust.standing(&eve), Standing::Unknown);
        assert!(trust.vouches(&[eve, ann]));
        assert!(!trust.vouches(&[eve, bob]) && !trust.vouches(&[]));
    }

    #[test]
    fn mistakes_are_shown_with_their_line() {
        let [ann, bob] = [0; 2].map(|_| SecretKey::generate().unwrap().public());
        let one = key("ann", &ann, "");
        let cases = [
            ("[policy]\nuse = \"sined\"".to_owned(), 2, "unknown variant `sined`"),
            ("\n[policy]\nuses = \"any\"".to_owned(), 3, "unknown field `uses`"),
            ("keys = []".to_owned(), 1, "unknown field `keys`"),
            ("[[key]]\nname = \"a\"".to_owned(), 1, "missing field `public`"),
            ("[[key]]\nname = \"a b\"\npublic = \"\"".to_owned(), 2, "cannot name a key"),
            ("[[key]]\nname = \"a\"\npublic = \"x\"".to_owned(), 3, "`x` is not a public key"),
            (format!("[[key]]\nname = \"a\"\npublic = \"ed25519:01{}\"", "0".repeat(62)), 3, "is weak"),
            (one.clone() + &key("ann", &bob, ""), 6, "the name `ann` stands in line 2 already"),
            (one.clone() + &key("bob", &ann, ""), 7, "this key stands in line 3 already"),
            (key("ann", &ann, "revoked = true"), 4, "invalid type: boolean"),
            (key("ann", &ann, "revoked = \"\""), 4, "say why"),
            (key("ann", &ann, "revoked = \"\\u001b[2J\""), 4, "one line"),
            (key("ann", &ann, "revokd = \"x\""), 4, "unknown field `revokd`"),
            ("a = [".to_owned(), 1, ""),
        ];
        for (text, line, message) in cases {
            let error = parse(&text).unwrap_err();
            assert!(error.starts_with(&format!("trust.toml:{line}: ")) && error.contains(message), "{text}\n{error}");
        }
    }
}
