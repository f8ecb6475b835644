//! The stages that compute with libtorch: training and evaluation here, curvature in [`super::curvature`].
//!
//! A run that leaves the finite numbers is a result: its weights and numbers are NaN from there on, and what
//! starts from such weights is NaN at once.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::{Device, Outputs, Progress, Read, Report, StageError};
use base::digest::ObjectDigest;
use base::table::Table;
use base::work::{
    DIVERGED, EMA_METRICS, EmaEval, METRICS, Model, Numerics, PREDICTIONS, Policy, Precision, Predictions, Probe,
    Train, Work,
};
use learn::batches::{Images, Pass, probe_order, refresh_order, training_order};
use learn::data;
use learn::evaluate::{evaluate, predict, refresh_statistics};
use learn::init::with_fresh_statistics;
use learn::layout::{Layout, layout};
use learn::model::{Arithmetic, Network};
use learn::scaler;
use learn::torch::{Loaded, Session, own_stream, policy, recorded_lately, refusals};
use learn::train::{Answer, Keeps, Kept, Sgd, State};
use learn::weights::Weights;
use learn::{Divergence, LearnError};

/// Images of an evaluation's batch, as in the authors' code.
pub(super) const EVALUATION_BATCH: usize = 1000;
/// How often the loss is read from the device for the progress report.
const READ_LOSS: Duration = Duration::from_millis(500);
/// How many sets of images are kept on the device.
const KEPT_IMAGES: usize = 6;

/// A set of images by its object, how many of them if not all, and the network and the memory layout that it was made for.
type ImagesKey = (ObjectDigest, Option<u32>, Model, bool);
/// The hashes of what a segment of training ends in, by name: weights, and what the run keeps.
type End = BTreeMap<&'static str, ObjectDigest>;

/// libtorch on one thread, and what lies on its device.
pub struct Torch {
    loaded: &'static Loaded,
    device: tch::Device,
    images: Vec<(ImagesKey, Images)>,
    /// The state that the last segment of training ended in.
    resident: Option<(End, Numerics, State)>,
}

impl Torch {
    /// Loads libtorch and takes a device.
    pub fn start(choice: &Device, policy: Policy, worker: usize) -> Result<Self, StageError> {
        let (loaded, device) = super::device::open(choice, policy, worker).map_err(StageError::Device)?;
        own_stream(device).map_err(StageError::Device)?;
        Ok(Self { loaded, device, images: Vec::new(), resident: None })
    }

    /// The kind of device, for records: `cpu` or `cuda`.
    pub fn device_name(&self) -> String {
        if self.device.is_cuda() { "cuda".to_owned() } else { "cpu".to_owned() }
    }

    /// The class of machines that give the same bytes.
    pub fn machine(&self) -> String {
        super::device::machine(self.loaded, self.device)
    }

    /// Runs one stage.
    pub fn run(
        &mut self,
        work: &Work,
        objects: &BTreeMap<String, ObjectDigest>,
        read: &Read<'_>,
        report: &mut Report<'_>,
    ) -> Result<Outputs, StageError> {
        let float32_logits = match work {
            Work::Train(work) => work.numerics.float32_logits,
            Work::Probe(work) => work.numerics.float32_logits,
            _ => false,
        };
        // In force until the stage ends.
        let session = policy::apply(work.precision()).map_err(|error| StageError::Device(error.to_string()))?;
        let session = session.with_float32_logits(float32_logits);
        let inputs = StageInputs { objects, read, session: &session };
        let refused = refusals(self.device);
        let made = match work {
            Work::Train(work) => self.train(work, &inputs, report),
            Work::Probe(work) => self.probe(work, &inputs, report),
            Work::EmaEval(work) => self.ema_eval(work, &inputs),
            Work::Predictions(work) => self.predictions(work, &inputs),
            _ => self.curvature(work, &inputs, report),
        };
        match made {
            Ok(mut made) => {
                made.notes.was_short = refusals(self.device) != refused;
                Ok(made)
            }
            Err(error) if error.is_out_of_memory() && recorded_lately() => Err(match error {
                StageError::Learn(error) => StageError::WhileRecording(error),
                error => error,
            }),
            Err(error) => Err(error),
        }
    }

