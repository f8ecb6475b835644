//! Reads the properties that stages inherit from the run that they start from.

use super::OWN;
use super::fields::Fields;
use super::stages::{Convention, Lineage, Site};
use crate::graph::Stage;
use base::work::{Dataset, InputScale, Model, ModelName, Numerics, Precision, Projection, Source, Work};

/// Maximum number of images in a data set.
pub const IMAGES: u32 = 200_000;

/// Reads the lineage of a stage that starts a run: the network and the other inherited properties.
pub fn founder(site: &Site<'_>) -> Lineage {
    let fields = site.fields;
    let variants = [("text", Convention::Text), ("official-code", Convention::OfficialCode)];
    let variant = fields.choice("variant", Some(Convention::Text), &variants).unwrap_or(Convention::Text);
    fields.advise(OWN);
    let name = fields.choice_or("model", None, &ModelName::ALL, OWN).unwrap_or(ModelName::PreactResnet18);
    // These two defaults follow the authors' code. The paper's text does not say how images are standardised.
    let conv_bias = variant == Convention::OfficialCode && name.is_scale_invariant();
    let input = if name == ModelName::Vgg16 { InputScale::CifarImagenet } else { InputScale::Cifar };
    let inputs = [("cifar", InputScale::Cifar), ("cifar+imagenet", InputScale::CifarImagenet)];
    let model = Model {
        name,
        width: fields.integer("width", None, 1..=1024),
        classes: fields.integer("classes", Some(10), 2..=256),
        conv_bias: fields.truth("conv_bias", conv_bias),
        input: fields.choice("input_norm", Some(input), &inputs).unwrap_or(input),
    };
    if fields.has("conv_bias") && !name.is_residual() {
        fields.complain("conv_bias", "the convolutions of vgg16 always have biases");
    }
    let radius = fields.has("radius").then(|| fields.positive("radius", None, 1e6));
    let when = if variant == Convention::OfficialCode { Some(Projection::Epoch) } else { Some(Projection::Step) };
    let moments = [("step", Some(Projection::Step)), ("epoch", Some(Projection::Epoch)), ("init", None)];
    let projection = projection(fields, radius, when, &moments);
    // The paper's text does not say the precision; bfloat16 needs no loss scale.
    let precision = if variant == Convention::OfficialCode { Precision::Fp16 } else { Precision::Bf16 };
    let numerics = Numerics { precision, channels_last: false, float32_logits: false };
    Lineage { model, numerics, batch: 128, eval_images: None, data: None, radius, projection, variant }
}

/// Reads when weights are projected onto the sphere.
fn projection(
    fields: &Fields<'_>,
    radius: Option<f64>,
    default: Option<Projection>,
    moments: &[(&'static str, Option<Projection>)],
) -> Option<Projection> {
    let chosen = fields.choice("projection", Some(default), moments).unwrap_or(default);
    if radius.is_none() && fields.has("projection") {
        fields.complain("projection", "`projection` needs a `radius`, which the run does not have");
    }
    chosen
}

/// Returns the lineage of `start` with the properties that this stage overrides, and makes the checks that are common to all
/// stages with a `start`.
pub fn inherit(site: &Site<'_>) -> Option<Lineage> {
    let fields = site.fields;
    let mut lineage = site.start.iter().find_map(|instance| instance.lineage)?;
    let precisions =
        [("fp32", Precision::Fp32), ("tf32", Precision::Tf32), ("bf16", Precision::Bf16), ("fp16", Precision::Fp16)];
    let precision = fields.choice("precision", Some(lineage.numerics.precision), &precisions);
    lineage.numerics.precision = precision.unwrap_or(lineage.numerics.precision);
    let sixteen = lineage.numerics.precision.is_16_bits();
    lineage.numerics.float32_logits = sixteen && lineage.variant == Convention::Text;
    lineage.numerics.channels_last = fields.truth("channels_last", lineage.numerics.channels_last);
    lineage.batch = fields.integer("batch", Some(lineage.batch), 1..=65_536);
    lineage.projection = projection_of(site, lineage);
    lineage.data = site.data.or(lineage.data);
    if lineage.data.is_none() {
        fields.complain("data", "`data` is missing: the name of a stage of kind dataset");
    }
    if let Some(Dataset { source, train, classes, .. }) = dataset_of(lineage, site.stages) {
        if site.form.trains && lineage.batch > *train {
            let message = format!("`batch` is {}, but there are only {train} training images", lineage.batch);
            fields.complain("batch", message);
        }
        let all = if *source == Source::Cifar100 { 100 } else { 10 };
        let classes = classes.as_ref().map_or(all, |classes| classes.len() as u32);
        if lineage.model.classes < classes {
            let (name, few) = (source.name(), lineage.model.classes);
            let message = format!(
                "{name} has {classes} classes, but the network has only {few}: set classes = {classes} where the network \
                 begins, or choose {few} classes of the data, such as classes = [0, 1]"
            );
            fields.complain("data", message);
        }
    }
    Some(lineage)
}

/// Returns when a stage that trains projects weights onto the sphere. Other stages do not change the weights.
fn projection_of(site: &Site<'_>, lineage: Lineage) -> Option<Projection> {
    match site.form.trains {
        true => {
            let moments = [("step", Some(Projection::Step)), ("epoch", Some(Projection::Epoch))];
            projection(site.fields, lineage.radius, lineage.projection, &moments)
        }
        false => lineage.projection,
    }
}

/// Returns the lineage of a stage that evaluates on training images, and reads the number of these images. By default, it is
/// that of the run that the stage starts from, or all if the stage's data have fewer images.
pub fn inherit_evaluated(site: &Site<'_>) -> Option<Lineage> {
    let mut lineage = inherit(site)?;
    let said = site.fields.has("eval_images").then(|| site.fields.integer("eval_images", None, 1..=IMAGES));
    let train = dataset_of(lineage, site.stages).map_or(IMAGES, |data| data.train);
    if let Some(images) = said.filter(|&images| images > train) {
        let message = format!("`eval_images` is {images}, but there are only {train} training images");
        site.fields.complain("eval_images", message);
    }
    lineage.eval_images = said.or(lineage.eval_images).filter(|&images| images < train);
    Some(lineage)
}

/// Returns the data set that a lineage is trained on.
pub fn dataset_of(lineage: Lineage, stages: &[Stage]) -> Option<&Dataset> {
    if let Work::Dataset(data) = &stages.get(lineage.data?)?.work { Some(data) } else { None }
}
