//! Errors of this crate.

use std::fmt;

/// Where training diverged, that is, where its numbers stopped being finite.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Divergence {
    /// Epoch: counted from the initial weights for a run, and from its start for a probe.
    pub epoch: u32,
    /// First step of the epoch with a loss that is not finite; the number of steps if only the weights or
    /// the running statistics at the end of the epoch are not finite.
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

/// A failed computation, or one with an unusable result.
#[derive(Debug, thiserror::Error)]
pub enum LearnError {
    /// Sizes that this program's networks do not allow.
    #[error("a network of width {width} for {classes} classes: the width must be 1 to 1024, the classes 2 to 256")]
    Size {
        /// Channels of the first stage.
        width: u32,
        /// Number of classes.
        classes: u32,
    },
    /// A tensor of a checkpoint that does not fit the network.
    #[error("tensor `{name}` {what}")]
    Misfit {
        /// The tensor.
        name: String,
        /// The fault of the tensor.
        what: String,
    },
    /// Bytes that are not a checkpoint.
    #[error("not a readable safetensors file: {0}")]
    Checkpoint(#[from] safetensors::SafeTensorError),
    /// Images, labels or an order that do not match.
    #[error("{0}")]
    Data(String),
    /// Training diverged.
    #[error("training diverged: {0}")]
    Diverged(Divergence),
    /// The caller cancelled the computation.
    #[error("cancelled")]
    Cancelled,
    /// libtorch returned an error.
    #[error("libtorch: {0}")]
    Torch(String),
}

#[cfg(feature = "torch")]
impl From<tch::TchError> for LearnError {
    fn from(error: tch::TchError) -> Self {
        // Torch's own messages continue with a C++ stack trace; the first line is the message.
        let text = match error {
            tch::TchError::Torch(text) => text,
            other => other.to_string(),
        };
        Self::Torch(text.lines().next().unwrap_or_default().to_owned())
    }
}
