//! One instance of a stage of a pipeline: its table, with the settings filled in, becomes typed work.

use super::fields::Fields;
use super::sweep::MOST;
use crate::graph::{Input, Stage, StageId};
use base::work::{
    Dataset, EmaEval, Imported, Init, InitScheme, InputScale, Model, ModelName, Numerics, Precision, Predictions,
    Probe, Projection, Source, Sphere, Train, Work,
};

/// Weights after some epochs of training.
#[derive(Debug, Clone, PartialEq)]
pub struct Checkpoint {
    /// Epochs of training behind them.
    pub epoch: u32,
    /// The stage that makes them.
    pub stage: StageId,
    /// What lies beside them, see [`Train::keeps`].
    pub kept: Vec<&'static str>,
}

impl Checkpoint {
    /// Weights alone.
    pub fn of(epoch: u32, stage: StageId) -> Self {
        Self { epoch, stage, kept: Vec::new() }
    }
}

/// What one instance of a stage gives to others.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Instance {
    /// The graph's stages behind it, in order: several for training and for evaluations of it.
    pub checkpoints: Vec<Checkpoint>,
    /// What the weights are of; absent for data.
    pub lineage: Option<Lineage>,
}

/// What is handed down from a run to what starts from it, unless said otherwise.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Lineage {
    /// The network.
    pub model: Model,
    /// Arithmetic.
    pub numerics: Numerics,
    /// Images a step.
    pub batch: u32,
    /// Training images that it is evaluated on; absent: all.
    pub eval_images: Option<u32>,
    /// The stage that makes the data.
    pub data: Option<StageId>,
    /// The sphere on which the weights are held.
    pub radius: Option<f64>,
    /// When they are put back on it; never but at the start, if absent.
    pub projection: Option<Projection>,
    /// Whose conventions hold where the pipeline says nothing.
    pub variant: Convention,
}

/// Where the paper's text and its authors' code differ, which of them gives the defaults.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Convention {
    /// The text.
    Text,
    /// The code.
    OfficialCode,
}

const EPOCHS: u32 = 1_000_000;

/// Most images of a data set.
const IMAGES: u32 = 200_000;

/// The kinds that a pipeline's `[stage.…]` may have, and the fields that name other stages.
pub const KINDS: [(&str, &[&str]); 12] = [
    ("dataset", &[]),
    ("init", &[]),
    ("weights", &[]),
    ("train", &["start", "data"]),
    ("probe", &["start", "data"]),
    ("ema_eval", &["of", "data"]),
    ("predictions", &["of", "data"]),
    ("hessian_trace", &["of", "data"]),
    ("top_eigenvalue", &["of", "data"]),
    ("noise_covariance", &["of", "data"]),
    ("noise_scale", &["of", "data"]),
    ("valley", &[]),
];

/// What an instance is built from, and where its stages go.
pub struct Site<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its table.
    pub fields: &'a Fields<'a>,
    /// Whether it trains.
    pub trains: bool,
    /// The instances that it starts from or evaluates.
    pub start: &'a [&'a Instance],
    /// The stage of its data, if it names one.
    pub data: Option<StageId>,
    /// The stages of the graph so far.
    pub stages: &'a mut Vec<Stage>,
}

/// Reads the fields of `kind` and adds its stages to the graph.
pub fn build(kind: &str, site: &mut Site<'_>) -> Instance {
    match kind {
        "dataset" => dataset(site),
        "init" => init(site),
        "weights" => imported(site),
        "train" => train(site),
        "probe" => probe(site),
        "ema_eval" => ema_eval(site),
        "predictions" => predictions(site),
        "valley" => super::valley::build(site),
        _ => super::curvature::build(kind, site),
    }
}

impl Site<'_> {
    pub fn push(&mut self, name: String, work: Work, inputs: Vec<Input>) -> StageId {
        self.stages.push(Stage { name, work, inputs });
        self.stages.len() - 1
    }

    /// The name of the stage that looks at the checkpoint after some epochs: its own, if there is no other.
    pub fn name_after(&self, epoch: u32) -> String {
        if self.start.iter().map(|instance| instance.checkpoints.len()).sum::<usize>() > 1 {
            format!("{}@{epoch}", self.name)
        } else {
            self.name.to_owned()
        }
    }

    /// All checkpoints of what it starts from or evaluates.
    pub fn checkpoints(&self) -> Vec<Checkpoint> {
        self.start.iter().flat_map(|instance| &instance.checkpoints).cloned().collect()
    }

    /// Those of them that it looks at: `after = [1, 5]` chooses some by their epochs.
    pub fn chosen(&self) -> Vec<Checkpoint> {
        let all = self.checkpoints();
        let Some(wanted) = self.fields.integers("after") else { return all };
        for epoch in wanted.iter().filter(|epoch| all.iter().all(|checkpoint| checkpoint.epoch != **epoch)) {
            self.fields.complain("after", no_checkpoint(*epoch, &all));
        }
        all.into_iter().filter(|checkpoint| wanted.contains(&checkpoint.epoch)).collect()
    }
}

