//! Words are completed in a real bash, zsh and fish, and `man` reads the pages.

use std::process::Command;

use super::environment::{Environment, ended as ended_of};

/// A project with a pipeline, one that is not TOML, and a remote.
fn project() -> Environment {
    let environment = Environment::new();
    std::fs::create_dir(environment.path("pipelines")).unwrap();
    let pipeline = "[settings]\nrate = [0.1]\n[profile.smoke]\n[profile.huge]\n[stage.valley]\nkind = \"valley\"\nsteps = 9\n\
                    [[panel]]\nid = \"a\"\n[[panel]]\nid = \"b\"\n";
    std::fs::write(environment.path("pipelines/toy.toml"), pipeline).unwrap();
    std::fs::write(environment.path("pipelines/bad.toml"), "[profile").unwrap();
    std::fs::write(environment.path("remotes.toml"), "[lab]\nurl = \"/srv/lab\"\n").unwrap();
    environment
}

/// Returns a command in the test's folder, without the variables that name folders of the project; `None` without the program.
fn command(environment: &Environment, program: &str, arguments: &[&str]) -> Option<Command> {
    if Command::new(program).arg("--version").output().is_err() {
        println!("skipped: there is no {program}");
        return None;
    }
    let mut command = Command::new(program);
    command.args(arguments).current_dir(environment.folder.path()).env("HOME", environment.path("home"));
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("WDPIPE_")) {
        command.env_remove(name);
    }
    Some(command)
}

/// Completes the last of some words in bash and returns the candidates; `None` without bash.
fn completed(environment: &Environment, words: &[&str]) -> Option<Vec<String>> {
    let script = r#"
        source <("$0" completions bash)
        COMP_WORDS=(wdpipe "$@"); COMP_CWORD=$#; COMP_TYPE=9
        complete -p wdpipe >&2 || exit 9
        _clap_complete_wdpipe wdpipe "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
        printf '%s\n' "${COMPREPLY[@]}""#;
    let arguments = [&["--norc", "-c", script, env!("CARGO_BIN_EXE_wdpipe")], words].concat();
    let ended = ended_of(&command(environment, "bash", &arguments)?.output().unwrap());
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    Some(ended.stdout.lines().map(str::to_owned).collect())
}

#[test]
fn bash_completes_words_of_the_program_and_of_the_project() {
    let project = project();
    for (words, wanted) in [
        (&["ver"][..], &["verify"][..]),
        (&["cache", "st"], &["stats", "stress-test"]),
        (&["make", "--dry"], &["--dry-run"]),
        (&["make", "to"], &["toy", "toy-a", "toy-b", "toy/valley"]),
        (&["make", "toy-a", "a"], &["all"]),
        (&["diff", "toy/"], &["toy/valley"]),
        (&["make", "toy", "--profile", ""], &["huge", "smoke"]),
        (&["make", "toy", "--set", "valley.s"], &["valley.steps="]),
        (&["make", "toy", "--set", "r"], &["rate="]),
        (&["status", "--profile", "nowhere", "--set", "r"], &[]),
        (&["push", "toy", "--to", "l"], &["lab"]),
        (&["completions", "z"], &["zsh"]),
    ] {
        let Some(found) = completed(&project, words) else { return };
        let found: Vec<&str> = found.iter().map(String::as_str).filter(|word| !word.is_empty()).collect();
        assert_eq!(found, wanted, "{words:?}");
    }
}

#[test]
fn bash_completes_words_of_a_project_that_is_named() {
    let (project, elsewhere) = (project(), Environment::new());
    let pipelines = project.path("pipelines").display().to_string();
    let Some(found) = completed(&elsewhere, &["status", "--pipelines", &pipelines, "toy-"]) else { return };
    assert_eq!(found, ["toy-a", "toy-b"]);
}

/// A zsh with no settings of the user on a pseudo-terminal. It completes each line, and prints what then stands on it.
const ZSH: &str = r#"
zmodload zsh/zpty
zpty complete zsh -f -i
zpty -w complete 'PS1=; unsetopt zle_bracketed_paste; show() { print -r -- "<$BUFFER>"; BUFFER= }'
zpty -w complete 'zle -N show; bindkey "^X" show'
zpty -w complete "source <('$0' completions zsh); print rea''dy"
zpty -r -m complete shown '*ready*'
for line in "$@"; do
    zpty -w -n complete "$line"$'\t\x18'
    zpty -r -m complete shown '*<*>*'
    print -r -- "<${${shown##*<}%%>*}>"
