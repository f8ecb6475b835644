//! Repetition of the run of a case.

use safetensors::tensor::Dtype;
use tch::{Device, Kind, Tensor, no_grad};

use super::case::{Case, Results};
use crate::LearnError;
use crate::batches::{DeviceImages, Pass};
use crate::curvature::{Norms, Objective, hessian_vector_product, products, quadratic_forms};
use crate::evaluate::{evaluate, refresh_statistics};
use crate::layout::layout;
use crate::model::{Arithmetic, Network, Statistics};
use crate::torch::{Session, policy};
use crate::train::{Keeps, Kept, State};
use base::work::Precision;

/// Number of images per batch of an evaluation. It divides no set of images, so that there is an incomplete last batch.
const EVALUATION: usize = 17;

/// Computes all results that a case expects.
pub fn run(case: &Case<'_>) -> Result<Results, LearnError> {
    let session = policy::apply(Precision::Fp32).map_err(|error| LearnError::Torch(error.to_string()))?;
    let arithmetic = Arithmetic { device: Device::Cpu, kind: case.kind(), channels_last: false };
    let images = DeviceImages::new(case.bytes("images", Dtype::U8)?, &case.indices("labels")?, case.model, arithmetic)?;
    let pass = Pass::new(&case.indices("batch_index")?, case.batch, &images)?;
    let network = Network::from_tensors(layout(case.model)?, arithmetic, |entry| case.initial(entry))?;
    let mut results = Results::new();
    let mut state = State::new(network, Keeps { average: Kept::Fresh, ..Keeps::default() })?;
    first_step(&state.network, &images, &pass, &session, &mut results)?;
    let (mut losses, mut norms) = (Vec::new(), Vec::new());
    for step in 0..pass.steps() {
        let (x, y) = images.gather(&pass.rows(step)?)?;
        losses.push(state.step(&x, &y, &case.sgd, &session)?.f_double_value(&[])?);
        norms.push(state.network.norm()?);
    }
    results.insert("loss".to_owned(), losses);
    results.insert("norm".to_owned(), norms);
    if let Some(mut averaged) = state.averaged_network()? {
        let order: Vec<u32> = (0..images.count() as u32).collect();
        refresh_statistics(&mut averaged, &images, &Pass::new(&order, case.batch, &images)?)?;
        evaluation("ema_eval", &averaged, &images, &session, &mut results)?;
        everything("ema", &averaged, &mut results)?;
    }
    evaluation("eval", &state.network, &images, &session, &mut results)?;
    everything("final", &state.network, &mut results)?;
    curvature(case, &state.network, &images, &mut results)?;
    Ok(results)
}

/// Computes logits and gradient of the first step, before its update.
fn first_step(
    network: &Network,
    images: &DeviceImages,
    pass: &Pass,
    session: &Session,
    results: &mut Results,
) -> Result<(), LearnError> {
    let (x, y) = images.gather(&pass.rows(0)?)?;
    results.insert("logits0".to_owned(), values(&no_grad(|| network.logits(&x, Statistics::Batch))?)?);
    let loss = network.loss(&x, &y, Statistics::Batch, session)?;
    let gradient = Tensor::f_run_backward(&[&loss], &network.trained(), false, false)?;
    packed("grad0", network, &network.pack(&gradient)?, results)
}

fn evaluation(
    prefix: &str,
    network: &Network,
    images: &DeviceImages,
    session: &Session,
    results: &mut Results,
) -> Result<(), LearnError> {
    let mut logits = Vec::new();
    for chunk in images.chunks(EVALUATION) {
        logits.extend(values(&no_grad(|| network.logits(&chunk?.0, Statistics::Running))?)?);
    }
    let evaluation = evaluate(network, images, EVALUATION, session)?;
    results.insert(format!("{prefix}_logits"), logits);
    results.insert(format!("{prefix}_loss"), vec![evaluation.loss]);
    results.insert(format!("{prefix}_wrong"), vec![evaluation.wrong as f64]);
    Ok(())
}

fn curvature(
    case: &Case<'_>,
    network: &Network,
    images: &DeviceImages,
    results: &mut Results,
) -> Result<(), LearnError> {
    let running = Objective { network, images, batch: case.batch, norms: Norms::Running };
    let together = Objective { batch: images.count(), norms: Norms::Batch, ..running };
    let directions = directions(case, network)?;
    results.insert("vhv_running".to_owned(), quadratic_forms(&running, &directions, &mut |_, _| true)?);
    results.insert("vhv_batch".to_owned(), quadratic_forms(&together, &directions, &mut |_, _| true)?);
    let Some(v) = directions.first() else { return Ok(()) };
    packed("hessian_v0", network, &hessian_vector_product(&running, v)?, results)?;
    for product in products(&running, std::slice::from_ref(v), &mut |_, _| true)? {
        packed("gauss_newton_v0", network, &product.gauss_newton, results)?;
        packed("covariance_v0", network, &product.covariance, results)?;
    }
    Ok(())
}

/// Returns the case's Rademacher directions, packed.
fn directions(case: &Case<'_>, network: &Network) -> Result<Vec<Tensor>, LearnError> {
    let mut by_parameter = Vec::new();
    for entry in network.layout().trained() {
        let signs = case.numbers(&format!("probe/{}", entry.name))?;
        let shape: Vec<i64> = entry.shape.iter().map(|&size| size as i64).collect();
        let each = signs
            .chunks_exact(entry.count())
            .map(|v| Ok(Tensor::f_from_slice(v)?.f_view(shape.as_slice())?.f_to_kind(case.kind())?));
        by_parameter.push(each.collect::<Result<Vec<_>, LearnError>>()?);
    }
    let count = by_parameter.iter().map(Vec::len).min().unwrap_or(0);
    let direction = |k: usize| {
        let parts: Vec<Tensor> = by_parameter.iter().map(|each| each[k].shallow_clone()).collect();
        network.pack(&parts)
    };
    (0..count).map(direction).collect()
}

fn values(tensor: &Tensor) -> Result<Vec<f64>, LearnError> {
    let mut values = vec![0.0; tensor.numel()];
    tensor.f_detach()?.f_to_kind(Kind::Double)?.f_copy_data(&mut values, tensor.numel())?;
    Ok(values)
}

/// Records all tensors of a network by name.
fn everything(group: &str, network: &Network, results: &mut Results) -> Result<(), LearnError> {
    for (entry, tensor) in network.tensors() {
        results.insert(format!("{group}/{}", entry.name), values(tensor)?);
    }
    Ok(())
}

/// Records a packed buffer by parameter name.
fn packed(group: &str, network: &Network, flat: &Tensor, results: &mut Results) -> Result<(), LearnError> {
    for (entry, tensor) in network.layout().trained().zip(&network.unpack(flat)?) {
        results.insert(format!("{group}/{}", entry.name), values(tensor)?);
    }
    Ok(())
}
