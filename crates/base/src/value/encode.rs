//! Canonical encoding of typed parameters: serde's output is written directly, then the fields of every map are
//! sorted. Unsupported types are refused.

use serde::ser::{self, Serialize, Serializer};

use super::{ValueError, encode_length, encode_text};

/// Encodes one value, whose name is used in error messages; returns whether a value was written: optional values can
/// be missing.
pub(super) struct Encoder<'a> {
    pub(super) name: &'a str,
    pub(super) to: &'a mut Vec<u8>,
}

impl ser::Error for ValueError {
    fn custom<T: std::fmt::Display>(message: T) -> Self {
        Self::Unsupported(message.to_string())
    }
}

type Written = Result<bool, ValueError>;

impl<'a> Encoder<'a> {
    fn refused<T>(self, what: &str) -> Result<T, ValueError> {
        Err(ValueError::Unsupported(format!("{} is {what}", self.name)))
    }

    fn tagged(self, tag: u8, bytes: &[u8]) -> Written {
        self.to.push(tag);
        self.to.extend(bytes);
        Ok(true)
    }

    /// Starts a variant with contents: it is a map with one value, under the variant's name.
    fn variant(self, name: &str) -> Self {
        self.to.push(6);
        encode_length(self.to, 1);
        encode_text(self.to, name);
        self
    }

    fn list(self) -> List<'a> {
        self.to.push(5);
        let start = self.to.len();
        encode_length(self.to, 0);
        List { name: self.name, to: self.to, start, count: 0 }
    }

    fn fields(self) -> Fields<'a> {
        self.to.push(6);
        let start = self.to.len();
        encode_length(self.to, 0);
        Fields { to: self.to, start, entries: Vec::with_capacity(16), name: String::new() }
    }
}

/// A list that is being written.
pub(super) struct List<'a> {
    name: &'a str,
    to: &'a mut Vec<u8>,
    /// Position of the length.
    start: usize,
    count: u64,
}

impl List<'_> {
    fn add<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), ValueError> {
        let (name, count) = (self.name, self.count + 1);
        if !value.serialize(Encoder { name, to: self.to })? {
            return Encoder { name, to: self.to }.refused("absent");
        }
        self.count = count;
        Ok(())
    }

    fn written(self) -> Written {
        self.to[self.start..self.start + 8].copy_from_slice(&self.count.to_le_bytes());
        Ok(true)
    }
}

/// A map that is being written.
pub(super) struct Fields<'a> {
    to: &'a mut Vec<u8>,
    /// Position of the number of entries.
    start: usize,
    /// Positions of the entries.
    entries: Vec<usize>,
    /// Name of the next entry, unless it comes with its value.
    name: String,
}

impl Fields<'_> {
    /// Adds a field; a field without a value is omitted.
    fn add<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) -> Result<(), ValueError> {
        let start = self.to.len();
        encode_text(self.to, name);
        if value.serialize(Encoder { name, to: self.to })? {
            self.entries.push(start);
        } else {
            self.to.truncate(start);
        }
        Ok(())
    }

    fn written(self) -> Written {
        let Self { to, start, entries, .. } = self;
        to[start..start + 8].copy_from_slice(&(entries.len() as u64).to_le_bytes());
        let ends = entries.iter().skip(1).copied().chain([to.len()]);
        let mut sorted: Vec<&[u8]> = entries.iter().zip(ends).map(|(&start, end)| &to[start..end]).collect();
        // Names are unique, so the bytes after them do not matter.
        sorted.sort_unstable_by_key(|entry| name_of(entry));
        let sorted = sorted.concat();
        to.truncate(start + 8);
        to.extend(sorted);
        Ok(true)
    }
}

/// Returns the name at the start of an entry.
fn name_of(entry: &[u8]) -> &[u8] {
    let Some((length, rest)) = entry.split_first_chunk() else { return entry };
    let length = usize::try_from(u64::from_le_bytes(*length)).unwrap_or(usize::MAX);
    rest.get(..length).unwrap_or(rest)
}

/// Defines methods for integers that fit into 64 bits.
macro_rules! integers {
    ($($method:ident: $type:ty),*) => {
        $(fn $method(self, value: $type) -> Written {
            self.tagged(2, &i64::from(value).to_le_bytes())
        })*
    };
}

