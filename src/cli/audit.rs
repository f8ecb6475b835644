//! `wdpipe audit`: recomputes random segments of a figure's training, and attests the outcome.

use std::sync::atomic::Ordering;

use clap::Args;
use serde::Serialize;

use super::arguments::plain;
use super::environment::{now, signer, who};
use super::format::count;
use super::parse::whole;
use super::signals::cancel_on_interrupt;
use super::ui::Ui;
use super::verify::random_seed;
use crate::engine::{AllowedCommands, EngineError};
use crate::project::{ExitCode, Failure, Project, Signer, Subject, cores};
use crate::reports::Place;
use crate::stages::Device;
use crate::verify::{self, Agreement, Evidence, Pick, Verdict};
use store::attestation::{Attestation, Segment, Testimony};

/// Recompute random segments of a training, and attest the result.
///
/// Each segment starts from its recorded checkpoint. The signed attestation is appended to
/// reports/PROFILE/FIGURE.receipts. Commit this file: `verify` then reports how much of the figure was recomputed, and
/// how many different keys signed it. The exit code is 1 if a segment came out differently; the attestation records
/// this too.
#[derive(Debug, Args)]
pub struct AuditCommand {
    /// A figure or variant (fig3@1a2b3c4d) that has a lock.
    #[arg(value_name = "FIGURE")]
    figure: String,
    /// Number of segments.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = whole(1..=usize::MAX))]
    segments: usize,
    /// Seed of the choice [default: random]. Use one that the figure's author could not foresee, such as the hash of the
    /// commit that added the figure.
    #[arg(long, value_name = "TEXT")]
    seed: Option<String>,
    /// Profile of the figure.
    #[arg(long, default_value = "smoke", value_name = "NAME", value_parser = plain)]
    profile: String,
    /// Device to compute on: auto, cpu, cuda or cuda:N.
    #[arg(long, default_value = "auto", value_name = "DEVICE")]
    device: Device,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Output of `audit --json`.
#[derive(Serialize)]
struct AuditAnswer<'a> {
    figure: &'a str,
    seed: &'a str,
    /// Number of segments of training in the figure.
    out_of: usize,
    verdict: String,
    segments: Vec<SegmentAnswer<'a>>,
}

#[derive(Serialize)]
struct SegmentAnswer<'a> {
    stage: &'a str,
    seconds: f64,
    outcome: &'static str,
    details: String,
}

impl<'a> SegmentAnswer<'a> {
    fn of(rebuilt: &'a verify::Rebuilt) -> Self {
        let (outcome, details) = match &rebuilt.agreement {
            Ok(Agreement::Equal) => ("equal", String::new()),
            Ok(Agreement::Within(worst)) => ("within", worst.to_string()),
            Ok(Agreement::Differs(what)) => ("differs", what.join("; ")),
            Ok(Agreement::Unjudged(why)) => ("unjudged", why.clone()),
            Err(error) => ("failed", error.clone()),
        };
        Self { stage: &rebuilt.name, seconds: rebuilt.seconds, outcome, details }
    }
}

