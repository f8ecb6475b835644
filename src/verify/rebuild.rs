//! Level *rebuild*: recomputes stages from their recorded inputs.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use super::{Agreement, Check, Evidence, Level, Verdict, agreement};
use crate::engine::{AllowedCommands, RerunError, Rerunner};
use crate::stages::{self, Device, StageError};
use base::digest::StageKey;
use base::parallel::parallel;
use base::record::{Record, is_import};
use base::work::{KindName, Policy};
use store::StoreError;
use store::lockfile::Locked;

/// Which stages are recomputed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pick<'a> {
    /// Number of stages; `None` means all of them.
    pub count: Option<usize>,
    /// Seed of the random choice. It must not have been predictable when the figure was committed, or a forger could
    /// have avoided the selected stages.
    pub seed: &'a str,
    /// Whether to select only segments of training.
    pub training: bool,
}

/// A recomputed stage.
#[derive(Debug, Clone)]
pub struct Rebuilt {
    /// Its name.
    pub name: String,
    /// Its key.
    pub key: StageKey,
    /// The result of the comparison, or an error.
    pub agreement: Result<Agreement, String>,
    /// Whether it could not be computed or compared since bytes, a program or a device are missing.
    pub missing: bool,
    /// The class of this machine; empty if the bytes do not depend on it.
    pub machine: String,
    /// The policy in its record; the native one if the bytes do not depend on it.
    pub policy: Policy,
    /// Duration in seconds.
    pub seconds: f64,
}

/// Returns advice for different bytes under the portable policy, if there are any.
fn portable_differs(all: &[Rebuilt], processor: &str) -> Option<String> {
    let differs = |rebuilt: &&Rebuilt| matches!(rebuilt.agreement, Ok(Agreement::Differs(_)));
    all.iter().filter(differs).any(|rebuilt| rebuilt.policy == Policy::Portable).then(|| {
        format!(
            "the policy `portable` promises the same bytes on every processor. Either the record is wrong, or this \
             processor breaks the promise: please report it with these lines and this one: wdpipe {}, {processor}",
            env!("CARGO_PKG_VERSION")
        )
    })
}

/// Selects the stages to recompute: those with the smallest BLAKE3 hash of the bytes of seed and key, in the lock's
/// order. Imports are never among them.
pub fn pick<'a>(evidence: &'a Evidence<'_>, pick: Pick<'_>) -> Vec<(&'a Locked, &'a Record)> {
    let fits = |kind: &str| if pick.training { kind == KindName::Train.name() } else { !is_import(kind) };
    let candidates: Vec<_> = evidence.known().filter(|(stage, _)| fits(&stage.kind)).collect();
    let rank = |key: &StageKey| {
        let mut hasher = blake3::Hasher::new_derive_key("wdpipe 2026 choice of stages v1");
        hasher.update(&(pick.seed.len() as u64).to_le_bytes()).update(pick.seed.as_bytes()).update(key.as_bytes());
        *hasher.finalize().as_bytes()
    };
    let mut order: Vec<usize> = (0..candidates.len()).collect();
    order.sort_by_cached_key(|&place| rank(&candidates[place].0.key));
    order.truncate(pick.count.unwrap_or(usize::MAX));
    order.sort_unstable();
    order.into_iter().map(|place| candidates[place]).collect()
}

/// Recomputes stages on a device, `jobs` in parallel; `tell` is called for each finished stage. Commands that are not
/// allowed are not run.
pub fn rebuild(
    evidence: &Evidence<'_>,
    picked: &[(&Locked, &Record)],
    (device, jobs, commands): (&Device, usize, &AllowedCommands),
    cancel: &AtomicBool,
    tell: &(dyn Fn(&Rebuilt) + Sync),
) -> Vec<Rebuilt> {
    let policies = picked.iter().filter_map(|(_, record)| Rerunner::work(record).ok());
    if let Some((_, policy)) = policies.into_iter().find(|(work, _)| work.needs_torch()) {
        // This must happen while there is only one thread. If another policy is in force, the stage reports it.
        let _ = stages::prepare(policy);
    }
    parallel(
        jobs,
        picked,
        || Rerunner::new(device.clone()).allowing(commands.clone()),
        |rerunner, (stage, record)| {
            if cancel.load(Ordering::Relaxed) {
                return None;
            }
            let rebuilt = one(evidence, stage, record, rerunner, cancel);
            tell(&rebuilt);
            Some(rebuilt)
        },
    )
}

