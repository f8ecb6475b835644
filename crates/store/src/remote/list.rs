//! The remotes of a project: a small file that people read and write, without any secrets.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use toml_edit::{Array, Item, Table, TomlError, value};

use super::{Location, LocationError};
use crate::document::Document;
use files::FsError;

/// Maximum number of bytes of a list.
const LIMIT: u64 = 1 << 20;

/// First lines of a new list.
const HEADING: &str = "# Remotes to fetch results from and to send them to: `wdpipe remote` edits this file.\n\n";

/// Why a list cannot be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// The file system reported an error.
    #[error(transparent)]
    Fs(#[from] FsError),
    /// The file contains a mistake.
    #[error("{}: {reason}", path.display())]
    Wrong {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// There is already a remote of this name.
    #[error("there is already a remote `{0}`")]
    Exists(String),
    /// There is no remote of this name.
    #[error("there is no remote `{name}` in {}{}", path.display(), known(names))]
    Unknown {
        /// Requested name.
        name: String,
        /// Path of the list.
        path: PathBuf,
        /// Names of the existing remotes.
        names: Vec<String>,
    },
    /// The name is invalid.
    #[error("`{0}` is not a valid name for a remote: use letters, digits, - and _")]
    NotAName(String),
    /// The address is invalid.
    #[error(transparent)]
    Location(#[from] LocationError),
}

fn known(names: &[String]) -> String {
    if names.is_empty() { String::new() } else { format!("; existing remotes: {}", names.join(", ")) }
}

/// A remote of the project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Named {
    /// Address of the remote.
    pub location: Location,
    /// Words as for `--accept`, which say whose records are accepted from this remote in addition to those that the project
    /// trusts.
    pub accept: Vec<String>,
}

/// The list of remotes of a project.
#[derive(Debug)]
pub struct Remotes {
    path: PathBuf,
    text: String,
    by_name: BTreeMap<String, Named>,
}

impl Remotes {
    /// Reads the list; a missing file is an empty list.
    ///
    /// # Errors
    /// If the file cannot be read or contains a mistake.
    pub fn load(path: &Path) -> Result<Self, ListError> {
        let text = match files::read_text(path, LIMIT) {
            Ok(text) => text,
            Err(error) if error.is_missing() => String::new(),
            Err(error) => return Err(error.into()),
        };
        let by_name = parse(path, &text)?;
        Ok(Self { path: path.to_owned(), text, by_name })
    }

    /// Returns the remotes by name.
    pub fn all(&self) -> &BTreeMap<String, Named> {
        &self.by_name
    }

    /// Returns the remote of a name.
    ///
    /// # Errors
    /// If there is no such remote.
    pub fn get(&self, name: &str) -> Result<&Named, ListError> {
        self.by_name.get(name).ok_or_else(|| ListError::Unknown {
            name: name.to_owned(),
            path: self.path.clone(),
            names: self.by_name.keys().cloned().collect(),
        })
    }

    /// Returns the address of a listed remote as seen from the working folder: relative folders in the list are
    /// relative to the folder of the list.
    pub fn resolved(&self, location: &Location) -> Location {
        match location {
            Location::Folder(path) => Location::Folder(self.folder().join(path)),
            other => other.clone(),
        }
    }

    /// Returns the address to be listed for a remote named on a command line; `working` is the working folder.
    ///
    /// # Errors
    /// If the folder of the list does not exist.
    pub fn as_listed(&self, location: Location, working: &Path) -> Result<Location, ListError> {
        let Location::Folder(path) = &location else { return Ok(location) };
        if path.is_absolute() || self.folder().as_os_str().is_empty() {
            return Ok(location);
        }
        let (here, there) = (files::canonical(working)?, files::canonical(self.folder())?);
        let whole = here.join(path);
        Ok(Location::Folder(whole.strip_prefix(&there).map(Path::to_owned).unwrap_or(whole)))
    }

    fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new(""))
    }

    /// Adds a remote at the end of the file; the existing text stays unchanged.
    ///
    /// # Errors
    /// If the name is taken or invalid, or the file cannot be written.
    pub fn add(&mut self, name: &str, remote: Named) -> Result<(), ListError> {
        check_name(name)?;
        if self.by_name.contains_key(name) {
            return Err(ListError::Exists(name.to_owned()));
        }
        let mut document = self.document()?;
        let mut table = Table::new();
        table.decor_mut().set_prefix(if self.text.is_empty() { HEADING } else { "\n" });
        table.insert("url", value(remote.location.to_string()));
        if !remote.accept.is_empty() {
            table.insert("accept", value(remote.accept.iter().collect::<Array>()));
        }
        document.insert(name, Item::Table(table));
        let mut by_name = self.by_name.clone();
        by_name.insert(name.to_owned(), remote);
        self.write(&document, by_name)
    }

    /// Removes a remote from the list.
    ///
    /// # Errors
    /// If there is no such remote, or the file cannot be written.
    pub fn remove(&mut self, name: &str) -> Result<(), ListError> {
        self.get(name)?;
        let mut document = self.document()?;
        document.remove(name);
        let mut by_name = self.by_name.clone();
        by_name.remove(name);
        self.write(&document, by_name)
    }

    fn document(&self) -> Result<Document, ListError> {
        let wrong = |error: TomlError| ListError::Wrong { path: self.path.clone(), reason: error.to_string() };
        Document::parse(&self.text).map_err(wrong)
    }

    /// Writes the edited text, once it is certain that it means what it should.
    fn write(&mut self, document: &Document, by_name: BTreeMap<String, Named>) -> Result<(), ListError> {
        let text = document.text();
        if !parse(&self.path, &text).is_ok_and(|read| read == by_name) {
            let reason = "the program cannot edit this file: edit it by hand".to_owned();
            return Err(ListError::Wrong { path: self.path.clone(), reason });
        }
        files::replace(&self.path, text.as_bytes())?;
        (self.text, self.by_name) = (text, by_name);
        Ok(())
    }
}

