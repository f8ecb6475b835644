//! The toy model of the paper's Figure 4: label-noise SGD drifts along a valley of minima to its flattest point.
//!
//! The model is f(x, y) = s(x)·(y − φ(x)) with s² = 1/2 + x² and φ = 0.6 sin(1.2 x), fitted to the label 0 with the
//! loss L = f²/2. Its minima are the valley y = φ(x), on which Tr ∇²L = ‖∇f‖² = s²(1 + φ'²) is least at x = 0.
//!
//! Everything is computed in float64 with operations that IEEE-754 rounds exactly. Sine and cosine come from the crate `libm`,
//! which uses only such operations, not from the system. So the bits are the same on every platform. **If a number changes,
//! bump the version of the stage kind `valley`.**

use base::rng::Stream;
use base::table::Table;
use base::work::{LANDSCAPE, OPTIMUM, PATH, TUNED, Valley};

/// The x at which iterates start in the valley.
const START: f64 = 2.2;
/// Losses of the level curves in the landscape.
const LEVELS: [f64; 4] = [0.05, 0.2, 0.5, 1.0];

/// A point of the plane.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// Coordinate along the valley.
    pub x: f64,
    /// Coordinate across the valley.
    pub y: f64,
}

/// Returns φ(x), the valley's floor.
pub fn floor(x: f64) -> f64 {
    0.6 * libm::sin(1.2 * x)
}

/// Returns φ'(x).
fn slope(x: f64) -> f64 {
    0.72 * libm::cos(1.2 * x)
}

/// Returns φ''(x).
fn bend(x: f64) -> f64 {
    -0.864 * libm::sin(1.2 * x)
}

/// Returns s(x)².
fn scale2(x: f64) -> f64 {
    0.5 + x * x
}

impl Point {
    /// Returns the start of the iterates: in the valley, far from its flattest point.
    pub fn start() -> Self {
        Self { x: START, y: floor(START) }
    }

    /// Returns f.
    pub fn value(self) -> f64 {
        scale2(self.x).sqrt() * (self.y - floor(self.x))
    }

    /// Returns L = f²/2.
    pub fn loss(self) -> f64 {
        0.5 * self.value() * self.value()
    }

    /// Returns ∇f = (s'(y − φ) − sφ', s), where s' = x/s.
    fn gradient(self) -> [f64; 2] {
        let s = scale2(self.x).sqrt();
        [self.x / s * (self.y - floor(self.x)) - s * slope(self.x), s]
    }

    /// Returns Tr ∇²L at any point. With d = y − φ and (s²)'' = 2 it is s²(1 + φ'²) + d² − d(4xφ' + s²φ'').
    pub fn trace(self) -> f64 {
        let [constant, linear] = trace_terms(self.x);
        let d = self.y - floor(self.x);
        constant - linear * d + d * d
    }

    /// Returns the point after one step w ← w − η(f − ξ)∇f of gradient descent on the loss with label ξ.
    fn step(self, lr: f64, label: f64) -> Self {
        let [dx, dy] = self.gradient();
        let residual = self.value() - label;
        Self { x: self.x - lr * residual * dx, y: self.y - lr * residual * dy }
    }
}

/// Returns a and b such that Tr ∇²L is a − b·d + d² as a function of d = y − φ.
fn trace_terms(x: f64) -> [f64; 2] {
    let (s2, slope) = (scale2(x), slope(x));
    [s2 * (1.0 + slope * slope), 4.0 * x * slope + s2 * bend(x)]
}

/// Returns the iterates of label-noise SGD, beginning with the start. Every step draws a label ξ ~ N(0, σ²).
pub fn iterates(work: &Valley) -> Vec<Point> {
    let mut labels = Stream::new(work.seed, "valley", &[]);
    let mut at = Point::start();
    let mut points = vec![at];
    for _ in 0..work.steps {
        at = at.step(work.lr, work.noise * labels.normal());
        points.push(at);
    }
    points
}

/// Returns the fine-tuned iterate w̃: the end of the gradient flow on L from an iterate, computed by small steps without noise.
pub fn tuned(work: &Valley, iterate: Point) -> Point {
    (0..work.flow_steps).fold(iterate, |at, _| at.step(work.flow_lr, 0.0))
}

/// Returns w*_η, the minimum of L + ησ²·Tr ∇²L over the points of the plane with |x| ≤ 3.
///
/// For a given x, the function is a parabola in d = y − φ with its minimum at d = c·b/(s² + 2c), where c = ησ² and b is the
/// linear term of the trace. So the search is along x only: on a grid, then by golden sections around its best point.
pub fn optimum(work: &Valley) -> Point {
    let strength = work.lr * work.noise * work.noise;
    let best = |x: f64| {
        let [_, linear] = trace_terms(x);
        Point { x, y: floor(x) + strength * linear / (scale2(x) + 2.0 * strength) }
    };
    let height = |x: f64| best(x).loss() + strength * best(x).trace();
    let grid = (-300..=300).map(|i| f64::from(i) / 100.0);
    let Some(near) = grid.min_by(|a, b| height(*a).total_cmp(&height(*b))) else { return best(0.0) };
    let ratio = (5.0_f64.sqrt() - 1.0) / 2.0;
    let (mut low, mut high) = (near - 0.01, near + 0.01);
    // Each cut leaves 0.618 of the interval; below 1e-8, the heights of points no longer differ.
    for _ in 0..32 {
        let cut = ratio * (high - low);
        if height(high - cut) <= height(low + cut) { high = low + cut } else { low = high - cut }
    }
    best((low + high) / 2.0)
}

/// Returns the table `path` of the iterates, see [`PATH`].
pub fn path_table(iterates: &[Point]) -> Table {
    let row = |(step, at): (usize, &Point)| [step as f64, at.x, at.y, at.loss()];
    Table::of_rows(PATH, &iterates.iter().enumerate().map(row).collect::<Vec<_>>())
}

/// Returns a row of the table `tuned`, see [`TUNED`].
pub fn tuned_row(step: usize, iterate: Point, tuned: Point) -> [f64; TUNED.len()] {
    [step as f64, iterate.x, iterate.y, tuned.x, tuned.y, tuned.trace(), iterate.loss()]
}

/// Returns the table `optimum`, see [`OPTIMUM`].
pub fn optimum_table(optimum: Point) -> Table {
    Table::of_rows(OPTIMUM, &[[optimum.x, optimum.y, optimum.trace()]])
}

/// Returns the table `landscape`, see [`LANDSCAPE`]. It describes the loss surface, which does not depend on the work.
pub fn landscape_table() -> Table {
    let row = |i: i32| {
        let x = f64::from(i) / 50.0;
        let mut row = [0.0; LANDSCAPE.len()];
        (row[0], row[1]) = (x, floor(x));
        for (level, pair) in LEVELS.iter().zip(row[2..].chunks_exact_mut(2)) {
            let away = (2.0 * level / scale2(x)).sqrt();
            (pair[0], pair[1]) = (floor(x) + away, floor(x) - away);
        }
        row[LANDSCAPE.len() - 1] = Point { x, y: floor(x) }.trace();
        row
    };
    Table::of_rows(LANDSCAPE, &(-25..=130).map(row).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests;