pub fn input(role: &str, stage: StageId, output: &'static str) -> Input {
    Input { role: role.to_owned(), stage, output }
}

fn data_inputs(data: Option<StageId>) -> Vec<Input> {
    data.map(|data| vec![input("train", data, "train"), input("test", data, "test")]).unwrap_or_default()
}

fn dataset(site: &mut Site<'_>) -> Instance {
    let fields = site.fields;
    let sources = [("cifar10", Source::Cifar10), ("cifar100", Source::Cifar100), ("shapes10", Source::Shapes10)];
    let source = fields.choice("source", None, &sources).unwrap_or(Source::Shapes10);
    let train = fields.integer("train", None, 1..=IMAGES);
    let test = fields.integer("test", None, 1..=IMAGES);
    let seed = fields.seed("seed", Some(0));
    let all = if source == Source::Cifar100 { 100 } else { 10 };
    let classes = fields.integers("classes").map(|classes| {
        let mut sorted = classes.clone();
        sorted.sort_unstable();
        sorted.dedup();
        if sorted.len() != classes.len() || classes.len() < 2 || classes.iter().any(|&class| class >= all) {
            fields.complain("classes", format!("`classes` are two or more different numbers from 0 to {}", all - 1));
        }
        classes.into_iter().map(|class| class.min(255) as u8).collect::<Vec<u8>>()
    });
    if source != Source::Shapes10 {
        // Both have the same number of images of every class.
        let share = classes.as_ref().map_or(all, |classes| classes.len() as u32);
        let of = if classes.is_some() { format!(" of {share} classes") } else { String::new() };
        for (field, wanted, there, what) in [("train", train, 50_000, "training"), ("test", test, 10_000, "test")] {
            let there = there / all * share;
            if wanted > there {
                let name = source.name();
                fields.complain(field, format!("`{field}` is {wanted}, but {name} has only {there} {what} images{of}"));
            }
        }
    }
    let work = Dataset { source, train, test, classes, seed };
    let stage = site.push(site.name.to_owned(), Work::Dataset(work), Vec::new());
    Instance { checkpoints: vec![Checkpoint::of(0, stage)], lineage: None }
}

fn init(site: &mut Site<'_>) -> Instance {
    let fields = site.fields;
    let lineage = founder(site);
    let default = match lineage.variant {
        Convention::Text => InitScheme::He,
        Convention::OfficialCode => InitScheme::Pytorch,
    };
    let schemes = [("he", InitScheme::He), ("pytorch", InitScheme::Pytorch)];
    let scheme = fields.choice("scheme", Some(default), &schemes).unwrap_or(default);
    let radius = lineage.start_radius();
    let seed = fields.seed("seed", None);
    let work = Work::Init(Init { model: lineage.model, scheme, radius, seed });
    let stage = site.push(site.name.to_owned(), work, Vec::new());
    Instance { checkpoints: vec![Checkpoint::of(0, stage)], lineage: Some(lineage) }
}

fn imported(site: &mut Site<'_>) -> Instance {
    let lineage = founder(site);
    let name = site.fields.text("name", None);
    let work = Work::Imported(Imported { model: lineage.model, name, radius: lineage.start_radius() });
    let stage = site.push(site.name.to_owned(), work, Vec::new());
    Instance { checkpoints: vec![Checkpoint::of(0, stage)], lineage: Some(lineage) }
}

/// What a stage says that others start from: the network and what is handed down with it.
fn founder(site: &Site<'_>) -> Lineage {
    let fields = site.fields;
    let variants = [("text", Convention::Text), ("official-code", Convention::OfficialCode)];
    let variant = fields.choice("variant", Some(Convention::Text), &variants).unwrap_or(Convention::Text);
    let name = fields.choice("model", None, &ModelName::ALL).unwrap_or(ModelName::PreactResnet18);
    // Both as the authors' code has them; the text says nothing of the second.
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
    // The text is silent; bfloat16 needs no loss scale.
    let precision = if variant == Convention::OfficialCode { Precision::Fp16 } else { Precision::Bf16 };
    let numerics = Numerics { precision, channels_last: false, float32_logits: false };
    Lineage { model, numerics, batch: 128, eval_images: None, data: None, radius, projection, variant }
}

