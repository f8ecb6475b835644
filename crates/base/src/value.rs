//! Parameters as plain data, and their canonical encoding for hashing.
//!
//! A [`Value`] is hashed as: one tag byte; then for a truth value one byte, for an integer 8 bytes
//! little-endian, for a number the 8 bytes of its IEEE-754 bits little-endian, for text its length in
//! bytes (8 bytes little-endian) and its UTF-8 bytes, for a list its length and its elements in order,
//! for a map its length and, in ascending order of the names' bytes, each name (as text without tag)
//! and its value. The encoding is injective: different values never give the same bytes.

mod encode;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};

use encode::Encoder;

/// Named values, in order of their names.
pub type Map = BTreeMap<String, Value>;

/// A parameter of a stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Value {
    /// True or false.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A finite number.
    Float(f64),
    /// Text.
    Text(String),
    /// Values in order.
    List(#[serde(deserialize_with = "nested")] Vec<Value>),
    /// Values by name.
    Map(#[serde(deserialize_with = "nested")] Map),
}

/// Parameters that cannot be hashed, with their name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// The number is NaN, which has many bit patterns and is not a valid parameter.
    #[error("{0} is not a number")]
    NotANumber(String),
    /// The type is not supported for parameters.
    #[error("{0}")]
    Unsupported(String),
}

impl Value {
    /// Converts parameters into plain data; a struct becomes a map of its fields.
    ///
    /// # Errors
    /// If a number is NaN, or the type is not supported.
    pub fn of<T: Serialize>(parameters: &T) -> Result<Self, ValueError> {
        let bytes = encoded(parameters)?;
        Self::decode(&mut &bytes[..]).ok_or_else(|| ValueError::Unsupported("the parameter is too large".to_owned()))
    }

    /// Converts plain data back into typed parameters.
    ///
    /// # Errors
    /// If a field is missing, unknown or of the wrong type.
    pub fn to<T: serde::de::DeserializeOwned>(&self) -> Result<T, ValueError> {
        self.to_toml().try_into().map_err(|e: toml::de::Error| ValueError::Unsupported(e.message().to_owned()))
    }

    fn to_toml(&self) -> toml::Value {
        match self {
            Self::Bool(value) => (*value).into(),
            Self::Int(value) => (*value).into(),
            Self::Float(value) => (*value).into(),
            Self::Text(value) => value.clone().into(),
            Self::List(values) => toml::Value::Array(values.iter().map(Self::to_toml).collect()),
            Self::Map(fields) => {
                toml::Value::Table(fields.iter().map(|(name, value)| (name.clone(), value.to_toml())).collect())
            }
        }
    }

    /// Decodes a value at the start of bytes written by [`encoded`].
    fn decode(bytes: &mut &[u8]) -> Option<Self> {
        let (tag, rest) = bytes.split_first()?;
        *bytes = rest;
        Some(match tag {
            1 => Self::Bool(take::<1>(bytes)? == [1]),
            2 => Self::Int(i64::from_le_bytes(take(bytes)?)),
            3 => Self::Float(f64::from_bits(u64::from_le_bytes(take(bytes)?))),
            4 => Self::Text(decode_text(bytes)?),
            5 => {
                let count = decode_length(bytes)?;
                Self::List((0..count).map(|_| Self::decode(bytes)).collect::<Option<_>>()?)
            }
            6 => {
                let count = decode_length(bytes)?;
                let fields = (0..count).map(|_| Some((decode_text(bytes)?, Self::decode(bytes)?)));
                Self::Map(fields.collect::<Option<_>>()?)
            }
            _ => return None,
        })
    }

    /// Appends the canonical encoding.
    pub fn encode(&self, to: &mut Vec<u8>) {
        match self {
            Self::Bool(value) => to.extend([1, u8::from(*value)]),
            Self::Int(value) => {
                to.push(2);
                to.extend(value.to_le_bytes());
            }
            Self::Float(value) => {
                to.push(3);
                to.extend(value.to_bits().to_le_bytes());
            }
            Self::Text(value) => {
                to.push(4);
                encode_text(to, value);
            }
            Self::List(values) => {
                to.push(5);
                encode_length(to, values.len());
                values.iter().for_each(|value| value.encode(to));
            }
            Self::Map(fields) => encode_map(to, fields),
        }
    }
}

