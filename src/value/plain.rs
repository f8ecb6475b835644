//! Typed parameters as plain data: what serde says of them, taken down as it is. What no parameter has is refused.

use serde::ser::{self, Serialize, Serializer};

use super::{Map, Value, ValueError};

/// Takes down one value, which complaints call by this name. An optional value that is absent comes out as none.
#[derive(Clone, Copy)]
pub(super) struct Plain<'a>(pub(super) &'a str);

impl ser::Error for ValueError {
    fn custom<T: std::fmt::Display>(message: T) -> Self {
        Self::Unsupported(message.to_string())
    }
}

type Taken = Result<Option<Value>, ValueError>;

impl<'a> Plain<'a> {
    fn refused<T>(self, what: &str) -> Result<T, ValueError> {
        Err(ValueError::Unsupported(format!("{} is {what}", self.0)))
    }

    /// A value that must be there.
    pub(super) fn present<T: Serialize + ?Sized>(self, value: &T) -> Result<Value, ValueError> {
        value.serialize(self)?.map_or_else(|| self.refused("absent"), Ok)
    }

    fn list(self, variant: Option<&'static str>) -> List<'a> {
        List { name: self, values: Vec::new(), variant }
    }
}

/// What a variant of an enumeration holds, under its name.
fn under(variant: Option<&'static str>, value: Value) -> Taken {
    Ok(Some(match variant {
        Some(name) => Value::Map([(name.to_owned(), value)].into()),
        None => value,
    }))
}

/// The values of a list so far.
pub(super) struct List<'a> {
    name: Plain<'a>,
    values: Vec<Value>,
    variant: Option<&'static str>,
}

/// The values of a map so far, and the name of the next one.
#[derive(Default)]
pub(super) struct Fields {
    fields: Map,
    next: String,
    variant: Option<&'static str>,
}

impl List<'_> {
    fn add<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), ValueError> {
        self.values.push(self.name.present(value)?);
        Ok(())
    }

    fn taken(self) -> Taken {
        under(self.variant, Value::List(self.values))
    }
}

impl Fields {
    fn add<T: Serialize + ?Sized>(&mut self, name: String, value: &T) -> Result<(), ValueError> {
        if let Some(value) = value.serialize(Plain(&name))? {
            self.fields.insert(name, value);
        }
        Ok(())
    }

    fn taken(self) -> Taken {
        under(self.variant, Value::Map(self.fields))
    }
}

/// Methods that take a number which fits into 64 bits.
macro_rules! integers {
    ($($method:ident: $type:ty),*) => {
        $(fn $method(self, value: $type) -> Taken {
            Ok(Some(Value::Int(i64::from(value))))
        })*
    };
}

impl<'a> Serializer for Plain<'a> {
    type Ok = Option<Value>;
    type Error = ValueError;
    type SerializeSeq = List<'a>;
    type SerializeTuple = List<'a>;
    type SerializeTupleStruct = List<'a>;
    type SerializeTupleVariant = List<'a>;
    type SerializeMap = Fields;
    type SerializeStruct = Fields;
    type SerializeStructVariant = Fields;

    integers!(serialize_i8: i8, serialize_i16: i16, serialize_i32: i32, serialize_i64: i64);
    integers!(serialize_u8: u8, serialize_u16: u16, serialize_u32: u32);

    fn serialize_u64(self, value: u64) -> Taken {
        i64::try_from(value).map_or_else(|_| self.refused("too large an integer"), |value| Ok(Some(Value::Int(value))))
    }

    fn serialize_bool(self, value: bool) -> Taken {
        Ok(Some(Value::Bool(value)))
    }

    fn serialize_f32(self, value: f32) -> Taken {
        self.serialize_f64(f64::from(value))
    }

    fn serialize_f64(self, value: f64) -> Taken {
        if value.is_nan() { Err(ValueError::NotANumber(self.0.to_owned())) } else { Ok(Some(Value::Float(value))) }
    }

    fn serialize_char(self, value: char) -> Taken {
        Ok(Some(Value::Text(value.to_string())))
    }

    fn serialize_str(self, value: &str) -> Taken {
        Ok(Some(Value::Text(value.to_owned())))
    }

    fn serialize_bytes(self, value: &[u8]) -> Taken {
        value.serialize(self)
    }

    fn serialize_none(self) -> Taken {
        Ok(None)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Taken {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Taken {
        self.refused("nothing")
    }

    fn serialize_unit_struct(self, _: &'static str) -> Taken {
        self.refused("nothing")
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Taken {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, value: &T) -> Taken {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Taken {
        under(Some(variant), self.present(value)?)
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<List<'a>, ValueError> {
        Ok(self.list(None))
    }

    fn serialize_tuple(self, _: usize) -> Result<List<'a>, ValueError> {
        Ok(self.list(None))
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<List<'a>, ValueError> {
        Ok(self.list(None))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<List<'a>, ValueError> {
        Ok(self.list(Some(variant)))
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Fields, ValueError> {
        Ok(Fields::default())
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Fields, ValueError> {
        Ok(Fields::default())
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Fields, ValueError> {
        Ok(Fields { variant: Some(variant), ..Fields::default() })
    }
}

/// The parts of a list all say the same in different words.
macro_rules! list {
    ($($part:ident: $method:ident),*) => {
        $(impl ser::$part for List<'_> {
            type Ok = Option<Value>;
            type Error = ValueError;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), ValueError> {
                self.add(value)
            }

            fn end(self) -> Taken {
                self.taken()
            }
        })*
    };
}

list!(
    SerializeSeq: serialize_element,
    SerializeTuple: serialize_element,
    SerializeTupleStruct: serialize_field,
    SerializeTupleVariant: serialize_field
);

macro_rules! fields {
    ($($part:ident),*) => {
        $(impl ser::$part for Fields {
            type Ok = Option<Value>;
            type Error = ValueError;

            fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), ValueError> {
                self.add(name.to_owned(), value)
            }

            fn end(self) -> Taken {
                self.taken()
            }
        })*
    };
}

fields!(SerializeStruct, SerializeStructVariant);

impl ser::SerializeMap for Fields {
    type Ok = Option<Value>;
    type Error = ValueError;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, name: &T) -> Result<(), ValueError> {
        self.next = match name.serialize(Plain("a name"))? {
            Some(Value::Text(name)) => name,
            _ => return Plain("a name").refused("no text"),
        };
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), ValueError> {
        let name = std::mem::take(&mut self.next);
        self.add(name, value)
    }

    fn end(self) -> Taken {
        self.taken()
    }
}
