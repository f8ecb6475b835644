//! The forward pass, which can keep the input and output of every layer.

use tch::{Device, Kind, Tensor};

use super::{Arithmetic, EPSILON, LearnError, Network, Statistics};
use crate::torch::Session;
use crate::wiring::{Affine, Block, Feature, Norm, Wiring};

/// A layer of a forward pass with its input and output, which are parts of the graph.
pub(crate) struct Tap {
    pub layer: Layer,
    pub input: Tensor,
    pub output: Tensor,
}

/// What a layer computes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Layer {
    /// `[b, in, h, w]` to `[b, out, h / stride, w / stride]`.
    Convolution { layer: Affine, stride: i64, padding: i64 },
    /// `[b, in]` to `[b, out]`.
    Linear(Affine),
    /// A norm of every channel, `[b, c, h, w]`.
    Norm(Norm),
}

impl Network {
    /// Returns the logits `[b, classes]` of normalised images `x`, `[b, 3, 32, 32]`. ReLUs overwrite their inputs, which no
    /// derivative needs.
    ///
    /// # Errors
    /// If libtorch fails, for example for lack of memory.
    pub fn logits(&self, x: &Tensor, statistics: Statistics) -> Result<Tensor, LearnError> {
        Forward { network: self, statistics, taps: None }.logits(x)
    }

    /// Returns the logits computed in the precision of `session`, as numbers of the network's own kind. With a precision of 16
    /// bits, the last layer is computed in the network's kind, unless the session says otherwise.
    pub(crate) fn logits_in(
        &self,
        x: &Tensor,
        statistics: Statistics,
        session: &Session,
    ) -> Result<Tensor, LearnError> {
        let Arithmetic { device, kind, .. } = self.arithmetic;
        let mut forward = Forward { network: self, statistics, taps: None };
        if !session.float32_logits() {
            return Ok(session.autocast(device, || forward.logits(x))?.f_to_kind(kind)?);
        }
        let features = session.autocast(device, || forward.features(x))?;
        forward.head(&features, Some(kind))
    }

    /// Returns the logits with running statistics, and all layers in the order in which they are computed. The layers' outputs
    /// must not change, so ReLUs write to new memory.
    pub(crate) fn tapped_logits(&self, x: &Tensor) -> Result<(Tensor, Vec<Tap>), LearnError> {
        let mut forward = Forward { network: self, statistics: Statistics::Running, taps: Some(Vec::new()) };
        let logits = forward.logits(x)?;
        Ok((logits, forward.taps.unwrap_or_default()))
    }

    /// Returns the weight and bias of a layer.
    fn affine(&self, layer: Affine) -> (&Tensor, Option<&Tensor>) {
        (&self.tensors[layer.weight], layer.bias.then(|| &self.tensors[layer.weight + 1]))
    }

    /// Returns the scale, shift, running mean and running variance of a norm.
    fn norm_tensors(&self, norm: Norm) -> (Option<&Tensor>, Option<&Tensor>, &Tensor, &Tensor) {
        let at = |i: usize| &self.tensors[norm.first + i];
        match norm.affine {
            true => (Some(at(0)), Some(at(1)), at(2), at(3)),
            false => (None, None, at(0), at(1)),
        }
    }

    /// Returns a norm's running mean and 1/√(variance + ε), `[c]`.
    pub(crate) fn standardisation(&self, norm: Norm) -> Result<(&Tensor, Tensor), LearnError> {
        let (_, _, mean, variance) = self.norm_tensors(norm);
        Ok((mean, variance.f_add_scalar(EPSILON)?.f_rsqrt()?))
    }

    /// Checks whether weight and bias (or scale and shift) of a layer are trained. An absent part is not.
    pub(crate) fn is_trained(&self, layer: Layer) -> [bool; 2] {
        let (first, parts) = match layer {
            Layer::Convolution { layer, .. } | Layer::Linear(layer) => (layer.weight, [true, layer.bias]),
            Layer::Norm(norm) => (norm.first, [norm.affine; 2]),
        };
        [0, 1].map(|i| parts[i] && self.layout.entries[first + i].is_trained())
    }