/// Maximum nesting depth of lists and maps. The parameters of figures are 8 deep. Each further level takes only twelve bytes,
/// so that recursive decoding would overflow the stack.
const DEPTH: u32 = 32;

/// Decodes the contents of a list or map, unless it is nested too deeply.
fn nested<'de, D: Deserializer<'de>, T: Deserialize<'de>>(input: D) -> Result<T, D::Error> {
    thread_local!(static DEEP: Cell<u32> = const { Cell::new(0) });
    if DEEP.get() == DEPTH {
        return Err(serde::de::Error::custom(format!("lists and maps are more than {DEPTH} deep")));
    }
    DEEP.set(DEEP.get() + 1);
    let read = T::deserialize(input);
    DEEP.set(DEEP.get() - 1);
    read
}

/// Returns the canonical encoding of parameters, the same as that of their [`Value::of`].
///
/// # Errors
/// See [`Value::of`].
pub fn encoded<T: Serialize>(parameters: &T) -> Result<Vec<u8>, ValueError> {
    let (name, mut bytes) = ("the parameter", Vec::with_capacity(1 << 9));
    match parameters.serialize(Encoder { name, to: &mut bytes })? {
        true => Ok(bytes),
        false => Err(ValueError::Unsupported(format!("{name} is absent"))),
    }
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*taken)
}

fn decode_length(bytes: &mut &[u8]) -> Option<u64> {
    take(bytes).map(u64::from_le_bytes)
}

