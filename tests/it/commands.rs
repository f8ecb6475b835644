//! Stages that run programs of the user: what they see, when they run again, and how they fail.

use std::path::PathBuf;

use serde_json::Value;

use super::environment::{Ended, Environment};

/// Two runs of a toy problem, a program that counts the rows of each, and a figure of the counts.
pub const PIPELINE: &str = r#"
title = "Counts"
[settings]
seed   = [0, 1]
factor = [1, 2]
[stage.valley]
kind = "valley"
lr = 0.01
noise = 0.3
steps = 10
every = 5
flow_lr = 0.01
flow_steps = 5
seed = "$seed"
[stage.count]
kind = "command"
run = ["sh", "code/count.sh", "{in.path}", "{factor}", "{out.rows}"]
in = { path = "valley" }
code = ["code/*.sh"]
env = "host"
out = { rows = ["step", "rows"] }
factor = "$factor"
[[panel]]
id = "a"
x = { label = "step" }
y = { label = "rows" }
[[panel.curve]]
from = "count"
x = "step"
y = "rows"
per = ["factor"]
over = "seed"
[profile.smoke]
"#;

/// The line of the command.
const RUN: &str = r#"run = ["sh", "code/count.sh", "{in.path}", "{factor}", "{out.rows}"]"#;

/// The number of stages: two runs, four counts, and the drawing.
const STAGES: u64 = 7;

pub const SCRIPT: &str = "rows=$(wc -l < \"$1\")\nprintf 'step,rows\\n1,%d\\n' $((rows * $2)) > \"$3\"\n";

/// A project with one pipeline and one script.
pub struct Own {
    pub environment: Environment,
}

impl Own {
    pub fn new(script: &str) -> Self {
        let own = Self { environment: Environment::new() };
        own.write("pipelines/own.toml", PIPELINE);
        own.write("code/count.sh", script);
        own
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.environment.path("project").join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        std::fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        std::fs::write(self.path(name), text).unwrap();
    }

    pub fn run(&self, arguments: &[&str]) -> Ended {
        self.environment.run_with(&self.path("pipelines"), arguments)
    }

    /// Makes the figure; returns the number of stages that ran.
    pub fn make(&self, more: &[&str]) -> u64 {
        let ended = self.run(&[&["make", "own", "--yes", "--json"], more].concat());
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        serde_json::from_str::<Value>(&ended.stdout).unwrap()["stages_run"].as_u64().unwrap()
    }

    /// Makes the figure with another script; returns the error.
    pub fn fails(&self, script: &str, more: &[&str]) -> String {
        self.write("code/count.sh", script);
        let ended = self.run(&[&["make", "own", "--yes"], more].concat());
        assert_eq!(ended.code, Some(1), "{script}: {}", ended.stderr);
        for folder in ["claims", "tmp"] {
            assert!(self.environment.files(folder).is_empty(), "{script}");
        }
        ended.stderr
    }
}

#[test]
fn a_command_runs_again_only_if_what_it_declares_has_changed() {
    let own = Own::new(SCRIPT);
    assert_eq!(own.make(&[]), STAGES);
    let numbers = || std::fs::read_to_string(own.environment.path("reports/smoke/own.csv")).unwrap();
    // Eleven iterates and a line of names, times the factor.
    assert!(numbers().contains(",12,") && numbers().contains(",24,"), "{}", numbers());
    assert_eq!(own.make(&[]), 0);
    // Other times and an undeclared file change nothing; another profile of the clock neither.
    own.write("code/note.txt", "new");
    own.write("code/count.sh", SCRIPT);
    assert_eq!(own.make(&[]), 0);
    // A copy of the project elsewhere has the same keys.
    let copy = Own { environment: Environment::new() };
    copy.write("pipelines/own.toml", PIPELINE);
    copy.write("code/count.sh", SCRIPT);
    let cache = own.environment.path("cache");
    assert_eq!(copy.make(&["--cache", cache.to_str().unwrap()]), 0);
    // A declared file that changes, and one that comes: the four counts and the drawing.
    own.write("code/count.sh", &SCRIPT.replace("$((rows", "$((1 + rows"));
    assert_eq!(own.make(&[]), 5);
    own.write("code/other.sh", "");
    assert_eq!(own.make(&[]), 4, "the numbers are the same, so nothing is drawn again");
    assert_eq!(own.make(&["--set", "factor=[2,3]"]), 3, "one new factor, and another drawing");
    let explained = own.run(&["explain", "own/count[factor=1,seed=0]"]);
    assert_eq!(explained.code, Some(0), "{}", explained.stderr);
}

