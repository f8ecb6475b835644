//! Asks the user before code from a project's files is run.

use std::io::{IsTerminal, stdin};

use super::environment;
use super::ui::Ui;
use crate::project::{Consent, ExitCode, Failure};

/// The user's answer.
pub enum Answer {
    /// The lines are allowed: now, earlier, or with `--yes`.
    Yes,
    /// They are not.
    No,
    /// There is no terminal to ask in.
    CannotAsk,
}

/// Makes sure that the user allows some lines.
///
/// # Errors
/// If the user does not allow them, or cannot be asked.
pub fn ensure(consent: &Consent, yes: bool, ui: &Ui) -> Result<(), Failure> {
    match ask(consent, yes, ui)? {
        Answer::Yes => Ok(()),
        Answer::No => Err(Failure::new(ExitCode::Interrupted, "not allowed, so nothing was done", "")),
        Answer::CannotAsk => {
            let hint = "read these lines; then add --yes to allow them this once, or run the command in a terminal, answer \
                        `y`, and they are allowed from then on";
            Err(Failure::new(ExitCode::Missing, format!("not allowed yet: {}", shown(consent)), hint))
        }
    }
}

/// Asks whether the user allows some lines. If there are none, or they were allowed before, nothing is asked.
///
/// # Errors
/// If earlier answers cannot be read, or the answer cannot be kept.
pub fn ask(consent: &Consent, yes: bool, ui: &Ui) -> Result<Answer, Failure> {
    let folder = environment::consents();
    let is_given = match &folder {
        Some(folder) => consent.is_given(folder)?,
        None => false,
    };
    if yes || consent.is_empty() || is_given {
        return Ok(Answer::Yes);
    }
    if !(ui.terminal && stdin().is_terminal()) {
        return Ok(Answer::CannotAsk);
    }
    if !ui.ask(&format!("{}\nAllow these lines from now on? [y/N] ", shown(consent))) {
        return Ok(Answer::No);
    }
    // Without a folder the answer counts only now.
    if let Some(folder) = folder {
        consent.give(&folder)?;
    }
    Ok(Answer::Yes)
}

/// Returns the lines with what happens with them.
pub fn shown(consent: &Consent) -> String {
    format!("{}:\n  {}", consent.what, consent.lines.join("\n  "))
}
