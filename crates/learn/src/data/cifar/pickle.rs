//! A reader for the pickles of CIFAR's Python version: a dictionary of strings, lists of integers and NumPy arrays.
//!
//! A pickle is a program for a stack machine, which can call any function of Python. This reader knows only the
//! instructions that such a dictionary needs, and the names of NumPy's constructors of arrays: it runs no code. Values are
//! in one table and refer to each other by number, so that a value used many times takes memory once; strings and arrays
//! are borrowed from the file; the number of instructions is limited. So memory is bounded, and cycles are harmless.

use std::borrow::Cow;
use std::collections::HashMap;

use super::npy::{Dtype, NpyArray};

/// Largest number of instructions; CIFAR-100's training set has some 210,000.
const MOST_INSTRUCTIONS: usize = 1_000_000;

/// The number of a value in the table.
type Id = usize;

/// A value.
#[derive(Debug)]
enum Value<'a> {
    /// `None`, a fraction, or a number that is too large.
    Other,
    Bool(bool),
    Int(i64),
    /// A string of bytes or characters.
    Text(&'a [u8]),
    /// A string whose characters represent bytes: Python 3 writes bytes in this form for Python 2.
    Latin1(&'a [u8]),
    List(Vec<Id>),
    Tuple(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    Function(Function),
    /// The type of an array's elements: its name, and the state with the byte order.
    Dtype {
        name: Id,
        state: Option<Id>,
    },
    /// An array whose parts are set later.
    Unbuilt,
    Array {
        dtype: Id,
        shape: Id,
        column_major: bool,
        data: Id,
    },
}

/// The known functions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Function {
    /// `numpy.core.multiarray._reconstruct`: an array without its parts.
    Reconstruct,
    /// `numpy.ndarray`, which only occurs as an argument.
    Ndarray,
    /// `numpy.dtype`.
    Dtype,
    /// `numpy.core.numeric._frombuffer`: an array, in protocol 5 and later.
    FromBuffer,
    /// `_codecs.encode`: bytes from a string.
    Encode,
}

impl Function {
    fn named(module: &[u8], name: &[u8]) -> Result<Self, String> {
        Ok(match (module, name) {
            (b"numpy.core.multiarray" | b"numpy._core.multiarray", b"_reconstruct") => Self::Reconstruct,
            (b"numpy.core.numeric" | b"numpy._core.numeric", b"_frombuffer") => Self::FromBuffer,
            (b"numpy", b"ndarray") => Self::Ndarray,
            (b"numpy", b"dtype") => Self::Dtype,
            (b"_codecs", b"encode") => Self::Encode,
            _ => {
                let text = |bytes: &[u8]| String::from_utf8_lossy(&bytes[..bytes.len().min(60)]).into_owned();
                return Err(format!(
                    "it calls `{}.{}`, which no CIFAR file does; nothing in it was run",
                    text(module),
                    text(name)
                ));
            }
        })
    }
}

/// A parsed pickle, whose root should be a dictionary.
#[derive(Debug)]
pub(super) struct Pickle<'a> {
    values: Vec<Value<'a>>,
    root: Id,
}

impl<'a> Pickle<'a> {
    /// Reads a pickle of protocol 2 to 5.
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, String> {
        let mut machine =
            Machine { rest: bytes, values: Vec::new(), stack: Vec::new(), marks: Vec::new(), memo: HashMap::new() };
        for _ in 0..MOST_INSTRUCTIONS {
            if machine.step()? {
                let root = machine.pop()?;
                return Ok(Self { values: machine.values, root });
            }
        }
        Err("it has far more instructions than a CIFAR file".to_owned())
    }

    /// Checks whether bytes begin like a pickle.
    pub(super) fn begins(bytes: &[u8]) -> bool {
        matches!(bytes, [0x80, 2..=5, ..])
    }

