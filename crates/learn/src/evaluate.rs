//! Loss and error of a network on a whole set of images.

use tch::{Kind, Reduction, Tensor, no_grad};

use super::LearnError;
use super::batches::{DeviceImages, Pass};
use super::model::{Network, Statistics, cross_entropy};
use crate::torch::Session;

/// Loss and error of a network on a set of images.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Evaluation {
    /// Mean cross-entropy in nats.
    pub loss: f64,
    /// Share of wrong answers in per cent.
    pub error_percent: f64,
    /// Number of wrong answers.
    pub wrong: u64,
}

/// Evaluates in eval mode (running statistics) on all images, `batch` at a time (1000 in the paper), with the
/// forward pass in the precision of `session`. A loss that is not finite is a result too.
///
/// # Errors
/// If libtorch fails.
pub fn evaluate(
    network: &Network,
    images: &DeviceImages,
    batch: usize,
    session: &Session,
) -> Result<Evaluation, LearnError> {
    // The sums of the batches stay on the device until the end.
    let sums = no_grad(|| {
        let sum = |chunk: Result<_, LearnError>| {
            let (x, y) = chunk?;
            let logits = network.logits_in(&x, Statistics::Running, session)?;
            let wrong = logits.f_argmax(1, false)?.f_ne_tensor(&y)?.f_sum(Kind::Int64)?;
            Ok::<_, LearnError>((cross_entropy(&logits, &y, Reduction::Sum)?, wrong))
        };
        images.chunks(batch).map(sum).collect::<Result<Vec<_>, _>>()
    })?;
    let (mut loss, mut wrong) = (0.0, 0);
    for (batch_loss, batch_wrong) in sums {
        loss += batch_loss.f_double_value(&[])?;
        wrong += batch_wrong.f_int64_value(&[])? as u64;
    }
    let count = images.count() as f64;
    Ok(Evaluation { loss: loss / count, error_percent: 100.0 * wrong as f64 / count, wrong })
}

/// Returns the class with the largest logit and the cross-entropy in nats of every image, in eval mode. Both are NaN where
/// the network's numbers are not finite.
///
/// # Errors
/// If libtorch fails.
pub fn predict(network: &Network, images: &DeviceImages, batch: usize) -> Result<Vec<(f64, f64)>, LearnError> {
    let mut found = Vec::with_capacity(images.count());
    for chunk in images.chunks(batch) {
        let (x, y) = chunk?;
        let logits = no_grad(|| network.logits(&x, Statistics::Running))?.f_to_kind(Kind::Double)?;
        let losses = cross_entropy(&logits, &y, Reduction::None)?;
        // argmax has an answer for NaN too.
        let answers = logits.f_argmax(1, false)?.f_to_kind(Kind::Double)?;
        let mut values = vec![0.0; 2 * y.numel()];
        Tensor::f_stack(&[answers, losses], 1)?.f_copy_data(&mut values, 2 * y.numel())?;
        let answer = |pair: &[f64]| (if pair[1].is_finite() { pair[0] } else { f64::NAN }, pair[1]);
        found.extend(values.chunks_exact(2).map(answer));
    }
    Ok(found)
}

/// Re-estimates the running statistics of averaged weights by one pass in training mode, as the cumulative
/// average of the batches' means and unbiased variances (momentum = None in PyTorch). The pass is never in bfloat16.
///
/// # Errors
/// If libtorch fails.
pub fn refresh_statistics(network: &mut Network, images: &DeviceImages, pass: &Pass) -> Result<(), LearnError> {
    network.reset_statistics()?;
    no_grad(|| {
        for step in 0..pass.steps() {
            let (x, _) = images.gather(&pass.rows(step)?)?;
            let _ = network.logits(&x, Statistics::Update { momentum: 1.0 / (step + 1) as f64 })?;
        }
        Ok(())
    })
}
