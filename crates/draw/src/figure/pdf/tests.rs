//! Tests of the PDF's structure and of refused drawings.

use std::io::Read;

use super::*;

const SVG: &str = r##"<svg xmlns="http://www.w3.org/2000/svg" width="200" height="101" font-family="DejaVu Sans">
<title>a (title) of ‖w‖</title>
<clipPath id="c"><rect x="10" y="10" width="50" height="50"/></clipPath>
<g clip-path="url(#c)"><path d="M0 0L100 100" stroke="#ff0000" stroke-width="1.7" stroke-dasharray="5.5 3" fill="none"/></g>
<path d="M0 0Q10 0 10 10C10 20 20 20 20 30Z" fill="#1d3557" fill-opacity="0.2"/>
<text x="100" y="50" text-anchor="middle" font-size="12">Tr(∇²L) of w̃ and AV µ</text>
<text transform="translate(20 90) rotate(-90)" font-size="11">turned</text>
</svg>"##;

fn text(bytes: &[u8]) -> String {
    bytes.iter().map(|&byte| char::from(byte)).collect()
}

/// Returns the position of the first occurrence of a text.
fn find(bytes: &[u8], what: &str) -> usize {
    bytes.windows(what.len()).position(|window| window == what.as_bytes()).unwrap()
}

/// Returns the stream of an object, uncompressed.
fn stream(pdf: &[u8], object: i32) -> Vec<u8> {
    let from = find(pdf, &format!("\n{object} 0 obj"));
    let start = from + find(&pdf[from..], "stream\n") + "stream\n".len();
    let mut out = Vec::new();
    flate2::read::ZlibDecoder::new(&pdf[start..]).read_to_end(&mut out).unwrap();
    out
}

#[test]
fn a_drawing_is_one_page_of_its_size() {
    let bytes = pdf(SVG).unwrap();
    let words = text(&bytes);
    assert!(words.starts_with("%PDF-1.4") && words.ends_with("%%EOF"));
    assert_eq!((words.matches("/Type /Page\n").count(), words.matches("/Count 1").count()), (1, 1));
    assert!(words.contains("/MediaBox [0 0 150 75.75]"), "{words}");
    assert!(!words.contains("Date") && !words.contains("/ID"));
    // Every object is at the position given in the table at the end.
    let table = find(&bytes, "\nxref\n") + 1;
    assert!(words.contains(&format!("startxref\n{table}\n")));
    for (i, line) in text(&bytes[table..]).lines().skip(3).take_while(|line| line.ends_with(" 00000 n ")).enumerate() {
        let at: usize = line[..10].parse().unwrap();
        assert!(text(&bytes[at..]).starts_with(&format!("{} 0 obj", i + 1)), "{line}");
    }
    assert_eq!(bytes, pdf(SVG).unwrap());
}

#[test]
fn lines_and_text_are_written_as_such() {
    let bytes = pdf(SVG).unwrap();
    let page = text(&stream(&bytes, CONTENT.get()));
    for operators in [
        "0.75 0 0 -0.75 0 75.75 cm",
        "10 10 m\n60 10 l\n60 60 l\n10 60 l\nh\nW\nn",
        "1 0 0 RG\n1.7 w",
        "[5.5 3] 0 d\n0 0 m\n100 100 l\nS",
        "/A0 gs\n0.114 0.208 0.341 rg\n0 0 m\n6.667 0 10 3.333 10 10 c\n10 20 20 20 20 30 c\nh\nf",
        "/F 12 Tf",
        "0 -1 1 0 20 90 cm",
    ] {
        assert!(page.contains(operators), "{operators} is not in {page}");
    }
    assert!(text(&bytes).contains("/ca 0.2"));
    // A whole text is one operator, except for accents, which are higher.
    assert!((2..=4).contains(&page.matches("TJ").count()), "{page}");
    let cmap = text(&stream(&bytes, FONT.get() + 4));
    for character in "Tr(∇²L) of w\u{303} and AV µturned".chars() {
        let code = format!("> <{:04X}>", u32::from(character));
        assert!(cmap.contains(&code), "{character}: {cmap}");
    }
    assert_eq!(stream(&bytes, FONT.get() + 3), crate::figure::font::BYTES);
}

#[test]
fn the_bytes_are_pinned() {
    let hash = blake3::hash(&pdf(SVG).unwrap()).to_hex();
    // If this changes, bump the version of the kind `figure` in work/mod.rs, and put the new hash here.
    assert_eq!(&hash.as_str()[..16], PINNED);
}

const PINNED: &str = "01a41b612f33427c";

#[test]
fn what_our_drawings_do_not_have_is_refused() {
    let with = |inner: &str| {
        let head = r#"<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9" font-family="DejaVu Sans">"#;
        pdf(&format!("{head}{inner}</svg>"))
    };
    let gradient =
        r##"<linearGradient id="g"><stop offset="0"/><stop offset="1" stop-color="#fff"/></linearGradient>"##;
    for inner in [
        &format!("{gradient}<rect width=\"5\" height=\"5\" fill=\"url(#g)\"/>"),
        "<g opacity=\"0.5\"><rect width=\"5\" height=\"5\"/></g>",
        "<text y=\"5\" stroke=\"#000000\">x</text>",
        "<text y=\"5\" text-decoration=\"underline\">x</text>",
    ] {
        assert!(matches!(with(inner), Err(FigureError::Pdf(_))), "{inner}");
    }
    assert!(matches!(pdf("<svg"), Err(FigureError::Pdf(_))));
    assert!(with("").is_ok());
}
