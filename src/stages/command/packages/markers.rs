//! Environment markers: conditions under which a package needs another one, such as `sys_platform == 'win32'`.

use std::cmp::Ordering;

/// The values of the variables that markers ask for, as far as they are known.
#[derive(Debug, Clone, Default)]
pub struct Platform {
    /// Version of Python, such as `3.11.7`.
    pub python: Option<String>,
    /// Name of the interpreter, such as `CPython`.
    pub implementation: Option<String>,
}

/// Whether two values fulfil a comparison; `None` if this cannot be known.
type Truth = Option<bool>;

impl Platform {
    /// Decides whether a marker holds in this environment. Returns `None` if the marker cannot be read, or depends on
    /// a variable with an unknown value.
    pub fn holds(&self, marker: &str) -> Truth {
        let tokens = tokens(marker)?;
        let mut parser = Parser { platform: self, rest: &tokens };
        let truth = parser.either();
        if parser.rest.is_empty() { truth } else { None }
    }

    fn value(&self, variable: &str) -> Option<String> {
        Some(match variable {
            "os_name" => "posix".to_owned(),
            "sys_platform" => "linux".to_owned(),
            "platform_system" => "Linux".to_owned(),
            "platform_machine" => std::env::consts::ARCH.to_owned(),
            "python_full_version" => self.python.clone()?,
            "python_version" => self.python.as_deref()?.split('.').take(2).collect::<Vec<_>>().join("."),
            "platform_python_implementation" => self.implementation.clone()?,
            "implementation_name" => self.implementation.as_deref()?.to_lowercase(),
            _ => return None,
        })
    }
}

/// A part of a marker.
#[derive(Debug, Clone, PartialEq)]
enum Token {
    /// A text in quotes.
    Text(String),
    /// A name of a variable, `and`, `or`, `in` or `not`.
    Word(String),
    /// A comparison or a parenthesis.
    Sign(String),
}

fn tokens(marker: &str) -> Option<Vec<Token>> {
    let (mut tokens, mut rest) = (Vec::new(), marker.trim_start());
    while let Some(first) = rest.chars().next() {
        let length_of = |is_part: fn(char) -> bool| rest.find(|c| !is_part(c)).unwrap_or(rest.len());
        let (token, length) = match first {
            '\'' | '"' => {
                let text = rest[1..].split_once(first)?.0;
                (Token::Text(text.to_owned()), text.len() + 2)
            }
            '(' | ')' => (Token::Sign(first.to_string()), 1),
            '=' | '!' | '<' | '>' | '~' => {
                let length = length_of(|c| "=!<>~".contains(c));
                (Token::Sign(rest[..length].to_owned()), length)
            }
            _ => {
                let length = length_of(|c| c.is_ascii_alphanumeric() || c == '_');
                (Token::Word(rest[..length].to_owned()), length)
            }
        };
        if length == 0 {
            return None;
        }
        tokens.push(token);
        rest = rest[length..].trim_start();
    }
    Some(tokens)
}

/// Evaluates a marker while reading it. `or` binds less than `and`.
struct Parser<'a> {
    platform: &'a Platform,
    rest: &'a [Token],
}

impl Parser<'_> {
    fn either(&mut self) -> Truth {
        let mut truth = self.both();
        while self.takes(&Token::Word("or".to_owned())) {
            let other = self.both();
            truth = if truth == Some(true) || other == Some(true) { Some(true) } else { truth.and(other) };
        }
        truth
    }

    fn both(&mut self) -> Truth {
        let mut truth = self.one();
        while self.takes(&Token::Word("and".to_owned())) {
            let other = self.one();
            truth = if truth == Some(false) || other == Some(false) { Some(false) } else { truth.and(other) };
        }
        truth
    }

    fn one(&mut self) -> Truth {
        if self.takes(&Token::Sign("(".to_owned())) {
            let truth = self.either();
            return if self.takes(&Token::Sign(")".to_owned())) { truth } else { None };
        }
        let (left, is_left_version) = self.operand();
        let comparison = match self.take()? {
            Token::Word(word) if word == "not" && self.takes(&Token::Word("in".to_owned())) => "not in".to_owned(),
            Token::Word(word) | Token::Sign(word) => word,
            Token::Text(_) => return None,
        };
        let (right, is_right_version) = self.operand();
        let (left, right) = (left?, right?);
        match is_left_version || is_right_version {
            true => versions(&left, &comparison, &right),
            false => texts(&left, &comparison, &right),
        }
    }

    /// Takes a text or the value of a variable. Also returns whether the variable holds a version.
    fn operand(&mut self) -> (Option<String>, bool) {
        match self.take() {
            Some(Token::Text(text)) => (Some(text), false),
            Some(Token::Word(name)) => (self.platform.value(&name), name.ends_with("_version")),
            _ => (None, false),
        }
    }

    fn take(&mut self) -> Option<Token> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(first.clone())
    }

    fn takes(&mut self, token: &Token) -> bool {
        let is_next = self.rest.first() == Some(token);
        if is_next {
            self.rest = &self.rest[1..];
        }
        is_next
    }
}

