//! The parts of a network: its tensors by name, shape and role, and how they are connected.
//!
//! Layouts are plain data, so that weights can be drawn, checked and compared without libtorch. Names and order
//! are those of a PyTorch state dict of the same network.

use super::LearnError;
use super::wiring::{Affine, Block, Feature, Norm, Skip, Wiring};
use base::work::{Model, ModelName};

/// The role of a tensor. It determines how the tensor is drawn at the start and whether it is trained.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Weight of a convolution, `[out, in, k, k]`.
    Convolution,
    /// Weight of a linear layer, `[out, in]`.
    Linear,
    /// Bias of a convolution or linear layer.
    Bias {
        /// Number of inputs to each output of the layer.
        fan_in: usize,
    },
    /// γ of a batch norm.
    Scale,
    /// β of a batch norm.
    Shift,
    /// Running mean of a batch norm: not a parameter.
    Mean,
    /// Running variance of a batch norm: not a parameter.
    Variance,
}

/// One tensor of a network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Name, such as `stage2.0.norm1.running_var`.
    pub name: String,
    /// Sizes of the dimensions, row-major.
    pub shape: Vec<usize>,
    /// Role of the tensor.
    pub role: Role,
    /// Whether this is a parameter that keeps its initial value (the classifier of the scale-invariant network).
    pub frozen: bool,
}

impl Entry {
    /// Returns the number of elements.
    pub fn count(&self) -> usize {
        self.shape.iter().product()
    }

    /// Checks whether the tensor is a parameter, trained or frozen, and not a running statistic.
    pub fn is_parameter(&self) -> bool {
        !matches!(self.role, Role::Mean | Role::Variance)
    }

    /// Checks whether SGD, weight decay, the sphere and the moving average act on the tensor.
    pub fn is_trained(&self) -> bool {
        self.is_parameter() && !self.frozen
    }

    /// Returns the number of inputs to each output of the layer; 1 for a norm.
    pub fn fan_in(&self) -> usize {
        match self.role {
            Role::Convolution | Role::Linear => self.shape.iter().skip(1).product(),
            Role::Bias { fan_in } => fan_in,
            _ => 1,
        }
    }

    /// Returns the number of outputs that each input of the layer affects: k²·out for a convolution.
    pub fn fan_out(&self) -> usize {
        match self.role {
            Role::Convolution | Role::Linear => self.count() / self.shape.get(1).copied().unwrap_or(1).max(1),
            _ => self.count(),
        }
    }
}

/// The tensors of a network and their use.
#[derive(Debug, Clone)]
pub struct Layout {
    /// The network.
    pub model: Model,
    /// Every tensor, in the order of the state dict.
    pub entries: Vec<Entry>,
    #[cfg_attr(not(feature = "torch"), expect(dead_code, reason = "only the forward pass reads it"))]
    pub(super) wiring: Wiring,
}

/// Returns the layout of `model`.
///
/// # Errors
/// If the width is not in 1..=1024 or the number of classes not in 2..=256.
pub fn layout(model: Model) -> Result<Layout, LearnError> {
    let (width, classes) = (model.width as usize, model.classes as usize);
    if !(1..=1024).contains(&width) || !(2..=256).contains(&classes) {
        return Err(LearnError::Size { width: model.width, classes: model.classes });
    }
    let mut builder =
        Builder { entries: Vec::new(), invariant: model.name.is_scale_invariant(), bias: model.conv_bias };
    let wiring = match model.name {
        ModelName::PreactResnet18 | ModelName::ScaleInvariantResnet18 => builder.residual([2, 2, 2, 2], width, classes),
        ModelName::PreactResnet34 => builder.residual([3, 4, 6, 3], width, classes),
        ModelName::Vgg16 => builder.vgg(width, classes),
    };
    Ok(Layout { model, entries: builder.entries, wiring })
}

impl Layout {
    /// Returns the parameters, trained and frozen, in order.
    pub fn parameters(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(|entry| entry.is_parameter())
    }

    /// Returns the trained parameters, in order.
    pub fn trained(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(|entry| entry.is_trained())
    }

    /// Returns the number of elements of all parameters, and of the trained parameters.
    pub fn parameter_counts(&self) -> (usize, usize) {
        (self.parameters().map(Entry::count).sum(), self.trained().map(Entry::count).sum())
    }
}

