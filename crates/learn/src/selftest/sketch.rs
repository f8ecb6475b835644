//! Check of the sketch of Tr ∇²L for many classes against the exact value.

use tch::{Device, Kind};

use super::estimators::{Coverage, coverage};
use crate::LearnError;
use crate::batches::DeviceImages;
use crate::curvature::{Estimate, Norms, Objective, trace};
use crate::init::initial_weights;
use crate::model::{Arithmetic, Network};
use crate::torch::{Session, policy};
use base::rng::Stream;
use base::work::{Estimator, InitScheme, Model, ModelName, Precision};

/// Number of classes.
pub const CLASSES: u32 = 100;
/// Number of draws of a sketch.
pub const DRAWS: u32 = 4;

/// A pre-activation ResNet-18 of width 1 with initial weights, and images of noise.
pub struct ManyClasses {
    network: Network,
    images: DeviceImages,
    _session: Session,
}

impl ManyClasses {
    /// Creates the network and the given number of images.
    ///
    /// # Errors
    /// If libtorch fails.
    pub fn new(images: usize) -> Result<Self, LearnError> {
        let session = policy::apply(Precision::Fp32).map_err(|error| LearnError::Torch(error.to_string()))?;
        let arithmetic = Arithmetic { device: Device::Cpu, kind: Kind::Double, channels_last: false };
        let model = Model::new(ModelName::PreactResnet18, 1, CLASSES);
        let network = Network::new(model, &initial_weights(model, InitScheme::He, None, 1)?, arithmetic)?;
        let mut stream = Stream::new(6, "pixels", &[]);
        let pixels: Vec<u8> = (0..images * 3072).map(|_| stream.below(256) as u8).collect();
        let labels: Vec<u8> = (0..images).map(|i| (i % CLASSES as usize) as u8).collect();
        let images = DeviceImages::new(&pixels, &labels, model, arithmetic)?;
        Ok(Self { network, images, _session: session })
    }

    /// Measures how often a sketch is as near to the exact value as its standard error says.
    ///
    /// # Errors
    /// If libtorch fails.
    pub fn coverage(&self, repetitions: u32) -> Result<Coverage, LearnError> {
        let images = self.images.count();
        let objective =
            Objective { network: &self.network, images: &self.images, batch: images, norms: Norms::Running };
        let of = |estimator, seed| trace(&objective, estimator, seed, &mut |_, _| true);
        let exact = of(Estimator::Exact, 0)?.value;
        let estimates = (0..repetitions).map(|seed| {
            let found = of(Estimator::Sketch { draws: DRAWS, stderr: None }, u64::from(seed))?;
            Ok(Estimate { value: found.value, error: found.standard_error })
        });
        let estimates = estimates.collect::<Result<Vec<_>, LearnError>>()?;
        Ok(coverage(&format!("Tr H (sketch, {CLASSES} classes)"), exact, 0.0, &estimates))
    }
}
