//! The stages that compute with libtorch: `train`, `probe`, `ema_eval`, `hessian_trace`.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::{Device, Made, Progress, Read, Report, StageError};
use crate::data;
use crate::digest::ObjectDigest;
use crate::learn::LearnError;
use crate::learn::batches::{Images, Pass, probe_order, refresh_order, training_order};
use crate::learn::evaluate::{evaluate, refresh_statistics};
use crate::learn::hessian;
use crate::learn::init::with_fresh_statistics;
use crate::learn::layout::{Layout, layout};
use crate::learn::model::{Arithmetic, Network};
use crate::learn::train::{Answer, Sgd, State};
use crate::learn::weights::Weights;
use crate::table::Table;
use crate::torch::{Loaded, Session, policy};
use crate::work::{EMA_METRICS, EmaEval, HessianTrace, METRICS, Model, Numerics, Precision, Probe, TRACE, Train, Work};

/// Images of an evaluation's batch, as in the authors' code.
const EVALUATION_BATCH: usize = 1000;
/// How often the loss is read from the device for the progress report.
const READ_LOSS: Duration = Duration::from_millis(500);
/// How many sets of images are kept on the device.
const KEPT_IMAGES: usize = 4;

/// A set of images by its object, network's classes and memory layout.
type ImagesKey = (ObjectDigest, u32, bool);

/// libtorch on one thread, and what lies on its device.
pub struct Torch {
    loaded: &'static Loaded,
    device: tch::Device,
    images: Vec<(ImagesKey, Images)>,
    /// The state that the last segment of training ended in, by the hashes of its weights and average.
    resident: Option<((ObjectDigest, Option<ObjectDigest>), Numerics, State)>,
}

impl Torch {
    /// Loads libtorch and takes a device.
    pub fn start(choice: &Device) -> Result<Self, StageError> {
        let (loaded, device) = super::device::open(choice).map_err(StageError::Device)?;
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
    ) -> Result<Made, StageError> {
        let precision = match work {
            Work::Train(work) => work.numerics.precision,
            Work::Probe(work) => work.numerics.precision,
            _ => Precision::Fp32,
        };
        // In force until the stage ends.
        let session = policy::apply(precision).map_err(|error| StageError::Device(error.to_string()))?;
        let inputs = Inputs { objects, read, session: &session };
        match work {
            Work::Train(work) => self.train(work, &inputs, report),
            Work::Probe(work) => self.probe(work, &inputs, report),
            Work::EmaEval(work) => self.ema_eval(work, &inputs),
            Work::HessianTrace(work) => self.hessian_trace(work, &inputs, report),
            Work::Dataset(_) | Work::Init(_) | Work::Figure(_) => Err(StageError::NoTorch),
        }
    }

    fn arithmetic(&self, numerics: Numerics) -> Arithmetic {
        Arithmetic { device: self.device, kind: tch::Kind::Float, channels_last: numerics.channels_last }
    }

    /// Puts the images of a role on the device, or finds them there; either way they are the last of those
    /// that are kept.
    fn load_images(
        &mut self,
        role: &str,
        classes: u32,
        numerics: Numerics,
        inputs: &Inputs<'_>,
    ) -> Result<(), StageError> {
        let key = (inputs.object(role)?, classes, numerics.channels_last);
        let kept = match self.images.iter().position(|(kept, _)| *kept == key) {
            Some(at) => self.images.remove(at),
            None => {
                let images = data::Images::from_bytes(&(inputs.read)(role)?)?;
                (key, Images::new(&images.pixels, &images.labels, classes, self.arithmetic(numerics))?)
            }
        };
        if self.images.len() == KEPT_IMAGES {
            self.images.remove(0);
        }
        self.images.push(kept);
        Ok(())
    }