    pub(super) fn arithmetic(&self, numerics: Numerics) -> Arithmetic {
        Arithmetic { device: self.device, kind: tch::Kind::Float, channels_last: numerics.channels_last }
    }

    /// Puts the images of a role on the device (of every class the first, if only some of them are wanted), or finds them
    /// there; either way they are the last of those that are kept.
    fn load_images(
        &mut self,
        role: &str,
        part: Option<u32>,
        model: Model,
        numerics: Numerics,
        inputs: &StageInputs<'_>,
    ) -> Result<ImagesKey, StageError> {
        let key = (inputs.object(role)?, part, model, numerics.channels_last);
        let kept = match self.images.iter().position(|(kept, _)| *kept == key) {
            Some(at) => self.images.remove(at),
            None => {
                let mut images = data::Images::from_bytes(&(inputs.read)(role)?)?;
                if let Some(part) = part {
                    images = images.first_per_class(part as usize)?;
                }
                (key, Images::new(&images.pixels, &images.labels, model, self.arithmetic(numerics))?)
            }
        };
        if self.images.len() == KEPT_IMAGES {
            self.images.remove(0);
        }
        self.images.push(kept);
        Ok(key)
    }

    /// What a run is trained and evaluated on, on the device.
    fn sets(
        &mut self,
        model: Model,
        numerics: Numerics,
        eval_images: Option<u32>,
        inputs: &StageInputs<'_>,
    ) -> Result<Sets<'_>, StageError> {
        let train = self.load_images("train", None, model, numerics, inputs)?;
        let judged = self.load_images("train", eval_images, model, numerics, inputs)?;
        let test = self.load_images("test", None, model, numerics, inputs)?;
        let kept = |role: &str, wanted: ImagesKey| {
            let found = self.images.iter().find(|(key, _)| *key == wanted);
            found.map(|(_, images)| images).ok_or_else(|| StageError::NoInput(role.to_owned()))
        };
        Ok(Sets { train: kept("train", train)?, judged: kept("train", judged)?, test: kept("test", test)? })
    }

    /// The state at the start of a segment: the one that the last segment ended in, if it is that, or loaded. Nothing
    /// if its weights are not finite.
    fn state(&mut self, work: &Train, inputs: &StageInputs<'_>) -> Result<Option<State>, StageError> {
        let keeps = work.keeps();
        let names = std::iter::once("weights").chain(keeps.iter().copied());
        let start: End = names.filter_map(|name| Some((name, inputs.object(name).ok()?))).collect();
        if let Some((end, numerics, state)) = self.resident.take()
            && (end, numerics) == (start, work.numerics)
            && keeps.iter().all(|name| inputs.object(name).is_ok())
        {
            return Ok(Some(state));
        }
        let layout = layout(work.model)?;
        let weights = inputs.weights("weights", &layout)?;
        if !weights.is_finite() {
            return Ok(None);
        }
        let mut kept = BTreeMap::new();
        for name in keeps {
            let found = match inputs.object(name) {
                Ok(_) if name == "scaler" => Some(Weights::from_bytes(&(inputs.read)(name)?, &scaler::entries())?),
                Ok(_) => Some(inputs.parameters(name, &layout)?),
                Err(_) => None,
            };
            kept.insert(name, found);
        }
        let from = |name: &str| match kept.get(name) {
            None => Kept::No,
            Some(None) => Kept::Fresh,
            Some(Some(weights)) => Kept::From(weights),
        };
        let keeps = Keeps { average: from("ema"), momentum: from("momentum"), scaler: from("scaler") };
        Ok(Some(State::new(Network::new(work.model, &weights, self.arithmetic(work.numerics))?, keeps)?))
    }

    fn train(
        &mut self,
        work: &Train,
        inputs: &StageInputs<'_>,
        report: &mut Report<'_>,
    ) -> Result<Outputs, StageError> {
        let Some(mut state) = self.state(work, inputs)? else {
            return diverged_segment(work, Vec::new(), None);
        };
        let sets = self.sets(work.model, work.numerics, work.eval_images, inputs)?;
        let train = sets.train;
        let sgd = Sgd {
            lr: work.lr,
            wd: work.wd,
            momentum: work.momentum,
            ema: work.ema.unwrap_or_default(),
            sphere: work.sphere,
        };
        let mut rows = Vec::new();
        for i in 0..work.epochs {
            let epoch = work.first_epoch + i;
            let order = training_order(work.seed, epoch, train.count());
            let pass = Pass::new(&order, work.batch as usize, train)?;
            let part = (f64::from(i) / f64::from(work.epochs), 1.0 / f64::from(work.epochs));
            let ran = Epoch { images: train, pass: &pass, sgd: &sgd, number: epoch, part };
            match run_epoch(&mut state, &ran, inputs.session, report) {
                Err(LearnError::Diverged(divergence)) => return diverged_segment(work, rows, Some(divergence)),
                ended => ended?,
            }
            if work.evaluates(epoch) {
                rows.push(metrics(&state.network, &sets, epoch, work.lr, inputs.session)?);
            }
        }
        let metrics = ("metrics", Table::of_rows(METRICS, &rows).to_bytes()?);
        let mut made = Outputs::trained(&state.end()?, [metrics])?;
        made.notes.one_by_one = state.not_recorded().map(str::to_owned);
        let end = made.outputs.iter().filter(|made| made.name != "metrics").map(|made| (made.name, made.object));
        self.resident = Some((end.collect(), work.numerics, state));
        Ok(made)
    }

    fn probe(
        &mut self,
        work: &Probe,
        inputs: &StageInputs<'_>,
        report: &mut Report<'_>,
    ) -> Result<Outputs, StageError> {
        let weights = inputs.weights("weights", &layout(work.model)?)?;
        if !weights.is_finite() {
            return diverged_probe(work, None);
        }
        let network = Network::new(work.model, &weights, self.arithmetic(work.numerics))?;
        let scaler = if inputs.session.scales_loss() { Kept::Fresh } else { Kept::No };
        let mut state = State::new(network, Keeps { scaler, ..Keeps::default() })?;
        let sets = self.sets(work.model, work.numerics, work.eval_images, inputs)?;
        let train = sets.train;
        let sgd = Sgd { lr: work.lr, wd: work.wd, momentum: 0.0, ema: 0.0, sphere: work.sphere };
        for number in 0..work.epochs {
            let order = probe_order(work.seed, work.after, number, train.count());
            let pass = Pass::new(&order, work.batch as usize, train)?;
            let part = (f64::from(number) / f64::from(work.epochs), 1.0 / f64::from(work.epochs));
            let epoch = Epoch { images: train, pass: &pass, sgd: &sgd, number, part };
            match run_epoch(&mut state, &epoch, inputs.session, report) {
                Err(LearnError::Diverged(divergence)) => return diverged_probe(work, Some(divergence)),
                ended => ended?,
            }
        }
        let row = metrics(&state.network, &sets, row_of(work.after), work.lr, inputs.session)?;
        let metrics = ("metrics", Table::of_rows(METRICS, &[row]).to_bytes()?);
        let mut made = Outputs::trained(&[("weights", state.network.weights()?)], [metrics])?;
        made.notes.one_by_one = state.not_recorded().map(str::to_owned);
        Ok(made)
    }

    fn ema_eval(&mut self, work: &EmaEval, inputs: &StageInputs<'_>) -> Result<Outputs, StageError> {
        let epoch = row_of(work.after);
        let mut row = [f64::NAN; EMA_METRICS.len()];
        row[0] = f64::from(epoch);
        let averaged = self.averaged(work, inputs)?;
        if let Some((network, numerics)) = &averaged {
            let sets = self.sets(work.model, *numerics, work.eval_images, inputs)?;
            let all = metrics(network, &sets, epoch, 0.0, inputs.session)?;
            // All but the learning rate.
            row[1..].copy_from_slice(&all[2..]);
        }
        let metrics = Table::of_rows(EMA_METRICS, &[row]).to_bytes()?;
        let done = f64::from(u8::from(averaged.is_some()));
        Ok(Outputs::new([("metrics", metrics)], done))
    }

    /// The averaged network with statistics estimated anew, and its arithmetic; nothing if the run has diverged.
    fn averaged(
        &mut self,
        work: &EmaEval,
        inputs: &StageInputs<'_>,
    ) -> Result<Option<(Network, Numerics)>, StageError> {
        // Float32 always, as in the authors' code.
        let numerics = Numerics::float32(work.numerics.channels_last);
        let layout = layout(work.model)?;
        let average = inputs.parameters("ema", &layout)?;
        if !average.is_finite() {
            return Ok(None);
        }
        let weights = with_fresh_statistics(&layout, &average);
        let mut network = Network::new(work.model, &weights, self.arithmetic(numerics))?;
        let train = self.sets(work.model, numerics, None, inputs)?.train;
        let order = refresh_order(work.seed, work.after, train.count());
        refresh_statistics(&mut network, train, &Pass::new(&order, work.batch as usize, train)?)?;
        Ok(Some((network, numerics)))
    }

    /// The tensors of the network that an evaluation of averaged weights evaluates.
    pub fn averaged_weights(
        &mut self,
        work: &EmaEval,
        objects: &BTreeMap<String, ObjectDigest>,
        read: &Read<'_>,
    ) -> Result<Weights, StageError> {
        let session = policy::apply(Precision::Fp32).map_err(|error| StageError::Device(error.to_string()))?;
        let inputs = StageInputs { objects, read, session: &session };
        match self.averaged(work, &inputs)? {
            Some((network, _)) => Ok(network.weights()?),
            None => Ok(Weights::diverged(&layout(work.model)?.entries)),
        }
    }

    fn predictions(&mut self, work: &Predictions, inputs: &StageInputs<'_>) -> Result<Outputs, StageError> {
        let weights = inputs.weights("weights", &layout(work.model)?)?;
        let arithmetic = self.arithmetic(Numerics::float32(false));
        let network = Network::new(work.model, &weights, arithmetic)?;
        let raw = data::Images::from_bytes(&(inputs.read)("test")?)?;
        let images = Images::new(&raw.pixels, &raw.labels, work.model, arithmetic)?;
        let answers = predict(&network, &images, EVALUATION_BATCH)?;
        let row = |(image, ((answer, loss), label)): (usize, ((f64, f64), &u8))| {
            [image as f64, f64::from(*label), answer, loss]
        };
        let rows: Vec<_> = answers.into_iter().zip(&raw.labels).enumerate().map(row).collect();
        let table = Table::of_rows(PREDICTIONS, &rows).to_bytes()?;
        Ok(Outputs::whole([("predictions", table)]))
    }
}