    /// Returns the dictionary's value for a key.
    fn entry(&self, key: &str) -> Result<&Value<'a>, String> {
        let Value::Dict(entries) = &self.values[self.root] else {
            return Err("it does not contain a dictionary".to_owned());
        };
        // If a key occurs twice, the last one counts, as in Python.
        let found = entries.iter().rev().find(|(found, _)| self.text(*found) == Some(key.as_bytes()));
        found.map(|(_, value)| &self.values[*value]).ok_or_else(|| format!("it has no `{key}`"))
    }

    /// Returns an array of the dictionary.
    pub(super) fn array(&self, key: &str) -> Result<NpyArray<'a>, String> {
        let about = |reason: String| format!("`{key}`: {reason}");
        let Value::Array { dtype, shape, column_major, data } = self.entry(key)? else {
            return Err(about("it is not an array".to_owned()));
        };
        let shape = self.shape(*shape).ok_or_else(|| about("the array has no shape".to_owned()))?;
        let dtype = self.dtype(*dtype).map_err(about)?;
        let data = self.bytes(*data).ok_or_else(|| about("the array has no data".to_owned()))?;
        NpyArray::new(dtype, shape, *column_major, data).map_err(about)
    }

    /// Returns the labels in a list or an array of the dictionary.
    pub(super) fn labels(&self, key: &str) -> Result<Vec<u8>, String> {
        let items = match self.entry(key)? {
            Value::List(items) | Value::Tuple(items) => items,
            Value::Array { .. } => return self.array(key)?.labels().map_err(|reason| format!("`{key}`: {reason}")),
            _ => return Err(format!("`{key}` is not a list")),
        };
        let label = |item: &Id| match self.values[*item] {
            Value::Int(number) => u8::try_from(number).ok(),
            _ => None,
        };
        let labels: Option<Vec<u8>> = items.iter().map(label).collect();
        labels.ok_or_else(|| format!("`{key}` does not contain only whole numbers from 0 to 255"))
    }

    fn text(&self, id: Id) -> Option<&'a [u8]> {
        match self.values[id] {
            Value::Text(text) | Value::Latin1(text) => Some(text),
            _ => None,
        }
    }

    fn bytes(&self, id: Id) -> Option<Cow<'a, [u8]>> {
        match self.values[id] {
            Value::Text(bytes) => Some(Cow::Borrowed(bytes)),
            Value::Latin1(text) => {
                let bytes: Option<Vec<u8>> =
                    std::str::from_utf8(text).ok()?.chars().map(|c| u8::try_from(c).ok()).collect();
                bytes.map(Cow::Owned)
            }
            _ => None,
        }
    }

    fn shape(&self, id: Id) -> Option<Vec<usize>> {
        let Value::Tuple(lengths) = &self.values[id] else { return None };
        let length = |id: &Id| match self.values[*id] {
            Value::Int(length) => usize::try_from(length).ok(),
            _ => None,
        };
        lengths.iter().map(length).collect()
    }

    fn dtype(&self, id: Id) -> Result<Dtype, String> {
        let Value::Dtype { name, state } = self.values[id] else { return Err("the array has no type".to_owned()) };
        let name = self.text(name).and_then(|name| std::str::from_utf8(name).ok()).unwrap_or_default();
        let dtype = Dtype::parse(name)?;
        // The state of a type is a tuple: a version, the byte order, and fields for other types.
        let order = match state.map(|state| &self.values[state]) {
            Some(Value::Tuple(parts)) => parts.get(1).and_then(|&order| self.text(order)),
            _ => None,
        };
        Ok(order.and_then(|order| std::str::from_utf8(order).ok()).map_or(dtype, |order| dtype.ordered(order)))
    }
}

/// The machine that executes a pickle.
struct Machine<'a> {
    rest: &'a [u8],
    values: Vec<Value<'a>>,
    stack: Vec<Id>,
    /// Heights of the stack at the marks.
    marks: Vec<usize>,
    memo: HashMap<usize, Id>,
}

