//! Tips for command lines that clap rejects: options and commands of other tools, settings written as options, and figures
//! written as commands.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::typed::Typed;
use crate::project::quoted;
use crate::spec::OWN;

/// Units of sizes and times, in small letters.
const UNITS: [&str; 18] =
    ["b", "k", "kb", "kib", "m", "mb", "mib", "g", "gb", "gib", "t", "tb", "tib", "s", "min", "h", "hours", "d"];

/// Replaces clap's tips where the program knows better.
pub fn advise(mut error: clap::Error, arguments: &[OsString]) -> clap::Error {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        _ => None,
    };
    match error.kind() {
        ErrorKind::UnknownArgument => {
            let Some(argument) = text(ContextKind::InvalidArg) else { return error };
            // clap proposes to pass the option as a target, which never helps here; a similar option can.
            error.remove(ContextKind::Suggested);
            if let Some(tip) = option(&argument, &Typed::of(arguments)) {
                error.remove(ContextKind::SuggestedArg);
                error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip.into()]));
            }
        }
        ErrorKind::InvalidSubcommand => {
            let Some(word) = text(ContextKind::InvalidSubcommand) else { return error };
            if let Some(tip) = command(&word, &Typed::of(arguments)) {
                error.remove(ContextKind::SuggestedSubcommand);
                error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip.into()]));
            }
        }
        ErrorKind::InvalidValue if arguments.windows(2).any(|words| words == ["data", "fetch"]) => {
            error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![OWN.into()]));
        }
        _ => {}
    }
    error
}

/// Returns the tip for an unknown option.
fn option(argument: &str, typed: &Typed) -> Option<String> {
    let argument = argument.split(['=', ' ']).next().unwrap_or_default();
    Some(match argument {
        "-y" => "consent to commands with --yes".to_owned(),
        "--unsigned" => "accept unsigned results with --accept unsigned".to_owned(),
        "-f" | "--force" | "--rerun" | "--no-cache" => {
            "changed stages run again by themselves; `wdpipe verify --rebuild all` computes the others again and compares"
                .to_owned()
        }
        unit if UNITS.contains(&unit.to_lowercase().as_str()) => {
            let number = typed.before(argument).filter(|number| number.parse::<f64>().is_ok())?;
            format!("write a number and its unit as one word: {number}{unit}")
        }
        _ => {
            let setting = argument.strip_prefix("--")?;
            let value = typed.value(setting).unwrap_or("VALUE");
            typed.settings().contains(&format!("{setting}=")).then(|| {
                format!("{setting} is a setting of a pipeline: --set {}", quoted(&format!("{setting}={value}")))
            })?
        }
    })
}

/// Returns the tip for an unknown command.
fn command(word: &str, typed: &Typed) -> Option<String> {
    Some(match word {
        "run" | "build" | "repro" => "`wdpipe make FIGURE` makes a figure".to_owned(),
        "gc" | "clean" | "prune" => "`wdpipe cache gc` removes what nothing needs".to_owned(),
        "list" | "ls" => "`wdpipe status` lists the figures, and `wdpipe graph` the stages".to_owned(),
        "version" => "`wdpipe --version` prints the version".to_owned(),
        "init" => "`wdpipe new --project DIR` makes a project".to_owned(),
        _ if typed.targets().contains(word) => format!("`wdpipe make {}` makes it", quoted(word)),
        _ => return None,
    })
}