    /// Applies a norm with running statistics to activations in 16 bits, and keeps them in 16 bits. Multiplying them by a
    /// float32 a and adding a float32 b would widen them, and move three times as many bytes.
    fn running_norm_of_16_bits(&self, x: &Tensor, norm: Norm) -> Result<Tensor, LearnError> {
        let (scale, shift, mean, variance) = self.norm_tensors(norm);
        Ok(x.f_batch_norm(scale, shift, Some(mean), Some(variance), false, 0.0, EPSILON, true)?)
    }
}

/// One forward pass.
struct Forward<'a> {
    network: &'a Network,
    statistics: Statistics,
    /// The layers that are kept, if any.
    taps: Option<Vec<Tap>>,
}

impl Forward<'_> {
    fn logits(&mut self, x: &Tensor) -> Result<Tensor, LearnError> {
        let features = self.features(x)?;
        self.head(&features, None)
    }

    /// Returns the input of the [head](Self::head).
    fn features(&mut self, x: &Tensor) -> Result<Tensor, LearnError> {
        match &self.network.layout.wiring {
            Wiring::Residual { input_norm, stem, blocks, final_norm, .. } => {
                let x = self.norm(x, *input_norm)?;
                let mut x = self.conv(&x, *stem, 1)?;
                for block in blocks {
                    x = self.block(&x, block)?;
                }
                let x = self.norm(&x, *final_norm)?;
                self.relu(x)
            }
            Wiring::Vgg { features, classifier: [first, second, _] } => {
                let mut x = x.shallow_clone();
                for feature in features {
                    x = match feature {
                        Feature::Conv(conv) => {
                            let x = self.conv(&x, *conv, 1)?;
                            self.relu(x)?
                        }
                        Feature::Pool => x.f_max_pool2d([2, 2], [2, 2], [0, 0], [1, 1], false)?,
                    };
                }
                let x = self.linear(&x.f_flatten(1, -1)?, *first)?;
                let x = self.relu(x)?;
                let x = self.linear(&x, *second)?;
                self.relu(x)
            }
        }
    }

    /// Applies the last layer, after the mean over positions if there is one. Computes in the number type `kind` or, if none is
    /// given, in the features' own type.
    fn head(&mut self, features: &Tensor, kind: Option<Kind>) -> Result<Tensor, LearnError> {
        match &self.network.layout.wiring {
            Wiring::Residual { head, .. } => self.linear(&features.f_mean_dim([2, 3].as_slice(), false, kind)?, *head),
            Wiring::Vgg { classifier: [.., last], .. } => {
                self.linear(&features.f_to_kind(kind.unwrap_or(features.f_kind()?))?, *last)
            }
        }
    }

    /// Applies a block: norm, ReLU, 3×3 convolution, norm, ReLU, 3×3 convolution, plus skip. Where the shape changes, the
    /// skip is a 1×1 convolution of the first activation, not of the input.
    fn block(&mut self, x: &Tensor, block: &Block) -> Result<Tensor, LearnError> {
        let active = self.norm(x, block.norm1)?;
        let active = self.relu(active)?;
        let h = self.conv(&active, block.conv1, block.stride)?;
        let h = self.norm(&h, block.norm2)?;
        let h = self.relu(h)?;
        let h = self.conv(&h, block.conv2, 1)?;
        Ok(match block.skip {
            Some(skip) => {
                let normed = skip.norm.map(|norm| self.norm(&active, norm)).transpose()?;
                h.f_add(&self.conv(normed.as_ref().unwrap_or(&active), skip.conv, block.stride)?)?
            }
            None => h.f_add(x)?,
        })
    }

    fn conv(&mut self, x: &Tensor, layer: Affine, stride: i64) -> Result<Tensor, LearnError> {
        let Network { arithmetic, layout, .. } = self.network;
        let (weight, bias) = self.network.affine(layer);
        let padding = i64::from(layout.entries[layer.weight].shape[2] == 3);
        if padding == 0 && arithmetic.channels_last && arithmetic.device == Device::Cpu {
            // oneDNN writes past the end of the weight gradient of a strided 1×1 convolution with fewer than 8 channels in
            // NHWC (libtorch 2.11). Selecting every second position first is equivalent and safe.
            let x = x.f_slice(2, None, None, stride)?.f_slice(3, None, None, stride)?;
            let output = x.f_conv2d(weight, bias, 1, 0, 1, 1)?;
            return Ok(self.tap(Layer::Convolution { layer, stride: 1, padding }, &x, output));
        }
        let output = x.f_conv2d(weight, bias, stride, padding, 1, 1)?;
        Ok(self.tap(Layer::Convolution { layer, stride, padding }, x, output))
    }

    fn linear(&mut self, x: &Tensor, layer: Affine) -> Result<Tensor, LearnError> {
        let (weight, bias) = self.network.affine(layer);
        let output = x.f_linear(weight, bias)?;
        Ok(self.tap(Layer::Linear(layer), x, output))
    }

    fn norm(&mut self, x: &Tensor, norm: Norm) -> Result<Tensor, LearnError> {
        let (scale, shift, mean, variance) = self.network.norm_tensors(norm);
        let batch = |running: Option<[&Tensor; 2]>, momentum| {
            let [mean, variance] = [running.map(|r| r[0]), running.map(|r| r[1])];
            x.f_batch_norm(scale, shift, mean, variance, true, momentum, EPSILON, true)
        };
        let output = match self.statistics {
            Statistics::Update { momentum } => batch(Some([mean, variance]), momentum)?,
            Statistics::Batch => batch(None, 0.0)?,
            Statistics::Running if x.device().is_cuda() && matches!(x.f_kind()?, Kind::Half | Kind::BFloat16) => {
                self.network.running_norm_of_16_bits(x, norm)?
            }
            Statistics::Running => {
                // x·a + b is one operation, and cheap to differentiate twice.
                let (mean, inverse) = self.network.standardisation(norm)?;
                let a = scale.map_or_else(|| Ok(inverse.shallow_clone()), |scale| scale.f_mul(&inverse))?;
                let centre = mean.f_mul(&a)?;
                let b = shift.map_or_else(|| centre.f_neg(), |shift| shift.f_sub(&centre))?;
                b.f_view([1, -1, 1, 1])?.f_addcmul(x, &a.f_view([1, -1, 1, 1])?)?
            }
        };
        Ok(self.tap(Layer::Norm(norm), x, output))
    }

    fn relu(&self, mut x: Tensor) -> Result<Tensor, LearnError> {
        Ok(if self.taps.is_some() { x.f_relu()? } else { x.f_relu_()? })
    }

    /// Records a layer, if layers are kept.
    fn tap(&mut self, layer: Layer, input: &Tensor, output: Tensor) -> Tensor {
        if let Some(taps) = &mut self.taps {
            taps.push(Tap { layer, input: input.shallow_clone(), output: output.shallow_clone() });
        }
        output
    }
}

