//! Weights for and from other programs: names as PyTorch users expect them, and the network told by its tensors.

use std::collections::BTreeMap;

use safetensors::tensor::{Dtype, SafeTensors};

use super::LearnError;
use super::layout::{Layout, layout};
use super::weights::{Array, Weights};
use crate::work::{Model, ModelName};

/// What the tensors of a network are called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Names {
    /// As here: those of a PyTorch module with the layout's structure (`stage2.0.norm1.weight`).
    Own,
    /// As in the authors' checkpoints (`layer2.0.bn1.weight`).
    Authors,
}

/// The weights of `layout` (all of them, or its parameters alone) as a safetensors file under some names. PyTorch's
/// `load_state_dict` takes a file with all of them as it is.
///
/// # Errors
/// If an array's length is not that of its shape.
pub fn export(weights: &Weights, layout: &Layout, names: Names) -> Result<Vec<u8>, LearnError> {
    let named = weights.iter().map(|(name, array)| (called(name, layout.model, names), array.clone()));
    named.collect::<Weights>().to_bytes()
}

/// Reads a safetensors file under either names, and tells the network by them. PyTorch's counters of batches are
/// passed over. Safe on untrusted bytes.
///
/// # Errors
/// If the bytes are no safetensors file, or its tensors are not those of a network of this program, in float32, with
/// finite numbers and variances that are not negative.
pub fn import(bytes: &[u8]) -> Result<(Model, Weights), LearnError> {
    let file = SafeTensors::deserialize(bytes)?;
    let mut found: BTreeMap<String, Array> = BTreeMap::new();
    for (name, view) in file.iter().filter(|(name, _)| !name.ends_with("num_batches_tracked")) {
        if view.dtype() != Dtype::F32 {
            let what = format!("has elements of type {:?}; convert it to float32 first", view.dtype());
            return Err(LearnError::Misfit { name: name.chars().take(80).collect(), what });
        }
        let data: Vec<f32> = view.data().as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
        let least = if name.ends_with("running_var") { 0.0 } else { f32::MIN };
        if let Some(bad) = data.iter().find(|x| !(least..=f32::MAX).contains(*x)) {
            return Err(LearnError::Misfit { name: name.chars().take(80).collect(), what: format!("contains {bad}") });
        }
        found.insert(name.to_owned(), Array { shape: view.shape().to_vec(), data });
    }
    for (_, name) in ModelName::ALL {
        for names in [Names::Own, Names::Authors] {
            let Some(model) = guess(name, names, &found) else { continue };
            let layout = layout(model)?;
            let fits = |entry: &&super::layout::Entry| {
                found.get(&called(&entry.name, model, names)).is_some_and(|array| array.shape == entry.shape)
            };
            if found.len() == layout.entries.len() && layout.entries.iter().all(|entry| fits(&entry)) {
                let taken = layout
                    .entries
                    .iter()
                    .filter_map(|entry| Some((entry.name.clone(), found.remove(&called(&entry.name, model, names))?)));
                return Ok((model, taken.collect()));
            }
        }
    }
    let known: Vec<&str> = ModelName::ALL.iter().map(|(name, _)| *name).collect();
    Err(LearnError::Data(format!(
        "its {} tensors are not those of {} under the names that `wdpipe export` gives them, nor of the authors' \
         checkpoints",
        found.len(),
        known.join(", ")
    )))
}

/// The network that the tensors would be of, if they are of that kind: its sizes are those of first and last layer.
fn guess(name: ModelName, names: Names, found: &BTreeMap<String, Array>) -> Option<Model> {
    let probe = Model::new(name, 1, 2);
    let (first, last) = if name.is_residual() { ("stem", "head") } else { ("features.0", "classifier.4") };
    let array = |layer: &str, part: &str| found.get(&called(&format!("{layer}.{part}"), probe, names));
    let size = |layer: &str| u32::try_from(*array(layer, "weight")?.shape.first()?).ok();
    let mut model = Model::new(name, size(first)?, size(last)?);
    model.conv_bias = name.is_residual() && array(first, "bias").is_some();
    // Sizes that no network has are refused by the layout; here they are just another network.
    layout(model).ok().map(|_| model)
}

