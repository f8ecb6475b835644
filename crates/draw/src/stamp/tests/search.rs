//! Tests of the search for stamps in files of all kinds.

use std::io::Write;

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

use super::super::find::{Budget, find_within};
use super::*;

fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Returns a file of a ZIP: its header, its name, its bytes.
fn zipped(name: &str, bytes: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    let mut header = b"PK\x03\x04\x14\0\x08\0\x08\0".to_vec();
    header.extend([0; 16]);
    header.extend((name.len() as u16).to_le_bytes());
    header.extend([0; 2]);
    [&header[..], name.as_bytes(), &encoder.finish().unwrap()].concat()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}

fn base64(bytes: &[u8]) -> String {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits = |chunk: &[u8]| {
        let bits = chunk.iter().fold(0_u32, |bits, &byte| bits << 8 | u32::from(byte)) << (8 * (3 - chunk.len()));
        (0..=chunk.len()).map(|i| char::from(alphabet[(bits >> (18 - 6 * i)) as usize & 63])).collect::<String>()
    };
    bytes.chunks(3).map(digits).collect()
}

#[test]
fn a_drawing_is_found_as_it_is() {
    for (format, bare) in drawings() {
        assert_eq!(find(&bare), []);
        assert_eq!(find(&stamp(format, &bare, &sample("fig3")).unwrap()), [sample("fig3")]);
    }
}

#[test]
fn a_text_is_found_however_it_is_written() {
    let (stamp, text) = (sample("Größe 1"), sample("Größe 1").to_string());
    let wide: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
    let narrow: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let octal: String =
        wide.iter().map(|byte| if *byte == 0 { "\\000".to_owned() } else { char::from(*byte).to_string() }).collect();
    let all_octal: String = text.bytes().map(|byte| format!("\\{byte:03o}")).collect();
    let percent: String = text
        .bytes()
        .map(|byte| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect();
    let lines =
        |text: String| text.as_bytes().chunks(60).map(|line| [line, b"\r\n"].concat()).collect::<Vec<_>>().concat();
    let ways = [
        text.clone().into_bytes(),
        [&b"\xfe\xff"[..], &wide].concat(),
        narrow,
        format!("/WdpipeFigure (\\376\\377{octal})").into_bytes(),
        all_octal.into_bytes(),
        format!("/WdpipeFigure ({}\\\n{})", &text[..50], &text[50..]).into_bytes(),
        format!("<{}>", hex(text.as_bytes())).into_bytes(),
        format!("<FEFF{}>", hex(&wide).to_lowercase()).into_bytes(),
        lines(format!("<FEFF{}>", hex(&wide))),
        format!("data:image/svg+xml,{percent}").into_bytes(),
        format!("src=\"data:image/png;base64,{}\"", base64(text.as_bytes())).into_bytes(),
        lines(format!("base64,{}==", base64(&[b"12", text.as_bytes()].concat()))),
    ];
    for way in ways {
        assert_eq!(find(&way), std::slice::from_ref(&stamp), "{}", way.escape_ascii());
        let (left, right) = (b"wdpipe-figure/1 name=wdpipe-figure/\xff\0\xff", b"0123");
        assert_eq!(find(&[left, &way[..], right].concat()), std::slice::from_ref(&stamp), "{}", way.escape_ascii());
        assert_eq!(find(&way[..way.len() / 2]), []);
    }
}

#[test]
fn compressed_streams_are_looked_into() {
    let text = |name: &str| format!("{:1$}<<{2}>>", "", 3000, sample(name)).into_bytes();
    let stream = |name: &str, end: &str| {
        [b"<< /Filter /FlateDecode >>\nstream", end.as_bytes(), &zlib(&text(name)), b"\nendstream\n"].concat()
    };
    let pdf = [b"%PDF-1.5\n", &stream("a", "\n")[..], b"stream\n\x78\x9cno stream", &stream("b", "\r\n")].concat();
    assert_eq!(find(&pdf), [sample("a"), sample("b")]);
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(&text("c")).unwrap();
    assert_eq!(find(&gzip.finish().unwrap()), [sample("c")]);
    let zip = [zipped("ppt/media/image1.png", &text("d")), zipped("ppt/media/image2.svg", &text("e"))].concat();
    assert_eq!(find(&zip), [sample("d"), sample("e")]);
    // A truncated stream is read as far as it goes.
    let more: String = (0..1000).map(|i| i.to_string()).collect();
    let cut = zipped("x", &[text("f"), more.into_bytes()].concat());
    assert_eq!(find(&cut[..cut.len() - 100]), [sample("f")]);
}

#[test]
fn they_are_told_once_and_in_order() {
    let packed = [b"stream\n", &zlib(sample("b").to_string().as_bytes())[..]].concat();
    let plain = |name: &str| sample(name).to_string().into_bytes();
    let file = [&plain("z")[..], &packed, &plain("a"), &plain("b"), &plain("z")].concat();
    assert_eq!(find(&file), [sample("z"), sample("b"), sample("a")]);
}

#[test]
fn what_is_unpacked_is_bounded() {
    let small = Budget { stream: 10_000, total: 30_000, streams: 4 };
    let stream = |zeros: usize, name: &str| {
        let body = [vec![0; zeros], sample(name).to_string().into_bytes()].concat();
        [b"stream\n".to_vec(), zlib(&body)].concat()
    };
    let found = |streams: &[(usize, &str)]| {
        let file: Vec<u8> = streams.iter().flat_map(|(zeros, name)| stream(*zeros, name)).collect();
        find_within(&file, small).into_iter().map(|stamp| stamp.figure).collect::<String>()
    };
    assert_eq!(found(&[(9000, "a"), (20_000, "b"), (9000, "c")]), "ac", "a long stream is left, not the file");
    assert_eq!(found(&[(9000, "a"), (9000, "b"), (9000, "c"), (9000, "d")]), "abc");
    assert_eq!(found(&[(0, "a"), (0, "b"), (0, "c"), (0, "d"), (0, "e")]), "abcd");
    // Beginnings of streams, each of which could be read to the end of the file and contains nothing.
    let endless = [b"stream\n\x78\x9c".to_vec(), b"\0\0\0\xff\xff".repeat(1000)].concat().repeat(20);
    assert_eq!(find_within(&endless, small), []);
}
