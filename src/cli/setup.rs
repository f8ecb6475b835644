//! `wdpipe setup`: installs libtorch for this user.

use clap::Args;

use super::ui::Ui;
use crate::project::{ExitCode, Failure, install_libtorch};
use crate::stages;

/// Install libtorch for this user, to train.
///
/// In a checkout of wdpipe, `ci/setup` does the same for the checkout.
#[derive(Debug, Args)]
pub struct SetupCommand {
    /// Also install the CUDA libraries, for GPUs (download 2.3 GB, disk 2.8 GB).
    #[arg(long)]
    cuda: bool,
}

impl SetupCommand {
    /// Runs the command.
    ///
    /// # Errors
    /// If there is no folder for it, or libtorch cannot be installed.
    pub fn run(&self, ui: &Ui) -> Result<(), Failure> {
        let Some(folder) = stages::own_libtorch() else {
            let hint = "set HOME, or XDG_DATA_HOME to an absolute path";
            return Err(Failure::new(ExitCode::Missing, "there is no folder for the data of this user", hint));
        };
        ui.say(&format!("installing libtorch in {}", folder.display()));
        install_libtorch(&folder, self.cuda)
    }
}
