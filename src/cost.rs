//! How much arithmetic a stage needs, counted from its parameters, and how long that should take.
//!
//! Counted are convolutions and linear layers, 2 operations per multiply-add.

use crate::graph::{Graph, StageId};
use crate::work::{Model, Work};

/// Floating-point operations of one forward pass of one 32×32 image.
///
/// For the pre-activation ResNet-18 at width w: the stem has 27w·32² multiply-adds, a 3×3 convolution
/// from a to b channels on an s×s output 9ab·s², a skip ab·s².
pub fn forward(model: Model) -> f64 {
    let width = f64::from(model.width);
    let mut adds = 27.0 * width * 1024.0 + 8.0 * width * f64::from(model.classes);
    let mut channels = width;
    for stage in 0..4 {
        let (out, positions) = (width * f64::from(1 << stage), f64::from(1024 >> (2 * stage)));
        let skip = if stage > 0 { channels * out } else { 0.0 };
        adds += positions * (9.0 * (channels * out + 3.0 * out * out) + skip);
        channels = out;
    }
    2.0 * adds
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
    match &stage.work {
        // A training step is three forwards; every epoch ends with an evaluation of all images.
        Work::Train(train) => f64::from(train.epochs) * forward(train.model) * (3.0 * images("train") + everything),
        Work::Probe(probe) => forward(probe.model) * (3.0 * f64::from(probe.epochs) * images("train") + everything),
        Work::EmaEval(eval) => forward(eval.model) * (images("train") + everything),
        // The first gradient is built once for all draws: 3 forwards, then 6 a draw.
        Work::HessianTrace(trace) => {
            let images = f64::from(trace.images).min(images("train"));
            forward(trace.model) * images * (3.0 + 6.0 * f64::from(trace.draws))
        }
        Work::Dataset(_) | Work::Init(_) | Work::Figure(_) => 0.0,
    }
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
    use crate::work::ModelName;

    #[test]
    fn forward_operations_are_those_counted_by_pytorch() {
        // Counted by hooks on the layers of the same network in PyTorch.
        for (width, wanted) in [(8, 17_745_152.0), (16, 70_093_312.0), (64, 1_110_845_440.0)] {
            let model = Model { name: ModelName::PreactResnet18, width, classes: 10 };
            assert_eq!(forward(model), wanted, "width {width}");
        }
    }

    #[test]
    fn rates_are_medians() {
        assert_eq!(measured_rate(&[]), None);
        assert_eq!(measured_rate(&[(0.0, 1.0)]), None);
        assert_eq!(measured_rate(&[(10.0, 1.0), (30.0, 1.0), (20.0, 1.0), (5.0, 0.0)]), Some(20.0));
    }
}
