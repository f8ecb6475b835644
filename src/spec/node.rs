//! A pipeline's TOML as a tree in which every value knows where it was written, so that later errors
//! can refer to that position.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

/// A pipeline file.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct SourceFile {
    /// Its path, for messages.
    pub name: String,
    /// Its text.
    pub text: String,
}

/// Where a value was written.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Origin {
    /// Bytes of a file.
    File(Arc<SourceFile>, Range<usize>),
    /// Bytes of the text of a `--set`.
    Set(Arc<str>, Range<usize>),
}

impl Origin {
    /// The origin of a whole `--set`.
    pub fn whole_set(assignment: &str) -> Self {
        Self::Set(assignment.into(), 0..assignment.len())
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(file, bytes) => {
                let above = file.text.bytes().take(bytes.start).filter(|byte| *byte == b'\n').count();
                write!(f, "{}:{}", file.name, above + 1)
            }
            Self::Set(text, _) => write!(f, "--set '{text}'"),
        }
    }
}

/// An error in a pipeline or a `--set`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Diagnostic {
    /// Where the error is.
    pub origin: Origin,
    /// What is wrong, and what to do.
    pub message: String,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.origin, self.message)
    }
}

/// The data of a value.
#[derive(Debug, Clone, PartialEq)]
pub enum Data {
    /// True or false.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A number with a point or an exponent.
    Float(f64),
    /// Text; `$name` stands for a setting.
    Text(String),
    /// Values in order.
    List(Vec<Node>),
    /// Values by name.
    Table(BTreeMap<String, Node>),
}

/// A value and where it was written.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Where it was written.
    pub origin: Origin,
    /// The value.
    pub data: Data,
}

impl Node {
    /// Creates a complaint about this value.
    pub fn complain(&self, message: impl Into<String>) -> Diagnostic {
        Diagnostic { origin: self.origin.clone(), message: message.into() }
    }

    /// Returns whether two nodes have the same value, regardless of where it was written.
    pub fn is_like(&self, other: &Self) -> bool {
        match (&self.data, &other.data) {
            (Data::List(these), Data::List(others)) => {
                these.len() == others.len() && these.iter().zip(others).all(|(this, other)| this.is_like(other))
            }
            (Data::Table(these), Data::Table(others)) => are_like(these, others),
            (this, other) => this == other,
        }
    }

    /// Describes the value for messages.
    pub fn describe(&self) -> String {
        match &self.data {
            Data::Bool(value) => value.to_string(),
            Data::Int(value) => value.to_string(),
            Data::Float(value) if value.fract() == 0.0 && value.abs() < 1e15 => format!("{value:.1}"),
            Data::Float(value) => value.to_string(),
            Data::Text(value) => format!("\"{value}\""),
            Data::List(_) => "a list".to_owned(),
            Data::Table(_) => "a table".to_owned(),
        }
    }
}

/// Returns whether two tables have the same values.
pub fn are_like(these: &BTreeMap<String, Node>, others: &BTreeMap<String, Node>) -> bool {
    these.len() == others.len()
        && these.iter().zip(others).all(|((name, this), (other_name, other))| name == other_name && this.is_like(other))
}

/// Parses the text of a pipeline file.
///
/// # Errors
/// If the text is not TOML; the error has the line.
pub fn parse_file(name: &str, text: &str) -> Result<Node, Diagnostic> {
    let file = Arc::new(SourceFile { name: name.to_owned(), text: text.to_owned() });
    let at = |bytes: Range<usize>| Origin::File(file.clone(), bytes);
    let table = DeTable::parse(text).map_err(|error| complaint(&error, &at))?;
    let origin = at(0..0);
    Ok(Node { origin, data: convert_table(table.get_ref(), &at)? })
}