/// The index of the row that is measured after so many epochs.
pub(super) fn row_of(after: u32) -> u32 {
    after.saturating_sub(1)
}

/// What remains of a segment that diverged (here, if it says where): the rows up to there, and NaN.
fn diverged_segment(
    work: &Train,
    mut rows: Vec<[f64; METRICS.len()]>,
    divergence: Option<Divergence>,
) -> Result<Outputs, StageError> {
    // Where it started from weights that are not finite it did nothing.
    let first = divergence.as_ref().map_or(work.first_epoch, |divergence| divergence.epoch);
    let done = f64::from(first - work.first_epoch) / f64::from(work.epochs);
    let lost = (first..work.first_epoch + work.epochs).filter(|&epoch| work.evaluates(epoch));
    rows.extend(lost.map(|epoch| diverged_row(epoch, work.lr)));
    let layout = layout(work.model)?;
    let mut outputs = vec![("weights", Weights::diverged(&layout.entries).to_bytes()?)];
    for name in work.keeps() {
        let lost = match name {
            "scaler" => Weights::diverged(&scaler::entries()),
            _ => Weights::diverged(layout.parameters()),
        };
        outputs.push((name, lost.to_bytes()?));
    }
    outputs.push(("metrics", Table::of_rows(METRICS, &rows).to_bytes()?));
    outputs.extend(divergence.map(diverged_output).transpose()?);
    Ok(Outputs::new(outputs, done))
}