impl AuditCommand {
    /// Runs the command.
    ///
    /// # Errors
    /// If there is no lock or key, checkpoints are missing, or a segment comes out differently.
    pub fn run(&self, project: &Project, ui: &Ui) -> Result<(), Failure> {
        let Some(Signer { name, key }) = signer()? else {
            let message = "an attestation must be signed, and you have no key";
            return Err(Failure::new(ExitCode::Missing, message, "`wdpipe keys generate` makes one"));
        };
        let place = Place { folder: project.reports.join(&self.profile), name: self.figure.clone() };
        let lock = place.lock()?.ok_or_else(|| {
            let message = format!("{} does not exist", place.path("lock").display());
            Failure::new(ExitCode::Missing, message, format!("`wdpipe lock {}` writes it", self.figure))
        })?;
        let store = project.store()?;
        let subject = Subject { profile: self.profile.clone(), place: place.clone() };
        let beside = subject.beside()?;
        let evidence = Evidence::gather(&lock, &beside.0, &beside.1, Some(&store))?;
        let seed = self.seed.clone().unwrap_or_else(random_seed);
        let picked = verify::pick(&evidence, Pick { count: Some(self.segments), seed: &seed, training: true });
        let out_of = lock.stages.iter().filter(|stage| stage.kind == "train").count();
        ui.say(&format!("{} of {out_of} segments of training, chosen by seed {seed}", picked.len()));
        let cancel = cancel_on_interrupt();
        let tell = |rebuilt: &verify::Rebuilt| {
            if self.json {
                return;
            }
            let how = match &rebuilt.agreement {
                Ok(Agreement::Equal) => "equal bit by bit".to_owned(),
                Ok(Agreement::Within(worst)) => format!("within tolerance ({worst})"),
                Ok(Agreement::Differs(what)) => format!("DIFFERS: {}", what.join("; ")),
                Ok(Agreement::Unjudged(why)) => format!("not judged: {why}"),
                Err(error) => format!("not computed: {error}"),
            };
            ui.answer(&format!("{} {:.1} s: {how}", rebuilt.name, rebuilt.seconds));
        };
        // Segments of training are no commands.
        let no_commands = AllowedCommands::default();
        let all = verify::rebuild(&evidence, &picked, (&self.device, cores(), &no_commands), &cancel, &tell);
        let check = verify::rebuilt(&evidence, picked.len(), &all, &seed);
        if self.json {
            let segments = all.iter().map(SegmentAnswer::of).collect();
            let verdict = check.verdict.name().to_lowercase();
            ui.json(&AuditAnswer { figure: &self.figure, seed: &seed, out_of, verdict, segments });
        }
        let stage = |key| lock.stages.iter().find(|stage| stage.key == key).map(Segment::of);
        let those = |wanted: fn(&Agreement) -> bool| -> Vec<Segment> {
            let fits = |rebuilt: &&verify::Rebuilt| rebuilt.agreement.as_ref().is_ok_and(wanted);
            all.iter().filter(fits).filter_map(|rebuilt| stage(rebuilt.key)).collect()
        };
        let said = Testimony {
            figure: self.figure.clone(),
            root: lock.root(),
            out_of: u32::try_from(out_of).unwrap_or(u32::MAX),
            equal: those(|agreement| matches!(agreement, Agreement::Equal)),
            within: those(|agreement| matches!(agreement, Agreement::Within(_))),
            differs: those(|agreement| matches!(agreement, Agreement::Differs(_))),
            machine: all.iter().map(|rebuilt| rebuilt.machine.clone()).max().unwrap_or_default(),
            who: who(),
            finished: now(),
            wdpipe: env!("CARGO_PKG_VERSION").to_owned(),
            seed,
        };
        let judged = said.equal.len() + said.within.len() + said.differs.len();
        if judged > 0 {
            let failed =
                |error: store::attestation::AttestationError| Failure::new(ExitCode::Storage, error.to_string(), "");
            place.append_attestation(&Attestation::sign(said, &key).map_err(failed)?)?;
            let path = place.path("receipts");
            ui.say(&format!("{} signed by `{name}` in {}", count(judged, "segment"), path.display()));
        }
        if cancel.load(Ordering::Relaxed) {
            return Err(EngineError::Interrupted.into());
        }
        match check.verdict {
            Verdict::Holds => Ok(()),
            Verdict::Differs => {
                let message = "segments came out differently from what is recorded";
                Err(Failure::new(
                    ExitCode::Failed,
                    message,
                    format!("`wdpipe bisect {} --cache-b DIR` compares it with the runs in another cache", self.figure),
                ))
            }
            Verdict::Missing => {
                let message = format!("not all segments could be computed: {}", check.findings.join("; "));
                Err(Failure::new(ExitCode::Missing, message, "their checkpoints must be in the cache (--cache DIR)"))
            }
        }
    }
}
