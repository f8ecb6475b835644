//! Numerical checks: against PyTorch, and of the estimators against exact values.
//!
//! A *case* file contains initial weights, batches and PyTorch's results for them (see [`case`]). [`compare`] computes
//! the same results here and returns the deviations. [`estimators`] builds the whole matrices of a small network.

mod case;
mod estimators;
mod run;
mod sketch;

use std::collections::BTreeMap;

pub use estimators::{Coverage, DRAWS, Exact, IMAGES, Problem, REFERENCE, STANDARD_ERRORS, TOLERANCE, TRAINED};

pub use sketch::ManyClasses;

use super::LearnError;
use case::{Case, Results};

/// Largest allowed deviation of a group in float64. PyTorch deviates from itself (threads, memory layout) by less than 1e-10.
const DOUBLE: f64 = 1e-9;
/// Largest allowed distance in float32, where only the first step can be compared: later, a rounding error that switches one
/// ReLU changes all further results.
const SINGLE: [(&str, f64); 2] = [("logits0", 1e-4), ("grad0", 5e-2)];

/// Deviation of a group of results from the expected ones.
#[derive(Debug, Clone, PartialEq)]
pub struct Deviation {
    /// The group, such as `grad0`.
    pub group: String,
    /// Number of tensors in the group.
    pub tensors: usize,
    /// Euclidean distance divided by the norm of the expected values.
    pub distance: f64,
    /// Largest difference within a tensor divided by that tensor's largest expected value (at least 1e-4 of the group's).
    pub worst: f64,
    /// The tensor with this difference.
    pub worst_tensor: String,
    /// Tolerance, which applies to `worst` in float64 and to `distance` in float32. `None` if there is no tolerance.
    pub tolerance: Option<f64>,
    /// Whether the deviation is within the tolerance.
    pub agrees: bool,
}

/// Result of a case.
#[derive(Debug)]
pub struct Comparison {
    /// Description of the run.
    pub title: String,
    /// Deviations of all groups.
    pub deviations: Vec<Deviation>,
    /// The computed results as a file like the case's, for comparison elsewhere.
    pub results: Vec<u8>,
}

impl Comparison {
    /// Checks whether all groups with a tolerance are within it.
    pub fn agrees(&self) -> bool {
        self.deviations.iter().all(|deviation| deviation.agrees)
    }
}

/// Repeats the run of a case file on the CPU, in its element type, and compares all expected results.
///
/// # Errors
/// If the bytes are not a case of a network of this program, or libtorch fails.
pub fn compare(bytes: &[u8]) -> Result<Comparison, LearnError> {
    let case = Case::read(bytes)?;
    let (got, expected) = (run::run(&case)?, case.expected()?);
    let group = |name: &str| name.split_once('/').map_or(name, |(group, _)| group).to_owned();
    let mut groups: BTreeMap<String, Vec<&String>> = BTreeMap::new();
    expected.keys().for_each(|name| groups.entry(group(name)).or_default().push(name));
    if groups.is_empty() {
        return Err(LearnError::Data("case file: it expects nothing".to_owned()));
    }
    if let Some(name) = got.keys().find(|name| !expected.contains_key(*name)) {
        return Err(LearnError::Data(format!("case file: expect/{name} is missing")));
    }
    let deviations = groups.into_iter().map(|(group, names)| deviation(&case, group, &names, &got, &expected));
    let deviations = deviations.collect::<Result<_, _>>()?;
    Ok(Comparison { title: case.title.clone(), deviations, results: case.write(&got)? })
}

