//! One instance of a stage of a pipeline: its table, with the settings filled in, becomes typed work.

use super::fields::Fields;
use crate::graph::{Input, Stage, StageId};
use crate::work::{
    Dataset, EmaEval, HessianTrace, Init, InitScheme, Model, ModelName, Numerics, Precision, Probe, Source, Train, Work,
};

/// Weights after some epochs of training.
#[derive(Debug, Clone, PartialEq)]
pub struct Checkpoint {
    /// Epochs of training behind them.
    pub epoch: u32,
    /// The stage that makes them.
    pub stage: StageId,
    /// Whether there is a moving average beside them.
    pub ema: bool,
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
    /// The stage that makes the data.
    pub data: Option<StageId>,
}

const EPOCHS: u32 = 1_000_000;

/// The kinds that a pipeline's `[stage.…]` may have, and the fields that name other stages.
pub const KINDS: [(&str, &[&str]); 6] = [
    ("dataset", &[]),
    ("init", &[]),
    ("train", &["start", "data"]),
    ("probe", &["start", "data"]),
    ("ema_eval", &["of", "data"]),
    ("hessian_trace", &["of", "data"]),
];

/// What an instance is built from, and where its stages go.
pub struct Site<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its table.
    pub fields: &'a Fields<'a>,
    /// The instances that it starts from or evaluates.
    pub start: &'a [Instance],
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
        "train" => train(site),
        "probe" => probe(site),
        "ema_eval" => ema_eval(site),
        _ => hessian_trace(site),
    }
}

impl Site<'_> {
    fn push(&mut self, name: String, work: Work, inputs: Vec<Input>) -> StageId {
        self.stages.push(Stage { name, work, inputs });
        self.stages.len() - 1
    }

    /// All checkpoints of what it starts from or evaluates.
    fn checkpoints(&self) -> Vec<Checkpoint> {
        self.start.iter().flat_map(|instance| &instance.checkpoints).cloned().collect()
    }
}

fn input(role: &str, stage: StageId, output: &'static str) -> Input {
    Input { role: role.to_owned(), stage, output }
}

fn data_inputs(data: Option<StageId>) -> Vec<Input> {
    data.map(|data| vec![input("train", data, "train"), input("test", data, "test")]).unwrap_or_default()
}

fn dataset(site: &mut Site<'_>) -> Instance {
    let fields = site.fields;
    let sources = [("cifar10", Source::Cifar10), ("cifar100", Source::Cifar100), ("shapes10", Source::Shapes10)];
    let source = fields.choice("source", None, &sources).unwrap_or(Source::Shapes10);
    let most = match source {
        Source::Shapes10 => [200_000, 200_000],
        Source::Cifar10 | Source::Cifar100 => [50_000, 10_000],
    };
    let train = fields.integer("train", None, 1..=most[0]);
    let test = fields.integer("test", None, 1..=most[1]);
    let seed = fields.seed("seed", Some(0));
    let stage = site.push(site.name.to_owned(), Work::Dataset(Dataset { source, train, test, seed }), Vec::new());
    Instance { checkpoints: vec![Checkpoint { epoch: 0, stage, ema: false }], lineage: None }
}

fn init(site: &mut Site<'_>) -> Instance {
    let fields = site.fields;
    let model = Model {
        name: fields
            .choice("model", None, &[("preact-resnet18", ModelName::PreactResnet18)])
            .unwrap_or(ModelName::PreactResnet18),
        width: fields.integer("width", None, 1..=1024),
        classes: fields.integer("classes", Some(10), 2..=256),
    };
    let schemes = [("he", InitScheme::He), ("pytorch", InitScheme::Pytorch)];
    let scheme = fields.choice("scheme", Some(InitScheme::He), &schemes).unwrap_or(InitScheme::He);
    let seed = fields.seed("seed", None);
    let stage = site.push(site.name.to_owned(), Work::Init(Init { model, scheme, seed }), Vec::new());
    let numerics = Numerics { precision: Precision::Fp32, channels_last: false };
    let lineage = Lineage { model, numerics, batch: 128, data: None };
    Instance { checkpoints: vec![Checkpoint { epoch: 0, stage, ema: false }], lineage: Some(lineage) }
}

