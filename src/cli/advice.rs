//! Commands that messages recommend. When a message is printed, each command between backquotes is completed with the
//! options in force: the profile, the settings and the folders. Authors of messages need not add these options.

use std::borrow::Cow;

use clap::parser::ValueSource;
use clap::{ArgMatches, Command, CommandFactory};

use super::Cli;
use crate::project::quoted;

/// Options that a recommended command repeats if the user gave them: they determine what is made, and where it is stored.
const CARRIED: [&str; 9] = ["cache", "reports", "pipelines", "trust", "remotes", "cluster", "profile", "set", "slurm"];

/// Beginning of a command in a message.
const START: &str = "`wdpipe ";

/// Options that were given on the command line and that recommended commands repeat.
#[derive(Debug, Default)]
pub struct InForce(Vec<(&'static str, String)>);

impl InForce {
    /// Collects a profile, settings and further options.
    pub fn new(profile: &str, set: &[String], more: impl IntoIterator<Item = (&'static str, String)>) -> Self {
        let sets = set.iter().map(|set| ("set", set.clone()));
        Self([("profile", profile.to_owned())].into_iter().chain(sets).chain(more).collect())
    }

    /// Collects the options to repeat from the program's arguments.
    pub fn of(matches: &ArgMatches) -> Self {
        let mut leaf = matches;
        while let Some((_, next)) = leaf.subcommand() {
            leaf = next;
        }
        // Values from the environment need no repetition: they apply to the next command too.
        let given =
            |id: &&str| leaf.try_contains_id(id).is_ok() && leaf.value_source(id) == Some(ValueSource::CommandLine);
        let values = |id: &'static str| {
            let values = leaf.get_raw(id).into_iter().flatten();
            values.map(move |value| (id, value.to_string_lossy().into_owned())).collect::<Vec<_>>()
        };
        Self(CARRIED.into_iter().filter(given).flat_map(values).collect())
    }

    /// Returns these options without `--set`, for errors in the command line, which a `--set` can have caused.
    pub fn without_settings(&self) -> Self {
        Self(self.0.iter().filter(|(id, _)| *id != "set").cloned().collect())
    }

    /// Adds to every command in a message the options in force that the command accepts and does not contain yet.
    pub fn complete<'a>(&self, text: &'a str) -> Cow<'a, str> {
        if self.0.is_empty() || !text.contains(START) {
            return text.into();
        }
        let program = Cli::command();
        let mut out = String::new();
        let mut rest = text;
        while let Some((before, behind)) = rest.split_once('`') {
            let Some((quote, after)) = behind.split_once('`') else { break };
            // The options belong to the command before the pipe.
            let (command, pipe) = quote.split_at(quote.find(" | ").unwrap_or(quote.len()));
            let more = if quote.starts_with(&START[1..]) { self.missing(command, &program) } else { String::new() };
            out.push_str(&format!("{before}`{command}{more}{pipe}`"));
            rest = after;
        }
        (out + rest).into()
    }

    /// Returns the options in force that a command lacks.
    fn missing(&self, command: &str, program: &Command) -> String {
        let words: Vec<&str> = command.split_whitespace().collect();
        let mut leaf = program;
        for word in &words[1..] {
            match leaf.find_subcommand(word) {
                Some(next) => leaf = next,
                None => break,
            }
        }
        let gives = |id: &str| words.iter().any(|word| word.strip_prefix("--").is_some_and(|word| word == id));
        let takes = |id: &str| {
            let known = |command: &Command| command.get_arguments().any(|argument| argument.get_long() == Some(id));
            known(leaf) || (known(program) && id != "profile" && id != "set")
        };
        // A command with its own profile or settings does not get the profile and settings in force.
        let own = gives("profile") || gives("set");
        let wanted =
            |(id, _): &&(&str, String)| takes(id) && !gives(id) && !(own && (*id == "profile" || *id == "set"));
        let option = |(id, value): &(&str, String)| format!(" --{id} {}", quoted(value));
        self.0.iter().filter(wanted).map(option).collect()
    }
}

