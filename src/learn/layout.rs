//! What a network consists of: its tensors by name, shape and role, and how they are wired.
//!
//! Plain data, so that weights can be drawn, checked and compared without libtorch. Names are those of
//! a PyTorch state dict of the same network, in its order.

use super::LearnError;
use crate::work::{Model, ModelName};

/// What a tensor does; tells how it is drawn at the start and whether it is trained.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Weight of a convolution, `[out, in, k, k]`.
    Convolution,
    /// Weight of a linear layer, `[out, in]`.
    Linear,
    /// Bias of a convolution or linear layer with so many inputs to each of its outputs.
    Bias {
        /// Inputs to each output of the layer.
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
    /// What it does.
    pub role: Role,
}

impl Entry {
    /// Number of elements.
    pub fn count(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether SGD, weight decay and the moving average act on it; running statistics they leave alone.
    pub fn is_parameter(&self) -> bool {
        !matches!(self.role, Role::Mean | Role::Variance)
    }

    /// Inputs to each output of the layer; 1 for a norm.
    pub fn fan_in(&self) -> usize {
        match self.role {
            Role::Convolution | Role::Linear => self.shape.iter().skip(1).product(),
            Role::Bias { fan_in } => fan_in,
            _ => 1,
        }
    }

    /// Outputs that each input of the layer reaches: k²·out of a convolution.
    pub fn fan_out(&self) -> usize {
        match self.role {
            Role::Convolution | Role::Linear => self.count() / self.shape.get(1).copied().unwrap_or(1).max(1),
            _ => self.count(),
        }
    }
}

/// A pre-activation residual block: indices of tensors in [`Layout::entries`]. A norm is the index of
/// the first of its four tensors (γ, β, mean, variance).
#[cfg_attr(not(feature = "torch"), expect(dead_code, reason = "only the forward pass reads it"))]
#[derive(Debug, Clone, Copy)]
pub(super) struct Block {
    pub norm1: usize,
    pub conv1: usize,
    pub norm2: usize,
    pub conv2: usize,
    /// The 1×1 convolution of the skip, where the shape changes.
    pub skip: Option<usize>,
    pub stride: i64,
}

/// How the tensors of a pre-activation residual network are used.
#[cfg_attr(not(feature = "torch"), expect(dead_code, reason = "only the forward pass reads it"))]
#[derive(Debug, Clone)]
pub(super) struct Wiring {
    pub input_norm: usize,
    pub stem: usize,
    pub blocks: Vec<Block>,
    pub final_norm: usize,
    /// Weight of the classifier; its bias follows.
    pub head: usize,
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

/// The layout of `model`.
///
/// # Errors
/// If the width is not in 1..=1024 or the number of classes not in 2..=1000.
pub fn layout(model: Model) -> Result<Layout, LearnError> {
    let (width, classes) = (model.width as usize, model.classes as usize);
    if !(1..=1024).contains(&width) || !(2..=1000).contains(&classes) {
        return Err(LearnError::Size { width: model.width, classes: model.classes });
    }
    let blocks_a_stage = match model.name {
        ModelName::PreactResnet18 => [2, 2, 2, 2],
    };
    let mut builder = Builder { entries: Vec::new() };
    let wiring = builder.residual(blocks_a_stage, width, classes);
    Ok(Layout { model, entries: builder.entries, wiring })
}

impl Layout {
    /// The trained parameters, in order.
    pub fn parameters(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(|entry| entry.is_parameter())
    }

    /// Number of trained numbers.
    pub fn parameter_count(&self) -> usize {
        self.parameters().map(Entry::count).sum()
    }
}

struct Builder {
    entries: Vec<Entry>,
}

impl Builder {
    fn add(&mut self, name: String, shape: Vec<usize>, role: Role) -> usize {
        self.entries.push(Entry { name, shape, role });
        self.entries.len() - 1
    }

    fn norm(&mut self, name: &str, channels: usize) -> usize {
        let first = self.add(format!("{name}.weight"), vec![channels], Role::Scale);
        self.add(format!("{name}.bias"), vec![channels], Role::Shift);
        self.add(format!("{name}.running_mean"), vec![channels], Role::Mean);
        self.add(format!("{name}.running_var"), vec![channels], Role::Variance);
        first
    }

    fn conv(&mut self, name: &str, from: usize, to: usize, side: usize) -> usize {
        self.add(format!("{name}.weight"), vec![to, from, side, side], Role::Convolution)
    }

    /// He et al. 2016 for 32×32 images: norm of the image, 3×3 stem, four stages of widths w, 2w, 4w, 8w
    /// (each but the first halves the resolution), norm, ReLU, mean over positions, linear layer.
    fn residual(&mut self, blocks_a_stage: [usize; 4], width: usize, classes: usize) -> Wiring {
        let input_norm = self.norm("input_norm", 3);
        let stem = self.conv("stem", 3, width, 3);
        let mut blocks = Vec::new();
        let mut channels = width;
        for (stage, &count) in blocks_a_stage.iter().enumerate() {
            let out = width << stage;
            for i in 0..count {
                let stride = if stage > 0 && i == 0 { 2 } else { 1 };
                let name = |part: &str| format!("stage{}.{i}.{part}", stage + 1);
                let norm1 = self.norm(&name("norm1"), channels);
                let conv1 = self.conv(&name("conv1"), channels, out, 3);
                let norm2 = self.norm(&name("norm2"), out);
                let conv2 = self.conv(&name("conv2"), out, out, 3);
                let changes = stride != 1 || channels != out;
                let skip = changes.then(|| self.conv(&name("skip_conv"), channels, out, 1));
                blocks.push(Block { norm1, conv1, norm2, conv2, skip, stride });
                channels = out;
            }
        }
        let final_norm = self.norm("final_norm", channels);
        let head = self.add("head.weight".to_owned(), vec![classes, channels], Role::Linear);
        self.add("head.bias".to_owned(), vec![classes], Role::Bias { fan_in: channels });
        Wiring { input_norm, stem, blocks, final_norm, head }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(width: u32, classes: u32) -> Layout {
        layout(Model { name: ModelName::PreactResnet18, width, classes }).unwrap()
    }

    #[test]
    fn parameter_counts_are_the_published_ones() {
        // Width 64: the authors' network. The others: the same network in PyTorch.
        for (width, count) in [(64, 11_172_176), (16, 701_024), (8, 176_184)] {
            assert_eq!(of(width, 10).parameter_count(), count, "width {width}");
        }
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
            let model = Model { name: ModelName::PreactResnet18, width, classes };
            assert!(matches!(layout(model), Err(LearnError::Size { .. })));
        }
    }
}
