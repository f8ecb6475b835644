//! Where a person's own secret keys lie: a folder of files `NAME.key` that nobody else can read.

use std::path::{Path, PathBuf};

use super::key::{PublicKey, SecretKey};
use super::name::KeyName;
use files::FsError;

/// No key's file has more bytes.
const FILE_LIMIT: u64 = 4096;

/// Why a secret key cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum KeyringError {
    /// The file system refused, or the file or folder is open to others.
    #[error(transparent)]
    Fs(#[from] FsError),
    /// There is no key of the name.
    #[error("there is no key `{name}` in {}", folder.display())]
    Missing {
        /// The name.
        name: KeyName,
        /// Where it would lie.
        folder: PathBuf,
    },
    /// There is a key of the name already.
    #[error("there is a key `{name}` in {} already: choose another name", folder.display())]
    Exists {
        /// The name.
        name: KeyName,
        /// Where it lies.
        folder: PathBuf,
    },
    /// The file holds something else.
    #[error("{} is not a secret key of wdpipe", .0.display())]
    NotAKey(PathBuf),
    /// The system has no random bytes.
    #[error("no random bytes for a key: {0}")]
    Random(std::io::Error),
}

/// The folder of a person's own keys.
#[derive(Debug, Clone)]
pub struct Keyring {
    folder: PathBuf,
}

impl Keyring {
    /// The keys in a folder, which need not be there.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where the key of a name lies.
    pub fn path(&self, name: &KeyName) -> PathBuf {
        self.folder.join(format!("{name}.key"))
    }

    /// The names of all keys, sorted; files with other names are passed over.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn names(&self) -> Result<Vec<KeyName>, KeyringError> {
        let files = files::list(&self.folder)?;
        Ok(files.iter().filter_map(|file| file.strip_suffix(".key")?.parse().ok()).collect())
    }

    /// Makes a key and keeps it; one of the same name is never replaced.
    ///
    /// # Errors
    /// If there is one of the name, it cannot be written, or the folder is open to others.
    pub fn generate(&self, name: &KeyName) -> Result<PublicKey, KeyringError> {
        let key = SecretKey::generate().map_err(KeyringError::Random)?;
        match files::create_private(&self.path(name), key.to_text().as_bytes())? {
            true => Ok(key.public()),
            false => Err(KeyringError::Exists { name: name.clone(), folder: self.folder.clone() }),
        }
    }

    /// Reads a key.
    ///
    /// # Errors
    /// If there is none, it is no key, or the file or folder is open to others ([`files::read_private`]).
    pub fn load(&self, name: &KeyName) -> Result<SecretKey, KeyringError> {
        let path = self.path(name);
        let bytes = match files::read_private(&path, FILE_LIMIT) {
            Err(error) if error.is_missing() => {
                return Err(KeyringError::Missing { name: name.clone(), folder: self.folder.clone() });
            }
            read => read?,
        };
        let key = std::str::from_utf8(&bytes).ok().and_then(SecretKey::from_text);
        key.ok_or(KeyringError::NotAKey(path))
    }

    /// The key that signs: the wanted one, else the only one, else the one called `default`; else none does.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn chosen(&self, wanted: Option<&KeyName>) -> Result<Option<KeyName>, KeyringError> {
        if let Some(name) = wanted {
            return Ok(Some(name.clone()));
        }
        let mut names = self.names()?;
        Ok(match names.len() {
            1 => names.pop(),
            _ => names.into_iter().find(|name| name.as_str() == "default"),
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "they look at the file system from outside")]

    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    use super::*;

    fn name(text: &str) -> KeyName {
        text.parse().unwrap()
    }

    #[test]
    fn keys_are_kept_and_never_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let ring = Keyring::new(folder.path().join("wdpipe/keys"));
        assert!(ring.names().unwrap().is_empty());
        let public = ring.generate(&name("ann@lab")).unwrap();
        assert_eq!(ring.load(&name("ann@lab")).unwrap().public(), public);
        assert!(matches!(ring.generate(&name("ann@lab")), Err(KeyringError::Exists { .. })));
        assert_eq!(ring.load(&name("ann@lab")).unwrap().public(), public);
        assert!(matches!(ring.load(&name("bob")), Err(KeyringError::Missing { .. })));
        let file = folder.path().join("wdpipe/keys/ann@lab.key");
        assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(ring.folder()).unwrap().mode() & 0o777, 0o700);
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.starts_with("wdpipe-secret-key-1 ") && text.len() == 20 + 64 + 1);

        fs::write(&file, text.replace("key-1", "key-2")).unwrap();
        assert!(matches!(ring.load(&name("ann@lab")), Err(KeyringError::NotAKey(_))));
        fs::write(&file, [0xff; 100]).unwrap();
        assert!(matches!(ring.load(&name("ann@lab")), Err(KeyringError::NotAKey(_))));
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(matches!(ring.load(&name("ann@lab")), Err(KeyringError::Fs(_))));
    }

    #[test]
    fn the_wanted_the_only_or_the_default_key_signs() {
        let folder = tempfile::tempdir().unwrap();
        let ring = Keyring::new(folder.path().join("keys"));
        let chosen = || ring.chosen(None).unwrap().map(|name| name.to_string());
        assert_eq!(chosen(), None);
        ring.generate(&name("a")).unwrap();
        fs::write(ring.folder().join("notes.txt"), "").unwrap();
        fs::write(ring.folder().join("a b.key"), "").unwrap();
        assert_eq!(chosen().as_deref(), Some("a"));
        ring.generate(&name("b")).unwrap();
        assert_eq!(chosen(), None);
        ring.generate(&name("default")).unwrap();
        assert_eq!(chosen().as_deref(), Some("default"));
        assert_eq!(ring.chosen(Some(&name("b"))).unwrap(), Some(name("b")));
    }
}