/// Splits a command into words, as a shell does.
#[cfg(test)]
pub fn words(command: &str) -> Vec<String> {
    let (mut words, mut word, mut within) = (Vec::new(), None::<String>, false);
    let mut letters = command.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\'' => {
                within = !within;
                word.get_or_insert_default();
            }
            '\\' if !within => word.get_or_insert_default().extend(letters.next()),
            ' ' if !within => words.extend(word.take()),
            letter => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::help::is_help;

    fn in_force(arguments: &[&str]) -> InForce {
        InForce::of(&Cli::command().try_get_matches_from(arguments).unwrap())
    }

    /// Returns the texts between backquotes that are commands of this program.
    fn commands(text: &str) -> impl Iterator<Item = &str> {
        text.split('`').skip(1).step_by(2).filter(|quote| quote.starts_with("wdpipe "))
    }

    #[test]
    fn what_is_quoted_is_read_back() {
        for word in ["fig3", "lr=[0.1, 0.2]", "it's", "", "a b", "$HOME", "x\\'y", "fig3/trunk[lr=0.1]@3", "~/x", "`x`"]
        {
            assert_eq!(words(&format!("a {} b", quoted(word))), ["a", word, "b"], "{word}");
        }
    }

    #[test]
    fn a_recommended_command_has_the_options_in_force_and_is_read_as_they_were() {
        let given =
            ["--profile", "quick", "--set", "lr=[0.1, 0.2]", "--set", "variant=\"it's\"", "--cache", "my cache"];
        let in_force = in_force(&[&["wdpipe", "make", "fig3"], &given[..]].concat());
        let text =
            in_force.complete("run `wdpipe make fig3/init[seed=0]`, or `wdpipe show fig3 --csv` (`x`, `wdpipe`)");
        let found: Vec<&str> = commands(&text).collect();
        assert_eq!(found.len(), 2, "{text}");
        for command in found {
            let read = words(command);
            let parsed = InForce::of(&Cli::command().try_get_matches_from(&read).unwrap());
            assert_eq!(parsed.0, in_force.0, "{command}");
        }
        assert!(text.ends_with(" (`x`, `wdpipe`)"), "{text}");
    }

    #[test]
    fn a_command_gets_what_it_takes_and_keeps_what_it_says() {
        let in_force = in_force(&["wdpipe", "status", "--set", "lr=1", "--profile", "paper", "--reports", "r"]);
        for (said, complete) in [
            ("`wdpipe doctor`", "`wdpipe doctor --reports r`"),
            ("`wdpipe keys trust NAME KEY`", "`wdpipe keys trust NAME KEY --reports r`"),
            ("`wdpipe lock fig3 --profile smoke`", "`wdpipe lock fig3 --profile smoke --reports r`"),
            ("`wdpipe verify x --reports q`", "`wdpipe verify x --reports q --profile paper`"),
            ("`wdpipe make x", "`wdpipe make x"),
            ("`wdpipe graph | head`", "`wdpipe graph --reports r --profile paper --set lr=1 | head`"),
            ("`wdpipe nothing`", "`wdpipe nothing --reports r`"),
        ] {
            assert_eq!(in_force.complete(said), complete);
        }
        assert_eq!(
            in_force.without_settings().complete("`wdpipe graph`"),
            "`wdpipe graph --reports r --profile paper`"
        );
        assert_eq!(InForce::default().complete("`wdpipe graph`"), "`wdpipe graph`");
    }

    /// Replaces every `{…}` in a command: by a key or a data set where the command needs one, otherwise by any word.
    fn filled(command: &str) -> String {
        // The base point of the curve is a valid key.
        let key = format!("ed25519:58{}", "66".repeat(31));
        let (mut filled, mut rest) = (String::new(), command);
        while let Some((before, behind)) = rest.split_once('{') {
            let (name, after) = behind.split_once('}').unwrap();
            filled += before;
            filled += match name {
                "key" | "public" => &key,
                _ if before.ends_with("data fetch ") => "cifar10",
                _ => "0123abcd",
            };
            rest = after;
        }
        filled + rest
    }

    /// Commands that messages mention but do not recommend.
    const NAMED: [&str; 4] = ["wdpipe export", "wdpipe remote", "wdpipe selftest report", "wdpipe cache export"];

    #[test]
    fn every_command_in_a_message_is_one() {
        let (mut count, mut wrong) = (0, Vec::new());
        let source = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        for entry in walkdir::WalkDir::new(source).into_iter().map(Result::unwrap) {
            if entry.path().extension().is_none_or(|extension| extension != "rs") || entry.path().ends_with("advice.rs")
            {
                continue;
            }
            let text = std::fs::read_to_string(entry.path()).unwrap();
            let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
            let code = code.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
            // Join texts that continue on the next line.
            let code = code.split("\\\n").map(str::trim_start).collect::<String>();
            for line in code.lines() {
                for command in commands(line).filter(|command| !NAMED.contains(command)) {
                    let command = command.split(" | ").next().unwrap();
                    count += 1;
                    let read = Cli::try_parse_from(words(&filled(command)));
                    if let Some(error) = read.err().filter(|error| error.use_stderr() && !is_help(error)) {
                        let error = error.to_string();
                        wrong.push(format!("{}: {command}: {}", entry.path().display(), error.lines().next().unwrap()));
                    }
                }
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
        assert!(count > 40, "only {count} were found");
    }
}
