//! The metadata of a packed figure, as RO-Crate 1.1 and its profile Process Run Crate 0.5 describe it: a graph of entities in
//! JSON-LD. It has no time of its own: the same figure gives the same text.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::CitedFigure;
use super::actions::{self, instant};
use super::citation::{Author, Citation, FILE};
use super::deposit::PackedFile;
use base::closure::Closure;
use base::digest::ObjectDigest;
use base::value;
use store::lockfile::Lock;

/// Specification of the metadata, and the profile that describes runs of programs.
const SPECIFICATION: &str = "https://w3id.org/ro/crate/1.1";
const PROFILE: &str = "https://w3id.org/ro/wfrun/process/0.5";

/// What the metadata describes.
pub struct Described<'a> {
    /// The figure.
    pub figure: &'a CitedFigure,
    /// Its lock.
    pub lock: &'a Lock,
    /// Its stages, with their records.
    pub closure: &'a Closure,
    /// The files of the folder by their paths, without that of the metadata.
    pub files: &'a BTreeMap<String, PackedFile>,
    /// The archives among them, and the objects that each holds.
    pub archives: &'a BTreeMap<String, BTreeSet<ObjectDigest>>,
    /// Path of the pipeline among them.
    pub pipeline: &'a str,
    /// Authors and licences.
    pub citation: &'a Citation,
    /// Day of publication, if it is not that of the last stage.
    pub date: Option<&'a str>,
}

impl Described<'_> {
    /// Returns the path of one of the figure's own files.
    pub fn path(&self, extension: &str) -> String {
        let subject = &self.figure.subject;
        format!("reports/{}/{}.{extension}", subject.profile, subject.place.name)
    }
}

/// Entities of a graph, in the order in which they were added.
#[derive(Default)]
pub struct Entities {
    all: Vec<Value>,
    known: BTreeSet<String>,
}

impl Entities {
    fn has(&self, id: &str) -> bool {
        self.known.contains(id)
    }

    /// Adds an entity, unless there is one with its identifier, and returns a reference to it.
    pub fn add(&mut self, id: &str, kind: &str, fields: Value) -> Value {
        if self.known.insert(id.to_owned()) {
            let mut entity = json!({ "@id": id, "@type": kind });
            if let (Value::Object(entity), Value::Object(fields)) = (&mut entity, fields) {
                entity.extend(fields.into_iter().filter(|(_, value)| !value.is_null()));
            }
            self.all.push(entity);
        }
        reference(id)
    }
}

/// Returns a reference to an entity.
pub fn reference(id: &str) -> Value {
    json!({ "@id": id })
}

/// Returns the metadata of a packed figure.
pub fn metadata(described: &Described<'_>) -> Value {
    let Described { figure, lock, closure, citation, .. } = described;
    let mut entities = Entities::default();
    let about = json!({ "conformsTo": reference(SPECIFICATION), "about": reference("./") });
    entities.add("ro-crate-metadata.json", "CreativeWork", about);
    // The root comes first, although it refers to everything else.
    let mut rest = Entities::default();
    let files: Vec<Value> = described.files.keys().map(|path| file(path, described, &mut rest)).collect();
    let authors: Vec<Value> =
        citation.authors.iter().enumerate().map(|(at, author)| self::author(at + 1, author, &mut rest)).collect();
    let licences: Vec<Value> = citation.licences.iter().map(|licence| self::licence(licence, &mut rest)).collect();
    let repository = citation
        .repository
        .as_ref()
        .map(|address| rest.add(address, "CreativeWork", json!({ "name": "The repository of the project" })));
    let conforms = rest.add(PROFILE, "CreativeWork", json!({ "name": "Process Run Crate", "version": "0.5" }));
    let actions = actions::add(described, &mut rest);
    let last = closure.members.iter().map(|member| member.record.provenance.finished).max().unwrap_or_default();
    let date = described.date.map_or_else(|| instant(last)[..10].to_owned(), str::to_owned);
    let (name, stages) = (&figure.subject.place.name, closure.members.len());
    let root = json!({
        "name": named(name, lock, closure),
        "description": format!(
            "The figure {name} of the pipeline {}, profile {}: drawings, numbers, the records of all {stages} stages that \
             it was made from, and the lock that lists them. In this folder, `wdpipe verify {name} --render` compares all \
             of them and draws the figure again.",
            described.pipeline, lock.profile
        ),
        "identifier": format!("wdpipe:root:{}", figure.stamp.root),
        "datePublished": date,
        "license": several(licences),
        "author": several(authors),
        "conformsTo": conforms,
        "isBasedOn": repository,
        "hasPart": several(files),
        "mentions": several(actions),
    });
    entities.add("./", "Dataset", root);
    entities.all.append(&mut rest.all);
    let terms = json!({ "sha256": "https://w3id.org/ro/terms/workflow-run#sha256" });
    json!({ "@context": [format!("{SPECIFICATION}/context"), terms], "@graph": entities.all })
}