#[cfg(test)]
mod tests {
    use tch::no_grad;

    use super::*;
    use crate::init::initial_weights;
    use crate::torch::policy::apply;
    use crate::torch::{Libraries, load};
    use base::work::{InitScheme, Model, ModelName, Precision};

    #[test]
    fn logits_of_16_bit_passes_are_float32_but_where_they_follow_the_authors_code() {
        load(&Libraries::default()).unwrap();
        let arithmetic = Arithmetic { device: Device::Cpu, kind: Kind::Float, channels_last: false };
        for name in
            [ModelName::PreactResnet18, ModelName::PreactResnet34, ModelName::ScaleInvariantResnet18, ModelName::Vgg16]
        {
            let model = Model::new(name, 2, 10);
            let weights = initial_weights(model, InitScheme::He, None, 1).unwrap();
            let network = Network::new(model, &weights, arithmetic).unwrap();
            let x = Tensor::randn([4, 3, 32, 32], (Kind::Float, Device::Cpu));
            let logits = |precision, float32| {
                let session = apply(precision).unwrap().with_float32_logits(float32);
                no_grad(|| network.logits_in(&x, Statistics::Batch, &session)).unwrap()
            };
            let exact = network.logits(&x, Statistics::Batch).unwrap();
            assert_eq!(logits(Precision::Fp32, true), exact);
            assert_eq!(logits(Precision::Fp32, false), exact);
            for (precision, kind) in [(Precision::Bf16, Kind::BFloat16), (Precision::Fp16, Kind::Half)] {
                let [wide, narrow] = [true, false].map(|float32| logits(precision, float32));
                let rounded = |logits: &Tensor| logits.to_kind(kind).to_kind(Kind::Float) == *logits;
                assert!(rounded(&narrow) && !rounded(&wide), "{name:?} {precision:?}");
                let far = (&wide - &narrow).abs().max().double_value(&[]) / exact.abs().max().double_value(&[]);
                assert!(far < 0.02, "{name:?} {precision:?}: {far}");
            }
        }
    }

