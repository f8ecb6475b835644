//! Comparison with PyTorch: a case file holds a start, batches and what PyTorch computed from them; the
//! same is computed here, and the deviations are reported.
//!
//! Cases are safetensors files: `images`, `labels`, `batch_index`, `init/…`, `probe/…`, and the expected
//! results as `expect/…`; the parameters of the run stand in the metadata.

use std::collections::BTreeMap;

use safetensors::tensor::{Dtype, SafeTensors};
use tch::{Device, Kind, Tensor, no_grad};

use super::LearnError;
use super::batches::{Images, Pass};
use super::evaluate::{evaluate, refresh_statistics};
use super::hessian::{Norms, hessian_vector_product, quadratic_forms};
use super::model::{Arithmetic, Network, Statistics};
use super::train::{Sgd, State};
use crate::torch::{Session, policy};
use crate::work::{Model, ModelName, Precision};

/// How far a group of results is from the expected ones.
#[derive(Debug, Clone, PartialEq)]
pub struct Deviation {
    /// The group, such as `grad0`.
    pub group: String,
    /// Number of tensors in it.
    pub tensors: usize,
    /// Euclidean distance over the norm of the expected values.
    pub distance: f64,
    /// Largest difference within a tensor over that tensor's largest expected value (at least 1e-4 of the group's).
    pub worst: f64,
    /// The tensor where that is.
    pub worst_tensor: String,
}

/// Results by group and tensor name.
type Results = BTreeMap<String, BTreeMap<String, Vec<f64>>>;

/// Repeats the run of a case file in float64 on the CPU and compares all that both sides have.
///
/// # Errors
/// If the bytes are no case of a network of this program in float64, or libtorch fails.
pub fn compare(case: &[u8]) -> Result<Vec<Deviation>, LearnError> {
    let case = Case::read(case)?;
    let session = policy::apply(Precision::Fp32).map_err(|error| LearnError::Torch(error.to_string()))?;
    let got = case.run(&session)?;
    let expected = case.expected()?;
    got.iter().map(|(group, tensors)| deviation(group, tensors, expected.get(group))).collect()
}

fn deviation(
    group: &str,
    got: &BTreeMap<String, Vec<f64>>,
    expected: Option<&BTreeMap<String, Vec<f64>>>,
) -> Result<Deviation, LearnError> {
    let wrong = |what: String| LearnError::Data(format!("case file: expect/{group} {what}"));
    let expected = expected.ok_or_else(|| wrong("is missing".to_owned()))?;
    if !got.keys().eq(expected.keys()) {
        return Err(wrong("has other tensors than this network".to_owned()));
    }
    let largest = |values: &[f64]| values.iter().fold(0.0, |m: f64, x| m.max(x.abs()));
    let floor = 1e-4 * expected.values().map(|values| largest(values)).fold(0.0, f64::max);
    let mut deviation = Deviation {
        group: group.to_owned(),
        tensors: got.len(),
        distance: 0.0,
        worst: 0.0,
        worst_tensor: String::new(),
    };
    let (mut squares, mut norm) = (0.0, 0.0);
    for (name, want) in expected {
        let have = &got[name];
        if have.len() != want.len() {
            return Err(wrong(format!("{name} has {} elements, not {}", want.len(), have.len())));
        }
        let differences: Vec<f64> = have.iter().zip(want).map(|(a, b)| a - b).collect();
        squares += differences.iter().map(|d| d * d).sum::<f64>();
        norm += want.iter().map(|x| x * x).sum::<f64>();
        let finite = have.iter().all(|x| x.is_finite());
        let worst = if finite { largest(&differences) / largest(want).max(floor).max(1e-300) } else { f64::INFINITY };
        if worst >= deviation.worst {
            (deviation.worst, deviation.worst_tensor) = (worst, name.clone());
        }
    }
    deviation.distance = (squares / norm.max(1e-300)).sqrt();
    Ok(deviation)
}

struct Case<'a> {
    file: SafeTensors<'a>,
    model: Model,
    batch: usize,
    sgd: Sgd,
}

impl<'a> Case<'a> {
    fn read(bytes: &'a [u8]) -> Result<Self, LearnError> {
        let (_, header) = SafeTensors::read_metadata(bytes)?;
        let metadata = header.metadata().clone().unwrap_or_default();
        let wrong = |key: &str| LearnError::Data(format!("case file: `{key}` is missing or not supported"));
        let field = |key: &str| metadata.get(key).map(|text| text.trim_matches('"')).ok_or_else(|| wrong(key));
        let number = |key: &str| field(key)?.parse::<f64>().map_err(|_| wrong(key));
        let whole = |key: &str| field(key)?.parse::<u32>().map_err(|_| wrong(key));
        let name = match field("model")? {
            "resnet18" => ModelName::PreactResnet18,
            _ => return Err(wrong("model")),
        };
        if field("radius")? != "null" {
            return Err(wrong("radius"));
        }
        if field("dtype")? != "fp64" {
            return Err(wrong("dtype"));
        }
        Ok(Self {
            file: SafeTensors::deserialize(bytes)?,
            model: Model { name, width: whole("width")?, classes: whole("classes")? },
            batch: whole("batch")? as usize,
            sgd: Sgd { lr: number("lr")?, wd: number("wd")?, ema: number("ema")? },
        })
    }

