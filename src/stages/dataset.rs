//! The stage `dataset`.

use super::{Made, Read, StageError};
use crate::data::{Images, generate};
use crate::work::{Dataset, Source};

/// Makes the built-in images, or takes a subset of imported ones.
pub fn dataset(work: &Dataset, read: &Read<'_>) -> Result<Made, StageError> {
    let part = |role: &'static str, count: u32| -> Result<(&'static str, Vec<u8>), StageError> {
        let count = count as usize;
        let images = match work.source {
            Source::Shapes10 => generate(count, work.seed, role),
            Source::Cifar10 | Source::Cifar100 => Images::from_bytes(&read(role)?)?.subset(count, work.seed, role)?,
        };
        Ok((role, images.to_bytes()?))
    };
    Ok(Made::whole(vec![part("train", work.train)?, part("test", work.test)?]))
}