impl<'a> Machine<'a> {
    /// Executes one instruction, and returns whether it was the last.
    fn step(&mut self) -> Result<bool, String> {
        let [code] = self.take(1)? else { return Err(ended()) };
        match code {
            b'.' => return Ok(true),
            // The protocol, and the number of following bytes, which are not needed.
            0x80 => drop(self.take(1)?),
            0x95 => drop(self.take(8)?),
            b'(' => self.marks.push(self.stack.len()),
            b'N' => self.push(Value::Other),
            0x88 => self.push(Value::Bool(true)),
            0x89 => self.push(Value::Bool(false)),
            b'K' => self.push_number(1)?,
            b'M' => self.push_number(2)?,
            b'J' => {
                let number = self.number(4)? as u32;
                self.push(Value::Int(i64::from(number as i32)));
            }
            0x8a => self.push_long()?,
            b'G' => {
                self.take(8)?;
                self.push(Value::Other);
            }
            b'U' | b'C' | 0x8c => self.push_text(1)?,
            b'T' | b'B' | b'X' => self.push_text(4)?,
            0x8d | 0x8e | 0x96 => self.push_text(8)?,
            b']' => self.push(Value::List(Vec::new())),
            b'}' => self.push(Value::Dict(Vec::new())),
            b')' => self.push(Value::Tuple(Vec::new())),
            0x85..=0x87 => {
                let start = self.stack.len().checked_sub(usize::from(code - 0x84)).ok_or_else(damaged)?;
                let items = self.pop_from(start)?;
                self.push(Value::Tuple(items));
            }
            b't' => {
                let items = self.pop_marked()?;
                self.push(Value::Tuple(items));
            }
            b'a' => {
                let item = self.pop()?;
                self.append(vec![item])?;
            }
            b'e' => {
                let items = self.pop_marked()?;
                self.append(items)?;
            }
            b's' => {
                let start = self.stack.len().checked_sub(2).ok_or_else(damaged)?;
                let items = self.pop_from(start)?;
                self.insert(&items)?;
            }
            b'u' => {
                let items = self.pop_marked()?;
                self.insert(&items)?;
            }
            b'q' => self.remember(1)?,
            b'r' => self.remember(4)?,
            0x94 => self.remember_as(self.memo.len())?,
            b'h' => self.recall(1)?,
            b'j' => self.recall(4)?,
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.push(Value::Function(Function::named(module, name)?));
            }
            0x93 => {
                let (name, module) = (self.pop_text()?, self.pop_text()?);
                self.push(Value::Function(Function::named(module, name)?));
            }
            b'R' => self.call()?,
            b'b' => self.build()?,
            _ => {
                return Err(format!(
                    "it has the instruction {code:#04x}, which no CIFAR file has; nothing in it was run"
                ));
            }
        }
        Ok(false)
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], String> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or_else(ended)?;
        self.rest = rest;
        Ok(taken)
    }

    /// Reads an unsigned number of `bytes` bytes.
    fn number(&mut self, bytes: usize) -> Result<u64, String> {
        let mut wide = [0; 8];
        wide[..bytes].copy_from_slice(self.take(bytes)?);
        Ok(u64::from_le_bytes(wide))
    }

    fn line(&mut self) -> Result<&'a [u8], String> {
        let length = self.rest.iter().position(|&byte| byte == b'\n').ok_or_else(ended)?;
        let line = self.take(length)?;
        self.take(1)?;
        Ok(line)
    }

    fn push(&mut self, value: Value<'a>) {
        self.stack.push(self.values.len());
        self.values.push(value);
    }

    fn push_number(&mut self, bytes: usize) -> Result<(), String> {
        let number = self.number(bytes)?;
        self.push(Value::Int(number as i64));
        Ok(())
    }

    fn push_long(&mut self) -> Result<(), String> {
        let length = self.number(1)? as usize;
        let bytes = self.take(length)?;
        let negative = bytes.last().is_some_and(|&last| last >= 0x80);
        let mut wide = [if negative { 0xff } else { 0 }; 8];
        self.push(match wide.get_mut(..length) {
            Some(low) => {
                low.copy_from_slice(bytes);
                Value::Int(i64::from_le_bytes(wide))
            }
            None => Value::Other,
        });
        Ok(())
    }

    fn push_text(&mut self, bytes: usize) -> Result<(), String> {
        let length = usize::try_from(self.number(bytes)?).map_err(|_| ended())?;
        let text = self.take(length)?;
        self.push(Value::Text(text));
        Ok(())
    }

    fn pop(&mut self) -> Result<Id, String> {
        let id = self.stack.pop().ok_or_else(damaged)?;
        // Values below a mark are accessible only after removing the mark.
        if self.marks.last().is_some_and(|&mark| mark > self.stack.len()) { Err(damaged()) } else { Ok(id) }
    }

    fn pop_from(&mut self, start: usize) -> Result<Vec<Id>, String> {
        if start > self.stack.len() || self.marks.last().is_some_and(|&mark| mark > start) {
            return Err(damaged());
        }
        Ok(self.stack.split_off(start))
    }

    fn pop_marked(&mut self) -> Result<Vec<Id>, String> {
        let start = self.marks.pop().ok_or_else(damaged)?;
        self.pop_from(start)
    }

    fn pop_text(&mut self) -> Result<&'a [u8], String> {
        let id = self.pop()?;
        if let Value::Text(text) = self.values[id] { Ok(text) } else { Err(damaged()) }
    }

    /// Returns the top value, which an instruction changes in place.
    fn top(&mut self) -> Result<&mut Value<'a>, String> {
        let id = *self.stack.last().ok_or_else(damaged)?;
        Ok(&mut self.values[id])
    }

    fn append(&mut self, new: Vec<Id>) -> Result<(), String> {
        let Value::List(items) = self.top()? else { return Err(damaged()) };
        items.extend(new);
        Ok(())
    }

    fn insert(&mut self, new: &[Id]) -> Result<(), String> {
        let (Value::Dict(entries), true) = (self.top()?, new.len().is_multiple_of(2)) else { return Err(damaged()) };
        entries.extend(new.chunks_exact(2).map(|pair| (pair[0], pair[1])));
        Ok(())
    }

    fn remember(&mut self, bytes: usize) -> Result<(), String> {
        let number = self.number(bytes)? as usize;
        self.remember_as(number)
    }

    fn remember_as(&mut self, number: usize) -> Result<(), String> {
        let id = *self.stack.last().ok_or_else(damaged)?;
        self.memo.insert(number, id);
        Ok(())
    }

    fn recall(&mut self, bytes: usize) -> Result<(), String> {
        let number = self.number(bytes)? as usize;
        let id = *self.memo.get(&number).ok_or_else(damaged)?;
        self.stack.push(id);
        Ok(())
    }

    /// Represents the result of a constructor, without running it.
    fn call(&mut self) -> Result<(), String> {
        let (arguments, function) = (self.pop()?, self.pop()?);
        let (Value::Tuple(arguments), &Value::Function(function)) = (&self.values[arguments], &self.values[function])
        else {
            return Err(damaged());
        };
        let value = match (function, &arguments[..]) {
            (Function::Reconstruct, _) => Value::Unbuilt,
            (Function::Dtype, &[name, ..]) => Value::Dtype { name, state: None },
            (Function::Encode, &[text, ..]) => match self.values[text] {
                Value::Text(text) => Value::Latin1(text),
                _ => return Err(damaged()),
            },
            (Function::FromBuffer, &[data, dtype, shape, order]) => {
                let column_major = matches!(self.values[order], Value::Text(b"F"));
                Value::Array { dtype, shape, column_major, data }
            }
            _ => return Err(damaged()),
        };
        self.push(value);
        Ok(())
    }

    /// Sets the parts of a constructed value.
    fn build(&mut self) -> Result<(), String> {
        let state = self.pop()?;
        let Value::Tuple(parts) = &self.values[state] else { return Err(damaged()) };
        let array = <[Id; 5]>::try_from(&parts[..]).ok().map(|[_, shape, dtype, order, data]| Value::Array {
            dtype,
            shape,
            column_major: matches!(self.values[order], Value::Bool(true) | Value::Int(1)),
            data,
        });
        let built = match self.top()? {
            Value::Dtype { name, .. } => Value::Dtype { name: *name, state: Some(state) },
            Value::Unbuilt => array.ok_or_else(damaged)?,
            _ => return Err(damaged()),
        };
        *self.top()? = built;
        Ok(())
    }
}

