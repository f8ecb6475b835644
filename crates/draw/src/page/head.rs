//! The beginning of the page: what it shows, of which paper, from when, and the list of figures.

use std::collections::{BTreeMap, BTreeSet};

use super::text::{encode, esc, plural};
use super::{Kept, Page, Paper, section};

/// Explanation of the verdicts and their limits.
const RULES: &str = "<p class=\"note\">A claim is decided by one-sided tests over three or more seeds at 5 %, corrected \
    for the other claims of its figure (Holm), not for those of other figures, and for each seed that was added to those \
    planned. Runs that diverged are left out, so verdicts hold for the survivors. Seeds vary the initial weights and the \
    order of the data, neither the training nor the test images.</p>\n";

/// Returns the heading with the facts about the whole page.
pub(super) fn header(page: &Page, figures: &[Kept]) -> String {
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
    let dates = dates(figures);
    let (figures, stages) = (plural(figures.len(), "figure"), plural(stages.len(), "stage"));
    let counts = match verdicts.values().sum() {
        0 => format!("{figures}, {stages}."),
        claims => format!("{figures}, {}, {stages}. Of the claims: {}.", plural(claims, "claim"), tally(&verdicts)),
    };
    let commit = match &page.commit {
        Some(commit) => {
            let (hash, rest) = commit.split_at(commit.find(' ').unwrap_or(commit.len()));
            format!("<p>Written from commit <code>{}</code>{}.</p>\n", esc(hash), esc(rest))
        }
        None => String::new(),
    };
    format!(
        "<header>\n<h1>{}</h1>\n{}<p>Profile <strong>{}</strong>{about}.</p>\n<p>{counts}{dates}</p>\n\
         {commit}{rules}</header>\n",
        esc(&page.title),
        page.paper.as_ref().map(paper).unwrap_or_default(),
        esc(&page.profile),
    )
}

fn paper(paper: &Paper) -> String {
    let number = &paper.arxiv;
    let authors: Vec<String> = paper.authors.iter().map(|author| esc(author).to_string()).collect();
    format!(
        "<p class=\"authors\">Figures of the paper by {}, computed again: \
         <a href=\"https://arxiv.org/abs/{}\">arXiv:{}</a></p>\n",
        authors.join(", "),
        encode(number.as_bytes(), b"-._/"),
        esc(number),
    )
}

/// Returns a sentence with the dates of the figures' newest results.
fn dates(figures: &[Kept]) -> String {
    let known: BTreeSet<&str> =
        figures.iter().map(|figure| figure.newest.as_str()).filter(|date| !date.is_empty()).collect();
    match (known.first(), known.last()) {
        (Some(first), Some(last)) if first == last => format!(" Computed on {first}."),
        (Some(first), Some(last)) => format!(" Computed from {first} to {last}."),
        _ => String::new(),
    }
}

/// Returns the list of figures.
pub(super) fn contents(figures: &[Kept]) -> String {
    let entries: String = figures.iter().map(|figure| figure.entry.as_str()).collect();
    format!(
        "<nav id=\"contents\" aria-labelledby=\"contents-heading\">\n\
         <h2 id=\"contents-heading\">Contents</h2>\n<ul>\n{entries}</ul>\n</nav>\n"
    )
}

/// Formats the number of claims with each verdict as HTML: `2 reproduced, 1 undecided`. The known verdicts come first.
pub(super) fn tally(verdicts: &BTreeMap<String, usize>) -> String {
    let place = |verdict: &str| section::VERDICTS.iter().position(|known| known.0 == verdict).unwrap_or(usize::MAX);
    let mut sorted: Vec<_> = verdicts.iter().collect();
    sorted.sort_by_key(|(verdict, _)| (place(verdict), *verdict));
    sorted.iter().map(|(verdict, count)| format!("{count} {verdict}")).collect::<Vec<_>>().join(", ")
}
