//! Counts the arithmetic of a stage from its parameters, and estimates how long it takes.
//!
//! Only convolutions and linear layers count, with 2 operations per multiply-add.

pub mod fleet;
pub mod gpus;

use std::cell::Cell;
use std::collections::BTreeMap;

use crate::graph::{Graph, StageId};
use base::work::{Content, Holds, Images, Model, ModelName, Work};
use learn::layout::{Entry, layout};

/// Sizes of a convolution or linear layer that determine its cost.
#[derive(Debug, Clone, Copy)]
struct Layer {
    /// Numbers of input and output channels.
    channels: (f64, f64),
    /// Numbers of positions of the input and the output.
    positions: (f64, f64),
    /// Number of input positions that each output depends on.
    kernel: f64,
}

impl Layer {
    fn flops(self) -> f64 {
        2.0 * self.weights() * self.positions.1
    }

    fn weights(self) -> f64 {
        self.kernel * self.channels.0 * self.channels.1
    }

    fn outputs(self) -> f64 {
        self.channels.1 * self.positions.1
    }

    fn activations(self) -> f64 {
        self.channels.0 * self.positions.0 + self.outputs()
    }
}

/// Returns the number of floating-point operations of one forward pass of one 32×32 image.
pub fn forward(model: Model) -> f64 {
    thread_local! {
        // A plan calls this for each of its stages, and most of them have the same network.
        static LAST: Cell<Option<(Model, f64)>> = const { Cell::new(None) };
    }
    match LAST.get() {
        Some((last, flops)) if last == model => flops,
        _ => {
            let flops = layers(model).into_iter().map(Layer::flops).sum();
            LAST.set(Some((model, flops)));
            flops
        }
    }
}

/// Returns the minimum number of values that one forward pass of a batch moves: every layer reads its input and its weights,
/// and writes its output. A backward pass moves twice as many.
pub fn traffic(model: Model, batch: f64) -> f64 {
    layers(model).into_iter().map(|layer| batch * layer.activations() + layer.weights()).sum()
}

fn layers(model: Model) -> Vec<Layer> {
    let (width, classes) = (f64::from(model.width), f64::from(model.classes));
    match model.name {
        ModelName::PreactResnet18 | ModelName::ScaleInvariantResnet18 => residual([2, 2, 2, 2], width, classes),
        ModelName::PreactResnet34 => residual([3, 4, 6, 3], width, classes),
        ModelName::Vgg16 => vgg(width, classes),
    }
}

/// Returns the layers of a pre-activation residual network: the stem, then stages of blocks of two 3×3 convolutions each. In
/// every stage except the first, the first block has stride 2 and a parallel 1×1 convolution.
fn residual(blocks: [u32; 4], width: f64, classes: f64) -> Vec<Layer> {
    let mut layers = vec![Layer { channels: (3.0, width), positions: (1024.0, 1024.0), kernel: 9.0 }];
    let (mut channels, mut positions) = (width, 1024.0);
    for (stage, blocks) in blocks.into_iter().enumerate() {
        let (out, after) = (width * f64::from(1 << stage), f64::from(1024 >> (2 * stage)));
        let first = Layer { channels: (channels, out), positions: (positions, after), kernel: 9.0 };
        layers.push(first);
        if stage > 0 {
            layers.push(Layer { kernel: 1.0, ..first });
        }
        let other = Layer { channels: (out, out), positions: (after, after), kernel: 9.0 };
        layers.extend(std::iter::repeat_n(other, 2 * blocks as usize - 1));
        (channels, positions) = (out, after);
    }
    layers.push(linear(channels, classes));
    layers
}

/// Returns the layers of VGG-16: convolutions and pools, then three linear layers.
fn vgg(width: f64, classes: f64) -> Vec<Layer> {
    let (mut layers, mut channels, mut positions) = (Vec::new(), 3.0, 1024.0);
    for (factor, convolutions) in [(1.0, 2), (2.0, 2), (4.0, 3), (8.0, 3), (8.0, 3)] {
        for _ in 0..convolutions {
            let out = factor * width;
            layers.push(Layer { channels: (channels, out), positions: (positions, positions), kernel: 9.0 });
            channels = out;
        }
        positions /= 4.0;
    }
    layers.extend([linear(channels, channels), linear(channels, channels), linear(channels, classes)]);
    layers
}

fn linear(from: f64, to: f64) -> Layer {
    Layer { channels: (from, to), positions: (1.0, 1.0), kernel: 1.0 }
}

/// Returns the numbers of images that a stage reads from other stages.
pub(crate) fn images(graph: &Graph, id: StageId) -> Images {
    let mut read = Images::default();
    for input in &graph.stages[id].inputs {
        if let Holds::Images(images) = graph.stages[input.stage].work.holds() {
            match input.role.as_str() {
                "test" => read.test = images.test,
                _ => read.train = images.train,
            }
        }
    }
    read
}