#[test]
fn nothing_is_run_before_the_user_allows_it() {
    let own = Own::new(SCRIPT);
    let asked = own.run(&["make", "own"]);
    assert_eq!(asked.code, Some(3), "{}", asked.stderr);
    assert!(asked.stderr.contains("sh code/count.sh") && asked.stderr.contains("--yes"), "{}", asked.stderr);
    assert!(own.environment.files("records").is_empty());
    // What is known needs no consent.
    own.make(&[]);
    assert_eq!(own.run(&["make", "own"]).code, Some(0));
    assert_eq!(own.run(&["make", "own", "--dry-run", "--set", "factor=[5,6]"]).code, Some(0));
}

#[test]
fn mistakes_are_found_before_anything_runs() {
    let own = Own::new(SCRIPT);
    let said = |from: &str, to: &str| {
        assert!(PIPELINE.contains(from), "{from}");
        own.write("pipelines/own.toml", &PIPELINE.replace(from, to));
        let ended = own.run(&["make", "own", "--yes"]);
        assert_eq!(ended.code, Some(2), "{to}: {}", ended.stderr);
        ended.stderr
    };
    for (from, to, wanted) in [
        ("{factor}", "{factr}", "`{factr}` names nothing; did you mean `factor`?"),
        ("\"{factor}\", ", "", "does not use `factor`"),
        (", \"{out.rows}\"]", "]", "use {out.rows}"),
        ("run = [\"sh\"", "run = [\"\"", "`run` is empty"),
        (RUN, "run = \"sh code/count.sh {in.path}\"", "run = [\"sh\", \"code/count.sh\", \"{in.path}\"]"),
        (RUN, "run = [\"sh code/count.sh\"]", "one text for each argument: run = [\"sh\", \"code/count.sh\"]"),
        ("code/*.sh", "code/*.py", "no file matches `code/*.py`"),
        ("code/*.sh", "../secret", "not a path inside the project's folder"),
        ("code/*.sh", "/etc/passwd", "not a path inside the project's folder"),
        ("env = \"host\"", "env = \"conda\"", "`env` must say what the command runs in"),
        ("env = \"host\"\n", "", "`env` must say what the command runs in"),
        ("env = \"host\"", "env = { lock = \"uv.lock\" }", "there is no file `uv.lock`"),
        ("[\"step\", \"rows\"]", "\"tabel\"", "did you mean `table`?"),
        ("[\"step\", \"rows\"]", "[]", "must be a format"),
        ("out = { rows", "out = { weights", "choose another name"),
        ("y = \"rows\"", "y = \"row\"", "has no column `row`"),
        ("path = \"valley\"", "path = \"vally\"", "names `vally`, which does not exist"),
        ("path = \"valley\"", "path = \"valley:pth\"", "has no output `pth`, only path, tuned"),
        ("factor = \"$factor\"", "facter = \"$factor\"", "{factor}"),
        ("env = \"host\"", "env = \"host\"\nseconds = 0", "`seconds` must be an integer from 1"),
        ("env = \"host\"", "env = \"host\"\nsandbox = \"maybe\"", "`sandbox` must be one of"),
        ("env = \"host\"", "env = \"host\"\nvariables = { \"A=B\" = 1 }", "is not a variable"),
    ] {
        let found = said(from, to);
        assert!(found.contains(wanted), "{to}: {found}");
    }
}

