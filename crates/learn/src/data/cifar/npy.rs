//! Arrays of integers in NumPy's format (`.npy`, the members of an `.npz`), and their images and labels.

use std::borrow::Cow;
use std::io::Read;

use crate::data::images::IMAGE_BYTES;

/// Total number of images in CIFAR; larger arrays are refused before they are read.
const MOST_IMAGES: usize = 60_000;
/// Largest number of bytes of a header; NumPy's have 118.
const HEADER_LIMIT: usize = 1 << 16;

/// The type of an array's elements, which are integers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Dtype {
    signed: bool,
    bytes: usize,
    big_endian: bool,
}

impl Dtype {
    /// Parses a type by its NumPy name: `|u1`, `<i8`, `u1`.
    pub(super) fn parse(name: &str) -> Result<Self, String> {
        let (big_endian, kind) = match name.split_at_checked(1) {
            Some(("<" | "|" | "=", kind)) => (false, kind),
            Some((">", kind)) => (true, kind),
            _ => (false, name),
        };
        let (signed, bytes) = match kind {
            "u1" => (false, 1),
            "u2" => (false, 2),
            "u4" => (false, 4),
            "u8" => (false, 8),
            "i1" => (true, 1),
            "i2" => (true, 2),
            "i4" => (true, 4),
            "i8" => (true, 8),
            _ => return Err(format!("its elements are `{name}`, not whole numbers: save it with dtype uint8")),
        };
        Ok(Self { signed, bytes, big_endian })
    }

    /// Returns the type with another byte order: `<` or `>`; `|` and `=` count as little-endian.
    pub(super) fn ordered(self, order: &str) -> Self {
        Self { big_endian: order == ">", ..self }
    }

    /// Returns the value of one element; `None` if it does not fit.
    fn number(self, element: &[u8]) -> Option<i64> {
        let mut wide = [0; 8];
        for (place, &byte) in element.iter().enumerate() {
            *wide.get_mut(if self.big_endian { self.bytes - 1 - place } else { place })? = byte;
        }
        let unsigned = u64::from_le_bytes(wide);
        if !self.signed {
            return i64::try_from(unsigned).ok();
        }
        let unused = 64 - 8 * self.bytes as u32;
        Some((unsigned << unused) as i64 >> unused)
    }
}

/// An array of integers.
#[derive(Debug)]
pub(super) struct NpyArray<'a> {
    dtype: Dtype,
    shape: Vec<usize>,
    data: Cow<'a, [u8]>,
}

impl<'a> NpyArray<'a> {
    /// Creates an array, if shape and data match.
    pub(super) fn new(
        dtype: Dtype,
        shape: Vec<usize>,
        column_major: bool,
        data: Cow<'a, [u8]>,
    ) -> Result<Self, String> {
        if data.len() != size(dtype, &shape, column_major)? {
            return Err(format!("{} bytes of data do not match the shape {}", data.len(), tuple(&shape)));
        }
        Ok(Self { dtype, shape, data })
    }

    /// Returns the pixels of the images, each in the order of [`IMAGE_BYTES`]. `flat` allows images that are rows of 3072
    /// bytes, which in CIFAR's own files are red, green and blue one after the other.
    pub(super) fn into_pixels(self, flat: bool) -> Result<Vec<u8>, String> {
        if self.dtype.bytes != 1 || self.dtype.signed {
            return Err("the pixels are not bytes: save them with dtype uint8, from 0 to 255".to_owned());
        }
        match *self.shape {
            [_, 3, 32, 32] => Ok(self.data.into_owned()),
            [_, IMAGE_BYTES] if flat => Ok(self.data.into_owned()),
            [_, 32, 32, 3] => {
                let mut pixels = Vec::with_capacity(self.data.len());
                for image in self.data.chunks_exact(IMAGE_BYTES) {
                    for color in 0..3 {
                        pixels.extend(image.iter().skip(color).step_by(3));
                    }
                }
                Ok(pixels)
            }
            _ => Err(format!(
                "images are expected in the shape (n, 32, 32, 3) or (n, 3, 32, 32), not {}",
                tuple(&self.shape)
            )),
        }
    }

    /// Returns the labels in a row or a column of numbers.
    pub(super) fn labels(&self) -> Result<Vec<u8>, String> {
        let ([_] | [_, 1]) = *self.shape else {
            return Err(format!("labels are expected in the shape (n,) or (n, 1), not {}", tuple(&self.shape)));
        };
        let label = |element: &[u8]| self.dtype.number(element).and_then(|number| u8::try_from(number).ok());
        let labels: Option<Vec<u8>> = self.data.chunks_exact(self.dtype.bytes).map(label).collect();
        labels.ok_or_else(|| "a label is not between 0 and 255".to_owned())
    }
}