struct Builder {
    entries: Vec<Entry>,
    /// Whether norms have no parameters, each skip's convolution has a norm before it, and the classifier is frozen.
    invariant: bool,
    /// Whether the convolutions of a residual network have biases.
    bias: bool,
}

impl Builder {
    fn add(&mut self, name: String, shape: Vec<usize>, role: Role, frozen: bool) -> usize {
        self.entries.push(Entry { name, shape, role, frozen });
        self.entries.len() - 1
    }

    fn norm(&mut self, name: &str, channels: usize) -> Norm {
        let affine = !self.invariant;
        let first = self.entries.len();
        if affine {
            self.add(format!("{name}.weight"), vec![channels], Role::Scale, false);
            self.add(format!("{name}.bias"), vec![channels], Role::Shift, false);
        }
        self.add(format!("{name}.running_mean"), vec![channels], Role::Mean, false);
        self.add(format!("{name}.running_var"), vec![channels], Role::Variance, false);
        Norm { first, affine }
    }

    fn conv(&mut self, name: &str, [from, to]: [usize; 2], side: usize, bias: bool) -> Affine {
        let weight = self.add(format!("{name}.weight"), vec![to, from, side, side], Role::Convolution, false);
        if bias {
            self.add(format!("{name}.bias"), vec![to], Role::Bias { fan_in: from * side * side }, false);
        }
        Affine { weight, bias }
    }

    fn linear(&mut self, name: &str, [from, to]: [usize; 2], frozen: bool) -> Affine {
        let weight = self.add(format!("{name}.weight"), vec![to, from], Role::Linear, frozen);
        self.add(format!("{name}.bias"), vec![to], Role::Bias { fan_in: from }, frozen);
        Affine { weight, bias: true }
    }

    /// Adds the network of He et al. 2016 for 32×32 images: norm of the image, 3×3 stem, four stages of widths w, 2w, 4w, 8w
    /// (each except the first halves the resolution), norm, ReLU, mean over positions, linear layer. The
    /// scale-invariant form is that of the paper's appendix and the authors' code.
    fn residual(&mut self, blocks_a_stage: [usize; 4], width: usize, classes: usize) -> Wiring {
        let input_norm = self.norm("input_norm", 3);
        let stem = self.conv("stem", [3, width], 3, self.bias);
        let mut blocks = Vec::new();
        let mut channels = width;
        for (stage, &count) in blocks_a_stage.iter().enumerate() {
            let out = width << stage;
            for i in 0..count {
                let stride = if stage > 0 && i == 0 { 2 } else { 1 };
                let name = |part: &str| format!("stage{}.{i}.{part}", stage + 1);
                let norm1 = self.norm(&name("norm1"), channels);
                let conv1 = self.conv(&name("conv1"), [channels, out], 3, self.bias);
                let norm2 = self.norm(&name("norm2"), out);
                let conv2 = self.conv(&name("conv2"), [out, out], 3, self.bias);
                let changes = stride != 1 || channels != out;
                let skip = changes.then(|| Skip {
                    norm: self.invariant.then(|| self.norm(&name("skip_norm"), channels)),
                    conv: self.conv(&name("skip_conv"), [channels, out], 1, self.bias),
                });
                blocks.push(Block { norm1, conv1, norm2, conv2, skip, stride });
                channels = out;
            }
        }
        let final_norm = self.norm("final_norm", channels);
        let head = self.linear("head", [channels, classes], self.invariant);
        Wiring::Residual { input_norm, stem, blocks, final_norm, head }
    }

