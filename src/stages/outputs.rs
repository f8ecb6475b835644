//! The outputs of a stage and their hashes. The next segment of a run, and with it a device, waits for the hashes of the
//! previous segment's outputs, so several threads compute them.

use std::num::NonZero;
use std::thread::available_parallelism;

use super::StageError;
use base::digest::ObjectDigest;
use base::parallel::parallel;
use learn::weights::{Array, Weights};

/// Maximum number of threads. More would not help: hashing the longest piece takes a fourth of the total time.
const MOST: usize = 4;

/// The results of a stage.
#[derive(Debug)]
pub struct Outputs {
    /// The outputs, in the order that the kind declares.
    pub outputs: Vec<Product>,
    /// Hash of every tensor of the end state, if the stage trains.
    pub tensors: Vec<(String, ObjectDigest)>,
    /// Share of the operations counted in advance ([`crate::cost`]) that was done: less than 1 if the stage ended early.
    pub done: f64,
    /// The device that the stage used, for its record, if that is neither the processor nor the device of numeric stages.
    pub device: Option<&'static str>,
    /// What the stage ran in, for its record, if that is not the device of numeric stages.
    pub machine: Option<String>,
    /// What the program of a command printed.
    pub log: String,
    /// Facts about the run that no output shows.
    pub notes: Notes,
}

/// Notes about the run of a stage on a GPU.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Notes {
    /// Why training steps could not be recorded, if so. They ran one by one, which takes longer and gives the same bits.
    pub one_by_one: Option<String>,
    /// Whether the device refused memory to this stage or to one that ran in parallel. Libraries can then have silently computed
    /// in another way.
    pub was_short: bool,
}

/// An output of a stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Product {
    /// The output's name.
    pub name: &'static str,
    /// Hash of the bytes.
    pub object: ObjectDigest,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// Data to be hashed.
enum Piece<'a> {
    File(&'a [u8]),
    Tensor(&'a Array),
}

impl Piece<'_> {
    fn digest(&self) -> ObjectDigest {
        match self {
            Self::File(bytes) => ObjectDigest::of(bytes),
            Self::Tensor(array) => array.digest(),
        }
    }
}

impl Product {
    fn new((name, bytes): (&'static str, Vec<u8>)) -> Self {
        Self { name, object: ObjectDigest::of(&bytes), bytes }
    }
}

impl Outputs {
    /// Makes the results of a stage without an end state, from outputs by name. `done` is the share of the work that it did.
    pub fn new(outputs: impl IntoIterator<Item = (&'static str, Vec<u8>)>, done: f64) -> Self {
        Self {
            outputs: outputs.into_iter().map(Product::new).collect(),
            tensors: Vec::new(),
            done,
            device: None,
            machine: None,
            log: String::new(),
            notes: Notes::default(),
        }
    }

    /// Makes the results of a stage without an end state that did all of its work.
    pub(super) fn whole(outputs: impl IntoIterator<Item = (&'static str, Vec<u8>)>) -> Self {
        Self::new(outputs, 1.0)
    }

    /// Makes the results of training. `end` has the tensors of the end state by the names of outputs, weights first; `others` are
    /// the other outputs.
    ///
    /// # Errors
    /// If an array's length is not that of its shape.
    pub fn trained(
        end: &[(&'static str, Weights)],
        others: impl IntoIterator<Item = (&'static str, Vec<u8>)>,
    ) -> Result<Self, StageError> {
        let jobs = available_parallelism().map_or(1, NonZero::get).min(MOST);
        let files = parallel(jobs, end, || (), |(), (_, weights)| Some(weights.to_bytes()));
        let files = files.into_iter().collect::<Result<Vec<_>, _>>()?;
        let arrays = || end.iter().flat_map(|(name, weights)| weights.iter().map(move |array| (*name, array)));
        // The files come first, because each is as long as all of its tensors.
        let whole = files.iter().map(|bytes| Piece::File(bytes));
        let pieces: Vec<_> = whole.chain(arrays().map(|(_, (_, array))| Piece::Tensor(array))).collect();
        let mut digests = parallel(jobs, &pieces, || (), |(), piece| Some(piece.digest()));
        let names = arrays().map(|(name, (tensor, _))| match name {
            "weights" => tensor.to_owned(),
            _ => format!("{name}.{tensor}"),
        });
        let tensors = names.zip(digests.split_off(end.len())).collect();
        let outputs = end.iter().zip(digests).zip(files);
        let outputs = outputs.map(|(((name, _), object), bytes)| Product { name, object, bytes });
        let outputs = outputs.chain(others.into_iter().map(Product::new)).collect();
        Ok(Self { outputs, tensors, ..Self::new([], 1.0) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_has_its_own_hash() {
        let array = |data: &[f32]| Array { shape: vec![data.len()], data: data.to_vec() };
        let of = |tensors: &[(&str, &[f32])]| -> Weights {
            tensors.iter().map(|(name, data)| ((*name).to_owned(), array(data))).collect()
        };
        let end = [("weights", of(&[("b", &[1.0]), ("a", &[2.0, 3.0])])), ("ema", of(&[("a", &[4.0])]))];
        let made = Outputs::trained(&end, [("metrics", b"rows".to_vec())]).unwrap();
        assert_eq!(made.outputs.iter().map(|made| made.name).collect::<Vec<_>>(), ["weights", "ema", "metrics"]);
        assert!(made.outputs.iter().all(|made| made.object == ObjectDigest::of(&made.bytes)));
        let (weights, average) = (end[0].1.to_bytes().unwrap(), end[1].1.to_bytes().unwrap());
        assert_eq!([&made.outputs[0].bytes, &made.outputs[1].bytes], [&weights, &average]);
        let bytes = |data: &[f32]| data.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<_>>();
        let wanted = [("a", bytes(&[2.0, 3.0])), ("b", bytes(&[1.0])), ("ema.a", bytes(&[4.0]))];
        let wanted = wanted.map(|(name, bytes)| (name.to_owned(), ObjectDigest::of(&bytes)));
        assert_eq!(made.tensors, wanted);
        let wrong = [("a".to_owned(), Array { shape: vec![2], data: vec![1.0] })].into_iter().collect();
        assert!(Outputs::trained(&[("weights", wrong)], []).is_err());
    }
}