/// The lineage of `start`, with what this stage says otherwise; and the checks that all share.
fn inherit(site: &Site<'_>) -> Option<Lineage> {
    let fields = site.fields;
    let mut lineage = site.start.iter().find_map(|instance| instance.lineage)?;
    let precisions = [("fp32", Precision::Fp32), ("tf32", Precision::Tf32), ("bf16", Precision::Bf16)];
    let precision = fields.choice("precision", Some(lineage.numerics.precision), &precisions);
    lineage.numerics.precision = precision.unwrap_or(Precision::Fp32);
    lineage.numerics.channels_last = fields.truth("channels_last", lineage.numerics.channels_last);
    lineage.batch = fields.integer("batch", Some(lineage.batch), 1..=65_536);
    lineage.data = site.data.or(lineage.data);
    if lineage.data.is_none() {
        fields.complain("data", "`data` is missing: the name of a stage of kind dataset");
    }
    if let Some(Dataset { source, train, .. }) = dataset_of(lineage, site.stages) {
        if lineage.batch > *train {
            let message = format!("`batch` is {}, but there are only {train} training images", lineage.batch);
            fields.complain("batch", message);
        }
        let classes = if *source == Source::Cifar100 { 100 } else { 10 };
        if lineage.model.classes < classes {
            let message =
                format!("{} has {classes} classes, but the network only {}", source.name(), lineage.model.classes);
            fields.complain("data", message);
        }
    }
    Some(lineage)
}

/// The data that a lineage is trained on.
fn dataset_of(lineage: Lineage, stages: &[Stage]) -> Option<&Dataset> {
    match &stages.get(lineage.data?)?.work {
        Work::Dataset(data) => Some(data),
        _ => None,
    }
}

fn learning_rate(fields: &Fields<'_>) -> f64 {
    let lr = fields.number("lr", None, 0.0..=1e3);
    if lr == 0.0 && fields.has("lr") {
        fields.complain("lr", "`lr` must be above 0");
    }
    lr
}

fn train(site: &mut Site<'_>) -> Instance {
    let Some(lineage) = inherit(site) else { return Instance::default() };
    let fields = site.fields;
    let epochs = fields.integer("epochs", None, 1..=EPOCHS);
    let first = fields.integer("checkpoint_first", Some(1), 1..=EPOCHS);
    let every = fields.integer("checkpoint_every", Some(1), 1..=EPOCHS);
    let ema = fields.has("ema").then(|| fields.number("ema", None, 0.0..=1.0));
    let (lr, wd) = (learning_rate(fields), fields.number("wd", Some(0.0), 0.0..=1e3));
    let seed = fields.seed("seed", None);
    let Some(mut at) = site.start.first().and_then(|instance| instance.checkpoints.last()).cloned() else {
        return Instance::default();
    };
    let end = at.epoch.saturating_add(epochs);
    let mut checkpoints = Vec::new();
    while at.epoch < end {
        // Checkpoints lie after `first + k·every` epochs since the initial weights, whatever stage they
        // belong to, and at the end: a longer run has those of a shorter one.
        let next = if at.epoch < first { first } else { first + ((at.epoch - first) / every + 1) * every };
        let next = next.min(end);
        let (first_epoch, epochs) = (at.epoch, next - at.epoch);
        let Lineage { model, numerics, batch, .. } = lineage;
        let work = Work::Train(Train { model, numerics, batch, lr, wd, ema, first_epoch, epochs, seed });
        let mut inputs = vec![input("weights", at.stage, "weights")];
        if ema.is_some() && at.ema {
            inputs.push(input("ema", at.stage, "ema"));
        }
        inputs.extend(data_inputs(lineage.data));
        let stage = site.push(format!("{}@{next}", site.name), work, inputs);
        at = Checkpoint { epoch: next, stage, ema: ema.is_some() };
        checkpoints.push(at.clone());
    }
    Instance { checkpoints, lineage: Some(lineage) }
}