/// Returns values as RO-Crate wants them: a list only if there are several, and null if there is none.
pub fn several(mut values: Vec<Value>) -> Value {
    match values.len() {
        0 => Value::Null,
        1 => values.remove(0),
        _ => values.into(),
    }
}

/// Names the folder by the figure, its profile and its title.
fn named(name: &str, lock: &Lock, closure: &Closure) -> String {
    let title = closure.figure().and_then(|figure| figure.record.parts.parameters.get("title"));
    let title = match title {
        Some(value::Value::Text(title)) if !title.is_empty() => format!(": {title}"),
        _ => String::new(),
    };
    format!("Figure {name} (profile {}){title}", lock.profile)
}

/// Adds a file of the folder.
fn file(path: &str, described: &Described<'_>, entities: &mut Entities) -> Value {
    let (PackedFile { bytes, sha256 }, name) = (&described.files[path], path.rsplit('/').next().unwrap_or(path));
    let (format, description) = kind(path, described);
    let fields = json!({
        "name": name,
        "description": description,
        "encodingFormat": format,
        "contentSize": bytes.to_string(),
        "sha256": sha256,
    });
    entities.add(&address(path), "File", fields)
}

/// Returns the address of a file relative to the folder.
pub fn address(path: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/@+".contains(&byte);
    let one = |byte: u8| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    path.bytes().map(one).collect()
}

/// Returns the media type of a file, and what it contains.
fn kind(path: &str, described: &Described<'_>) -> (&'static str, &'static str) {
    let own = path.strip_prefix(&described.path("")).unwrap_or_default();
    match own {
        "svg" => ("image/svg+xml", "The figure"),
        "png" => ("image/png", "The figure in pixels"),
        "pdf" => ("application/pdf", "The figure as a page"),
        "csv" => ("text/csv", "The numbers that the figure shows"),
        "lock" => ("application/toml", "The lock: hashes of the figure's files, and all stages with their outputs"),
        "stages.zst" => ("application/zstd", "The list of stages, which is too long for the lock"),
        "wdpipe" => ("application/octet-stream", "The records, tables and signatures of all stages, as an archive"),
        "receipts" => ("application/toml", "Signed statements that stages were computed again with the same result"),
        "toml" => ("application/toml", "The settings that the figure was made with"),
        _ if path == described.pipeline => ("application/toml", "The pipeline that describes the stages"),
        _ if path == FILE => ("application/yaml", "How to cite the project"),
        _ if path == "trust.toml" => ("application/toml", "The keys that the project trusts"),
        _ if described.archives.contains_key(path) => {
            ("application/octet-stream", "Weights and images too, as far as they were kept, as an archive")
        }
        _ => ("application/octet-stream", "A file that a command of the pipeline declares"),
    }
}

fn author(number: usize, author: &Author, entities: &mut Entities) -> Value {
    // Authors can share an address, such as that of a website, but not an entity.
    let own = author.id.clone().filter(|id| !entities.has(id));
    let id = own.unwrap_or_else(|| format!("#author-{number}"));
    let affiliation = author.affiliation.as_ref().map(|name| {
        let id = format!("#organisation-{}", address(name).replace('/', "%2F"));
        entities.add(&id, "Organization", json!({ "name": name }))
    });
    let kind = if author.is_person { "Person" } else { "Organization" };
    entities.add(&id, kind, json!({ "name": author.name, "affiliation": affiliation }))
}

