//! Networks and the arithmetic used to compute them.

use serde::{Deserialize, Serialize};

/// A network of the paper (paper's section 2 and appendix A), for 32×32 images.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ModelName {
    /// Pre-activation ResNet-18 (He et al. 2016), 3×3 stem, batch norm on the input image.
    #[serde(rename = "preact-resnet18")]
    PreactResnet18,
    /// Pre-activation ResNet-34: like [`Self::PreactResnet18`], with 3, 4, 6, 3 blocks.
    #[serde(rename = "preact-resnet34")]
    PreactResnet34,
    /// ResNet-18 whose training-mode outputs do not change when all trained parameters are scaled: norms without
    /// parameters, an additional norm before each skip's convolution, a frozen classifier.
    #[serde(rename = "preact-resnet18-si")]
    ScaleInvariantResnet18,
    /// VGG-16 without batch norm and dropout.
    #[serde(rename = "vgg16")]
    Vgg16,
}

impl ModelName {
    /// All networks with their names in pipelines.
    pub const ALL: [(&str, Self); 4] = [
        ("preact-resnet18", Self::PreactResnet18),
        ("preact-resnet34", Self::PreactResnet34),
        ("preact-resnet18-si", Self::ScaleInvariantResnet18),
        ("vgg16", Self::Vgg16),
    ];

    /// Returns the name in pipelines.
    pub fn name(self) -> &'static str {
        match self {
            Self::PreactResnet18 => "preact-resnet18",
            Self::PreactResnet34 => "preact-resnet34",
            Self::ScaleInvariantResnet18 => "preact-resnet18-si",
            Self::Vgg16 => "vgg16",
        }
    }

    /// Checks whether this is the scale-invariant network.
    pub fn is_scale_invariant(self) -> bool {
        self == Self::ScaleInvariantResnet18
    }

    /// Checks whether this is a residual network; otherwise it is a VGG.
    pub fn is_residual(self) -> bool {
        self != Self::Vgg16
    }
}

/// How images are standardised before they enter the network.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum InputScale {
    /// With the authors' constants for CIFAR.
    #[default]
    #[serde(rename = "cifar")]
    Cifar,
    /// First with these constants, and then again with ImageNet's constants, as the authors' VGG does.
    #[serde(rename = "cifar+imagenet")]
    CifarImagenet,
}

/// A network with its size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// Name of the network.
    pub name: ModelName,
    /// Number of channels of the first stage (64 in the paper).
    pub width: u32,
    /// Number of classes.
    pub classes: u32,
    /// Whether the convolutions of a residual network have biases (those of the authors' scale-invariant network do).
    /// The convolutions of VGG always have them.
    #[serde(skip_serializing_if = "is_false", default)]
    pub conv_bias: bool,
    /// How images are standardised.
    #[serde(skip_serializing_if = "is_default", default)]
    pub input: InputScale,
}

impl Model {
    /// Returns a network as described in the paper's text: no biases in residual networks' convolutions, images
    /// standardised once.
    pub fn new(name: ModelName, width: u32, classes: u32) -> Self {
        Self { name, width, classes, conv_bias: false, input: InputScale::Cifar }
    }
}

/// How initial weights are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum InitScheme {
    /// The paper's text: convolutions N(0, 2/(k²·out)), linear layers N(0, 2/in), biases 0.
    He,
    /// The authors' code: PyTorch's default, U(±1/√fan_in) for weights and biases. Only VGG's convolutions are drawn as in
    /// [`Self::He`], with biases 0.
    Pytorch,
}

/// Arithmetic of forward and backward passes. Weights and updates are always float32.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// IEEE float32 everywhere.
    #[default]
    Fp32,
    /// Float32 storage and TF32 products. Only CUDA has TF32; other devices compute as with fp32.
    Tf32,
    /// Autocast to bfloat16. The loss is float32, and [`Numerics::float32_logits`] decides about the logits.
    Bf16,
    /// Autocast to float16 with a loss scale. The loss and the logits are computed as for [`Self::Bf16`].
    Fp16,
}

impl Precision {
    /// Checks whether products are computed from 16-bit numbers.
    pub fn is_16_bits(self) -> bool {
        matches!(self, Self::Bf16 | Self::Fp16)
    }

    /// All precisions with their names in pipelines.
    pub const ALL: [(&str, Self); 4] =
        [("fp32", Self::Fp32), ("tf32", Self::Tf32), ("bf16", Self::Bf16), ("fp16", Self::Fp16)];

    /// Returns the name in pipelines.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, precision)| *precision == self).map_or("", |(name, _)| name)
    }
}

/// Arithmetic and memory layout: they change the bits of results, so keys depend on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Numerics {
    /// Arithmetic of forward and backward passes.
    pub precision: Precision,
    /// Whether the memory layout is NHWC instead of NCHW.
    pub channels_last: bool,
    /// Whether the last layer (with the pooling before it) is computed in float32 if the precision has 16 bits, so
    /// that the residuals p − e_y, and so the loss, are free of its rounding. The authors' code does not do this.
    /// The value is false if the precision does not have 16 bits.
    #[serde(skip_serializing_if = "is_default", default)]
    pub float32_logits: bool,
}

impl Numerics {
    /// Returns float32 everywhere.
    pub fn float32(channels_last: bool) -> Self {
        Self { precision: Precision::Fp32, channels_last, float32_logits: false }
    }
}

/// Numeric policy: on which machines the bits of numeric stages agree. It is part of their keys.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Policy {
    /// Machines with the same processor and libtorch: every kernel uses the best available instructions.
    #[default]
    Native,
    /// All x86-64 processors with AVX2: the kernels are limited to it. Slower on processors with better instructions.
    Portable,
}

impl Policy {
    /// All policies with their names in pipelines.
    pub const ALL: [(&str, Self); 2] = [("native", Self::Native), ("portable", Self::Portable)];

    /// Returns the name in pipelines.
    pub fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Portable => "portable",
        }
    }
}

/// When parameters are projected back onto the sphere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Projection {
    /// After every step (the paper's text, Eq. 2).
    Step,
    /// After every epoch (the authors' training script).
    Epoch,
}

/// The sphere onto which all trained parameters together are projected (paper, Eq. 2).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sphere {
    /// Radius of the sphere.
    pub radius: f64,
    /// When parameters are projected.
    pub every: Projection,
}

pub(super) fn is_false(value: &bool) -> bool {
    !value
}

pub(super) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
