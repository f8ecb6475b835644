//! Drawings in the page: for any drawing, the rest of the page stays unchanged, and the drawing cannot run, load or
//! link anything.
#![no_main]

use libfuzzer_sys::fuzz_target;
use draw::page::{Checks, Page, Picture, Section, html};
use base::table::Table;

const PLAIN: &str = "<svg></svg>";
/// Elements that a drawing can contain. Listed independently here, because the page's own list must not allow more.
const ELEMENTS: &[&str] = &[
    "svg",
    "g",
    "defs",
    "desc",
    "title",
    "text",
    "tspan",
    "path",
    "line",
    "rect",
    "circle",
    "ellipse",
    "polygon",
    "polyline",
    "clipPath",
    "linearGradient",
    "stop",
    "marker",
];

fn page(svg: &str) -> String {
    let section = Section {
        name: "f".to_owned(),
        title: "t".to_owned(),
        root: String::new(),
        newest: String::new(),
        checks: Checks::NotLocked,
        drawing: Picture::Svg(svg.to_owned()),
        numbers: Table::default(),
        panels: Vec::new(),
        caption: String::new(),
        claims: Vec::new(),
        published: Vec::new(),
        pipeline: ("p".to_owned(), "p".to_owned()),
        command: "c".to_owned(),
        stages: Vec::new(),
        unlocked: None,
        files: Vec::new(),
    };
    let [title, profile, about, program] = ["a", "b", "c", "d"].map(str::to_owned);
    html(&Page { title, profile, about, paper: None, commit: None, program, figures: vec![section], kept: Vec::new() })
}

fn is_image(drawing: &str) -> bool {
    let inside = drawing.strip_prefix("<img src=\"data:image/svg+xml;charset=utf-8,");
    let inside = inside.and_then(|inside| inside.strip_suffix("\" alt=\"f t\">"));
    inside.is_some_and(|inside| inside.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~%".contains(&byte)))
}

/// Reads tags as a browser does (HTML, 13.2.5) if they are as plain as ours, and refuses all others.
fn is_harmless(drawing: &str) -> bool {
    let mut depth = 0_usize;
    let mut rest = drawing;
    while let Some((text, tag)) = rest.split_once('<') {
        if depth == 0 && !text.is_empty() {
            return false;
        }
        let (closing, tag) = tag.strip_prefix('/').map_or((false, tag), |tag| (true, tag));
        let name = &tag[..tag.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(tag.len())];
        if !ELEMENTS.contains(&name) {
            return false;
        }
        let mut at = &tag[name.len()..];
        let empty = loop {
            at = at.trim_start();
            if let Some(after) = at.strip_prefix("/>") {
                at = after;
                break true;
            }
            if let Some(after) = at.strip_prefix('>') {
                at = after;
                break false;
            }
            let Some((attribute, value)) = at.split_once("=\"") else { return false };
            let Some((value, after)) = value.split_once('"') else { return false };
            let attribute = attribute.to_ascii_lowercase();
            let plain = attribute.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-:".contains(&byte));
            let active =
                attribute.starts_with("on") || attribute.ends_with("href") || ["style", "src"].contains(&&*attribute);
            if closing || !plain || active || value.to_ascii_lowercase().replace("url(#", "").contains("url(") {
                return false;
            }
            at = after;
        };
        depth = match (closing, empty) {
            (true, true) => return false,
            (true, false) => match depth.checked_sub(1) {
                Some(depth) => depth,
                None => return false,
            },
            (false, true) => depth,
            (false, false) => depth + 1,
        };
        rest = at;
    }
    depth == 0 && rest.is_empty()
}

fuzz_target!(|svg: &str| {
    let plain = page(PLAIN);
    let (before, after) = plain.split_once(PLAIN).expect("the drawing is in the page");
    let shown = page(svg);
    let drawing = shown.strip_prefix(before).and_then(|shown| shown.strip_suffix(after));
    let drawing = drawing.expect("the rest of the page is as it was");
    assert!(is_image(drawing) || is_harmless(drawing), "{drawing}");
});
