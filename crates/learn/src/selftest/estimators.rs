//! Check of the estimators against exact values, on a network that is small enough to build the whole H, G and Σ.

use tch::{Device, Kind, Tensor};

use crate::LearnError;
use crate::batches::{DeviceImages, Pass};
use crate::curvature::{
    Components, Estimate, Norms, Objective, covariance, direction, extremes, products, scale, trace,
};
use crate::evaluate::refresh_statistics;
use crate::init::initial_weights;
use crate::layout::layout;
use crate::model::{Arithmetic, Network, tensor};
use crate::torch::{Session, policy};
use base::rng::Stream;
use base::work::{Estimator, InitScheme, Model, ModelName, Precision};

/// Number of images of the loss.
pub const IMAGES: usize = 24;
/// Number of classes of the images.
const CLASSES: u32 = 8;
/// Trained layers of the network. The rest is frozen, so that the matrices are small.
pub const TRAINED: [&str; 4] = ["stage3.1.conv2", "stage4.0.skip_conv", "final_norm", "head"];
/// Number of draws of every estimate.
pub const DRAWS: u32 = 100;
/// Number of draws of the reference for the mean cosines, which have no closed form.
pub const REFERENCE: i64 = 20_000;
/// Bound of the largest eigenvalue, relative to it, at which the search for it ends.
pub const TOLERANCE: f64 = 1e-3;
/// Number of standard errors by which an estimate can be off. A normal estimate is within it in 98.8 % of all cases.
pub const STANDARD_ERRORS: f64 = 2.5;

/// Coverage: how often an estimate was as near to the exact value as its standard error says.
#[derive(Debug, Clone, PartialEq)]
pub struct Coverage {
    /// The estimated quantity.
    pub quantity: String,
    /// Exact value of the quantity.
    pub exact: f64,
    /// Mean of the estimates.
    pub mean: f64,
    /// Mean of the estimates' standard errors, or bounds.
    pub error: f64,
    /// Number of estimates, each from its own draws.
    pub repetitions: u32,
    /// Share of the estimates within 1, 2 and [`STANDARD_ERRORS`] standard errors. For an eigenvalue, its bound takes the place
    /// of the standard error.
    pub within: [f64; 3],
}

/// A quantity that is computed exactly in two ways.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Exact {
    /// Name of the quantity.
    pub quantity: &'static str,
    /// Value from the whole matrix.
    pub matrix: f64,
    /// Value from norms of single images' gradients.
    pub found: f64,
}

impl Exact {
    /// Returns the difference relative to the matrix's value.
    pub fn difference(&self) -> f64 {
        (self.found / self.matrix - 1.0).abs()
    }
}

/// The network, and its matrices in float64.
pub struct Problem {
    network: Network,
    images: DeviceImages,
    jacobian: Tensor,     // [n, c, p], J of every image
    hessian: Tensor,      // [p, p]
    gauss_newton: Tensor, // [p, p]
    covariance: Tensor,   // [p, p]
    gradients: Tensor,    // [n, p], g of every image
    _session: Session,
}