/// Adds a licence: an identifier of SPDX or an address.
fn licence(licence: &str, entities: &mut Entities) -> Value {
    let id = match licence.contains("://") {
        true => licence.to_owned(),
        false => format!("https://spdx.org/licenses/{}", address(licence)),
    };
    entities.add(
        &id,
        "CreativeWork",
        json!({ "name": licence, "description": "A licence of this folder; if there are several, choose one" }),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::project::papers::caption::tests::cited;
    use base::closure::Member;
    use base::digest::{RecordDigest, StageKey};
    use base::record::{KeyParts, Output, Provenance, Record};
    use base::value::Map;

    /// Returns a stage with parameters, and with inputs and outputs that are made of the given texts.
    fn member(kind: &str, parameters: Map, reads: &[&str], yields: &[&str]) -> Member {
        let object = |text: &str| ObjectDigest::of(text.as_bytes());
        let inputs = reads.iter().map(|text| ((*text).to_owned(), object(text))).collect();
        let output = |text: &&str| Output {
            name: (*text).to_owned(),
            object: object(text),
            bytes: text.len() as u64,
            inline: (*text == "metrics").then(|| text.as_bytes().to_vec()),
        };
        let provenance = Provenance {
            stage: kind.to_owned(),
            wdpipe: "0.1.0".to_owned(),
            finished: 1_800_000_000,
            seconds: 61.4,
            who: "ada@lab".to_owned(),
            device: "cpu".to_owned(),
            machine: "x86_64".to_owned(),
            ..Provenance::default()
        };
        let parts = KeyParts { kind: kind.to_owned(), version: 1, parameters, inputs, policy: Map::new() };
        let outputs = yields.iter().map(output).collect();
        let record = Record { parts, outputs, tensors: Vec::new(), provenance };
        Member {
            name: format!("fig/{kind}"),
            key: StageKey::from_bytes([7; 32]),
            digest: RecordDigest::of(b""),
            record,
        }
    }

    #[test]
    fn the_metadata_is_the_committed_text() {
        let model = value::Value::Map([("width".to_owned(), value::Value::Int(4))].into());
        let parameters: Map = [("lr".to_owned(), value::Value::Float(0.1)), ("model".to_owned(), model)].into();
        let title: Map = [("title".to_owned(), value::Value::Text("Norms".to_owned()))].into();
        let mut members = vec![
            member("dataset", Map::new(), &[], &["images"]),
            member("train", parameters, &["images"], &["weights", "metrics"]),
            member("figure", title, &["metrics"], &["svg", "numbers"]),
        ];
        for (at, member) in members.iter_mut().enumerate() {
            member.key = StageKey::from_bytes([at as u8; 32]);
        }
        let closure = Closure { members };
        let files = ["svg", "csv"].map(|extension| (extension.to_owned(), ObjectDigest::of(b""))).into();
        let lock = Lock::of(["fig", "fig", "pipe", "smoke"], &[], &closure, files);
        let names = ["CITATION.cff", "pipelines/pipe.toml", "reports/smoke/fig.csv", "reports/smoke/fig.svg"];
        let archive = "reports/smoke/fig.wdpipe";
        let packed = |name: &str| (name.to_owned(), PackedFile { bytes: name.len() as u64, sha256: "0f".repeat(32) });
        let files = names.into_iter().chain([archive]).map(packed).collect();
        let held = [ObjectDigest::of(b"metrics")].into();
        let author =
            Author { name: "Ada".to_owned(), is_person: true, id: None, affiliation: Some("The Lab".to_owned()) };
        let citation = Citation {
            authors: vec![author],
            licences: vec!["MIT".to_owned(), "https://example.org/licence".to_owned()],
            repository: Some("https://example.org/lab".to_owned()),
        };
        let described = Described {
            figure: &cited("fig"),
            lock: &lock,
            closure: &closure,
            files: &files,
            archives: &[(archive.to_owned(), held)].into(),
            pipeline: "pipelines/pipe.toml",
            citation: &citation,
            date: None,
        };
        let text = serde_json::to_string_pretty(&metadata(&described)).unwrap() + "\n";
        assert_eq!(text, include_str!("../../../tests/fixtures/ro-crate-metadata.json"), "{text}");
    }

    #[test]
    fn addresses_of_files_have_no_special_characters() {
        assert_eq!(address("lib/a b?#é.py"), "lib/a%20b%3F%23%C3%A9.py");
        assert_eq!(address("reports/smoke/fig3@1a2b3c4d.svg"), "reports/smoke/fig3@1a2b3c4d.svg");
    }
}
