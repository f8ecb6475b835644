//! Drawings in the page: plain drawings are part of it; others are images, in which no script runs.

use super::Picture;
use super::text::{encode, esc};

/// Elements of plain drawings. None of them loads, runs or links anything, and none makes a browser switch from the
/// drawing to HTML.
const ELEMENTS: &[&str] = &[
    "circle",
    "clipPath",
    "defs",
    "desc",
    "ellipse",
    "g",
    "line",
    "linearGradient",
    "marker",
    "path",
    "polygon",
    "polyline",
    "rect",
    "stop",
    "svg",
    "text",
    "title",
    "tspan",
];

/// Returns the markup that shows a drawing. `name` is the alternative text if the drawing becomes an image.
pub(super) fn drawing(drawing: &Picture, name: &str) -> String {
    match drawing {
        Picture::Svg(svg) => document(svg, name),
        Picture::Png(bytes) => image("png", bytes, name),
        Picture::Pdf => "<p class=\"note\">This figure is a PDF file; see the files below.</p>".to_owned(),
    }
}

/// Returns the markup that shows an SVG document.
fn document(svg: &str, name: &str) -> String {
    let body = without_metadata(body(svg));
    if is_plain(&body) { body } else { image("svg+xml;charset=utf-8", svg.as_bytes(), name) }
}

/// Returns an image that is part of the page.
fn image(kind: &str, bytes: &[u8], name: &str) -> String {
    format!("<img src=\"data:image/{kind},{}\" alt=\"{}\">", encode(bytes, b"-._~"), esc(name))
}

/// Returns the document without the XML declaration, which is not allowed in HTML.
fn body(svg: &str) -> &str {
    let text = svg.trim_start_matches('\u{feff}').trim();
    match text.strip_prefix("<?xml").and_then(|rest| rest.split_once("?>")) {
        Some((_, rest)) => rest.trim(),
        None => text,
    }
}

/// Removes the metadata: they are for programs that read the file, and the page does not need them.
fn without_metadata(body: &str) -> String {
    let parts = body.split_once("<metadata").and_then(|(before, rest)| Some((before, rest.split_once("</metadata>")?)));
    match parts {
        Some((before, (_, after))) => format!("{before}{after}"),
        None => body.to_owned(),
    }
}

/// Checks whether a document is one `<svg>` of plain elements and attributes, each closed by its own end tag.
fn is_plain(body: &str) -> bool {
    let mut open: Vec<&str> = Vec::new();
    let mut rest = body;
    while let Some((text, tag)) = rest.split_once('<') {
        // There must be only one outermost element, and no text around it.
        if open.is_empty() && (!text.is_empty() || rest.len() != body.len()) {
            return false;
        }
        let Some(end) = tag_end(tag) else { return false };
        let inside = &tag[..end];
        rest = &tag[end + 1..];
        if let Some(name) = inside.strip_prefix('/') {
            if open.pop() != Some(name.trim_end()) {
                return false;
            }
            continue;
        }
        let (inside, closed) = inside.strip_suffix('/').map_or((inside, false), |inside| (inside, true));
        let (name, attributes) = inside.split_at(inside.find(char::is_whitespace).unwrap_or(inside.len()));
        let outermost = open.is_empty() == (name == "svg");
        if !ELEMENTS.contains(&name) || !outermost || !plain_attributes(attributes) {
            return false;
        }
        if !closed {
            open.push(name);
        }
    }
    open.is_empty() && rest.is_empty() && !body.is_empty()
}

/// Returns the position of a tag's `>`, ignoring any in quotes.
fn tag_end(tag: &str) -> Option<usize> {
    let mut quote = None;
    for (place, character) in tag.char_indices() {
        match (quote, character) {
            (None, '>') => return Some(place),
            (None, '<') => return None,
            (None, '"' | '\'') => quote = Some(character),
            (Some(open), _) if open == character => quote = None,
            _ => {}
        }
    }
    None
}

/// Checks whether attributes have the form `name="value"` and none of them runs, links or loads anything.
fn plain_attributes(text: &str) -> bool {
    let mut rest = text.trim();
    while !rest.is_empty() {
        let Some((name, value)) = rest.split_once('=') else { return false };
        let Some(value) = value.strip_prefix('"') else { return false };
        let Some((value, after)) = value.split_once('"') else { return false };
        let letters = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == ':');
        let lower = name.to_ascii_lowercase();
        let loud = lower.starts_with("on") || lower.ends_with("href") || lower == "style" || lower == "src";
        let loads = value.to_ascii_lowercase().replace("url(#", "").contains("url(");
        let apart = after.is_empty() || after.starts_with(char::is_whitespace);
        if name.is_empty() || !letters || loud || loads || !apart {
            return false;
        }
        rest = after.trim_start();
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_drawings_become_part_of_the_page() {
        let plain = "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"1\">\n<title id=\"t\">a &lt; b</title>\n\
            <g clip-path=\"url(#c)\"><path d=\"M0 0\"/></g>\n</svg>";
        let file = format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{plain}\n");
        assert_eq!(document(&file, "n"), plain);
        assert_eq!(document(&format!("\u{feff}{plain}"), "n"), plain);
        let with = plain.replace("</title>", "</title><metadata><a:b xmlns:a=\"u\">x</a:b></metadata>");
        assert_eq!(document(&with, "n"), plain);
    }

    #[test]
    fn anything_else_becomes_an_image() {
        let hostile = [
            "",
            "text",
            "<svg>",
            "</svg>",
            "<svg></g>",
            "<svg/>text",
            "<svg/><svg/>",
            "<p></p>",
            "<svg><svg/></svg>",
            "<svg><script>alert(1)</script></svg>",
            "<svg onload=\"alert(1)\"/>",
            "<svg ONLOAD=\"alert(1)\"/>",
            "<svg/onload=\"alert(1)\"/>",
            "<svg a=\"1\"onload=\"alert(1)\"/>",
            "<svg a='1'/>",
            "<svg a/>",
            "<svg style=\"background:url(http://h)\"/>",
            "<svg fill=\"url(http://h)\"/>",
            "<svg><a href=\"javascript:alert(1)\"/></svg>",
            "<svg><foreignObject/></svg>",
            "<svg><image href=\"http://h\"/></svg>",
            "<svg><title><script>alert(1)</script></title></svg>",
            "<svg><!-- --></svg>",
            "<svg><![CDATA[ ]]></svg>",
            "<!DOCTYPE svg><svg/>",
            "<svg><g <script></g></svg>",
            "<svg><metadata><metadata></metadata><script></script></metadata></svg>",
            "<svg></script><script>alert(1)</script></svg>",
        ];
        for svg in hostile {
            let shown = document(svg, "a\"b");
            assert!(shown.starts_with("<img src=\"data:image/svg+xml;charset=utf-8,"), "{svg}: {shown}");
            assert!(
                shown.ends_with("\" alt=\"a&quot;b\">") && shown.matches(['<', '>']).count() == 2,
                "{svg}: {shown}"
            );
        }
    }
}
