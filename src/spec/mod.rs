//! Turns the text of a pipeline file into a checked graph of stages.

mod accepts;
mod claims;
mod code;
mod command;
mod contents;
mod copy;
mod curvature;
mod curves;
mod drawing;
mod expand;
mod fields;
mod forms;
mod gather;
mod layouts;
mod lineage;
mod made;
mod node;
mod origin;
mod panels;
mod pipeline;
mod places;
mod published;
mod reduce;
mod snippet;
mod stages;
mod start;
mod sweep;
mod training;
mod valley;

/// Says how a pipeline uses images and networks that wdpipe does not have.
pub const OWN: &str = "images and networks of your own need stages of kind command: see docs/own-network.md";

pub use contents::{Contents, Need, RESERVED};
pub use copy::{renamed, with_figures_renamed};
pub use expand::expand;
pub use forms::is_reference;
pub use node::{Data, Diagnostic, Node, Origin, did_you_mean, is_open, parse_file};
pub use origin::Told;
pub use pipeline::{Pipeline, check_set};

#[cfg(test)]
pub mod described;
#[cfg(test)]
mod tests;
