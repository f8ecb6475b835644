//! The facts that the program knows about a kind of stage. Each kind states them in its own file, next to its parameters.

use std::ops::RangeInclusive;

use super::contract::Tolerance;
use super::cost::{Cost, Images};
use super::import::Import;
use super::model::{Model, Numerics};

/// A kind of stage. The struct of its parameters implements it.
///
/// No fact has a default value, so the compiler requires all of them from a new kind.
pub trait Kind {
    /// The name in pipelines, records and keys.
    const NAME: &'static str;
    /// The version, which is part of every key. **Raise it when the results of the kind change.**
    const VERSION: u32;
    /// All outputs that a stage of this kind can have, in order.
    const OUTPUTS: &'static [OutputSpec];

    /// Returns the tolerance of the numbers in a column of a recorded table; `None` if they are not judged.
    fn tolerance(column: &str) -> Option<Tolerance>;

    /// Returns the roles of the objects that the stage reads. An import comes from outside the graph, all others from stages.
    fn inputs(&self) -> Vec<&str>;

    /// Returns the data set or weights that a user has to import before the stage can run.
    fn import(&self) -> Option<Import<'_>>;

    /// Returns what the outputs contain besides tables and drawings.
    fn holds(&self) -> Holds;

    /// Returns the arithmetic of the stage in libtorch; `None` if the stage does not use libtorch.
    ///
    /// Numbers from libtorch depend on the numeric policy and on the class of machine ([`super::Contract`]).
    fn numerics(&self) -> Option<Numerics>;

    /// Returns the values in the column `epoch` of its tables, if they have that column (see [`super::METRICS`]).
    fn epochs(&self) -> Option<RangeInclusive<u32>>;

    /// Returns the cost of the stage, given the numbers of images that it reads; `None` if it does little arithmetic and needs no
    /// GPU.
    fn cost(&self, images: Images) -> Option<Cost>;

    /// Whether the stage has an output that only some stages of its kind have ([`Presence::Sometimes`]).
    fn has(&self, output: &str) -> bool;
}

/// An output that a kind of stage declares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutputSpec {
    /// Name of the output.
    pub name: &'static str,
    /// What the bytes of the output contain.
    pub content: Content,
    /// Which stages of the kind have the output.
    pub presence: Presence,
}

impl OutputSpec {
    /// Declares an output that every stage of the kind has.
    pub const fn new(name: &'static str, content: Content) -> Self {
        Self { name, content, presence: Presence::Always }
    }

    /// Declares a table that every stage of the kind has.
    pub const fn table(name: &'static str, columns: &'static [&'static str]) -> Self {
        Self::new(name, Content::Table(columns))
    }
}

/// Which stages of a kind have an output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// All stages.
    Always,
    /// Stages with certain parameters, see [`Kind::outputs`].
    Sometimes,
    /// Stages whose run left the finite numbers.
    OnDivergence,
}

/// What the bytes of an output contain.
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
    /// A table with these columns. Without any, the columns are known only when the table is there.
    Table(&'static [&'static str]),
    /// A JSON value.
    Json,
    /// What a command says that it is.
    Bytes,
}

impl Content {
    /// Checks whether the content is bulk: large, or quickly drawn again from the numbers. Bulk is left out where only numbers
    /// count.
    pub fn is_bulk(self) -> bool {
        match self {
            Self::Images | Self::Network | Self::Parameters | Self::LossScale | Self::Drawing | Self::Bytes => true,
            Self::Plotted | Self::Table(_) | Self::Json => false,
        }
    }
}

/// What the outputs of a stage contain besides tables and drawings.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Holds {
    /// Nothing.
    Nothing,
    /// Images, with their numbers.
    Images(Images),
    /// The weights of a network, and other state of a run.
    Weights(Model),
}

/// Returns the index of the epoch whose row is measured after `after` epochs of training.
pub fn row_of(after: u32) -> u32 {
    after.saturating_sub(1)
}

/// Returns the range of the column `epoch` in a table whose rows are all measured after `after` epochs of training.
pub(super) fn one_row(after: u32) -> Option<RangeInclusive<u32>> {
    Some(row_of(after)..=row_of(after))
}
