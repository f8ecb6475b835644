//! Figures with other settings are written next to those of the pipelines and replace nothing. The tests use a toy pipeline
//! that needs no training.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::environment::{Ended, Environment};

/// A pipeline with the toy of Figure 4 and two short runs.
const TEXT: &str = r#"
title = "A toy"

[settings]
noise = 0.5
seed  = [0, 1]

[stage.valley]
kind  = "valley"
noise = "$noise"
steps = 40
every = 20
seed  = "$seed"

[[panel]]
id = "a"
x  = { label = "step" }
y  = { label = "trace" }

[[panel.curve]]
from  = "valley"
table = "tuned"
x     = "step"
y     = "trace"

[profile.smoke]
[profile.quick]
noise = 0.25
"#;

/// A folder with separate pipelines.
struct Project(Environment);

impl Project {
    /// Makes a project with pipelines of these names, which all draw the same.
    fn new(names: &[&str]) -> Self {
        let project = Self(Environment::new());
        std::fs::create_dir(project.0.path("pipelines")).unwrap();
        names.iter().for_each(|name| std::fs::write(project.pipeline(name), TEXT).unwrap());
        project
    }

    fn pipeline(&self, name: &str) -> PathBuf {
        self.0.path(&format!("pipelines/{name}.toml"))
    }

    fn run(&self, line: &str) -> Ended {
        let arguments: Vec<&str> = line.split(' ').collect();
        self.0.run_with(&self.0.path("pipelines"), &arguments)
    }

    /// Runs a command that must succeed.
    fn fine(&self, line: &str) -> Ended {
        let ended = self.run(line);
        assert_eq!(ended.code, Some(0), "{line}: {}{}", ended.stdout, ended.stderr);
        ended
    }

    /// Returns the files in the folder of a profile.
    fn files(&self, profile: &str) -> BTreeMap<String, Vec<u8>> {
        let entries = std::fs::read_dir(self.0.path("reports").join(profile)).into_iter().flatten();
        let file = |entry: std::io::Result<std::fs::DirEntry>| {
            let path = entry.unwrap().path();
            (path.file_name().unwrap().to_str().unwrap().to_owned(), std::fs::read(path).unwrap())
        };
        entries.map(file).collect()
    }

    /// Returns the name of the only variant.
    fn variant(&self) -> String {
        let svg = self.files("smoke").into_keys().filter(|name| name.contains('@') && name.ends_with(".svg"));
        let [name] = &svg.collect::<Vec<_>>()[..] else { panic!("{:?}", self.files("smoke").keys()) };
        name.trim_end_matches(".svg").to_owned()
    }
}

#[test]
fn a_variant_replaces_nothing_and_is_told_with_its_settings() {
    let project = Project::new(&["toy"]);
    project.fine("make toy -q");
    project.fine("lock toy -q");
    let committed = project.files("smoke");
    // A --set with the default values does not create a variant.
    project.fine("make toy --set noise=0.5 --set seed=[0,1]");
    assert_eq!(project.files("smoke"), committed);

    project.fine("make toy --set seed=0");
    let name = project.variant();
    let now = project.files("smoke");
    assert!(committed.iter().all(|(file, bytes)| now[file] == *bytes), "nothing was replaced");
    let others: Vec<_> = now.keys().filter(|file| !committed.contains_key(*file)).collect();
    let all = ["csv", "pdf", "png", "svg", "toml"].map(|extension| format!("{name}.{extension}"));
    assert_eq!(others, all.iter().collect::<Vec<_>>());
    project.fine("make toy --set seed=0");
    assert_eq!(project.files("smoke"), now, "the same name every time");

    let status = project.fine("status").stdout;
    assert!(status.contains(&format!("{name}  wdpipe make toy --profile smoke --set seed=0")), "{status}");
    let verified = project.fine("verify");
    let lines: Vec<_> = verified.stdout.lines().collect();
    let told =
        format!("{name} (smoke): a variant, not counted, made by `wdpipe make toy --profile smoke --set seed=0`");
    assert_eq!(lines[0], told);
    assert!(lines.len() == 2 && lines[1].starts_with("ok: 1 figure, "), "{lines:?}");
    let file = format!("reports/smoke/{name}.pdf");
    let whois = project.fine(&format!("whois {file}")).stdout;
    assert!(whois.contains("wdpipe make toy --profile smoke --set seed=0"), "{whois}");

    // The files of the variant are found with its settings.
    let shown = project.fine("show toy --output svg --set seed=0").stdout;
    assert!(String::from_utf8_lossy(&now[&format!("{name}.svg")]).contains(shown.lines().last().unwrap()));
    assert_eq!(project.run("diff toy --set-b seed=0").code, Some(1));
    project.fine("compare toy --set seed=0");
}

