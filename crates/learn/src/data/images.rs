//! Labelled images of 3×32×32 bytes, their stored form, and their balanced subsets.

use safetensors::tensor::{Dtype, SafeTensorError, SafeTensors, TensorView};

use base::rng::Stream;

/// Number of bytes of one image: 1024 red, 1024 green, 1024 blue, each row by row.
pub const IMAGE_BYTES: usize = 3 * 32 * 32;

/// Labelled images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Images {
    /// Pixels 0 to 255, shape `[n, 3, 32, 32]`.
    pub pixels: Vec<u8>,
    /// One class per image, shape `[n]`, each below `classes`.
    pub labels: Vec<u8>,
    /// Number of classes, 1 to 256.
    pub classes: u32,
}

/// Invalid images, or a subset that cannot be taken.
#[derive(Debug, thiserror::Error)]
pub enum ImagesError {
    /// Too few or too many classes for labels of one byte.
    #[error("there must be 1 to 256 classes, not {0}")]
    Classes(u32),
    /// Pixels and labels are of different numbers of images.
    #[error("{pixels} pixel bytes do not match {labels} labels: an image has 3072 bytes")]
    Length {
        /// Number of pixel bytes.
        pixels: usize,
        /// Number of labels.
        labels: usize,
    },
    /// A label outside the range of classes.
    #[error("image {index} has the label {label}, but there are {classes} classes")]
    Label {
        /// Index of the image, from 0.
        index: usize,
        /// Label of the image.
        label: u8,
        /// Number of classes.
        classes: u32,
    },
    /// The bytes are not a safetensors file.
    #[error("not stored images: {0}")]
    Format(#[from] SafeTensorError),
    /// The safetensors file does not contain images.
    #[error("not stored images: `images` U8 [n, 3, 32, 32], `labels` U8 [n] and `classes` U32 [1] are expected")]
    Layout,
    /// There are not enough images.
    #[error("{wanted} images were requested, but there are only {there}")]
    TooFew {
        /// Number of requested images.
        wanted: usize,
        /// Number of existing images.
        there: usize,
    },
    /// There are not enough images of one class.
    #[error("{wanted} images of class {class} were requested, but there are only {there}")]
    ClassTooSmall {
        /// The class.
        class: usize,
        /// Number of requested images of the class.
        wanted: usize,
        /// Number of existing images of the class.
        there: usize,
    },
}

impl Images {
    /// Creates images from pixels `[n, 3, 32, 32]` and labels `[n]`.
    ///
    /// # Errors
    /// If the lengths do not match, a label is outside the range of classes, or there are not 1 to 256 classes.
    pub fn new(pixels: Vec<u8>, labels: Vec<u8>, classes: u32) -> Result<Self, ImagesError> {
        if !(1..=256).contains(&classes) {
            return Err(ImagesError::Classes(classes));
        }
        if labels.len().checked_mul(IMAGE_BYTES) != Some(pixels.len()) {
            return Err(ImagesError::Length { pixels: pixels.len(), labels: labels.len() });
        }
        if let Some(index) = labels.iter().position(|&label| u32::from(label) >= classes) {
            return Err(ImagesError::Label { index, label: labels[index], classes });
        }
        Ok(Self { pixels, labels, classes })
    }

    /// Returns the number of images.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Checks whether there are no images.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Returns the stored form: safetensors with `images`, `labels` and `classes`, always with the same bytes.
    ///
    /// # Errors
    /// If pixels and labels were changed and no longer match.
    pub fn to_bytes(&self) -> Result<Vec<u8>, ImagesError> {
        let classes = self.classes.to_le_bytes();
        let tensors = [
            ("classes", TensorView::new(Dtype::U32, vec![1], &classes)?),
            ("images", TensorView::new(Dtype::U8, vec![self.len(), 3, 32, 32], &self.pixels)?),
            ("labels", TensorView::new(Dtype::U8, vec![self.len()], &self.labels)?),
        ];
        Ok(safetensors::serialize(tensors, None)?)
    }

    /// Reads the stored form. Safe on untrusted bytes.
    ///
    /// # Errors
    /// If the bytes do not have the form that [`Images::to_bytes`] writes, or a label is outside the range of classes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ImagesError> {
        let tensors = SafeTensors::deserialize(bytes)?;
        let (images, labels, classes) =
            (tensors.tensor("images")?, tensors.tensor("labels")?, tensors.tensor("classes")?);
        let [n] = *labels.shape() else { return Err(ImagesError::Layout) };
        let fits = tensors.len() == 3
            && (images.dtype(), images.shape()) == (Dtype::U8, &[n, 3, 32, 32])
            && labels.dtype() == Dtype::U8
            && (classes.dtype(), classes.shape()) == (Dtype::U32, &[1]);
        let (true, &[a, b, c, d]) = (fits, classes.data()) else { return Err(ImagesError::Layout) };
        Self::new(images.data().to_vec(), labels.data().to_vec(), u32::from_le_bytes([a, b, c, d]))
    }