#[test]
fn a_command_that_fails_is_shown_with_what_it_printed() {
    let own = Own::new(SCRIPT);
    own.make(&["--set", "factor=[7]"]);
    let one = ["--set", "factor=[1]", "--set", "seed=[0]"];
    for (script, wanted) in [
        ("echo first; echo 'no such thing' >&2; exit 7", vec!["exit code 7", "no such thing"]),
        ("kill -9 $$", vec!["signal 9"]),
        ("true", vec!["the output `rows`", "it must write to {out.rows}"]),
        ("printf 'a,b\\n1,2\\n' > \"$3\"", vec!["its columns are a, b, but the pipeline declares step, rows"]),
        ("printf 'step,rows\\n1\\n' > \"$3\"", vec!["line 2 has 1 fields"]),
        ("printf 'step,rows\\n\\377,1\\n' > \"$3\"", vec!["it is not UTF-8"]),
        ("mkdir \"$3\"", vec!["the output `rows`"]),
        ("ln -s /etc/passwd \"$3\"", vec!["the output `rows`"]),
        ("mkfifo \"$3\"", vec!["the output `rows`"]),
    ] {
        let said = own.fails(script, &one);
        assert!(wanted.iter().all(|wanted| said.contains(wanted)), "{script}: {said}");
    }
    let said = own.fails("sleep 600", &[&one[..], &["--set", "count.seconds=1"]].concat());
    assert!(said.contains("it took longer than 1 s"), "{said}");
    // A program that does not exist.
    own.write("pipelines/own.toml", &PIPELINE.replace("run = [\"sh\"", "run = [\"no-such-program\""));
    let ended = own.run(&[&["make", "own", "--yes"], &one[..]].concat());
    assert_eq!(ended.code, Some(3), "{}", ended.stderr);
    assert!(ended.stderr.contains("there is no program `no-such-program` in "), "{}", ended.stderr);
    // A declared file can be run, whatever its mode.
    own.write("code/count.sh", &format!("#!/bin/sh\n{SCRIPT}"));
    for program in ["code/count.sh", "./code/count.sh"] {
        own.write("pipelines/own.toml", &PIPELINE.replace("\"sh\", \"code/count.sh\"", &format!("\"{program}\"")));
        own.make(&one);
    }
    own.write("pipelines/own.toml", &PIPELINE.replace("\"sh\", \"code/count.sh\"", "\"code/cuont.sh\""));
    let ended = own.run(&[&["make", "own", "--yes"], &one[..]].concat());
    assert!(ended.stderr.contains("there is no program `code/cuont.sh`: declare it in `code`"), "{}", ended.stderr);
}

#[test]
fn what_a_program_prints_is_kept_with_its_result() {
    let own = Own::new(&format!("echo 'counting' >&2\n{SCRIPT}echo \"done with $1\"\n"));
    own.make(&[]);
    let stage = "own/count[factor=1,seed=0]";
    let shown = own.run(&["show", stage, "--log"]);
    assert_eq!((shown.code, &*shown.stdout), (Some(0), "counting\ndone with in/path.csv\n"), "{}", shown.stderr);
    let silent = own.run(&["show", "own/valley[seed=0]", "--log", "-q"]);
    assert_eq!((silent.code, &*silent.stdout), (Some(0), ""), "{}", silent.stderr);
    // What it prints changes neither its key nor its result, and it travels with the record.
    let key = |own: &Own| {
        let explained = own.run(&["explain", stage, "--json"]);
        let explained: Value = serde_json::from_str(&explained.stdout).unwrap();
        (explained[0]["key"].clone(), explained[0]["outputs"].clone())
    };
    let chatty = Own::new("yes x | head -c 1000000; printf 'step,rows\\n1,%s\\n' $2 > \"$3\"\n");
    chatty.make(&[]);
    let log = chatty.run(&["show", stage, "--log"]).stdout;
    assert!(log.len() < 20_000 && log.contains("x\nx\n"), "{} bytes", log.len());
    let file = own.environment.path("own.wdpipe").display().to_string();
    assert_eq!(own.run(&["cache", "export", "own", &file, "--numbers"]).code, Some(0));
    let other = Own::new("");
    std::fs::copy(own.path("code/count.sh"), other.path("code/count.sh")).unwrap();
    assert_eq!(other.run(&["cache", "import", &file, "--accept", "unsigned"]).code, Some(0));
    assert_eq!(other.run(&["show", stage, "--log"]).stdout, shown.stdout);
    assert_eq!(key(&own), key(&other));
}

#[test]
fn a_command_sees_only_what_it_declares() {
    if sandbox::available()[0] == sandbox::Level::None {
        println!("skipped: this machine has no sandbox");
        return;
    }
    let own = Own::new(SCRIPT);
    own.write("secret.txt", "secret");
    let secret = own.path("secret.txt").display().to_string();
    let one = ["--set", "factor=[1]", "--set", "seed=[0]"];
    for attempt in
        [format!("cat {secret}"), format!("cat {}", own.path("code/count.sh").display()), "cat /etc/passwd".into()]
    {
        let said = own.fails(&format!("{attempt} || exit 9"), &one);
        assert!(said.contains("exit code 9"), "{attempt}: {said}");
        assert!(!said.contains("secret\n"), "{said}");
    }
    // A failed command is told what it forgot to declare.
    own.write("code/helper.inc", "rows=3");
    let said = own.fails(". code/helper.inc", &one);
    assert!(said.contains("code/helper.inc is not declared: add it to `code`"), "{said}");
    // A program that would need the network is told that there is none; files that the C library looks for are not named.
    let said = own.fails("cat /etc/resolv.conf /etc/hosts || exit 9", &one);
    assert!(
        said.contains("the network, which commands do not have") && !said.contains("outside the project"),
        "{said}"
    );
    // Its environment is the same for everybody.
    own.write(
        "code/count.sh",
        "[ -z \"$SECRET\" ] || exit 9\n[ \"$WDPIPE_SEED\" -lt 4294967296 ] || exit 8\nprintf 'step,rows\\n1,1\\n' > \"$3\"\n",
    );
    let mut command = own.environment.command(&["make", "own", "--yes", "--set", "factor=[1]"]);
    let ended = command.env("WDPIPE_PIPELINES", own.path("pipelines")).env("SECRET", "1").output().unwrap();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
}