#[test]
fn what_is_locked_is_what_was_asked_for() {
    let project = Project::new(&["toy"]);
    project.fine("make toy -q");
    project.fine("make toy --set noise=0.25 --budget 0s --ci 1e-9 -q");
    let (name, made) = (project.variant(), project.files("smoke"));
    // The figure with default settings has its own lock and its own files.
    let said = project.fine("lock toy").stderr;
    let hint =
        format!("{name} is another variant, not locked: `wdpipe lock toy --profile smoke --set noise=0.25` locks it");
    assert!(said.contains(&hint) && said.contains("locked reports/smoke/toy.lock"), "{said}");
    let now = project.files("smoke");
    assert!(made.iter().all(|(file, bytes)| now[file] == *bytes));
    // The variant is locked under its own name.
    let said = project.fine("lock toy --set noise=0.25").stderr;
    assert!(said.contains(&format!("locked reports/smoke/{name}.lock")), "{said}");
    let after = project.files("smoke");
    assert!(now.iter().all(|(file, bytes)| after[file] == *bytes));
    let lock = String::from_utf8(after[&format!("{name}.lock")].clone()).unwrap();
    assert!(lock.contains(&format!("name = \"{name}\"\nfigure = \"toy\"\n")), "{lock}");
    assert!(lock.contains("set = [\"noise=0.25\"]"), "{lock}");
    let verified = project.fine("verify --render").stdout;
    assert!(verified.contains("ok: 2 figures, "), "a locked variant is checked: {verified}");
    // A lock is valid only for its own figure.
    std::fs::write(project.0.path("reports/smoke/toy.lock"), lock).unwrap();
    let swapped = project.run("verify");
    assert!(swapped.code == Some(1) && swapped.stdout.contains("it is the lock of"), "{}", swapped.stdout);
}

#[test]
fn a_variant_may_have_a_name_and_no_figures() {
    let project = Project::new(&["other", "toy"]);
    project.fine("make toy --set seed=0 --name quiet -q");
    let files = project.files("smoke");
    assert_eq!(files.keys().collect::<Vec<_>>(), ["quiet.csv", "quiet.pdf", "quiet.png", "quiet.svg", "quiet.toml"]);
    // A variant with a name is meant to be kept, so it counts.
    let unlocked = project.run("verify");
    let hint = "`wdpipe lock toy --name quiet --profile smoke --set seed=0` writes one";
    assert!(unlocked.code == Some(3) && unlocked.stdout.contains(hint), "{}", unlocked.stdout);
    let status = project.fine("status toy").stdout;
    assert!(status.contains("  quiet  wdpipe make toy --name quiet --profile smoke --set seed=0\n"), "{status}");
    project.fine("lock toy --name quiet --profile smoke --set seed=0");
    project.fine("verify quiet");
    for name in ["other", "toy", "../x", "a/b", ".x", "a@b"] {
        let refused = project.run(&format!("make toy --set seed=0 --name {name}"));
        assert_eq!(refused.code, Some(2), "{name}: {}", refused.stderr);
    }
    assert_eq!(project.run("make toy other --name both").code, Some(2));
    assert_eq!(project.files("smoke").len(), 7);
}

#[test]
fn names_do_not_lead_out_of_the_folder() {
    let project = Project::new(&["toy"]);
    let text = format!("{TEXT}[profile.\"../../x\"]\n");
    std::fs::write(project.pipeline("toy"), text).unwrap();
    for command in ["make toy", "lock toy", "verify", "audit toy", "report", "status", "cache gc"] {
        let refused = project.run(&format!("{command} --profile ../../x"));
        assert_eq!(refused.code, Some(2), "{command}: {}", refused.stderr);
        assert!(refused.stderr.contains("invalid name: "), "{}", refused.stderr);
    }
    let refused = project.run("make toy");
    assert!(refused.code == Some(2) && refused.stderr.contains("`../../x` cannot be the name of a profile"));
    assert!(!project.0.path("reports").exists());
}