fn decode_text(bytes: &mut &[u8]) -> Option<String> {
    let length = usize::try_from(decode_length(bytes)?).ok()?;
    let (text, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    String::from_utf8(text.to_vec()).ok()
}

/// Appends the canonical encoding of a map.
pub fn encode_map(to: &mut Vec<u8>, fields: &Map) {
    to.push(6);
    encode_length(to, fields.len());
    for (name, value) in fields {
        encode_text(to, name);
        value.encode(to);
    }
}

/// Appends the length of a sequence: 8 bytes, little-endian.
pub fn encode_length(to: &mut Vec<u8>, length: usize) {
    to.extend((length as u64).to_le_bytes());
}

/// Appends text: its length in bytes, then its bytes.
pub fn encode_text(to: &mut Vec<u8>, text: &str) {
    encode_length(to, text.len());
    to.extend(text.as_bytes());
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(value) => write!(f, "{value}"),
            Self::Int(value) => write!(f, "{value}"),
            Self::Float(value) => write!(f, "{value}"),
            Self::Text(value) => f.write_str(value),
            Self::List(values) => {
                f.write_str("[")?;
                for (i, value) in values.iter().enumerate() {
                    write!(f, "{}{value}", if i > 0 { ", " } else { "" })?;
                }
                f.write_str("]")
            }
            Self::Map(fields) => {
                f.write_str("{")?;
                for (i, (name, value)) in fields.iter().enumerate() {
                    write!(f, "{}{name} = {value}", if i > 0 { ", " } else { "" })?;
                }
                f.write_str("}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(value: &Value) -> String {
        let mut bytes = Vec::new();
        value.encode(&mut bytes);
        blake3::hash(&bytes).to_hex().to_string()
    }

    fn sample() -> Value {
        let list = Value::List(vec![Value::Bool(true), Value::Int(-1), Value::Float(0.1)]);
        Value::Map([("list".into(), list), ("text".into(), Value::Text("ä".into()))].into())
    }

    #[test]
    fn the_encoding_is_pinned() {
        // Computed by hand-written Python (blake3) from the description in the module's documentation.
        let mut bytes = vec![6];
        bytes.extend(2_u64.to_le_bytes());
        bytes.extend(4_u64.to_le_bytes());
        bytes.extend(b"list");
        bytes.push(5);
        bytes.extend(3_u64.to_le_bytes());
        bytes.extend([1, 1, 2]);
        bytes.extend((-1_i64).to_le_bytes());
        bytes.push(3);
        bytes.extend(0x3fb9_9999_9999_999a_u64.to_le_bytes());
        bytes.extend(4_u64.to_le_bytes());
        bytes.extend(b"text");
        bytes.push(4);
        bytes.extend(2_u64.to_le_bytes());
        bytes.extend([0xc3, 0xa4]);
        assert_eq!(hash(&sample()), blake3::hash(&bytes).to_hex().to_string());
    }

    #[test]
    fn different_values_hash_differently() {
        let text = |text: &str| Value::Text(text.into());
        let values = [
            Value::Bool(true),
            Value::Int(1),
            Value::Float(1.0),
            Value::Float(0.0),
            Value::Float(-0.0),
            text("1"),
            Value::List(vec![]),
            Value::List(vec![text("ab"), text("c")]),
            Value::List(vec![text("a"), text("bc")]),
            Value::List(vec![Value::List(vec![text("a")]), text("bc")]),
            Value::Map(Map::new()),
            sample(),
        ];
        let hashes: std::collections::BTreeSet<_> = values.iter().map(hash).collect();
        assert_eq!(hashes.len(), values.len());
    }

    #[test]
    fn what_is_nested_too_deeply_is_refused_before_the_stack_ends() {
        let nest = |depth| (0..depth).fold(Value::Int(1), |value, _| Value::List(vec![value]));
        let read = |value: &Value| serde_json::from_str::<Value>(&serde_json::to_string(value).unwrap());
        assert_eq!(read(&nest(32)).unwrap(), nest(32));
        assert!(read(&nest(33)).unwrap_err().to_string().contains("more than 32 deep"));
        assert_eq!(read(&nest(32)).unwrap(), nest(32), "the depth is reset after an error");
    }

    #[test]
    fn what_is_taken_down_is_what_toml_says() {
        #[derive(Serialize)]
        enum Choice {
            Plain,
            One(f64),
            Two(u8, i32),
            #[serde(rename = "named")]
            Named {
                flag: bool,
                nothing: Option<u8>,
            },
        }
        #[derive(Serialize)]
        struct Inner(f32);
        #[derive(Serialize)]
        struct All {
            choices: Vec<Choice>,
            pair: (u64, char),
            map: BTreeMap<String, Option<Inner>>,
            absent: Option<String>,
            infinite: f64,
        }
        let named = |nothing| Choice::Named { flag: true, nothing };
        let all = All {
            choices: vec![Choice::Plain, Choice::One(-0.0), Choice::Two(1, -2), named(None), named(Some(3))],
            pair: (7, 'ä'),
            map: [("b".to_owned(), Some(Inner(0.5))), ("a".to_owned(), None)].into(),
            absent: None,
            infinite: f64::INFINITY,
        };
        let value = Value::of(&all).unwrap();
        assert_eq!(value.to_toml(), toml::Value::try_from(&all).unwrap());
        let mut bytes = Vec::new();
        value.encode(&mut bytes);
        assert_eq!(encoded(&all).unwrap(), bytes);
        assert!(Value::of(&u64::MAX).is_err() && Value::of(&()).is_err() && Value::of(&[None::<u8>]).is_err());
        assert_eq!(Value::of(&[("x", f64::NAN)]).unwrap_err(), ValueError::NotANumber("the parameter".to_owned()));
    }

    #[test]
    fn typed_parameters_round_trip_and_nan_is_refused() {
        #[derive(Debug, PartialEq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Parameters {
            lr: f64,
            name: String,
            #[serde(skip_serializing_if = "Option::is_none", default)]
            ema: Option<f64>,
        }
        let parameters = Parameters { lr: 0.1, name: "x".into(), ema: None };
        let value = Value::of(&parameters).unwrap();
        assert_eq!(value.to_string(), "{lr = 0.1, name = x}");
        assert_eq!(value.to::<Parameters>().unwrap(), parameters);
        assert!(Value::of(&Parameters { lr: f64::NAN, ..parameters }).is_err());
    }
}