impl<'a> Serializer for Encoder<'a> {
    type Ok = bool;
    type Error = ValueError;
    type SerializeSeq = List<'a>;
    type SerializeTuple = List<'a>;
    type SerializeTupleStruct = List<'a>;
    type SerializeTupleVariant = List<'a>;
    type SerializeMap = Fields<'a>;
    type SerializeStruct = Fields<'a>;
    type SerializeStructVariant = Fields<'a>;

    integers!(serialize_i8: i8, serialize_i16: i16, serialize_i32: i32, serialize_i64: i64);
    integers!(serialize_u8: u8, serialize_u16: u16, serialize_u32: u32);

    fn serialize_u64(self, value: u64) -> Written {
        match i64::try_from(value) {
            Ok(value) => self.serialize_i64(value),
            Err(_) => self.refused("too large an integer"),
        }
    }

    fn serialize_bool(self, value: bool) -> Written {
        self.tagged(1, &[u8::from(value)])
    }

    fn serialize_f32(self, value: f32) -> Written {
        self.serialize_f64(f64::from(value))
    }

    fn serialize_f64(self, value: f64) -> Written {
        match value.is_nan() {
            true => Err(ValueError::NotANumber(self.name.to_owned())),
            false => self.tagged(3, &value.to_bits().to_le_bytes()),
        }
    }

    fn serialize_char(self, value: char) -> Written {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(self, value: &str) -> Written {
        self.to.push(4);
        encode_text(self.to, value);
        Ok(true)
    }

    fn serialize_bytes(self, value: &[u8]) -> Written {
        value.serialize(self)
    }

    fn serialize_none(self) -> Written {
        Ok(false)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Written {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Written {
        self.refused("nothing")
    }

    fn serialize_unit_struct(self, _: &'static str) -> Written {
        self.refused("nothing")
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Written {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Written {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Written {
        let Self { name, to } = self.variant(variant);
        match value.serialize(Encoder { name, to })? {
            true => Ok(true),
            false => Encoder { name, to }.refused("absent"),
        }
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<List<'a>, ValueError> {
        Ok(self.list())
    }

    fn serialize_tuple(self, _: usize) -> Result<List<'a>, ValueError> {
        Ok(self.list())
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<List<'a>, ValueError> {
        Ok(self.list())
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<List<'a>, ValueError> {
        Ok(self.variant(variant).list())
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Fields<'a>, ValueError> {
        Ok(self.fields())
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Fields<'a>, ValueError> {
        Ok(self.fields())
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Fields<'a>, ValueError> {
        Ok(self.variant(variant).fields())
    }
}

/// The traits for lists differ only in the names of their methods.
macro_rules! lists {
    ($($kind:ident: $method:ident),*) => {
        $(impl ser::$kind for List<'_> {
            type Ok = bool;
            type Error = ValueError;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), ValueError> {
                self.add(value)
            }

            fn end(self) -> Written {
                self.written()
            }
        })*
    };
}

lists!(
    SerializeSeq: serialize_element,
    SerializeTuple: serialize_element,
    SerializeTupleStruct: serialize_field,
    SerializeTupleVariant: serialize_field
);

macro_rules! fields {
    ($($kind:ident),*) => {
        $(impl ser::$kind for Fields<'_> {
            type Ok = bool;
            type Error = ValueError;

            fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), ValueError> {
                self.add(name, value)
            }

            fn end(self) -> Written {
                self.written()
            }
        })*
    };
}

fields!(SerializeStruct, SerializeStructVariant);

impl ser::SerializeMap for Fields<'_> {
    type Ok = bool;
    type Error = ValueError;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, name: &T) -> Result<(), ValueError> {
        let mut bytes = Vec::new();
        name.serialize(Encoder { name: "a name", to: &mut bytes })?;
        match (bytes.first(), std::str::from_utf8(bytes.get(9..).unwrap_or_default())) {
            (Some(4), Ok(text)) => self.name = text.to_owned(),
            _ => return Encoder { name: "a name", to: &mut bytes }.refused("not a text"),
        }
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), ValueError> {
        let name = std::mem::take(&mut self.name);
        self.add(&name, value)
    }

    fn end(self) -> Written {
        self.written()
    }
}