#[test]
fn the_page_tells_what_was_checked_and_names_a_commit_only_if_asked() {
    let project = Project::new(&["one"]);
    project.fine("make one -q");
    project.fine("report");
    let page = || std::fs::read_to_string(project.0.path("reports/smoke/index.html")).unwrap();
    assert!(page().contains("not locked</span> there was no lock to compare with"));
    project.fine("lock one");
    project.fine("report");
    let locked = page();
    assert!(locked.contains("matches its lock</span>") && locked.contains(">pipeline ok: one.toml asks for these"));
    assert!(locked.contains("form one chain") && !locked.contains("from commit"));
    project.fine("report");
    assert_eq!(page(), locked);
    let refused = project.run("report --commit");
    assert!(
        refused.code == Some(1) && refused.stderr.contains("git does not say which commit this is"),
        "{}",
        refused.stderr
    );
    assert_eq!(page(), locked);
    // The files of the figure no longer match.
    let svg = project.0.path("reports/smoke/one.svg");
    std::fs::write(&svg, std::fs::read_to_string(&svg).unwrap() + "\n").unwrap();
    project.fine("report");
    assert!(page().contains("differs from its lock</span><ul><li") && page().contains(">files DIFFERS: "));

    let git = |arguments: &[&str]| {
        let mut command = std::process::Command::new("git");
        command.current_dir(project.0.path(".")).args(["-c", "user.name=a", "-c", "user.email=a@b"]).args(arguments);
        command.status().is_ok_and(|status| status.success())
    };
    if !(git(&["init", "-q"]) && git(&["add", "pipelines"]) && git(&["commit", "-q", "-m", "first"])) {
        println!("skipped: no git that can commit");
        return;
    }
    project.fine("report --commit");
    assert!(page().contains("<p>Written from commit <code>") && page().contains(", with changes in "), "no commit");
}

#[test]
fn a_page_of_some_figures_keeps_the_others() {
    let project = Project::new(&["one", "two"]);
    project.fine("make all -q");
    let page = || std::fs::read_to_string(project.0.path("reports/smoke/index.html")).unwrap();
    let whole = page();
    assert!(whole.contains("<section id=\"figure-one\"") && whole.contains("<section id=\"figure-two\""));
    // Another cache has only one of the figures: the other stays unchanged on the page.
    let said = project.fine("make one --cache other -q").stderr + &project.fine("report --cache other").stderr;
    assert!(said.contains("kept as they were on the page, since they are not made here: two"), "{said}");
    let told = |page: &str, name: &str| page.split_once(&format!("id=\"figure-{name}\"")).unwrap().1.len();
    assert!(page().contains("<p>2 figures, ") && told(&page(), "two") == told(&whole, "two"));
    project.fine("report one");
    assert_eq!(page(), whole, "the same with the first cache");
    // Other settings make another page.
    project.fine("make one --set seed=0 -q");
    project.fine("report --set seed=0");
    assert_eq!(page(), whole);
    let others = project.files("smoke").into_keys().filter(|name| name.starts_with("index@"));
    assert_eq!(others.count(), 1);
    // Figures that no pipeline draws any more are removed from the page; figures that were never made are omitted.
    std::fs::rename(project.pipeline("two"), project.pipeline("three")).unwrap();
    let said = project.fine("report").stderr;
    assert!(said.contains("no longer on the page, since no pipeline draws them: two"), "{said}");
    assert!(said.contains("left out, since they are not made yet: three"), "{said}");
    assert!(!page().contains("figure-two"));
}

#[test]
fn locking_what_did_not_change_changes_no_byte() {
    let project = Project::new(&["one", "two"]);
    project.fine("make all -q");
    project.fine("lock all -q");
    let locked = project.files("smoke");
    let lock = String::from_utf8(locked["two.lock"].clone()).unwrap();
    assert!(lock.contains("two/valley[seed=0]") && !lock.contains("one/valley"), "{lock}");
    for command in ["lock two", "lock one", "lock all", "lock one two --profile smoke --set noise=0.5"] {
        let said = project.fine(command).stderr;
        assert!(said.contains("unchanged reports/smoke/") && !said.contains("wrote"), "{said}");
        assert_eq!(project.files("smoke"), locked, "{command}");
    }
    // The figures are computed again elsewhere with the same results: the existing evidence stays.
    project.fine("make one two --cache other -q");
    project.fine("lock two --cache other");
    assert_eq!(project.files("smoke"), locked);
    // New signatures are added to the evidence.
    project.fine("keys generate");
    project.fine("keys sign all");
    project.fine("lock two");
    assert_ne!(project.files("smoke")["two.wdpipe"], locked["two.wdpipe"]);
    assert_eq!(project.files("smoke")["two.lock"], locked["two.lock"]);
    project.fine("lock two --cache other");
    let verified = project.fine("verify two -v").stdout;
    assert!(verified.contains("not in trust.toml"), "the signatures stay: {verified}");
}

