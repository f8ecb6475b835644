//! Describes all fields of pipelines as data, for the tables in docs/reference.md and the schemas in schemas/.
//!
//! No list of fields exists: the readers themselves note what they accept while they read sample pipelines. A field that
//! a reader asks for, but that no sample has, makes a test fail.

mod files;
mod reference;
mod schema;

pub use files::compare;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::accepts::Accepts;
use super::node::Node;
use super::origin::INHERITED;
use super::pipeline::{Pipeline, table, text_of};
use super::{expand, forms};
use base::work::KindName;

/// A question of a reader about a field.
#[derive(Debug, Clone)]
pub struct Note {
    name: &'static str,
    /// The accepted values, and the value of an absent field. Missing if the reader looks at the value itself.
    typed: Option<(Accepts, Option<String>)>,
    /// The chosen word.
    word: Option<String>,
}

impl Note {
    /// Notes that a reader looks at a field itself.
    pub fn untyped(name: &'static str) -> Self {
        Self { name, typed: None, word: None }
    }

    /// Notes what a reader accepts, and the value of an absent field.
    pub fn new(name: &'static str, accepts: &Accepts, default: Option<String>) -> Self {
        Self { name, typed: Some((accepts.clone(), default)), word: None }
    }

    /// Notes a choice among words, and what was chosen.
    pub fn choice<T: PartialEq>(
        name: &'static str,
        default: Option<&T>,
        words: &[(&str, T)],
        node: Option<&Node>,
    ) -> Self {
        let default = words.iter().find(|(_, value)| Some(value) == default).map(|(word, _)| (*word).to_owned());
        let word = node.map_or_else(|| default.clone(), |node| Some(text_of(Some(node))));
        Self { word, ..Self::new(name, &Accepts::words(words), default) }
    }
}

impl Accepts {
    /// Returns what accepts the values of both, if they are of the same kind.
    fn wider(&self, other: &Self) -> Option<Self> {
        match (self, other) {
            (Self::Integer(one), Self::Integer(other)) => {
                Some(Self::Integer(*one.start().min(other.start())..=*one.end().max(other.end())))
            }
            _ => (self == other).then(|| self.clone()),
        }
    }
}

thread_local! {
    /// The tables that were read in this thread since [`samples`] began.
    static READ: RefCell<Option<Vec<Read>>> = const { RefCell::new(None) };
}

/// A table that was read.
struct Read {
    /// The table's place in a pipeline, such as `stage train` or `a curve`.
    place: String,
    table: Node,
    notes: Vec<Note>,
}

/// Adds a table that was read.
pub fn add(what: &str, table: &Node, notes: Vec<Note>) {
    READ.with_borrow_mut(|read| {
        let Some(read) = read else { return };
        let place = match what.split_once(" `") {
            Some(("stage", _)) => format!("stage {}", text_of(field(table, "kind"))),
            Some(("the table", figure)) => figure.trim_end_matches('`').to_owned(),
            Some((place, _)) => place.to_owned(),
            None => what.to_owned(),
        };
        read.push(Read { place, table: table.clone(), notes });
    });
}

fn field<'a>(node: &'a Node, name: &str) -> Option<&'a Node> {
    table(node).get(name)
}

/// A field of a kind of table.
#[derive(Debug, Clone)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// The values that it accepts. Missing if its reader looks at the value itself.
    pub accepts: Option<Accepts>,
    /// Its value if it is absent.
    pub absent: Absent,
    /// The field that decides whether this one is read, and its words for which it is.
    pub only_if: Option<(&'static str, Vec<String>)>,
}

/// The value of an absent field.
#[derive(Debug, Clone, PartialEq)]
pub enum Absent {
    /// None: the field is required.
    Refused,
    /// That of the stage that the stage starts from.
    Inherited,
    /// One of these, depending on other fields.
    Values(BTreeSet<String>),
    /// None: the field is optional.
    Nothing,
}

/// Returns the fields of all tables of pipelines, by the table's place, in the order in which they are read.
pub fn places() -> BTreeMap<String, Vec<Field>> {
    let mut by_place: BTreeMap<String, Vec<Read>> = BTreeMap::new();
    for read in samples() {
        by_place.entry(read.place.clone()).or_default().push(read);
    }
    by_place.into_iter().map(|(place, reads)| (place.clone(), fields(&place, &reads))).collect()
}

/// Returns the fields of one kind of table from all tables of that kind that were read.
fn fields(place: &str, reads: &[Read]) -> Vec<Field> {
    let mut names: Vec<&'static str> = Vec::new();
    for note in reads.iter().flat_map(|read| &read.notes) {
        if !names.contains(&note.name) {
            names.push(note.name);
        }
    }
    let form = place.strip_prefix("stage ").and_then(KindName::named).and_then(forms::form);
    let starts = form.as_ref().is_some_and(|form| !form.references.is_empty() && !form.references.contains(&"in"));
    let is_reference = |name: &str| form.is_some() && forms::is_reference(name);
    names.retain(|name| !is_reference(name) || *name == "in");
    names.iter().map(|name| describe(name, reads, starts && INHERITED.contains(name))).collect()
}

