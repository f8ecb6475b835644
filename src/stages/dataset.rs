//! The stage `dataset`.

use super::{Outputs, Read, StageError};
use base::work::{Dataset, Source};
use learn::data::{Images, generate};

/// Classes of the built-in images.
const SHAPES: usize = 10;

/// Makes the built-in images, or takes a subset of imported ones.
pub fn run(work: &Dataset, read: &Read<'_>) -> Result<Outputs, StageError> {
    let part = |role: &'static str, count: u32| -> Result<(&'static str, Vec<u8>), StageError> {
        let count = count as usize;
        let images = match (work.source, &work.classes) {
            (Source::Shapes10, None) => generate(count, work.seed, role),
            // The classes alternate, so this number contains enough images of each class.
            (Source::Shapes10, Some(classes)) => {
                let whole = generate(count.div_ceil(classes.len().max(1)) * SHAPES, work.seed, role);
                whole.of_classes(classes).first_per_class(count)?
            }
            (_, None) => Images::from_bytes(&read(role)?)?.subset(count, work.seed, role)?,
            (_, Some(classes)) => {
                Images::from_bytes(&read(role)?)?.of_classes(classes).subset(count, work.seed, role)?
            }
        };
        Ok((role, images.to_bytes()?))
    };
    Ok(Outputs::whole([part("train", work.train)?, part("test", work.test)?]))
}