fn texts(left: &str, comparison: &str, right: &str) -> Truth {
    Some(match comparison {
        "==" | "===" => left == right,
        "!=" => left != right,
        "in" => right.contains(left),
        "not in" => !right.contains(left),
        _ => return None,
    })
}

fn versions(left: &str, comparison: &str, right: &str) -> Truth {
    let order = || compare(&release(left), &release(right));
    let is_equal = || match right.strip_suffix(".*") {
        Some(prefix) => release(left).starts_with(&release(prefix)),
        None => order() == Ordering::Equal,
    };
    Some(match comparison {
        "==" => is_equal(),
        "!=" => !is_equal(),
        "<" => order().is_lt(),
        "<=" => order().is_le(),
        ">" => order().is_gt(),
        ">=" => order().is_ge(),
        _ => return None,
    })
}

/// Returns the numbers of a version before the first part that is not a number.
fn release(version: &str) -> Vec<u32> {
    version.split('.').map_while(|part| part.parse().ok()).collect()
}

/// Compares versions of different lengths: `3.10` is `3.10.0`.
fn compare(one: &[u32], other: &[u32]) -> Ordering {
    let at = |numbers: &[u32], place: usize| numbers.get(place).copied().unwrap_or(0);
    let places = 0..one.len().max(other.len());
    places.map(|place| at(one, place).cmp(&at(other, place))).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markers_hold_as_they_say() {
        let platform = Platform { python: Some("3.11.7".into()), implementation: Some("CPython".into()) };
        for (marker, wanted) in [
            ("sys_platform == 'win32'", Some(false)),
            ("sys_platform != \"win32\"", Some(true)),
            ("python_full_version < '3.10'", Some(false)),
            ("python_full_version >= '3.11'", Some(true)),
            ("python_full_version == '3.11.*'", Some(true)),
            ("python_full_version == '3.1.*'", Some(false)),
            ("python_version <= '3.11'", Some(true)),
            ("'3.9' < python_version", Some(true)),
            ("platform_python_implementation != 'PyPy' and os_name == 'posix'", Some(true)),
            ("sys_platform in 'linux,darwin'", Some(true)),
            ("sys_platform not in 'linux,darwin'", Some(false)),
            ("sys_platform == 'win32' or sys_platform == 'linux' and python_version > '3'", Some(true)),
            ("(sys_platform == 'win32' or sys_platform == 'linux') and python_version > '4'", Some(false)),
            // An unknown part matters only if it decides.
            ("extra == 'plot'", None),
            ("extra == 'plot' or sys_platform == 'linux'", Some(true)),
            ("extra == 'plot' and sys_platform == 'linux'", None),
            ("extra == 'plot' and sys_platform == 'win32'", Some(false)),
            ("sys_platform =", None),
            ("sys_platform == 'linux' 'x'", None),
            ("sys_platform == 'linux", None),
            ("(sys_platform == 'linux'", None),
            ("python_version ~= '3.9'", None),
            ("é", None),
            ("", None),
        ] {
            assert_eq!(platform.holds(marker), wanted, "{marker}");
        }
        assert_eq!(Platform::default().holds("python_version > '3'"), None);
    }
}
