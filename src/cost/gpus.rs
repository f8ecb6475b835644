//! GPUs that plans can be made for without having them: what their producers say of them, and what of that is assumed to be
//! reached.

use crate::graph::{Graph, StageId};
use base::work::{Activations, Cost, Model, Precision, Work};
use learn::layout::layout;

use super::{Layer, images, layers};

/// A GPU by its data sheet.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Gpu {
    /// What it is called on the command line.
    pub name: &'static str,
    /// And by its maker.
    pub title: &'static str,
    /// Operations a second at most, without sparsity: float32, TF32, and 16 bits summed in float32.
    pub peak: [f64; 3],
    /// Bytes of its memory.
    pub memory: f64,
}

/// All that are known. Data sheets print products of sparse matrices too, which count twice there.
pub const GPUS: [Gpu; 5] = [
    // NVIDIA H200 Tensor Core GPU, data sheet, H200 SXM.
    Gpu { name: "h200", title: "NVIDIA H200 SXM", peak: [67e12, 494.5e12, 989.5e12], memory: 141e9 },
    // NVIDIA H100 Tensor Core GPU, data sheet, H100 SXM.
    Gpu { name: "h100", title: "NVIDIA H100 SXM", peak: [67e12, 494.5e12, 989.5e12], memory: 80e9 },
    // NVIDIA A100 Tensor Core GPU, data sheet, A100 80GB SXM.
    Gpu { name: "a100", title: "NVIDIA A100 80GB SXM", peak: [19.5e12, 156e12, 312e12], memory: 80e9 },
    // NVIDIA L40S, data sheet.
    Gpu { name: "l40s", title: "NVIDIA L40S", peak: [91.6e12, 183e12, 362e12], memory: 48e9 },
    // NVIDIA Ada GPU architecture, white paper, appendix A: GeForce RTX 4090.
    Gpu { name: "rtx4090", title: "NVIDIA GeForce RTX 4090", peak: [82.6e12, 82.6e12, 165.2e12], memory: 24e9 },
];

/// The shares of these peaks that stages are assumed to reach: small images keep the faster units waiting for memory. Nobody
/// measured them here; they are for networks of the paper's size, and narrow ones reach far less.
pub const REACHED: [f64; 3] = [0.5, 0.15, 0.1];

impl Gpu {
    /// The GPU of a name.
    ///
    /// # Errors
    /// The names that there are.
    pub fn named(name: &str) -> Result<Self, String> {
        let found = GPUS.into_iter().find(|gpu| gpu.name.eq_ignore_ascii_case(name));
        found.ok_or_else(|| format!("there are {}", GPUS.map(|gpu| gpu.name).join(", ")))
    }

    /// Operations a second that a stage is assumed to do on it.
    pub fn rate(&self, work: &Work) -> f64 {
        let which = match work.precision() {
            Precision::Fp32 => 0,
            Precision::Tf32 => 1,
            Precision::Bf16 | Precision::Fp16 => 2,
        };
        REACHED[which] * self.peak[which]
    }
}

/// A step of training holds the outputs of all layers so many times: each layer's output, what the next operations made
/// of it, and gradients under way.
const HELD: f64 = 3.0;
/// The same for a product with the Hessian, whose graph also holds the first backward pass.
const HELD_TWICE: f64 = 6.0;
/// Images of an evaluation's batch; the outputs of two of its layers are held at a time.
const EVALUATED: f64 = 1000.0;
/// The size of a chunk, see [`Activations::Chunk`].
const CHUNK: f64 = (1_u64 << 30) as f64;
/// Bytes of an image with its label.
const IMAGE: f64 = 3073.0;
/// What libtorch, cuDNN and cuBLAS take for themselves.
const LIBRARIES: f64 = 1e9;

/// Returns the bytes of a GPU's memory that a stage should take, roughly; 0 for stages that need no GPU.
pub fn memory(graph: &Graph, id: StageId) -> f64 {
    let work = &graph.stages[id].work;
    let read = images(graph, id);
    let Some(Cost { model, copies, activations, .. }) = work.cost(read) else { return 0.0 };
    let bytes = if work.precision().is_16_bits() { 2.0 } else { 4.0 };
    let evaluated = EVALUATED * widest(model) * bytes;
    let held = |images: u32, times: f64| f64::from(images) * outputs(model) * bytes * times;
    let layers = match activations {
        Activations::Step(batch) => held(batch, HELD).max(evaluated),
        Activations::Evaluation => evaluated,
        Activations::Product(images) => held(images, HELD_TWICE),
        Activations::Chunk => CHUNK,
    };
    let numbers = layout(model).map_or(0, |layout| layout.entries.iter().map(|entry| entry.count()).sum::<usize>());
    LIBRARIES + (read.train + read.test) * IMAGE + 4.0 * copies * numbers as f64 + layers
}

/// Numbers that the layers of one image yield.
fn outputs(model: Model) -> f64 {
    layers(model).into_iter().map(Layer::outputs).sum()
}

/// The most that a layer reads and yields of one image.
fn widest(model: Model) -> f64 {
    layers(model).into_iter().map(Layer::activations).fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::work::ModelName;

    #[test]
    fn gpus_are_found_by_name_and_no_share_is_more_than_all() {
        assert_eq!(Gpu::named("H200").unwrap().title, "NVIDIA H200 SXM");
        assert_eq!(Gpu::named("h2000").unwrap_err(), "there are h200, h100, a100, l40s, rtx4090");
        for gpu in GPUS {
            // What is rounded more is no slower.
            assert!(gpu.peak.is_sorted() && gpu.memory > 1e9, "{}", gpu.name);
        }
        assert!(REACHED.iter().all(|share| *share > 0.0 && *share <= 1.0));
    }

    #[test]
    fn activations_are_those_of_the_layers() {
        // Stem and 4 convolutions at 32×32, then 4 and a skip at 16, at 8 and at 4, and 10 classes.
        let model = Model::new(ModelName::PreactResnet18, 8, 10);
        let wanted = 5 * 8 * 1024 + 5 * 16 * 256 + 5 * 32 * 64 + 5 * 64 * 16 + 10;
        assert_eq!(outputs(model), f64::from(wanted));
        assert_eq!(widest(model), f64::from(2 * 8 * 1024));
    }
}
