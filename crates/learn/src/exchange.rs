//! Exchange of weights with other programs: names as in PyTorch, and recognition of a network by its tensors.

mod elements;
mod faults;

use std::collections::{BTreeMap, BTreeSet};

use faults::Faults;
use safetensors::tensor::{Dtype, SafeTensors};

use super::LearnError;
use super::layout::{Layout, layout};
use super::weights::{Array, Weights};
use base::work::{Model, ModelName};

/// Naming scheme for the tensors of a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Names {
    /// The names of this program: those of a PyTorch module with the layout's structure (`stage2.0.norm1.weight`).
    Own,
    /// The names of the authors' checkpoints (`layer2.0.bn1.weight`).
    Authors,
}

/// Returns the weights of `layout` (all of them, or only its parameters) as a safetensors file with the given names. PyTorch's
/// `load_state_dict` can read a file with all weights directly.
///
/// # Errors
/// If an array's length does not match its shape.
pub fn export(weights: &Weights, layout: &Layout, names: Names) -> Result<Vec<u8>, LearnError> {
    let named = weights.iter().map(|(name, array)| (called(name, layout.model, names), array.clone()));
    named.collect::<Weights>().to_bytes()
}

/// What to do with numbers of 64 bits that are not exact in float32.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Float64 {
    /// The file is refused.
    Exact,
    /// The numbers are rounded to the nearest float32.
    Rounded,
}

/// A network from a file.
#[derive(Debug, Clone, PartialEq)]
pub struct ImportedWeights {
    /// The network.
    pub model: Model,
    /// All tensors of the network.
    pub weights: Weights,
    /// Changes made to the file's names and numbers, in words.
    pub done: Vec<String>,
    /// Whether the file comes from PyTorch's `AveragedModel`. Its running statistics are then those from the start of
    /// averaging, unless they were estimated again.
    pub is_average: bool,
}

/// Reads a safetensors file with names of either scheme, and recognises the network by them. Ignores the prefixes and extra
/// tensors of PyTorch's wrappers, and PyTorch's counters of batches. Widens numbers of 16 bits. Safe on untrusted bytes.
///
/// # Errors
/// If the bytes are not a safetensors file, or its tensors are not those of a network of this program, with finite numbers
/// and variances that are not negative.
pub fn import(bytes: &[u8], float64: Float64) -> Result<ImportedWeights, LearnError> {
    let file = SafeTensors::deserialize(bytes)?;
    let mut found: BTreeMap<String, Array> = BTreeMap::new();
    let (mut wrapped, mut types, mut is_average) = (BTreeMap::new(), BTreeMap::new(), false);
    for (full, view) in file.iter() {
        let (name, wrappers) = unwrapped(full);
        if name.ends_with("num_batches_tracked") {
            continue;
        }
        if name == "n_averaged" && view.shape().iter().product::<usize>() == 1 {
            is_average = true;
            continue;
        }
        for wrapper in wrappers {
            *wrapped.entry(wrapper).or_insert(0) += 1;
        }
        if view.dtype() != Dtype::F32 {
            *types.entry(type_name(view.dtype())).or_insert(0) += 1;
        }
        let data = elements::as_float32(full, &view, float64)?;
        let least = if name.ends_with("running_var") { 0.0 } else { f32::MIN };
        if let Some(bad) = data.iter().find(|x| !(least..=f32::MAX).contains(*x)) {
            return Err(LearnError::Misfit { name: short(full), what: format!("contains {bad}") });
        }
        if found.insert(name, Array { shape: view.shape().to_vec(), data }).is_some() {
            let what = "occurs twice, with and without the name of a wrapper".to_owned();
            return Err(LearnError::Misfit { name: short(full), what });
        }
    }
    let tensors = |number: usize| if number == 1 { "one tensor".to_owned() } else { format!("{number} tensors") };
    let mut done: Vec<_> = wrapped
        .into_iter()
        .map(|(wrapper, number)| format!("removed `{wrapper}.` from the names of {}", tensors(number)))
        .collect();
    done.extend(types.into_iter().map(|(from, number)| match (from, float64) {
        ("float64", Float64::Rounded) => format!("rounded {} of float64 to float32", tensors(number)),
        ("float64", Float64::Exact) => {
            format!("converted {} of float64 to float32 exactly", tensors(number))
        }
        _ => format!("widened {} of {from} to float32", tensors(number)),
    }));
    let (model, weights) = told(found)?;
    Ok(ImportedWeights { model, weights, done, is_average })
}