    /// Adds VGG's configuration D without batch norm and dropout, with the linear layers 8w, 8w, classes. Layers are numbered
    /// as in PyTorch's `Sequential`, where ReLUs and pools have numbers too.
    fn vgg(&mut self, width: usize, classes: usize) -> Wiring {
        let mut features = Vec::new();
        let (mut channels, mut number) = (3, 0);
        for (factor, convolutions) in [(1, 2), (2, 2), (4, 3), (8, 3), (8, 3)] {
            for _ in 0..convolutions {
                let conv = self.conv(&format!("features.{number}"), [channels, factor * width], 3, true);
                features.push(Feature::Conv(conv));
                channels = factor * width;
                number += 2;
            }
            features.push(Feature::Pool);
            number += 1;
        }
        let classifier = [(0, channels), (2, channels), (4, classes)]
            .map(|(number, out)| self.linear(&format!("classifier.{number}"), [channels, out], false));
        Wiring::Vgg { features, classifier }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(width: u32, classes: u32) -> Layout {
        layout(Model::new(ModelName::PreactResnet18, width, classes)).unwrap()
    }

    #[test]
    fn parameter_counts_are_the_published_ones() {
        use ModelName::{PreactResnet18, PreactResnet34, ScaleInvariantResnet18, Vgg16};
        // Width 64: the authors' networks. The others: the same networks in PyTorch.
        for (name, width, classes, conv_bias, counts) in [
            (PreactResnet18, 64, 10, false, (11_172_176, 11_172_176)),
            (PreactResnet18, 16, 10, false, (701_024, 701_024)),
            (PreactResnet18, 8, 10, false, (176_184, 176_184)),
            (PreactResnet34, 64, 100, false, (21_326_506, 21_326_506)),
            (ScaleInvariantResnet18, 64, 10, true, (11_169_162, 11_164_032)),
            (ScaleInvariantResnet18, 64, 10, false, (11_164_362, 11_159_232)),
            (Vgg16, 64, 10, false, (15_245_130, 15_245_130)),
        ] {
            let model = Model { conv_bias, ..Model::new(name, width, classes) };
            assert_eq!(layout(model).unwrap().parameter_counts(), counts, "{model:?}");
        }
    }

    #[test]
    fn the_scale_invariant_network_has_what_the_others_lack() {
        let layout = layout(Model { conv_bias: true, ..Model::new(ModelName::ScaleInvariantResnet18, 2, 10) }).unwrap();
        let names: Vec<&str> = layout.entries.iter().map(|entry| entry.name.as_str()).collect();
        assert_eq!(names[..4], ["input_norm.running_mean", "input_norm.running_var", "stem.weight", "stem.bias"]);
        assert_eq!(names.iter().filter(|name| name.contains("skip_norm.running_mean")).count(), 3);
        assert!(layout.parameters().all(|entry| entry.frozen == entry.name.starts_with("head")));
    }

    #[test]
    fn vgg_counts_its_layers_as_pytorch_does() {
        let layout = layout(Model::new(ModelName::Vgg16, 4, 10)).unwrap();
        let numbers = layout.entries.iter().filter_map(|entry| entry.name.strip_suffix(".weight"));
        let wanted = [0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28].map(|i| format!("features.{i}"));
        let classifier = [0, 2, 4].map(|i| format!("classifier.{i}"));
        assert_eq!(numbers.collect::<Vec<_>>(), [&wanted[..], &classifier[..]].concat());
    }

    #[test]
    fn names_order_and_fans() {
        let layout = of(4, 10);
        let names: Vec<&str> = layout.entries.iter().map(|entry| entry.name.as_str()).collect();
        assert_eq!(
            names[..6],
            [
                "input_norm.weight",
                "input_norm.bias",
                "input_norm.running_mean",
                "input_norm.running_var",
                "stem.weight",
                "stage1.0.norm1.weight"
            ]
        );
        assert_eq!(names[names.len() - 2..], ["head.weight", "head.bias"]);
        assert_eq!(names.iter().filter(|name| name.contains("skip_conv")).count(), 3);
        let entry = |name: &str| layout.entries.iter().find(|entry| entry.name == name).unwrap();
        let conv = entry("stage2.0.conv1.weight");
        assert_eq!((conv.shape.as_slice(), conv.fan_in(), conv.fan_out()), (&[8, 4, 3, 3][..], 36, 72));
        assert_eq!(entry("stage2.0.skip_conv.weight").shape, [8, 4, 1, 1]);
        let head = entry("head.weight");
        assert_eq!((head.fan_in(), head.fan_out(), entry("head.bias").fan_in()), (32, 10, 32));
        // 1 + 16 + 1 norms of four, 1 + 16 + 3 convolutions, the head's two.
        assert_eq!(names.len(), 18 * 4 + 20 + 2);
    }

    #[test]
    fn senseless_sizes_are_refused() {
        for (width, classes) in [(0, 10), (1025, 10), (u32::MAX, 10), (4, 1), (4, u32::MAX)] {
            let model = Model::new(ModelName::PreactResnet18, width, classes);
            assert!(matches!(layout(model), Err(LearnError::Size { .. })));
        }
    }
}