impl Problem {
    /// Builds a pre-activation ResNet-18 of width 1, of which some layers are trained, with running statistics.
    ///
    /// # Errors
    /// If libtorch fails.
    pub fn new() -> Result<Self, LearnError> {
        let session = policy::apply(Precision::Fp32).map_err(|error| LearnError::Torch(error.to_string()))?;
        let arithmetic = Arithmetic { device: Device::Cpu, kind: Kind::Double, channels_last: false };
        let model = Model::new(ModelName::PreactResnet18, 1, CLASSES);
        let weights = initial_weights(model, InitScheme::He, None, 1)?;
        let mut layout = layout(model)?;
        for entry in &mut layout.entries {
            entry.frozen = !TRAINED.iter().any(|part| entry.name.starts_with(part));
        }
        let mut network = Network::from_tensors(layout, arithmetic, |entry| tensor(entry, &weights))?;
        let mut stream = Stream::new(5, "pixels", &[]);
        let pixels: Vec<u8> = (0..IMAGES * 3072).map(|_| stream.below(256) as u8).collect();
        let labels: Vec<u8> = (0..IMAGES).map(|i| (i % CLASSES as usize) as u8).collect();
        let images = DeviceImages::new(&pixels, &labels, model, arithmetic)?;
        let order: Vec<u32> = (0..IMAGES as u32).collect();
        refresh_statistics(&mut network, &images, &Pass::new(&order, IMAGES, &images)?)?;

        let objective = Objective { network: &network, images: &images, batch: IMAGES, norms: Norms::Running };
        let chunk = objective.only_chunk()?;
        let tangent = chunk.tangent()?;
        let (n, c) = (IMAGES as i64, i64::from(CLASSES));
        let options = (Kind::Double, Device::Cpu);
        let unit = |length: i64, at: i64| -> Result<Tensor, LearnError> {
            let zeros = Tensor::f_zeros([length], options)?;
            let _ = zeros.f_narrow(0, at, 1)?.f_fill_(1.0)?;
            Ok(zeros)
        };
        let rows = (0..n * c).map(|at| chunk.pull_back(&unit(n * c, at)?.f_view([n, c])?));
        let jacobian = Tensor::f_stack(&rows.collect::<Result<Vec<_>, _>>()?, 0)?.f_view([n, c, -1])?;
        let p = jacobian.size()[2];
        let slope = chunk.slope()?;
        let columns = (0..p).map(|at| slope.derivative(&unit(p, at)?, true));
        let hessian = Tensor::f_stack(&columns.collect::<Result<Vec<_>, _>>()?, 1)?;
        // diag(p) − ppᵀ of every image.
        let soft = &tangent.softmax.probabilities;
        let curved = soft.f_diag_embed(0, -2, -1)?.f_sub(&soft.f_unsqueeze(2)?.f_matmul(&soft.f_unsqueeze(1)?)?)?;
        let flat = jacobian.f_view([n * c, p])?;
        let gauss_newton = flat.f_transpose(0, 1)?.f_matmul(&curved.f_matmul(&jacobian)?.f_view([n * c, p])?)?;
        let gradients = tangent.softmax.residual.f_unsqueeze(1)?.f_matmul(&jacobian)?.f_view([n, p])?;
        let mean = gradients.f_mean_dim([0].as_slice(), true, None)?;
        let covariance = gradients
            .f_transpose(0, 1)?
            .f_matmul(&gradients)?
            .f_div_scalar(n)?
            .f_sub(&mean.f_transpose(0, 1)?.f_matmul(&mean)?)?;
        let gauss_newton = gauss_newton.f_div_scalar(n)?;
        drop(slope);
        drop(tangent);
        drop(chunk);
        Ok(Self { network, images, jacobian, hessian, gauss_newton, covariance, gradients, _session: session })
    }

