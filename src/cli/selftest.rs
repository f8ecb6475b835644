//! `wdpipe selftest`: checks that the numbers are right.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::parse::whole;
use super::statistics::StatisticsCommand;
use super::ui::Ui;
use crate::project::{ExitCode, Failure};

/// Check the numbers against PyTorch and against exact values.
///
/// Also simulates what tests over seeds can show.
#[derive(Debug, Subcommand)]
pub enum SelftestCommand {
    Numerics(NumericsCommand),
    Estimators(EstimatorsCommand),
    Statistics(StatisticsCommand),
    Report(NumericsPageCommand),
}

/// Repeat runs of PyTorch, and print the distance of every result.
#[derive(Debug, Args)]
pub struct NumericsCommand {
    /// Case files (safetensors): initial weights, batches and PyTorch's results.
    #[arg(required = true, value_name = "CASE")]
    cases: Vec<PathBuf>,
    /// File for the results computed here, under the names of the expected results. One case only.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Compare every estimator with exact values.
///
/// The matrices of a small network are computed completely for this.
#[derive(Debug, Args)]
pub struct EstimatorsCommand {
    /// Number of estimates of every quantity.
    #[arg(long, default_value_t = 200, value_name = "N", value_parser = whole(1..=u32::MAX))]
    repetitions: u32,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Write the results of these checks as a page.
#[derive(Debug, Args)]
pub struct NumericsPageCommand {
    /// Case files.
    #[arg(required = true, value_name = "CASE")]
    cases: Vec<PathBuf>,
    /// Number of estimates of every quantity.
    #[arg(long, default_value_t = 200, value_name = "N", value_parser = whole(1..=u32::MAX))]
    repetitions: u32,
    /// File of the page.
    #[arg(long, default_value = "docs/numerics.md", value_name = "FILE")]
    to: PathBuf,
}

#[cfg(not(feature = "torch"))]
impl SelftestCommand {
    /// Runs the simulation, or returns an error for the other checks, which need libtorch.
    ///
    /// # Errors
    /// If the check needs libtorch, or the simulation fails.
    pub fn run(&self, ui: &Ui) -> Result<(), Failure> {
        if let Self::Statistics(command) = self {
            return command.run(ui);
        }
        let message = "this wdpipe was built without libtorch and has no numbers to check";
        Err(Failure::new(ExitCode::Missing, message, "build it with its default features"))
    }
}

#[cfg(feature = "torch")]
mod with_torch {
    use std::collections::BTreeMap;
    use std::path::Path;

    use serde::Serialize;

    use super::super::format::columns;
    use super::super::statistics::{CASES, Simulated, markdown};
    use super::{EstimatorsCommand, ExitCode, Failure, NumericsCommand, NumericsPageCommand, SelftestCommand, Ui};
    use crate::stages::StageError;
    use crate::stages::selftest::{
        Checked, Comparison, Coverage, DRAWS, Deviation, Exact, IMAGES, REFERENCE, STANDARD_ERRORS, TRAINED, check,
        compare,
    };

    /// Largest size of a case file, in bytes.
    const LARGEST: u64 = 1 << 30;
    /// Smallest allowed share of estimates that must lie within [`STANDARD_ERRORS`] standard errors.
    const LEAST: f64 = 0.95;
    /// Largest allowed difference of a product from the matrix's product, as a share of its largest component.
    const ROUNDING: f64 = 1e-12;

    impl SelftestCommand {
        /// Runs the command.
        ///
        /// # Errors
        /// If a case cannot be read, or something disagrees.
        pub fn run(&self, ui: &Ui) -> Result<(), Failure> {
            match self {
                Self::Numerics(command) => command.run(ui),
                Self::Estimators(command) => command.run(ui),
                Self::Statistics(command) => command.run(ui),
                Self::Report(command) => command.run(ui),
            }
        }
    }

