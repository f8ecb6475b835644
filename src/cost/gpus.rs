//! GPUs for which plans can be made although they are not present: their data sheets, and the shares of the peak speeds that
//! stages are assumed to reach.

use crate::graph::{Graph, StageId};
use base::work::{Activations, Cost, Model, Precision, Work};
use learn::layout::layout;

use super::{Layer, images, layers};

/// A GPU, as its data sheet describes it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Gpu {
    /// Name on the command line.
    pub name: &'static str,
    /// Name that the maker uses.
    pub title: &'static str,
    /// Peak operations per second, without sparsity: float32, TF32, and 16 bits summed in float32.
    pub peak: [f64; 3],
    /// Size of its memory in bytes.
    pub memory: f64,
}

/// All known GPUs. Data sheets also state speeds with sparsity, which are twice as high; these are the speeds without it.
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

/// Shares of these peaks that stages are assumed to reach. They are below 1 because small images keep the faster units waiting
/// for memory. They are not measured; they hold for networks of the paper's size, and narrow networks reach far less.
pub const REACHED: [f64; 3] = [0.5, 0.15, 0.1];

impl Gpu {
    /// Finds a GPU by its name.
    ///
    /// # Errors
    /// If there is no such GPU; the message lists the known names.
    pub fn named(name: &str) -> Result<Self, String> {
        let found = GPUS.into_iter().find(|gpu| gpu.name.eq_ignore_ascii_case(name));
        found.ok_or_else(|| format!("there are {}", GPUS.map(|gpu| gpu.name).join(", ")))
    }

    /// Returns the operations per second that a stage is assumed to reach on it.
    pub fn rate(&self, work: &Work) -> f64 {
        let which = match work.precision() {
            Precision::Fp32 => 0,
            Precision::Tf32 => 1,
            Precision::Bf16 | Precision::Fp16 => 2,
        };
        REACHED[which] * self.peak[which]
    }
}

/// Number of values in memory per layer output in a step of training: the output, the results of the next operations, and
/// gradients.
const HELD: f64 = 3.0;
/// Like [`HELD`], for a product with the Hessian, whose graph also holds the first backward pass.
const HELD_TWICE: f64 = 6.0;
/// Number of images in a batch of an evaluation. The outputs of two layers are held at a time.
const EVALUATED: f64 = 1000.0;
/// Size of a chunk in bytes, see [`Activations::Chunk`].
const CHUNK: f64 = (1_u64 << 30) as f64;
/// Size of an image with its label in bytes.
const IMAGE: f64 = 3073.0;
/// Bytes that libtorch, cuDNN and cuBLAS use themselves.
const LIBRARIES: f64 = 1e9;

/// Estimates the bytes of GPU memory that a stage takes, roughly; 0 for stages that need no GPU.
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

/// Returns the number of output values of all layers for one image.
fn outputs(model: Model) -> f64 {
    layers(model).into_iter().map(Layer::outputs).sum()
}

/// Returns the largest number of values that a layer reads and writes for one image.
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
            // Lower precision is not slower.
            assert!(gpu.peak.is_sorted() && gpu.memory > 1e9, "{}", gpu.name);
        }
        assert!(REACHED.iter().all(|share| *share > 0.0 && *share <= 1.0));
    }

    #[test]
    fn activations_are_those_of_the_layers() {
        // The stem and 4 convolutions at 32×32; 4 convolutions and a skip each at 16×16, 8×8 and 4×4; 10 classes.
        let model = Model::new(ModelName::PreactResnet18, 8, 10);
        let wanted = 5 * 8 * 1024 + 5 * 16 * 256 + 5 * 32 * 64 + 5 * 64 * 16 + 10;
        assert_eq!(outputs(model), f64::from(wanted));
        assert_eq!(widest(model), f64::from(2 * 8 * 1024));
    }
}
