//! A project's file of trusted keys.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::Spanned;

use super::edit;
use super::key::PublicKey;
use super::name::KeyName;
use base::isolation::Isolation;
use files::FsError;

/// Maximum number of bytes of a file of trusted keys.
const FILE_LIMIT: u64 = 1 << 20;

/// Why a file of trusted keys cannot be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// The file system reported an error.
    #[error(transparent)]
    Fs(#[from] FsError),
    /// The file contains a mistake.
    #[error("{}:{line}: {message}", file.display())]
    Wrong {
        /// The file.
        file: PathBuf,
        /// Line number, from 1.
        line: usize,
        /// What is wrong, and what to do.
        message: String,
    },
    /// The requested change makes no sense.
    #[error("{}: {message}", file.display())]
    Refused {
        /// The file.
        file: PathBuf,
        /// Reason.
        message: String,
    },
}

/// Which records are accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Accept {
    /// All records.
    Any,
    /// Records signed by a trusted key.
    Signed,
}

impl Accept {
    /// Returns the name used in the file.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Any => "any",
            Self::Signed => "signed",
        }
    }
}

/// A project's requirements for records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Policy {
    /// Which records of the store are used, given by `use`. By default, any record is used.
    #[serde(rename = "use")]
    pub using: Accept,
    /// Which records can be imported from archives and remotes, given by `import`. By default, only signed ones can.
    pub import: Accept,
    /// The weakest isolation in which a command whose result is used may have run, given by `sandbox`. It counts only for
    /// signed records, since anybody can write another one.
    pub sandbox: Isolation,
}

impl Default for Policy {
    fn default() -> Self {
        Self { using: Accept::Any, import: Accept::Signed, sandbox: Isolation::None }
    }
}

/// A key that a project trusts or used to trust.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedKey {
    /// Name that the project gives it.
    pub name: KeyName,
    /// The key.
    pub public: PublicKey,
    /// Why the key is no longer trusted. None of the signatures of a revoked key count, however old, since nobody can tell
    /// when they were made.
    pub revoked: Option<String>,
}

/// A project's opinion of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing<'a> {
    /// The signatures of the key count.
    Trusted(&'a KeyName),
    /// The signatures of the key no longer count, for a reason.
    Revoked(&'a KeyName, &'a str),
    /// The project does not know the key: its signatures do not count.
    Unknown,
}

/// Which keys a project trusts, and for what. Without a file: no keys, and the default policy.
///
/// The file is TOML:
///
/// ```toml
/// [policy]
/// use = "any"        # or "signed": which records of the store are used
/// import = "signed"  # or "any": which records can be imported from elsewhere
/// sandbox = "none"   # or "landlock", "namespaces": the weakest sandbox of the commands whose results are used
///
/// [[key]]
/// name = "ann"
/// public = "ed25519:d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
/// revoked = "laptop stolen in May"   # only if revoked
/// ```
///
/// Every part is optional. Names and keys must be unique; a replaced key needs a new name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trust {
    /// Requirements for records.
    pub policy: Policy,
    /// Keys in the file's order; names and keys are unique.
    keys: Vec<TrustedKey>,
}

impl Trust {
    /// Reads a file; a missing file is treated as empty.
    ///
    /// # Errors
    /// If it cannot be read, is larger than 1 MiB, or contains a mistake.
    pub fn load(file: &Path) -> Result<Self, TrustError> {
        Self::parse(file, &read(file)?)
    }

    /// Parses the text of a file.
    ///
    /// # Errors
    /// If it contains a mistake; the error names the line.
    pub fn parse(file: &Path, text: &str) -> Result<Self, TrustError> {
        let line = |offset: usize| text.as_bytes().iter().take(offset).filter(|&&byte| byte == b'\n').count() + 1;
        let wrong = |offset, message| TrustError::Wrong { file: file.to_owned(), line: line(offset), message };
        let read: File = toml::from_str(text)
            .map_err(|error| wrong(error.span().map_or(0, |span| span.start), misplaced(error.message())))?;
        let read_at = read.policy.span().start;
        let mut trust = Self { policy: read.policy.into_inner(), keys: Vec::new() };
        if trust.policy.sandbox > Isolation::None && trust.policy.using == Accept::Any {
            let message = "`sandbox` needs `use = \"signed\"`: without a signature, a record can claim any sandbox";
            return Err(wrong(read_at, message.to_owned()));
        }
        let (mut names, mut keys) = (HashMap::new(), HashMap::new());
        for Entry { name, public, revoked } in read.key {
            let (name_at, public_at) = (name.span().start, public.span().start);
            let name: KeyName = name.get_ref().parse().map_err(|error| wrong(name_at, format!("{error}")))?;
            let key: PublicKey = public.get_ref().parse().map_err(|error| wrong(public_at, format!("{error}")))?;
            if let Some(first) = names.insert(name.clone(), name_at) {
                return Err(wrong(name_at, format!("the name `{name}` is already used in line {}", line(first))));
            }
            if let Some(first) = keys.insert(key, public_at) {
                return Err(wrong(public_at, format!("this key is already listed in line {}", line(first))));
            }
            if let Some((reason, fault)) = revoked.as_ref().and_then(|r| Some((r, fault(r.get_ref())?))) {
                return Err(wrong(reason.span().start, fault.to_owned()));
            }
            trust.keys.push(TrustedKey { name, public: key, revoked: revoked.map(Spanned::into_inner) });
        }
        Ok(trust)
    }

