//! Named float32 tensors on the host, and their bytes as a checkpoint.
//!
//! The bytes are a safetensors file with sorted names and no metadata, so that the same numbers always
//! give the same bytes, and PyTorch and NumPy can open an exported checkpoint directly.

use std::borrow::Cow;
use std::collections::BTreeMap;

use safetensors::tensor::{Dtype, SafeTensors, View};

use super::LearnError;
use super::layout::Entry;
use base::digest::ObjectDigest;

/// A tensor of float32, row-major.
#[derive(Debug, Clone, PartialEq)]
pub struct Array {
    /// Sizes of the dimensions.
    pub shape: Vec<usize>,
    /// The elements.
    pub data: Vec<f32>,
}

/// Tensors by name.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Weights(BTreeMap<String, Array>);

impl Weights {
    /// Returns the tensor with a name.
    pub fn get(&self, name: &str) -> Option<&Array> {
        self.0.get(name)
    }

    /// Returns all tensors, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Array)> {
        self.0.iter().map(|(name, array)| (name.as_str(), array))
    }

    /// Checks whether every number is finite. The numbers of a run that diverged are not.
    pub fn is_finite(&self) -> bool {
        self.0.values().all(|array| array.data.iter().all(|x| x.is_finite()))
    }

    /// Returns tensors filled with one and the same NaN, which represent a run that diverged.
    pub fn diverged<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> Self {
        let nan = |entry: &Entry| Array { shape: entry.shape.clone(), data: vec![f32::NAN; entry.count()] };
        entries.into_iter().map(|entry| (entry.name.clone(), nan(entry))).collect()
    }

    /// Returns the checkpoint's bytes.
    ///
    /// # Errors
    /// If an array's length does not match its shape.
    pub fn to_bytes(&self) -> Result<Vec<u8>, LearnError> {
        let misfit = |(_, array): &(&String, &Array)| {
            array.shape.iter().try_fold(1_usize, |n, size| n.checked_mul(*size)) != Some(array.data.len())
        };
        if let Some((name, array)) = self.0.iter().find(misfit) {
            let what = format!("has {} elements, not those of {:?}", array.data.len(), array.shape);
            return Err(LearnError::Misfit { name: name.clone(), what });
        }
        Ok(safetensors::serialize(&self.0, None)?)
    }

    /// Reads a checkpoint that must contain exactly the tensors `expected`. Safe on untrusted bytes.
    ///
    /// # Errors
    /// If the bytes are not a safetensors file, or names, shapes or element types differ from `expected`.
    pub fn from_bytes<'a>(bytes: &[u8], expected: impl IntoIterator<Item = &'a Entry>) -> Result<Self, LearnError> {
        let file = SafeTensors::deserialize(bytes)?;
        let mut weights = BTreeMap::new();
        for entry in expected {
            let misfit = |what: String| LearnError::Misfit { name: entry.name.clone(), what };
            let view = file.tensor(&entry.name).map_err(|_| misfit("is missing".to_owned()))?;
            if view.dtype() != Dtype::F32 {
                return Err(misfit(format!("has elements of type {:?}, not F32", view.dtype())));
            }
            if view.shape() != entry.shape {
                return Err(misfit(format!("has shape {:?}, not {:?}", view.shape(), entry.shape)));
            }
            let data = view.data().as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
            weights.insert(entry.name.clone(), Array { shape: entry.shape.clone(), data });
        }
        match file.names().into_iter().find(|name| !weights.contains_key(*name)) {
            Some(name) => Err(LearnError::Misfit {
                name: name.chars().take(80).collect(),
                what: "is not part of the network".to_owned(),
            }),
            None => Ok(Self(weights)),
        }
    }

    /// Returns the hash of each tensor's little-endian bytes, sorted by name, to show where two checkpoints differ.
    pub fn digests(&self) -> impl Iterator<Item = (&str, ObjectDigest)> {
        self.0.iter().map(|(name, array)| (name.as_str(), array.digest()))
    }
}

impl FromIterator<(String, Array)> for Weights {
    fn from_iter<I: IntoIterator<Item = (String, Array)>>(tensors: I) -> Self {
        Self(tensors.into_iter().collect())
    }
}

impl Array {
    /// Returns the hash of the array's little-endian bytes.
    pub fn digest(&self) -> ObjectDigest {
        ObjectDigest::of(&self.little_endian())
    }

