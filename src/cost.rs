//! How much arithmetic a stage needs, counted from its parameters, and how long that should take.
//!
//! Counted are convolutions and linear layers, 2 operations per multiply-add.

use std::collections::BTreeMap;

use crate::graph::{Graph, StageId};
use crate::learn::layout::{Entry, layout};
use crate::work::{Loss, Model, ModelName, NormStatistics, Work};

/// Floating-point operations of one forward pass of one 32×32 image.
pub fn forward(model: Model) -> f64 {
    let (width, classes) = (f64::from(model.width), f64::from(model.classes));
    2.0 * match model.name {
        ModelName::PreactResnet18 | ModelName::ScaleInvariantResnet18 => residual([2, 2, 2, 2], width, classes),
        ModelName::PreactResnet34 => residual([3, 4, 6, 3], width, classes),
        ModelName::Vgg16 => vgg(width, classes),
    }
}

/// Multiply-adds of a pre-activation residual network of width w: the stem has 27w·32², a 3×3 convolution from a
/// to b channels on an s×s output 9ab·s², a skip ab·s².
fn residual(blocks: [u32; 4], width: f64, classes: f64) -> f64 {
    let mut adds = 27.0 * width * 1024.0 + 8.0 * width * classes;
    let mut channels = width;
    for (stage, blocks) in blocks.into_iter().enumerate() {
        let (out, positions) = (width * f64::from(1 << stage), f64::from(1024 >> (2 * stage)));
        let skip = if stage > 0 { channels * out } else { 0.0 };
        let others = f64::from(2 * blocks - 1);
        adds += positions * (9.0 * (channels * out + others * out * out) + skip);
        channels = out;
    }
    adds
}

/// Multiply-adds of VGG-16, likewise, with three linear layers.
fn vgg(width: f64, classes: f64) -> f64 {
    let (mut adds, mut channels, mut positions) = (0.0, 3.0, 1024.0);
    for (factor, convolutions) in [(1.0, 2), (2.0, 2), (4.0, 3), (8.0, 3), (8.0, 3)] {
        for _ in 0..convolutions {
            adds += positions * 9.0 * channels * factor * width;
            channels = factor * width;
        }
        positions /= 4.0;
    }
    adds + channels * (2.0 * channels + classes)
}

/// Floating-point operations of a stage; 0 for stages that do little arithmetic.
pub fn flops(graph: &Graph, id: StageId) -> f64 {
    let stage = &graph.stages[id];
    let images = |role: &str| {
        let input = stage.inputs.iter().find(|input| input.role == role);
        match input.map(|input| &graph.stages[input.stage].work) {
            Some(Work::Dataset(data)) => f64::from(if role == "test" { data.test } else { data.train }),
            _ => 0.0,
        }
    };
    let everything = images("train") + images("test");
    // A curvature stage that needs so many forward passes of every image.
    let curvature = |loss: &Loss, passes: f64| {
        let refreshed = matches!(loss.statistics, NormStatistics::Refreshed { .. });
        let refresh = if refreshed { images("train") } else { 0.0 };
        forward(loss.model) * (f64::from(loss.images).min(images("train")) * passes + refresh)
    };
    match &stage.work {
        // A training step is three forwards; every epoch ends with an evaluation of all images.
        Work::Train(train) => f64::from(train.epochs) * forward(train.model) * (3.0 * images("train") + everything),
        Work::Probe(probe) => forward(probe.model) * (3.0 * f64::from(probe.epochs) * images("train") + everything),
        Work::EmaEval(eval) => forward(eval.model) * (images("train") + everything),
        Work::Predictions(predictions) => forward(predictions.model) * images("test"),
        // The first gradient is built once for all draws: 3 forwards, then 6 a draw.
        Work::HessianTrace(trace) => curvature(&trace.loss, 3.0 + 6.0 * f64::from(trace.draws)),
        Work::TopEigenvalue(top) => curvature(&top.loss, 9.0 * f64::from(top.iterations)),
        // Once for some draws 3; then E v and J v together 6, G v and Σ v 2 each.
        Work::NoiseCovariance(noise) => curvature(&noise.loss, 3.0 + 10.0 * f64::from(noise.draws)),
        Work::NoiseScale(noise) => curvature(&noise.loss, 5.0 + 2.0 * f64::from(noise.draws)),
        Work::Dataset(_) | Work::Init(_) | Work::Imported(_) | Work::Valley(_) | Work::Figure(_) => 0.0,
    }
}

/// Epochs of training in a stage, those of fine-tuning too.
pub fn epochs(work: &Work) -> u32 {
    match work {
        Work::Train(train) => train.epochs,
        Work::Probe(probe) => probe.epochs,
        _ => 0,
    }
}

/// Bytes that a stage's checkpoint takes in the store, uncompressed; tables are not counted. `sizes` remembers what
/// was counted of a network: all its numbers, and its parameters.
pub fn stored_bytes(work: &Work, sizes: &mut BTreeMap<(&'static str, u32, u32, bool), (u64, u64)>) -> u64 {
    let images = |count: u32| u64::from(count) * (3 * 32 * 32 + 1);
    if let Work::Dataset(data) = work {
        return images(data.train) + images(data.test);
    }
    let Some(model) = work.network() else { return 0 };
    let key = (model.name.name(), model.width, model.classes, model.conv_bias);
    let (all, parameters) = *sizes.entry(key).or_insert_with(|| {
        layout(model).map_or((0, 0), |layout| {
            let numbers = |wanted: &dyn Fn(&Entry) -> bool| {
                layout.entries.iter().filter(|entry| wanted(entry)).map(|entry| entry.count() as u64).sum()
            };
            (numbers(&|_| true), numbers(&Entry::is_parameter))
        })
    });
    let kept = match work {
        Work::Train(train) => train.keeps().iter().filter(|name| **name != "scaler").count() as u64,
        _ => 0,
    };
    4 * (all + kept * parameters)
}

/// What is assumed before anything was measured: operations a second, on a device.
pub fn assumed_rate(device: &str) -> f64 {
    if device.starts_with("cpu") { 1e10 } else { 2e13 }
}

/// Operations a second, the median over timings `(operations, seconds)` of like stages.
pub fn measured_rate(timings: &[(f64, f64)]) -> Option<f64> {
    let usable = |(flops, seconds): &&(f64, f64)| *flops > 0.0 && *seconds > 0.0;
    let mut rates: Vec<f64> = timings.iter().filter(usable).map(|(flops, seconds)| flops / seconds).collect();
    rates.sort_by(f64::total_cmp);
    rates.get(rates.len() / 2).copied()
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
    fn rates_are_medians() {
        assert_eq!(measured_rate(&[]), None);
        assert_eq!(measured_rate(&[(0.0, 1.0)]), None);
        assert_eq!(measured_rate(&[(10.0, 1.0), (30.0, 1.0), (20.0, 1.0), (5.0, 0.0)]), Some(20.0));
    }
}