    impl NumericsCommand {
        fn run(&self, ui: &Ui) -> Result<(), Failure> {
            if self.out.is_some() && self.cases.len() > 1 {
                return Err(Failure::usage("--out takes the results of one case", "name one case"));
            }
            let all = self.cases.iter().map(|case| read_and_compare(case)).collect::<Result<Vec<_>, _>>()?;
            if let (Some(path), [comparison]) = (&self.out, &all[..]) {
                files::write_named(path, &comparison.results)?;
                ui.say(&format!("wrote {}", path.display()));
            }
            if self.json {
                let cases =
                    self.cases.iter().zip(&all).map(|(case, compared)| CaseAnswer::of(case, compared)).collect();
                ui.json(&NumericsAnswer { agrees: all.iter().all(Comparison::agrees), cases });
            } else {
                for (case, comparison) in self.cases.iter().zip(&all) {
                    ui.answer(&format!("{}: {}", case.display(), comparison.title));
                    columns(&table(comparison)).iter().for_each(|line| ui.answer(&format!("  {line}")));
                }
            }
            disagreements(&self.cases, &all)
        }
    }

    impl EstimatorsCommand {
        fn run(&self, ui: &Ui) -> Result<(), Failure> {
            let checked = checked(self.repetitions)?;
            if self.json {
                ui.json(&EstimatorsAnswer {
                    products: checked.products.iter().copied().collect(),
                    exact: checked.exact.iter().map(ExactAnswer::of).collect(),
                    estimators: checked.coverages.iter().map(CoverageAnswer::of).collect(),
                });
            } else {
                columns(&products_table(&checked)).iter().for_each(|line| ui.answer(line));
                ui.answer("");
                columns(&exact_table(&checked)).iter().for_each(|line| ui.answer(line));
                ui.answer("");
                columns(&coverage_table(&checked)).iter().for_each(|line| ui.answer(line));
            }
            uncovered(&checked)
        }
    }

    impl NumericsPageCommand {
        fn run(&self, ui: &Ui) -> Result<(), Failure> {
            let all = self.cases.iter().map(|case| read_and_compare(case)).collect::<Result<Vec<_>, _>>()?;
            let checked = checked(self.repetitions)?;
            let simulated = Simulated::new(CASES);
            let page = page(&all, &checked, self.repetitions) + "\n" + &simulated.section(CASES);
            files::write_named(&self.to, page.as_bytes())?;
            ui.say(&format!("wrote {}", self.to.display()));
            disagreements(&self.cases, &all)?;
            uncovered(&checked)?;
            simulated.verdict(CASES)
        }
    }

    fn failed(error: StageError) -> Failure {
        let missing = error.is_missing();
        let hint = if missing { "run `wdpipe doctor` to see what is missing" } else { "" };
        Failure::new(if missing { ExitCode::Missing } else { ExitCode::Failed }, error.to_string(), hint)
    }

    fn read_and_compare(path: &Path) -> Result<Comparison, Failure> {
        let bytes =
            files::read(path, LARGEST).map_err(|error| Failure::new(ExitCode::Missing, error.to_string(), ""))?;
        compare(&bytes).map_err(|error| {
            let failure = failed(error);
            Failure { message: format!("{}: {}", path.display(), failure.message), ..failure }
        })
    }

    fn checked(repetitions: u32) -> Result<Checked, Failure> {
        match repetitions {
            0 => Err(Failure::usage("--repetitions must be at least 1", "")),
            _ => check(repetitions).map_err(failed),
        }
    }

    fn disagreements(cases: &[std::path::PathBuf], all: &[Comparison]) -> Result<(), Failure> {
        let wrong = cases.iter().zip(all).filter(|(_, comparison)| !comparison.agrees());
        let names: Vec<_> = wrong.map(|(case, _)| case.display().to_string()).collect();
        match names[..] {
            [] => Ok(()),
            _ => Err(Failure::new(ExitCode::Failed, format!("disagrees with PyTorch: {}", names.join(", ")), "")),
        }
    }

    fn uncovered(checked: &Checked) -> Result<(), Failure> {
        let wrong = checked.coverages.iter().filter(|coverage| coverage.within[2] < LEAST);
        let wrong = wrong.map(|coverage| coverage.quantity.as_str());
        let rough = |(_, worst): &&(&str, f64)| worst.is_nan() || *worst > ROUNDING;
        let products = checked.products.iter().filter(rough).map(|(name, _)| *name);
        let inexact = checked.exact.iter().filter(|exact| exact.difference().is_nan() || exact.difference() > ROUNDING);
        let names: Vec<_> = wrong.chain(products).chain(inexact.map(|exact| exact.quantity)).collect();
        match names[..] {
            [] => Ok(()),
            _ => Err(Failure::new(ExitCode::Failed, format!("too far off: {}", names.join(", ")), "")),
        }
    }

