//! The members of a zip archive, such as an `.npz`: stored or deflated, of less than 4 GiB, verified by their checksums.

use std::io::{self, Read, Seek, SeekFrom};

use flate2::CrcReader;
use flate2::read::DeflateDecoder;

/// Largest number of bytes of the list of members.
const LIST_LIMIT: usize = 16 << 20;
/// Number of bytes of the record that ends an archive, and largest number of bytes of the comment after it.
const END: usize = 22;
const COMMENT: usize = u16::MAX as usize;

/// A member.
#[derive(Debug)]
pub(super) struct ZipEntry {
    /// Name in the archive.
    pub(super) name: String,
    /// Number of unpacked bytes.
    pub(super) size: u64,
    packed: u64,
    offset: u64,
    sum: u32,
    deflated: bool,
}

/// Reads the list of members, which is at the end of the file.
pub(super) fn entries(file: &mut (impl Read + Seek)) -> io::Result<Vec<ZipEntry>> {
    let length = file.seek(SeekFrom::End(0))?;
    let tail = length.min((END + COMMENT) as u64);
    let tail = read_at(file, length - tail, tail as usize)?;
    let place = tail.windows(END).rposition(|window| window.starts_with(b"PK\x05\x06"));
    // An archive without its end has no list: it was truncated.
    let end = place.map(|place| &tail[place..]).ok_or(io::ErrorKind::UnexpectedEof)?;
    let (count, list) = (short(end, 10), long(end, 12) as usize);
    if list > LIST_LIMIT {
        return Err(io::Error::other("its list of members is too long"));
    }
    let list = read_at(file, u64::from(long(end, 16)), list)?;
    let mut rest = &list[..];
    let mut entries = Vec::new();
    for _ in 0..count {
        let head = rest.get(..46).filter(|head| head.starts_with(b"PK\x01\x02")).ok_or_else(damaged)?;
        let [name, extra, comment] = [28, 30, 32].map(|place| usize::from(short(head, place)));
        let bytes = rest.get(46..46 + name).ok_or_else(damaged)?;
        let (flags, method) = (short(head, 8), short(head, 10));
        // Members that are encrypted or packed in another way are skipped: the data sets do not use them.
        if flags & 1 == 0 && matches!(method, 0 | 8) {
            entries.push(ZipEntry {
                name: String::from_utf8_lossy(bytes).into_owned(),
                size: u64::from(long(head, 24)),
                packed: u64::from(long(head, 20)),
                offset: u64::from(long(head, 42)),
                sum: long(head, 16),
                deflated: method == 8,
            });
        }
        rest = rest.get(46 + name + extra + comment..).ok_or_else(damaged)?;
    }
    Ok(entries)
}

/// Lets `take` read a member, and then verifies the member's checksum.
pub(super) fn read<E: From<io::Error>>(
    file: &mut (impl Read + Seek),
    entry: &ZipEntry,
    take: impl FnOnce(&mut dyn Read) -> Result<(), E>,
) -> Result<(), E> {
    let head = read_at(file, entry.offset, 30)?;
    if !head.starts_with(b"PK\x03\x04") {
        return Err(damaged().into());
    }
    file.seek_relative(i64::from(short(&head, 26)) + i64::from(short(&head, 28)))?;
    let packed = io::BufReader::new(file.take(entry.packed));
    let unpacked: Box<dyn Read> = if entry.deflated { Box::new(DeflateDecoder::new(packed)) } else { Box::new(packed) };
    // Reading one byte more than expected detects a member that is too long, without unpacking all of it.
    let mut reader = CrcReader::new(unpacked.take(entry.size + 1));
    take(&mut reader)?;
    io::copy(&mut reader, &mut io::sink())?;
    if reader.crc().sum() == entry.sum && u64::from(reader.crc().amount()) == entry.size {
        Ok(())
    } else {
        Err(io::Error::other(format!("the checksum of `{}` is wrong", entry.name)).into())
    }
}

fn read_at(file: &mut (impl Read + Seek), offset: u64, length: usize) -> io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(offset))?;
    let mut bytes = Vec::new();
    file.take(length as u64).read_to_end(&mut bytes)?;
    if bytes.len() < length { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(bytes) }
}

fn short(bytes: &[u8], place: usize) -> u16 {
    u16::from_le_bytes([bytes[place], bytes[place + 1]])
}

fn long(bytes: &[u8], place: usize) -> u32 {
    u32::from(short(bytes, place)) | u32::from(short(bytes, place + 2)) << 16
}

fn damaged() -> io::Error {
    io::Error::other("its list of members is damaged")
}

#[cfg(test)]
pub(super) mod tests {
    use std::io::Write;

    use flate2::Crc;
    use flate2::{Compression, write::DeflateEncoder};

    /// Returns an archive as Python's `zipfile` writes it for NumPy, with the sizes in the members' headers in an extra field.
    pub(in crate::data::cifar) fn zip(members: &[(String, Vec<u8>)], deflated: bool) -> Vec<u8> {
        let (mut archive, mut list) = (Vec::new(), Vec::new());
        for (name, bytes) in members {
            let mut crc = Crc::new();
            crc.update(bytes);
            let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(bytes).unwrap();
            let packed = if deflated { encoder.finish().unwrap() } else { bytes.clone() };
            let method = [if deflated { 8 } else { 0 }, 0];
            let sum = crc.sum().to_le_bytes();
            let [size, packed_size, offset] =
                [bytes.len(), packed.len(), archive.len()].map(|number| (number as u32).to_le_bytes());
            let length = (name.len() as u16).to_le_bytes();
            let head: [&[u8]; 9] = [
                b"PK\x03\x04\x2d\0\0\0",
                &method,
                &[0; 4],
                &sum,
                &[0xff; 8],
                &length,
                &[20, 0],
                name.as_bytes(),
                &[1; 20],
            ];
            archive.extend(head.concat());
            archive.extend(packed);
            let head: [&[u8]; 9] = [
                b"PK\x01\x02\x2d\x03\x2d\0\0\0",
                &method,
                &[0; 4],
                &sum,
                &packed_size,
                &size,
                &length,
                &[0; 12],
                &offset,
            ];
            list.extend([&head.concat(), name.as_bytes()].concat());
        }
        let count = (members.len() as u16).to_le_bytes();
        let [offset, size] = [archive.len(), list.len()].map(|number| (number as u32).to_le_bytes());
        let end: [&[u8]; 6] = [b"PK\x05\x06\0\0\0\0", &count, &count, &size, &offset, &[0, 0]];
        [archive, list, end.concat()].concat()
    }
}
