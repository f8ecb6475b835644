//! The page of a report: one HTML file that shows every figure, its claims, and its provenance.
//!
//! Pure. The file needs no other files and makes no requests to the network. Without JavaScript it shows the
//! drawings; with JavaScript the panels can be explored, drawn by `page.js` from the numbers in the file. All
//! text, including the drawings, is untrusted.

mod data;
mod kept;
mod section;
mod stages;
mod svg;
#[cfg(test)]
mod tests;
mod text;

use std::collections::{BTreeMap, BTreeSet};

pub use self::kept::{Kept, kept};
use self::text::{esc, plural};
use base::table::Table;

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// Content Security Policy: the browser can load nothing. Drawings that are not plain SVG are `data:` images.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:; \
    base-uri 'none'; form-action 'none'";

/// Explanation of the verdicts and their limits.
const RULES: &str = "<p class=\"note\">A claim is decided by one-sided tests over three or more seeds at 5 %, corrected \
    for the other claims of its figure (Holm), not for those of other figures, and for each seed that was added to those \
    planned. Runs that diverged are left out, so verdicts hold for the survivors. Seeds vary the initial weights and the \
    order of the data, neither the training nor the test images.</p>\n";

/// Content of the page.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    /// The heading.
    pub title: String,
    /// The profile's name, such as `smoke`.
    pub profile: String,
    /// The profile's description; can be empty.
    pub about: String,
    /// The program and its version, such as `wdpipe 0.1.0`.
    pub program: String,
    /// The figures.
    pub figures: Vec<Section>,
    /// Figures of an earlier page that are kept unchanged.
    pub kept: Vec<Kept>,
}

/// The drawing of a figure.
#[derive(Debug, Clone, PartialEq)]
pub enum Picture {
    /// A complete SVG document. Its ids must differ from those of the other figures.
    Svg(String),
    /// An image in pixels.
    Png(Vec<u8>),
    /// The figure has only a PDF, which the page cannot show.
    Pdf,
}

/// A figure with its claims, numbers and stages.
#[derive(Debug, Clone, PartialEq)]
pub struct Section {
    /// The name, such as `fig3`.
    pub name: String,
    /// The figure's title; can be empty.
    pub title: String,
    /// The drawing.
    pub drawing: Picture,
    /// The plotted numbers: the columns of [`crate::figure::numbers`], of which `panel`, `curve`, `x` and `mean`
    /// are needed to explore a panel. Rows that belong to no curve of [`Section::panels`] and unknown columns are
    /// left out.
    pub numbers: Table,
    /// The panels, in the figure's order.
    pub panels: Vec<PanelInfo>,
    /// Text at the foot of the figure, such as the number of runs; can be empty.
    pub caption: String,
    /// The claims of the figure, with their verdicts.
    pub claims: Vec<ClaimInfo>,
    /// Published numbers, next to those computed here.
    pub published: Vec<Listing>,
    /// File name and text of the pipeline.
    pub pipeline: (String, String),
    /// The command that makes the figure again.
    pub command: String,
    /// The stages that produced the figure.
    pub stages: Vec<StageInfo>,
    /// A sentence about stages whose programs nothing locks, if there are any.
    pub unlocked: Option<String>,
    /// Files of the figure: label, and path relative to the page's folder, with `/` and not percent-encoded.
    pub files: Vec<(String, String)>,
}

/// One pair of axes.
#[derive(Debug, Clone, PartialEq)]
pub struct PanelInfo {
    /// Short name, as in the numbers.
    pub id: String,
    /// Title above the axes; can be empty.
    pub title: String,
    /// Label of the horizontal axis.
    pub x_label: String,
    /// Label of the vertical axis.
    pub y_label: String,
    /// Whether the horizontal axis is logarithmic.
    pub x_log: bool,
    /// Whether the vertical axis is logarithmic.
    pub y_log: bool,
    /// The curves, in the order in which they are drawn.
    pub curves: Vec<CurveInfo>,
}

/// The name and look of a curve.
#[derive(Debug, Clone, PartialEq)]
pub struct CurveInfo {
    /// Name in the legend, as in the numbers.
    pub label: String,
    /// Colour as `#rrggbb`; anything else becomes black.
    pub colour: String,
    /// Whether the curve is dashed instead of solid, as in the numbers.
    pub dashed: bool,
    /// Lengths of strokes and gaps, as in SVG; empty for a solid line.
    pub dash: String,
    /// Marker at the points: `circle`, `square` or `diamond`; anything else becomes a circle.
    pub marker: String,
    /// Mark: `line`, `points`, `bars`, `scatter` or `path`. A panel with a curve of another mark (`arrows`, `star`,
    /// `heat`) cannot be explored.
    pub mark: String,
}

/// A claim of a figure.
#[derive(Debug, Clone, PartialEq)]
pub struct ClaimInfo {
    /// Short name.
    pub id: String,
    /// The claim, as a sentence.
    pub text: String,
    /// `reproduced`, `not reproduced` or `undecided`.
    pub verdict: String,
    /// The statistics of the verdict, in one or more lines.
    pub statistics: String,
}

/// A table of texts.
#[derive(Debug, Clone, PartialEq)]
pub struct Listing {
    /// Title of the table, with a summary.
    pub title: String,
    /// Names of the columns.
    pub heading: Vec<String>,
    /// The rows. No row has more cells than the heading.
    pub rows: Vec<Vec<String>>,
}