/// A command that draws the counts, and a figure of its drawings.
const DRAWN: &str = r#"
[stage.plot]
kind = "command"
run = ["sh", "code/plot.sh", "{in.all}", "{out.vector}", "{out.numbers}"]
in = { all = "one" }
code = ["code/plot.sh"]
env = "host"
out = { vector = "svg", numbers = "table" }
[stage.one]
kind = "valley"
lr = 0.01
noise = 0.3
steps = 10
every = 5
flow_lr = 0.01
flow_steps = 5
seed = 0
[figure.plotted]
title = "Rows, drawn elsewhere"
drawing = "plot"
"#;

const PLOT: &str = "rows=$(cat \"$1\"/* | wc -l)\nprintf 'step,rows\\n1,%d\\n' $rows > \"$3\"\n\
    printf '<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 9 9\">\\n<style>*{}</style>\\n\
    <rect width=\"%d\" height=\"9\"/></svg>\\n' $rows > \"$2\"\n";

#[test]
fn a_drawing_of_a_command_is_a_figure() {
    let own = Own::new(SCRIPT);
    own.write("pipelines/own.toml", &PIPELINE.replace("[[panel]]", &format!("{DRAWN}[[panel]]")));
    own.write("code/plot.sh", PLOT);
    let run = |arguments: &[&str]| {
        let ended = own.run(arguments);
        assert_eq!(ended.code, Some(0), "{arguments:?}: {}", ended.stderr);
        ended.stdout
    };
    run(&["make", "plotted", "--yes"]);
    let file = |name: &str| own.environment.path("reports/smoke").join(name);
    let svg = std::fs::read_to_string(file("plotted.svg")).unwrap();
    assert!(svg.contains("<metadata>wdpipe-figure/1 name=plotted key="), "{svg}");
    assert!(std::fs::read_to_string(file("plotted.csv")).unwrap().starts_with("step,rows\n1,"));
    assert!(!file("plotted.png").exists());
    run(&["lock", "plotted"]);
    let found = run(&["whois", file("plotted.svg").to_str().unwrap()]);
    assert!(found.contains("plotted"), "{found}");
    run(&["report", "plotted"]);
    let html = std::fs::read_to_string(file("index.html")).unwrap();
    assert!(html.contains("data:image/svg+xml") && html.contains("Rows, drawn elsewhere"), "the page shows no image");
    // The committed files are enough to verify the drawing.
    let away = own.environment.path("elsewhere");
    let arguments = ["verify", "plotted", "--render", "--json", "--cache", away.to_str().unwrap()];
    let told = run(&arguments);
    assert!(told.contains("drawn by a command"), "{told}");
    std::fs::write(file("plotted.svg"), svg.replace("height=\"9\"", "height=\"8\"")).unwrap();
    assert_eq!(own.run(&arguments).code, Some(1));
    // It does not depend on the panels, and they do not depend on it.
    own.write("code/count.sh", "exit 1");
    assert_eq!(own.run(&["make", "plotted"]).code, Some(0));
    assert_eq!(own.run(&["make", "all", "--yes"]).code, Some(1));
}

/// A command that puts the counts of all factors and seeds below one another, and the last iterates of all runs.
const COLLECTED: &str = r#"
[stage.all]
kind = "command"
run = ["sh", "code/all.sh", "{in.counts}", "{in.paths}", "{out.all}"]
in = { counts = { from = "count", over = ["factor", "seed"] }, paths = { from = "valley:path", over = ["seed"] } }
code = ["code/all.sh"]
env = "host"
out = { all = "table" }
"#;

