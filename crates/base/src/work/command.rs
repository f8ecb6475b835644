//! The kind `command`: a program of the user's own, in any language.

mod names;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::{Mutex, OnceLock, PoisonError};

use serde::{Deserialize, Serialize};

use super::contract::Tolerance;
use super::cost::{Cost, Images};
use super::import::Import;
use super::kind::{Content, Holds, Kind, OutputSpec, one_row};
use super::model::Numerics;
use crate::isolation::Isolation;

/// Folders of a project that hold no code: results, and what other programs keep for themselves.
pub const NOT_CODE: [&str; 3] = ["cache", "target", "reports"];

/// A program that reads files and writes files. Everything that it can see is part of its key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Command {
    /// The words of the command as written, with placeholders such as `{in.weights}`.
    pub run: Vec<String>,
    /// The roles of its inputs: `weights` for one file, `data.train` for a file in a folder of several.
    pub inputs: Vec<String>,
    /// The declared files: their paths in the project's folder, and the BLAKE3 hashes of their bytes.
    pub code: BTreeMap<String, String>,
    /// The lock file of what it runs in. Without one, it runs in whatever the machine has, and the record says what that was.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub lock: Option<LockFile>,
    /// The container image that it runs in, if any.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub image: Option<Image>,
    /// The outputs by name.
    pub out: BTreeMap<String, Out>,
    /// Parameters, for placeholders such as `{rho}`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub parameters: BTreeMap<String, Parameter>,
    /// Environment variables.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub variables: BTreeMap<String, String>,
    /// For each input that is collected from one of several instances of a stage, the settings of that instance.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub collected: BTreeMap<String, BTreeMap<String, Parameter>>,
    /// Number of epochs of training before the checkpoint that it reads, if it reads one of several.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub after: Option<u32>,
    /// How far the numbers of two runs can differ, if the command is not deterministic.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub tolerance: Option<Tolerance>,
    /// Conditions of the run that do not determine its result.
    #[serde(skip)]
    pub terms: Terms,
}

/// The value of a parameter of a command.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Parameter {
    /// True or false.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A number.
    Float(f64),
    /// Text.
    Text(String),
}

impl fmt::Display for Parameter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(value) => write!(f, "{value}"),
            Self::Int(value) => write!(f, "{value}"),
            // The shortest text that gives the same number.
            Self::Float(value) => write!(f, "{value}"),
            Self::Text(value) => f.write_str(value),
        }
    }
}

/// A lock file, which names the packages that a command runs with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockFile {
    /// Its path in the project's folder.
    pub path: String,
    /// BLAKE3 hash of its bytes.
    pub hash: String,
}

/// A container image, and the program that runs commands in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Image {
    /// The image as the program takes it, with its digest, such as `debian@sha256:…`.
    pub reference: String,
    /// The words before those of the command, with the placeholders `{image}` and `{folder}`.
    pub with: Vec<String>,
}

impl Image {
    /// Names of the placeholders.
    pub const PLACEHOLDERS: [&str; 2] = ["image", "folder"];

    /// Whether a reference ends with a digest, which names one image for ever.
    pub fn has_digest(reference: &str) -> bool {
        let Some((name, digits)) = reference.rsplit_once("sha256:") else { return false };
        let is_digit = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
        digits.len() == 64 && digits.chars().all(is_digit) && (name.is_empty() || name.ends_with('@'))
    }

    /// Returns the words that come before the command, if it runs in `folder`.
    pub fn words(&self, folder: &str) -> Vec<String> {
        let value = |piece| match piece {
            Piece::Text(text) => text,
            Piece::Name("image") => &self.reference,
            Piece::Name("folder") => folder,
            Piece::Name(_) => "",
        };
        self.with.iter().map(|word| pieces(word).map(value).collect()).collect()
    }
}

/// What an output of a command contains.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OutputFormat {
    /// A table of numbers and text, written as CSV.
    Table,
    /// Any JSON value.
    Json,
    /// Tensors, written as safetensors.
    Weights,
    /// Any bytes.
    File,
    /// A drawing.
    Svg,
    /// A drawing.
    Pdf,
    /// A drawing.
    Png,
}

impl OutputFormat {
    /// All formats, with their names in pipelines.
    pub const ALL: [(&str, Self); 7] = [
        ("table", Self::Table),
        ("json", Self::Json),
        ("weights", Self::Weights),
        ("file", Self::File),
        ("svg", Self::Svg),
        ("pdf", Self::Pdf),
        ("png", Self::Png),
    ];

    /// Checks whether the numbers of an output can be compared.
    pub fn has_numbers(self) -> bool {
        match self {
            Self::Table | Self::Json | Self::Weights => true,
            Self::File | Self::Svg | Self::Pdf | Self::Png => false,
        }
    }

    /// Returns the extension of the file that the command writes.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Table => "csv",
            Self::Json => "json",
            Self::Weights => "safetensors",
            Self::File => "bin",
            Self::Svg => "svg",
            Self::Pdf => "pdf",
            Self::Png => "png",
        }
    }
}

