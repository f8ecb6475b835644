//! Why a stage failed.

use base::table::TableError;
use draw::figure::FigureError;
use learn::LearnError;
use learn::data::ImagesError;
use store::StoreError;

/// Why a stage failed.
#[derive(Debug, thiserror::Error)]
pub enum StageError {
    /// The stage was not given something that its kind reads.
    #[error("the input `{0}` is missing")]
    NoInput(String),
    /// An input cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An input is no set of images, or too small a one.
    #[error(transparent)]
    Images(#[from] ImagesError),
    /// An input is no table.
    #[error(transparent)]
    Table(#[from] TableError),
    /// The numbers could not be computed.
    #[error(transparent)]
    Learn(#[from] LearnError),
    /// The figure could not be drawn.
    #[error(transparent)]
    Figure(#[from] FigureError),
    /// libtorch or the device is not to be had.
    #[error("{0}")]
    Device(String),
    /// The device had no room while another stage recorded a step, when memory that is kept for later cannot be freed.
    #[error("{0}")]
    WhileRecording(LearnError),
    /// This program was built without libtorch.
    #[error("this wdpipe was built without libtorch and cannot compute it")]
    NoTorch,
    /// Asked to stop.
    #[error("cancelled")]
    Cancelled,
}

impl StageError {
    /// Whether something is missing that the user can bring, rather than that the work failed.
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Device(_) | Self::NoTorch)
    }

    /// What libtorch says when the device has no room.
    #[cfg(test)]
    pub fn no_room() -> Self {
        Self::Learn(LearnError::Torch("CUDA out of memory".to_owned()))
    }

    /// The same while another stage records a step.
    #[cfg(test)]
    pub fn no_room_while_recording() -> Self {
        Self::WhileRecording(LearnError::Torch("CUDA out of memory".to_owned()))
    }

    /// Whether the device had no room, as libtorch, cuBLAS and cuDNN say it.
    pub fn is_out_of_memory(&self) -> bool {
        // The last is what is left when cuDNN finds no room for any of its plans.
        let said = ["out of memory", "_STATUS_ALLOC_FAILED", "unable to find an engine to execute"];
        match self {
            Self::Learn(LearnError::Torch(text)) => said.iter().any(|said| text.contains(said)),
            _ => self.is_passing(),
        }
    }

    /// Whether that may pass by itself.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::WhileRecording(_))
    }

    /// Whether the store failed.
    pub fn is_storage(&self) -> bool {
        matches!(self, Self::Store(_))
    }
}