/// Reads an array from a `.npy` file. Arrays larger than a data set are refused before they are read.
pub(super) fn read(reader: &mut dyn Read) -> Result<NpyArray<'static>, ReadError> {
    let mut start = [0; 8];
    reader.read_exact(&mut start)?;
    let header = match start {
        [0x93, b'N', b'U', b'M', b'P', b'Y', version @ 1..=3, _] => {
            let mut length = [0; 4];
            reader.read_exact(&mut length[..if version == 1 { 2 } else { 4 }])?;
            let length = u32::from_le_bytes(length) as usize;
            if length > HEADER_LIMIT {
                return Err(ReadError::Wrong(format!("its header has {length} bytes")));
            }
            let mut header = vec![0; length];
            reader.read_exact(&mut header)?;
            String::from_utf8_lossy(&header).into_owned()
        }
        _ => return Err(ReadError::Wrong("it is not a NumPy array".to_owned())),
    };
    let (dtype, shape, column_major) = parse_header(&header).map_err(ReadError::Wrong)?;
    let expected = size(dtype, &shape, column_major).map_err(ReadError::Wrong)?;
    let mut data = Vec::new();
    reader.take(expected as u64 + 1).read_to_end(&mut data)?;
    NpyArray::new(dtype, shape, column_major, Cow::Owned(data)).map_err(ReadError::Wrong)
}

/// The reason why an array could not be read.
#[derive(Debug)]
pub(super) enum ReadError {
    /// The bytes could not be read.
    Io(std::io::Error),
    /// The bytes are not an array of integers.
    Wrong(String),
}

impl From<std::io::Error> for ReadError {
    fn from(error: std::io::Error) -> Self {
        Self::Io(error)
    }
}

/// Returns the number of bytes of an array, if it could be one of CIFAR's.
fn size(dtype: Dtype, shape: &[usize], column_major: bool) -> Result<usize, String> {
    let elements = shape.iter().try_fold(1_usize, |product, &length| product.checked_mul(length));
    let limit = MOST_IMAGES * IMAGE_BYTES;
    let size = elements.and_then(|elements| elements.checked_mul(dtype.bytes)).filter(|&size| size <= limit);
    let size = size.ok_or_else(|| format!("the shape {} is larger than CIFAR", tuple(shape)))?;
    if column_major && shape.iter().filter(|&&length| length != 1).count() > 1 {
        return Err("it is stored column by column: save numpy.ascontiguousarray of it".to_owned());
    }
    Ok(size)
}

/// Parses the dictionary of a header: `{'descr': '|u1', 'fortran_order': False, 'shape': (50000, 32, 32, 3), }`.
fn parse_header(text: &str) -> Result<(Dtype, Vec<usize>, bool), String> {
    let value = |key: &str| {
        let (_, rest) = text.split_once(&format!("'{key}':"))?;
        Some(rest.trim_start())
    };
    let quoted = |rest: &str| rest.strip_prefix('\'')?.split_once('\'').map(|(name, _)| name.to_owned());
    let dtype = value("descr").and_then(quoted).ok_or("its elements are not numbers: save it with dtype uint8")?;
    let column_major = match value("fortran_order") {
        Some(rest) if rest.starts_with("True") => true,
        Some(rest) if rest.starts_with("False") => false,
        _ => return Err("its header does not contain the order of the numbers".to_owned()),
    };
    let lengths = value("shape").and_then(|rest| rest.strip_prefix('(')?.split_once(')').map(|(lengths, _)| lengths));
    let lengths = lengths.ok_or("its header has no shape")?.split(',').map(str::trim);
    // Python 2 wrote `10000L`.
    let shape = lengths.filter(|length| !length.is_empty()).map(|length| length.trim_end_matches('L').parse());
    let shape = shape.collect::<Result<_, _>>().map_err(|_| "its header has no shape")?;
    Ok((Dtype::parse(&dtype)?, shape, column_major))
}