/// The same of a probe.
fn diverged_probe(work: &Probe, divergence: Option<Divergence>) -> Result<Outputs, StageError> {
    let metrics = Table::of_rows(METRICS, &[diverged_row(row_of(work.after), work.lr)]).to_bytes()?;
    let weights = Weights::diverged(&layout(work.model)?.entries).to_bytes()?;
    let mut outputs = vec![("weights", weights), ("metrics", metrics)];
    let done = divergence.map_or(0.0, |divergence| f64::from(divergence.epoch) / f64::from(work.epochs));
    outputs.extend(divergence.map(diverged_output).transpose()?);
    Ok(Outputs::new(outputs, done))
}

fn diverged_row(epoch: u32, lr: f64) -> [f64; METRICS.len()] {
    let mut row = [f64::NAN; METRICS.len()];
    (row[0], row[1]) = (f64::from(epoch), lr);
    row
}

fn diverged_output(divergence: Divergence) -> Result<(&'static str, Vec<u8>), StageError> {
    let Divergence { epoch, step, lr, last_finite_loss } = divergence;
    let row = [f64::from(epoch), step as f64, lr, last_finite_loss.unwrap_or(f64::NAN)];
    Ok(("diverged", Table::of_rows(DIVERGED, &[row]).to_bytes()?))
}

