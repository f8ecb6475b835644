//! `wdpipe selftest statistics`: simulates what the rules of `compare` and `make --until-width` achieve.

use clap::Args;

use super::parse::whole;
use super::ui::Ui;
use crate::project::{ExitCode, Failure};
use draw::claim::simulate::{Covered, Population, coverage, false_findings, power};

/// Simulate seeds, and print how often statistical rules are right.
///
/// Prints how often intervals cover the mean, how often noise is called a finding, and how often a difference is found.
/// The random numbers are fixed: the same number of cases gives the same answer everywhere.
#[derive(Debug, Args)]
pub struct StatisticsCommand {
    /// Number of simulated cases for every result.
    #[arg(long, default_value_t = CASES, value_name = "N", value_parser = whole(1..=1_000_000_u32))]
    cases: u32,
}

/// Number of cases in docs/numerics.md.
pub const CASES: u32 = 4000;
/// Widths of intervals, in standard deviations of a run.
const WIDTHS: [f64; 3] = [4.0, 2.0, 1.0];
/// Differences of two curves, in standard deviations of a run.
const DIFFERENCES: [f64; 7] = [1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0];
/// Numbers of seeds, and of claims in a figure.
const SEEDS: [usize; 3] = [3, 4, 5];
const CLAIMS: [usize; 3] = [1, 3, 6];

impl StatisticsCommand {
    /// Runs the command.
    ///
    /// # Errors
    /// If the rules exceed their error rates for normal runs.
    pub fn run(&self, ui: &Ui) -> Result<(), Failure> {
        let simulated = Simulated::new(self.cases);
        ui.answer(simulated.section(self.cases).trim_end());
        simulated.verdict(self.cases)
    }
}

/// Results for a population.
struct SimulatedOutcome {
    name: &'static str,
    /// Coverage at each width.
    covered: Vec<Covered>,
    /// Share of false findings.
    found: f64,
}

/// Results of the simulation.
pub struct Simulated {
    populations: Vec<SimulatedOutcome>,
    /// For every number of claims and seeds, the share of cases in which each difference was found.
    power: Vec<(usize, usize, Vec<f64>)>,
}

impl Simulated {
    /// Simulates `cases` cases for every result.
    pub fn new(cases: u32) -> Self {
        let of = |(name, population): (&'static str, Population)| {
            let covered = WIDTHS.map(|width| coverage(population, width, cases)).to_vec();
            SimulatedOutcome { name, covered, found: false_findings(population, cases) }
        };
        let populations = Population::ALL.map(of).into();
        let sizes = CLAIMS.iter().flat_map(|claims| SEEDS.map(|seeds| (*claims, seeds)));
        let found = |(claims, seeds)| {
            (claims, seeds, DIFFERENCES.map(|difference| power(difference, seeds, claims, cases)).to_vec())
        };
        Self { populations, power: sizes.map(found).collect() }
    }

    /// Checks that, for normal runs, intervals cover the mean in at least 95 % of all cases and at most 5 % are called a
    /// finding, up to three standard errors.
    ///
    /// # Errors
    /// If one of these shares is worse.
    pub fn verdict(&self, cases: u32) -> Result<(), Failure> {
        let slack = 3.0 * (0.05 * 0.95 / f64::from(cases)).sqrt();
        let SimulatedOutcome { covered, found, .. } = &self.populations[0];
        if covered.iter().all(|covered| covered.share >= 0.95 - slack) && *found <= 0.05 + slack {
            return Ok(());
        }
        Err(Failure::new(ExitCode::Failed, "the rules exceed their error rate of 5 % for normal runs", ""))
    }