/// Formats a shape as Python does.
fn tuple(shape: &[usize]) -> String {
    let lengths: Vec<_> = shape.iter().map(usize::to_string).collect();
    if let [one] = &lengths[..] { format!("({one},)") } else { format!("({})", lengths.join(", ")) }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Returns a `.npy` file as NumPy writes it.
    pub(in crate::data::cifar) fn npy(descr: &str, shape: &str, data: &[u8]) -> Vec<u8> {
        let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}");
        let header = format!("{header:<117}\n");
        let length = (header.len() as u16).to_le_bytes();
        [b"\x93NUMPY\x01\x00", &length[..], header.as_bytes(), data].concat()
    }

    fn wrong(bytes: &[u8]) -> String {
        match read(&mut &bytes[..]) {
            Err(ReadError::Wrong(reason)) => reason,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn labels_of_every_width_are_read() {
        for (descr, data) in [
            ("|u1", vec![7, 0, 255]),
            ("<i8", [7_i64, 0, 255].iter().flat_map(|n| n.to_le_bytes()).collect()),
            (">i4", [7_i32, 0, 255].iter().flat_map(|n| n.to_be_bytes()).collect()),
            ("<u2", [7_u16, 0, 255].iter().flat_map(|n| n.to_le_bytes()).collect()),
        ] {
            for shape in ["(3,)", "(3, 1)", "(3L,)"] {
                let array = read(&mut &npy(descr, shape, &data)[..]).unwrap();
                assert_eq!(array.labels().unwrap(), [7, 0, 255], "{descr} {shape}");
            }
        }
        for (descr, data) in [("|i1", vec![255]), ("<i2", vec![0, 1]), ("<u8", vec![255; 8])] {
            let array = read(&mut &npy(descr, "(1,)", &data)[..]).unwrap();
            assert_eq!(array.labels().unwrap_err(), "a label is not between 0 and 255", "{descr}");
        }
        let one_hot = read(&mut &npy("|u1", "(1, 3)", &[0, 1, 0])[..]).unwrap();
        assert_eq!(one_hot.labels().unwrap_err(), "labels are expected in the shape (n,) or (n, 1), not (1, 3)");
    }

    #[test]
    fn both_orders_of_colours_become_planes() {
        let planes: Vec<u8> = (0..IMAGE_BYTES).map(|i| (i / 1024 * 80 + i % 61) as u8).collect();
        let mixed: Vec<u8> = (0..1024).flat_map(|i| [planes[i], planes[1024 + i], planes[2048 + i]]).collect();
        for (shape, data) in [("(1, 3, 32, 32)", &planes), ("(1, 32, 32, 3)", &mixed)] {
            let array = read(&mut &npy("|u1", shape, data)[..]).unwrap();
            assert_eq!(array.into_pixels(false).unwrap(), planes, "{shape}");
        }
        let rows = || read(&mut &npy("|u1", "(1, 3072)", &planes)[..]).unwrap();
        assert_eq!(rows().into_pixels(true).unwrap(), planes);
        // In an array of unknown origin, the order of colours in a row is unknown.
        assert!(rows().into_pixels(false).unwrap_err().ends_with("(n, 3, 32, 32), not (1, 3072)"));
    }

    #[test]
    fn what_is_no_array_of_whole_numbers_is_refused_before_it_is_read() {
        for (bytes, reason) in [
            (npy("<f4", "(3,)", &[0; 12]), "its elements are `<f4`, not whole numbers: save it with dtype uint8"),
            (npy("|O", "(3,)", &[0; 12]), "its elements are `|O`, not whole numbers: save it with dtype uint8"),
            (npy("|u1", "(3,)", &[0; 2]), "2 bytes of data do not match the shape (3,)"),
            (npy("|u1", "(3,)", &[0; 9]), "4 bytes of data do not match the shape (3,)"),
            (npy("|u1", "(99999999999, 9)", &[]), "the shape (99999999999, 9) is larger than CIFAR"),
            (npy("<i8", "(18446744073709551615, 9)", &[]), "the shape (18446744073709551615, 9) is larger than CIFAR"),
            (npy("|u1", "(x,)", &[]), "its header has no shape"),
            (b"not an array".to_vec(), "it is not a NumPy array"),
        ] {
            assert_eq!(wrong(&bytes), reason);
        }
        let turned = npy("|u1", "(2, 3)", &[0; 6]);
        let place = turned.windows(5).position(|window| window == b"False").unwrap();
        let turned = [&turned[..place], b"True ", &turned[place + 5..]].concat();
        assert!(wrong(&turned).contains("numpy.ascontiguousarray"), "{}", wrong(&turned));
        let huge = [b"\x93NUMPY\x02\x00".as_slice(), &u32::MAX.to_le_bytes()].concat();
        assert_eq!(wrong(&huge), "its header has 4294967295 bytes");
        for end in [0, 7, 9, 20] {
            assert!(matches!(read(&mut &npy("|u1", "(1,)", &[1])[..end]), Err(ReadError::Io(_))), "{end}");
        }
    }
}
