//! Squared gradient norms of single images, without the gradients.
//!
//! ‖J_iᵀu_i‖² over all trained parameters is a sum over the layers, and each term follows from the layer's input and the
//! gradient of its output. So one backward pass, which forms no gradient of any weight, gives the norms of all images of a
//! chunk at once. Images must not interact, so batch norms use running statistics.

use tch::{Kind, Tensor, no_grad};

use super::Objective;
use crate::LearnError;
use crate::model::{Layer, Network, Tap};

/// Largest number of bytes of the kept layers of one chunk.
const MEMORY: usize = 1 << 30;

/// The logits of some images, and their layers.
pub(crate) struct Examples {
    logits: Tensor, // [b, c], float64, with graph
    /// Labels, `[b]`.
    pub labels: Tensor,
    outputs: Vec<Tensor>,
    layers: Vec<Kept>,
}

/// The part of a layer's input that the norms need.
enum Kept {
    /// The patches of a trained weight, and whether there is a trained bias.
    Convolution(Option<Patches>, bool),
    /// Factor of the squared norm of the output's gradient, `[b]`: ‖a‖² for a trained weight, plus 1 for a trained bias.
    Linear(Tensor),
    /// The standardised input x̂, `[b, c, h, w]`, for a trained scale, and whether there is a trained shift.
    Norm(Option<Tensor>, bool),
}

/// The input of a convolution with T output positions, as the K = in·k² numbers that each position uses.
enum Patches {
    /// A, `[b, K, T]`. With the output's gradient g, `[b, out, T]`, the gradient of the weight is g Aᵀ.
    Columns(Tensor),
    /// AᵀA, `[b, T, T]`: ‖g Aᵀ‖² = ⟨gᵀg, AᵀA⟩. Cheaper if T < K.
    Gram(Tensor),
}

impl Objective<'_> {
    /// Returns the chunks in order, as large as [`Objective::batch`] and the memory for kept layers allow. The memory limit is
    /// fixed, so that the bits do not depend on the machine.
    pub(crate) fn examples(&self) -> Result<impl Iterator<Item = Result<Examples, LearnError>> + use<'_>, LearnError> {
        let network = self.network;
        let batch = self.examples_at_once()?;
        Ok(self.images.chunks(batch).map(move |chunk| {
            let (x, labels) = chunk?;
            Examples::new(network, &x, labels)
        }))
    }

    /// Returns the number of images whose layers are kept at once.
    pub(super) fn examples_at_once(&self) -> Result<usize, LearnError> {
        let Some(first) = self.images.chunks(1).next() else { return Ok(1) };
        let (x, labels) = first?;
        let bytes = no_grad(|| Examples::new(self.network, &x, labels))?.bytes();
        Ok((MEMORY / bytes.max(1)).clamp(1, self.batch.max(1)))
    }
}

impl Examples {
    fn new(network: &Network, x: &Tensor, labels: Tensor) -> Result<Self, LearnError> {
        let (logits, taps) = network.tapped_logits(x)?;
        let logits = logits.f_to_kind(Kind::Double)?;
        let trained = taps.iter().filter(|tap| network.is_trained(tap.layer) != [false; 2]);
        let outputs = trained.clone().map(|tap| tap.output.shallow_clone()).collect();
        let layers = no_grad(|| trained.map(|tap| Kept::new(network, tap)).collect::<Result<_, _>>())?;
        Ok(Self { logits, labels, outputs, layers })
    }

    /// Returns f, `[b, c]` in float64, without graph.
    pub fn logits(&self) -> Result<Tensor, LearnError> {
        Ok(self.logits.f_detach()?)
    }

    /// Computes ‖J_iᵀu_i‖² of every image in float64, `[b]`, for `u`, `[b, c]` in float64.
    pub fn squares(&self, u: &Tensor) -> Result<Tensor, LearnError> {
        // Each image's u is scaled to a largest entry of 1, so that tiny values do not vanish in float32.
        let scale = u.f_abs()?.f_amax([1].as_slice(), true)?.f_clamp_min(f64::MIN_POSITIVE)?;
        let along = self.logits.f_mul(&u.f_div(&scale)?.f_detach()?)?.f_sum(None)?;
        let outputs: Vec<&Tensor> = self.outputs.iter().collect();
        let gradients = Tensor::f_run_backward(&[&along], &outputs, true, false)?;
        no_grad(|| {
            let scale = scale.f_view([-1])?;
            let mut sum = scale.f_zeros_like()?;
            for (kept, gradient) in self.layers.iter().zip(gradients).filter(|(_, gradient)| gradient.defined()) {
                let _ = sum.f_add_(&kept.squares(&gradient)?)?;
            }
            // Multiply twice, because the square of a scale can be too small for a float64.
            Ok(sum.f_mul(&scale)?.f_mul(&scale)?)
        })
    }