fn probe(site: &mut Site<'_>) -> Instance {
    let Some(lineage) = inherit(site) else { return Instance::default() };
    let fields = site.fields;
    let after = fields.integer("after", None, 0..=EPOCHS);
    let epochs = fields.integer("epochs", None, 1..=EPOCHS);
    let (lr, wd) = (learning_rate(fields), fields.number("wd", Some(0.0), 0.0..=1e3));
    let seed = fields.seed("seed", None);
    let all = site.checkpoints();
    let Some(checkpoint) = all.iter().find(|checkpoint| checkpoint.epoch == after) else {
        let mut known: Vec<_> = all.iter().take(6).map(|checkpoint| checkpoint.epoch.to_string()).collect();
        if known.len() == 6 {
            known[5] = "…".to_owned();
        }
        fields.complain(
            "after",
            format!(
                "there is no checkpoint after {after} epochs, only after {}; choose one of those, or change \
                 `checkpoint_first` or `checkpoint_every` of the training",
                known.join(", ")
            ),
        );
        return Instance { checkpoints: Vec::new(), lineage: Some(lineage) };
    };
    let Lineage { model, numerics, batch, .. } = lineage;
    let work = Work::Probe(Probe { model, numerics, batch, lr, wd, after, epochs, seed });
    let inputs = [vec![input("weights", checkpoint.stage, "weights")], data_inputs(lineage.data)].concat();
    let stage = site.push(site.name.to_owned(), work, inputs);
    Instance { checkpoints: vec![Checkpoint { epoch: after, stage, ema: false }], lineage: Some(lineage) }
}

fn ema_eval(site: &mut Site<'_>) -> Instance {
    let Some(lineage) = inherit(site) else { return Instance::default() };
    let fields = site.fields;
    let seed = fields.seed("seed", Some(0));
    let mut checkpoints = Vec::new();
    for checkpoint in site.checkpoints() {
        if !checkpoint.ema {
            fields.complain("of", "this training keeps no moving average: give it `ema`, such as ema = 0.999");
            break;
        }
        let Lineage { model, numerics, batch, .. } = lineage;
        let work = Work::EmaEval(EmaEval { model, numerics, batch, after: checkpoint.epoch, seed });
        let inputs = [vec![input("ema", checkpoint.stage, "ema")], data_inputs(lineage.data)].concat();
        let stage = site.push(format!("{}@{}", site.name, checkpoint.epoch), work, inputs);
        checkpoints.push(Checkpoint { epoch: checkpoint.epoch, stage, ema: false });
    }
    Instance { checkpoints, lineage: None }
}

fn hessian_trace(site: &mut Site<'_>) -> Instance {
    let Some(lineage) = inherit(site) else { return Instance::default() };
    let fields = site.fields;
    let images = fields.integer("images", None, 1..=1_000_000);
    if let Some(data) = dataset_of(lineage, site.stages)
        && images > data.train
    {
        fields.complain("images", format!("`images` is {images}, but there are only {} training images", data.train));
    }
    let batch = fields.integer("chunk", Some(250), 1..=65_536);
    let draws = fields.integer("draws", None, 1..=100_000);
    let seed = fields.seed("seed", None);
    let several = site.checkpoints().len() > 1;
    let mut checkpoints = Vec::new();
    for checkpoint in site.checkpoints() {
        let after = checkpoint.epoch;
        let work = Work::HessianTrace(HessianTrace { model: lineage.model, images, batch, draws, after, seed });
        let mut inputs = vec![input("weights", checkpoint.stage, "weights")];
        inputs.extend(lineage.data.map(|data| input("train", data, "train")));
        let name = if several { format!("{}@{after}", site.name) } else { site.name.to_owned() };
        let stage = site.push(name, work, inputs);
        checkpoints.push(Checkpoint { epoch: after, stage, ema: false });
    }
    Instance { checkpoints, lineage: None }
}