/// Returns the number of floating-point operations of a stage; 0 for stages that do little arithmetic.
pub fn flops(graph: &Graph, id: StageId) -> f64 {
    graph.stages[id].work.cost(images(graph, id)).map_or(0.0, |cost| forward(cost.model) * cost.passes)
}

/// Returns the number of epochs of training in a stage, including fine-tuning.
pub fn epochs(work: &Work) -> u32 {
    work.cost(Images::default()).map_or(0, |cost| cost.epochs)
}

/// Returns the number of bytes that a stage's images or checkpoint take in the store, uncompressed and without tables. `sizes`
/// caches two counts for each network: all its numbers, and its parameters.
pub fn stored_bytes(work: &Work, sizes: &mut BTreeMap<(&'static str, u32, u32, bool), (u64, u64)>) -> u64 {
    let model = match work.holds() {
        Holds::Images(images) => return (images.train + images.test) as u64 * (3 * 32 * 32 + 1),
        Holds::Weights(model) => model,
        Holds::Nothing => return 0,
    };
    let key = (model.name.name(), model.width, model.classes, model.conv_bias);
    let (all, parameters) = *sizes.entry(key).or_insert_with(|| {
        layout(model).map_or((0, 0), |layout| {
            let numbers = |wanted: &dyn Fn(&Entry) -> bool| {
                layout.entries.iter().filter(|entry| wanted(entry)).map(|entry| entry.count() as u64).sum()
            };
            (numbers(&|_| true), numbers(&Entry::is_parameter))
        })
    });
    let kept = work.declared().filter(|output| output.content == Content::Parameters).count() as u64;
    4 * (all + kept * parameters)
}

/// Returns the operations per second that a device is assumed to do before anything was measured.
pub fn assumed_rate(device: &str) -> f64 {
    if device.starts_with("cpu") { 1e10 } else { 2e13 }
}

/// Returns the operations per second: the median over timings `(operations, seconds)` of similar stages.
pub fn measured_rate(timings: &[(f64, f64)]) -> Option<f64> {
    let usable = |(flops, seconds): &&(f64, f64)| *flops > 0.0 && *seconds > 0.0;
    let mut rates: Vec<f64> = timings.iter().filter(usable).map(|(flops, seconds)| flops / seconds).collect();
    rates.sort_by(f64::total_cmp);
    rates.get(rates.len() / 2).copied()
}

/// Returns the seconds that a stage without counted operations takes: the median over timings of similar stages.
pub fn measured_seconds(timings: &[(f64, f64)]) -> Option<f64> {
    let uncounted = timings.iter().filter(|(flops, seconds)| *flops == 0.0 && *seconds >= 0.0);
    let mut seconds: Vec<f64> = uncounted.map(|(_, seconds)| *seconds).collect();
    seconds.sort_by(f64::total_cmp);
    seconds.get(seconds.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forward_operations_are_those_counted_by_pytorch() {
        use ModelName::{PreactResnet18, PreactResnet34, ScaleInvariantResnet18, Vgg16};
        // Counted by hooks on the layers of the same networks in PyTorch.
        for (name, width, classes, wanted) in [
            (PreactResnet18, 8, 10, 17_745_152.0),
            (PreactResnet18, 16, 10, 70_093_312.0),
            (PreactResnet18, 64, 10, 1_110_845_440.0),
            (ScaleInvariantResnet18, 64, 10, 1_110_845_440.0),
            (PreactResnet34, 64, 100, 2_318_897_152.0),
            (Vgg16, 64, 10, 627_451_904.0),
        ] {
            assert_eq!(forward(Model::new(name, width, classes)), wanted, "{name:?} of width {width}");
        }
    }

    #[test]
    fn what_a_pass_moves_is_counted_layer_by_layer() {
        // For one image: 13 convolutions, then two linear layers with 8·1 outputs and one with 2.
        let tiny = Model::new(ModelName::Vgg16, 1, 2);
        let channels = [3, 1, 1, 2, 2, 4, 4, 4, 8, 8, 8, 8, 8, 8];
        let positions = [1024, 1024, 256, 256, 64, 64, 64, 16, 16, 16, 4, 4, 4];
        let pairs = || channels.windows(2).map(|pair| (pair[0], pair[1]));
        let moved: i32 = pairs().zip(positions).map(|((from, to), at)| at * (from + to) + 9 * from * to).sum();
        let linear = 2 * (16 + 64) + 10 + 16;
        assert_eq!(traffic(tiny, 1.0), f64::from(moved + linear));
    }

    #[test]
    fn rates_are_medians() {
        assert_eq!(measured_rate(&[]), None);
        assert_eq!(measured_rate(&[(0.0, 1.0)]), None);
        assert_eq!(measured_rate(&[(10.0, 1.0), (30.0, 1.0), (20.0, 1.0), (5.0, 0.0)]), Some(20.0));
        assert_eq!(measured_seconds(&[(10.0, 1.0)]), None);
        assert_eq!(measured_seconds(&[(0.0, 4.0), (10.0, 1.0), (0.0, 2.0), (0.0, 3.0)]), Some(3.0));
    }
}
