//! Tests of stamps in committed drawings: removed, altered, found.

mod programs;
mod search;

use proptest::prelude::*;
use resvg::{tiny_skia, usvg};

use super::*;
use base::digest::{ClosureRoot, StageKey};

/// Returns a figure with a title, in each format, without the stamp that the committed file can have.
pub fn drawings() -> [(Format, Vec<u8>); 3] {
    let bare = |format, bytes: &[u8]| (format, unstamp(format, bytes).unwrap().0);
    [
        bare(Format::Svg, include_bytes!("../../../../../reports/smoke/prop3.svg")),
        bare(Format::Png, include_bytes!("../../../../../reports/smoke/prop3.png")),
        bare(Format::Pdf, include_bytes!("../../../../../reports/smoke/prop3.pdf")),
    ]
}

pub fn sample(figure: &str) -> Stamp {
    let (key, root) = (StageKey::from_bytes([0xab; 32]), ClosureRoot::from_bytes([7; 32]));
    Stamp { figure: figure.to_owned(), key, root }
}

#[test]
fn the_text_is_one_line_of_ascii_and_reads_back() {
    let text = sample("fig3").to_string();
    assert_eq!(text, format!("wdpipe-figure/1 name=fig3 key={} root={}", "ab".repeat(32), "07".repeat(32)));
    for figure in ["fig3", "effective-lr-a", "Größe 100% (x) key=1", &"é".repeat(127)] {
        let text = sample(figure).to_string();
        assert!(text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic() && !b"()<>&\\\"".contains(&byte)));
        assert!(text.len() <= text::TEXT_LIMIT);
        assert_eq!(text.parse(), Ok(sample(figure)));
    }
    let escapes = ["fig%33", "%e9", "%C3", "%", "%4", "fig+", "%0A", "a b", ""];
    for name in escapes {
        assert_eq!(text.replace("fig3", name).parse::<Stamp>(), Err(StampError::Text), "{name}");
    }
    for wrong in [&text[1..], &text[..text.len() - 1], &format!("{text} "), &text.replace("/1", "/2")] {
        assert_eq!(wrong.parse::<Stamp>(), Err(StampError::Text), "{wrong}");
    }
}

#[test]
fn a_stamp_is_put_in_and_taken_out() {
    for (format, bare) in drawings() {
        assert_eq!(unstamp(format, &bare), Ok((bare.clone(), None)));
        let one = stamp(format, &bare, &sample("fig3")).unwrap();
        assert_eq!(unstamp(format, &one), Ok((bare.clone(), Some(sample("fig3")))), "{format:?}");
        let other = stamp(format, &one, &sample("other")).unwrap();
        assert_eq!(unstamp(format, &other), Ok((bare.clone(), Some(sample("other")))), "the second replaces the first");
        assert_eq!(stamp(format, &other, &sample("fig3")).unwrap(), one);
        for figure in ["", "a\nb", &"x".repeat(256)] {
            assert!(matches!(stamp(format, &bare, &sample(figure)), Err(StampError::Name(_))));
        }
    }
}

#[test]
fn what_is_no_drawing_of_ours_is_refused() {
    let [(_, svg), (_, png), (_, pdf)] = drawings();
    for (format, foreign) in [
        (Format::Svg, &b"<svg xmlns=\"http://www.w3.org/2000/svg\"/>\n"[..]),
        (Format::Svg, &png),
        (Format::Png, &svg),
        (Format::Png, &png[..32]),
        (Format::Pdf, &svg),
        (Format::Pdf, &[&pdf[..], b"\n"].concat()),
        (Format::Pdf, b""),
    ] {
        assert_eq!(stamp(format, foreign, &sample("x")), Err(StampError::Foreign(format.name())));
        assert_eq!(unstamp(format, foreign), Ok((foreign.to_vec(), None)));
    }
}

#[test]
fn a_drawing_without_a_title_has_a_place_too() {
    let [.., (_, pdf)] = drawings();
    let place = position(&pdf, b"  /Info 5 0 R\n").unwrap();
    let bare = [&pdf[..place], &pdf[place + 14..]].concat();
    let stamped = stamp(Format::Pdf, &bare, &sample("x")).unwrap();
    assert_eq!(unstamp(Format::Pdf, &stamped), Ok((bare, Some(sample("x")))));
}

#[test]
fn a_dictionary_with_a_stamp_among_its_lines_is_not_ours() {
    let [.., (_, pdf)] = drawings();
    let place = position(&pdf, b"  /Title").unwrap();
    let lines = format!("  /WdpipeFigure ({})\n", sample("x"));
    // The lines replace the same number of bytes of the title, so that the table of references stays correct.
    let misleading = [&pdf[..place], lines.as_bytes(), &pdf[place + lines.len()..]].concat();
    assert_eq!(unstamp(Format::Pdf, &misleading), Ok((misleading.clone(), None)));
    assert!(Format::Pdf.put(&misleading, "y").is_some(), "it does look like one of ours");
    assert_eq!(stamp(Format::Pdf, &misleading, &sample("y")), Err(StampError::Foreign("PDF")));
}