    /// Output of `selftest numerics --json`.
    #[derive(Serialize)]
    struct NumericsAnswer<'a> {
        agrees: bool,
        cases: Vec<CaseAnswer<'a>>,
    }

    #[derive(Serialize)]
    struct CaseAnswer<'a> {
        case: &'a Path,
        title: &'a str,
        agrees: bool,
        groups: Vec<GroupAnswer<'a>>,
    }

    #[derive(Serialize)]
    struct GroupAnswer<'a> {
        group: &'a str,
        tensors: usize,
        distance: f64,
        worst: f64,
        worst_tensor: &'a str,
        tolerance: Option<f64>,
        agrees: bool,
    }

    impl<'a> CaseAnswer<'a> {
        fn of(case: &'a Path, comparison: &'a Comparison) -> Self {
            let group = |d: &'a Deviation| GroupAnswer {
                group: &d.group,
                tensors: d.tensors,
                distance: d.distance,
                worst: d.worst,
                worst_tensor: &d.worst_tensor,
                tolerance: d.tolerance,
                agrees: d.agrees,
            };
            let groups = comparison.deviations.iter().map(group).collect();
            Self { case, title: &comparison.title, agrees: comparison.agrees(), groups }
        }
    }

    /// Output of `selftest estimators --json`.
    #[derive(Serialize)]
    struct EstimatorsAnswer<'a> {
        products: BTreeMap<&'a str, f64>,
        exact: Vec<ExactAnswer<'a>>,
        estimators: Vec<CoverageAnswer<'a>>,
    }

    #[derive(Serialize)]
    struct ExactAnswer<'a> {
        quantity: &'a str,
        matrix: f64,
        found: f64,
    }

    impl<'a> ExactAnswer<'a> {
        fn of(exact: &'a Exact) -> Self {
            Self { quantity: exact.quantity, matrix: exact.matrix, found: exact.found }
        }
    }

    #[derive(Serialize)]
    struct CoverageAnswer<'a> {
        quantity: &'a str,
        exact: f64,
        mean: f64,
        error: f64,
        repetitions: u32,
        within_1: f64,
        within_2: f64,
        #[serde(rename = "within_2.5")]
        within_most: f64,
    }

    impl<'a> CoverageAnswer<'a> {
        fn of(coverage: &'a Coverage) -> Self {
            let Coverage { quantity, exact, mean, error, repetitions, within, .. } = coverage;
            let [within_1, within_2, within_most] = *within;
            let (exact, mean, error, repetitions) = (*exact, *mean, *error, *repetitions);
            Self { quantity, exact, mean, error, repetitions, within_1, within_2, within_most }
        }
    }

    fn table(comparison: &Comparison) -> Vec<Vec<String>> {
        let heading = ["group", "tensors", "distance", "worst", "tolerance", "", "worst tensor"].map(str::to_owned);
        let row = |d: &Deviation| {
            let tolerance = d.tolerance.map_or("not judged".to_owned(), |tolerance| format!("{tolerance:.0e}"));
            let verdict = if d.agrees { "" } else { "DISAGREES" }.to_owned();
            let (distance, worst) = (format!("{:.1e}", d.distance), format!("{:.1e}", d.worst));
            vec![d.group.clone(), d.tensors.to_string(), distance, worst, tolerance, verdict, d.worst_tensor.clone()]
        };
        std::iter::once(heading.to_vec()).chain(comparison.deviations.iter().map(row)).collect()
    }

    fn products_table(checked: &Checked) -> Vec<Vec<String>> {
        let heading = vec!["product".to_owned(), "largest difference from the matrix's".to_owned()];
        let row = |(name, worst): &(&str, f64)| vec![(*name).to_owned(), format!("{worst:.1e}")];
        std::iter::once(heading).chain(checked.products.iter().map(row)).collect()
    }

    fn exact_table(checked: &Checked) -> Vec<Vec<String>> {
        let heading = ["quantity", "matrix", "image by image", "difference"].map(str::to_owned);
        let row = |exact: &Exact| {
            let [matrix, found] = [exact.matrix, exact.found].map(|value| format!("{value:.6}"));
            vec![exact.quantity.to_owned(), matrix, found, format!("{:.1e}", exact.difference())]
        };
        std::iter::once(heading.to_vec()).chain(checked.exact.iter().map(row)).collect()
    }

    fn coverage_table(checked: &Checked) -> Vec<Vec<String>> {
        let heading = ["quantity", "exact", "mean", "SE", "within 1 SE", "2 SE", "2.5 SE"].map(str::to_owned);
        let row = |c: &Coverage| {
            let share = |share: f64| format!("{:.1} %", 100.0 * share);
            let [one, two, most] = c.within.map(share);
            vec![
                c.quantity.clone(),
                format!("{:.6}", c.exact),
                format!("{:.6}", c.mean),
                format!("{:.2e}", c.error),
                one,
                two,
                most,
            ]
        };
        std::iter::once(heading.to_vec()).chain(checked.coverages.iter().map(row)).collect()
    }

    /// Returns the page, with one table per part.
    fn page(all: &[Comparison], checked: &Checked, repetitions: u32) -> String {
        let mut text = format!(
            "# Numbers\n\nWritten by `wdpipe selftest report` (`ci/numerics` runs it) on {}; `cargo test` makes the \
             same checks.\n\n## Against PyTorch\n\nA case is an SGD run of PyTorch 2.11.0 from given weights and \
             batches, made by an independent program and repeated here. A number below is the largest difference \
             within a tensor, divided by the tensor's largest value (at least 1e-4 of the group's), for the worst \
             tensor of the group. In float64, at most 1e-9 is allowed. In float32, only the first step can be judged, \
             by the distance divided by the norm: at most 1e-4 for logits and 5e-2 for gradients. Later, a rounding \
             error that switches one ReLU changes everything that follows.\n\n",
            checked.machine
        );
        for (number, comparison) in all.iter().enumerate() {
            text.push_str(&format!("- case {}: {}\n", number + 1, comparison.title));
        }
        text.push('\n');
        let mut groups: Vec<&str> = all.iter().flat_map(|c| c.deviations.iter().map(|d| d.group.as_str())).collect();
        groups.sort_unstable();
        groups.dedup();
        let heading: Vec<String> = std::iter::once("quantity".to_owned())
            .chain((1..=all.len()).map(|number| format!("case {number}")))
            .collect();
        let row = |group: &&str| {
            let cell = |comparison: &Comparison| match comparison.deviations.iter().find(|d| d.group == **group) {
                Some(d) if d.tolerance.is_none() => format!("({:.1e})", d.worst),
                Some(d) if d.tolerance != Some(1e-9) => format!("distance {:.1e}", d.distance),
                Some(d) => format!("{:.1e}", d.worst),
                None => String::new(),
            };
            std::iter::once(format!("`{group}`")).chain(all.iter().map(cell)).collect()
        };
        text.push_str(&markdown(std::iter::once(heading).chain(groups.iter().map(row)).collect()));
        text.push_str(&format!(
            "\nNumbers in brackets are not judged. `logits0`, `grad0`: first step; `loss`, `norm`: every step; \
             `final`, `ema`: weights and statistics after the last step; `eval_…`: eval mode; `…_v0`: products along \
             a direction; `vhv_…`: v·Hv with running and with batch statistics.\n\n## Estimators against exact \
             values\n\nThe network is a pre-activation ResNet-18 of width 1, of which {} are trained, with {IMAGES} \
             images in float64. H, G and Σ are computed completely, column by column. A product with each of them \
             agrees with the matrix:\n\n{}\nQuantities that need no draws, since they are sums over images \
             ([trace.md](trace.md)):\n\n{}\nEach other estimator then runs {repetitions} times with {DRAWS} draws of \
             its own. The table shows how often the estimate is within 1, 2 and 2.5 standard errors (SE) of the exact \
             value. At least {:.0} % must be within {STANDARD_ERRORS}. For an eigenvalue the SE is the stated bound. \
             The mean cosines have no closed form: their reference is the mean over {REFERENCE} draws with the \
             matrices, whose own error is added to the interval.\n\n{}",
            TRAINED.join(", "),
            markdown(products_table(checked)),
            markdown(exact_table(checked)),
            100.0 * LEAST,
            markdown(coverage_table(checked)),
        ));
        text
    }
}