fn one(
    evidence: &Evidence<'_>,
    stage: &Locked,
    record: &Record,
    rerunner: &mut Rerunner,
    cancel: &AtomicBool,
) -> Rebuilt {
    let started = Instant::now();
    let again = rerunner.rerun(record, &|object| evidence.read(object), &mut |_| !cancel.load(Ordering::Relaxed));
    let seconds = started.elapsed().as_secs_f64();
    let (name, key) = (stage.name.clone(), stage.key);
    let policy = Rerunner::work(record).map_or(Policy::Native, |(_, policy)| policy);
    let read = |output: &base::record::Output| evidence.read(&output.object).ok();
    match again.and_then(|again| Ok((agreement(record, &Rerunner::work(record)?.0, &again, &read), again.machine))) {
        Ok((agreement, machine)) => {
            let missing = matches!(agreement, Agreement::Unjudged(_));
            Rebuilt { name, key, agreement: Ok(agreement), missing, machine, policy, seconds }
        }
        Err(error) => {
            let missing = match &error {
                RerunError::Stage(StageError::Store(StoreError::Missing(_)) | StageError::Cancelled) => true,
                RerunError::Stage(error) => error.is_missing(),
                RerunError::Work(_) | RerunError::Policy | RerunError::Imported => true,
                RerunError::Command | RerunError::Files(_) => true,
            };
            Rebuilt { name, key, agreement: Err(error.to_string()), missing, machine: String::new(), policy, seconds }
        }
    }
}

/// Summarizes recomputed stages as a check of the figure.
pub fn rebuilt(evidence: &Evidence<'_>, picked: usize, all: &[Rebuilt], seed: &str) -> Check {
    let mut check = Check::new(Level::Rebuild);
    let (mut equal, mut within) = (0, Vec::new());
    for Rebuilt { name, agreement, missing, .. } in all {
        match agreement {
            Ok(Agreement::Equal) => equal += 1,
            Ok(Agreement::Within(worst)) => within.push(format!("{name}: {worst}")),
            Ok(Agreement::Differs(what)) => check.found(Verdict::Differs, format!("{name}: {}", what.join("; "))),
            Ok(Agreement::Unjudged(why)) => check.found(Verdict::Missing, format!("{name}: {why}")),
            Err(error) if *missing => check.found(Verdict::Missing, format!("{name}: {error}")),
            Err(error) => check.found(Verdict::Differs, format!("{name}: {error}")),
        }
    }
    check.findings.extend(portable_differs(all, &stages::describe_processor()));
    let near = within.len();
    check.findings.extend(within.into_iter().map(|text| format!("within tolerance: {text}")));
    let unknown = evidence.unknown().count();
    if unknown > 0 {
        check.found(Verdict::Missing, format!("{unknown} stages have no record here and could not be selected"));
    }
    if all.len() < picked {
        check.found(
            Verdict::Missing,
            format!("interrupted: {} of {picked} stages were not started", picked - all.len()),
        );
    }
    let seconds: f64 = all.iter().map(|rebuilt| rebuilt.seconds).sum();
    let stages = evidence.lock.stages.len();
    let near = if near > 0 { format!(", {near} within tolerance") } else { String::new() };
    check.summed_up(format!(
        "{} of {stages} stages computed again (seed {seed}): {equal} equal bit by bit{near}; {seconds:.1} s",
        all.len()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_bytes_under_the_portable_policy_ask_for_a_report() {
        let rebuilt = |policy, agreement| Rebuilt {
            name: "fig3/trunk@1".into(),
            key: StageKey::from_bytes([1; 32]),
            agreement: Ok(agreement),
            missing: false,
            machine: String::new(),
            policy,
            seconds: 1.0,
        };
        let differs = || Agreement::Differs(vec!["`weights` has different bytes".into()]);
        let told = |all: &[Rebuilt]| portable_differs(all, "AuthenticAMD family 26 model 2, caches 48K/1");
        assert_eq!(told(&[rebuilt(Policy::Native, differs()), rebuilt(Policy::Portable, Agreement::Equal)]), None);
        let report =
            told(&[rebuilt(Policy::Portable, Agreement::Equal), rebuilt(Policy::Portable, differs())]).unwrap();
        assert!(report.contains("please report") && report.ends_with("model 2, caches 48K/1"), "{report}");
    }
}