/// What a stage reads.
pub(super) struct StageInputs<'a> {
    objects: &'a BTreeMap<String, ObjectDigest>,
    pub read: &'a Read<'a>,
    pub session: &'a Session,
}

impl StageInputs<'_> {
    fn object(&self, role: &str) -> Result<ObjectDigest, StageError> {
        self.objects.get(role).copied().ok_or_else(|| StageError::NoInput(role.to_owned()))
    }

    pub fn weights(&self, role: &str, layout: &Layout) -> Result<Weights, StageError> {
        Ok(Weights::from_bytes(&(self.read)(role)?, &layout.entries)?)
    }

    /// Parameters without running statistics: an average, or momentum.
    fn parameters(&self, role: &str, layout: &Layout) -> Result<Weights, StageError> {
        Ok(Weights::from_bytes(&(self.read)(role)?, layout.parameters())?)
    }
}

/// What a run is trained and evaluated on.
struct Sets<'a> {
    train: &'a Images,
    /// Those of the training set that a network is evaluated on.
    judged: &'a Images,
    test: &'a Images,
}

/// One epoch of training.
struct Epoch<'a> {
    images: &'a Images,
    pass: &'a Pass,
    sgd: &'a Sgd,
    /// For messages.
    number: u32,
    /// Where it begins in the stage's work and how much of it it is, as shares.
    part: (f64, f64),
}

/// Runs an epoch and reports how far it is.
fn run_epoch(
    state: &mut State,
    epoch: &Epoch<'_>,
    session: &Session,
    report: &mut Report<'_>,
) -> Result<(), LearnError> {
    let Epoch { images, pass, sgd, number, part: (start, length) } = *epoch;
    let started = Instant::now();
    let mut read = started;
    let mut last = None;
    state.run_epoch(images, pass, sgd, number, session, |progress| {
        if progress.loss.is_none() && read.elapsed() >= READ_LOSS {
            read = Instant::now();
            return Answer::Loss;
        }
        last = progress.loss.or(last);
        let share = progress.step as f64 / progress.steps as f64;
        let rate = (progress.step * pass.batch()) as f64 / started.elapsed().as_secs_f64().max(1e-9);
        let go_on = report(Progress { done: start + length * share, loss: last, images_per_second: Some(rate) });
        if go_on { Answer::Continue } else { Answer::Cancel }
    })?;
    Ok(())
}

/// A row of [`METRICS`].
fn metrics(network: &Network, sets: &Sets<'_>, epoch: u32, lr: f64, session: &Session) -> Result<[f64; 7], LearnError> {
    let on_train = evaluate(network, sets.judged, EVALUATION_BATCH, session)?;
    let on_test = evaluate(network, sets.test, EVALUATION_BATCH, session)?;
    let norm = network.norm()?;
    Ok([f64::from(epoch), lr, on_train.loss, on_train.error_percent, on_test.loss, on_test.error_percent, norm])
}