    /// Returns the loss, differentiated in chunks whose size does not divide the number of images.
    fn objective(&self) -> Objective<'_> {
        Objective { network: &self.network, images: &self.images, batch: 16, norms: Norms::Running }
    }

    /// Returns H, G, E, Σ.
    fn matrices(&self) -> Result<[Tensor; 4], LearnError> {
        let [h, g, s] = [&self.hessian, &self.gauss_newton, &self.covariance].map(Tensor::shallow_clone);
        Ok([h, g, self.hessian.f_sub(&self.gauss_newton)?, s])
    }

    /// Returns the largest difference of Xv from the matrix's product, divided by the largest component, for X = H, G, E, Σ.
    ///
    /// # Errors
    /// If libtorch fails.
    pub fn products(&self) -> Result<[f64; 4], LearnError> {
        let v = direction(&self.network, Components::Normal, (1, "products", 0))?;
        let found = products(&self.objective(), std::slice::from_ref(&v), &mut |_, _| true)?;
        let mut worst = [0.0_f64; 4];
        for products in found {
            let hessian = products.gauss_newton.f_add(&products.rest)?;
            let have = [&hessian, &products.gauss_newton, &products.rest, &products.covariance];
            for ((matrix, have), worst) in self.matrices()?.iter().zip(have).zip(&mut worst) {
                let want = matrix.f_mv(&v)?;
                let difference = have.f_sub(&want)?.f_abs()?.f_max()?.f_double_value(&[])?;
                *worst = worst.max(difference / want.f_abs()?.f_max()?.f_double_value(&[])?);
            }
        }
        Ok(worst)
    }

    /// Checks Hutchinson's trace of H.
    ///
    /// # Errors
    /// If libtorch fails.
    pub fn trace(&self, repetitions: u32) -> Result<Vec<Coverage>, LearnError> {
        let exact = self.hessian.f_trace()?.f_double_value(&[])?;
        let estimates = (0..repetitions).map(|seed| {
            let estimator = Estimator::Hutchinson { draws: DRAWS, stop: None };
            let found = trace(&self.objective(), estimator, u64::from(seed), &mut |_, _| true)?;
            Ok(Estimate { value: found.value, error: found.standard_error })
        });
        Ok(vec![coverage("Tr H (Rademacher)", exact, 0.0, &estimates.collect::<Result<Vec<_>, LearnError>>()?)])
    }

    /// Checks cosines of H, G, E with Σ, traces, and the mean ‖J_i‖².
    ///
    /// # Errors
    /// If libtorch fails.
    pub fn covariance(&self, repetitions: u32) -> Result<Vec<Coverage>, LearnError> {
        let found = (0..repetitions)
            .map(|seed| covariance(&self.objective(), DRAWS, u64::from(seed), &mut |_, _| true))
            .collect::<Result<Vec<_>, _>>()?;
        let matrices = self.matrices()?;
        let reference = self.reference_cosines(&matrices)?;
        let norm = |matrix: &Tensor| -> Result<f64, LearnError> { Ok(matrix.f_norm()?.f_double_value(&[])?) };
        let mut all = Vec::new();
        for (x, name) in ["H", "G", "E"].into_iter().enumerate() {
            let Estimate { value, error } = reference[x];
            let estimates: Vec<_> = found.iter().map(|found| found.cosines()[x]).collect();
            all.push(coverage(&format!("mean cos({name}v, Σv)"), value, error, &estimates));
            let overlap = matrices[x].f_mul(&matrices[3])?.f_sum(Kind::Double)?.f_double_value(&[])?;
            let exact = overlap / (norm(&matrices[x])? * norm(&matrices[3])?);
            let estimates: Vec<_> = found.iter().map(|found| found.matrix_cosines()[x]).collect();
            all.push(coverage(&format!("⟨{name}, Σ⟩/(‖{name}‖‖Σ‖)"), exact, 0.0, &estimates));
        }
        for (x, name) in ["H", "G", "E", "Σ"].into_iter().enumerate() {
            let exact = matrices[x].f_trace()?.f_double_value(&[])?;
            let estimates: Vec<_> = found.iter().map(|found| found.traces()[x]).collect();
            all.push(coverage(&format!("Tr {name} (Gaussian)"), exact, 0.0, &estimates));
        }
        let exact = norm(&self.jacobian)?.powi(2) / IMAGES as f64;
        let estimates: Vec<_> = found.iter().map(|found| found.jacobian()).collect();
        all.push(coverage("mean ‖J‖²", exact, 0.0, &estimates));
        Ok(all)
    }

    /// Estimates the mean cosines from many draws and the matrices.
    fn reference_cosines(&self, matrices: &[Tensor; 4]) -> Result<[Estimate; 3], LearnError> {
        let p = self.network.flat().numel() as i64;
        let mut stream = Stream::new(9, "reference", &[]);
        let normals: Vec<f64> = (0..p * REFERENCE).map(|_| stream.normal()).collect();
        let v = Tensor::f_from_slice(&normals)?.f_view([p, REFERENCE])?;
        let images = matrices.iter().map(|matrix| matrix.f_matmul(&v)).collect::<Result<Vec<_>, _>>()?;
        let columns = |a: &Tensor, b: &Tensor| a.f_mul(b)?.f_sum_dim_intlist([0].as_slice(), false, None::<Kind>);
        let noise = columns(&images[3], &images[3])?;
        let mut found = [Estimate { value: 0.0, error: 0.0 }; 3];
        for (found, image) in found.iter_mut().zip(&images) {
            let length = columns(image, image)?.f_mul(&noise)?.f_sqrt()?;
            let cosines = columns(image, &images[3])?.f_div(&length)?;
            let mut values = vec![0.0; REFERENCE as usize];
            cosines.f_copy_data(&mut values, REFERENCE as usize)?;
            *found = Estimate::mean(&values);
        }
        Ok(found)
    }

    /// Computes the quantities without draws in two ways: image by image, and from the matrices.
    ///
    /// # Errors
    /// If libtorch fails.
    pub fn exact(&self) -> Result<Vec<Exact>, LearnError> {
        let objective = self.objective();
        let trace = trace(&objective, Estimator::Exact, 0, &mut |_, _| true)?;
        let scale = scale(&objective, None, 0, &mut |_, _| true)?;
        let matrix = |matrix: &Tensor| -> Result<f64, LearnError> { Ok(matrix.f_trace()?.f_double_value(&[])?) };
        let moment = self.gradients.f_square()?.f_sum(Kind::Double)?.f_double_value(&[])? / IMAGES as f64;
        let norms = self.jacobian.f_square()?.f_sum_dim_intlist([1, 2].as_slice(), false, Kind::Double)?;
        let norm = |square: Tensor| -> Result<f64, LearnError> { Ok(square.f_double_value(&[])?.sqrt()) };
        let [least, largest] =
            [scale.jacobians.first(), scale.jacobians.last()].map(|of| of.copied().unwrap_or(f64::NAN));
        let exact = |quantity, matrix, found| Exact { quantity, matrix, found };
        Ok(vec![
            exact("Tr H", matrix(&self.hessian)?, trace.value),
            exact("Tr G", matrix(&self.gauss_newton)?, trace.value),
            exact("mean ‖g_i‖²", moment, scale.second_moment.value),
            exact("Tr Σ", matrix(&self.covariance)?, scale.noise.value),
            exact("least ‖J_i‖", norm(norms.f_min()?)?, least),
            exact("largest ‖J_i‖", norm(norms.f_max()?)?, largest),
        ])
    }

    /// Checks the largest and smallest eigenvalue of H.
    ///
    /// # Errors
    /// If libtorch fails.
    pub fn eigenvalues(&self, repetitions: u32) -> Result<Vec<Coverage>, LearnError> {
        let values = self.hessian.f_linalg_eigvalsh("L")?;
        let exact = [values.f_max()?.f_double_value(&[])?, values.f_min()?.f_double_value(&[])?];
        let found = (0..repetitions)
            .map(|seed| extremes(&self.objective(), 60, TOLERANCE, u64::from(seed), &mut |_, _| true))
            .collect::<Result<Vec<_>, _>>()?;
        let estimate = |(value, error)| Estimate { value, error };
        let largest: Vec<_> = found.iter().map(|found| estimate(found.largest)).collect();
        let smallest: Vec<_> = found.iter().map(|found| estimate(found.smallest)).collect();
        Ok(vec![
            coverage("largest eigenvalue of H", exact[0], 1e-12 * exact[0].abs(), &largest),
            coverage("smallest eigenvalue of H", exact[1], 1e-12 * exact[1].abs(), &smallest),
        ])
    }
}

/// Computes how often estimates cover a value that is itself known with an `uncertainty`.
pub(super) fn coverage(quantity: &str, exact: f64, uncertainty: f64, estimates: &[Estimate]) -> Coverage {
    let share = |errors: f64| {
        let near = |e: &&Estimate| (e.value - exact).abs() <= errors * (e.error.powi(2) + uncertainty.powi(2)).sqrt();
        estimates.iter().filter(near).count() as f64 / estimates.len() as f64
    };
    let mean = |of: fn(&Estimate) -> f64| estimates.iter().map(of).sum::<f64>() / estimates.len() as f64;
    Coverage {
        quantity: quantity.to_owned(),
        exact,
        mean: mean(|estimate| estimate.value),
        error: mean(|estimate| estimate.error),
        repetitions: estimates.len() as u32,
        within: [share(1.0), share(2.0), share(STANDARD_ERRORS)],
    }
}
