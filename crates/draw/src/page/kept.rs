//! Figures of a page that was written before, so that a page of some figures keeps the others.

use std::collections::{BTreeMap, BTreeSet};

/// A figure's part of a page, as it stands there.
#[derive(Debug, Clone, PartialEq)]
pub struct Kept {
    /// The figure's name.
    pub name: String,
    /// Its line in the contents.
    pub(super) entry: String,
    /// Its section.
    pub(super) section: String,
    /// How many claims have which verdict.
    pub(super) verdicts: BTreeMap<String, usize>,
    /// The keys of its stages.
    pub(super) stages: BTreeSet<String>,
}

/// What a section begins with.
const START: &str = "\n<section id=\"figure-";

/// The figures of a page that [`super::html`] wrote; none of any other text.
pub fn kept(page: &str) -> Vec<Kept> {
    // Nothing within a section can end it: texts are escaped, and drawings have no such element.
    page.match_indices(START).filter_map(|(at, _)| one(page, &page[at + START.len()..])).collect()
}

fn one(page: &str, rest: &str) -> Option<Kept> {
    let name = rest.split('"').next()?;
    let section = format!("{}{}", &START[1..], rest.split_inclusive("</section>\n").next()?);
    let beginning = format!("\n<li><a href=\"#figure-{name}\">");
    let entry = page.split_once(&beginning)?.1.split_inclusive("</li>\n").next()?;
    // As `written` writes it: 2 reproduced, 1 undecided.
    let tally = entry.rsplit_once("<span class=\"note\">").and_then(|(_, rest)| rest.strip_suffix("</span></li>\n"));
    let verdict = |part: &str| {
        let (count, verdict) = part.split_once(' ')?;
        Some((verdict.to_owned(), count.parse().ok()?))
    };
    // As `stages` writes a row's key. Of very many stages it writes their number alone.
    let keys = section.split("<td><code title=\"").skip(1).filter_map(|rest| rest.split('"').next());
    let mut stages: BTreeSet<String> = keys.map(str::to_owned).collect();
    if stages.is_empty() {
        let count = section.split_once("<summary>Stages: ").and_then(|(_, rest)| rest.split(',').next()?.parse().ok());
        stages.extend((0..count.unwrap_or(0_usize)).map(|stage| format!("{name} {stage}")));
    }
    Some(Kept {
        name: name.to_owned(),
        entry: format!("{}{entry}", &beginning[1..]),
        verdicts: tally.into_iter().flat_map(|tally| tally.split(", ").filter_map(verdict)).collect(),
        stages,
        section,
    })
}