#[test]
fn a_command_collects_the_runs_of_all_seeds() {
    let own = Own::new(SCRIPT);
    let whole = PIPELINE.replace("[[panel]]", &format!("{COLLECTED}[[panel]]"));
    own.write("pipelines/own.toml", &whole);
    own.write(
        "code/all.sh",
        "ls \"$2\" >&2\n(head -1 \"$1/factor-1_seed-0.csv\"; tail -q -n +2 \"$1\"/*.csv) > \"$3\"\n",
    );
    let make = |more: &[&str]| {
        let ended = own.run(&[&["make", "own/all", "--yes", "--json"], more].concat());
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        serde_json::from_str::<Value>(&ended.stdout).unwrap()["stages_run"].as_u64().unwrap()
    };
    assert_eq!(make(&[]), 7);
    let shown = own.run(&["show", "own/all"]).stdout;
    let rows: Vec<Vec<&str>> = shown.lines().map(|line| line.split_whitespace().collect()).collect();
    for row in [["factor", "seed", "step", "rows"], ["1", "1", "1", "12"], ["2", "0", "1", "24"], ["2", "1", "1", "24"]]
    {
        assert!(rows.contains(&row.to_vec()), "{row:?}: {shown}");
    }
    // Another seed runs what it needs, and the command again.
    assert_eq!(make(&["--set", "seed=[0,1,2]"]), 4);
    assert_eq!(make(&["--set", "factor=[1]"]), 1);
    // A setting that is not collected multiplies the command.
    own.write("pipelines/own.toml", &whole.replace("over = [\"factor\", \"seed\"]", "over = [\"seed\"]"));
    let planned = own.run(&["make", "own/all", "--dry-run"]);
    assert!(planned.stdout.contains("own/all[factor=2]"), "{}", planned.stdout);
    for (to, wanted) in [
        ("over = [\"facter\"]", "`over` names `facter`, but `count` is swept over factor, seed, after"),
        ("over = []", "{ from = \"STAGE\", over = [\"seed\"] }"),
        ("of = \"seed\"", "{ from = \"STAGE\", over = [\"seed\"] }"),
    ] {
        own.write("pipelines/own.toml", &whole.replace("over = [\"factor\", \"seed\"]", to));
        let ended = own.run(&["make", "own/all", "--yes"]);
        assert_eq!(ended.code, Some(2), "{to}: {}", ended.stderr);
        assert!(ended.stderr.contains(wanted), "{to}: {}", ended.stderr);
    }
}

#[test]
fn mistakes_in_drawings_are_found_before_anything_runs() {
    let own = Own::new(SCRIPT);
    own.write("code/plot.sh", PLOT);
    let whole = PIPELINE.replace("[[panel]]", &format!("{DRAWN}[[panel]]"));
    for (from, to, wanted) in [
        (
            "drawing = \"plot\"",
            "drawing = \"plt\"",
            "names the stage `plt`, which does not exist; did you mean `plot`?",
        ),
        ("drawing = \"plot\"", "drawing = \"one\"", "needs a stage of kind command, but `one` is a valley"),
        ("drawing = \"plot\"", "drawing = \"count\"", "stands for 4, one for each value of a setting"),
        ("drawing = \"plot\"", "drawing = 1", "`drawing` must be text"),
        ("vector = \"svg\"", "vector = \"file\"", "declare the format of `vector`, such as out = { vector = \"svg\" }"),
        ("[figure.plotted]", "[figure.Plotted]", "the name of a figure is lower-case letters"),
        ("[figure.plotted]", "[figure.all]", "no figure can be called `all`"),
        ("[figure.plotted]", "[figure.own]", "`own` has panels and a `drawing`"),
    ] {
        assert!(whole.contains(from), "{from}");
        own.write("pipelines/own.toml", &whole.replace(from, to));
        let ended = own.run(&["make", "all", "--dry-run"]);
        assert_eq!(ended.code, Some(2), "{to}: {}", ended.stderr);
        assert!(
            ended.stderr.contains(wanted) || ended.stdout.contains(wanted),
            "{to}: {}{}",
            ended.stdout,
            ended.stderr
        );
    }
}

#[test]
fn workers_run_commands_as_they_were_when_the_run_began() {
    let own = Own::new(SCRIPT);
    let arguments = ["make", "own", "--yes", "--json", "--executor", "local:2"];
    let mut command = own.environment.command(&arguments);
    command.env("WDPIPE_PIPELINES", own.path("pipelines"));
    command.env("WDPIPE_TIMES", "beat=0.1s,patience=1s,ask=0.2s,top-up=0.2s");
    let ended = command.output().unwrap();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    let answer: Value = serde_json::from_slice(&ended.stdout).unwrap();
    assert_eq!(answer["stages_run"], STAGES);
    assert_eq!(own.make(&[]), 0, "the workers' results have the keys of the project");
}
