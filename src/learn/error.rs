//! What can go wrong with the numbers.

/// A computation that could not be done or whose result is of no use.
#[derive(Debug, thiserror::Error)]
pub enum LearnError {
    /// Sizes that no network of this program has.
    #[error("a network of width {width} for {classes} classes: the width must be 1 to 1024, the classes 2 to 1000")]
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
    #[error(
        "training diverged in epoch {epoch}, step {step}, at learning rate {lr} \
         (last finite loss: {last_finite_loss:?}): lower the learning rate"
    )]
    Diverged {
        /// Epoch, counted from the initial weights.
        epoch: u32,
        /// First step of the epoch with a loss that is not finite; the number of steps if it was the last update.
        step: usize,
        /// Learning rate.
        lr: f64,
        /// The last finite loss of the epoch, if any.
        last_finite_loss: Option<f64>,
    },
    /// A result is not finite.
    #[error("{0} is not finite")]
    NotFinite(&'static str),
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
