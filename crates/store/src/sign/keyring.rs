//! A user's own secret keys: a folder of files `NAME.key` that nobody else can read.

use std::path::{Path, PathBuf};

use super::key::{PublicKey, SecretKey};
use super::name::KeyName;
use files::FsError;

/// Maximum number of bytes of a key's file.
const FILE_LIMIT: u64 = 4096;

/// Why a secret key cannot be read or created.
#[derive(Debug, thiserror::Error)]
pub enum KeyringError {
    /// The file system reported an error, or the file or folder is accessible to others.
    #[error(transparent)]
    Fs(#[from] FsError),
    /// There is no key of this name.
    #[error("there is no key `{name}` in {}", folder.display())]
    Missing {
        /// Name of the key.
        name: KeyName,
        /// Folder that was searched.
        folder: PathBuf,
    },
    /// There is already a key of this name.
    #[error("there is already a key `{name}` in {}: choose another name", folder.display())]
    Exists {
        /// Name of the key.
        name: KeyName,
        /// Folder of the existing key.
        folder: PathBuf,
    },
    /// The file holds something else.
    #[error("{} is not a secret key of wdpipe", .0.display())]
    NotAKey(PathBuf),
    /// The system cannot provide random bytes.
    #[error("cannot get random bytes for a key: {0}")]
    Random(std::io::Error),
}

/// The folder of a user's own keys.
#[derive(Debug, Clone)]
pub struct Keyring {
    folder: PathBuf,
}

impl Keyring {
    /// Returns the keyring of a folder, which need not exist.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// Returns the folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Returns the path of the key of a name.
    pub fn path(&self, name: &KeyName) -> PathBuf {
        self.folder.join(format!("{name}.key"))
    }

    /// Returns the names of all keys, sorted; files with other names are skipped.
    ///
    /// # Errors
    /// If the folder cannot be read.
    pub fn names(&self) -> Result<Vec<KeyName>, KeyringError> {
        let files = files::list(&self.folder)?;
        Ok(files.iter().filter_map(|file| file.strip_suffix(".key")?.parse().ok()).collect())
    }

    /// Generates and stores a key; an existing key of this name is never replaced.
    ///
    /// # Errors
    /// If a key of this name exists, it cannot be written, or the folder is accessible to others.
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
    /// If there is no such key, the file is not a key, or the file or folder is accessible to others
    /// ([`files::read_private`]).
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

    /// Returns the name of the key for signing: the wanted one, or the only one, or the one named `default`;
    /// otherwise `None`.
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