    /// Training and test images, on the device.
    fn train_and_test(
        &mut self,
        model: Model,
        numerics: Numerics,
        inputs: &Inputs<'_>,
    ) -> Result<(&Images, &Images), StageError> {
        self.load_images("train", model.classes, numerics, inputs)?;
        self.load_images("test", model.classes, numerics, inputs)?;
        let same = inputs.object("train")? == inputs.object("test")?;
        match &self.images[..] {
            [.., (_, both)] if same => Ok((both, both)),
            [.., (_, train), (_, test)] => Ok((train, test)),
            _ => Err(StageError::NoInput("test".to_owned())),
        }
    }

    fn train(&mut self, work: &Train, inputs: &Inputs<'_>, report: &mut Report<'_>) -> Result<Made, StageError> {
        let start = (inputs.object("weights")?, inputs.object("ema").ok());
        let mut state = match self.resident.take() {
            Some((end, numerics, state))
                if end == start && numerics == work.numerics && start.1.is_some() == work.ema.is_some() =>
            {
                state
            }
            _ => {
                let layout = layout(work.model)?;
                let weights = inputs.weights("weights", &layout)?;
                let arithmetic = self.arithmetic(work.numerics);
                match start.1 {
                    Some(_) => State::resume(work.model, &weights, &inputs.average(&layout)?, arithmetic)?,
                    None => State::new(work.model, &weights, work.ema.is_some(), arithmetic)?,
                }
            }
        };
        let (train, test) = self.train_and_test(work.model, work.numerics, inputs)?;
        let sgd = Sgd { lr: work.lr, wd: work.wd, ema: work.ema.unwrap_or_default() };
        let mut rows = Vec::new();
        for i in 0..work.epochs {
            let epoch = work.first_epoch + i;
            let order = training_order(work.seed, epoch, train.count());
            let pass = Pass::new(&order, work.batch as usize, train)?;
            let part = (f64::from(i) / f64::from(work.epochs), 1.0 / f64::from(work.epochs));
            run_epoch(
                &mut state,
                &Epoch { images: train, pass: &pass, sgd: &sgd, number: epoch, part },
                inputs.session,
                report,
            )?;
            rows.push(metrics(&state.network, train, test, epoch, work.lr, inputs.session)?);
        }
        let weights = state.network.weights()?;
        let mut tensors: Vec<_> = weights.digests().map(|(name, digest)| (name.to_owned(), digest)).collect();
        let bytes = weights.to_bytes()?;
        let mut end = (ObjectDigest::of(&bytes), None);
        let mut outputs = vec![("weights", bytes)];
        if let Some(average) = state.average()? {
            tensors.extend(average.digests().map(|(name, digest)| (format!("ema.{name}"), digest)));
            let bytes = average.to_bytes()?;
            end.1 = Some(ObjectDigest::of(&bytes));
            outputs.push(("ema", bytes));
        }
        outputs.push(("metrics", Table::of_rows(METRICS, &rows).to_bytes()?));
        self.resident = Some((end, work.numerics, state));
        Ok(Made { outputs, tensors })
    }

    fn probe(&mut self, work: &Probe, inputs: &Inputs<'_>, report: &mut Report<'_>) -> Result<Made, StageError> {
        let weights = inputs.weights("weights", &layout(work.model)?)?;
        let mut state = State::new(work.model, &weights, false, self.arithmetic(work.numerics))?;
        let (train, test) = self.train_and_test(work.model, work.numerics, inputs)?;
        let sgd = Sgd { lr: work.lr, wd: work.wd, ema: 0.0 };
        for epoch in 0..work.epochs {
            let order = probe_order(work.seed, work.after, epoch, train.count());
            let pass = Pass::new(&order, work.batch as usize, train)?;
            let part = (f64::from(epoch) / f64::from(work.epochs), 1.0 / f64::from(work.epochs));
            let epoch = Epoch { images: train, pass: &pass, sgd: &sgd, number: epoch, part };
            run_epoch(&mut state, &epoch, inputs.session, report)?;
        }
        let row = metrics(&state.network, train, test, work.after.saturating_sub(1), work.lr, inputs.session)?;
        let weights = state.network.weights()?;
        let tensors = weights.digests().map(|(name, digest)| (name.to_owned(), digest)).collect();
        let metrics = Table::of_rows(METRICS, &[row]).to_bytes()?;
        Ok(Made { outputs: vec![("weights", weights.to_bytes()?), ("metrics", metrics)], tensors })
    }

