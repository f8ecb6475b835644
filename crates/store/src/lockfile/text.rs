//! The text of a lock: TOML, one line per stage, in a fixed order, so that a diff shows what changed.
//!
//! ```toml
//! # What fig3.svg and the files beside it were made from. …
//! version = 1
//! figure = "fig3"
//! pipeline = "fig3"
//! profile = "smoke"
//! set = []
//! key = "…"        # of the stage that draws the figure
//! root = "…"       # of all stages
//!
//! [outputs]        # the hashes of the numbers, the drawing, the pixels
//! numbers = "…"
//!
//! [files]          # BLAKE3 of the files; they carry key and root
//! svg = "…"
//!
//! [machines]       # classes of machines that computed stages
//! a = "…"
//!
//! [closure]
//! count = 167
//! kinds = { train = 90 }
//! stages = [
//!   { name = "…", kind = "train 1", machine = "a", key = "…", outputs = { weights = "…" } },
//! ]
//! # checksum …
//! ```
//!
//! Instead of `stages`, `[closure]` can have `list = "…"`: the hash of the same lines, which are then stored,
//! compressed, in `<figure>.stages.zst`. The last line is the BLAKE3 hash of everything before it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::io::Read;

use serde::Deserialize;

use super::{FILES, Lock, LockError, Locked, extension};
use base::digest::{ClosureRoot, ObjectDigest, StageKey};
use base::name::{PLAIN, is_plain};
use base::work::KindName;

/// Maximum number of bytes of a lock's text.
pub const TEXT_LIMIT: u64 = 4 << 20;
/// Maximum number of bytes of a list of stages, unpacked.
pub const LIST_LIMIT: u64 = 64 << 20;
/// Maximum number of stages listed in the lock itself.
const LISTED: usize = 250;
const CHECKSUM: &str = "# checksum ";