/// An output of a command.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Out {
    /// What it contains.
    pub format: OutputFormat,
    /// The columns of a table.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub columns: Vec<String>,
}

/// Default time limit of a command in seconds.
pub const SECONDS: u32 = 3600;

/// Conditions of a run that are not part of its key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Terms {
    /// The folder that declared paths start from: that of the project.
    pub root: PathBuf,
    /// Longest duration in seconds.
    pub seconds: u64,
    /// Largest memory in bytes; 0 for no limit.
    pub memory: u64,
    /// The weakest isolation in which the command may run; `None` if the pipeline does not say.
    pub isolation: Option<Isolation>,
}

impl Command {
    /// Returns the name under which an output is recorded. Only tables and JSON are kept where numbers alone count, and
    /// the others say by their endings that they are bulk (see [`super::is_bulk`]).
    fn recorded(name: &str, out: &Out) -> String {
        match out.format {
            OutputFormat::Table | OutputFormat::Json => name.to_owned(),
            format => format!("{name}.{}", format.extension()),
        }
    }

    /// Returns the names between braces in a word of the command. `{{` stands for a brace.
    pub fn placeholders(word: &str) -> impl Iterator<Item = &str> {
        pieces(word).filter_map(|piece| if let Piece::Name(name) = piece { Some(name) } else { None })
    }

    /// Returns the words of the command with the values of its placeholders.
    pub fn words(&self) -> Vec<String> {
        let values = self.values();
        let value = |piece| match piece {
            Piece::Text(text) => text.to_owned(),
            Piece::Name(name) => values.get(name).cloned().unwrap_or_default(),
        };
        self.run.iter().map(|word| pieces(word).map(value).collect()).collect()
    }

    /// Returns what the placeholders stand for. Paths start in the command's own folder.
    pub fn values(&self) -> BTreeMap<String, String> {
        let mut values: BTreeMap<String, String> =
            self.parameters.iter().map(|(name, value)| (name.clone(), value.to_string())).collect();
        for input in &self.inputs {
            // `data/train.safetensors` is a file in a folder.
            let stem = input.rsplit_once('.').map_or(input.as_str(), |(stem, _)| stem);
            values.insert(format!("in.{}", stem.replace('/', ".")), format!("in/{input}"));
            if let Some((folder, _)) = input.split_once('/') {
                values.insert(format!("in.{folder}"), format!("in/{folder}"));
            }
        }
        for (name, out) in &self.out {
            values.insert(format!("out.{name}"), format!("out/{name}.{}", out.format.extension()));
        }
        values.extend(self.after.map(|after| ("after".to_owned(), after.to_string())));
        values
    }

    /// Lists the outputs by their recorded names, with their names in the pipeline.
    pub fn outputs(&self) -> impl Iterator<Item = (&'static str, &str, &Out)> {
        self.specs().iter().zip(&self.out).map(|(spec, (name, out))| (spec.name, name.as_str(), out))
    }

    /// Returns what the outputs are. The slices live as long as the program, as those of the other kinds do. There are as
    /// many as different declarations in the pipelines, so this takes little memory.
    pub fn specs(&self) -> &'static [OutputSpec] {
        type Known = HashMap<Vec<(String, Out)>, &'static [OutputSpec]>;
        static KNOWN: OnceLock<Mutex<Known>> = OnceLock::new();
        let mut known = KNOWN.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner);
        let declared: Vec<(String, Out)> = self.out.iter().map(|(name, out)| (name.clone(), out.clone())).collect();
        if let Some(specs) = known.get(&declared) {
            return specs;
        }
        let leak = |text: String| -> &'static str { Box::leak(text.into_boxed_str()) };
        let spec = |(name, out): &(String, Out)| {
            let columns = || -> &'static [&'static str] {
                Box::leak(out.columns.iter().map(|column| leak(column.clone())).collect())
            };
            let content = match out.format {
                OutputFormat::Table => Content::Table(columns()),
                OutputFormat::Svg | OutputFormat::Pdf | OutputFormat::Png => Content::Drawing,
                OutputFormat::Json => Content::Json,
                OutputFormat::Weights | OutputFormat::File => Content::Bytes,
            };
            OutputSpec::new(leak(Self::recorded(name, out)), content)
        };
        let specs: &'static [OutputSpec] = Box::leak(declared.iter().map(spec).collect());
        known.insert(declared, specs);
        specs
    }
}

/// A part of a word of a command.
enum Piece<'a> {
    /// Text as it is.
    Text(&'a str),
    /// The name of a placeholder.
    Name(&'a str),
}

/// Splits a word at its placeholders. A brace without its partner is text.
fn pieces(word: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = word;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        if let Some(after) = rest.strip_prefix("{{").or_else(|| rest.strip_prefix("}}")) {
            let brace = &rest[..1];
            rest = after;
            return Some(Piece::Text(brace));
        }
        if let Some((name, after)) = rest.strip_prefix('{').and_then(|inside| inside.split_once('}')) {
            rest = after;
            return Some(Piece::Name(name));
        }
        let end = rest[1..].find(['{', '}']).map_or(rest.len(), |at| at + 1);
        let (text, after) = rest.split_at_checked(end).unwrap_or((rest, ""));
        rest = after;
        Some(Piece::Text(text))
    })
}