    fn ema_eval(&mut self, work: &EmaEval, inputs: &Inputs<'_>) -> Result<Made, StageError> {
        // Float32 always, as in the authors' code.
        let numerics = Numerics { precision: Precision::Fp32, ..work.numerics };
        let layout = layout(work.model)?;
        let weights = with_fresh_statistics(&layout, &inputs.average(&layout)?);
        let mut network = Network::new(work.model, &weights, self.arithmetic(numerics))?;
        let (train, test) = self.train_and_test(work.model, numerics, inputs)?;
        let order = refresh_order(work.seed, work.after, train.count());
        refresh_statistics(&mut network, train, &Pass::new(&order, work.batch as usize, train)?)?;
        let [epoch, _, train_loss, train_error, test_loss, test_error, norm] =
            metrics(&network, train, test, work.after.saturating_sub(1), 0.0, inputs.session)?;
        let row = [epoch, train_loss, train_error, test_loss, test_error, norm];
        let metrics = Table::of_rows(EMA_METRICS, &[row]).to_bytes()?;
        Ok(Made { outputs: vec![("metrics", metrics)], tensors: Vec::new() })
    }

    fn hessian_trace(
        &mut self,
        work: &HessianTrace,
        inputs: &Inputs<'_>,
        report: &mut Report<'_>,
    ) -> Result<Made, StageError> {
        let numerics = Numerics { precision: Precision::Fp32, channels_last: false };
        let arithmetic = self.arithmetic(numerics);
        let weights = inputs.weights("weights", &layout(work.model)?)?;
        let network = Network::new(work.model, &weights, arithmetic)?;
        let images = data::Images::from_bytes(&(inputs.read)("train")?)?.first_per_class(work.images as usize)?;
        let images = Images::new(&images.pixels, &images.labels, work.model.classes, arithmetic)?;
        let loss = evaluate(&network, &images, EVALUATION_BATCH, inputs.session)?.loss;
        let mut watch = |done: usize, total: usize| {
            report(Progress { done: done as f64 / total as f64, loss: None, images_per_second: None })
        };
        let trace = hessian::trace(&network, &images, work.batch as usize, work.draws, work.seed, &mut watch)?;
        let epoch = f64::from(work.after.saturating_sub(1));
        let row = [epoch, trace.mean, trace.standard_error, f64::from(work.draws), loss, network.norm()?];
        Ok(Made { outputs: vec![("trace", Table::of_rows(TRACE, &[row]).to_bytes()?)], tensors: Vec::new() })
    }
}

/// What a stage reads.
struct Inputs<'a> {
    objects: &'a BTreeMap<String, ObjectDigest>,
    read: &'a Read<'a>,
    session: &'a Session,
}

impl Inputs<'_> {
    fn object(&self, role: &str) -> Result<ObjectDigest, StageError> {
        self.objects.get(role).copied().ok_or_else(|| StageError::NoInput(role.to_owned()))
    }

    fn weights(&self, role: &str, layout: &Layout) -> Result<Weights, StageError> {
        Ok(Weights::from_bytes(&(self.read)(role)?, &layout.entries)?)
    }

    fn average(&self, layout: &Layout) -> Result<Weights, StageError> {
        Ok(Weights::from_bytes(&(self.read)("ema")?, layout.parameters())?)
    }
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
fn metrics(
    network: &Network,
    train: &Images,
    test: &Images,
    epoch: u32,
    lr: f64,
    session: &Session,
) -> Result<[f64; 7], LearnError> {
    let on_train = evaluate(network, train, EVALUATION_BATCH, session)?;
    let on_test = evaluate(network, test, EVALUATION_BATCH, session)?;
    let norm = network.norm()?;
    Ok([f64::from(epoch), lr, on_train.loss, on_train.error_percent, on_test.loss, on_test.error_percent, norm])
}
