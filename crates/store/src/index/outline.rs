//! Encoding of outcomes in the index. A plan with very many stages reads one outline per stage, so outlines are read
//! without a general decoder; all other stored data goes through [`base::codec`].
//!
//! Format: a byte for the layout, the record's 32 bytes, and for every output: the length of its name in one byte,
//! the name, the object's 32 bytes, the number of its bytes (8, little-endian), and a byte that says whether the
//! bytes follow.

use base::digest::{ObjectDigest, RecordDigest};
use base::record::{Outline, Output};

const LAYOUT: u8 = 2;

/// Maximum number of bytes of an outline; longer ones are not remembered, and their records are read instead.
const LONGEST: usize = 4 << 10;

/// Encodes an outline; `None` if it is too long.
pub(super) fn write(outline: &Outline) -> Option<Vec<u8>> {
    let mut bytes = vec![LAYOUT];
    bytes.extend(outline.digest.as_bytes());
    for Output { name, object, bytes: length, inline } in &outline.outputs {
        bytes.push(u8::try_from(name.len()).ok()?);
        bytes.extend(name.as_bytes());
        bytes.extend(object.as_bytes());
        bytes.extend(length.to_le_bytes());
        bytes.push(u8::from(inline.is_some()));
        if let Some(inline) = inline {
            (inline.len() as u64 == *length).then_some(())?;
            bytes.extend(inline);
        }
    }
    (bytes.len() <= LONGEST).then_some(bytes)
}

/// Decodes an outline; `None` if another version of the program wrote it, or the bytes are damaged.
pub(super) fn read(bytes: &[u8]) -> Option<Outline> {
    let mut rest = bytes.strip_prefix(&[LAYOUT])?;
    let digest = RecordDigest::from_bytes(*take::<32>(&mut rest)?);
    let mut outputs = Vec::with_capacity(4);
    while let Some(length) = take::<1>(&mut rest) {
        let name = String::from_utf8(slice(&mut rest, usize::from(length[0]))?.to_vec()).ok()?;
        let object = ObjectDigest::from_bytes(*take::<32>(&mut rest)?);
        let bytes = u64::from_le_bytes(*take::<8>(&mut rest)?);
        let inline = match take::<1>(&mut rest)? {
            [0] => None,
            [1] => Some(slice(&mut rest, usize::try_from(bytes).ok()?)?.to_vec()),
            _ => return None,
        };
        outputs.push(Output { name, object, bytes, inline });
    }
    Some(Outline { digest, outputs })
}

fn take<'a, const N: usize>(rest: &mut &'a [u8]) -> Option<&'a [u8; N]> {
    let (taken, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(taken)
}

fn slice<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, after) = rest.split_at_checked(length)?;
    *rest = after;
    Some(taken)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn outlines_round_trip_and_no_cut_or_longer_one_passes_for_another(
            outputs in proptest::collection::vec(("[a-z é]{0,12}", any::<u64>(), any::<Option<Vec<u8>>>()), 0..5),
            cut in any::<prop::sample::Index>(),
        ) {
            let output = |(name, bytes, inline): (String, u64, Option<Vec<u8>>)| Output {
                name,
                object: ObjectDigest::of(&bytes.to_le_bytes()),
                bytes: inline.as_ref().map_or(bytes, |inline| inline.len() as u64),
                inline,
            };
            let outputs: Vec<_> = outputs.into_iter().map(output).collect();
            let outline = Outline { digest: RecordDigest::of(b"record"), outputs };
            let bytes = write(&outline).unwrap();
            prop_assert_eq!(read(&bytes), Some(outline.clone()));
            let cut = cut.index(bytes.len());
            prop_assert!(read(&bytes[..cut]).is_none_or(|shorter| shorter.outputs.len() < outline.outputs.len()));
            prop_assert_eq!(read(&[&[LAYOUT + 1], &bytes[1..]].concat()), None);
        }
    }

    #[test]
    fn what_is_long_is_not_written() {
        let inline = vec![0; LONGEST];
        let output = Output {
            name: "metrics".into(),
            object: ObjectDigest::of(&inline),
            bytes: LONGEST as u64,
            inline: Some(inline),
        };
        assert_eq!(write(&Outline { digest: RecordDigest::of(b"record"), outputs: vec![output] }), None);
    }
}