done
zpty -d complete"#;

#[test]
fn zsh_completes_words_and_leaves_no_space_before_a_value() {
    let project = project();
    let lines = [
        ("wdpipe veri", "<wdpipe verify >"),
        ("wdpipe make toy/", "<wdpipe make toy/valley >"),
        ("wdpipe make toy --profile h", "<wdpipe make toy --profile huge >"),
        ("wdpipe make toy --set valley.s", "<wdpipe make toy --set valley.steps=>"),
        ("wdpipe push toy --to l", "<wdpipe push toy --to lab >"),
        ("wdpipe data import pipel", "<wdpipe data import pipelines/>"),
    ];
    let arguments = ["-f", "-c", ZSH, env!("CARGO_BIN_EXE_wdpipe")].into_iter().chain(lines.map(|(line, _)| line));
    let Some(mut zsh) = command(&project, "zsh", &arguments.collect::<Vec<_>>()) else { return };
    let ended = ended_of(&zsh.output().unwrap());
    let found: Vec<&str> = ended.stdout.lines().map(str::trim_end).collect();
    assert_eq!(found, lines.map(|(_, wanted)| wanted), "{}", ended.stderr);
}

#[test]
fn fish_completes_words_of_the_program_and_of_the_project() {
    let project = project();
    for (line, wanted) in [
        ("wdpipe veri", &["verify"][..]),
        ("wdpipe make to", &["toy", "toy-a", "toy-b", "toy/valley"]),
        ("wdpipe make toy --profile ", &["huge", "smoke"]),
        ("wdpipe make toy --set valley.s", &["valley.steps="]),
        ("wdpipe make toy --remote=", &["--remote=lab"]),
    ] {
        let script = format!("'{}' completions fish | source; complete -C '{line}'", env!("CARGO_BIN_EXE_wdpipe"));
        let Some(mut fish) = command(&project, "fish", &["--no-config", "-c", &script]) else { return };
        let ended = ended_of(&fish.output().unwrap());
        // A description can follow the word.
        let found: Vec<&str> = ended.stdout.lines().filter_map(|line| line.split('\t').next()).collect();
        assert_eq!(found, wanted, "{line}: {}", ended.stderr);
    }
}

#[test]
fn scripts_for_all_shells_call_the_program() {
    let environment = Environment::new();
    for (shell, beginning) in [("bash", "_clap_complete"), ("zsh", "#compdef wdpipe"), ("fish", "complete")] {
        let ended = environment.run(&["completions", shell]);
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        assert!(ended.stdout.starts_with(beginning), "{}", ended.stdout);
        assert!(ended.stdout.contains(env!("CARGO_BIN_EXE_wdpipe")), "{}", ended.stdout);
    }
    let ended = environment.run(&["completions", "tcsh"]);
    assert_eq!(ended.code, Some(2), "{}", ended.stdout);
}

#[test]
fn man_reads_a_page_for_every_command() {
    let environment = Environment::new();
    let ended = environment.run(&["man", "pages"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let page = |name: &str| std::fs::read_to_string(environment.path(&format!("pages/{name}.1"))).unwrap();
    assert_eq!(environment.run(&["man"]).stdout, page("wdpipe"));
    let pages = std::fs::read_dir(environment.path("pages")).unwrap().count();
    assert!(pages > 50 && page("wdpipe-cache-gc").contains("Examples"), "{pages} pages");
    for name in ["wdpipe", "wdpipe-make", "wdpipe-cache-gc"] {
        let file = format!("pages/{name}.1");
        let Some(mut groff) = command(&environment, "groff", &["-man", "-Kutf8", "-Tutf8", "-ww", &file]) else {
            return;
        };
        let read = ended_of(&groff.output().unwrap());
        assert_eq!((read.code, read.stderr.as_str()), (Some(0), ""), "{name}");
        assert!(read.stdout.contains("Examples:"), "{}", read.stdout);
    }
}