    fn bytes(&self, name: &str, dtype: Dtype) -> Result<&'a [u8], LearnError> {
        let view = self.file.tensor(name)?;
        match view.dtype() == dtype {
            true => Ok(view.data()),
            false => Err(LearnError::Data(format!("case file: {name} is not {dtype:?}"))),
        }
    }

    fn doubles(&self, name: &str) -> Result<Vec<f64>, LearnError> {
        Ok(self.bytes(name, Dtype::F64)?.as_chunks().0.iter().map(|&b| f64::from_le_bytes(b)).collect())
    }

    fn integers(&self, name: &str) -> Result<Vec<i64>, LearnError> {
        Ok(self.bytes(name, Dtype::I64)?.as_chunks().0.iter().map(|&b| i64::from_le_bytes(b)).collect())
    }

    fn expected(&self) -> Result<Results, LearnError> {
        let mut results = Results::new();
        for name in self.file.names() {
            let Some(path) = name.strip_prefix("expect/") else { continue };
            let (group, tensor) = path.split_once('/').unwrap_or((path, ""));
            let values = match self.file.tensor(name)?.dtype() {
                Dtype::I64 => self.integers(name)?.into_iter().map(|i| i as f64).collect(),
                _ => self.doubles(name)?,
            };
            results.entry(group.to_owned()).or_default().insert(tensor.to_owned(), values);
        }
        Ok(results)
    }

    fn run(&self, session: &Session) -> Result<Results, LearnError> {
        let arithmetic = Arithmetic { device: Device::Cpu, kind: Kind::Double, channels_last: false };
        let labels = self.integers("labels")?;
        let labels = labels.iter().map(|&label| u8::try_from(label)).collect::<Result<Vec<_>, _>>();
        let labels = labels.map_err(|_| LearnError::Data("case file: a label is not a byte".to_owned()))?;
        let images = Images::new(self.bytes("images", Dtype::U8)?, &labels, self.model.classes, arithmetic)?;
        let order: Vec<u32> =
            self.integers("batch_index")?.iter().map(|&i| u32::try_from(i).unwrap_or(u32::MAX)).collect();
        let pass = Pass::new(&order, self.batch, &images)?;
        let network = Network::from_tensors(self.model, arithmetic, |entry| {
            let values = self.doubles(&format!("init/{}", entry.name))?;
            match values.len() == entry.count() {
                true => Ok(Tensor::f_from_slice(&values)?),
                false => Err(LearnError::Misfit { name: entry.name.clone(), what: "has the wrong size".to_owned() }),
            }
        })?;

        let mut results = Results::new();
        let mut put = |group: &str, values: Vec<f64>| {
            results.insert(group.to_owned(), BTreeMap::from([(String::new(), values)]));
        };
        let mut state = State::of(network, true)?;
        let (x, y) = images.gather(&pass.rows(0)?)?;
        let logits = no_grad(|| state.network.logits(&x, Statistics::Batch))?;
        put("logits0", values(&logits)?);
        let loss = state.network.loss(&x, &y, Statistics::Batch)?;
        let gradient = Tensor::f_run_backward(&[&loss], &state.network.parameters(), false, false)?;
        let gradient = state.network.pack(&gradient)?;
        let (mut losses, mut norms) = (Vec::new(), Vec::new());
        for step in 0..pass.steps() {
            let (x, y) = images.gather(&pass.rows(step)?)?;
            losses.push(state.step(&x, &y, &self.sgd, session)?.f_double_value(&[])?);
            norms.push(state.network.norm()?);
        }
        put("loss", losses);
        put("norm", norms);
        let all: Vec<u32> = (0..images.count() as u32).collect();
        let averaged = state.averaged_network()?;
        if let Some(mut averaged) = averaged {
            refresh_statistics(&mut averaged, &images, &Pass::new(&all, self.batch, &images)?)?;
            evaluation(&mut put, "ema_eval", &averaged, &images, session)?;
            results.insert("ema".to_owned(), named(&averaged, None)?);
        }
        let network = &state.network;
        let mut put = |group: &str, values: Vec<f64>| {
            results.insert(group.to_owned(), BTreeMap::from([(String::new(), values)]));
        };
        evaluation(&mut put, "eval", network, &images, session)?;
        let directions = self.directions(network)?;
        let go_on = |_, _| true;
        put("vhv_running", quadratic_forms(network, &images, self.batch, Norms::Running, &directions, go_on)?);
        put("vhv_batch", quadratic_forms(network, &images, images.count(), Norms::Batch, &directions, go_on)?);
        if let Some(v) = directions.first() {
            let product = hessian_vector_product(network, &images, self.batch, Norms::Running, v)?;
            results.insert("hessian_v0".to_owned(), named(network, Some(&product))?);
        }
        results.insert("grad0".to_owned(), named(network, Some(&gradient))?);
        results.insert("final".to_owned(), named(network, None)?);
        Ok(results)
    }

    /// The case's Rademacher directions, packed.
    fn directions(&self, network: &Network) -> Result<Vec<Tensor>, LearnError> {
        let mut by_parameter = Vec::new();
        for entry in network.layout().parameters() {
            let bytes = self.bytes(&format!("probe/{}", entry.name), Dtype::I8)?;
            let signs: Vec<f64> = bytes.iter().map(|&byte| f64::from(byte as i8)).collect();
            let shape: Vec<i64> = entry.shape.iter().map(|&size| size as i64).collect();
            let each: Vec<Tensor> = signs
                .chunks_exact(entry.count())
                .map(|v| Tensor::f_from_slice(v)?.f_view(shape.as_slice()))
                .collect::<Result<_, _>>()?;
            by_parameter.push(each);
        }
        let count = by_parameter.iter().map(Vec::len).min().unwrap_or(0);
        let direction = |k: usize| {
            let parts: Vec<Tensor> = by_parameter.iter().map(|each| each[k].shallow_clone()).collect();
            network.pack(&parts)
        };
        (0..count).map(direction).collect()
    }
}