    fn little_endian(&self) -> Cow<'_, [u8]> {
        match cfg!(target_endian = "little") {
            true => Cow::Borrowed(bytemuck::cast_slice(&self.data)),
            false => self.data.iter().flat_map(|x| x.to_le_bytes()).collect(),
        }
    }
}

impl View for &Array {
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        self.little_endian()
    }

    fn data_len(&self) -> usize {
        size_of_val(&self.data[..])
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use safetensors::tensor::TensorView;

    use super::super::layout::Role;
    use super::*;

    fn entry(name: &str, shape: &[usize]) -> Entry {
        Entry { name: name.to_owned(), shape: shape.to_owned(), role: Role::Scale, frozen: false }
    }

    fn sample() -> Weights {
        let array = |shape: &[usize], data: &[f32]| Array { shape: shape.to_vec(), data: data.to_vec() };
        [
            ("b".to_owned(), array(&[3], &[1.0, f32::MIN_POSITIVE, -0.0])),
            ("a".to_owned(), array(&[1, 2], &[0.1, f32::MAX])),
        ]
        .into_iter()
        .collect()
    }

    #[test]
    fn bytes_round_trip_and_are_stable() {
        let weights = sample();
        let bytes = weights.to_bytes().unwrap();
        let expected = [entry("a", &[1, 2]), entry("b", &[3])];
        let back = Weights::from_bytes(&bytes, &expected).unwrap();
        assert_eq!(back, weights);
        assert_eq!(back.to_bytes().unwrap(), bytes);
        assert_eq!(
            weights.digests().next(),
            Some(("a", ObjectDigest::of(&[0xcd, 0xcc, 0xcc, 0x3d, 0xff, 0xff, 0x7f, 0x7f])))
        );
    }

    #[test]
    fn what_does_not_fit_is_refused_by_name() {
        let bytes = sample().to_bytes().unwrap();
        for (expected, wrong) in [
            (vec![entry("a", &[2, 1]), entry("b", &[3])], "a"),
            (vec![entry("a", &[1, 2])], "b"),
            (vec![entry("a", &[1, 2]), entry("b", &[3]), entry("c", &[1])], "c"),
        ] {
            let error = Weights::from_bytes(&bytes, &expected).unwrap_err();
            assert!(matches!(&error, LearnError::Misfit { name, .. } if name == wrong), "{error}");
        }
        let doubles = [0_u8; 8];
        let view = TensorView::new(Dtype::F64, vec![1], &doubles).unwrap();
        let bytes = safetensors::serialize([("a", view)], None).unwrap();
        assert!(matches!(Weights::from_bytes(&bytes, &[entry("a", &[1])]), Err(LearnError::Misfit { .. })));
    }

    #[test]
    fn broken_files_are_refused() {
        let bytes = sample().to_bytes().unwrap();
        let expected = [entry("a", &[1, 2]), entry("b", &[3])];
        for cut in 0..bytes.len() {
            assert!(Weights::from_bytes(&bytes[..cut], &expected).is_err(), "cut at {cut}");
        }
        let header = |text: &str| [&(text.len() as u64).to_le_bytes()[..], text.as_bytes(), &[0; 8]].concat();
        for text in [
            r#"{"a":{"dtype":"F32","shape":[1,2],"data_offsets":[0,8000000000]}}"#,
            r#"{"a":{"dtype":"F32","shape":[4611686018427387904,4611686018427387904],"data_offsets":[0,8]}}"#,
            r#"{"a":{"dtype":"F32","shape":[1,2],"data_offsets":[8,0]}}"#,
            "[[[[",
        ] {
            assert!(Weights::from_bytes(&header(text), &[entry("a", &[1, 2])]).is_err(), "{text}");
        }
        let huge = [&u64::MAX.to_le_bytes()[..], b"{}"].concat();
        assert!(Weights::from_bytes(&huge, &expected).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(flips in prop::collection::vec((0_usize..200, any::<u8>()), 1..6)) {
            let mut bytes = sample().to_bytes().unwrap();
            for (at, value) in flips {
                let at = at % bytes.len();
                bytes[at] = value;
            }
            let _ = Weights::from_bytes(&bytes, &[entry("a", &[1, 2]), entry("b", &[3])]);
        }
    }
}
