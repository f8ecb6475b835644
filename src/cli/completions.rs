//! `wdpipe completions`: completes words in a shell. The script asks the program itself for candidates, so that they come from
//! the user's project.

use std::collections::BTreeSet;
use std::ffi::OsString;

use clap::{Args, Command, CommandFactory, ValueEnum};
use clap_complete::env::{CompleteEnv, Shells};
use clap_complete::{ArgValueCandidates, CompletionCandidate};

use super::Cli;
use super::environment;
use super::typed::Typed;
use super::ui::Ui;
use crate::project::{ExitCode, Failure};

/// Variable with which the script asks for candidates.
const VARIABLE: &str = "WDPIPE_COMPLETE";

/// Print a script that completes words in a shell.
///
/// The shell then completes commands and options, and from the project's files targets, profiles, settings and remotes.
#[derive(Debug, Args)]
pub struct CompletionsCommand {
    /// The shell.
    #[arg(value_enum, value_name = "SHELL")]
    shell: Shell,
}

/// Shells with a script.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

/// Line for zsh that loads its system of completions, unless the user's settings have done it.
const LOAD: &str = "(( $+functions[compdef] )) || { autoload -Uz compinit && compinit -i }";

/// Command of clap's script for zsh that adds words, each with a space behind it; and the same without a space after `=`.
const ADD: &str = "[[ -n $other ]] && _describe -V 'values' other";
const ADD_OPEN: &str = "local -a open=(${(M)other:#*=}) closed=(${other:#*=})
        [[ -n $open ]] && _describe -V 'values' open -S ''
        [[ -n $closed ]] && _describe -V 'values' closed";

impl Shell {
    /// Returns clap's script with what it lacks.
    fn complete(self, script: &str) -> String {
        match (self, script.split_once('\n')) {
            // The first line must stay the first, because zsh looks for it.
            (Self::Zsh, Some((first, rest))) => format!("{first}\n{LOAD}\n{}", rest.replace(ADD, ADD_OPEN)),
            _ => script.to_owned(),
        }
    }
}

impl CompletionsCommand {
    /// Runs the command.
    ///
    /// # Errors
    /// If the script cannot be written.
    pub fn run(&self, ui: &Ui) -> Result<(), Failure> {
        let name = match self.shell {
            Shell::Bash => "bash",
            Shell::Zsh => "zsh",
            Shell::Fish => "fish",
        };
        let shells = Shells::builtins();
        let mut script = Vec::new();
        let written = shells
            .completer(name)
            .map(|shell| shell.write_registration(VARIABLE, "wdpipe", "wdpipe", &environment::program(), &mut script));
        match written {
            Some(Ok(())) => ui.answer(&self.shell.complete(String::from_utf8_lossy(&script).trim())),
            Some(Err(error)) => return Err(Failure::new(ExitCode::Failed, error.to_string(), "")),
            None => return Err(Failure::usage(format!("there is no script for {name}"), "")),
        }
        Ok(())
    }
}

/// Answers the script of a shell with candidates. Returns whether it asked.
///
/// # Errors
/// If the script asks for a shell that is not known, or its words cannot be completed.
pub fn answer(arguments: &[OsString]) -> Result<bool, clap::Error> {
    let here = std::env::current_dir().ok();
    // The script passes the words that are typed behind `--`.
    let words = arguments.iter().skip_while(|word| *word != "--").skip(1);
    let typed = Typed::of(words);
    CompleteEnv::with_factory(|| completed(Cli::command(), &typed))
        .var(VARIABLE)
        .try_complete(arguments.iter().cloned(), here.as_deref())
}

/// Adds candidates for the values of arguments to a command and its subcommands.
fn completed(command: Command, typed: &Typed) -> Command {
    let command = command.mut_args(|arg| {
        let value = arg.get_value_names().and_then(|names| names.first()).map(|name| name.as_str());
        let candidates: fn(&Typed) -> BTreeSet<String> = match value.unwrap_or_default() {
            "TARGET" | "FIGURE" | "STAGE" | "A" | "B" => Typed::targets,
            "PATH=VALUE" => Typed::settings,
            "REMOTE" => Typed::remotes,
            _ if arg.get_id() == "profile" => Typed::profiles,
            _ => return arg,
        };
        let typed = typed.clone();
        let all = move || candidates(&typed).into_iter().map(CompletionCandidate::new).collect::<Vec<_>>();
        arg.add(ArgValueCandidates::new(all))
    });
    command.mut_subcommands(|command| completed(command, typed))
}
