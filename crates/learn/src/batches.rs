//! DeviceImages on the device, and the order of the images in training.

use tch::{Kind, Tensor};

use super::LearnError;
use super::model::Arithmetic;
use base::rng::Stream;
use base::work::{InputScale, Model};

/// Mean of each channel on the 0–255 scale: the authors' constants, for CIFAR-100 too.
const MEAN: [f64; 3] = [125.307, 122.961, 113.8575];
/// Standard deviation of each channel: the authors' constants (means of the images' deviations, not that of all pixels).
const STD: [f64; 3] = [51.5865, 50.847, 51.255];
/// ImageNet's mean of each channel on the 0–1 scale, which the authors' VGG subtracts in addition.
const IMAGENET_MEAN: [f64; 3] = [0.485, 0.456, 0.406];
/// ImageNet's standard deviation of each channel, by which the authors' VGG divides in addition.
const IMAGENET_STD: [f64; 3] = [0.229, 0.224, 0.225];
/// Number of bytes of an image, 3×32×32.
const IMAGE: usize = 3 * 32 * 32;

/// A labelled set of images, stored on the device as bytes and normalised batch by batch.
pub struct DeviceImages {
    pixels: Tensor, // [n, 3, 32, 32], or [n, 32, 32, 3] if channels_last
    labels: Tensor,
    mean: Tensor,
    std: Tensor,
    channels_last: bool,
}

impl DeviceImages {
    /// Puts `pixels`, `[n, 3, 32, 32]`, and `labels`, `[n]`, on the device, for a network.
    ///
    /// # Errors
    /// If the lengths do not match, there is no image, or a label is not one of the network's classes.
    pub fn new(pixels: &[u8], labels: &[u8], model: Model, arithmetic: Arithmetic) -> Result<Self, LearnError> {
        if labels.is_empty() || pixels.len() != labels.len() * IMAGE {
            let (pixels, labels) = (pixels.len(), labels.len());
            return Err(LearnError::Data(format!("{pixels} bytes of pixels are not {labels} images of 3×32×32")));
        }
        let classes = model.classes;
        if let Some(label) = labels.iter().find(|&&label| u32::from(label) >= classes) {
            return Err(LearnError::Data(format!("label {label} is not one of {classes} classes")));
        }
        let Arithmetic { device, kind, channels_last, .. } = arithmetic;
        let mut on_device =
            Tensor::f_from_slice(pixels)?.f_view([labels.len() as i64, 3, 32, 32])?.f_to_device(device)?;
        if channels_last {
            on_device = on_device.f_permute([0, 2, 3, 1])?.f_contiguous()?;
        }
        let channels = |values: [f64; 3]| -> Result<Tensor, LearnError> {
            Ok(Tensor::f_from_slice(&values)?.f_view([1, 3, 1, 1])?.f_to_kind(kind)?.f_to_device(device)?)
        };
        let (mean, std) = standardisation(model.input);
        Ok(Self {
            pixels: on_device,
            labels: Tensor::f_from_slice(labels)?.f_to_kind(Kind::Int64)?.f_to_device(device)?,
            mean: channels(mean)?,
            std: channels(std)?,
            channels_last,
        })
    }

    /// Returns the number of images.
    pub fn count(&self) -> usize {
        self.labels.size().first().map_or(0, |&n| n as usize)
    }

    /// Returns the addresses on the device of all the data from which batches are made.
    pub(super) fn addresses(&self) -> [*mut std::ffi::c_void; 4] {
        [&self.pixels, &self.labels, &self.mean, &self.std].map(Tensor::data_ptr)
    }

    /// Returns the images and labels at `rows` (int64, `[b]`): normalised `[b, 3, 32, 32]`, and `[b]`.
    pub(super) fn gather(&self, rows: &Tensor) -> Result<(Tensor, Tensor), LearnError> {
        let x = self.normalised(self.pixels.f_index_select(0, rows)?)?;
        Ok((x, self.labels.f_index_select(0, rows)?))
    }

    /// Returns all images and labels in order, at most `batch` at a time.
    pub(super) fn chunks(&self, batch: usize) -> impl Iterator<Item = Result<(Tensor, Tensor), LearnError>> {
        let (count, batch) = (self.count(), batch.max(1));
        (0..count).step_by(batch).map(move |start| {
            let (start, length) = (start as i64, batch.min(count - start) as i64);
            let x = self.normalised(self.pixels.f_narrow(0, start, length)?)?;
            Ok((x, self.labels.f_narrow(0, start, length)?))
        })
    }

    fn normalised(&self, pixels: Tensor) -> Result<Tensor, LearnError> {
        let pixels = if self.channels_last { pixels.f_permute([0, 3, 1, 2])? } else { pixels };
        // The cast comes first, so that bytes in [n, 32, 32, 3] become floats of the same memory layout.
        let mut x = pixels.f_to_kind(self.mean.f_kind()?)?;
        Ok(x.f_sub_(&self.mean).and_then(|mut x| x.f_div_(&self.std))?)
    }
}

