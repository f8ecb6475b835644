//! From the text of a pipeline file to a checked graph of stages.

mod claims;
mod curvature;
mod curves;
mod expand;
mod fields;
mod node;
mod origin;
mod panels;
mod pipeline;
mod stages;
mod sweep;
mod valley;

pub use expand::expand;
pub use node::{Diagnostic, Origin, did_you_mean};
pub use origin::Told;
pub use pipeline::Pipeline;

#[cfg(test)]
mod tests;
