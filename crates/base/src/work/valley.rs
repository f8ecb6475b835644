//! The kind `valley`: label noise in a valley of minima, the toy problem of the paper's Figure 4.

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use super::contract::Tolerance;
use super::cost::{Cost, Images};
use super::import::Import;
use super::kind::{Holds, Kind, OutputSpec};
use super::model::Numerics;

/// Columns of the `path` of a `valley`, one row for the start and for every step: number of steps, the iterate w_t, L(w_t).
pub const PATH: [&str; 4] = ["step", "x", "y", "loss"];

/// Columns of `tuned`, one row for every fine-tuned iterate: number of steps of SGD before it, the iterate w_t, the end w̃_t
/// of the gradient flow from there, Tr ∇²L(w̃_t), and L(w_t) (L(w̃_t) is nearly 0, because the flow ends near the minimum).
pub const TUNED: [&str; 7] = ["step", "x", "y", "tuned_x", "tuned_y", "trace", "loss"];

/// Columns of `optimum`, one row: the minimiser w*_η of L + ησ²·Tr ∇²L, and Tr ∇²L(w*_η).
pub const OPTIMUM: [&str; 3] = ["x", "y", "trace"];

/// Columns of `landscape`, one row for every x from −0.5 to 2.6 in steps of 0.02: x; the valley's y; the two y with a loss of
/// 0.05 (`up1`, `down1`), 0.2, 0.5 and 1; Tr ∇²L on the valley.
pub const LANDSCAPE: [&str; 11] =
    ["x", "valley", "up1", "down1", "up2", "down2", "up3", "down3", "up4", "down4", "trace"];

/// The toy problem of the paper's Figure 4: label-noise SGD w ← w − η(f − ξ)∇f, ξ ~ N(0, σ²), in a valley of minima of
/// L = f²/2, and gradient flows on L from some of its iterates (see the module `valley` of the crate `learn`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Valley {
    /// Learning rate η.
    pub lr: f64,
    /// Standard deviation σ of the label noise.
    pub noise: f64,
    /// Number of steps of SGD.
    pub steps: u32,
    /// Number of steps from one fine-tuned iterate to the next. The first fine-tuned iterate is the start.
    pub every: u32,
    /// Step size of the gradient flow.
    pub flow_lr: f64,
    /// Number of steps of the gradient flow.
    pub flow_steps: u32,
    /// Seed of the label noise.
    pub seed: u64,
}

impl Kind for Valley {
    const NAME: &'static str = "valley";
    const VERSION: u32 = 1;
    const OUTPUTS: &'static [OutputSpec] = &[
        OutputSpec::table("path", &PATH),
        OutputSpec::table("tuned", &TUNED),
        OutputSpec::table("optimum", &OPTIMUM),
        OutputSpec::table("landscape", &LANDSCAPE),
    ];

    fn tolerance(_: &str) -> Option<Tolerance> {
        Some(Tolerance::NONE)
    }

    fn inputs(&self) -> Vec<&str> {
        Vec::new()
    }

    fn import(&self) -> Option<Import<'_>> {
        None
    }

    fn holds(&self) -> Holds {
        Holds::Nothing
    }

    fn numerics(&self) -> Option<Numerics> {
        None
    }

    fn epochs(&self) -> Option<RangeInclusive<u32>> {
        None
    }

    fn cost(&self, _: Images) -> Option<Cost> {
        None
    }

    fn has(&self, _: &str) -> bool {
        false
    }
}
