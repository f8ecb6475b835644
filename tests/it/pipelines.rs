//! Pipeline folders as users have them: copies, editors' files, mistakes in other profiles, parts of figures.

use super::environment::{Ended, Environment};

/// Copies the project's pipelines into a separate folder.
fn with_pipelines() -> Environment {
    let environment = Environment::new();
    std::fs::create_dir(environment.path("p")).unwrap();
    for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/pipelines")).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, environment.path("p").join(path.file_name().unwrap())).unwrap();
    }
    environment
}

fn run(environment: &Environment, arguments: &[&str]) -> Ended {
    environment.run_with(&environment.path("p"), arguments)
}

fn edit(environment: &Environment, from: &str, to: &str, change: impl Fn(String) -> String) {
    let text = std::fs::read_to_string(environment.path("p").join(from)).unwrap();
    std::fs::write(environment.path("p").join(to), change(text)).unwrap();
}

#[test]
fn a_sweep_that_a_curve_does_not_name_is_refused_before_anything_runs() {
    let environment = Environment::new();
    for (target, set, setting) in [
        ("fig3", "wd=[0.015,0.03]", "`wd` has 2 values"),
        ("grid-a", "variant=[\"text\",\"official-code\"]", "`variant` has 2 values"),
    ] {
        let ended = environment.run(&["make", target, "-n", "--set", set]);
        assert_eq!(ended.code, Some(2), "{}", ended.stderr);
        assert!(ended.stderr.contains(setting) && ended.stderr.contains("say per ="), "{}", ended.stderr);
    }
}

#[test]
fn a_new_pipeline_from_a_figure_computes_nothing_again() {
    let environment = with_pipelines();
    let archive = concat!(env!("CARGO_MANIFEST_DIR"), "/reports/smoke/fig3.wdpipe");
    assert_eq!(environment.run(&["cache", "import", archive, "--accept", "unsigned"]).code, Some(0));
    let made = run(&environment, &["new", "mine", "--from", "fig3"]);
    assert_eq!(made.code, Some(0), "{}", made.stderr);
    assert!((made.stdout + &made.stderr).contains("wdpipe make mine"));
    let text = std::fs::read_to_string(environment.path("p/mine.toml")).unwrap();
    let heading =
        "# A copy of fig3.toml, in which effective-lr is mine-effective-lr, fig3 is mine, fig6a is mine-fig6a.\n\n";
    let original = std::fs::read_to_string(environment.path("p/fig3.toml")).unwrap();
    let names = |text: &str| text.replace("mine-effective-lr", "effective-lr").replace("mine-fig6a", "fig6a");
    assert_eq!(names(text.strip_prefix(heading).unwrap()), original, "the rest of the file is the same");
    let stages = |figure: &str| {
        let ended = run(&environment, &["make", figure, "--dry-run"]);
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        let said = ended.stdout + &ended.stderr;
        let line = said.lines().find(|line| line.contains(" cached, ")).unwrap();
        line.split(", about").next().unwrap().to_owned()
    };
    // Only the drawing is new.
    assert_eq!((stages("fig3"), stages("mine")), (stages("mine"), "185 stages: 184 cached, 1 to run".to_owned()));
    assert_eq!(run(&environment, &["check"]).code, Some(0));

    // Another figure of that file, names that are taken, and a figure that does not exist.
    let part = run(&environment, &["new", "part", "--from", "fig6a"]);
    assert!((part.stdout + &part.stderr).contains("wdpipe make part-fig6a"));
    for (arguments, said) in [
        (["new", "mine", "--from", "fig3"], "mine.toml already exists"),
        (["new", "fig6a", "--from", "fig3"], "`fig6a` is drawn by"),
        (["new", "other", "--from", "fig33"], "no pipeline draws `fig33`; did you mean `fig3"),
    ] {
        let ended = run(&environment, &arguments);
        assert_eq!(ended.code, Some(2), "{arguments:?}: {}", ended.stderr);
        assert!(ended.stderr.contains(said), "{arguments:?}: {}", ended.stderr);
    }
    assert_eq!(std::fs::read_to_string(environment.path("p/mine.toml")).unwrap(), text);
    assert!(!environment.path("p/other.toml").exists());
}

