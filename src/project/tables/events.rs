//! The event files of TensorBoard: frames of TFRecord, each with one message of the protocol buffer `Event`. Only what scalars
//! need is written.

/// Polynomial of CRC-32C (Castagnoli), with its bits reversed.
const POLYNOMIAL: u32 = 0x82f6_3b78;

/// Values of one step.
#[derive(Debug, Clone, PartialEq)]
pub struct Scalars {
    /// When they were measured, in seconds since 1970.
    pub wall_time: f64,
    /// The step, such as an epoch.
    pub step: i64,
    /// Names and values.
    pub values: Vec<(String, f64)>,
}

/// Returns an event file with some scalars. Its first event states the version of the format.
pub fn file(events: &[Scalars]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut first = Vec::new();
    double(1, events.first().map_or(0.0, |event| event.wall_time), &mut first);
    text(3, b"brain.Event:2", &mut first);
    frame(&first, &mut bytes);
    bytes.extend(more(events));
    bytes
}

/// Returns the end of an event file, to be appended to one that exists.
pub fn more(events: &[Scalars]) -> Vec<u8> {
    let mut bytes = Vec::new();
    events.iter().for_each(|event| frame(&message(event), &mut bytes));
    bytes
}

/// Encodes an `Event` with a `Summary` of simple values, which are 32-bit numbers.
fn message(event: &Scalars) -> Vec<u8> {
    let mut summary = Vec::new();
    for (tag, value) in &event.values {
        let mut one = Vec::new();
        text(1, tag.as_bytes(), &mut one);
        one.push(2 << 3 | 5);
        one.extend((*value as f32).to_le_bytes());
        text(1, &one, &mut summary);
    }
    let mut encoded = Vec::new();
    double(1, event.wall_time, &mut encoded);
    encoded.push(2 << 3);
    varint(event.step as u64, &mut encoded);
    text(5, &summary, &mut encoded);
    encoded
}

/// Appends a field of 64 bits.
fn double(field: u8, value: f64, to: &mut Vec<u8>) {
    to.push(field << 3 | 1);
    to.extend(value.to_le_bytes());
}

/// Appends a field of a given length: a text or a message.
fn text(field: u8, value: &[u8], to: &mut Vec<u8>) {
    to.push(field << 3 | 2);
    varint(value.len() as u64, to);
    to.extend(value);
}

fn varint(mut value: u64, to: &mut Vec<u8>) {
    while value >= 0x80 {
        to.push(value as u8 | 0x80);
        value >>= 7;
    }
    to.push(value as u8);
}

/// Appends a frame of TFRecord: length, its checksum, content, its checksum.
fn frame(content: &[u8], to: &mut Vec<u8>) {
    let length = (content.len() as u64).to_le_bytes();
    to.extend(length);
    to.extend(masked(&length).to_le_bytes());
    to.extend(content);
    to.extend(masked(content).to_le_bytes());
}

/// Returns the checksum as TFRecord stores it.
fn masked(bytes: &[u8]) -> u32 {
    crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}

fn crc32c(bytes: &[u8]) -> u32 {
    let shift = |crc: u32| if crc & 1 == 1 { crc >> 1 ^ POLYNOMIAL } else { crc >> 1 };
    !bytes.iter().fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), |crc, _| shift(crc)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Splits a file into the contents of its frames, and checks their checksums.
    fn frames(mut bytes: &[u8]) -> Vec<&[u8]> {
        let mut contents = Vec::new();
        while !bytes.is_empty() {
            let (length, rest) = bytes.split_at(8);
            let (sum, rest) = rest.split_at(4);
            assert_eq!(sum, masked(length).to_le_bytes());
            let (content, rest) = rest.split_at(u64::from_le_bytes(length.try_into().unwrap()) as usize);
            let (sum, rest) = rest.split_at(4);
            assert_eq!(sum, masked(content).to_le_bytes());
            contents.push(content);
            bytes = rest;
        }
        contents
    }

    #[test]
    fn checksums_are_those_of_rfc_3720() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        let ascending: Vec<u8> = (0..32).collect();
        assert_eq!(crc32c(&ascending), 0x46dd_794e);
    }

    #[test]
    fn a_file_has_a_frame_for_its_version_and_one_for_each_step() {
        let event =
            Scalars { wall_time: 2.0, step: 300, values: vec![("m/loss".into(), 0.5), ("m/e".into(), f64::NAN)] };
        let written = file(&[event.clone(), Scalars { step: -1, values: vec![], ..event }]);
        let [version, first, second] = frames(&written)[..] else { panic!("{written:?}") };
        assert!(version.starts_with(&[9]) && version.ends_with(b"\x1a\x0dbrain.Event:2"), "{version:?}");
        let mut wanted = vec![9, 0, 0, 0, 0, 0, 0, 0, 0x40, 0x10, 0xac, 0x02, 0x2a, 27];
        wanted.extend(b"\x0a\x0d\x0a\x06m/loss\x15\x00\x00\x00\x3f");
        wanted.extend(b"\x0a\x0a\x0a\x03m/e\x15\x00\x00\xc0\x7f");
        assert_eq!(first, wanted);
        // A negative number takes ten bytes.
        assert_eq!(second[9..], [&[0x10][..], &[0xff; 9], &[1, 0x2a, 0]].concat());
        assert_eq!(frames(&file(&[])).len(), 1);
    }
}