/// Finds the network of the tensors, and returns the tensors with its names.
fn told(mut found: BTreeMap<String, Array>) -> Result<(Model, Weights), LearnError> {
    let mut nearest: Option<(Faults, usize)> = None;
    for (_, name) in ModelName::ALL {
        for names in [Names::Own, Names::Authors] {
            let Some(model) = guess(name, names, &found) else { continue };
            let layout = layout(model)?;
            let faults = Faults::of(&found, &layout, names);
            if faults.count() == 0 {
                let entries = layout.entries.iter();
                let taken = entries
                    .filter_map(|entry| Some((entry.name.clone(), found.remove(&called(&entry.name, model, names))?)));
                return Ok((model, taken.collect()));
            }
            if nearest.as_ref().is_none_or(|(nearest, _)| faults.count() < nearest.count()) {
                nearest = Some((faults, layout.entries.len()));
            }
        }
    }
    // If most of the tensors are wrong, no network is similar.
    if let Some((faults, _)) = nearest.filter(|(faults, entries)| 2 * faults.count() <= *entries.max(&found.len())) {
        return Err(LearnError::Data(faults.describe()));
    }
    let known: Vec<&str> = ModelName::ALL.iter().map(|(name, _)| *name).collect();
    let first = found
        .iter()
        .next()
        .map_or(String::new(), |(name, array)| format!(" (the first is `{}` {:?})", short(name), array.shape));
    Err(LearnError::Data(format!(
        "its {} tensors{first} are not those of {}, with the names of `wdpipe export` or of the authors' \
         checkpoints",
        found.len(),
        known.join(", ")
    )))
}

/// Splits a name into the name without the parts that PyTorch's wrappers add (DataParallel, AveragedModel, torch.compile,
/// around the network or a part of it), and these parts.
fn unwrapped(name: &str) -> (String, BTreeSet<&'static str>) {
    const WRAPPERS: [&str; 2] = ["module", "_orig_mod"];
    let wrapper = |part: &str| WRAPPERS.into_iter().find(|wrapper| *wrapper == part);
    let kept: Vec<_> = name.split('.').filter(|part| wrapper(part).is_none()).collect();
    (kept.join("."), name.split('.').filter_map(wrapper).collect())
}

fn type_name(dtype: Dtype) -> &'static str {
    match dtype {
        Dtype::F16 => "float16",
        Dtype::BF16 => "bfloat16",
        _ => "float64",
    }
}

/// Shortens a name from a file for a message.
fn short(name: &str) -> String {
    name.chars().take(80).collect()
}

/// Guesses the network of the tensors, given its kind. Its sizes are those of the first and last layer. If one of the two is
/// missing or misshapen, they follow from the other layer and the usual number of classes.
fn guess(name: ModelName, names: Names, found: &BTreeMap<String, Array>) -> Option<Model> {
    let probe = Model::new(name, 1, 2);
    let (first, last) = if name.is_residual() { ("stem", "head") } else { ("features.0", "classifier.4") };
    let array = |layer: &str, part: &str| found.get(&called(&format!("{layer}.{part}"), probe, names));
    let size = |layer: &str, part: &str, at: usize| u32::try_from(*array(layer, part)?.shape.get(at)?).ok();
    // The last layer reads eight times the width.
    let width = size(first, "weight", 0).or_else(|| Some(size(last, "weight", 1)? / 8))?;
    let classes = size(last, "weight", 0).or_else(|| size(last, "bias", 0)).unwrap_or(10);
    let mut model = Model::new(name, width, classes);
    model.conv_bias = name.is_residual() && array(first, "bias").is_some();
    // The layout refuses invalid sizes; here they only mean another network.
    layout(model).ok().map(|_| model)
}