#[test]
fn a_copied_pipeline_does_not_replace_the_figures_of_the_first() {
    let environment = with_pipelines();
    edit(&environment, "fig3.toml", "my3.toml", |text| text.replace("lr    = [0.1, 0.15, 0.2]", "lr    = [0.1]"));
    for arguments in
        [&["make", "effective-lr", "-n"][..], &["make", "all", "-n"], &["status"], &["lock", "fig6a"], &["check"]]
    {
        let ended = run(&environment, arguments);
        assert_eq!(ended.code, Some(2), "{arguments:?}: {}", ended.stderr);
        let said = ended.stdout + &ended.stderr;
        assert!(said.contains("p/fig3.toml and by ") && said.contains("p/my3.toml"), "{arguments:?}: {said}");
    }
    for name in ["fig6a", "fig5", "index", "all"] {
        let ended = run(&environment, &["new", name]);
        assert_eq!(ended.code, Some(2), "{name}: {}", ended.stderr);
        assert!(!environment.path("p").join(format!("{name}.toml")).exists());
    }
    for target in ["fig3", "my3", "fig2", "my3/trunk"] {
        let ended = run(&environment, &["make", target, "-n"]);
        assert_eq!(ended.code, Some(0), "{target}: {}", ended.stderr);
    }
}

#[test]
fn files_of_editors_and_systems_are_passed_over() {
    let environment = with_pipelines();
    std::os::unix::fs::symlink("nobody@host.1:2", environment.path("p/.#fig4.toml")).unwrap();
    std::fs::write(environment.path("p/._fig4.toml"), [0, 5, 22, 7]).unwrap();
    std::fs::write(environment.path("p/fig4.toml~"), "no").unwrap();
    // Commands that look at a store need one.
    let sets = ["--set", "valley.steps=10", "--set", "valley.flow_steps=1"];
    assert_eq!(run(&environment, &[&["make", "fig4/valley"][..], &sets].concat()).code, Some(0));
    for arguments in [
        &["make", "all", "-n"][..],
        &["make", "effective-lr", "-n"],
        &["status"],
        &["cache", "gc", "-n"],
        &["check"],
        &["graph"],
    ] {
        let ended = run(&environment, arguments);
        assert_eq!(ended.code, Some(0), "{arguments:?}: {}", ended.stderr);
    }
    assert!(!run(&environment, &["verify"]).stderr.contains(".#fig4"));
}

#[test]
fn check_names_every_mistake_with_its_line_and_profiles() {
    let environment = with_pipelines();
    assert_eq!(run(&environment, &["check"]).code, Some(0));
    edit(&environment, "fig4.toml", "fig4.toml", |text| {
        text.replace("[profile.quick]\n", "[profile.quick]\nvalley.steps = 0\n")
            .replace("noise      = 0.5", "noise = -1")
    });
    std::fs::write(environment.path("p/bare.toml"), "title = \"x\"\n").unwrap();
    std::fs::write(environment.path("p/broken.toml"), "title = \n").unwrap();
    let ended = run(&environment, &["check"]);
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    for wanted in [
        "`noise` must be a number from 0 to 1000, not -1 (profiles cifar, paper, quick, smoke)",
        "`steps` must be an integer from 1 to 100000, not 0 (profile quick)",
        "bare.toml:1: the pipeline has no profiles: add a table [profile.smoke]",
        "broken.toml:1: this is not TOML",
    ] {
        assert!(ended.stdout.contains(wanted), "{wanted}: {}", ended.stdout);
    }
    let noise = ended.stdout.lines().find(|line| line.contains("`noise`")).unwrap();
    assert!(noise.contains("fig4.toml:15: "), "{noise}");
    let doctor = run(&environment, &["doctor"]);
    assert!(
        doctor.stdout.contains("!!  pipelines") && doctor.stdout.contains("`wdpipe check` lists them"),
        "{}",
        doctor.stdout
    );
    // Mistakes elsewhere do not affect this target.
    assert_eq!(run(&environment, &["make", "fig3", "-n"]).code, Some(0));
}