    /// Returns all keys in the file's order, including revoked ones.
    pub fn keys(&self) -> &[TrustedKey] {
        &self.keys
    }

    /// Returns the project's opinion of a key.
    pub fn standing(&self, key: &PublicKey) -> Standing<'_> {
        match self.keys.iter().find(|known| known.public == *key) {
            Some(TrustedKey { name, revoked: Some(reason), .. }) => Standing::Revoked(name, reason),
            Some(TrustedKey { name, revoked: None, .. }) => Standing::Trusted(name),
            None => Standing::Unknown,
        }
    }

    /// Whether at least one of the signers is trusted.
    pub fn vouches(&self, signers: &[PublicKey]) -> bool {
        signers.iter().any(|key| matches!(self.standing(key), Standing::Trusted(_)))
    }

    /// Adds a key to a file, or creates the file; everything else in it stays unchanged. Returns whether the key is
    /// new.
    ///
    /// # Errors
    /// If the file cannot be read or written or contains a mistake, the name belongs to another key, or the key has
    /// another name or is revoked. Then the file is unchanged.
    pub fn add(file: &Path, name: &KeyName, public: &PublicKey) -> Result<bool, TrustError> {
        Self::change(file, |text| edit::add(file, text, name, public))
    }

    /// Revokes a key of a file; everything else in it stays unchanged. Returns whether the key was not revoked
    /// before.
    ///
    /// # Errors
    /// If the file cannot be read or written or contains a mistake, it has no such key, or the reason is empty,
    /// longer than 300 characters or not a line of text. Then the file is unchanged.
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

/// Returns what is wrong with the text of a reason.
pub(super) fn fault(reason: &str) -> Option<&'static str> {
    if reason.trim().is_empty() {
        Some("say why the key is revoked")
    } else if reason.chars().count() > 300 || reason.chars().any(char::is_control) {
        // Text shown on a terminal must not contain control characters.
        Some("the reason must be one line of at most 300 characters")
    } else {
        None
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default = "no_policy")]
    policy: Spanned<Policy>,
    #[serde(default)]
    key: Vec<Entry>,
}

fn no_policy() -> Spanned<Policy> {
    Spanned::new(0..0, Policy::default())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: Spanned<String>,
    public: Spanned<String>,
    revoked: Option<Spanned<String>>,
}

/// Adds to TOML's message where a field of the policy belongs.
fn misplaced(message: &str) -> String {
    let is_of_policy =
        ["use", "import", "sandbox"].iter().any(|field| message.contains(&format!("unknown field `{field}`")));
    match is_of_policy && message.contains("`policy`") {
        true => format!("{message}: write it below a line [policy]"),
        false => message.to_owned(),
    }
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
        assert_eq!(parse("[policy]\n").unwrap().policy, Policy::default());
        let policy = parse("[policy]\nuse = \"signed\"\nimport = \"any\"").unwrap().policy;
        assert_eq!(policy, Policy { using: Accept::Signed, import: Accept::Any, ..Policy::default() });
        let policy = parse("[policy]\nuse = \"signed\"\nsandbox = \"namespaces\"").unwrap().policy;
        assert_eq!(policy.sandbox, Isolation::Namespaces);
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Trust::load(&folder.path().join("trust.toml")).unwrap(), Trust::default());
        assert!(Trust::load(folder.path()).is_err(), "a folder is not a missing file");
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
            ("[policy]\nuse = \"signed\"\nsandbox = \"some\"".to_owned(), 3, "unknown variant `some`"),
            ("\n[policy]\nsandbox = \"landlock\"".to_owned(), 2, "`sandbox` needs `use = \"signed\"`"),
            ("keys = []".to_owned(), 1, "unknown field `keys`"),
            ("[[key]]\nname = \"a\"".to_owned(), 1, "missing field `public`"),
            ("[[key]]\nname = \"a b\"\npublic = \"\"".to_owned(), 2, "is not a valid key name"),
            ("[[key]]\nname = \"a\"\npublic = \"x\"".to_owned(), 3, "`x` is not a public key"),
            (format!("[[key]]\nname = \"a\"\npublic = \"ed25519:01{}\"", "0".repeat(62)), 3, "is weak"),
            (one.clone() + &key("ann", &bob, ""), 6, "the name `ann` is already used in line 2"),
            (one.clone() + &key("bob", &ann, ""), 7, "this key is already listed in line 3"),
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