fn parse(path: &Path, text: &str) -> Result<BTreeMap<String, Named>, ListError> {
    let wrong = |reason: String| ListError::Wrong { path: path.to_owned(), reason };
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| wrong(error.to_string()))?;
    let mut by_name = BTreeMap::new();
    for (name, value) in table {
        check_name(&name)?;
        let named = named(&value).map_err(|reason| wrong(format!("[{name}] {reason}")))?;
        by_name.insert(name, named);
    }
    Ok(by_name)
}

fn check_name(name: &str) -> Result<(), ListError> {
    let fine = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    match !name.is_empty() && !name.starts_with('-') && name.len() <= 64 && name.chars().all(fine) {
        true => Ok(()),
        false => Err(ListError::NotAName(name.chars().take(80).collect())),
    }
}

fn named(value: &toml::Value) -> Result<Named, String> {
    let table = value.as_table().ok_or("is not a table: write `url = \"…\"` in it")?;
    let (mut location, mut accept) = (None, Vec::new());
    for (field, value) in table {
        match (field.as_str(), value) {
            ("url", toml::Value::String(url)) => location = Some(url.parse::<Location>().map_err(|e| e.to_string())?),
            ("accept", toml::Value::Array(words)) => {
                for word in words {
                    accept.push(word.as_str().ok_or("accept: write words in quotes")?.to_owned());
                }
            }
            (field, _) => return Err(format!("{field}: only `url` (a text) and `accept` (a list) are allowed")),
        }
    }
    let location = location.ok_or("has no `url`")?;
    Ok(Named { location, accept })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remotes_are_added_and_removed_and_the_rest_of_the_file_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("remotes.toml");
        let mut remotes = Remotes::load(&path).unwrap();
        assert!(remotes.all().is_empty());
        let remote = |url: &str, accept: &[&str]| Named {
            location: url.parse().unwrap(),
            accept: accept.iter().map(|word| (*word).to_owned()).collect(),
        };
        remotes.add("lab", remote("s3://bucket/x", &["unsigned"])).unwrap();
        remotes.add("web", remote("https://example.org/c", &[])).unwrap();
        assert!(matches!(remotes.add("web", remote("/x", &[])), Err(ListError::Exists(_))));
        assert!(matches!(remotes.add("-x y", remote("/x", &[])), Err(ListError::NotAName(_))));

        let text = files::read_text(&path, 1000).unwrap();
        files::replace(&path, format!("{text}# mine\n").as_bytes()).unwrap();
        let mut again = Remotes::load(&path).unwrap();
        assert_eq!(again.all(), remotes.all());
        again.remove("lab").unwrap();
        let text = files::read_text(&path, 1000).unwrap();
        assert!(text.contains("# mine") && text.contains("[web]") && !text.contains("lab"), "{text}");
        let error = Remotes::load(&path).unwrap().get("lab").unwrap_err().to_string();
        assert!(error.ends_with("; existing remotes: web"), "{error}");
    }

    #[test]
    fn tables_of_every_form_are_removed_and_comments_of_others_stay() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("remotes.toml");
        for (text, rest) in [
            ("lab = { url = '/a' }\n# ours\n[web]\nurl = '/b'\n", "# ours\n[web]\nurl = '/b'\n"),
            ("lab.url = '/a'\nweb.url = '/b' # far\n", "web.url = '/b' # far\n"),
            ("[web]\nurl = '/b'\n[ \"lab\" ]\nurl = '/a'\n", "[web]\nurl = '/b'\n"),
            ("[lab]\r\nurl = '/a'\r\n[web]\r\nurl = '/b'\r\n", "[web]\r\nurl = '/b'\r\n"),
        ] {
            files::replace(&path, text.as_bytes()).unwrap();
            Remotes::load(&path).unwrap().remove("lab").unwrap();
            assert_eq!(files::read_text(&path, 1000).unwrap(), rest);
        }
    }

    #[test]
    fn folders_lie_where_the_list_does() {
        let folder = tempfile::tempdir().unwrap();
        let (project, elsewhere) = (folder.path().join("project"), folder.path().join("elsewhere"));
        for folder in [&project, &elsewhere] {
            files::create_folder(folder).unwrap();
        }
        let here = |text: &str| text.parse::<Location>().unwrap();
        let remotes = Remotes::load(&project.join("remotes.toml")).unwrap();
        assert_eq!(remotes.resolved(&here("../shared")), Location::Folder(project.join("../shared")));
        for fixed in ["/data", "s3://b/x"] {
            assert_eq!(remotes.resolved(&here(fixed)), here(fixed));
            assert_eq!(remotes.as_listed(here(fixed), &elsewhere).unwrap(), here(fixed));
        }
        for (working, text) in [(&elsewhere, "shared"), (&project, "shared"), (&folder.path().to_owned(), "project/x")]
        {
            let listed = remotes.as_listed(here(text), working).unwrap();
            let Location::Folder(meant) = remotes.resolved(&listed) else { panic!("{listed}") };
            assert_eq!(
                files::canonical(meant.parent().unwrap()).unwrap().join(meant.file_name().unwrap()),
                files::canonical(working).unwrap().join(text),
                "{listed}"
            );
        }
        assert_eq!(remotes.as_listed(here("shared"), &project).unwrap(), here("shared"));
        let plain = Remotes::load(Path::new("remotes.toml")).unwrap();
        assert_eq!(plain.resolved(&here("shared")), here("shared"));
        assert_eq!(plain.as_listed(here("shared"), &elsewhere).unwrap(), here("shared"));
    }

    #[test]
    fn what_is_wrong_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("remotes.toml");
        for (text, wanted) in [
            ("x = 1", "[x] is not a table"),
            ("[x]\n", "[x] has no `url`"),
            ("[x]\nurl = 'ftp://a'\n", "`ftp://a` is not a remote"),
            ("[x]\nurl = '/a'\nsecret = 'b'\n", "[x] secret: only"),
            ("[x\n", "TOML parse error"),
        ] {
            files::replace(&path, text.as_bytes()).unwrap();
            let error = Remotes::load(&path).unwrap_err().to_string();
            assert!(error.contains(wanted), "{error}");
        }
    }
}