fn ended() -> String {
    "it ends too early".to_owned()
}

fn damaged() -> String {
    "it is not a pickle of a CIFAR file".to_owned()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// `{'batch_label': 'testing', 'labels': [3, 200], 'data': uint8 [[1, 2, 255], [128, 0, 7]], 'filenames': […],
    /// 'y': big-endian int32 [[5], [6]]}`, as Python 3 and NumPy 2 pickle it with the protocols 2 to 5.
    const BY_PYTHON: [&[u8]; 4] = [
        b"\x80\x02}q\x00(X\x0b\x00\x00\x00batch_labelq\x01X\x07\x00\x00\x00testingq\x02X\x06\x00\x00\x00labelsq\
          \x03]q\x04(K\x03K\xc8eX\x04\x00\x00\x00dataq\x05cnumpy._core.multiarray\x0a_reconstruct\x0aq\x06cnumpy\
          \x0andarray\x0aq\x07K\x00\x85q\x08c_codecs\x0aencode\x0aq\x09X\x01\x00\x00\x00bq\x0aX\x06\x00\x00\x00lat\
          in1q\x0b\x86q\x0cRq\x0d\x87q\x0eRq\x0f(K\x01K\x02K\x03\x86q\x10cnumpy\x0adtype\x0aq\x11X\x02\x00\x00\x00\
          u1q\x12\x89\x88\x87q\x13Rq\x14(K\x03X\x01\x00\x00\x00|q\x15NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tq\
          \x16b\x89h\x09X\x08\x00\x00\x00\x01\x02\xc3\xbf\xc2\x80\x00\x07q\x17h\x0b\x86q\x18Rq\x19tq\x1abX\x09\x00\
          \x00\x00filenamesq\x1b]q\x1c(X\x05\x00\x00\x00a.pngq\x1dX\x05\x00\x00\x00b.pngq\x1eeX\x01\x00\x00\x00yq\
          \x1fh\x06h\x07K\x00\x85q h\x0d\x87q!Rq\x22(K\x01K\x02K\x01\x86q#h\x11X\x02\x00\x00\x00i4q$\x89\x88\x87q%\
          Rq&(K\x03X\x01\x00\x00\x00>q'NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tq(b\x89h\x09X\x08\x00\x00\x00\
          \x00\x00\x00\x05\x00\x00\x00\x06q)h\x0b\x86q*Rq+tq,bu.",
        b"\x80\x03}q\x00(X\x0b\x00\x00\x00batch_labelq\x01X\x07\x00\x00\x00testingq\x02X\x06\x00\x00\x00labelsq\
          \x03]q\x04(K\x03K\xc8eX\x04\x00\x00\x00dataq\x05cnumpy._core.multiarray\x0a_reconstruct\x0aq\x06cnumpy\
          \x0andarray\x0aq\x07K\x00\x85q\x08C\x01bq\x09\x87q\x0aRq\x0b(K\x01K\x02K\x03\x86q\x0ccnumpy\x0adtype\x0a\
          q\x0dX\x02\x00\x00\x00u1q\x0e\x89\x88\x87q\x0fRq\x10(K\x03X\x01\x00\x00\x00|q\x11NNNJ\xff\xff\xff\xffJ\
          \xff\xff\xff\xffK\x00tq\x12b\x89C\x06\x01\x02\xff\x80\x00\x07q\x13tq\x14bX\x09\x00\x00\x00filenamesq\x15\
          ]q\x16(X\x05\x00\x00\x00a.pngq\x17X\x05\x00\x00\x00b.pngq\x18eX\x01\x00\x00\x00yq\x19h\x06h\x07K\x00\x85\
          q\x1ah\x09\x87q\x1bRq\x1c(K\x01K\x02K\x01\x86q\x1dh\x0dX\x02\x00\x00\x00i4q\x1e\x89\x88\x87q\x1fRq (K\
          \x03X\x01\x00\x00\x00>q!NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tq\x22b\x89C\x08\x00\x00\x00\x05\x00\
          \x00\x00\x06q#tq$bu.",
        b"\x80\x04\x955\x01\x00\x00\x00\x00\x00\x00}\x94(\x8c\x0bbatch_label\x94\x8c\x07testing\x94\x8c\x06labels\
          \x94]\x94(K\x03K\xc8e\x8c\x04data\x94\x8c\x16numpy._core.multiarray\x94\x8c\x0c_reconstruct\x94\x93\x94\
          \x8c\x05numpy\x94\x8c\x07ndarray\x94\x93\x94K\x00\x85\x94C\x01b\x94\x87\x94R\x94(K\x01K\x02K\x03\x86\x94\
          h\x09\x8c\x05dtype\x94\x93\x94\x8c\x02u1\x94\x89\x88\x87\x94R\x94(K\x03\x8c\x01|\x94NNNJ\xff\xff\xff\xff\
          J\xff\xff\xff\xffK\x00t\x94b\x89C\x06\x01\x02\xff\x80\x00\x07\x94t\x94b\x8c\x09filenames\x94]\x94(\x8c\
          \x05a.png\x94\x8c\x05b.png\x94e\x8c\x01y\x94h\x08h\x0bK\x00\x85\x94h\x0d\x87\x94R\x94(K\x01K\x02K\x01\
          \x86\x94h\x12\x8c\x02i4\x94\x89\x88\x87\x94R\x94(K\x03\x8c\x01>\x94NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xff\
          K\x00t\x94b\x89C\x08\x00\x00\x00\x05\x00\x00\x00\x06\x94t\x94bu.",
        b"\x80\x05\x95\x1b\x01\x00\x00\x00\x00\x00\x00}\x94(\x8c\x0bbatch_label\x94\x8c\x07testing\x94\x8c\x06labe\
          ls\x94]\x94(K\x03K\xc8e\x8c\x04data\x94\x8c\x13numpy._core.numeric\x94\x8c\x0b_frombuffer\x94\x93\x94(\
          \x96\x06\x00\x00\x00\x00\x00\x00\x00\x01\x02\xff\x80\x00\x07\x94\x8c\x05numpy\x94\x8c\x05dtype\x94\x93\
          \x94\x8c\x02u1\x94\x89\x88\x87\x94R\x94(K\x03\x8c\x01|\x94NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00t\
          \x94bK\x02K\x03\x86\x94\x8c\x01C\x94t\x94R\x94\x8c\x09filenames\x94]\x94(\x8c\x05a.png\x94\x8c\x05b.png\
          \x94e\x8c\x01y\x94h\x08(\x96\x08\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x05\x00\x00\x00\x06\x94h\x0c\
          \x8c\x02i4\x94\x89\x88\x87\x94R\x94(K\x03\x8c\x01>\x94NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00t\x94bK\
          \x02K\x01\x86\x94h\x13t\x94R\x94u.",
    ];

    /// Returns a batch as pickled by the authors' Python 2: `[n, 3072]` pixels and a list of labels.
    pub(in crate::data::cifar) fn python2(label_key: &str, labels: &[u8], pixels: &[u8]) -> Vec<u8> {
        let mut bytes = b"\x80\x02}q\x01(".to_vec();
        let mut add = |piece: &[u8]| bytes.extend_from_slice(piece);
        let short = |text: &str| [b"U", &[text.len() as u8][..], text.as_bytes()].concat();
        add(&[short("batch_label"), b"q\x02".to_vec(), short("training batch 1 of 5"), b"q\x03".to_vec()].concat());
        add(&[short(label_key), b"q\x04]q\x05(".to_vec()].concat());
        labels.iter().for_each(|&label| add(&[b'K', label]));
        add(&[b"e".to_vec(), short("data"), b"q\x06cnumpy.core.multiarray\n_reconstruct\nq\x07".to_vec()].concat());
        add(b"cnumpy\nndarray\nq\x08K\0\x85U\x01b\x87Rq\x09(K\x01M");
        add(&[&(labels.len() as u16).to_le_bytes()[..], b"M\x00\x0c\x86cnumpy\ndtype\nq\x0aU\x02u1K\0K\x01\x87Rq\x0b"]
            .concat());
        add(b"(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb\x89T");
        add(&[&(pixels.len() as u32).to_le_bytes()[..], pixels, b"tb"].concat());
        add(&[short("filenames"), b"q\x0c](".to_vec(), short("a_s_000001.png"), b"eu.".to_vec()].concat());
        bytes
    }

    fn refused(bytes: &[u8]) -> String {
        match Pickle::read(bytes) {
            Err(reason) => reason,
            Ok(pickle) => pickle.array("data").unwrap_err(),
        }
    }

    #[test]
    fn every_protocol_that_python_writes_is_read() {
        for (protocol, bytes) in (2..).zip(BY_PYTHON) {
            assert!(Pickle::begins(bytes));
            let pickle = Pickle::read(bytes).unwrap();
            assert_eq!(pickle.labels("labels").unwrap(), [3, 200], "{protocol}");
            assert_eq!(pickle.labels("y").unwrap(), [5, 6], "{protocol}");
            let shape = pickle.array("data").unwrap().into_pixels(true).unwrap_err();
            assert!(shape.ends_with("not (2, 3)"), "{protocol}: {shape}");
            assert_eq!(
                format!("{:?}", pickle.array("data").unwrap()),
                format!("{:?}", Pickle::read(BY_PYTHON[1]).unwrap().array("data").unwrap())
            );
            assert_eq!(
                pickle.labels("filenames").unwrap_err(),
                "`filenames` does not contain only whole numbers from 0 to 255"
            );
            assert_eq!(pickle.labels("none").unwrap_err(), "it has no `none`");
        }
    }

    #[test]
    fn what_python_2_wrote_is_read() {
        let pixels: Vec<u8> = (0..2 * 3072).map(|i| (i % 251) as u8).collect();
        let bytes = python2("labels", &[3, 9], &pixels);
        let pickle = Pickle::read(&bytes).unwrap();
        assert_eq!(pickle.labels("labels").unwrap(), [3, 9]);
        assert_eq!(pickle.array("data").unwrap().into_pixels(true).unwrap(), pixels);
    }

    #[test]
    fn nothing_is_called() {
        let evil = refused(b"\x80\x02cos\nsystem\nU\x02id\x85R.");
        assert_eq!(evil, "it calls `os.system`, which no CIFAR file does; nothing in it was run");
        for bytes in [
            &b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x02id\x85R."[..],
            b"\x80\x02c__builtin__\neval\nU\x01x\x85R.",
            b"\x80\x02cnumpy\nload\nU\x01x\x85R.",
        ] {
            assert!(refused(bytes).ends_with("which no CIFAR file does; nothing in it was run"), "{}", refused(bytes));
        }
        // INST, OBJ, NEWOBJ, persistent references and extension codes are refused.
        for code in *b"io\x81\x92PQ\x82\x83\x84" {
            assert!(refused(&[0x80, 2, b'(', code, b'.']).contains("which no CIFAR file has"), "{code:#x}");
        }
    }

    #[test]
    fn hostile_pickles_are_refused_in_bounded_memory_and_time() {
        assert_eq!(
            refused(&[&b"\x80\x02"[..], &[b'N'; 2_000_000]].concat()),
            "it has far more instructions than a CIFAR file"
        );
        // A list that contains itself, and deeply nested tuples.
        assert_eq!(refused(b"\x80\x02]q\x00h\x00a."), "it does not contain a dictionary");
        let mut nested = b"\x80\x02}q\x00U\x04data".to_vec();
        nested.extend_from_slice(b"h\x00");
        nested.extend([0x85; 100_000]);
        nested.extend_from_slice(b"s.");
        assert_eq!(refused(&nested), "`data`: it is not an array");
        // Strings that are announced but missing.
        for bytes in [
            &b"\x80\x02T\xff\xff\xff\xff"[..],
            b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\xffx",
            b"\x80\x02U\x09abc",
            b"\x80\x02",
        ] {
            assert_eq!(refused(bytes), "it ends too early");
        }
        // Wrong use of the stack and of marks.
        for bytes in [
            &b"\x80\x02."[..],
            b"\x80\x02t.",
            b"\x80\x02(N(\x85.",
            b"\x80\x02\x87.",
            b"\x80\x02Na.",
            b"\x80\x02}Ns.",
            b"\x80\x02h\x05.",
            b"\x80\x02NNR.",
            b"\x80\x02N)b.",
            b"\x80\x02}(Nu.",
        ] {
            assert_eq!(refused(bytes), "it is not a pickle of a CIFAR file", "{bytes:?}");
        }
        // A state of many parts, given to the same type many times.
        let mut built = b"\x80\x02(".to_vec();
        built.extend([b'N'; 300_000]);
        built.extend_from_slice(b"tq\x00cnumpy\ndtype\nU\x02u1\x85R");
        (0..200_000).for_each(|_| built.extend_from_slice(b"h\x00b"));
        built.push(b'.');
        assert_eq!(refused(&built), "it does not contain a dictionary");
    }

    #[test]
    fn arrays_that_do_not_fit_are_refused() {
        let good = python2("labels", &[3, 9], &[7; 2 * 3072]);
        let with = |from: &[u8], to: &[u8]| {
            let place = good.windows(from.len()).position(|window| window == from).unwrap();
            refused(&[&good[..place], to, &good[place + from.len()..]].concat())
        };
        assert_eq!(
            with(b"M\x02\0M\0\x0c", b"M\x03\0M\0\x0c"),
            "`data`: 6144 bytes of data do not match the shape (3, 3072)"
        );
        assert_eq!(
            with(b"U\x02u1", b"U\x02f4"),
            "`data`: its elements are `f4`, not whole numbers: save it with dtype uint8"
        );
        assert_eq!(with(b"M\x02\0M\0\x0c", b"J\xff\xff\xff\xffM\0\x0c"), "`data`: the array has no shape");
        assert!(with(b"tb\x89T", b"tb\x88T").contains("numpy.ascontiguousarray"));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]
        /// Reading a changed pickle always ends, with an array or a reason.
        #[test]
        fn changed_pickles_do_no_harm(which in 0..4_usize, changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
            let mut bytes = BY_PYTHON[which].to_vec();
            for (place, byte) in changes {
                let place = place.index(bytes.len());
                bytes[place] = byte;
            }
            if let Ok(pickle) = Pickle::read(&bytes) {
                for key in ["data", "y", "labels"] {
                    let _ = (pickle.labels(key), pickle.array(key).and_then(|array| array.into_pixels(true)));
                }
            }
        }
    }
}