impl Kind for Command {
    const NAME: &'static str = "command";
    const VERSION: u32 = 2;
    /// Each stage declares its own, see [`Command::specs`].
    const OUTPUTS: &'static [OutputSpec] = &[];

    fn tolerance(_: &str) -> Option<Tolerance> {
        Some(Tolerance::NONE)
    }

    fn inputs(&self) -> Vec<&str> {
        self.inputs.iter().map(String::as_str).collect()
    }

    fn import(&self) -> Option<Import<'_>> {
        None
    }

    fn holds(&self) -> Holds {
        Holds::Nothing
    }

    fn numerics(&self) -> Option<Numerics> {
        None
    }

    fn epochs(&self) -> Option<RangeInclusive<u32>> {
        self.after.and_then(one_row)
    }

    fn cost(&self, _: Images) -> Option<Cost> {
        None
    }

    fn has(&self, _: &str) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command() -> Command {
        let out = |format| Out { format, columns: Vec::new() };
        Command {
            run: ["sh", "{{{rho}}}", "{in.weights}:{in.data}", "--out={out.t}", "{after}", "{", "a}b"]
                .map(str::to_owned)
                .into(),
            inputs: ["data/test.safetensors", "data/train.safetensors", "weights.safetensors"]
                .map(str::to_owned)
                .into(),
            code: BTreeMap::new(),
            lock: None,
            image: None,
            out: [("t".to_owned(), out(OutputFormat::Table)), ("d".to_owned(), out(OutputFormat::Svg))].into(),
            parameters: [("rho".to_owned(), Parameter::Float(0.1))].into(),
            variables: BTreeMap::new(),
            after: Some(5),
            collected: BTreeMap::new(),
            tolerance: None,
            terms: Terms::default(),
        }
    }

    #[test]
    fn placeholders_stand_for_values_and_paths() {
        let command = command();
        let words = command.words();
        assert_eq!(
            words,
            ["sh", "{0.1}", "in/weights.safetensors:in/data", "--out=out/t.csv", "5", "{", "a}b"],
            "a doubled brace is a brace, and one without its partner is text"
        );
        let values = command.values();
        assert_eq!(values["in.data.train"], "in/data/train.safetensors");
        assert_eq!(values["out.d"], "out/d.svg");
        let names: Vec<_> = command.run.iter().flat_map(|word| Command::placeholders(word)).collect();
        assert_eq!(names, ["rho", "in.weights", "in.data", "out.t", "after"]);
    }

    #[test]
    fn an_image_is_named_by_its_digest() {
        let digest = format!("sha256:{}", "0a".repeat(32));
        for named in [digest.clone(), format!("debian@{digest}"), format!("docker://ghcr.io/a/b:tag@{digest}")] {
            assert!(Image::has_digest(&named), "{named}");
        }
        let upper = digest.replace('a', "A");
        for not in
            ["debian", "debian:12", "", &format!("debian:{digest}"), &digest[..70], &format!("{digest}0"), &upper]
        {
            assert!(!Image::has_digest(not), "{not}");
        }
        let with = ["run", "--volume={folder}:/work", "{image}", "{{x}}"].map(str::to_owned).into();
        let image = Image { reference: "i".to_owned(), with };
        assert_eq!(image.words("/f"), ["run", "--volume=/f:/work", "i", "{x}"]);
    }

    #[test]
    fn outputs_are_known_by_names_that_say_what_is_bulk() {
        let command = command();
        let names: Vec<_> = command.outputs().map(|(recorded, name, _)| (recorded, name)).collect();
        assert_eq!(names, [("d.svg", "d"), ("t", "t")]);
        assert!(crate::work::is_bulk("d.svg") && !crate::work::is_bulk("t"));
        // The same declaration has the same outputs, also in memory.
        assert!(std::ptr::eq(command.specs(), self::command().specs()));
    }

    #[test]
    fn terms_are_no_part_of_the_key() {
        let other = Command {
            terms: Terms { root: "elsewhere".into(), seconds: 9, memory: 9, isolation: Some(Isolation::Landlock) },
            ..command()
        };
        let encoded = |command: &Command| crate::value::encoded(command).unwrap();
        assert_eq!(encoded(&command()), encoded(&other));
        let later = Command { after: Some(6), ..command() };
        assert_ne!(encoded(&command()), encoded(&later));
        // What is not set is not encoded, so keys of earlier versions stay.
        assert!(!String::from_utf8_lossy(&encoded(&command())).contains("tolerance"));
        let tolerant = Command { tolerance: Some(Tolerance::NONE), ..command() };
        assert_ne!(encoded(&command()), encoded(&tolerant));
    }
}