/// Parses the `VALUE` of a `--set PATH=VALUE`: TOML, or bare text for convenience.
///
/// # Errors
/// If the value is missing, or is an incomplete or invalid list, table or number.
pub fn parse_set(assignment: &str, value: &str) -> Result<Node, Diagnostic> {
    let assignment: Arc<str> = assignment.into();
    let start = assignment.find('=').map_or(0, |equals| equals + 1);
    let start = start + assignment[start..].find(value).unwrap_or(0);
    let at = |bytes: Range<usize>| Origin::Set(assignment.clone(), start + bytes.start..start + bytes.end);
    // As in a file, a mistake in a value is shown at its name.
    let origin = Origin::Set(assignment.clone(), 0..assignment.find('=').unwrap_or(0));
    let bare = value.starts_with(|c: char| c.is_alphabetic() || c == '$');
    let path = assignment.split('=').next().unwrap_or_default().trim().to_owned();
    let wrong = |message: String| Err(Diagnostic { origin: origin.clone(), message });
    match DeValue::parse(value) {
        Ok(parsed) => Ok(Node { origin, ..convert(&parsed, &at)? }),
        Err(_) if bare => Ok(Node { origin, data: Data::Text(value.to_owned()) }),
        Err(_) if value.is_empty() => wrong("there is no value after the =".to_owned()),
        Err(_) if is_open(value) => wrong(format!(
            "the value is incomplete: a shell splits words at spaces, so put it in quotes, such as --set '{path}=[0.1, 0.2]'"
        )),
        Err(_) if value.starts_with('.') && value.parse::<f64>().is_ok() => {
            wrong(format!("a number has a digit before the point: --set {path}=0{value}"))
        }
        Err(_) if value.contains(',') && DeValue::parse(&format!("[{value}]")).is_ok() => {
            wrong(format!("several values are a list: --set '{path}=[{value}]'"))
        }
        Err(error) => Err(complaint(&error, &at)),
    }
}

/// Returns whether a list or table is not closed.
pub fn is_open(value: &str) -> bool {
    let count = |wanted: [char; 2]| value.chars().filter(|c| wanted.contains(c)).count();
    count(['[', '{']) > count([']', '}'])
}

fn complaint(error: &toml::de::Error, at: &impl Fn(Range<usize>) -> Origin) -> Diagnostic {
    let origin = at(error.span().unwrap_or(0..0));
    let is_conflict = match &origin {
        Origin::File(file, bytes) => ["<<<<<<<", "=======", ">>>>>>>"].iter().any(|mark| {
            let start = file.text[..bytes.start].rfind('\n').map_or(0, |end| end + 1);
            file.text[start..].starts_with(mark)
        }),
        Origin::Set(..) => false,
    };
    let message = match is_conflict {
        true => "this is a conflict marker of git: resolve the merge".to_owned(),
        false => format!("this is not TOML: {}", error.message()),
    };
    Diagnostic { origin, message }
}

fn convert(value: &Spanned<DeValue<'_>>, at: &impl Fn(Range<usize>) -> Origin) -> Result<Node, Diagnostic> {
    let origin = at(value.span());
    let wrong = |message: String| Diagnostic { origin: origin.clone(), message };
    let data = match value.get_ref() {
        DeValue::Boolean(value) => Data::Bool(*value),
        DeValue::Integer(value) => Data::Int(
            i64::from_str_radix(value.as_str(), value.radix())
                .map_err(|_| wrong(format!("{value} does not fit into 64 bits")))?,
        ),
        DeValue::Float(value) => {
            Data::Float(value.as_str().parse().map_err(|_| wrong(format!("{} is not a number", value.as_str())))?)
        }
        DeValue::String(value) => Data::Text(value.to_string()),
        DeValue::Datetime(_) => return Err(wrong("dates are not allowed here".to_owned())),
        DeValue::Array(values) => convert_list(values, at)?,
        DeValue::Table(fields) => convert_table(fields, at)?,
    };
    Ok(Node { origin, data })
}

