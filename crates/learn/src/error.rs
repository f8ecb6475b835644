//! What can go wrong with the numbers.

use std::fmt;

/// Where training left the finite numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Divergence {
    /// Epoch: of a run counted from the initial weights, of a probe from its start.
    pub epoch: u32,
    /// First step of the epoch with a loss that is not finite; the number of steps if only the weights or
    /// the running statistics at its end are not.
    pub step: usize,
    /// Learning rate.
    pub lr: f64,
    /// The last finite loss of the epoch, if any.
    pub last_finite_loss: Option<f64>,
}

impl fmt::Display for Divergence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { epoch, step, lr, last_finite_loss } = self;
        write!(f, "epoch {epoch}, step {step}, learning rate {lr}, last finite loss ")?;
        match last_finite_loss {
            Some(loss) if *loss < 1e4 => write!(f, "{loss:.4}"),
            Some(loss) => write!(f, "{loss:.3e}"),
            None => f.write_str("none in this epoch"),
        }
    }
}

/// A computation that could not be done or whose result is of no use.
#[derive(Debug, thiserror::Error)]
pub enum LearnError {
    /// Sizes that no network of this program has.
    #[error("a network of width {width} for {classes} classes: the width must be 1 to 1024, the classes 2 to 256")]
    Size {
        /// Channels of the first stage.
        width: u32,
        /// Number of classes.
        classes: u32,
    },
    /// A tensor of a checkpoint is not what the network needs.
    #[error("tensor `{name}` {what}")]
    Misfit {
        /// The tensor.
        name: String,
        /// What is wrong with it.
        what: String,
    },
    /// Bytes that are no checkpoint.
    #[error("not a readable safetensors file: {0}")]
    Checkpoint(#[from] safetensors::SafeTensorError),
    /// Images, labels or an order that do not fit together.
    #[error("{0}")]
    Data(String),
    /// Training left the finite numbers.
    #[error("training diverged: {0}")]
    Diverged(Divergence),
    /// The caller asked to stop.
    #[error("cancelled")]
    Cancelled,
    /// libtorch refused.
    #[error("libtorch: {0}")]
    Torch(String),
}

#[cfg(feature = "torch")]
impl From<tch::TchError> for LearnError {
    fn from(error: tch::TchError) -> Self {
        // Torch's own messages go on with a C++ stack trace; the first line says it all.
        let text = match error {
            tch::TchError::Torch(text) => text,
            other => other.to_string(),
        };
        Self::Torch(text.lines().next().unwrap_or_default().to_owned())
    }
}
