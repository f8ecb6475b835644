//! Installs libtorch for this user.

use std::path::Path;
use std::process::Command;

use super::{ExitCode, Failure};
use crate::stages::libtorch_setup;

/// Installs libtorch in a folder by the script that is part of the program. The script prints what it does, and needs
/// Python 3 with pip, a C++ compiler and cargo. With `cuda`, it also installs the CUDA libraries.
///
/// # Errors
/// If this program does not use libtorch, the files of the script cannot be written, or the script fails.
pub fn install_libtorch(into: &Path, cuda: bool) -> Result<(), Failure> {
    let Some((script, setup)) = libtorch_setup() else {
        let hint = "build wdpipe with its default features to train; everything else works without libtorch";
        return Err(Failure::new(ExitCode::Missing, "this wdpipe was built without libtorch", hint));
    };
    let storage = |error: files::FsError| Failure::new(ExitCode::Storage, error.to_string(), "");
    let folder = into.join("setup");
    files::create_folder(&folder).map_err(storage)?;
    for (name, text) in setup {
        files::replace(&folder.join(name), text.as_bytes()).map_err(storage)?;
    }
    let mut command = Command::new("python3");
    command.arg(folder.join(script)).arg("--into").arg(into);
    if cuda {
        command.arg("--cuda");
    }
    let status = command.status().map_err(|error| {
        let hint = "install Python 3 with pip (Debian: apt-get install python3-pip)";
        Failure::new(ExitCode::Missing, format!("cannot run python3: {error}"), hint)
    })?;
    match status.success() {
        true => Ok(()),
        // The script has said why.
        false => Err(Failure::new(ExitCode::Failed, format!("libtorch was not installed in {}", into.display()), "")),
    }
}