fn convert_list(values: &DeArray<'_>, at: &impl Fn(Range<usize>) -> Origin) -> Result<Data, Diagnostic> {
    Ok(Data::List(values.iter().map(|value| convert(value, at)).collect::<Result<_, _>>()?))
}

fn convert_table(fields: &DeTable<'_>, at: &impl Fn(Range<usize>) -> Origin) -> Result<Data, Diagnostic> {
    let entry = |(name, value): (&Spanned<_>, &_)| {
        let mut node = convert(value, at)?;
        // A complaint about a table should point at its heading or key.
        node.origin = at(name.span());
        Ok((std::borrow::Cow::to_string(name.get_ref()), node))
    };
    Ok(Data::Table(fields.iter().map(entry).collect::<Result<_, _>>()?))
}

/// Returns `; did you mean …?` if one of `known` is similar to `word`.
pub fn did_you_mean<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let similarity = |candidate: &str| strsim::jaro_winkler(word, candidate);
    let best = known.into_iter().max_by(|a, b| similarity(a).total_cmp(&similarity(b)));
    match best {
        Some(best) if similarity(best) > 0.75 => format!("; did you mean `{best}`?"),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_know_their_lines() {
        let node = parse_file("p.toml", "a = 1\n\n[b]\nc = [1.5,\n  \"x\"]\n").unwrap();
        let Data::Table(root) = &node.data else { panic!() };
        assert_eq!(root["a"].origin.to_string(), "p.toml:1");
        assert_eq!(root["b"].origin.to_string(), "p.toml:3");
        let Data::Table(b) = &root["b"].data else { panic!() };
        let Data::List(list) = &b["c"].data else { panic!() };
        assert_eq!(list[1].origin.to_string(), "p.toml:5");
        assert_eq!(list[0].data, Data::Float(1.5));
    }

    #[test]
    fn what_is_not_toml_is_pointed_at() {
        let error = parse_file("p.toml", "a = 1\nb = = 2\n").unwrap_err();
        assert!(error.to_string().starts_with("p.toml:2: this is not TOML:"), "{error}");
        let error = parse_file("p.toml", "a = 99999999999999999999").unwrap_err();
        assert!(error.message.contains("64 bits"), "{error}");
        assert!(parse_file("p.toml", "a = 1979-05-27").is_err());
    }

    #[test]
    fn set_values_may_be_bare_words() {
        let data = |value: &str| parse_set("x", value).map(|node| node.data);
        assert_eq!(data("shapes10"), Ok(Data::Text("shapes10".into())));
        assert_eq!(data("true"), Ok(Data::Bool(true)));
        assert_eq!(data("1e-3"), Ok(Data::Float(0.001)));
        assert!(data("[1, 2").is_err());
        assert!(data("").is_err());
    }

    #[test]
    fn what_a_shell_parted_or_a_list_lacks_is_said() {
        let message = |set: &str| {
            let (_, value) = set.split_once('=').unwrap();
            parse_set(set, value).unwrap_err().to_string()
        };
        assert_eq!(
            message("lr=[0.1,"),
            "--set 'lr=[0.1,': the value is incomplete: a shell splits words at spaces, so put it in quotes, such as --set \
             'lr=[0.1, 0.2]'"
        );
        assert!(message("only={lr=[0.1]").contains("is incomplete"));
        assert_eq!(message("lr=0.1,0.2"), "--set 'lr=0.1,0.2': several values are a list: --set 'lr=[0.1,0.2]'");
        assert_eq!(message("lr="), "--set 'lr=': there is no value after the =");
        assert!(message("lr=0.1x").contains("this is not TOML"));
    }

    #[test]
    fn similar_words_are_suggested() {
        assert_eq!(did_you_mean("epocs", ["epochs", "batch"]), "; did you mean `epochs`?");
        assert_eq!(did_you_mean("zzz", ["epochs", "batch"]), "");
    }
}
