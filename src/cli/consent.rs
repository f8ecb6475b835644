//! Asks the user before code from a project's files is run.

use std::io::{IsTerminal, stdin};

use super::environment;
use super::ui::Ui;
use crate::project::{Consent, ExitCode, Failure};

/// Makes sure that the user allows some lines: now, earlier, or with `--yes`. If there are none, nothing is asked.
///
/// # Errors
/// If the user does not allow them, or cannot be asked.
pub fn ensure(consent: &Consent, yes: bool, ui: &Ui) -> Result<(), Failure> {
    let folder = environment::consents();
    let is_given = match &folder {
        Some(folder) => consent.is_given(folder)?,
        None => false,
    };
    if yes || consent.is_empty() || is_given {
        return Ok(());
    }
    let shown = format!("{}:\n  {}", consent.what, consent.lines.join("\n  "));
    if !(ui.terminal && stdin().is_terminal()) {
        let hint = "read these lines; then add --yes to allow them this once, or run the command in a terminal, answer \
                    `y`, and they are allowed from then on";
        return Err(Failure::new(ExitCode::Missing, format!("not allowed yet: {shown}"), hint));
    }
    if !ui.ask(&format!("{shown}\nAllow these lines from now on? [y/N] ")) {
        return Err(Failure::new(ExitCode::Interrupted, "not allowed, so nothing was done", ""));
    }
    // Without a folder the answer counts only now.
    folder.map_or(Ok(()), |folder| Ok(consent.give(&folder)?))
}