/// Returns the name of a tensor in a naming scheme.
fn called(name: &str, model: Model, names: Names) -> String {
    if names == Names::Own || !model.name.is_residual() {
        return name.to_owned();
    }
    // The skip of the scale-invariant network is a norm and a convolution; that of the others is only a convolution.
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
    use crate::init::initial_weights;
    use base::work::InitScheme;

    #[test]
    fn every_network_comes_back_under_either_names() {
        for (_, name) in ModelName::ALL {
            for conv_bias in [false, true] {
                let model = Model { conv_bias: conv_bias && name.is_residual(), ..Model::new(name, 2, 10) };
                let weights = initial_weights(model, InitScheme::Pytorch, None, 1).unwrap();
                for names in [Names::Own, Names::Authors] {
                    let bytes = export(&weights, &layout(model).unwrap(), names).unwrap();
                    let imported = import(&bytes, Float64::Exact).unwrap();
                    assert_eq!((imported.model, &imported.weights), (model, &weights), "{model:?} {names:?}");
                    assert!(imported.done.is_empty() && !imported.is_average);
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
        let import = |bytes: &[u8]| super::import(bytes, Float64::Exact);
        assert_eq!(import(&weights.to_bytes().unwrap()).unwrap().model, model);
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
    /// Returns a file that PyTorch wrote of a network of width 2, by its name in the fixtures.
    fn file(name: &str) -> Vec<u8> {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/weights");
        std::fs::read(folder.join(format!("{name}.safetensors"))).unwrap()
    }

    #[test]
    fn what_pytorchs_wrappers_add_is_passed_over() {
        let model = Model::new(ModelName::PreactResnet18, 2, 10);
        for (name, done, is_average) in [
            ("real_compile", "removed `_orig_mod.` from the names of 94 tensors", false),
            ("real_dp", "removed `module.` from the names of 94 tensors", false),
            ("real_swa", "removed `module.` from the names of 94 tensors", true),
            ("real_bf16", "widened 94 tensors of bfloat16 to float32", false),
        ] {
            let imported = import(&file(name), Float64::Exact).unwrap();
            assert_eq!(
                (imported.model, imported.done, imported.is_average),
                (model, vec![done.to_owned()], is_average),
                "{name}"
            );
        }
    }

    #[test]
    fn wrappers_nest_in_any_order_and_around_parts() {
        for (wrapped, name) in [
            ("module._orig_mod.stem.weight", "stem.weight"),
            ("_orig_mod.module.module.stem.weight", "stem.weight"),
            ("features.module.0.weight", "features.0.weight"),
            ("stage1._orig_mod.0.conv1.weight", "stage1.0.conv1.weight"),
            ("module", ""),
            ("modules.weight", "modules.weight"),
        ] {
            assert_eq!(unwrapped(wrapped).0, name);
        }
        let array = || Array { shape: vec![1], data: vec![1.0] };
        let both: Weights =
            ["stem.bias", "module.stem.bias"].map(|name| (name.to_owned(), array())).into_iter().collect();
        let error = import(&both.to_bytes().unwrap(), Float64::Exact).unwrap_err().to_string();
        assert!(error.contains("occurs twice"), "{error}");
    }

    #[test]
    fn the_tensor_that_is_wrong_is_named_with_its_shape() {
        for (name, said) in [
            ("missing_one", "preact-resnet18 of width 2 and 10 classes: missing: `head.bias` [10]"),
            ("shape_extra_dim", "misshapen: `head.bias` has the shape [1, 10] instead of [10]"),
        ] {
            let error = import(&file(name), Float64::Exact).unwrap_err().to_string();
            assert!(error.ends_with(said), "{error}");
        }
        let model = Model::new(ModelName::PreactResnet18, 2, 10);
        let weights = initial_weights(model, InitScheme::He, None, 1).unwrap();
        let refused = |weights: Weights| import(&weights.to_bytes().unwrap(), Float64::Exact).unwrap_err().to_string();
        let owned = |(name, array): (&str, &Array)| (name.to_owned(), array.clone());
        let own = || weights.iter().map(owned);
        let more =
            refused(own().chain([("fc.weight".to_owned(), Array { shape: vec![1, 2], data: vec![0.0; 2] })]).collect());
        assert!(more.ends_with("not part of the network: `fc.weight` [1, 2]"), "{more}");
        // Without the layer that determines the width, and without the one that determines the classes.
        for (gone, shape) in [("stem.weight", "[2, 3, 3, 3]"), ("head.weight", "[10, 16]")] {
            let error = refused(own().filter(|(name, _)| name != gone).collect());
            assert!(error.ends_with(&format!("missing: `{gone}` {shape}")), "{error}");
        }
        let stage: Weights = own().filter(|(name, _)| !name.starts_with("stage1")).collect();
        assert!(refused(stage).contains(" and 17 more"));
        let parameters = layout(model).unwrap();
        let parameters: BTreeSet<_> = parameters.parameters().map(|entry| entry.name.clone()).collect();
        let error = refused(own().filter(|(name, _)| parameters.contains(name)).collect());
        assert!(error.contains("the running statistics of preact-resnet18") && error.contains("update_bn"), "{error}");
    }
}
