//! Known properties of the data sets: the published sums, and a list of all images.
//!
//! The MD5 sums of the archives are on the authors' page; those of the files in the Python archives are published with
//! torchvision. They prove that bytes are the authors'. Copies in other forms have other bytes, so the content is
//! compared too: `content` is the BLAKE3 hash of the stored form of all images in canonical order ([`Images::to_bytes`]),
//! and `images` contains the beginning of every image's own hash ([`Images::hashes`]), which shows which images differ.
//!
//! Both were computed from a copy that is not an authors' archive. The evidence for this copy: the right number of images of
//! every class; the means and standard deviations of the training sets' colours, which are those commonly published (CIFAR-10:
//! 0.49139968, 0.48215841, 0.44653091 and 0.24703223, 0.24348513, 0.26158784; CIFAR-100: 0.50707516, 0.48654887, 0.44091784
//! and 0.26733429, 0.25643846, 0.27615047); and 4,000 images of CIFAR-10's training set that were published elsewhere (with
//! ConvNetJS) are in it, byte by byte. That is not proof, so the program says "as wdpipe knows it", and says "the authors' own"
//! only if the MD5 sums match. Every import of an authors' archive tests the list: a difference is reported.

use md5::{Digest, Md5};

use crate::data::images::{Images, ImagesError};
use base::work::Source;

/// Number of listed bits of an image's hash. One altered image in 5,000 is mistaken for a listed one; the hash of the whole
/// content always detects that something differs.
const BITS: u32 = 28;