/// Returns the mean and standard deviation of each channel on the 0–255 scale. Standardising twice equals standardising once
/// with m + s·m' and s·s', where m, s are CIFAR's and m', s' ImageNet's.
fn standardisation(input: InputScale) -> ([f64; 3], [f64; 3]) {
    match input {
        InputScale::Cifar => (MEAN, STD),
        InputScale::CifarImagenet => (
            std::array::from_fn(|i| MEAN[i] + STD[i] * IMAGENET_MEAN[i]),
            std::array::from_fn(|i| STD[i] * IMAGENET_STD[i]),
        ),
    }
}

/// Returns the order of the images in one epoch of training. It depends only on the seed and the epoch, so that
/// runs with different learning rates see the same batches, and a resumed run sees the same batches as an
/// uninterrupted one.
pub fn training_order(seed: u64, epoch: u32, images: usize) -> Vec<u32> {
    Stream::new(seed, "order", &[u64::from(epoch)]).permutation(images)
}

/// Returns the order in one epoch of the probe that starts after `after` epochs of training.
pub fn probe_order(seed: u64, after: u32, epoch: u32, images: usize) -> Vec<u32> {
    Stream::new(seed, "probe-order", &[u64::from(after), u64::from(epoch)]).permutation(images)
}

/// Returns the order of the pass that re-estimates the batch-norm statistics of averaged weights.
pub fn refresh_order(seed: u64, after: u32, images: usize) -> Vec<u32> {
    Stream::new(seed, "refresh-order", &[u64::from(after)]).permutation(images)
}

/// One pass over images in a given order, divided into batches. The last incomplete batch is dropped.
pub struct Pass {
    rows: Tensor,
    batch: usize,
    steps: usize,
}

impl Pass {
    /// Puts `order`, indices of `images`, on the device.
    ///
    /// # Errors
    /// If an index has no image, or there are not enough images for one batch.
    pub fn new(order: &[u32], batch: usize, images: &DeviceImages) -> Result<Self, LearnError> {
        if batch == 0 || order.len() < batch {
            return Err(LearnError::Data(format!("{} images are not enough for a batch of {batch}", order.len())));
        }
        if let Some(index) = order.iter().find(|&&index| index as usize >= images.count()) {
            return Err(LearnError::Data(format!("index {index} in a set of {} images", images.count())));
        }
        let rows: Vec<i64> = order.iter().map(|&index| i64::from(index)).collect();
        let rows = Tensor::f_from_slice(&rows)?.f_to_device(images.labels.device())?;
        Ok(Self { rows, batch, steps: order.len() / batch })
    }

    /// Returns the number of whole batches.
    pub fn steps(&self) -> usize {
        self.steps
    }

    /// Returns the number of images per batch.
    pub fn batch(&self) -> usize {
        self.batch
    }

    pub(super) fn rows(&self, step: usize) -> Result<Tensor, LearnError> {
        Ok(self.rows.f_narrow(0, (step * self.batch) as i64, self.batch as i64)?)
    }
}

#[cfg(test)]
mod tests {
    use tch::Device;

    use super::*;
    use crate::torch::{Libraries, load};
    use base::work::ModelName;

    #[test]
    fn images_are_standardised_once_or_as_the_authors_vgg_does_twice() {
        load(&Libraries::default()).unwrap();
        let arithmetic = Arithmetic { device: Device::Cpu, kind: Kind::Double, channels_last: false };
        let pixels: Vec<u8> = (0..IMAGE).map(|i| (i % 251) as u8).collect();
        for input in [InputScale::Cifar, InputScale::CifarImagenet] {
            let model = Model { input, ..Model::new(ModelName::Vgg16, 1, 2) };
            let images = DeviceImages::new(&pixels, &[1], model, arithmetic).unwrap();
            let (x, y) = images.chunks(5).next().unwrap().unwrap();
            assert_eq!((x.size(), y.int64_value(&[0])), (vec![1, 3, 32, 32], 1));
            for (channel, row, column) in [(0, 0, 0), (1, 3, 31), (2, 31, 7)] {
                let byte = f64::from(pixels[1024 * channel + 32 * row + column]);
                let mut want = (byte - MEAN[channel]) / STD[channel];
                if input == InputScale::CifarImagenet {
                    want = (want - IMAGENET_MEAN[channel]) / IMAGENET_STD[channel];
                }
                let have = x.double_value(&[0, channel as i64, row as i64, column as i64]);
                assert!((have - want).abs() < 1e-12, "{input:?}: {have} {want}");
            }
        }
    }
}
