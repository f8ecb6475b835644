//! Each mistake gets one clear message that says what to do, and the right exit code.

use super::environment::{Environment, ended};

#[test]
fn mistakes_on_the_command_line() {
    let environment = Environment::new();
    let cases: &[(&[&str], i32, &str)] = &[
        (&["make"], 2, "TARGET"),
        (&["mkae", "fig3"], 2, "make"),
        (&["make", "fig33"], 2, "there is no figure, panel or stage `fig33`; did you mean `fig3`?"),
        (&["make", "fig3/trnk"], 2, "did you mean `fig3/trunk`?"),
        (&["make", "fig3", "--profile", "smok"], 2, "no profile `smok` here; there are: cifar, paper, quick, smoke"),
        (
            &["make", "fig3", "--set", "lrr=1"],
            2,
            "--set 'lrr=1': there is no setting or stage `lrr`; did you mean `lr`?",
        ),
        (&["make", "fig3", "--set", "trunk.wd=-1"], 2, "`wd` must be a number from 0 to 1000, not -1"),
        (&["make", "fig3", "--set", "trunk.start=decay"], 2, "in a circle"),
        (&["make", "fig3", "--device", "gpu"], 2, "there is no device `gpu`: choose auto, cpu, cuda or cuda:N"),
        #[cfg(feature = "torch")]
        (&["make", "fig3", "--device", "cuda:77", "--set", "policy=native"], 3, "the device cuda:77 is not there"),
        (&["make", "fig3", "--device", "cuda"], 2, "add --set policy=native"),
        (&["make", "fig3", "--jobs", "0"], 2, "'--jobs <N>': a whole number of at least 1 is needed; without --jobs"),
        (&["make", "fig3", "--jobs", "all"], 2, "'--jobs <N>': a whole number of at least 1 is needed; without --jobs"),
        (&["audit", "fig3", "--segments", "few"], 2, "a whole number of at least 1 is needed"),
        (&["cache", "du", "--rows", "1e3"], 2, "a whole number of at least 0 is needed"),
        (&["cache", "gc", "--grace", "1.5"], 2, "a whole number of at least 0 is needed"),
        (&["import", "/dev/zero"], 3, "it is not a regular file"),
        (&["cache", "import", "/dev/zero"], 3, "it is not a regular file"),
        (&["make", "fig3", "--pipelines", "nowhere"], 2, "there is no pipeline (*.toml) in the folder nowhere"),
        (&["make", "fig3", "--set", "data.source=cifar10"], 3, "`wdpipe data fetch cifar10`"),
        (&["data", "import", "nowhere"], 3, "nowhere"),
        (&["verify", "all", "nosuch"], 2, "there is no locked figure `nosuch`"),
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
        assert!(!is_blamed, "a wrong --set is not a mistake in the file: {}", ended.stderr);
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
fn empty_variables_count_as_not_set() {
    let environment = Environment::new();
    let names = ["CACHE", "REPORTS", "TRUST", "REMOTES", "LIBTORCH", "KEY", "KEYS", "SSH"];
    let mut command = environment.command(&["make", "fig4", "--json"]);
    command.envs(names.map(|name| (format!("WDPIPE_{name}"), "")));
    let ended = ended(&command.output().unwrap());
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(environment.path("cache/wdpipe-store").exists() && environment.path("reports/smoke/fig4.svg").exists());
    // An empty folder name on the command line is still a mistake.
    let ended = environment.run(&["cache", "stats", "--cache", ""]);
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    let mut command = environment.command(&["make", "fig4", "-n", "--pipelines", "nowhere"]);
    let ended = super::environment::ended(&command.env("WDPIPE_PIPELINES", "").output().unwrap());
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
}

#[test]
#[cfg(target_os = "linux")]
fn folders_that_are_not_unicode_are_answered_too() {
    use std::os::unix::ffi::OsStrExt;
    let environment = Environment::new();
    let odd = environment.path("").join(std::ffi::OsStr::from_bytes(b"odd-\xff"));
    let run = |arguments: &[&str]| {
        let mut command = environment.command(arguments);
        for name in ["CACHE", "REPORTS", "TRUST", "REMOTES", "KEYS"] {
            command.env(format!("WDPIPE_{name}"), odd.join(name));
        }
        let ended = ended(&command.output().unwrap());
        assert_eq!(ended.code, Some(0), "{arguments:?}: {}", ended.stderr);
        ended.stdout
    };
    let made: serde_json::Value = serde_json::from_str(&run(&["make", "fig4", "--json"])).unwrap();
    assert!(made["outputs"][0]["path"].as_str().unwrap().contains("odd-\u{fffd}"), "{made}");
    run(&["keys", "generate"]);
    run(&["make", "all", "-n", "--json"]);
    run(&["report"]);
    run(&["lock", "fig4"]);
    run(&["verify", "--json"]);
    for arguments in [
        &["keys", "list", "--json"][..],
        &["cache", "check", "--json"],
        &["cache", "stats", "--json"],
        &["status", "--json"],
    ] {
        serde_json::from_str::<serde_json::Value>(&run(arguments)).unwrap();
    }
    let drawing = odd.join("REPORTS/smoke/fig4.svg");
    let mut command = environment.command(&["whois", "--json"]);
    command.arg(drawing).env("WDPIPE_REPORTS", odd.join("REPORTS")).env("WDPIPE_CACHE", odd.join("CACHE"));
    let ended = ended(&command.output().unwrap());
    assert!(ended.code == Some(0) && ended.stdout.contains("odd-"), "{}", ended.stderr);
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

#[test]
fn the_wrong_words_of_a_setting_are_marked() {
    let ended = Environment::new().run(&["make", "fig3", "--dry-run", "--set", "trunk.epocs=3"]);
    assert_eq!(ended.code, Some(2));
    let lines: Vec<&str> = ended.stderr.lines().map(str::trim).collect();
    assert!(lines.windows(2).any(|two| two == ["1 | trunk.epocs=3", "| ^^^^^^^^^^^"]), "{}", ended.stderr);
}

#[test]
fn the_log_is_on_standard_error_and_is_asked_for() {
    let environment = Environment::new();
    let run = |arguments: &[&str], log: &str| {
        let mut command = environment.command(&[&["make", "fig4", "--quiet"], arguments].concat());
        ended(&command.env("WDPIPE_LOG", log).output().unwrap())
    };
    let logged = run(&[], "wdpipe_store=debug");
    assert_eq!(logged.code, Some(0), "{}", logged.stderr);
    assert!(
        logged.stderr.contains("DEBUG") && logged.stderr.contains("claimed=true") && logged.stderr.contains("publish"),
        "{}",
        logged.stderr
    );
    assert!(!run(&[], "").stderr.contains("DEBUG"));
    let wrong = run(&[], "store=loud");
    assert!(wrong.code == Some(2) && wrong.stderr.contains("set WDPIPE_LOG to a level"), "{}", wrong.stderr);
}