/// When weights are put back on the sphere.
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

/// The lineage of `start`, with what this stage says otherwise; and the checks that all share.
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
        if site.trains && lineage.batch > *train {
            let message = format!("`batch` is {}, but there are only {train} training images", lineage.batch);
            fields.complain("batch", message);
        }
        let all = if *source == Source::Cifar100 { 100 } else { 10 };
        let classes = classes.as_ref().map_or(all, |classes| classes.len() as u32);
        if lineage.model.classes < classes {
            let message =
                format!("{} has {classes} classes, but the network only {}", source.name(), lineage.model.classes);
            fields.complain("data", message);
        }
    }
    Some(lineage)
}

/// When a stage that trains puts weights back on the sphere; others do not move them.
fn projection_of(site: &Site<'_>, lineage: Lineage) -> Option<Projection> {
    match site.trains {
        true => {
            let moments = [("step", Some(Projection::Step)), ("epoch", Some(Projection::Epoch))];
            projection(site.fields, lineage.radius, lineage.projection, &moments)
        }
        false => lineage.projection,
    }
}

/// The lineage of a stage that evaluates on training images, on how many of them if not on all. What starts from a run is
/// evaluated on as many, or on all if its data are fewer.
fn inherit_evaluated(site: &Site<'_>) -> Option<Lineage> {
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

/// The data that a lineage is trained on.
pub fn dataset_of(lineage: Lineage, stages: &[Stage]) -> Option<&Dataset> {
    match &stages.get(lineage.data?)?.work {
        Work::Dataset(data) => Some(data),
        _ => None,
    }
}

impl Lineage {
    /// The norm to which the first weights are scaled. The authors' training script projects at the end of epochs
    /// only, so it does not start on the sphere.
    fn start_radius(&self) -> Option<f64> {
        self.radius.filter(|_| self.projection != Some(Projection::Epoch))
    }

    fn sphere(&self) -> Option<Sphere> {
        Some(Sphere { radius: self.radius?, every: self.projection? })
    }
}

fn train(site: &mut Site<'_>) -> Instance {
    let Some(lineage) = inherit_evaluated(site) else { return Instance::default() };
    let fields = site.fields;
    let epochs = fields.integer("epochs", None, 1..=EPOCHS);
    let first = fields.integer("checkpoint_first", Some(1), 1..=EPOCHS);
    let every = fields.integer("checkpoint_every", Some(1), 1..=EPOCHS);
    let eval_every = fields.integer("eval_every", Some(1), 1..=EPOCHS);
    if eval_every > 1 && (first, every) == (1, 1) {
        let message = "`eval_every` has no effect: every checkpoint is evaluated as well, and there is one after each epoch. \
                       Say checkpoint_every = N for one after every N epochs";
        fields.complain("eval_every", message);
    }
    let ema = fields.has("ema").then(|| fields.number("ema", None, 0.0..=1.0));
    let momentum = fields.number("momentum", Some(0.0), 0.0..=1.0);
    let sphere = lineage.sphere();
    let (lr, wd) = (fields.positive("lr", None, 1e6), fields.number("wd", Some(0.0), 0.0..=1e3));
    let seed = fields.seed("seed", None);
    let Some(mut at) = site.start.first().and_then(|instance| instance.checkpoints.last()).cloned() else {
        return Instance::default();
    };
    let end = at.epoch.saturating_add(epochs);
    let mut checkpoints = Vec::new();
    // Too many stages are complained of by the caller; here they only must not fill the memory.
    while at.epoch < end && checkpoints.len() <= MOST {
        // Checkpoints lie after `first + k·every` epochs since the initial weights, whatever stage they
        // belong to, and at the end: a longer run has those of a shorter one.
        let next = if at.epoch < first { first } else { first + ((at.epoch - first) / every + 1) * every };
        let next = next.min(end);
        let (first_epoch, epochs) = (at.epoch, next - at.epoch);
        let Lineage { model, numerics, batch, eval_images, .. } = lineage;
        let eval_every = Some(eval_every);
        let mut work = Train {
            model,
            numerics,
            batch,
            lr,
            wd,
            momentum,
            sphere,
            ema,
            first_epoch,
            epochs,
            eval_every,
            eval_images,
            seed,
        };
        // A segment that leaves out no epoch is the same as without the parameter.
        work.eval_every = work.eval_every.filter(|_| work.evaluations() < epochs);
        let mut inputs = vec![input("weights", at.stage, "weights")];
        let kept = work.keeps();
        inputs.extend(kept.iter().filter(|name| at.kept.contains(name)).map(|name| input(name, at.stage, name)));
        inputs.extend(data_inputs(lineage.data));
        let stage = site.push(format!("{}@{next}", site.name), Work::Train(work), inputs);
        at = Checkpoint { epoch: next, stage, kept };
        checkpoints.push(at.clone());
    }
    Instance { checkpoints, lineage: Some(lineage) }
}

fn probe(site: &mut Site<'_>) -> Instance {
    let Some(lineage) = inherit_evaluated(site) else { return Instance::default() };
    let fields = site.fields;
    let after = fields.integer("after", None, 0..=EPOCHS);
    let epochs = fields.integer("epochs", None, 1..=EPOCHS);
    let (lr, wd) = (fields.positive("lr", None, 1e6), fields.number("wd", Some(0.0), 0.0..=1e3));
    let seed = fields.seed("seed", None);
    let all = site.checkpoints();
    let Some(checkpoint) = all.iter().find(|checkpoint| checkpoint.epoch == after) else {
        fields.complain("after", no_checkpoint(after, &all));
        return Instance { checkpoints: Vec::new(), lineage: Some(lineage) };
    };
    let Lineage { model, numerics, batch, eval_images, .. } = lineage;
    let sphere = lineage.sphere();
    let work = Work::Probe(Probe { model, numerics, batch, lr, wd, sphere, after, epochs, eval_images, seed });
    let inputs = [vec![input("weights", checkpoint.stage, "weights")], data_inputs(lineage.data)].concat();
    let stage = site.push(site.name.to_owned(), work, inputs);
    Instance { checkpoints: vec![Checkpoint::of(after, stage)], lineage: Some(lineage) }
}

fn no_checkpoint(after: u32, all: &[Checkpoint]) -> String {
    let mut known: Vec<_> = all.iter().take(6).map(|checkpoint| checkpoint.epoch.to_string()).collect();
    if known.len() == 6 {
        known[5] = "…".to_owned();
    }
    format!(
        "there is no checkpoint after {after} epochs, only after {}; choose one of those, or change \
         `checkpoint_first` or `checkpoint_every` of the training",
        known.join(", ")
    )
}

fn ema_eval(site: &mut Site<'_>) -> Instance {
    let Some(lineage) = inherit_evaluated(site) else { return Instance::default() };
    let fields = site.fields;
    let seed = fields.seed("seed", Some(0));
    let mut checkpoints = Vec::new();
    for checkpoint in site.chosen() {
        if !checkpoint.kept.contains(&"ema") {
            fields.complain("of", "this training keeps no moving average: give it `ema`, such as ema = 0.999");
            break;
        }
        let Lineage { model, batch, eval_images, .. } = lineage;
        // It computes in float32 whatever the run's precision.
        let numerics = Numerics { float32_logits: false, ..lineage.numerics };
        let work = Work::EmaEval(EmaEval { model, numerics, batch, after: checkpoint.epoch, eval_images, seed });
        let inputs = [vec![input("ema", checkpoint.stage, "ema")], data_inputs(lineage.data)].concat();
        let stage = site.push(format!("{}@{}", site.name, checkpoint.epoch), work, inputs);
        checkpoints.push(Checkpoint::of(checkpoint.epoch, stage));
    }
    Instance { checkpoints, lineage: None }
}

fn predictions(site: &mut Site<'_>) -> Instance {
    let Some(lineage) = inherit(site) else { return Instance::default() };
    let mut checkpoints = Vec::new();
    for checkpoint in site.chosen() {
        let work = Work::Predictions(Predictions { model: lineage.model });
        let mut inputs = vec![input("weights", checkpoint.stage, "weights")];
        inputs.extend(lineage.data.map(|data| input("test", data, "test")));
        let stage = site.push(site.name_after(checkpoint.epoch), work, inputs);
        checkpoints.push(Checkpoint::of(checkpoint.epoch, stage));
    }
    Instance { checkpoints, lineage: None }
}
