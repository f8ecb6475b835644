//! What the program knows of a kind of stage. Each kind states it in its own file, next to its parameters.

use std::ops::RangeInclusive;

use super::contract::Tolerance;
use super::cost::{Cost, Images};
use super::import::Import;
use super::model::{Model, Numerics};

/// A kind of stage. The struct of its parameters implements it.
///
/// No fact has a default value, so the compiler asks a new kind for all of them.
pub trait Kind {
    /// The name in pipelines, records and keys.
    const NAME: &'static str;
    /// The version, which is part of every key. **Raise it when the kind computes something else than before.**
    const VERSION: u32;
    /// All outputs that a stage of this kind can have, in order.
    const OUTPUTS: &'static [OutputSpec];

    /// The tolerance of a number in a recorded table, by the table's column; `None` if the number is not judged.
    fn tolerance(column: &str) -> Option<Tolerance>;

    /// The roles of the objects that the stage reads. An import comes from outside the graph, all others from stages.
    fn inputs(&self) -> Vec<&str>;

    /// What a user has to bring into the store before the stage can run.
    fn import(&self) -> Option<Import<'_>>;

    /// What the outputs hold besides tables and drawings.
    fn holds(&self) -> Holds;

    /// How the stage computes with libtorch; `None` if it does without.
    ///
    /// Numbers from libtorch depend on the numeric policy and on the class of machine ([`super::Contract`]).
    fn numerics(&self) -> Option<Numerics>;

    /// The values in the column `epoch` of its tables, if they have that column (see [`super::METRICS`]).
    fn epochs(&self) -> Option<RangeInclusive<u32>>;

    /// What the stage costs, given how many images it reads; `None` if it does little arithmetic and needs no GPU.
    fn cost(&self, images: Images) -> Option<Cost>;

    /// Whether the stage has an output that only some stages of its kind have ([`Presence::Sometimes`]).
    fn has(&self, output: &str) -> bool;
}

/// An output that a kind of stage declares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutputSpec {
    /// Its name.
    pub name: &'static str,
    /// What its bytes are.
    pub content: Content,
    /// Which stages of the kind have it.
    pub presence: Presence,
}

impl OutputSpec {
    /// An output that every stage of the kind has.
    pub const fn new(name: &'static str, content: Content) -> Self {
        Self { name, content, presence: Presence::Always }
    }

    /// A table that every stage of the kind has.
    pub const fn table(name: &'static str, columns: &'static [&'static str]) -> Self {
        Self::new(name, Content::Table(columns))
    }
}

/// Which stages of a kind have an output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// All of them.
    Always,
    /// Those with certain parameters, see [`Kind::has`].
    Sometimes,
    /// Those whose run left the finite numbers.
    OnDivergence,
}

/// What the bytes of an output are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// Images with their labels.
    Images,
    /// All tensors of a network.
    Network,
    /// One number for each trained parameter of a network, such as a moving average.
    Parameters,
    /// The state of the loss scale of float16.
    LossScale,
    /// A drawing.
    Drawing,
    /// The plotted numbers of a figure.
    Plotted,
    /// A table with these columns.
    Table(&'static [&'static str]),
}

impl Content {
    /// Whether it is bulk: large, or quickly drawn again from the numbers. Bulk is left out where only numbers count.
    pub fn is_bulk(self) -> bool {
        match self {
            Self::Images | Self::Network | Self::Parameters | Self::LossScale | Self::Drawing => true,
            Self::Plotted | Self::Table(_) => false,
        }
    }
}

/// What the outputs of a stage hold besides tables and drawings.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Holds {
    /// Nothing.
    Nothing,
    /// So many images.
    Images(Images),
    /// The weights of a network, and what goes with them.
    Weights(Model),
}

/// The index of the epoch whose row is measured after so many epochs of training.
pub fn row_of(after: u32) -> u32 {
    after.saturating_sub(1)
}

/// The column `epoch` of a table whose rows are all measured after so many epochs of training.
pub(super) fn one_row(after: u32) -> Option<RangeInclusive<u32>> {
    Some(row_of(after)..=row_of(after))
}