/// A stage and its record.
#[derive(Debug, Clone, PartialEq)]
pub struct StageInfo {
    /// The stage's name.
    pub name: String,
    /// The kind of work.
    pub kind: String,
    /// Run time in seconds; not finite if unknown.
    pub seconds: f64,
    /// Device: `cpu`, or the GPU's name.
    pub device: String,
    /// Processor and library.
    pub machine: String,
    /// The key, in hexadecimal digits.
    pub key: String,
    /// The outputs: name and hash in hexadecimal digits.
    pub outputs: Vec<(String, String)>,
}

/// Returns the page as one HTML document. The same page gives the same bytes.
pub fn html(page: &Page) -> String {
    let anchors = anchors(&page.figures);
    let new = page.figures.iter().zip(&anchors).map(|(figure, anchor)| written(figure, anchor));
    let mut figures: Vec<Kept> = new.chain(page.kept.iter().cloned()).collect();
    // The paper's figures come first.
    figures.sort_by_key(|figure| (!figure.name.starts_with("fig"), figure.name.clone()));
    let mut out = head(page);
    out.push_str(&header(page, &figures));
    out.push_str(&contents(&figures));
    out.push_str("<main>\n");
    figures.iter().for_each(|figure| out.push_str(&figure.section));
    out.push_str("</main>\n");
    out.push_str(&format!("<footer><p>Written by {}.</p></footer>\n", esc(&page.program)));
    out.push_str(&format!("<script>\n{SCRIPT}</script>\n</body>\n</html>\n"));
    out
}

fn head(page: &Page) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<meta name=\"generator\" content=\"{}\">\n\
         <link rel=\"icon\" href=\"data:,\">\n<title>{} – {}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n",
        esc(&page.program),
        esc(&page.title),
        esc(&page.profile),
    )
}

/// Returns a figure's part of a page.
fn written(figure: &Section, anchor: &str) -> Kept {
    let mut verdicts: BTreeMap<String, usize> = BTreeMap::new();
    for claim in &figure.claims {
        *verdicts.entry(esc(&claim.verdict).to_string()).or_default() += 1;
    }
    let title = match figure.title.trim() {
        "" => String::new(),
        title => format!(" {}", esc(title)),
    };
    let claims = match verdicts.is_empty() {
        true => String::new(),
        false => format!(" <span class=\"note\">{}</span>", tally(&verdicts)),
    };
    let name = esc(&figure.name);
    Kept {
        name: figure.name.clone(),
        entry: format!("<li><a href=\"#{anchor}\"><strong>{name}</strong>{title}</a>{claims}</li>\n"),
        section: section::section(figure, anchor),
        verdicts,
        stages: figure.stages.iter().map(|stage| stage.key.clone()).collect(),
    }
}

fn header(page: &Page, figures: &[Kept]) -> String {
    let about = match page.about.trim().trim_end_matches('.') {
        "" => String::new(),
        about => format!(": {}", esc(about)),
    };
    let mut verdicts: BTreeMap<String, usize> = BTreeMap::new();
    for (verdict, count) in figures.iter().flat_map(|figure| &figure.verdicts) {
        *verdicts.entry(verdict.clone()).or_default() += count;
    }
    // Figures can share stages; each stage is counted once.
    let stages: BTreeSet<&String> = figures.iter().flat_map(|figure| &figure.stages).collect();
    let rules = if verdicts.values().sum::<usize>() == 0 { "" } else { RULES };
    let (figures, stages) = (plural(figures.len(), "figure"), plural(stages.len(), "stage"));
    let counts = match verdicts.values().sum() {
        0 => format!("{figures}, {stages}."),
        claims => format!("{figures}, {}, {stages}. Of the claims: {}.", plural(claims, "claim"), tally(&verdicts)),
    };
    format!(
        "<header>\n<h1>{}</h1>\n<p>Profile <strong>{}</strong>{about}.</p>\n<p>{counts}</p>\n{rules}</header>\n",
        esc(&page.title),
        esc(&page.profile),
    )
}

fn contents(figures: &[Kept]) -> String {
    let entries: String = figures.iter().map(|figure| figure.entry.as_str()).collect();
    format!(
        "<nav id=\"contents\" aria-labelledby=\"contents-heading\">\n\
         <h2 id=\"contents-heading\">Contents</h2>\n<ul>\n{entries}</ul>\n</nav>\n"
    )
}

/// Formats the number of claims with each verdict as HTML: `2 reproduced, 1 undecided`. The known verdicts come first.
fn tally(verdicts: &BTreeMap<String, usize>) -> String {
    let place = |verdict: &str| section::VERDICTS.iter().position(|known| known.0 == verdict).unwrap_or(usize::MAX);
    let mut sorted: Vec<_> = verdicts.iter().collect();
    sorted.sort_by_key(|(verdict, _)| (place(verdict), *verdict));
    sorted.iter().map(|(verdict, count)| format!("{count} {verdict}")).collect::<Vec<_>>().join(", ")
}

/// Returns for each figure an id that is unique on the page. The prefix keeps a figure's name from being
/// another id of the page.
fn anchors(figures: &[Section]) -> Vec<String> {
    let mut taken = BTreeSet::new();
    let anchor = |figure: &Section| {
        let plain = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' };
        let name: String = figure.name.chars().map(plain).collect();
        let mut anchor = format!("figure-{name}");
        let mut number = 1;
        while !taken.insert(anchor.clone()) {
            number += 1;
            anchor = format!("figure-{name}-{number}");
        }
        anchor
    };
    figures.iter().map(anchor).collect()
}