    /// Returns the BLAKE3 hash of every image: of its label, then its pixels.
    pub fn hashes(&self) -> Vec<[u8; 32]> {
        let hash = |(&label, pixels): (&u8, &[u8])| {
            *blake3::Hasher::new().update(&[label]).update(pixels).finalize().as_bytes()
        };
        self.labels.iter().zip(self.pixels.chunks_exact(IMAGE_BYTES)).map(hash).collect()
    }

    /// Returns the images in the order of their hashes: the canonical order, which is the same for every copy of a data set.
    pub fn in_order_of(&self, hashes: &[[u8; 32]]) -> Self {
        let mut order: Vec<usize> = (0..self.len().min(hashes.len())).collect();
        order.sort_unstable_by_key(|&index| hashes[index]);
        self.pick(order.into_iter())
    }

    /// Returns a class-balanced random subset in random order, both derived from the seed and the purpose. Class
    /// sizes differ by at most one, and the first classes are the larger ones. A larger subset contains the
    /// smaller ones. If `count` equals the total number of images, they are returned unchanged.
    ///
    /// # Errors
    /// If there are too few images, either in total or in any one class.
    pub fn subset(&self, count: usize, seed: u64, purpose: &str) -> Result<Self, ImagesError> {
        if count == self.len() {
            return Ok(self.clone());
        }
        let mut chosen = Vec::with_capacity(count.min(self.len()));
        for (class, (members, wanted)) in self.shares(count)?.into_iter().enumerate() {
            let order = Stream::new(seed, purpose, &[0, class as u64]).permutation(members.len());
            chosen.extend(order[..wanted].iter().map(|&place| members[place as usize]));
        }
        let order = Stream::new(seed, purpose, &[1]).permutation(chosen.len());
        Ok(self.pick(order.iter().map(|&place| chosen[place as usize])))
    }

    /// Returns the images of some classes, in their stored order. The classes become 0, 1, … in the given order.
    pub fn of_classes(&self, classes: &[u8]) -> Self {
        let chosen: Vec<usize> = (0..self.len()).filter(|&index| classes.contains(&self.labels[index])).collect();
        let mut images = self.pick(chosen.into_iter());
        for label in &mut images.labels {
            *label = classes.iter().position(|class| class == label).unwrap_or_default() as u8;
        }
        images.classes = classes.len() as u32;
        images
    }

    /// Returns the first `count / classes` images of every class, as the authors' code does to measure the trace of the Hessian.
    /// For imported images, these are the first in canonical order, not in the order of the authors' files. If `count` is not a
    /// multiple of the number of classes, the first classes have one more image.
    ///
    /// # Errors
    /// If there are too few images, either in total or in any one class.
    pub fn first_per_class(&self, count: usize) -> Result<Self, ImagesError> {
        let mut chosen: Vec<usize> =
            self.shares(count)?.into_iter().flat_map(|(members, wanted)| members.into_iter().take(wanted)).collect();
        chosen.sort_unstable();
        Ok(self.pick(chosen.into_iter()))
    }

    /// Returns for every class its images in their stored order, and how many of them a balanced subset takes.
    fn shares(&self, count: usize) -> Result<Vec<(Vec<usize>, usize)>, ImagesError> {
        if count > self.len() {
            return Err(ImagesError::TooFew { wanted: count, there: self.len() });
        }
        let classes = self.classes as usize;
        let mut members = vec![Vec::new(); classes];
        for (index, &label) in self.labels.iter().enumerate() {
            members[usize::from(label)].push(index);
        }
        let share = |(class, members): (usize, Vec<usize>)| {
            let wanted = count / classes + usize::from(class < count % classes);
            let there = members.len();
            if wanted > there {
                Err(ImagesError::ClassTooSmall { class, wanted, there })
            } else {
                Ok((members, wanted))
            }
        };
        members.into_iter().enumerate().map(share).collect()
    }