/// A lock as text.
#[derive(Debug, Clone, PartialEq)]
pub struct Text {
    /// Text of the lock.
    pub lock: String,
    /// Compressed list of stages, if it is stored next to the lock.
    pub list: Option<Vec<u8>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Parsed {
    version: u32,
    /// Name of the files, if it differs from the figure's.
    name: Option<String>,
    figure: String,
    pipeline: String,
    profile: String,
    set: Vec<String>,
    key: StageKey,
    root: ClosureRoot,
    outputs: BTreeMap<String, ObjectDigest>,
    files: BTreeMap<String, ObjectDigest>,
    machines: BTreeMap<String, String>,
    closure: Stages,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Stages {
    count: usize,
    kinds: BTreeMap<String, usize>,
    list: Option<ObjectDigest>,
    stages: Option<Vec<Row>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    name: String,
    kind: String,
    machine: Option<String>,
    key: StageKey,
    outputs: BTreeMap<String, ObjectDigest>,
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// Returns a name as a key, quoted only where TOML requires it: the outputs of commands can have dots.
fn key(name: &str) -> String {
    let is_bare = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !name.is_empty() && name.chars().all(is_bare) { name.to_owned() } else { quoted(name) }
}

/// Returns the name of a class of machines in a lock: a, b, …, z, aa, ….
fn letters(mut number: usize) -> String {
    let mut name = Vec::new();
    loop {
        name.insert(0, b'a' + (number % 26) as u8);
        if number < 26 {
            return String::from_utf8_lossy(&name).into_owned();
        }
        number = number / 26 - 1;
    }
}

impl Lock {
    /// Returns the text; equal locks give equal texts.
    ///
    /// # Errors
    /// If the list of stages is longer than [`LIST_LIMIT`].
    pub fn to_text(&self) -> Result<Text, LockError> {
        let mut machines: BTreeMap<&str, String> = BTreeMap::new();
        for stage in self.stages.iter().filter(|stage| !stage.machine.is_empty()) {
            let next = letters(machines.len());
            machines.entry(&stage.machine).or_insert(next);
        }
        let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
        for stage in &self.stages {
            *kinds.entry(&stage.kind).or_default() += 1;
        }
        let lines: String = self.stages.iter().map(|stage| line(stage, &machines)).collect();
        let beside = self.stages.len() > LISTED;
        let Self { name, figure, pipeline, profile, set, .. } = self;
        let drawing = self.drawing().ok_or_else(|| LockError::Syntax("it has no stages".to_owned()))?;
        let set = set.iter().map(|set| quoted(set)).collect::<Vec<_>>().join(", ");
        let (with, own) = match name == figure {
            true => ("", String::new()),
            false => (" with the settings below", format!("name = {}\n", quoted(name))),
        };
        let mut out = format!(
            "# What {name}.svg and the files beside it were made from. `wdpipe verify {name}` checks it; to change \
             it,\n# run `wdpipe lock {figure}`{with}.\nversion = 1\n{own}figure = {}\npipeline = {}\nprofile = {}\nset = [{set}]\n\
             key = \"{}\"\nroot = \"{}\"\n",
            quoted(figure),
            quoted(pipeline),
            quoted(profile),
            drawing.key,
            self.root()
        );
        let mut section = |name: &str, entries: Vec<(&str, String)>| {
            let _ = write!(out, "\n[{name}]\n");
            for (name, value) in entries {
                let _ = writeln!(out, "{name} = {value}");
            }
        };
        let hash = |object: &ObjectDigest| format!("\"{object}\"");
        section("outputs", drawing.outputs.iter().map(|(name, object)| (name.as_str(), hash(object))).collect());
        section("files", self.files.iter().map(|(name, object)| (name.as_str(), hash(object))).collect());
        let mut named: Vec<_> = machines.iter().map(|(machine, name)| (name.as_str(), quoted(machine))).collect();
        named.sort_by_key(|(name, _)| (name.len(), *name));
        section("machines", named);
        let kinds = kinds.iter().map(|(kind, count)| format!("{kind} = {count}")).collect::<Vec<_>>().join(", ");
        let mut entries = vec![("count", self.stages.len().to_string()), ("kinds", format!("{{ {kinds} }}"))];
        if beside {
            entries.push(("list", hash(&ObjectDigest::of(lines.as_bytes()))));
        } else {
            entries.push(("stages", format!("[\n{lines}]")));
        }
        section("closure", entries);
        let checksum = ObjectDigest::of(out.as_bytes());
        let _ = writeln!(out, "{CHECKSUM}{checksum}");
        let list = match beside {
            _ if out.len() as u64 > TEXT_LIMIT => return Err(LockError::Syntax("it has too many settings".into())),
            false => None,
            true if lines.len() as u64 > LIST_LIMIT => return Err(LockError::Syntax("it has too many stages".into())),
            true => {
                let packed = zstd::bulk::compress(lines.as_bytes(), 19);
                Some(packed.map_err(|error| LockError::Syntax(error.to_string()))?)
            }
        };
        Ok(Text { lock: out, list })
    }

    /// Reads a lock; `list` returns the bytes of the file next to it, and is called only if the lock refers to such a
    /// file. The result is consistent: checksum, root, key and counts match the stages. Safe on untrusted text.
    ///
    /// # Errors
    /// If the text is not a lock, was altered, or `list` fails.
    pub fn from_text<E: From<LockError>>(text: &str, list: impl FnOnce() -> Result<Vec<u8>, E>) -> Result<Self, E> {
        let parsed = check_text(text)?;
        let rows = match (parsed.closure.stages, parsed.closure.list) {
            (Some(rows), None) => rows,
            (None, Some(digest)) => unpack(&list()?, digest)?,
            _ => return Err(LockError::Syntax("it has no list of stages, or two".to_owned()).into()),
        };
        let stages = rows.into_iter().map(|row| locked(row, &parsed.machines)).collect::<Result<Vec<_>, _>>()?;
        let Parsed { name, figure, pipeline, profile, set, files, .. } = parsed;
        let lock = Self { name: name.unwrap_or_else(|| figure.clone()), figure, pipeline, profile, set, files, stages };
        let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
        for stage in &lock.stages {
            *kinds.entry(stage.kind.clone()).or_default() += 1;
        }
        let drawing = lock.drawing().ok_or_else(|| altered("it has no stages"))?;
        let wrong = if lock.root() != parsed.root {
            "the root is not that of its stages"
        } else if drawing.key != parsed.key
            || drawing.outputs != parsed.outputs
            || drawing.kind != KindName::Figure.name()
        {
            "the last stage is not its figure"
        } else if !lock.files.keys().eq(&drawing.outputs.keys().map(|name| extension(name)).collect::<BTreeSet<_>>()) {
            "its files are not the outputs of its figure"
        } else if lock.stages.len() != parsed.closure.count || kinds != parsed.closure.kinds {
            "the number of stages does not match"
        } else {
            return Ok(lock);
        };
        Err(altered(wrong).into())
    }
}

fn altered(what: &str) -> LockError {
    LockError::Altered(what.to_owned())
}

/// Whether the last line is the checksum of the lines before it.
fn is_sealed(text: &str) -> bool {
    text.rfind(CHECKSUM)
        .is_some_and(|end| text[end..] == format!("{CHECKSUM}{}\n", ObjectDigest::of(&text.as_bytes()[..end])))
}

/// Checks everything about the text that does not depend on its stages.
fn check_text(text: &str) -> Result<Parsed, LockError> {
    if files::is_pointer(text.as_bytes()) {
        return Err(LockError::Pointer);
    }
    if text.lines().any(|line| line.starts_with("<<<<<<< ")) {
        let mend =
            "it has conflict markers of git: take the file of one side, or delete it and run `wdpipe lock FIGURE`";
        return Err(altered(mend));
    }
    let syntax = |error: toml::de::Error| LockError::Syntax(error.to_string().trim_end().to_owned());
    if text.len() as u64 > TEXT_LIMIT {
        return Err(LockError::Syntax(format!("it has more than {TEXT_LIMIT} bytes")));
    }
    // The version is checked before anything else.
    #[derive(Deserialize)]
    struct Version {
        version: u32,
    }
    let Version { version } = toml::from_str(text).map_err(syntax)?;
    if version != 1 {
        return Err(LockError::Version(version));
    }
    if !text.contains(CHECKSUM) {
        return Err(altered("the checksum at its end is missing"));
    }
    if !is_sealed(text) {
        let converted = is_sealed(&text.replace("\r\n", "\n"));
        return Err(if converted { LockError::LineEnds } else { altered("the checksum at its end does not match") });
    }
    let parsed: Parsed = toml::from_str(text).map_err(syntax)?;
    // Names become parts of paths. The name of a variant is that of the figure, `@` and a hash.
    let (name, hash) = parsed.name.as_ref().map_or(("a", "a"), |name| name.split_once('@').unwrap_or((name, "a")));
    let names = [name, hash, &parsed.figure, &parsed.profile, &parsed.pipeline];
    if parsed.version != 1 || !names.iter().all(|name| is_plain(name)) || parsed.name.as_ref() == Some(&parsed.figure) {
        return Err(LockError::Syntax(format!("it has an invalid name: {PLAIN}")));
    }
    if parsed.files.is_empty() || !parsed.files.keys().all(|file| FILES.contains(&file.as_str())) {
        return Err(LockError::Syntax(format!("its files must be some of {}", FILES.join(", "))));
    }
    Ok(parsed)
}

fn unpack(packed: &[u8], digest: ObjectDigest) -> Result<Vec<Row>, LockError> {
    let mut lines = String::new();
    let decoder = zstd::stream::read::Decoder::with_buffer(packed);
    let read = decoder.and_then(|decoder| decoder.take(LIST_LIMIT).read_to_string(&mut lines));
    read.map_err(|error| LockError::Altered(format!("its list of stages cannot be unpacked: {error}")))?;
    if ObjectDigest::of(lines.as_bytes()) != digest {
        return Err(altered("the list of stages next to it has the wrong hash"));
    }
    #[derive(Deserialize)]
    struct List {
        stages: Vec<Row>,
    }
    let list: List = toml::from_str(&format!("stages = [\n{lines}]"))
        .map_err(|error: toml::de::Error| LockError::Syntax(error.message().to_owned()))?;
    Ok(list.stages)
}

fn locked(row: Row, machines: &BTreeMap<String, String>) -> Result<Locked, LockError> {
    let kind = row.kind.split_once(' ').and_then(|(kind, version)| Some((kind.to_owned(), version.parse().ok()?)));
    let (kind, version) = kind.ok_or_else(|| LockError::Syntax(format!("`{}` is not a kind and version", row.kind)))?;
    let machine = match row.machine {
        None => String::new(),
        Some(name) => {
            let machine = machines.get(&name).cloned();
            machine.ok_or_else(|| LockError::Syntax(format!("there is no machine `{name}`")))?
        }
    };
    Ok(Locked { name: row.name, kind, version, key: row.key, machine, outputs: row.outputs })
}

/// Returns the line of a stage.
fn line(stage: &Locked, machines: &BTreeMap<&str, String>) -> String {
    let machine = machines.get(stage.machine.as_str()).map(|name| format!("machine = \"{name}\", "));
    let outputs: Vec<_> = stage.outputs.iter().map(|(name, object)| format!("{} = \"{object}\"", key(name))).collect();
    format!(
        "  {{ name = {}, kind = \"{} {}\", {}key = \"{}\", outputs = {{ {} }} }},\n",
        quoted(&stage.name),
        stage.kind,
        stage.version,
        machine.unwrap_or_default(),
        stage.key,
        outputs.join(", ")
    )
}