/// What a tensor is called.
fn called(name: &str, model: Model, names: Names) -> String {
    if names == Names::Own || !model.name.is_residual() {
        return name.to_owned();
    }
    // The scale-invariant network's skip is a norm and a convolution, the others' a convolution alone.
    let skip_conv = if model.name.is_scale_invariant() { "shortcut.1" } else { "shortcut.0" };
    let part = |(place, part): (usize, &str)| match (place, part) {
        (0, "input_norm") => "bn1".to_owned(),
        (0, "stem") => "conv1".to_owned(),
        (0, "final_norm") => "bn".to_owned(),
        (0, "head") => "linear".to_owned(),
        (0, stage) => stage.replace("stage", "layer"),
        (2, "norm1") => "bn1".to_owned(),
        (2, "norm2") => "bn2".to_owned(),
        (2, "skip_norm") => "shortcut.0".to_owned(),
        (2, "skip_conv") => skip_conv.to_owned(),
        (_, other) => other.to_owned(),
    };
    name.split('.').enumerate().map(part).collect::<Vec<_>>().join(".")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::learn::init::initial_weights;
    use crate::work::InitScheme;

    #[test]
    fn every_network_comes_back_under_either_names() {
        for (_, name) in ModelName::ALL {
            for conv_bias in [false, true] {
                let model = Model { conv_bias: conv_bias && name.is_residual(), ..Model::new(name, 2, 10) };
                let weights = initial_weights(model, InitScheme::Pytorch, None, 1).unwrap();
                for names in [Names::Own, Names::Authors] {
                    let bytes = export(&weights, &layout(model).unwrap(), names).unwrap();
                    assert_eq!(import(&bytes).unwrap(), (model, weights.clone()), "{model:?} {names:?}");
                }
            }
        }
    }

    #[test]
    fn the_authors_names_are_theirs() {
        let name = |name: &str, model| called(name, Model::new(model, 1, 10), Names::Authors);
        for (own, authors) in [
            ("input_norm.running_mean", "bn1.running_mean"),
            ("stem.weight", "conv1.weight"),
            ("stage2.0.norm1.bias", "layer2.0.bn1.bias"),
            ("stage2.0.conv2.weight", "layer2.0.conv2.weight"),
            ("stage2.0.skip_conv.weight", "layer2.0.shortcut.0.weight"),
            ("final_norm.weight", "bn.weight"),
            ("head.bias", "linear.bias"),
        ] {
            assert_eq!(name(own, ModelName::PreactResnet18), authors);
        }
        let invariant = ModelName::ScaleInvariantResnet18;
        assert_eq!(name("stage3.0.skip_norm.running_var", invariant), "layer3.0.shortcut.0.running_var");
        assert_eq!(name("stage3.0.skip_conv.weight", invariant), "layer3.0.shortcut.1.weight");
        assert_eq!(name("features.7.bias", ModelName::Vgg16), "features.7.bias");
    }

    #[test]
    fn counters_are_passed_over_and_strangers_refused() {
        let model = Model::new(ModelName::PreactResnet18, 1, 10);
        let mut weights = initial_weights(model, InitScheme::He, None, 1).unwrap();
        let counter =
            |value| ("final_norm.num_batches_tracked".to_owned(), Array { shape: vec![1], data: vec![value] });
        weights = weights.iter().map(|(n, a)| (n.to_owned(), a.clone())).chain([counter(3.0)]).collect();
        assert_eq!(import(&weights.to_bytes().unwrap()).unwrap().0, model);
        let stranger = |(name, array): (&str, &Array)| (name.replace("stage4", "stage5"), array.clone());
        let strange: Weights = weights.iter().map(stranger).collect();
        assert!(matches!(import(&strange.to_bytes().unwrap()), Err(LearnError::Data(_))));
        for (tensor, value) in
            [("head.bias", f32::NAN), ("stem.weight", f32::INFINITY), ("final_norm.running_var", -1.0)]
        {
            let spoil = |(name, array): (&str, &Array)| {
                let mut array = array.clone();
                if name == tensor {
                    array.data[0] = value;
                }
                (name.to_owned(), array)
            };
            let spoilt: Weights = weights.iter().map(spoil).collect();
            let error = import(&spoilt.to_bytes().unwrap()).unwrap_err().to_string();
            assert!(error.contains(tensor) && error.contains(&format!("contains {value}")), "{error}");
        }
        assert!(import(b"no file").is_err());
        assert!(import(&Weights::default().to_bytes().unwrap()).is_err());
    }
}
