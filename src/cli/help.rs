//! The parts of the help that are computed: commands in groups, examples, and the profiles of the user's pipelines.

use clap::error::ErrorKind;
use clap::{Command, CommandFactory};

use super::Cli;
use super::examples::EXAMPLES;

/// Groups of commands, each with its first command. The order of the commands is that of [`super::Command`].
const GROUPS: [(&str, &str); 5] =
    [("Make", "new"), ("Look", "status"), ("Verify", "lock"), ("Share", "push"), ("Maintain", "cache")];

/// Returns whether an answer of clap's is help.
pub fn is_help(error: &clap::Error) -> bool {
    matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand)
}

/// Returns the program with examples for each command.
pub fn with_examples() -> Command {
    explained(Cli::command(), "wdpipe")
}

/// Returns the program for its help, which names these profiles.
pub fn complete(profiles: &[String]) -> Command {
    let mut program = named(with_examples(), profiles);
    program.build();
    let groups = grouped(&program);
    // clap has no groups of commands: it hides its list, and the template has ours.
    let template =
        format!("{{about-with-newline}}\n{{usage-heading}} {{usage}}\n\n{groups}\n{{all-args}}{{after-help}}");
    program
        .override_usage("wdpipe [OPTIONS] <COMMAND>")
        .mut_subcommands(|command| command.hide(true))
        .help_template(template)
}

/// Adds examples to a command and its subcommands.
fn explained(command: Command, path: &str) -> Command {
    let after = command.get_after_long_help().map(|after| format!("\n\n{after}")).unwrap_or_default();
    let command = match EXAMPLES.iter().find(|(of, _)| *of == path) {
        Some((_, examples)) => command.after_long_help(listed(examples) + &after),
        None => command,
    };
    command.mut_subcommands(|command| {
        let path = format!("{path} {}", command.get_name());
        explained(command, &path)
    })
}

/// Lists examples: what each does, and its line.
fn listed(examples: &[(&str, &str)]) -> String {
    let one = |(what, line): &(&str, &str)| format!("\n  {what}:\n    {line}");
    format!("Examples:{}", examples.iter().map(one).collect::<String>())
}

/// Adds the names of profiles to the help of every option that takes one.
fn named(command: Command, profiles: &[String]) -> Command {
    let Some((last, others)) = profiles.split_last() else { return command };
    let names = match others.is_empty() {
        true => last.clone(),
        false => format!("{} or {last}", others.join(", ")),
    };
    let command = command.mut_args(|arg| match arg.get_help().filter(|_| arg.get_id() == "profile") {
        Some(help) => {
            let help = format!("{help} [in these pipelines: {names}]");
            arg.help(help)
        }
        None => arg,
    });
    command.mut_subcommands(|command| named(command, profiles))
}

/// Returns the list of commands with a heading before each group.
fn grouped(program: &Command) -> String {
    let (header, literal) = (program.get_styles().get_header(), program.get_styles().get_literal());
    let list = program.clone().help_template("{subcommands}").render_help().ansi().to_string();
    let mut grouped = String::new();
    for line in list.lines() {
        let begins = |(_, first): &&(&str, &str)| line.starts_with(&format!("  {literal}{first}{literal:#}"));
        if let Some((group, _)) = GROUPS.iter().find(begins) {
            let gap = if grouped.is_empty() { "" } else { "\n" };
            grouped += &format!("{gap}{header}{group}:{header:#}\n");
        }
        grouped += &format!("{line}\n");
    }
    grouped
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::cli::advice::words;
    use clap::Parser;

    /// Calls a function with every visible command and its path, such as `wdpipe cache gc`.
    fn each(command: &Command, path: &str, see: &mut impl FnMut(&str, &Command)) {
        see(path, command);
        for command in command.get_subcommands().filter(|command| !command.is_hide_set()) {
            each(command, &format!("{path} {}", command.get_name()), see);
        }
    }

    #[test]
    fn every_command_has_examples_and_all_of_them_are_read() {
        let mut paths = BTreeSet::new();
        each(&Cli::command(), "wdpipe", &mut |path, _| assert!(paths.insert(path.to_owned())));
        let listed: BTreeSet<String> = EXAMPLES.iter().map(|(path, _)| (*path).to_owned()).collect();
        assert_eq!(paths, listed);
        assert_eq!(EXAMPLES.len(), listed.len(), "a command is listed twice");
        let mut wrong = Vec::new();
        for (path, examples) in EXAMPLES {
            assert!((2..=4).contains(&examples.len()), "{path} has {} examples", examples.len());
            for (what, line) in *examples {
                assert!(what.starts_with(char::is_uppercase) && !what.ends_with(['.', ':']), "{what}");
                if what.len() > 77 || line.lines().any(|line| line.len() > 76) {
                    wrong.push(format!("too wide for a terminal: {line}"));
                }
                // The command, without what the shell does around it.
                let command = &line[line.find("wdpipe ").unwrap()..].replace("\\\n", "");
                let command = command.split(['|', '>', ')']).next().unwrap().trim();
                if *path != "wdpipe" && !command.starts_with(path) {
                    wrong.push(format!("not about `{path}`: {line}"));
                }
                let read = Cli::try_parse_from(words(command));
                wrong.extend(read.err().filter(|error| !is_help(error)).map(|error| format!("{line}: {error}")));
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
    }

    #[test]
    fn lists_of_commands_have_one_line_for_each_and_every_group_begins_once() {
        let text = complete(&[]).render_help().to_string();
        for (group, first) in GROUPS {
            assert_eq!(text.matches(&format!("{group}:\n  {first} ")).count(), 1, "{group} in {text}");
        }
        assert!(!text.contains("Commands:"), "{text}");
        let mut wide = Vec::new();
        each(&Cli::command(), "wdpipe", &mut |path, command| {
            let commands = || command.get_subcommands().filter(|command| !command.is_hide_set());
            let longest = commands().map(|command| command.get_name().len()).max().unwrap_or_default();
            for command in commands() {
                let about = command.get_about().unwrap().to_string();
                if 2 + longest + 2 + about.chars().count() > 80 {
                    wide.push(format!("{path} {}: {about}", command.get_name()));
                }
            }
        });
        assert!(wide.is_empty(), "more than a line of 80 columns: {wide:#?}");
    }

    #[test]
    fn help_names_the_profiles_of_the_pipelines() {
        let names = ["cifar", "paper", "smoke"].map(str::to_owned);
        for path in ["make", "cache stats"] {
            let mut program = complete(&names);
            let command =
                path.split(' ').fold(&mut program, |command, name| command.find_subcommand_mut(name).unwrap());
            let text = command.render_help().to_string().split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(text.contains("[in these pipelines: cifar, paper or smoke]"), "{text}");
        }
    }
}
