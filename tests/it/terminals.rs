//! What a person sees on terminals of several widths, and on one that cannot move its cursor.

use std::process::Command;

use super::environment::{Environment, ended};

/// Runs the program on a terminal and returns what it shows; `None` without the program `script`, which makes terminals.
fn shown(environment: &Environment, columns: usize, term: &str, arguments: &[&str]) -> Option<String> {
    if Command::new("script").arg("--version").output().is_err() {
        println!("skipped: there is no script");
        return None;
    }
    let words = arguments.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" ");
    let line = format!("stty cols {columns} rows 20; exec '{}' {words}", env!("CARGO_BIN_EXE_wdpipe"));
    let mut command = Command::new("script");
    let program = environment.command(&[]);
    command.args(["-qec", &line, "/dev/null"]).current_dir(environment.folder.path()).env_clear();
    command.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?)))).env("TERM", term);
    Some(ended(&command.stdin(std::process::Stdio::null()).output().unwrap()).stdout.replace('\r', ""))
}

#[test]
fn lines_fit_into_narrow_terminals() {
    let environment = Environment::new();
    let archive = concat!(env!("CARGO_MANIFEST_DIR"), "/reports/smoke/fig1.wdpipe");
    let imported = environment.run(&["cache", "import", archive, "--accept", "unsigned"]);
    assert_eq!(imported.code, Some(0), "{}", imported.stderr);
    for columns in [40, 80, 200] {
        for arguments in [
            &["-h"][..],
            &["help", "cache"],
            &["make", "fig1", "--dry-run"],
            &["status", "fig1"],
            &["compare", "fig1", "-v"],
            &["make", "x"],
        ] {
            let Some(text) = shown(&environment, columns, "dumb", arguments) else { return };
            assert!(text.lines().count() > 1, "{arguments:?}: {text}");
            // A name stays whole.
            let wide = |line: &&str| line.chars().count() > columns && line.trim().contains(' ');
            let wide: Vec<_> = text.lines().filter(wide).collect();
            assert!(wide.is_empty(), "{arguments:?} at {columns} columns: {wide:#?}");
        }
    }
}

#[test]
fn a_terminal_without_a_cursor_gets_a_line_for_each_stage() {
    let environment = Environment::new();
    let make = ["make", "fig4", "--set", "valley.steps=9"];
    let Some(text) = shown(&environment, 80, "dumb", &make) else { return };
    assert!(text.contains("  [  1/4] fig4/valley"), "{text}");
    assert!(!text.contains('\u{1b}'), "{text}");
    let Some(text) = shown(&environment, 40, "xterm", &["make", "fig4", "--set", "valley.steps=8"]) else { return };
    // A narrow terminal shows the number of stages and the time in its first columns.
    assert!(text.contains("4/4 stages, "), "{text:?}");
}