#[test]
fn a_figure_whose_evidence_is_gone_is_missing_not_right() {
    let project = Project::new(&["one", "two"]);
    project.fine("make one two -q");
    project.fine("lock one two -q");
    let committed = project.files("smoke");
    let verified = project.fine("verify");
    let closing = "ok: 2 figures, checked files, records, signatures, pipeline (-v shows what that proves)\n";
    assert_eq!((verified.stdout.as_str(), verified.stderr.as_str()), (closing, ""), "one line");
    let quiet = project.fine("verify -q");
    assert_eq!((quiet.stdout + &quiet.stderr).as_str(), "");
    let told = project.fine("verify -v").stdout;
    assert!(
        told.contains("It leaves open") && told.contains("one (smoke): ok") && told.ends_with("pipeline\n"),
        "{told}"
    );

    let path = |file: &str| project.0.path("reports/smoke").join(file);
    let lock = "`wdpipe lock one --profile smoke`";
    for (gone, said) in [
        ("one.lock", format!("it has no lock: {lock} writes one")),
        ("one.wdpipe", format!("reports/smoke/one.wdpipe is not there: {lock} writes it")),
        ("one.png", "reports/smoke/one.png is not there".to_owned()),
    ] {
        std::fs::remove_file(path(gone)).unwrap();
        for command in ["verify", "verify -q", "verify one", "verify --render", "verify --profile smoke"] {
            let missing = project.run(command);
            assert_eq!(missing.code, Some(3), "{gone}, {command}: {}", missing.stdout);
            assert!(missing.stdout.contains(&said), "{gone}, {command}: {}", missing.stdout);
            let tells_all = missing.stdout.contains("two (") && command != "verify --render";
            assert!(!tells_all, "only problems are reported: {}", missing.stdout);
        }
        let closing = project.run("verify").stderr;
        assert!(closing.contains("of 2 figures, 1 holds, 1 lacks something"), "{closing}");
        std::fs::write(path(gone), &committed[gone]).unwrap();
    }
    // First, only the drawing of `one` remains. Then there is a drawing that no pipeline knows.
    for extension in ["csv", "lock", "pdf", "png", "wdpipe"] {
        std::fs::remove_file(path(&format!("one.{extension}"))).unwrap();
    }
    assert_eq!(project.run("verify").code, Some(3));
    committed.iter().for_each(|(file, bytes)| std::fs::write(path(file), bytes).unwrap());
    std::fs::write(path("fig9.svg"), "x").unwrap();
    let unknown = project.run("verify");
    assert!(unknown.code == Some(3) && unknown.stdout.contains("no pipeline draws it"), "{}", unknown.stdout);
    std::fs::remove_file(path("fig9.svg")).unwrap();

    // The pipeline was changed, or removed.
    std::fs::write(project.pipeline("one"), TEXT.replace("noise = 0.5", "noise = 0.6")).unwrap();
    let changed = project.run("verify");
    assert!(changed.code == Some(1) && changed.stdout.contains("noise: 0.5 → 0.6"), "{}", changed.stdout);
    std::fs::remove_file(project.pipeline("one")).unwrap();
    let gone = project.run("verify");
    assert!(
        gone.code == Some(3) && gone.stdout.contains("there is no figure, panel or stage `one`"),
        "{}",
        gone.stdout
    );
    // The lock belongs to another profile.
    std::fs::write(project.pipeline("one"), TEXT).unwrap();
    std::fs::rename(project.0.path("reports/smoke"), project.0.path("reports/quick")).unwrap();
    let moved = project.run("verify");
    assert!(moved.code == Some(1) && moved.stdout.contains("of a figure of profile smoke"), "{}", moved.stdout);
}

