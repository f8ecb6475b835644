//! Output of `verify`: faults, requested checks, and a verdict.

use std::collections::BTreeSet;

use serde::Serialize;

use super::Verified;
use crate::cli::format::{count, wrapped};
use crate::cli::ui::Ui;
use crate::project::{Subject, command};
use crate::reports::VariantSettings;
use crate::verify::{Check, Level, Verdict};

/// Width of explanations, in characters.
const WIDTH: usize = 66;

/// Prints the result for people. Passed checks are printed with -v, or if they were requested without -q.
pub(super) fn text(verified: &[Verified], variants: &[Subject], asked: &[Level], ui: &Ui) {
    let mut levels = BTreeSet::new();
    for figure in verified {
        levels.extend(figure.checks.iter().map(|check| check.level));
        let is_told = |check: &&Check| {
            let is_well = check.verdict == Verdict::Holds;
            ui.verbose || !is_well || (asked.contains(&check.level) && !ui.quiet())
        };
        let told: Vec<_> = figure.checks.iter().filter(is_told).collect();
        let (place, profile) = (&figure.subject.place, &figure.subject.profile);
        if !told.is_empty() {
            ui.answer(&format!("{} ({profile}): {}", place.name, figure.verdict().name()));
        }
        for check in told {
            ui.tell(&format!("  {:<10}  {:<7}  {}", check.level.name(), check.verdict.name(), check.summary));
            check.findings.iter().for_each(|finding| ui.tell(&format!("              {finding}")));
        }
    }
    if ui.quiet() {
        return;
    }
    for Subject { profile, place } in variants {
        let how = match VariantSettings::read(place) {
            Some(settings) => {
                format!(", made by `{}`", command(&settings.command(&place.name), profile, &settings.set))
            }
            None => String::new(),
        };
        ui.answer(&format!("{} ({profile}): a variant, not counted{how}", place.name));
    }
    for figure in verified {
        let (place, profile) = (&figure.subject.place, &figure.subject.profile);
        let caveats = figure.checks.iter().filter_map(|check| check.caveat.as_ref());
        caveats.for_each(|caveat| ui.answer(&format!("{} ({profile}): {caveat}", place.name)));
    }
    if ui.verbose {
        ui.answer("");
        levels.iter().flat_map(|level| meaning(*level)).for_each(|line| ui.tell(&line));
    }
    if verified.iter().all(|figure| figure.verdict() == Verdict::Holds) {
        let names: Vec<_> = levels.iter().map(|level| level.name()).collect();
        let more = if ui.verbose { "" } else { " (-v shows what that proves)" };
        ui.answer(&format!("ok: {}, checked {}{more}", count(verified.len(), "figure"), names.join(", ")));
    }
}

/// Says how many figures hold, differ from their locks, and lack something.
pub(super) fn counted(holds: usize, differs: usize, lacks: usize) -> String {
    let of = |number: usize, one: &str, more: &str| match number {
        0 => None,
        1 => Some(format!("1 {one}")),
        _ => Some(format!("{number} {more}")),
    };
    let parts = [
        of(holds, "holds", "hold"),
        of(differs, "differs from its lock", "differ from their locks"),
        of(lacks, "lacks something", "lack something"),
    ];
    let parts = parts.into_iter().flatten().collect::<Vec<_>>().join(", ");
    match holds + differs + lacks {
        1 => format!("the figure{}", parts.trim_start_matches('1')),
        all => format!("of {all} figures, {parts}"),
    }
}

/// Explains what a level shows and what it leaves open.
fn meaning(level: Level) -> Vec<String> {
    let [shows, leaves_open] = level.meaning();
    let lines = wrapped(&format!("shows that {shows}. It leaves open {leaves_open}."), WIDTH);
    let names = std::iter::once(level.name()).chain(std::iter::repeat(""));
    names.zip(lines).map(|(name, line)| format!("  {name:<10}  {line}")).collect()
}

/// Output of `verify --json`.
#[derive(Serialize)]
pub(super) struct VerifyAnswer<'a> {
    verdict: String,
    figures: Vec<VerifiedAnswer<'a>>,
    variants: Vec<UnlockedAnswer<'a>>,
}

#[derive(Serialize)]
struct VerifiedAnswer<'a> {
    figure: &'a str,
    profile: &'a str,
    verdict: String,
    checks: Vec<LevelAnswer<'a>>,
}

#[derive(Serialize)]
struct LevelAnswer<'a> {
    level: &'static str,
    verdict: String,
    summary: &'a str,
    findings: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    caveat: Option<&'a str>,
}

#[derive(Serialize)]
struct UnlockedAnswer<'a> {
    name: &'a str,
    profile: &'a str,
    set: Option<Vec<String>>,
}

impl<'a> VerifyAnswer<'a> {
    /// Builds the result for programs.
    pub(super) fn of(verified: &'a [Verified], variants: &'a [Subject], verdict: Verdict) -> Self {
        let name = |verdict: Verdict| verdict.name().to_lowercase();
        let check = |check: &'a Check| LevelAnswer {
            level: check.level.name(),
            verdict: name(check.verdict),
            summary: &check.summary,
            findings: &check.findings,
            caveat: check.caveat.as_deref(),
        };
        let figure = |figure: &'a Verified| VerifiedAnswer {
            figure: &figure.subject.place.name,
            profile: &figure.subject.profile,
            verdict: name(figure.verdict()),
            checks: figure.checks.iter().map(check).collect(),
        };
        let variant = |Subject { profile, place }: &'a Subject| {
            let set = VariantSettings::read(place).map(|settings| settings.set);
            UnlockedAnswer { name: &place.name, profile, set }
        };
        Self {
            verdict: name(verdict),
            figures: verified.iter().map(figure).collect(),
            variants: variants.iter().map(variant).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_of_figures_are_grammatical() {
        for (counts, wanted) in [
            ([0, 1, 0], "the figure differs from its lock"),
            ([0, 0, 1], "the figure lacks something"),
            ([1, 0, 1], "of 2 figures, 1 holds, 1 lacks something"),
            ([5, 2, 3], "of 10 figures, 5 hold, 2 differ from their locks, 3 lack something"),
        ] {
            let [holds, differs, lacks] = counts;
            assert_eq!(counted(holds, differs, lacks), wanted);
        }
    }
}