    fn pick(&self, indices: impl ExactSizeIterator<Item = usize>) -> Self {
        let mut pixels = Vec::with_capacity(indices.len() * IMAGE_BYTES);
        let mut labels = Vec::with_capacity(indices.len());
        for index in indices {
            pixels.extend_from_slice(&self.pixels[index * IMAGE_BYTES..][..IMAGE_BYTES]);
            labels.push(self.labels[index]);
        }
        Self { pixels, labels, classes: self.classes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns images where image `i` is filled with `i`, so that an image can be recognised by its first pixel.
    fn sample(labels: &[u8]) -> Images {
        let pixels = (0..labels.len()).flat_map(|i| vec![i as u8; IMAGE_BYTES]).collect();
        Images::new(pixels, labels.to_vec(), 3).unwrap()
    }

    fn names(images: &Images) -> Vec<u8> {
        images.pixels.chunks(IMAGE_BYTES).map(|image| image[0]).collect()
    }

    #[test]
    fn the_stored_form_round_trips_and_is_pinned() {
        let images = sample(&[0, 2, 1]);
        let bytes = images.to_bytes().unwrap();
        assert_eq!(Images::from_bytes(&bytes).unwrap(), images);
        let header = r#"{"classes":{"dtype":"U32","shape":[1],"data_offsets":[0,4]},"#;
        assert_eq!(&bytes[8..8 + header.len()], header.as_bytes());
        // If this fails, every data set gets another hash: bump the version of the `dataset` kind.
        assert_eq!(blake3::hash(&bytes).to_string(), PINNED);
        assert_eq!(Images::from_bytes(&sample(&[]).to_bytes().unwrap()).unwrap().len(), 0);
    }

    const PINNED: &str = "3d008cb264e0c5b071b539e5c88fa4b6eebe54940b11021adfe44f1658045c54";

    #[test]
    fn hostile_bytes_are_refused() {
        let good = sample(&[0, 2, 1]).to_bytes().unwrap();
        for end in [0, 7, 8, 100, good.len() - 1] {
            assert!(Images::from_bytes(&good[..end]).is_err(), "{end}");
        }
        let n = good.len();
        let mut label = good.clone();
        label[n - 1] = 3;
        assert!(matches!(Images::from_bytes(&label), Err(ImagesError::Label { index: 2, label: 3, classes: 3 })));
        let text = |bytes: &[u8], from: &str, to: &str| {
            let start = bytes.windows(from.len()).position(|window| window == from.as_bytes()).unwrap();
            [&bytes[..start], to.as_bytes(), &bytes[start + from.len()..]].concat()
        };
        for (from, to) in
            [("3,3,32,32", "3,3,64,16"), ("\"U32\"", "\"I32\""), ("labels", "lapels"), ("3,3,32", "9,3,32")]
        {
            assert!(Images::from_bytes(&text(&good, from, to)).is_err(), "{from}");
        }
        let mut huge = good.clone();
        huge[..8].copy_from_slice(&u64::MAX.to_le_bytes());
        assert!(Images::from_bytes(&huge).is_err());
    }

    #[test]
    fn what_does_not_fit_is_no_images() {
        assert!(matches!(Images::new(vec![0; 10], vec![0], 3), Err(ImagesError::Length { pixels: 10, labels: 1 })));
        for classes in [0, 257] {
            assert!(matches!(Images::new(vec![], vec![], classes), Err(ImagesError::Classes(_))));
        }
    }

    #[test]
    fn subsets_are_balanced_derived_and_nested() {
        let labels: Vec<u8> = (0..60).map(|i| (i / 20) as u8).collect();
        let whole = sample(&labels);
        let small = whole.subset(11, 7, "subset").unwrap();
        let sizes = [0, 1, 2].map(|class| small.labels.iter().filter(|&&label| label == class).count());
        assert_eq!(sizes, [4, 4, 3]);
        // Every image keeps its own label, and no image occurs twice.
        let mut chosen = names(&small);
        assert!(chosen.iter().zip(&small.labels).all(|(&name, &label)| labels[usize::from(name)] == label));
        chosen.sort_unstable();
        chosen.dedup();
        assert_eq!(chosen.len(), 11);
        assert!(!small.labels.is_sorted(), "the classes are mixed");
        assert_eq!(small, whole.subset(11, 7, "subset").unwrap());
        assert_ne!(small, whole.subset(11, 8, "subset").unwrap());
        assert_ne!(small, whole.subset(11, 7, "other").unwrap());
        let larger = names(&whole.subset(30, 7, "subset").unwrap());
        assert!(chosen.iter().all(|name| larger.contains(name)));
        assert_eq!(whole.subset(60, 7, "subset").unwrap(), whole);
        assert!(whole.subset(0, 7, "subset").unwrap().is_empty());
    }

    #[test]
    fn subsets_that_cannot_be_are_refused() {
        let whole = sample(&[0, 0, 0, 1, 2]);
        assert!(matches!(whole.subset(6, 0, "s"), Err(ImagesError::TooFew { wanted: 6, there: 5 })));
        let error = whole.subset(4, 0, "s").map(|s| s.len());
        assert!(matches!(error, Ok(4)), "two of class 0, one of the others");
        let lopsided = sample(&[0, 1, 1, 1, 2, 2, 2]);
        let error = lopsided.subset(6, 0, "s").unwrap_err();
        assert!(matches!(error, ImagesError::ClassTooSmall { class: 0, wanted: 2, there: 1 }));
    }

    #[test]
    fn the_first_of_each_class_stay_in_file_order() {
        let whole = sample(&[2, 0, 0, 1, 2, 1, 0, 2]);
        assert_eq!(names(&whole.first_per_class(6).unwrap()), [0, 1, 2, 3, 4, 5]);
        assert_eq!(names(&whole.first_per_class(3).unwrap()), [0, 1, 3]);
        assert_eq!(names(&whole.first_per_class(4).unwrap()), [0, 1, 2, 3]);
        assert!(whole.first_per_class(9).is_err());
        let two = sample(&[0, 2, 1, 2, 0]).of_classes(&[2, 0]);
        assert_eq!((names(&two), &two.labels[..], two.classes), (vec![0, 1, 3, 4], &[1, 0, 0, 1][..], 2));
    }
}