    /// Returns the number of bytes that are kept: graph and layers.
    fn bytes(&self) -> usize {
        let size = |tensor: &Tensor| tensor.numel() * tensor.kind().elt_size_in_bytes();
        // The graph keeps an output and the results of a norm, a ReLU or a sum on it; its gradient takes the same size again.
        let graph: usize = self.outputs.iter().map(size).sum::<usize>() * 4;
        graph + self.layers.iter().flat_map(Kept::tensors).map(size).sum::<usize>()
    }
}

impl Kept {
    fn new(network: &Network, Tap { layer, input, output }: &Tap) -> Result<Self, LearnError> {
        let [first, second] = network.is_trained(*layer);
        Ok(match *layer {
            Layer::Convolution { layer: _, stride, padding } => {
                let patches = || {
                    let side = if padding == 0 { 1 } else { 3 };
                    Patches::new(input, output, side, stride, padding)
                };
                Self::Convolution(first.then(patches).transpose()?, second)
            }
            Layer::Linear(_) => {
                let inputs = sum_of_squares(input)?.f_mul_scalar(f64::from(u8::from(first)))?;
                Self::Linear(inputs.f_add_scalar(f64::from(u8::from(second)))?)
            }
            Layer::Norm(norm) => {
                let standardised = || -> Result<Tensor, LearnError> {
                    let (mean, inverse) = network.standardisation(norm)?;
                    let by_channel = [1, -1, 1, 1];
                    Ok(input.f_sub(&mean.f_view(by_channel)?)?.f_mul(&inverse.f_view(by_channel)?)?)
                };
                Self::Norm(first.then(standardised).transpose()?, second)
            }
        })
    }

    /// Computes the squared norms of the gradients of the layer's parameters, `[b]` in float64, from the gradient of its output.
    fn squares(&self, gradient: &Tensor) -> Result<Tensor, LearnError> {
        let by_channel = |values: &Tensor| -> Result<Tensor, LearnError> {
            sum_of_squares(&values.f_sum_dim_intlist([2, 3].as_slice(), false, Kind::Double)?)
        };
        let [first, second] = match self {
            Self::Linear(factor) => return Ok(sum_of_squares(gradient)?.f_mul(factor)?),
            Self::Convolution(patches, bias) => {
                let weight = patches.as_ref().map(|patches| patches.squares(gradient)).transpose()?;
                [weight, bias.then(|| by_channel(gradient)).transpose()?]
            }
            Self::Norm(standardised, shift) => {
                let scale = standardised.as_ref().map(|x| by_channel(&gradient.f_mul(x)?)).transpose()?;
                [scale, shift.then(|| by_channel(gradient)).transpose()?]
            }
        };
        match (first, second) {
            (Some(first), Some(second)) => Ok(first.f_add(&second)?),
            (Some(one), None) | (None, Some(one)) => Ok(one),
            (None, None) => Err(LearnError::Data("a layer without trained parameters was kept".to_owned())),
        }
    }

    fn tensors(&self) -> Option<&Tensor> {
        match self {
            Self::Convolution(patches, _) => patches.as_ref().map(|patches| match patches {
                Patches::Columns(tensor) | Patches::Gram(tensor) => tensor,
            }),
            Self::Linear(factor) => Some(factor),
            Self::Norm(standardised, _) => standardised.as_ref(),
        }
    }
}

impl Patches {
    fn new(input: &Tensor, output: &Tensor, side: i64, stride: i64, padding: i64) -> Result<Self, LearnError> {
        let columns = input.f_im2col([side; 2], [1; 2], [padding; 2], [stride; 2])?;
        let positions: i64 = output.size().iter().skip(2).product();
        Self::of(columns, columns_outnumber(positions, side, input))
    }

    /// Returns the columns themselves, or their Gram matrix.
    fn of(columns: Tensor, gram: bool) -> Result<Self, LearnError> {
        Ok(if gram { Self::Gram(columns.f_transpose(1, 2)?.f_bmm(&columns)?) } else { Self::Columns(columns) })
    }

    /// Computes ‖g Aᵀ‖², `[b]`.
    fn squares(&self, gradient: &Tensor) -> Result<Tensor, LearnError> {
        let g = gradient.f_flatten(2, -1)?; // [b, out, T]
        match self {
            Self::Columns(columns) => sum_of_squares(&g.f_bmm(&columns.f_transpose(1, 2)?)?),
            Self::Gram(gram) => {
                let products = g.f_transpose(1, 2)?.f_bmm(&g)?.f_mul(gram)?;
                Ok(products.f_sum_dim_intlist([1, 2].as_slice(), false, Kind::Double)?)
            }
        }
    }
}

