//! Locks, verification, trust, audits and comparisons, as users see them, and mistakes that other tools make.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::time::Duration;

use store::Store;

use super::environment::{Ended, Environment, STAGES, TINY, ended, hashes, number};

/// Makes the tiny Figure 3 with further settings.
fn made(environment: &Environment, more: &[&str]) -> serde_json::Value {
    environment.make("fig3", more)
}

/// Locks the figure with the same settings.
fn lock(environment: &Environment, more: &[&str]) -> Ended {
    let sets = TINY.iter().flat_map(|set| ["--set", *set]);
    let arguments: Vec<&str> = ["lock", "fig3"].into_iter().chain(sets).chain(more.iter().copied()).collect();
    let ended = environment.run(&arguments);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    ended
}

/// Makes a key for the environment; returns its public part.
fn key(environment: &Environment) -> String {
    let ended = environment.run(&["keys", "generate"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    ended.stdout.trim().to_owned()
}

#[test]
fn a_locked_figure_holds_at_every_level_and_tells_differing_from_missing() {
    let environment = Environment::new();
    made(&environment, &[]);
    lock(&environment, &[]);
    let all = ["verify", "fig3", "--objects", "--render", "--rebuild", "all", "--device", "cpu"];
    let verified = environment.run(&all);
    assert_eq!(verified.code, Some(0), "{}{}", verified.stdout, verified.stderr);
    let again = format!("{STAGES} of {STAGES} stages computed again");
    assert!(verified.stdout.contains(&again), "{}", verified.stdout);
    assert!(verified.stdout.contains(&format!("{STAGES} equal bit by bit")), "{}", verified.stdout);
    // Without the cache, the checkout is enough for the first levels and for drawing.
    let bare = environment.run(&["verify", "--render", "--json", "--cache", "nowhere"]);
    assert_eq!(bare.code, Some(0), "{}", bare.stderr);
    assert!(!environment.path("nowhere").exists(), "a check creates no cache");
    let json: serde_json::Value = serde_json::from_str(&bare.stdout).unwrap();
    assert_eq!(json["verdict"], "ok");

    let svg = environment.file("fig3", "svg");
    let good = std::fs::read_to_string(&svg).unwrap();
    std::fs::write(&svg, good.replacen("LR 0.1", "LR 0.3", 1)).unwrap();
    let differs = environment.run(&["verify", "fig3"]);
    assert_eq!(differs.code, Some(1), "{}", differs.stderr);
    assert!(differs.stdout.contains("the drawing"), "{}", differs.stdout);
    std::fs::remove_file(&svg).unwrap();
    assert_eq!(environment.run(&["verify", "fig3"]).code, Some(3));
    std::fs::write(&svg, good).unwrap();
    assert_eq!(environment.run(&["verify", "fig3"]).code, Some(0));

    let none = environment.run(&["verify", "fig9"]);
    assert_eq!(none.code, Some(2), "{}", none.stderr);
    // A removed object is missing, a damaged one differs.
    let object = environment.files("objects").pop().unwrap();
    let bytes = std::fs::read(&object).unwrap();
    std::fs::remove_file(&object).unwrap();
    assert_eq!(environment.run(&["verify", "fig3", "--objects"]).code, Some(3));
    std::fs::write(&object, [&bytes[..bytes.len() - 1], b"x"].concat()).unwrap();
    assert_eq!(environment.run(&["verify", "fig3", "--objects"]).code, Some(1));
}

#[test]
fn a_pipeline_that_was_changed_is_told_by_its_value() {
    let environment = Environment::new();
    made(&environment, &[]);
    lock(&environment, &[]);
    let pipelines = environment.path("pipelines");
    std::fs::create_dir(&pipelines).unwrap();
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("pipelines/fig3.toml")).unwrap();
    std::fs::write(pipelines.join("fig3.toml"), &text).unwrap();
    assert_eq!(environment.run_with(&pipelines, &["verify", "fig3"]).code, Some(0), "nothing was changed yet");
    let changed = text.replace("wd    = 0.024", "wd    = 0.031");
    assert_ne!(changed, text);
    std::fs::write(pipelines.join("fig3.toml"), changed).unwrap();
    let stale = environment.run_with(&pipelines, &["verify", "fig3"]);
    assert_eq!(stale.code, Some(1), "{}", stale.stdout);
    assert!(stale.stdout.contains("→ 0.031"), "{}", stale.stdout);
}

#[test]
fn diff_names_the_learning_rate_in_which_two_checkouts_differ() {
    let (a, b) = (Environment::new(), Environment::new());
    made(&a, &[]);
    lock(&a, &[]);
    let other = ["--set", "lr=[0.1,0.25]"];
    made(&b, &other);
    lock(&b, &other);
    let of = |environment: &Environment| environment.file("fig3", "lock").to_str().unwrap().to_owned();
    // The committed files are enough for this.
    let empty = Environment::new();
    let diff = empty.run(&["diff", &of(&a), &of(&b), "--json"]);
    assert_eq!(diff.code, Some(1), "{}", diff.stderr);
    let json: serde_json::Value = serde_json::from_str(&diff.stdout).unwrap();
    let causes: Vec<String> =
        json["causes"].as_array().unwrap().iter().map(|cause| cause["change"].to_string()).collect();
    assert!(causes.iter().any(|cause| cause.contains("lr: 0.2 → 0.25")), "{causes:?}");
    assert_eq!(empty.run(&["diff", &of(&a), &of(&a)]).code, Some(0));
}

#[test]
fn a_second_result_of_a_key_is_reported_and_the_locked_one_used() {
    let environment = Environment::new();
    let first = made(&environment, &[]);
    lock(&environment, &[]);
    // A forged record with the same key and other numbers, older than the true one: by age it would be used.
    let store = Store::open(&environment.path("cache")).unwrap();
    let (_, mut forged) =
        store.every_record().unwrap().into_iter().find(|(_, record)| record.parts.kind == "ema_eval").unwrap();
    let other = store.every_record().unwrap().into_values().filter(|record| record.parts.kind == "ema_eval");
    let other = other.map(|record| record.outputs[0].clone()).find(|output| *output != forged.outputs[0]).unwrap();
    forged.outputs[0] = other;
    forged.provenance.finished = 1;
    store.publish(&forged).unwrap();
    drop(store);

    let again = environment.run(&Environment::tiny("fig3", &[]));
    let json: serde_json::Value = serde_json::from_str(&again.stdout).unwrap();
    assert_eq!((number(&json, "stages_run"), hashes(&json)), (0, hashes(&first)), "{}", again.stderr);
    assert!(again.stderr.contains("1 stage came out differently"), "{}", again.stderr);
    // Without the lock, age decides, and the program says so.
    std::fs::remove_file(environment.file("fig3", "lock")).unwrap();
    let unlocked = environment.run(&Environment::tiny("fig3", &[]));
    let json: serde_json::Value = serde_json::from_str(&unlocked.stdout).unwrap();
    assert_ne!(hashes(&json), hashes(&first));
    assert!(unlocked.stderr.contains("then the oldest"), "{}", unlocked.stderr);
}

#[test]
fn a_killed_run_leaves_no_process_that_goes_on_writing() {
    let environment = Environment::new();
    let mut command = environment.command(&Environment::tiny("fig3", &["--set", "trunk.epochs=500", "--jobs", "2"]));
    let mut child = command.process_group(0).spawn().unwrap();
    let group = i32::try_from(child.id()).unwrap();
    let begun = std::time::Instant::now();
    while !environment.path("cache/records").exists() || environment.files("records").len() < 3 {
        assert!(begun.elapsed() < Duration::from_secs(120), "the run starts to write");
        std::thread::sleep(Duration::from_millis(50));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    // SAFETY: signal 0 only asks whether the group has a member.
    assert_eq!(unsafe { libc::kill(-group, 0) }, -1, "a process of its group is left");
    let state = || -> Vec<_> {
        let files = ["objects", "records", "tmp"].into_iter().flat_map(|folder| environment.files(folder));
        files.map(|file| (file.clone(), std::fs::metadata(&file).unwrap().modified().unwrap())).collect()
    };
    let then = state();
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(state(), then, "nothing is written after its end");
    assert_eq!(environment.run(&["cache", "check"]).code, Some(0));
}

#[test]
fn what_is_signed_by_a_trusted_key_comes_in_and_nothing_else() {
    let (ann, bob) = (Environment::new(), Environment::new());
    let public = key(&ann);
    let first = made(&ann, &[]);
    lock(&ann, &[]);
    let archive = ann.file("fig3", "wdpipe").to_str().unwrap().to_owned();
    let refused = bob.run(&["cache", "import", &archive]);
    assert_eq!(refused.code, Some(1), "{}", refused.stderr);
    let told = format!("`wdpipe keys trust NAME {public}` trusts the key");
    let (error, hint) = refused.stderr.split_once("\n hint: ").unwrap();
    assert!(error.contains("not admitted") && hint.contains(&told), "{}", refused.stderr);
    assert!(bob.files("records").is_empty());
    assert_eq!(bob.run(&["keys", "trust", "ann", &public]).code, Some(0));
    assert_eq!(bob.run(&["cache", "import", &archive]).code, Some(0));
    // Everything is there except the drawing, which is drawn from the numbers, with the same bytes.
    let again = made(&bob, &[]);
    assert_eq!(hashes(&again), hashes(&first));
    assert!(number(&again, "stages_run") <= 1, "{again}");

    // A project that uses signed results only accepts these, and none after the key is revoked.
    std::fs::write(
        bob.path("trust.toml"),
        format!("[policy]\nuse = \"signed\"\n\n[[key]]\nname = \"ann\"\npublic = \"{public}\"\n"),
    )
    .unwrap();
    let signed = bob.run(&["status", "fig3", "--json"]);
    assert_eq!(signed.code, Some(0), "{}", signed.stderr);
    assert_eq!(bob.run(&["keys", "revoke", "ann", "--reason", "lost"]).code, Some(0));
    let json: serde_json::Value =
        serde_json::from_str(&bob.run(&Environment::tiny("fig3", &["--dry-run"])).stdout).unwrap();
    assert_eq!(json["stages_to_run"].as_u64(), Some(STAGES), "all would be computed again: {json}");
}

#[test]
fn attestations_add_up_and_a_forged_one_is_refused() {
    let environment = Environment::new();
    made(&environment, &[]);
    lock(&environment, &[]);
    let lock = environment.file("fig3", "lock");
    let audit = ["audit", lock.file_stem().unwrap().to_str().unwrap(), "--segments", "2", "--device", "cpu", "--seed"];
    let run = |seed: &str| environment.run(&[&audit[..], &[seed]].concat());
    let keyless = run("a");
    assert_eq!(keyless.code, Some(3), "{}", keyless.stderr);
    key(&environment);
    for seed in ["a", "b", "c", "d"] {
        let audited = run(seed);
        assert_eq!(audited.code, Some(0), "{}", audited.stderr);
    }
    let verified = environment.run(&["verify", "fig3", "-v"]);
    assert_eq!(verified.code, Some(0), "{}", verified.stdout);
    let line = verified.stdout.lines().find(|line| line.contains("audits")).unwrap().to_owned();
    assert!(line.contains("of 6 segments") && line.contains("by 1 key"), "{line}");
    let path = environment.file("fig3", "receipts");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replacen("out_of = 6", "out_of = 7", 1)).unwrap();
    let forged = environment.run(&["verify", "fig3"]);
    assert_eq!(forged.code, Some(1), "{}", forged.stdout);
    assert!(forged.stdout.contains("wrong signature"), "{}", forged.stdout);
}

#[test]
fn whois_traces_renamed_copies_of_every_format() {
    let environment = Environment::new();
    made(&environment, &[]);
    lock(&environment, &[]);
    for extension in ["svg", "png", "pdf", "csv"] {
        let copy = environment.path(&format!("found-{extension}.bin"));
        std::fs::copy(environment.file("fig3", extension), &copy).unwrap();
        let found = environment.run(&["whois", copy.to_str().unwrap(), "--json"]);
        assert_eq!(found.code, Some(0), "{extension}: {}", found.stderr);
        let json: serde_json::Value = serde_json::from_str(&found.stdout).unwrap();
        assert_eq!(json[0]["figure"], "fig3", "{extension}");
        assert_eq!(json[0]["identical"], true, "{extension}");
        assert_eq!(json[0]["settings"]["lr"], "0.02, 0.1, 0.2", "{extension}: {}", json[0]["settings"]);
        assert_eq!(json[0]["stages"].as_array().unwrap().len() as u64, STAGES, "{extension}");
    }
    let nothing = environment.path("nothing.png");
    std::fs::write(&nothing, b"not one of ours").unwrap();
    assert_eq!(environment.run(&["whois", nothing.to_str().unwrap()]).code, Some(3));
}

#[test]
fn another_class_of_machines_is_told_and_compared_as_samples() {
    let (here, there) = (Environment::new(), Environment::new());
    let seeds = ["--set", "seed=[0,1,2]"];
    made(&here, &seeds);
    lock(&here, &seeds);
    // Copies the committed files from here to there.
    let copied = || {
        let _ = std::fs::remove_dir_all(there.path("reports"));
        std::fs::create_dir_all(there.path("reports")).unwrap();
        let mut copy = std::process::Command::new("cp");
        copy.arg("-r").arg(here.path("reports/smoke")).arg(there.path("reports"));
        assert!(copy.status().unwrap().success());
    };
    copied();
    // Fewer instructions make another class of machine, with other last bits.
    let run =
        |arguments: &[&str]| ended(&there.command(arguments).env("ATEN_CPU_CAPABILITY", "default").output().unwrap());
    let made = run(&Environment::tiny("fig3", &seeds));
    assert_eq!(made.code, Some(0), "{}", made.stderr);
    if !made.stderr.contains("came out differently here") {
        println!("skipped: this processor has one class only");
        return;
    }
    copied();
    let compared = run(&["verify", "fig3", "--statistics"]);
    let line = compared.stdout.lines().find(|line| line.contains("statistics")).unwrap_or_default();
    assert!(line.contains("tested, 0 differ"), "{}{}", compared.stdout, compared.stderr);
}
