//! Reads CITATION.cff, the file in which a project names its authors, its licences and its repository (Citation File Format
//! 1.2, a YAML file).

use std::path::Path;

use yaml_rust2::parser::Parser;
use yaml_rust2::{Event, Yaml, YamlLoader};

use crate::project::Failure;

/// Name of the file.
pub const FILE: &str = "CITATION.cff";

/// Maximum size in bytes.
const LIMIT: u64 = 64 << 10;
/// Maximum nesting depth. The loader is recursive, so a deeper file could overflow the stack.
const DEPTH: usize = 32;

/// Who made a project, and under which licences.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Citation {
    /// The authors.
    pub authors: Vec<Author>,
    /// The licences, as identifiers of SPDX or addresses. Whoever uses the project chooses one.
    pub licences: Vec<String>,
    /// Address of the repository.
    pub repository: Option<String>,
}

/// An author: a person or an organisation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Author {
    /// The name.
    pub name: String,
    /// Whether it is a person.
    pub is_person: bool,
    /// Address that identifies the author, such as an ORCID.
    pub id: Option<String>,
    /// The organisation that a person belongs to.
    pub affiliation: Option<String>,
}

impl Citation {
    /// Reads the file in the project's folder. Returns an empty citation if there is none.
    ///
    /// # Errors
    /// If the file cannot be read, or is not YAML.
    pub fn of(project: &Path) -> Result<Self, Failure> {
        let path = project.join(FILE);
        let wrong = |error: String| Failure::usage(error, "correct the file, or move it away");
        match files::read_text(&path, LIMIT) {
            Err(error) if error.is_missing() => Ok(Self::default()),
            Err(error) => Err(wrong(error.to_string())),
            Ok(text) => Self::parse(&text).map_err(|error| wrong(format!("{}: {error}", path.display()))),
        }
    }

    fn parse(text: &str) -> Result<Self, String> {
        if let Some(reason) = excess(text) {
            return Err(reason);
        }
        let documents = YamlLoader::load_from_str(text).map_err(|error| error.to_string())?;
        let Some(file) = documents.first().filter(|file| file.as_hash().is_some()) else {
            return Err("it has no fields".to_owned());
        };
        let authors = file["authors"].as_vec().into_iter().flatten().filter_map(Author::of).collect();
        let licences = match &file["license"] {
            Yaml::Array(several) => several.iter().filter_map(text_of).collect(),
            one => text_of(one).or_else(|| text_of(&file["license-url"])).into_iter().collect(),
        };
        let repository = text_of(&file["repository-code"]).or_else(|| text_of(&file["url"]));
        Ok(Self { authors, licences, repository })
    }
}

impl Author {
    fn of(author: &Yaml) -> Option<Self> {
        let names = ["given-names", "name-particle", "family-names", "name-suffix"];
        let name = names.iter().filter_map(|part| text_of(&author[*part])).collect::<Vec<_>>().join(" ");
        let (name, is_person) = match text_of(&author["name"]) {
            Some(organisation) => (organisation, false),
            None if name.is_empty() => (text_of(&author["alias"])?, true),
            None => (name, true),
        };
        let id = text_of(&author["orcid"]).or_else(|| text_of(&author["website"]));
        Some(Self { name, is_person, id, affiliation: text_of(&author["affiliation"]) })
    }
}

/// Returns why a file could take too much memory: it is nested deeply, or repeats its parts. Reads events one by one.
fn excess(text: &str) -> Option<String> {
    let (mut parser, mut depth) = (Parser::new_from_str(text), 0);
    while depth <= DEPTH {
        match parser.next_token() {
            Ok((Event::SequenceStart(..) | Event::MappingStart(..), _)) => depth += 1,
            Ok((Event::SequenceEnd | Event::MappingEnd, _)) => depth -= 1,
            Ok((Event::Alias(_), _)) => return Some("it has an alias (`*name`)".to_owned()),
            Ok((Event::StreamEnd, _)) | Err(_) => return None,
            Ok(_) => {}
        }
    }
    Some(format!("it is nested more than {DEPTH} deep"))
}

/// Returns a text that is not empty.
fn text_of(value: &Yaml) -> Option<String> {
    value.as_str().map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authors_licences_and_repository_are_read() {
        let text = "cff-version: 1.2.0\ntitle: \"A: B\"\nrepository-code: https://example.org/lab\nlicense:\n  - MIT\n  \
                    - Apache-2.0\nauthors:\n  - family-names: \"D'Angelo\"\n    given-names: Ada\n    \
                    orcid: https://orcid.org/0000-0002-1825-0097\n    affiliation: ETH\n  - name: The Lab\n  - {}\n";
        let citation = Citation::parse(text).unwrap();
        assert_eq!(citation.licences, ["MIT", "Apache-2.0"]);
        assert_eq!(citation.repository.as_deref(), Some("https://example.org/lab"));
        let [person, lab] = &citation.authors[..] else { panic!("{citation:?}") };
        assert_eq!((person.name.as_str(), person.is_person), ("Ada D'Angelo", true));
        assert_eq!(person.id.as_deref(), Some("https://orcid.org/0000-0002-1825-0097"));
        assert_eq!(person.affiliation.as_deref(), Some("ETH"));
        assert_eq!((lab.name.as_str(), lab.is_person, &lab.id), ("The Lab", false, &None));
        assert_eq!(Citation::parse("license: CC0-1.0").unwrap().licences, ["CC0-1.0"]);
    }

    #[test]
    fn the_file_of_this_project_is_read() {
        let citation = Citation::of(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap();
        assert_eq!(citation.licences, ["MIT", "Apache-2.0"]);
        assert_eq!(citation.authors.len(), 1);
    }

    #[test]
    fn wrong_files_are_errors_and_a_missing_one_is_empty() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Citation::of(folder.path()).unwrap(), Citation::default());
        let deep = "- ".repeat(LIMIT as usize / 2 - 1);
        for text in ["a: [", "", "just a text", "a: &a [x]\nb: *a", &"[".repeat(50_000), &deep] {
            std::fs::write(folder.path().join(FILE), text).unwrap();
            let failure = Citation::of(folder.path()).unwrap_err();
            assert!(failure.message.contains(FILE), "{}", failure.message);
        }
    }
}
