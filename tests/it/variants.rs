//! Figures made with other settings lie beside those of the pipelines and replace nothing; with a toy that needs no training.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::environment::{Ended, Environment};

/// A pipeline of the toy of Figure 4 with two short runs.
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

/// A folder with pipelines of its own.
struct Project(Environment);

impl Project {
    /// With pipelines of these names, each drawing the same.
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

    /// Runs a command that must end well.
    fn fine(&self, line: &str) -> Ended {
        let ended = self.run(line);
        assert_eq!(ended.code, Some(0), "{line}: {}{}", ended.stdout, ended.stderr);
        ended
    }

    /// The files in the folder of a profile.
    fn files(&self, profile: &str) -> BTreeMap<String, Vec<u8>> {
        let entries = std::fs::read_dir(self.0.path("reports").join(profile)).into_iter().flatten();
        let file = |entry: std::io::Result<std::fs::DirEntry>| {
            let path = entry.unwrap().path();
            (path.file_name().unwrap().to_str().unwrap().to_owned(), std::fs::read(path).unwrap())
        };
        entries.map(file).collect()
    }

    /// The name of the only variant.
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
    // The default however it is said is no variant.
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

    // What is made is still found with its settings.
    let shown = project.fine("show toy --output svg --set seed=0").stdout;
    assert!(String::from_utf8_lossy(&now[&format!("{name}.svg")]).contains(shown.lines().last().unwrap()));
    assert_eq!(project.run("diff toy --set-b seed=0").code, Some(1));
    project.fine("compare toy --set seed=0");
}

#[test]
fn what_is_locked_is_what_was_asked_for() {
    let project = Project::new(&["toy"]);
    // More seeds are a variant too.
    project.fine("make toy --ci 1000 -q");
    project.fine("make toy --set noise=0.25 --budget 0s --ci 1e-9 -q");
    let (name, made) = (project.variant(), project.files("smoke"));
    // The figure of the defaults: its own lock, and its own files.
    let said = project.fine("lock toy").stderr;
    let hint =
        format!("{name} is another variant, not locked: `wdpipe lock toy --profile smoke --set noise=0.25` locks it");
    assert!(said.contains(&hint) && said.contains("locked reports/smoke/toy.lock"), "{said}");
    let now = project.files("smoke");
    assert!(made.iter().all(|(file, bytes)| now[file] == *bytes));
    // The variant: under its own name.
    let said = project.fine("lock toy --set noise=0.25").stderr;
    assert!(said.contains(&format!("locked reports/smoke/{name}.lock")), "{said}");
    let after = project.files("smoke");
    assert!(now.iter().all(|(file, bytes)| after[file] == *bytes));
    let lock = String::from_utf8(after[&format!("{name}.lock")].clone()).unwrap();
    assert!(lock.contains(&format!("name = \"{name}\"\nfigure = \"toy\"\n")), "{lock}");
    assert!(lock.contains("set = [\"noise=0.25\"]"), "{lock}");
    let verified = project.fine("verify --render").stdout;
    assert!(verified.contains("ok: 2 figures, "), "a locked variant is checked: {verified}");
    // A lock is that of its own figure.
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
    // It is to be kept, so it counts.
    let unlocked = project.run("verify");
    let hint = "`wdpipe lock toy --name quiet --profile smoke --set seed=0` writes one";
    assert!(unlocked.code == Some(3) && unlocked.stdout.contains(hint), "{}", unlocked.stdout);
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
        assert!(refused.stderr.contains("this is no name: "), "{}", refused.stderr);
    }
    let refused = project.run("make toy");
    assert!(refused.code == Some(2) && refused.stderr.contains("`../../x` cannot be the name of a profile"));
    assert!(!project.0.path("reports").exists());
}

#[test]
fn a_page_of_some_figures_keeps_the_others() {
    let project = Project::new(&["one", "two"]);
    project.fine("make all -q");
    let page = || std::fs::read_to_string(project.0.path("reports/smoke/index.html")).unwrap();
    let whole = page();
    assert!(whole.contains("<section id=\"figure-one\"") && whole.contains("<section id=\"figure-two\""));
    // Another cache, that has one of them: the other stays as it is on the page.
    let said = project.fine("make one --cache other -q").stderr + &project.fine("report --cache other").stderr;
    assert!(said.contains("kept as they were on the page, since they are not made here: two"), "{said}");
    let told = |page: &str, name: &str| page.split_once(&format!("id=\"figure-{name}\"")).unwrap().1.len();
    assert!(page().contains("<p>2 figures, ") && told(&page(), "two") == told(&whole, "two"));
    project.fine("report one");
    assert_eq!(page(), whole, "the same with the first cache");
    // Other settings, another page.
    project.fine("make one --set seed=0 -q");
    project.fine("report --set seed=0");
    assert_eq!(page(), whole);
    let others = project.files("smoke").into_keys().filter(|name| name.starts_with("index@"));
    assert_eq!(others.count(), 1);
    // What no pipeline draws any more goes; what was never made is left out.
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
    // Computed anew elsewhere, with the same results: the evidence that is there stays.
    project.fine("make one two --cache other -q");
    project.fine("lock two --cache other");
    assert_eq!(project.files("smoke"), locked);
    // Signatures come to it.
    project.fine("keys generate");
    project.fine("keys sign all");
    project.fine("lock two");
    assert_ne!(project.files("smoke")["two.wdpipe"], locked["two.wdpipe"]);
    assert_eq!(project.files("smoke")["two.lock"], locked["two.lock"]);
    project.fine("lock two --cache other");
    let verified = project.fine("verify two -v").stdout;
    assert!(verified.contains("not in trust.toml"), "the signatures stay: {verified}");
}
