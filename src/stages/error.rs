//! Why a stage failed.

use base::table::TableError;
use draw::figure::FigureError;
use learn::LearnError;
use learn::data::ImagesError;
use store::StoreError;

/// Why a stage failed.
#[derive(Debug, thiserror::Error)]
pub enum StageError {
    /// An input that the kind reads was not given to the stage.
    #[error("the input `{0}` is missing")]
    NoInput(String),
    /// An input cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An input is not a set of images, or the set is too small.
    #[error(transparent)]
    Images(#[from] ImagesError),
    /// An input is not a table.
    #[error(transparent)]
    Table(#[from] TableError),
    /// The numbers could not be computed.
    #[error(transparent)]
    Learn(#[from] LearnError),
    /// The figure could not be drawn.
    #[error(transparent)]
    Figure(#[from] FigureError),
    /// A file of a command cannot be read or written.
    #[error(transparent)]
    Files(#[from] files::FsError),
    /// A command failed. The text says how, with what it printed last.
    #[error("{0}")]
    Command(String),
    /// This machine lacks what a command runs in, such as a sandbox or its packages.
    #[error("{0}")]
    Unavailable(String),
    /// libtorch or the device is not available.
    #[error("{0}")]
    Device(String),
    /// The device ran out of memory while another stage recorded a step, when libtorch cannot release its cached memory.
    #[error("{0}")]
    WhileRecording(LearnError),
    /// This program was built without libtorch.
    #[error("this wdpipe was built without libtorch and cannot compute it")]
    NoTorch,
    /// The stage was asked to stop.
    #[error("cancelled")]
    Cancelled,
}

impl StageError {
    /// Checks whether the machine lacks something that the user can provide, such as libtorch, a device or a sandbox, as
    /// opposed to a failure of the work.
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Device(_) | Self::NoTorch | Self::Unavailable(_))
    }

    /// Returns libtorch's error for a device that is out of memory.
    #[cfg(test)]
    pub fn no_room() -> Self {
        Self::Learn(LearnError::Torch("CUDA out of memory".to_owned()))
    }

    /// Returns the error for a device that ran out of memory while another stage recorded a step.
    #[cfg(test)]
    pub fn no_room_while_recording() -> Self {
        Self::WhileRecording(LearnError::Torch("CUDA out of memory".to_owned()))
    }

    /// Checks whether the device ran out of memory, by the messages of libtorch, cuBLAS and cuDNN.
    pub fn is_out_of_memory(&self) -> bool {
        // cuDNN gives the last message when it has no memory for any of its plans.
        let said = ["out of memory", "_STATUS_ALLOC_FAILED", "unable to find an engine to execute"];
        match self {
            Self::Learn(LearnError::Torch(text)) => said.iter().any(|said| text.contains(said)),
            _ => self.is_passing(),
        }
    }

    /// Checks whether the condition can pass by itself.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::WhileRecording(_))
    }

    /// Checks whether the store or another file failed, such as on a full disk, as opposed to the work.
    pub fn is_storage(&self) -> bool {
        matches!(self, Self::Store(_) | Self::Files(_))
    }
}