    /// Returns the results as a section of docs/numerics.md.
    pub fn section(&self, cases: u32) -> String {
        let percent = |share: f64| format!("{:.1} %", 100.0 * share);
        let heading = |first: &str, rest: Vec<String>| [vec![first.to_owned()], rest].concat();
        let widths = WIDTHS.map(|width| format!("width {width}")).to_vec();
        let covered = |outcome: &SimulatedOutcome| {
            let cell = |Covered { share, seeds }: &Covered| format!("{}, {seeds:.0} seeds", percent(*share));
            heading(outcome.name, outcome.covered.iter().map(cell).collect())
        };
        let coverages = [vec![heading("runs", widths)], self.populations.iter().map(covered).collect()].concat();
        let found = |outcome: &SimulatedOutcome| vec![outcome.name.to_owned(), percent(outcome.found)];
        let findings = [
            vec![vec!["runs".to_owned(), "called reproduced".to_owned()]],
            self.populations.iter().map(found).collect(),
        ];
        let differences = DIFFERENCES.map(|difference| format!("{difference} SD")).to_vec();
        let power = |(claims, seeds, found): &(usize, usize, Vec<f64>)| {
            [vec![claims.to_string(), seeds.to_string()], found.iter().map(|share| percent(*share)).collect()].concat()
        };
        let powers = [
            vec![heading("claims of the figure", heading("seeds", differences))],
            self.power.iter().map(power).collect(),
        ];
        format!(
            "## What seeds can show\n\nResults of a simulation with {cases} cases per number (`wdpipe selftest \
             statistics`; the random numbers are fixed). SD is the standard deviation of a run.\n\n`make --until-width` adds \
             seeds until every mean's 95 % interval is narrow enough. It looks at 3, 5, 8, 12, 18, … seeds, and look \
             k uses an interval with the error probability 5 %/(k(k + 1)), so that all looks together have at most 5 %. The \
             table shows how often the last interval covered the mean, and how many seeds it took (at most about \
             700):\n\n{}\nThe rule thus holds for runs that are approximately normal. **It fails if runs are skewed \
             or some collapse**: three or eight seeds may not show a collapse that one run in ten has, and the \
             interval looks narrow before the first such run. More seeds are the only remedy: look at the single \
             runs. Each interval is for one mean; of a hundred means, about five may lie outside.\n\nA claim without \
             any truth in it, tested by `compare` with the planned three seeds and again with each seed added up to \
             ten, is called reproduced at least once in\n\n{}\nof all cases (5 % are allowed; uncorrected tests call \
             it reproduced in 12 to 22 %). The p-value of look k is multiplied by k(k + 1); k = 1 at the number of \
             seeds that the profile plans.\n\nPower is how often a difference of two curves is found with the planned \
             number of seeds, if no other claim of the figure was found before (Holm's method makes the others easier \
             once one is found):\n\n{}\nPublished differences are 3 to 10 SD (Figure 3b: 10.25, 11.2 and 14.7 % with \
             an SD of 0.25 to 0.4). Three seeds therefore decide a claim that stands alone, but few claims among six; \
             five seeds decide most.\n\nThese tests have limits. They are one-sided, each for the claimed direction \
             and for the opposite one. Runs that diverged are left out, so the results hold for the other runs. Seeds \
             vary the initial weights and the order of the data, but neither the training nor the test images, over \
             which the spread may be larger. Claims of one figure are corrected for each other; claims of different \
             figures are not.\n",
            markdown(coverages),
            markdown(findings.concat()),
            markdown(powers.concat()),
        )
    }
}

/// Formats rows as a Markdown table, the first row as its heading.
pub fn markdown(rows: Vec<Vec<String>>) -> String {
    let line = |cells: &Vec<String>| format!("| {} |\n", cells.join(" | "));
    let rule = rows.first().map(|heading| format!("|{}\n", " --- |".repeat(heading.len()))).unwrap_or_default();
    let mut lines = rows.iter().map(line);
    lines.next().into_iter().chain([rule]).chain(lines).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_says_what_is_simulated() {
        let simulated = Simulated::new(20);
        let section = simulated.section(20);
        assert!(section.contains("| normal | ") && section.contains("| 6 | 5 | "), "{section}");
        assert!(!section.contains("NaN"), "{section}");
        // The section in docs/numerics.md has the same text and tables, with more cases.
        let page = include_str!("../../docs/numerics.md");
        let fixed = |text: &str| -> Vec<String> {
            text.lines().filter(|line| !line.starts_with("| ") || line.contains("width")).map(str::to_owned).collect()
        };
        let here = page.find("## What seeds can show").expect("the section");
        assert_eq!(
            fixed(page[here..].trim_end()),
            fixed(section.replace("20 cases", &format!("{CASES} cases")).trim_end())
        );
    }

    #[test]
    fn rules_that_do_not_hold_fail() {
        let simulated = |share, found| {
            let covered = vec![Covered { share, seeds: 3.0 }];
            Simulated { populations: vec![SimulatedOutcome { name: "normal", covered, found }], power: vec![] }
        };
        assert!(simulated(0.95, 0.05).verdict(1000).is_ok());
        assert!(simulated(0.90, 0.05).verdict(1000).is_err() && simulated(0.95, 0.12).verdict(1000).is_err());
    }
}
