//! What a stage made, with the names of its outputs. The next segment of a run waits for those of the last one, and a
//! device with it, so several threads hash them.

use std::num::NonZero;
use std::thread::available_parallelism;

use super::StageError;
use base::digest::ObjectDigest;
use base::parallel::parallel;
use learn::weights::{Array, Weights};

/// So many threads at most: the longest piece takes as long as a fourth of all.
const MOST: usize = 4;

/// What a stage made.
#[derive(Debug)]
pub struct Outputs {
    /// Its outputs, in the order that the kind says.
    pub outputs: Vec<Product>,
    /// Hash of every tensor of the end state, if it trains.
    pub tensors: Vec<(String, ObjectDigest)>,
    /// Share of the operations that were counted beforehand ([`crate::cost`]): less than 1 if it ended early.
    pub done: f64,
    /// What no output shows.
    pub notes: Notes,
}

/// What happened while a stage ran on a GPU.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Notes {
    /// Why steps of training were done one by one, if recording them failed: they take longer, and give the same bits.
    pub one_by_one: Option<String>,
    /// Whether the device refused memory, to this stage or one beside it: what computes may then have chosen another way.
    pub was_short: bool,
}

/// An output of a stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Product {
    /// The output's name.
    pub name: &'static str,
    /// The name of its bytes.
    pub object: ObjectDigest,
    /// They.
    pub bytes: Vec<u8>,
}

/// Something to be hashed.
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
    /// What a stage made that has no end state, by name, and how much of its work it did.
    pub fn new(outputs: impl IntoIterator<Item = (&'static str, Vec<u8>)>, done: f64) -> Self {
        Self {
            outputs: outputs.into_iter().map(Product::new).collect(),
            tensors: Vec::new(),
            done,
            notes: Notes::default(),
        }
    }

    /// What a stage made that did all of its work and has no end state.
    pub(super) fn whole(outputs: impl IntoIterator<Item = (&'static str, Vec<u8>)>) -> Self {
        Self::new(outputs, 1.0)
    }

    /// What training made: the tensors that it ended in, by the names of outputs, weights first; and `others`.
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
        // The files first: each is as long as all of its tensors.
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
        Ok(Self { outputs, tensors, done: 1.0, notes: Notes::default() })
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
