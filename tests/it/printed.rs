//! Snapshots of what the program prints: standard output, standard error and exit code together. After a wanted change run
//! `INSTA_UPDATE=always cargo test --test it printed` and read the difference.

use super::environment::Environment;

/// Parts that differ from run to run or from machine to machine, and what stands for them.
const VARIABLE: [(&str, &str); 8] = [
    (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ", "[time]"),
    (r"\b\d+(\.\d+)? (ms|s|min|h)\b( \d+ (s|min))?", "[duration]"),
    (r"\b[0-9a-f]{8,64}\b", "[hash]"),
    (r"by \S+ on cpu \([^)]*\)", "by [who] on [machine]"),
    (r"\b\d+(\.\d+)? ([KMG]iB|B)\b", "[size]"),
    (r"device \S+, \d+ jobs?\b", "[device]"),
    (r"\b\d+ jobs?\b", "[jobs]"),
    (r"wdpipe \d+\.\d+\.\d+", "wdpipe [version]"),
];

fn printed(environment: &Environment, commands: &[&[&str]]) -> String {
    let one = |arguments: &&[&str]| {
        let ended = environment.run(arguments);
        let code = ended.code.map_or("killed".to_owned(), |code| format!("exit code {code}"));
        let folder = environment.folder.path().display().to_string();
        let streams = [("", ended.stdout), ("stderr:\n", ended.stderr)];
        let streams = streams.iter().filter(|(_, text)| !text.is_empty()).map(|(name, text)| format!("{name}{text}"));
        let text = streams.collect::<String>().replace(&folder, "[folder]");
        let text = text.replace(env!("CARGO_MANIFEST_DIR"), "[checkout]");
        format!("$ wdpipe {}\n{text}{code}\n", arguments.join(" "))
    };
    commands.iter().map(one).collect::<Vec<_>>().join("\n")
}

fn check(name: &str, text: &str) {
    let mut settings = insta::Settings::clone_current();
    for (pattern, name) in VARIABLE {
        settings.add_filter(pattern, name);
    }
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, text));
}

#[test]
fn printed_help_is_as_it_was_read_last() {
    let environment = Environment::new();
    let commands =
        ["make", "status", "explain", "compare", "diff", "verify", "lock", "cache", "cache gc", "keys", "data"];
    let arguments: Vec<Vec<&str>> = commands.iter().map(|command| command.split(' ').chain(["-h"]).collect()).collect();
    let mut all: Vec<&[&str]> = vec![&["--help"]];
    all.extend(arguments.iter().map(Vec::as_slice));
    check("help", &printed(&environment, &all));
}

#[test]
fn printed_life_of_a_figure_is_as_it_was_read_last() {
    let environment = Environment::new();
    let commands: [&[&str]; 9] = [
        &["status", "fig4"],
        &["make", "fig4", "--dry-run"],
        &["make", "fig4", "--jobs", "1"],
        &["make", "fig4"],
        &["make", "fig4", "--set", "seed=[0]", "--dry-run"],
        &["explain", "fig4/valley[seed=0]", "--set", "valley.steps=999"],
        &["lock", "fig4"],
        &["verify", "fig4"],
        &["cache", "gc", "-n"],
    ];
    check("life", &printed(&environment, &commands));
}

#[test]
fn printed_mistakes_are_as_they_were_read_last() {
    let environment = Environment::new();
    let commands: [&[&str]; 9] = [
        &["mak", "fig4"],
        &["make", "fig33"],
        &["make", "fig4", "--profile", "smok"],
        &["make", "fig4", "--set", "sed=[1]"],
        &["make", "fig4", "--set", "valley.steps=many"],
        &["make", "fig3", "--profile", "cifar"],
        &["verify", "fig4"],
        &["cache", "stats"],
        &["cache", "import", "nowhere.wdpipe"],
    ];
    check("mistakes", &printed(&environment, &commands));
}