fn describe(name: &'static str, reads: &[Read], is_inherited: bool) -> Field {
    let asked: Vec<&Read> = reads.iter().filter(|read| read.notes.iter().any(|note| note.name == name)).collect();
    let typed = |read: &Read| read.notes.iter().filter(|note| note.name == name && note.typed.is_some()).count();
    // A stage that reads an inherited field again has a default of its own.
    let is_inherited = is_inherited && asked.iter().all(|read| typed(read) < 2);
    let last: Vec<_> = asked.iter().filter_map(|read| read.last(name)?.typed.clone()).collect();
    let all = last.iter().map(|(accepts, _)| accepts.clone());
    let accepts = all.reduce(|one, other| {
        one.wider(&other).unwrap_or_else(|| panic!("`{name}` of {} is {one} and {other}", reads[0].place))
    });
    let defaults: BTreeSet<String> = last.into_iter().filter_map(|(_, default)| default).collect();
    let absent = match asked.iter().all(|read| field(&read.table, name).is_some()) {
        _ if is_inherited => Absent::Inherited,
        // An optional list is read as an `Option`.
        _ if defaults.iter().any(|default| default == "None") => Absent::Nothing,
        _ if !defaults.is_empty() => Absent::Values(defaults),
        true => Absent::Refused,
        false => Absent::Nothing,
    };
    Field { name, accepts, absent, only_if: only_if(name, reads) }
}

/// Finds the choice that decides whether a field is read: no table in which it is read has a word of the others. A field
/// that is read only if it is present has none.
fn only_if(name: &'static str, reads: &[Read]) -> Option<(&'static str, Vec<String>)> {
    let (with, without): (Vec<&Read>, Vec<&Read>) = reads.iter().partition(|read| read.last(name).is_some());
    if without.iter().any(|read| read.notes.iter().any(|note| note.name == name)) {
        return None;
    }
    let choices = reads[0].notes.iter().filter_map(|note| match &note.typed {
        Some((Accepts::Words(words), _)) if words.len() > 1 && note.name != name => Some(note.name),
        _ => None,
    });
    choices.into_iter().find_map(|choice| {
        let words = |reads: &[&Read]| reads.iter().filter_map(|read| read.word(choice)).collect::<BTreeSet<String>>();
        let (with, without) = (words(&with), words(&without));
        let decides = !with.is_empty() && !without.is_empty() && with.is_disjoint(&without);
        decides.then(|| (choice, with.into_iter().collect()))
    })
}

impl Read {
    /// Returns the last note of a reader that said what the field accepts. A stage that reads an inherited field again
    /// has a choice of its own.
    fn last(&self, name: &str) -> Option<&Note> {
        self.notes.iter().rfind(|note| note.name == name && note.typed.is_some())
    }

    /// Returns the chosen word.
    fn word(&self, choice: &str) -> Option<String> {
        self.last(choice)?.word.clone()
    }
}

/// Reads the profile `smoke` of all sample pipelines, and returns the tables that were read.
fn samples() -> Vec<Read> {
    READ.set(Some(Vec::new()));
    for path in files::pipelines() {
        let (name, file) = (path.file_stem().unwrap().to_str().unwrap(), path.to_str().unwrap());
        let text = std::fs::read_to_string(&path).unwrap();
        let graph = Pipeline::read(name, file, &text, "smoke", &[]).and_then(|pipeline| expand(&pipeline));
        if let Err(complaints) = graph {
            panic!("{}", complaints.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"));
        }
    }
    READ.take().unwrap()
}

/// Returns the checkout.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn samples_use_every_word_of_every_choice() {
    let mut wanted: BTreeMap<(String, &str), BTreeSet<String>> = BTreeMap::new();
    let mut used = wanted.clone();
    for read in samples() {
        for note in read.notes.iter().filter_map(|note| read.last(note.name)) {
            let Some((Accepts::Words(words), _)) = &note.typed else { continue };
            let place = (read.place.clone(), note.name);
            wanted.entry(place.clone()).or_default().extend(words.iter().cloned());
            used.entry(place).or_default().extend(note.word.clone());
        }
    }
    for (place, words) in &mut wanted {
        words.retain(|word| !used[place].contains(word));
    }
    wanted.retain(|_, words| !words.is_empty());
    assert!(wanted.is_empty(), "add to tests/fixtures/fields/fields.toml: {wanted:#?}");
}
