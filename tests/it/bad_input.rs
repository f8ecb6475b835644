//! Each mistake gets one clear message that says what to do, and its exit code.

use super::environment::Environment;

#[test]
fn mistakes_on_the_command_line() {
    let environment = Environment::new();
    let cases: &[(&[&str], i32, &str)] = &[
        (&["make"], 2, "TARGET"),
        (&["mkae", "fig3"], 2, "make"),
        (&["make", "fig33"], 2, "there is no figure, panel or stage `fig33`; did you mean `fig3`?"),
        (&["make", "fig3/trnk"], 2, "did you mean `fig3/trunk`?"),
        (&["make", "fig3", "--profile", "smok"], 2, "no profile `smok` here; there are: paper, quick, smoke"),
        (
            &["make", "fig3", "--set", "lrr=1"],
            2,
            "--set 'lrr=1': there is no setting or stage `lrr`; did you mean `lr`?",
        ),
        (&["make", "fig3", "--set", "trunk.wd=-1"], 2, "`wd` must be a number from 0 to 1000, not -1"),
        (&["make", "fig3", "--set", "trunk.start=decay"], 2, "in a circle"),
        (&["make", "fig3", "--device", "gpu"], 2, "there is no device `gpu`: say auto, cpu, cuda or cuda:N"),
        #[cfg(feature = "torch")]
        (&["make", "fig3", "--device", "cuda:77"], 3, "the device cuda:77 is not there"),
        (&["make", "fig3", "--device", "cuda", "--set", "policy=portable"], 2, "cuda:0 needs the policy `native`"),
        (&["make", "fig3", "--jobs", "0"], 2, "--jobs"),
        (&["make", "fig3", "--pipelines", "nowhere"], 2, "there is no pipeline (*.toml) in the folder nowhere"),
        (&["make", "fig3", "--set", "data.source=cifar10"], 3, "`wdpipe data fetch cifar10`"),
        (&["data", "import", "nowhere"], 3, "nowhere"),
        (&["make", "all", "nosuch"], 2, "there is no figure, panel or stage `nosuch`"),
        (&["make", "all", "fig3/trunk@6"], 2, "has no checkpoint @6, only those after 1, 5, 9"),
        (&["make", "fig3", "--set", "lr=[0.1,", "0.2]"], 2, "put it in quotes: --set 'lr=[0.1, 0.2]'"),
        (&["make", "all", "--set", "lr=[0.1"], 2, "in quotes, such as --set 'lr=[0.1, 0.2]'"),
        (&["make", "fig3", "--set", "lr=0.1,0.2"], 2, "several values are a list: --set 'lr=[0.1,0.2]'"),
        (&["make", "fig3", "--set", "trunk.lr=0.3"], 2, "change the setting, --set lr=0.3"),
        (&["make", "fig3", "--set", "trunk.epochs=1.0"], 2, "not 1.0: write 1, without a point"),
        (&["make", "fig3", "--profile", "paper", "--set", "data.train=60000"], 2, "only 50000 training images"),
        (&["show", "fig3/trunk"], 3, "was not run yet"),
        (&["explain", "fig44"], 2, "there is no figure"),
        (&["status", "--set", "lrr=1"], 2, "no pipeline has a setting or stage `lrr`"),
    ];
    for (arguments, code, message) in cases {
        let ended = environment.run(arguments);
        assert_eq!(ended.code, Some(*code), "{arguments:?}: {}", ended.stderr);
        assert!(ended.stderr.contains(message), "{arguments:?}: {}", ended.stderr);
        assert!(!ended.stderr.contains("panicked"), "{arguments:?}: {}", ended.stderr);
        let is_blamed = arguments.contains(&"trunk.lr=0.3") && ended.stderr.contains("fig3.toml:");
        assert!(!is_blamed, "a --set is no mistake of the file: {}", ended.stderr);
        assert_eq!(ended.stderr.matches("error:").count(), 1, "{arguments:?}: {}", ended.stderr);
    }
    let readme = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
    let ended = environment.run(&["make", "fig3", "--pipelines", readme]);
    assert_eq!(ended.code, Some(2));
    assert!(ended.stderr.contains("README.md is a file, not the folder of the pipelines"), "{}", ended.stderr);
    assert!(!environment.path("reports").exists(), "nothing was written");
}

#[test]
fn mistakes_in_a_pipeline_are_shown_with_their_line() {
    let environment = Environment::new();
    std::fs::create_dir(environment.path("p")).unwrap();
    let write = |text: &str| std::fs::write(environment.path("p/mine.toml"), text).unwrap();
    let complaint = || {
        let ended = environment.run(&["make", "mine", "--pipelines", "p"]);
        assert_eq!(ended.code, Some(2), "{}", ended.stderr);
        ended.stderr
    };
    write("titel = \"x\"\n[profile.smoke]\n");
    assert!(complaint().contains("p/mine.toml:1: a pipeline has no `titel`; did you mean `title`?"));
    write("[profile.smoke]\n[stage.a]\nkind = \"init\"\nwidth = 4\nseed = 0\nmodel = \"preact-resnet18\"\nwdith = 3\n");
    assert!(complaint().contains("p/mine.toml:7: stage `a` has no `wdith`; did you mean `width`?"));
    write("title = \"x\"\n[stage.a]\n");
    assert!(complaint().contains("p/mine.toml:1: the pipeline has no profiles: add a table [profile.smoke]"));
    write("\"a\\u001b[2J\" = 1\n[profile.smoke]\n");
    assert!(complaint().contains("a pipeline has no `a\\u001b[2J`"));
    write("a = [1,\n");
    assert!(complaint().contains("this is not TOML"));
    std::fs::write(environment.path("p/mine.toml"), [0xff, 0xfe, 0x00]).unwrap();
    assert!(!complaint().contains("panicked"));
}

#[test]
fn folders_that_are_no_cache() {
    let environment = Environment::new();
    std::fs::create_dir(environment.path("full")).unwrap();
    std::fs::write(environment.path("full/letter.txt"), "dear").unwrap();
    let ended = environment.run(&["cache", "stats", "--cache", "full"]);
    assert_eq!(ended.code, Some(4), "{}", ended.stderr);
    assert!(ended.stderr.contains("full is not a wdpipe store and not empty"), "{}", ended.stderr);
    std::fs::write(environment.path("file"), "x").unwrap();
    assert_eq!(environment.run(&["cache", "stats", "--cache", "file"]).code, Some(4));

    assert_eq!(environment.run(&["make", "fig4", "-q"]).code, Some(0));
    let layout = environment.path("cache/wdpipe-store");
    let text = std::fs::read_to_string(&layout).unwrap();
    let newer = text.replace('1', "99");
    assert_ne!(newer, text);
    std::fs::remove_file(&layout).unwrap();
    std::fs::write(&layout, newer).unwrap();
    let ended = environment.run(&["cache", "stats"]);
    assert_eq!(ended.code, Some(4), "{}", ended.stderr);
    assert!(ended.stderr.contains("use a newer wdpipe"), "{}", ended.stderr);
}

#[test]
fn help_and_version_are_answers() {
    let environment = Environment::new();
    let help = environment.run(&["--help"]);
    assert_eq!(help.code, Some(0));
    for part in ["make", "status", "explain", "graph", "show", "cache", "data", "doctor", "Exit codes"] {
        assert!(help.stdout.contains(part), "{part}");
    }
    assert!(environment.run(&["--version"]).stdout.contains(env!("CARGO_PKG_VERSION")));
}