/// Known properties of one data set.
struct Known {
    /// BLAKE3 of the stored training set and of the stored test set.
    content: [&'static str; 2],
    /// The list of the training set, then that of the test set, in the format of [`encode`].
    images: &'static [u8],
}

fn known(source: Source) -> Option<Known> {
    match source {
        Source::Cifar10 => Some(Known {
            content: [
                "69b0d28c876534f3d071d162c354146a767c6440f3d1f5379e0f572c24b16e57",
                "2855281c75a2083b979adde059b04e71a305d678e65994d2c6baa3079fc704cd",
            ],
            images: include_bytes!("cifar10.list"),
        }),
        Source::Cifar100 => Some(Known {
            content: [
                "72205307e022b8063bc80e95566b71f3dcc7c18c1cce9cb8c16e23b726ca337b",
                "9be21625d3c5c19c4e8588de03af81a94b70f613ba3864e6b8cdaaa4c5568bbd",
            ],
            images: include_bytes!("cifar100.list"),
        }),
        Source::Shapes10 => None,
    }
}

/// Returns the hashes of the training and test set of a data set in a store, if the content is the known one; `None` for a
/// built-in data set.
pub fn known_content(source: Source) -> Option<[&'static str; 2]> {
    known(source).map(|known| known.content)
}

/// Finds the images that are not in the data set. `hashes` has the hashes of the training set and of the test set. Returns
/// `None` if the content is the known one.
pub(super) fn strangers(
    source: Source,
    sets: [&Images; 2],
    hashes: [&[[u8; 32]]; 2],
) -> Result<Option<[Vec<usize>; 2]>, ImagesError> {
    let Some(known) = known(source) else { return Ok(None) };
    let content = |images: &Images| Ok::<_, ImagesError>(blake3::hash(&images.to_bytes()?).to_hex());
    if content(sets[0])?.as_str() == known.content[0] && content(sets[1])?.as_str() == known.content[1] {
        return Ok(None);
    }
    let mut listed = Decoder(known.images);
    Ok(Some(hashes.map(|hashes| beside(&listed.list(), hashes))))
}

/// Returns the places of hashes that are not in a sorted list, or that occur more often than in the list.
fn beside(listed: &[u32], hashes: &[[u8; 32]]) -> Vec<usize> {
    let mut sorted: Vec<(u32, usize)> = hashes.iter().map(prefix).zip(0..).collect();
    sorted.sort_unstable();
    let mut listed = listed.iter().copied().peekable();
    let mut places = Vec::new();
    for (hash, place) in sorted {
        while listed.next_if(|&other| other < hash).is_some() {}
        if listed.next_if_eq(&hash).is_none() {
            places.push(place);
        }
    }
    places.sort_unstable();
    places
}

fn prefix(hash: &[u8; 32]) -> u32 {
    u32::from_be_bytes([hash[0], hash[1], hash[2], hash[3]]) >> (32 - BITS)
}

/// Encodes a list: the number of hashes, then the differences of the sorted beginnings, each in LEB128 (seven bits per
/// byte, the lowest first, the highest bit set if more follow).
#[cfg(test)]
fn encode(hashes: &[[u8; 32]]) -> Vec<u8> {
    let mut sorted: Vec<u32> = hashes.iter().map(prefix).collect();
    sorted.sort_unstable();
    let mut bytes = Vec::new();
    let mut number = |mut number: u32| {
        while number >= 0x80 {
            bytes.push(number as u8 | 0x80);
            number >>= 7;
        }
        bytes.push(number as u8);
    };
    number(sorted.len() as u32);
    let mut last = 0;
    for hash in sorted {
        number(hash - last);
        last = hash;
    }
    bytes
}

/// The remaining bytes of the lists.
struct Decoder(&'static [u8]);

impl Decoder {
    fn number(&mut self) -> u32 {
        let (mut number, mut shift) = (0, 0);
        while let Some((&byte, rest)) = self.0.split_first() {
            self.0 = rest;
            number |= u32::from(byte & 0x7f) << shift;
            shift += 7;
            if byte < 0x80 || shift > 28 {
                break;
            }
        }
        number
    }

    fn list(&mut self) -> Vec<u32> {
        let mut last = 0;
        (0..self.number())
            .map(|_| {
                last += self.number();
                last
            })
            .collect()
    }
}

/// Returns the MD5 sum of bytes, in hexadecimal digits.
pub(super) fn md5(bytes: &[u8]) -> String {
    hex(&Md5::digest(bytes))
}

/// Returns a sum in hexadecimal digits.
pub(super) fn hex(sum: &[u8]) -> String {
    sum.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(start: u32, end: u8) -> [u8; 32] {
        let mut hash = [end; 32];
        hash[..4].copy_from_slice(&(start << (32 - BITS)).to_be_bytes());
        hash
    }

    #[test]
    fn images_beside_a_list_are_found() {
        let hashes: Vec<_> =
            [7, 3, 1 << 27, 3, 900].into_iter().zip(0..).map(|(start, end)| hash(start, end)).collect();
        let list: &'static [u8] = encode(&hashes).leak();
        let listed = Decoder(list).list();
        assert_eq!(listed, [3, 3, 7, 900, 1 << 27]);
        assert_eq!(beside(&listed, &hashes), [0; 0]);
        // One image is changed, one occurs once too often, one is missing.
        let mut other = hashes.clone();
        other[0] = hash(8, 0);
        other.push(hashes[4]);
        other.remove(2);
        assert_eq!(beside(&listed, &other), [0, 4]);
    }

    #[test]
    fn the_lists_are_whole() {
        for source in [Source::Cifar10, Source::Cifar100] {
            let mut lists = Decoder(known(source).unwrap().images);
            for count in [50_000, 10_000] {
                let list = lists.list();
                assert!(list.len() == count && list.is_sorted() && list[count - 1] < 1 << BITS);
            }
            assert!(lists.0.is_empty());
        }
    }

    /// Compares the lists, which another program computed, with the data, if available.
    #[test]
    fn the_lists_are_those_of_the_data() {
        for (source, variable) in [(Source::Cifar10, "WDPIPE_TEST_CIFAR10"), (Source::Cifar100, "WDPIPE_TEST_CIFAR100")]
        {
            let Some(path) = std::env::var_os(variable) else {
                println!("skipped: {variable} does not name a folder or file with the data");
                continue;
            };
            let imported = crate::data::import(path.as_ref()).unwrap();
            assert_eq!((imported.source, &imported.strangers), (source, &None));
            let [train, test] = [&imported.train, &imported.test].map(Images::hashes);
            let known = known(source).unwrap();
            assert!([encode(&train), encode(&test)].concat() == known.images);
            // One pixel of one image is changed.
            let (mut images, mut hashes) = (imported.train.clone(), train.clone());
            images.pixels[3072 * 41] ^= 1;
            hashes[41] = images.hashes()[41];
            let strangers = strangers(source, [&images, &imported.test], [&hashes, &test]).unwrap();
            assert_eq!(strangers, Some([vec![41], vec![]]));
        }
    }
}
