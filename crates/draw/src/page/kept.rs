//! Figures of an earlier page, so that a page with only some new figures keeps the others.

use std::collections::{BTreeMap, BTreeSet};

/// A figure's part of a page, unchanged.
#[derive(Debug, Clone, PartialEq)]
pub struct Kept {
    /// The figure's name.
    pub name: String,
    /// The figure's line in the contents.
    pub(super) entry: String,
    /// The figure's section.
    pub(super) section: String,
    /// Number of claims with each verdict.
    pub(super) verdicts: BTreeMap<String, usize>,
    /// The keys of the figure's stages.
    pub(super) stages: BTreeSet<String>,
    /// The date of the newest result; can be empty.
    pub(super) newest: String,
}

/// Start of a section.
const START: &str = "\n<section id=\"figure-";

/// Returns the figures of a page that [`super::html`] wrote. Any other text gives an empty list.
pub fn kept(page: &str) -> Vec<Kept> {
    // Nothing inside a section can end it: texts are escaped, and drawings contain no such element.
    page.match_indices(START).filter_map(|(at, _)| one(page, &page[at + START.len()..])).collect()
}

fn one(page: &str, rest: &str) -> Option<Kept> {
    let name = rest.split('"').next()?;
    let section = format!("{}{}", &START[1..], rest.split_inclusive("</section>\n").next()?);
    let beginning = format!("\n<li><a href=\"#figure-{name}\">");
    let entry = page.split_once(&beginning)?.1.split_inclusive("</li>\n").next()?;
    // The format is that of `written`: 2 reproduced, 1 undecided.
    let tally = entry.rsplit_once("<span class=\"note\">").and_then(|(_, rest)| rest.strip_suffix("</span></li>\n"));
    let verdict = |part: &str| {
        let (count, verdict) = part.split_once(' ')?;
        Some((verdict.to_owned(), count.parse().ok()?))
    };
    // The format is that of `stages`. If there are very many stages, it writes only their number.
    let keys = section.split("<td><code title=\"").skip(1).filter_map(|rest| rest.split('"').next());
    let mut stages: BTreeSet<String> = keys.map(str::to_owned).collect();
    if stages.is_empty() {
        let count = section.split_once("<summary>Stages: ").and_then(|(_, rest)| rest.split(',').next()?.parse().ok());
        stages.extend((0..count.unwrap_or(0_usize)).map(|stage| format!("{name} {stage}")));
    }
    // The format is that of `section::origin`.
    let date = section.split_once("<dt>Newest result</dt><dd>").and_then(|(_, rest)| rest.split('<').next());
    let newest = date.unwrap_or_default().to_owned();
    Some(Kept {
        newest,
        name: name.to_owned(),
        entry: format!("{}{entry}", &beginning[1..]),
        verdicts: tally.into_iter().flat_map(|tally| tally.split(", ").filter_map(verdict)).collect(),
        stages,
        section,
    })
}