    #[test]
    fn the_last_layer_has_no_rounding_of_16_bits() {
        load(&Libraries::default()).unwrap();
        let arithmetic = Arithmetic { device: Device::Cpu, kind: Kind::Float, channels_last: false };
        for name in [ModelName::PreactResnet18, ModelName::Vgg16] {
            let model = Model::new(name, 2, 10);
            let weights = initial_weights(model, InitScheme::He, None, 1).unwrap();
            let network = Network::new(model, &weights, arithmetic).unwrap();
            let session = apply(Precision::Bf16).unwrap();
            let x = Tensor::randn([4, 3, 32, 32], (Kind::Float, Device::Cpu));
            no_grad(|| {
                let mut forward = Forward { network: &network, statistics: Statistics::Batch, taps: None };
                // The features come from the pass in 16 bits; the rest is computed in float64.
                let features = session.autocast(Device::Cpu, || forward.features(&x)).unwrap();
                assert_eq!(features.kind(), Kind::BFloat16);
                let wide = features.to_kind(Kind::Double);
                let pooled =
                    if name == ModelName::Vgg16 { wide } else { wide.mean_dim([2, 3].as_slice(), false, None) };
                let by = |suffix: &str| {
                    let entry = network.tensors().filter(|(entry, _)| entry.name.ends_with(suffix)).last().unwrap();
                    entry.1.to_kind(Kind::Double)
                };
                let wanted = pooled.linear(&by("weight"), Some(&by("bias")));
                let found = network.logits_in(&x, Statistics::Batch, &session).unwrap().to_kind(Kind::Double);
                let far = ((found - &wanted).abs().max() / wanted.abs().max()).double_value(&[]);
                assert!(far < 1e-6, "{name:?}: {far}");
            });
        }
    }

    #[test]
    fn norms_of_16_bits_are_those_of_32_but_for_rounding() {
        load(&Libraries::default()).unwrap();
        let arithmetic = Arithmetic { device: Device::Cpu, kind: Kind::Float, channels_last: false };
        for name in [ModelName::PreactResnet18, ModelName::ScaleInvariantResnet18] {
            let model = Model::new(name, 2, 10);
            let weights = initial_weights(model, InitScheme::He, None, 1).unwrap();
            let network = Network::new(model, &weights, arithmetic).unwrap();
            let Wiring::Residual { final_norm: norm, .. } = network.layout.wiring else { panic!("a residual network") };
            no_grad(|| {
                let (_, _, mean, variance) = network.norm_tensors(norm);
                let _ = mean.shallow_clone().normal_(0.5, 0.1);
                let _ = variance.shallow_clone().uniform_(0.5, 2.0);
                let x = Tensor::randn([4, mean.numel() as i64, 3, 3], (Kind::BFloat16, Device::Cpu));
                let narrow = network.running_norm_of_16_bits(&x, norm).unwrap();
                assert_eq!(narrow.kind(), Kind::BFloat16);
                let mut forward = Forward { network: &network, statistics: Statistics::Running, taps: None };
                let wide = forward.norm(&x.to_kind(Kind::Float), norm).unwrap();
                assert!((narrow - wide).abs().max().double_value(&[]) < 0.05);
            });
        }
    }
}