/// Checks whether a position uses more numbers than there are positions.
fn columns_outnumber(positions: i64, side: i64, input: &Tensor) -> bool {
    let channels = input.size().get(1).copied().unwrap_or_default();
    positions < channels * side * side
}

/// Returns the sum of the squares of each image's numbers, `[b]` in float64.
fn sum_of_squares(values: &Tensor) -> Result<Tensor, LearnError> {
    Ok(values.f_flatten(1, -1)?.f_square()?.f_sum_dim_intlist([1].as_slice(), false, Kind::Double)?)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{relative, setting, setting_of};
    use super::*;
    use base::rng::Stream;
    use base::work::{Model, ModelName};

    /// Returns the squared norm of each image's own gradient, with one backward pass for each.
    fn one_by_one(objective: &Objective<'_>, u: &Tensor) -> Tensor {
        let single = Objective { batch: 1, ..*objective };
        let norms = single.chunks().enumerate().map(|(i, chunk)| {
            let gradient = chunk.unwrap().pull_back(&u.narrow(0, i as i64, 1)).unwrap();
            gradient.square().sum(Kind::Double)
        });
        Tensor::stack(&norms.collect::<Vec<_>>(), 0)
    }

    fn directions(images: i64, classes: i64) -> Tensor {
        let mut stream = Stream::new(7, "u", &[]);
        let normals: Vec<f64> = (0..images * classes).map(|_| stream.normal()).collect();
        Tensor::from_slice(&normals).view([images, classes])
    }

    #[test]
    fn norms_are_those_of_the_gradients_of_every_network() {
        use ModelName::{PreactResnet18, PreactResnet34, ScaleInvariantResnet18, Vgg16};
        for (name, conv_bias) in [
            (PreactResnet18, false),
            (PreactResnet18, true),
            (PreactResnet34, false),
            (ScaleInvariantResnet18, true),
            (Vgg16, true),
        ] {
            for channels_last in [false, true] {
                let model = Model { conv_bias, ..Model::new(name, 2, 3) };
                let setting = setting_of(model, 4, channels_last);
                let objective = setting.objective(3);
                let u = directions(4, 3);
                let found = objective.examples().unwrap().scan(0, |start, chunk| {
                    let chunk = chunk.unwrap();
                    let count = chunk.labels.numel() as i64;
                    *start += count;
                    Some(chunk.squares(&u.narrow(0, *start - count, count)).unwrap())
                });
                let found = Tensor::cat(&found.collect::<Vec<_>>(), 0);
                let distance = relative(&found, &one_by_one(&objective, &u));
                assert!(distance < 1e-12, "{model:?}: {distance}");
            }
        }
    }

    #[test]
    fn both_ways_to_a_convolutions_norm_are_equal() {
        setting(2, false);
        let mut stream = Stream::new(3, "a", &[]);
        let mut normals = |shape: [i64; 4]| {
            let values: Vec<f64> = (0..shape.iter().product()).map(|_| stream.normal()).collect();
            Tensor::from_slice(&values).view(shape)
        };
        for (from, to, side, stride, out) in [(5, 4, 3, 1, 8), (5, 4, 3, 2, 4), (2, 7, 1, 1, 8), (6, 3, 1, 2, 4)] {
            let (input, g) = (normals([3, from, 8, 8]), normals([3, to, out, out]));
            let columns = input.im2col([side; 2], [1; 2], [side / 2; 2], [stride; 2]);
            let [direct, gram] =
                [false, true].map(|gram| Patches::of(columns.shallow_clone(), gram).unwrap().squares(&g).unwrap());
            assert!(relative(&gram, &direct) < 1e-13, "{from} {to} {side} {stride}");
        }
    }

    #[test]
    fn what_is_tiny_is_not_lost() {
        let setting = setting(2, false);
        let objective = setting.objective(2);
        let chunk = objective.examples().unwrap().next().unwrap().unwrap();
        let u = directions(2, 2);
        let usual = chunk.squares(&u).unwrap();
        let tiny = chunk.squares(&(&u * 1e-120)).unwrap();
        assert!(relative(&(tiny * 1e240), &usual) < 1e-12);
        assert_eq!(chunk.squares(&u.zeros_like()).unwrap().sum(Kind::Double).double_value(&[]), 0.0);
    }
}