#[test]
fn stages_are_chosen_by_any_of_their_settings() {
    let environment = Environment::new();
    let stages = |target: &str| {
        let ended = environment.run(&["graph", target, "--format", "json"]);
        assert_eq!(ended.code, Some(0), "{target}: {}", ended.stderr);
        let graph: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
        graph.as_array().unwrap().len()
    };
    let all = stages("fig3/trunk");
    for target in [
        "fig3/probe[lr=0.1]",
        "fig3/trunk[seed=0]",
        "fig2/trunk[lr=5e-4]",
        "fig3/trunk@5",
        "fig3/trunk[seed=0,lr=1e-1]@5",
    ] {
        assert!((1..all).contains(&stages(target)), "{target}");
    }
    let ended = environment.run(&["make", "fig2/trunk[lr=1e-4]", "-n", "--profile", "paper"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let ended = environment.run(&["make", "fig3/trunk@6", "-n"]);
    assert_eq!(ended.code, Some(2));
    assert!(ended.stderr.contains("no checkpoint @6, only those after 1, 5, 9, 13, 17, 21 epochs"), "{}", ended.stderr);
}

#[test]
fn a_panel_does_not_stop_at_stages_of_another() {
    let environment = Environment::new();
    let set = ["--set", "trunk.checkpoint_first=20"];
    let make = |target: &str| environment.run(&[&["make", target, "-n"][..], &set].concat());
    assert_eq!(make("fig2a").code, Some(0), "{}", make("fig2a").stderr);
    let ended = make("fig2");
    assert_eq!(ended.code, Some(2));
    assert!(ended.stderr.contains("there is no checkpoint after 9 epochs"), "{}", ended.stderr);
}

/// Checks that every `fig…` in a help text is a target of the default profile.
#[test]
fn the_examples_of_the_help_exist() {
    let environment = Environment::new();
    let help = environment.run(&["--help"]).stdout;
    // Commands are in groups before the options; the lines of long descriptions are indented further.
    let commands = help.lines().skip_while(|line| *line != "Make:").take_while(|line| *line != "Options:");
    let commands = commands.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let commands: Vec<&str> = commands.filter_map(|line| line.split_whitespace().next()).collect();
    assert!(commands.len() > 20, "{commands:?}");
    let mut examples = std::collections::BTreeSet::new();
    for command in commands {
        let text = environment.run(&[command, "--help"]).stdout;
        for start in text
            .match_indices("fig")
            .map(|(at, _)| at)
            .filter(|at| !text[..*at].ends_with(|c: char| c.is_alphanumeric() || c == '/'))
        {
            let ends = |c: char| !(c.is_ascii_alphanumeric() || "/[]=.@_,-".contains(c));
            let word = text[start..].split(ends).next().unwrap().trim_end_matches(['.', ',']);
            let unmatched = word.ends_with(']') && !word.contains('[');
            // A name such as fig3@1a2b3c4d stands for the files of a variant.
            let is_variant = word.contains('@') && !word.contains('/');
            let is_file = [".svg", ".lock", ".wdpipe", ".pdf", ".png", ".csv", ".toml", ".tex"]
                .iter()
                .any(|end| word.ends_with(end));
            if word[3..].starts_with(|c: char| c.is_ascii_digit()) && !is_file && !is_variant && !unmatched {
                examples.insert(word.to_owned());
            }
        }
    }
    assert!(examples.iter().any(|example| example.contains('[')), "{examples:?}");
    for example in examples {
        let ended = environment.run(&["graph", &example]);
        assert_eq!(ended.code, Some(0), "{example}: {}", ended.stderr);
    }
}