#[test]
fn a_clone_that_converts_line_ends_verifies_and_without_attributes_says_what_happened() {
    let project = Project::new(&["toy"]);
    let path = |name: &str| project.0.path(name);
    let git = |folder: &str, arguments: &[&str]| {
        let mut git = std::process::Command::new("git");
        let settings = ["user.name=a", "user.email=a@b.c", "core.autocrlf=true", "core.safecrlf=false"];
        git.args(settings.iter().flat_map(|setting| ["-c", *setting]));
        git.env("GIT_CONFIG_GLOBAL", "/dev/null").current_dir(path(folder)).args(arguments);
        git.output().is_ok_and(|output| output.status.success())
    };
    for folder in ["from", "bare"] {
        project.fine(&format!("make toy -q --reports {folder}/reports"));
        project.fine(&format!("lock toy -q --reports {folder}/reports"));
    }
    let attributes = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(".gitattributes");
    std::fs::copy(attributes, path("from/.gitattributes")).unwrap();
    if !git("from", &["init", "-q"]) {
        println!("skipped: there is no git");
        return;
    }
    for folder in ["from", "bare"] {
        let clone = format!("{folder}-clone");
        assert!(git(folder, &["init", "-q"]) && git(folder, &["add", "-A"]) && git(folder, &["commit", "-qm", "x"]));
        assert!(git("", &["clone", "-q", folder, &clone]), "{folder}");
    }
    let verify = |folder: &str| project.run(&format!("verify --reports {folder}/reports"));
    let lock = "bare-clone/reports/smoke/toy.lock";
    assert!(std::fs::read(path(lock)).unwrap().ends_with(b"\r\n"), "git converts files without attributes");
    let well = verify("from-clone");
    assert_eq!(well.code, Some(0), "{}", well.stdout);
    let ill = verify("bare-clone");
    assert!(ill.code == Some(1) && ill.stdout.contains("only its line ends differ"), "{}", ill.stdout);
    // With the lock restored, the other files get the same explanation.
    std::fs::copy(path("bare/reports/smoke/toy.lock"), path(lock)).unwrap();
    let ill = verify("bare-clone").stdout;
    assert!(ill.contains("toy.csv: only its line ends differ: they are CRLF, as git writes them"), "{ill}");
}

#[test]
fn recommended_commands_have_the_options_that_hold() {
    let project = Project::new(&["toy"]);
    let options = "--profile quick --set seed=0 --cache c --reports r";
    let hint = |line: &str| {
        let ended = project.run(&format!("{line} {options}"));
        assert_eq!(ended.code, Some(3), "{line}: {}", ended.stderr);
        ended
            .stderr
            .split('`')
            .find(|quote| quote.starts_with("wdpipe "))
            .unwrap_or_else(|| panic!("{}", ended.stderr))
            .to_owned()
    };
    std::fs::create_dir(project.0.path("remote")).unwrap();
    project.fine("make toy --cache remote/store -q");
    project.fine("make toy/valley[seed=1] --cache c -q");
    for (line, said) in [
        ("show toy", "make toy"),
        ("report", "make all"),
        ("lock toy", "make toy"),
        ("cache export toy x", "make toy"),
        ("diff toy --set-b seed=1", "make toy"),
        ("pull toy --from remote/store --accept unsigned", "make toy"),
    ] {
        assert_eq!(hint(line), format!("wdpipe {said} --cache c --reports r --profile quick --set seed=0"), "{line}");
    }
    // The printed command makes the missing figure.
    let command = hint("show toy");
    project.fine(command.trim_start_matches("wdpipe "));
    project.fine(&format!("show toy {options}"));
    // The other side has its own settings.
    let of_b = "--profile quick --set seed=0 --set seed=1 --cache c --reports r";
    assert_eq!(hint("diff toy --set-b seed=1"), format!("wdpipe make toy {of_b}"));
    project.fine("make toy/valley[seed=1] --cache b -q");
    let of_b = "--profile quick --set seed=0 --cache b --reports r";
    assert_eq!(hint("diff toy --cache-b b"), format!("wdpipe make toy {of_b}"));
    // A complaint about a setting does not repeat it.
    let wrong = project.run("status --set nose=1 --cache c");
    assert!(wrong.code == Some(2) && !wrong.stderr.contains("--set nose=1`"), "{}", wrong.stderr);
}
