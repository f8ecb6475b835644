//! How the forward pass uses the tensors of a network.

/// A batch norm: index of its first tensor in [`Layout::entries`](super::layout::Layout::entries). With parameters, its
/// tensors are γ, β, mean and variance; without, only mean and variance.
#[derive(Debug, Clone, Copy)]
pub(super) struct Norm {
    pub first: usize,
    pub affine: bool,
}

/// A convolution or linear layer: index of its weight. Its bias, if it has one, comes directly after.
#[derive(Debug, Clone, Copy)]
pub(super) struct Affine {
    pub weight: usize,
    pub bias: bool,
}

/// The skip of a block that changes the shape: a norm (scale-invariant network only) and a 1×1 convolution.
#[derive(Debug, Clone, Copy)]
pub(super) struct Skip {
    pub norm: Option<Norm>,
    pub conv: Affine,
}

/// A pre-activation residual block.
#[derive(Debug, Clone, Copy)]
pub(super) struct Block {
    pub norm1: Norm,
    pub conv1: Affine,
    pub norm2: Norm,
    pub conv2: Affine,
    pub skip: Option<Skip>,
    pub stride: i64,
}

/// One step of VGG's features.
#[derive(Debug, Clone, Copy)]
pub(super) enum Feature {
    /// 3×3 convolution and ReLU.
    Conv(Affine),
    /// Maximum over 2×2 positions.
    Pool,
}

/// How the tensors of a network are used.
#[derive(Debug, Clone)]
pub(super) enum Wiring {
    /// norm, stem, blocks, norm, ReLU, mean over positions, linear layer.
    Residual { input_norm: Norm, stem: Affine, blocks: Vec<Block>, final_norm: Norm, head: Affine },
    /// Convolutions and pools, then linear layers with ReLU between them.
    Vgg { features: Vec<Feature>, classifier: [Affine; 3] },
}
