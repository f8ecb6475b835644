//! Runs stages with libtorch on one thread, and keeps data on its device.

use std::collections::BTreeMap;

use super::{Device, Outputs, Read, StageError};
use base::digest::ObjectDigest;
use base::work::{Model, Numerics, Policy, Work};
use learn::batches::DeviceImages;
use learn::data;
use learn::layout::Layout;
use learn::model::Arithmetic;
use learn::torch::{Loaded, Session, own_stream, policy, recorded_lately, refusals};
use learn::train::State;
use learn::weights::Weights;

/// Batch size of an evaluation, as in the authors' code.
pub(super) const EVALUATION_BATCH: usize = 1000;
/// Number of sets of images that are kept on the device.
const KEPT_IMAGES: usize = 6;

/// The key of a set of images: its object, the number of images if not all, the network, and the memory layout (whether channels
/// are last).
type ImagesKey = (ObjectDigest, Option<u32>, Model, bool);
/// The hashes of a segment's end state by name: weights, and the other state that the run keeps.
pub(super) type End = BTreeMap<&'static str, ObjectDigest>;

/// libtorch on one thread, with the data on its device.
pub struct Torch {
    loaded: &'static Loaded,
    device: tch::Device,
    images: Vec<(ImagesKey, DeviceImages)>,
    /// The end state of the last segment of training. The next segment continues from it without loading anything.
    pub(super) resident: Option<(End, Numerics, State)>,
}

impl Torch {
    /// Loads libtorch and takes a device.
    pub fn start(choice: &Device, policy: Policy, worker: usize) -> Result<Self, StageError> {
        let (loaded, device) = super::device::open(choice, policy, worker).map_err(StageError::Device)?;
        own_stream(device).map_err(StageError::Device)?;
        Ok(Self { loaded, device, images: Vec::new(), resident: None })
    }

    /// Returns the kind of device, for records: `cpu` or `cuda`.
    pub fn device_name(&self) -> String {
        if self.device.is_cuda() { "cuda".to_owned() } else { "cpu".to_owned() }
    }

    /// Returns the class of machines that give the same bytes.
    pub fn machine(&self) -> String {
        super::device::machine(self.loaded, self.device)
    }

    /// Runs a stage with the function `run` and the numeric settings of its kind.
    pub fn run(
        &mut self,
        work: &Work,
        objects: &BTreeMap<String, ObjectDigest>,
        read: &Read<'_>,
        run: impl FnOnce(&mut Self, &StageInputs<'_>) -> Result<Outputs, StageError>,
    ) -> Result<Outputs, StageError> {
        // The settings are in force until `session` is dropped.
        let session = policy::apply(work.precision()).map_err(|error| StageError::Device(error.to_string()))?;
        let float32_logits = work.numerics().is_some_and(|numerics| numerics.float32_logits);
        let session = session.with_float32_logits(float32_logits);
        let inputs = StageInputs { objects, read, session: &session };
        let refused = refusals(self.device);
        match run(self, &inputs) {
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

    /// Loads the images of a role to the device, unless they are already there. If `part` is given, takes only that many images,
    /// the first ones of every class. Moves the set to the end of the list of kept sets.
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
                (key, DeviceImages::new(&images.pixels, &images.labels, model, self.arithmetic(numerics))?)
            }
        };
        if self.images.len() == KEPT_IMAGES {
            self.images.remove(0);
        }
        self.images.push(kept);
        Ok(key)
    }

    /// Returns the images that a run is trained and evaluated on, on the device.
    pub(super) fn sets(
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
}

/// The inputs of a stage.
pub(super) struct StageInputs<'a> {
    pub objects: &'a BTreeMap<String, ObjectDigest>,
    pub read: &'a Read<'a>,
    pub session: &'a Session,
}

impl StageInputs<'_> {
    /// Returns the hash of the input with a role.
    pub fn object(&self, role: &str) -> Result<ObjectDigest, StageError> {
        self.objects.get(role).copied().ok_or_else(|| StageError::NoInput(role.to_owned()))
    }

    /// Reads all tensors of a network.
    pub fn weights(&self, role: &str, layout: &Layout) -> Result<Weights, StageError> {
        Ok(Weights::from_bytes(&(self.read)(role)?, &layout.entries)?)
    }

    /// Reads parameters without running statistics: an average, or momentum.
    pub fn parameters(&self, role: &str, layout: &Layout) -> Result<Weights, StageError> {
        Ok(Weights::from_bytes(&(self.read)(role)?, layout.parameters())?)
    }
}

/// The images that a run is trained and evaluated on.
pub(super) struct Sets<'a> {
    pub train: &'a DeviceImages,
    /// The training images that a network is evaluated on.
    pub judged: &'a DeviceImages,
    pub test: &'a DeviceImages,
}