#[test]
fn two_stamps_in_one_place_are_refused() {
    for (format, bare) in drawings() {
        let once = stamp(format, &bare, &sample("a")).unwrap();
        if let Some(twice) = format.put(&once, &sample("b").to_string()) {
            assert_eq!(unstamp(format, &twice), Err(StampError::Altered(format.name())));
            assert_eq!(stamp(format, &twice, &sample("c")), Err(StampError::Altered(format.name())));
        }
    }
}

#[test]
fn no_altered_byte_goes_unnoticed() {
    for (format, bare) in drawings() {
        let stamped = stamp(format, &bare, &sample("fig3")).unwrap();
        let whole = (bare.clone(), Some(sample("fig3")));
        let mut altered = stamped.clone();
        // All bytes of the stamp, and some around it: other bytes of the drawing are compared directly.
        let begin = stamped.iter().zip(&bare).take_while(|(a, b)| a == b).count();
        let near = begin.saturating_sub(600)..(begin + 1200).min(stamped.len());
        for place in (0..stamped.len()).step_by(997).chain(near) {
            for bit in [1, 0x20, 0x80] {
                altered[place] ^= bit;
                assert_ne!(unstamp(format, &altered).ok().as_ref(), Some(&whole), "{format:?}: byte {place}");
                altered[place] ^= bit;
            }
        }
        for cut in (0..stamped.len()).step_by(997).chain(begin..stamped.len().min(begin + 1000)) {
            assert_ne!(unstamp(format, &stamped[..cut]).ok().as_ref(), Some(&whole), "{format:?}: cut at {cut}");
        }
        let longer = [&stamped[..], b"\n"].concat();
        assert_ne!(unstamp(format, &longer).ok().as_ref(), Some(&whole));
    }
}

#[test]
fn a_stamp_does_not_show() {
    let [(_, svg), (_, png), _] = drawings();
    let options = usvg::Options::default();
    let pixels = |svg: &[u8]| {
        let tree = usvg::Tree::from_data(svg, &options).unwrap();
        let mut map = tiny_skia::Pixmap::new(200, 200).unwrap();
        resvg::render(&tree, tiny_skia::Transform::from_scale(0.4, 0.4), &mut map.as_mut());
        map
    };
    let decoded = |png: &[u8]| tiny_skia::Pixmap::decode_png(png).unwrap();
    let with = |format, bytes: &[u8]| stamp(format, bytes, &sample("fig3")).unwrap();
    assert!(pixels(&with(Format::Svg, &svg)) == pixels(&svg));
    assert!(decoded(&with(Format::Png, &png)) == decoded(&png));
    let document = with(Format::Svg, &svg);
    let document = usvg::roxmltree::Document::parse(std::str::from_utf8(&document).unwrap()).unwrap();
    let metadata = document.root_element().children().find(|node| node.has_tag_name("metadata")).unwrap();
    assert_eq!(metadata.text(), Some(sample("fig3").to_string().as_str()));
}

/// Generates bytes that contain pieces with a meaning for the readers of stamps.
fn hostile() -> impl Strategy<Value = Vec<u8>> {
    let [(_, svg), (_, png), (_, pdf)] =
        drawings().map(|(format, bare)| (format, stamp(format, &bare, &sample("f")).unwrap()));
    let short = |bytes: &[u8], from: usize| bytes[from..bytes.len().min(from + 900)].to_vec();
    let (svg, png, pdf) = (short(&svg, 0), short(&png, 0), short(&pdf, pdf.len() - 900));
    let words: [&[u8]; 14] = [
        b"wdpipe-figure/1 name=",
        b" key=",
        b" root=",
        b"stream\n\x78\x9c",
        b"PK\x03\x04\0\0\0\0\x08\0",
        b"\x1f\x8b\x08",
        b"base64,",
        b"\\",
        b"<",
        b"%",
        b"</desc>\n",
        b"\ntrailer\n<<\n  /Size ",
        b"\n%%EOF",
        b"xref\n0 ",
    ];
    let words: Vec<Vec<u8>> = words.iter().map(|word| word.to_vec()).chain([svg, png, pdf]).collect();
    let piece = prop_oneof![
        prop::sample::select(words),
        prop::collection::vec(any::<u8>(), 0..20),
        any::<u64>().prop_map(|number| number.to_string().into_bytes()),
        "[0-9a-f]{0,70}".prop_map(String::into_bytes),
    ];
    prop::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn no_bytes_are_misread(bytes in hostile(), flips in prop::collection::vec((any::<usize>(), any::<u8>()), 0..3)) {
        let mut bytes = bytes;
        for (place, value) in flips {
            let length = bytes.len().max(1);
            if let Some(byte) = bytes.get_mut(place % length) {
                *byte = value;
            }
        }
        let _ = find(&bytes);
        for format in [Format::Svg, Format::Png, Format::Pdf] {
            if let Ok((original, Some(found))) = unstamp(format, &bytes) {
                prop_assert_eq!(stamp(format, &original, &found), Ok(bytes.clone()));
            }
            if let Ok(stamped) = stamp(format, &bytes, &sample("x")) {
                let original = unstamp(format, &bytes).unwrap().0;
                prop_assert_eq!(unstamp(format, &stamped), Ok((original, Some(sample("x")))));
            }
        }
    }
}