fn deviation(
    case: &Case<'_>,
    group: String,
    names: &[&String],
    got: &Results,
    expected: &Results,
) -> Result<Deviation, LearnError> {
    let largest = |values: &[f64]| values.iter().fold(0.0, |m: f64, x| m.max(x.abs()));
    let floor = 1e-4 * names.iter().map(|name| largest(&expected[*name])).fold(0.0, f64::max);
    let (mut squares, mut norm) = (0.0, 0.0);
    let (mut worst, mut worst_tensor) = (0.0, String::new());
    for &name in names {
        let want = &expected[name];
        let have = got.get(name).ok_or_else(|| LearnError::Data(format!("nothing here computes expect/{name}")))?;
        if have.len() != want.len() {
            let message = format!("case file: expect/{name} has {} elements, not {}", want.len(), have.len());
            return Err(LearnError::Data(message));
        }
        let differences: Vec<f64> = have.iter().zip(want).map(|(a, b)| a - b).collect();
        squares += differences.iter().map(|d| d * d).sum::<f64>();
        norm += want.iter().map(|x| x * x).sum::<f64>();
        let finite = have.iter().all(|x| x.is_finite());
        let here = if finite { largest(&differences) / largest(want).max(floor).max(1e-300) } else { f64::INFINITY };
        if here >= worst {
            (worst, worst_tensor) = (here, name.split_once('/').map_or("", |(_, tensor)| tensor).to_owned());
        }
    }
    let distance = (squares / norm.max(1e-300)).sqrt();
    let tolerance = match case.double {
        true => Some(DOUBLE),
        false => SINGLE.iter().find(|(name, _)| *name == group).map(|(_, tolerance)| *tolerance),
    };
    let judged = if case.double { worst } else { distance };
    let agrees = tolerance.is_none_or(|tolerance| judged <= tolerance);
    Ok(Deviation { group, tensors: names.len(), distance, worst, worst_tensor, tolerance, agrees })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load() {
        crate::torch::load(&crate::torch::Libraries::default()).unwrap();
    }

    fn fixture(name: &str) -> Vec<u8> {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/numerics");
        std::fs::read(folder.join(name).with_extension("safetensors")).unwrap()
    }

    #[test]
    fn every_network_agrees_with_pytorch_in_float64() {
        load();
        // In the last case, the batches leave a rest. It counts with its size in sums over images, and not at all in the
        // re-estimation of running statistics.
        for network in ["resnet18", "resnet34", "resnet18-si", "vgg16", "resnet18-rest"] {
            let comparison = compare(&fixture(network)).unwrap();
            let groups: Vec<&str> = comparison.deviations.iter().map(|d| d.group.as_str()).collect();
            let wanted = [
                "covariance_v0",
                "ema",
                "ema_eval_logits",
                "ema_eval_loss",
                "ema_eval_wrong",
                "eval_logits",
                "eval_loss",
                "eval_wrong",
                "final",
                "gauss_newton_v0",
                "grad0",
                "hessian_v0",
                "logits0",
                "loss",
                "norm",
                "vhv_batch",
                "vhv_running",
            ];
            assert_eq!(groups, wanted);
            for deviation in comparison.deviations {
                assert!(deviation.worst <= 1e-9, "{network}: {deviation:?}");
            }
        }
    }

    #[test]
    fn the_first_step_agrees_with_pytorch_in_float32() {
        load();
        for network in ["resnet18", "resnet34", "resnet18-si", "vgg16"] {
            let comparison = compare(&fixture(&format!("{network}-fp32"))).unwrap();
            let judged: Vec<_> = comparison.deviations.iter().filter(|d| d.tolerance.is_some()).collect();
            assert_eq!(judged.len(), 2);
            assert!(comparison.agrees(), "{network}: {judged:?}");
        }
    }

    #[test]
    fn what_is_written_has_the_names_and_types_of_the_case() {
        load();
        let case = fixture("resnet18-si");
        let results = compare(&case).unwrap().results;
        let (case, results) = (Case::read(&case).unwrap(), safetensors::SafeTensors::deserialize(&results).unwrap());
        assert_eq!(results.len(), case.expected().unwrap().len());
        assert_eq!(results.tensor("expect/eval_wrong").unwrap().dtype(), safetensors::Dtype::I64);
        assert_eq!(results.tensor("expect/grad0/stem.weight").unwrap().shape(), [1, 3, 3, 3]);
    }

    #[test]
    fn a_wrong_result_is_found() {
        load();
        let mut case = fixture("resnet18");
        let at = safetensors::SafeTensors::deserialize(&case).unwrap().tensor("expect/loss").unwrap().data().as_ptr();
        let at = at as usize - case.as_ptr() as usize;
        case[at + 3] ^= 1; // moves the first loss by 1e-8 of itself
        let comparison = compare(&case).unwrap();
        let wrong: Vec<_> = comparison.deviations.iter().filter(|d| !d.agrees).map(|d| d.group.as_str()).collect();
        assert_eq!(wrong, ["loss"]);
        for bytes in [&b""[..], b"\x02\0\0\0\0\0\0\0{}", &[0xff; 64]] {
            assert!(compare(bytes).is_err());
        }
    }

    fn covered(check: impl Fn(&Problem) -> Result<Vec<Coverage>, LearnError>) {
        load();
        for coverage in check(&Problem::new().unwrap()).unwrap() {
            assert!(coverage.within[2] >= 0.95, "{coverage:?}");
            // Errors that are far too large would cover everything. The errors of eigenvalues are bounds, so they are exempt.
            assert!(coverage.within[0] <= 0.8 || coverage.quantity.contains("eigenvalue"), "{coverage:?}");
        }
    }

    #[test]
    fn products_agree_with_the_matrices() {
        load();
        assert!(Problem::new().unwrap().products().unwrap().into_iter().all(|worst| worst < 1e-12));
    }

    #[test]
    fn traces_are_covered_by_their_errors() {
        covered(|problem| problem.trace(200));
    }

    #[test]
    fn cosines_and_traces_of_the_noise_are_covered_by_their_errors() {
        covered(|problem| problem.covariance(200));
    }

    #[test]
    fn what_is_exact_is_as_the_matrices_say() {
        load();
        for exact in Problem::new().unwrap().exact().unwrap() {
            assert!(exact.difference() < 1e-12, "{exact:?}: {}", exact.difference());
        }
    }

    #[test]
    fn a_sketch_is_covered_by_its_error() {
        load();
        let coverage = ManyClasses::new(20).unwrap().coverage(200).unwrap();
        assert!((0.6..0.76).contains(&coverage.within[0]), "{coverage:?}");
        assert!((0.91..0.99).contains(&coverage.within[1]), "{coverage:?}");
    }

    #[test]
    fn extreme_eigenvalues_are_within_their_bounds() {
        covered(|problem| problem.eigenvalues(200));
        let largest = Problem::new().unwrap().eigenvalues(20).unwrap().remove(0);
        assert!(largest.error <= TOLERANCE * largest.exact, "{largest:?}");
    }
}
