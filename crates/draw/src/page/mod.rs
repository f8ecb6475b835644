//! The page of a report: one HTML file that shows every figure, its claims, and its provenance.
//!
//! Pure. The file needs no other files and makes no requests to the network. Without JavaScript it shows the
//! drawings; with JavaScript the panels can be explored, drawn by `script` from the numbers in the file. All
//! text, including the drawings, is untrusted.

mod data;
mod flow;
mod head;
mod kept;
mod section;
mod stages;
mod svg;
#[cfg(test)]
mod tests;
mod text;
mod words;

use std::collections::{BTreeMap, BTreeSet};

pub use self::kept::{Kept, kept};
use self::text::esc;
use crate::figure::PanelAxes;
use base::table::Table;

const STYLE: &str = include_str!("page.css");
/// The parts of the page's script, which are one module of JavaScript.
const SCRIPT: &str = concat!(
    include_str!("script/data.js"),
    include_str!("script/text.js"),
    include_str!("script/scale.js"),
    include_str!("script/curves.js"),
    include_str!("script/panel.js"),
    include_str!("script/reading.js"),
    include_str!("script/gestures.js"),
    include_str!("script/export.js"),
    include_str!("script/page.js"),
);

/// Content Security Policy: the browser can load nothing. Drawings that are not plain SVG are `data:` images.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:; \
    base-uri 'none'; form-action 'none'";

/// Content of the page.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    /// The heading.
    pub title: String,
    /// The profile's name, such as `smoke`.
    pub profile: String,
    /// The profile's description; can be empty.
    pub about: String,
    /// The paper whose figures are regenerated.
    pub paper: Option<Paper>,
    /// The commit that the page was written from, and after a space its date; only if the writer asked for it.
    pub commit: Option<String>,
    /// The program and its version, such as `wdpipe 0.1.0`.
    pub program: String,
    /// The figures.
    pub figures: Vec<Section>,
    /// Figures of an earlier page that are kept unchanged.
    pub kept: Vec<Kept>,
}

/// A published paper.
#[derive(Debug, Clone, PartialEq)]
pub struct Paper {
    /// The authors.
    pub authors: Vec<String>,
    /// Its number on arXiv.
    pub arxiv: String,
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
    /// The root of everything that the figure was made from, in hexadecimal digits; can be empty.
    pub root: String,
    /// The date of the newest result among the stages, such as `2026-11-28`; can be empty.
    pub newest: String,
    /// Whether the figure has a lock, and what was checked of it when the page was written.
    pub checks: Checks,
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

/// What `verify` found about a figure.
#[derive(Debug, Clone, PartialEq)]
pub enum Checks {
    /// The figure has no lock, so there was nothing to compare it with.
    NotLocked,
    /// The levels that were checked.
    Done(Vec<CheckInfo>),
}

/// One level of verification.
#[derive(Debug, Clone, PartialEq)]
pub struct CheckInfo {
    /// The level, such as `files`.
    pub level: String,
    /// Whether everything was as expected.
    pub holds: bool,
    /// The verdict, such as `ok`.
    pub verdict: String,
    /// A summary in one line.
    pub summary: String,
    /// What the level proves.
    pub meaning: String,
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
    /// The scales of both axes, with their ticks.
    pub axes: PanelAxes,
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
    /// The runs whose means the curve shows; none if they are not known.
    pub runs: Vec<RunInfo>,
}

/// One run of a curve.
#[derive(Debug, Clone, PartialEq)]
pub struct RunInfo {
    /// Name, such as `seed 0`.
    pub name: String,
    /// The points (x, y).
    pub points: Vec<(f64, f64)>,
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
    /// An explanation below the table; can be empty.
    pub note: String,
    /// Whether the table is shown unfolded.
    pub open: bool,
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
    /// Indices of the stages whose outputs it reads.
    pub inputs: Vec<usize>,
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
    let mut out = document(page);
    out.push_str(&head::header(page, &figures));
    out.push_str(&head::contents(&figures));
    out.push_str(&words::definitions());
    out.push_str("<main>\n");
    figures.iter().for_each(|figure| out.push_str(&figure.section));
    out.push_str("</main>\n");
    out.push_str(&format!("<footer><p>Written by {}.</p></footer>\n", esc(&page.program)));
    out.push_str(&format!("<script type=\"module\">\n{SCRIPT}</script>\n</body>\n</html>\n"));
    out
}

fn document(page: &Page) -> String {
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
        false => format!(" <span class=\"note\">{}</span>", head::tally(&verdicts)),
    };
    let name = esc(&figure.name);
    Kept {
        name: figure.name.clone(),
        entry: format!(
            "<li><a href=\"#{anchor}\"><strong>{name}</strong>{title}</a> {}{claims}</li>\n",
            section::standing(&figure.checks),
        ),
        section: section::section(figure, anchor),
        newest: esc(&figure.newest).to_string(),
        verdicts,
        stages: figure.stages.iter().map(|stage| stage.key.clone()).collect(),
    }
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