fn evaluation(
    put: &mut impl FnMut(&str, Vec<f64>),
    prefix: &str,
    network: &Network,
    images: &Images,
    session: &Session,
) -> Result<(), LearnError> {
    let mut logits = Vec::new();
    for chunk in images.chunks(17) {
        logits.extend(values(&no_grad(|| network.logits(&chunk?.0, Statistics::Running))?)?);
    }
    let evaluation = evaluate(network, images, 17, session)?;
    put(&format!("{prefix}_logits"), logits);
    put(&format!("{prefix}_loss"), vec![evaluation.loss]);
    put(&format!("{prefix}_wrong"), vec![evaluation.wrong as f64]);
    Ok(())
}

fn values(tensor: &Tensor) -> Result<Vec<f64>, LearnError> {
    let mut values = vec![0.0; tensor.numel()];
    tensor.f_detach()?.f_to_kind(Kind::Double)?.f_copy_data(&mut values, tensor.numel())?;
    Ok(values)
}

/// A packed buffer by parameter name, or everything that the network has.
fn named(network: &Network, flat: Option<&Tensor>) -> Result<BTreeMap<String, Vec<f64>>, LearnError> {
    let Some(flat) = flat else {
        return network.tensors().map(|(entry, tensor)| Ok((entry.name.clone(), values(tensor)?))).collect();
    };
    let tensors = network.unpack(flat)?;
    let entries = network.layout().parameters().zip(&tensors);
    entries.map(|(entry, tensor)| Ok((entry.name.clone(), values(tensor)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load() {
        crate::torch::load(&crate::torch::Libraries::default()).unwrap();
    }

    #[test]
    fn agrees_with_pytorch_in_float64() {
        load();
        let case = include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/numerics/resnet18.safetensors"));
        let deviations = compare(case).unwrap();
        let groups: Vec<&str> = deviations.iter().map(|d| d.group.as_str()).collect();
        assert_eq!(
            groups,
            [
                "ema",
                "ema_eval_logits",
                "ema_eval_loss",
                "ema_eval_wrong",
                "eval_logits",
                "eval_loss",
                "eval_wrong",
                "final",
                "grad0",
                "hessian_v0",
                "logits0",
                "loss",
                "norm",
                "vhv_batch",
                "vhv_running"
            ]
        );
        for deviation in deviations {
            // PyTorch against itself (threads, memory layout) stays under 5e-13.
            assert!(deviation.worst <= 1e-9, "{deviation:?}");
        }
    }

    #[test]
    fn a_damaged_case_is_refused() {
        load();
        for bytes in [&b""[..], b"\x02\0\0\0\0\0\0\0{}", &[0xff; 64]] {
            assert!(compare(bytes).is_err());
        }
    }

    #[test]
    fn deviations_are_what_they_say() {
        let group = |values: &[f64]| BTreeMap::from([("a".to_owned(), values.to_vec())]);
        let found = deviation("g", &group(&[1.0, 3.0]), Some(&group(&[1.0, 4.0]))).unwrap();
        assert_eq!((found.worst, found.worst_tensor.as_str(), found.distance), (0.25, "a", (1.0_f64 / 17.0).sqrt()));
        assert_eq!(deviation("g", &group(&[f64::NAN]), Some(&group(&[1.0]))).unwrap().worst, f64::INFINITY);
        assert!(deviation("g", &group(&[1.0]), None).is_err());
    }
}
