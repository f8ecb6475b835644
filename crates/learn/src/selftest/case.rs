//! A case: the inputs and results of a run of PyTorch, as a safetensors file.

use std::collections::BTreeMap;

use safetensors::tensor::{Dtype, Metadata, SafeTensors, TensorView};
use tch::{Kind, Tensor};

use crate::LearnError;
use crate::layout::Entry;
use crate::train::Sgd;
use base::work::{Model, ModelName, Projection, Sphere};

/// Computed numbers by the names of the expected ones in the file, without `expect/`.
pub(super) type Results = BTreeMap<String, Vec<f64>>;

/// The networks' names in case files.
const MODELS: [(&str, ModelName); 4] = [
    ("resnet18", ModelName::PreactResnet18),
    ("resnet34", ModelName::PreactResnet34),
    ("resnet18-si", ModelName::ScaleInvariantResnet18),
    ("vgg16", ModelName::Vgg16),
];

/// A case file. Its tensors: `images`, `labels`, `batch_index` (rows of every step), `init/…`, `probe/…`
/// (Rademacher directions) and the expected results `expect/…`. The run's parameters are in the metadata.
pub(super) struct Case<'a> {
    file: SafeTensors<'a>,
    /// The network.
    pub model: Model,
    /// Number of images per step.
    pub batch: usize,
    /// The update rule.
    pub sgd: Sgd,
    /// Whether the element type is float64, otherwise float32.
    pub double: bool,
    /// Description of the case for reports: network, width, steps and so on.
    pub title: String,
}

impl<'a> Case<'a> {
    pub fn read(bytes: &'a [u8]) -> Result<Self, LearnError> {
        let (_, header) = SafeTensors::read_metadata(bytes)?;
        let file = SafeTensors::deserialize(bytes)?;
        let wrong = |key: &str| LearnError::Data(format!("case file: `{key}` is missing or not supported"));
        let metadata = header.metadata().clone().unwrap_or_default();
        let field = |key: &str| metadata.get(key).map(|text| text.trim_matches('"')).ok_or_else(|| wrong(key));
        let number =
            |key: &str| field(key)?.parse::<f64>().ok().filter(|number| number.is_finite()).ok_or_else(|| wrong(key));
        let whole = |key: &str| field(key)?.parse::<u32>().map_err(|_| wrong(key));
        let named = field("model")?;
        let (_, name) = MODELS.into_iter().find(|(known, _)| *known == named).ok_or_else(|| wrong("model"))?;
        let double = match field("dtype")? {
            "fp64" => true,
            "fp32" => false,
            _ => return Err(wrong("dtype")),
        };
        let radius = if field("radius")? == "null" { None } else { Some(number("radius")?) };
        let mut model = Model::new(name, whole("width")?, whole("classes")?);
        model.conv_bias = name.is_residual() && has(&header, "init/stem.bias");
        let (lr, wd) = (number("lr")?, number("wd")?);
        let held = radius.map_or(String::new(), |radius| format!(", sphere of radius {radius}"));
        let images = file.tensor("labels")?.shape().iter().product::<usize>();
        let title = format!(
            "{named}, width {}, {} classes, {images} images, {} steps of {}, η {lr}, λ {wd}{held}, seed {}, {}",
            model.width,
            model.classes,
            field("steps")?,
            field("batch")?,
            field("seed")?,
            field("dtype")?
        );
        Ok(Self {
            file,
            model,
            batch: whole("batch")? as usize,
            sgd: Sgd {
                lr,
                wd,
                momentum: 0.0,
                ema: number("ema")?,
                sphere: radius.map(|radius| Sphere { radius, every: Projection::Step }),
            },
            double,
            title,
        })
    }

    /// Returns the element type of the case.
    pub fn kind(&self) -> Kind {
        if self.double { Kind::Double } else { Kind::Float }
    }

    /// Returns the bytes of a tensor with the given element type.
    pub fn bytes(&self, name: &str, dtype: Dtype) -> Result<&'a [u8], LearnError> {
        let view = self.file.tensor(name)?;
        match view.dtype() == dtype {
            true => Ok(view.data()),
            false => Err(LearnError::Data(format!("case file: {name} is not {dtype:?}"))),
        }
    }

    /// Returns a tensor of numbers of any type.
    pub fn numbers(&self, name: &str) -> Result<Vec<f64>, LearnError> {
        let view = self.file.tensor(name)?;
        Ok(match view.dtype() {
            Dtype::F64 => view.data().as_chunks().0.iter().map(|&b| f64::from_le_bytes(b)).collect(),
            Dtype::F32 => view.data().as_chunks().0.iter().map(|&b| f64::from(f32::from_le_bytes(b))).collect(),
            Dtype::I64 => view.data().as_chunks().0.iter().map(|&b| i64::from_le_bytes(b) as f64).collect(),
            Dtype::I8 => view.data().iter().map(|&b| f64::from(b as i8)).collect(),
            other => return Err(LearnError::Data(format!("case file: {name} is {other:?}"))),
        })
    }

    /// Returns a tensor of integers that fit the type.
    pub fn indices<T: TryFrom<i64>>(&self, name: &str) -> Result<Vec<T>, LearnError> {
        let all = self.bytes(name, Dtype::I64)?.as_chunks().0.iter();
        let index = |&bytes: &[u8; 8]| T::try_from(i64::from_le_bytes(bytes));
        let all = all.map(index).collect::<Result<_, _>>();
        all.map_err(|_| LearnError::Data(format!("case file: a value of {name} is out of range")))
    }

    /// Returns the initial value of one of the network's tensors.
    pub fn initial(&self, entry: &Entry) -> Result<Tensor, LearnError> {
        let values = self.numbers(&format!("init/{}", entry.name))?;
        match values.len() == entry.count() {
            true => Ok(Tensor::f_from_slice(&values)?),
            false => Err(LearnError::Misfit { name: entry.name.clone(), what: "has the wrong size".to_owned() }),
        }
    }

    /// Returns the expected results.
    pub fn expected(&self) -> Result<Results, LearnError> {
        let names = self.file.names().into_iter().filter_map(|name| name.strip_prefix("expect/"));
        names.map(|name| Ok((name.to_owned(), self.numbers(&format!("expect/{name}"))?))).collect()
    }

    /// Returns results as a file with the names, shapes and element types of the expected ones.
    pub fn write(&self, results: &Results) -> Result<Vec<u8>, LearnError> {
        let mut parts = Vec::new();
        for (name, values) in results {
            let name = format!("expect/{name}");
            let view = self.file.tensor(&name)?;
            let bytes: Vec<u8> = match view.dtype() {
                Dtype::F64 => values.iter().flat_map(|x| x.to_le_bytes()).collect(),
                Dtype::I64 => values.iter().flat_map(|x| (*x as i64).to_le_bytes()).collect(),
                _ => values.iter().flat_map(|x| (*x as f32).to_le_bytes()).collect(),
            };
            parts.push((name, view.dtype(), view.shape().to_vec(), bytes));
        }
        let views = parts.iter().map(|(name, dtype, shape, bytes)| {
            TensorView::new(*dtype, shape.clone(), bytes).map(|view| (name.as_str(), view))
        });
        Ok(safetensors::serialize(views.collect::<Result<Vec<_>, _>>()?, None)?)
    }
}

fn has(header: &Metadata, name: &str) -> bool {
    header.info(name).is_some()
}
