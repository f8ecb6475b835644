//! Two caches through every kind of remote that can run on one machine.

use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::environment::{Ended, Environment, ended, number};
use crate::servers::{self, Fault};

/// Path of the archive of numbers of the committed Figure 3.
fn archive() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("reports/smoke/fig3.wdpipe")
}

/// Two caches, `cache` and `other`, and the environment variables for access to the remote.
struct Two {
    environment: Environment,
    variables: Vec<(&'static str, String)>,
}

impl Two {
    /// Makes the caches. The first has Figure 4 completely, and the numbers of Figure 3.
    fn new(variables: impl IntoIterator<Item = (&'static str, String)>) -> Self {
        let two = Self { environment: Environment::new(), variables: variables.into_iter().collect() };
        two.fine("cache", &["cache", "import", archive().to_str().unwrap(), "--accept", "unsigned"]);
        two.fine("cache", &["make", "fig4"]);
        two
    }

    fn run(&self, cache: &str, arguments: &[&str]) -> Ended {
        let mut command = self.environment.command(&["--cache", cache]);
        command.args(arguments).envs(self.variables.iter().map(|(name, value)| (name, value)));
        ended(&command.output().unwrap())
    }

    fn fine(&self, cache: &str, arguments: &[&str]) -> String {
        let ended = self.run(cache, arguments);
        assert_eq!(ended.code, Some(0), "{arguments:?}: {}", ended.stderr);
        ended.stdout
    }

    fn json(&self, cache: &str, arguments: &[&str]) -> serde_json::Value {
        serde_json::from_str(&self.fine(cache, &[arguments, &["--json"]].concat())).unwrap()
    }

    fn push(&self, url: &str) {
        let sent = self.json("cache", &["push", "fig3", "fig4", "--to", url]);
        assert!(number(&sent, "records") > 160 && number(&sent, "objects") > 3, "{sent}");
        let again = self.json("cache", &["push", "fig3", "fig4", "--to", url]);
        assert_eq!(
            (number(&again, "records"), number(&again, "objects"), number(&again, "bytes")),
            (0, 0, 0),
            "{again}"
        );
        // If files cannot be listed together, each is requested: a remote can lose files that it lists.
        let files = if url.starts_with("ssh:") { number(&again, "stages") } else { 0 };
        assert!(number(&again, "requests") <= 20 + files || !url.contains("://"), "{again}");
    }

    /// The second cache gets the first one's figures from the remote, and computes nothing.
    fn pull(&self, url: &str) {
        let refused = self.run("other", &["pull", "fig3", "--from", url]);
        assert_eq!(refused.code, Some(1), "{}", refused.stderr);
        assert!(refused.stderr.contains("nobody signed it"), "{}", refused.stderr);

        let pulled = self.json("other", &["pull", "fig3", "--from", url, "--accept", "unsigned"]);
        assert_eq!((number(&pulled, "stages"), number(&pulled, "unknown")), (185, 0));
        assert!(number(&pulled, "bytes") < 2_000_000, "{pulled}");
        let started = Instant::now();
        let made = self.json("other", &["make", "fig3"]);
        println!("{url}: make fig3 after pull: {:.2} s", started.elapsed().as_secs_f64());
        // Only numbers were fetched, so the drawing is made here.
        assert_eq!(number(&made, "stages_run"), 1);
        let reports = Path::new(env!("CARGO_MANIFEST_DIR")).join("reports/smoke");
        for file in ["fig3.svg", "fig3.png", "fig3.pdf", "fig3.csv"] {
            let ours = std::fs::read(self.environment.path("reports/smoke").join(file)).unwrap();
            assert_eq!(ours, std::fs::read(reports.join(file)).unwrap(), "{file}");
        }

        // Through a remote without pulling first, nothing is drawn here either. A dry run says so, and fetches nothing.
        let through = format!("--remote={url}");
        let before = self.environment.files_of("other");
        let dry = self.json("other", &["make", "fig4", "-n", &through, "--accept", "unsigned"]);
        assert_eq!(number(&dry, "stages_to_run"), 0, "{dry}");
        assert_eq!(self.environment.files_of("other"), before);
        assert!(number(&self.json("other", &["make", "fig4", "-n"]), "stages_to_run") > 0);
        let made = self.json("other", &["make", "fig4", &through, "--accept", "unsigned"]);
        assert_eq!(number(&made, "stages_run"), 0, "{made}");
        let again = self.json("other", &["pull", "fig4", "--all", "--from", url, "--accept", "unsigned"]);
        assert_eq!(number(&again, "records"), 0);
        self.fine("other", &["cache", "check"]);
    }
}

#[test]
fn a_folder() {
    let two = Two::new([]);
    let url = two.environment.path("shared").display().to_string();
    two.push(&url);
    two.pull(&url);
    // Objects that are damaged here are fetched again from the remote.
    let ours = two.environment.path("other/objects");
    let files = walkdir::WalkDir::new(&ours).into_iter().map(|entry| entry.unwrap().into_path());
    let there = |path: &PathBuf| two.environment.path("shared/objects").join(path.strip_prefix(&ours).unwrap());
    let both = files.into_iter().find(|path| path.is_file() && there(path).is_file()).unwrap();
    std::fs::remove_file(&both).unwrap();
    std::fs::write(&both, "something else").unwrap();
    let repaired = two.fine("other", &["cache", "check", "--repair", "--from", &url]);
    assert!(repaired.contains("1 damaged") && repaired.contains("fetched"), "{repaired}");
    two.fine("other", &["cache", "check"]);
    // A remote is a store: everybody with write access can work in it.
    two.fine("shared", &["cache", "check"]);
    let made = two.json("shared", &["make", "fig4"]);
    assert_eq!(number(&made, "stages_run"), 0);
}

#[test]
fn a_web_server_that_serves_a_cache() {
    let two = Two::new([]);
    let Some(server) = servers::web(&two.environment.path("cache")) else { return };
    let url = format!("http://127.0.0.1:{}", server.port);
    let ended = two.run("other", &["pull", "fig3", "--from", &url]);
    assert_eq!(ended.code, Some(3), "without a catalogue nothing is listed: {}", ended.stderr);
    two.fine("cache", &["cache", "catalogue"]);
    two.pull(&url);
    let refused = two.run("cache", &["push", "fig4", "--to", &url]);
    assert_eq!(refused.code, Some(2));
    assert!(refused.stderr.contains("is read-only"), "{}", refused.stderr);
}

#[test]
fn an_s3_server() {
    let Some(server) = servers::s3() else { return };
    let two = Two::new(servers::s3_variables(server.port));
    two.push("s3://cache/lab");
    two.pull("s3://cache/lab");
    let tested = two.fine("cache", &["remote", "test", "s3://cache/lab"]);
    assert!(tested.contains("of one name is refused"), "{tested}");
    // No secret is written or shown anywhere.
    for entry in walkdir::WalkDir::new(two.environment.folder.path()).into_iter().map(|entry| entry.unwrap()) {
        if entry.file_type().is_file() {
            let bytes = std::fs::read(entry.path()).unwrap();
            assert!(!bytes.windows(11).any(|window| window == b"very-secret"), "{}", entry.path().display());
        }
    }
    let wrong = two.run("cache", &["push", "fig4", "--to", "s3://no-such-bucket/x"]);
    assert_eq!(wrong.code, Some(3), "{}", wrong.stderr);
    assert!(!wrong.stderr.contains("very-secret"));
}

#[test]
fn a_machine_behind_ssh() {
    let folder = tempfile::tempdir().unwrap();
    let Some((_server, settings)) = servers::ssh(&folder.path().join("sshd")) else { return };
    let two = Two::new([("WDPIPE_SSH", format!("ssh -F {}", settings.display()))]);
    let url = format!("ssh://there{}", two.environment.path("shared").display());
    two.push(&url);
    two.pull(&url);
    two.fine("shared", &["cache", "check"]);
    let wrong = two.run("cache", &["pull", "fig4", "--from", "ssh://nowhere.invalid/x"]);
    assert_eq!(wrong.code, Some(3), "{}", wrong.stderr);
}

#[test]
fn remotes_have_names() {
    let two = Two::new([]);
    two.fine("cache", &["remote", "add", "lab", "shared", "--accept", "unsigned"]);
    assert_eq!(two.fine("cache", &["remote", "list"]), "lab  shared  (accepts unsigned)\n");
    two.fine("cache", &["push", "fig4"]);
    let made = two.json("other", &["make", "fig4", "--remote"]);
    assert_eq!(number(&made, "stages_run"), 0);
    assert!(two.fine("other", &["remote", "test", "lab"]).contains("of one name is refused"));
    assert_eq!(two.run("other", &["pull", "fig4", "--from", "lib"]).code, Some(2));
    two.fine("cache", &["remote", "remove", "lab"]);
    assert_eq!(two.run("other", &["pull", "fig4"]).code, Some(2));
}

/// The remote has two results of a stage: an unsigned one, and one signed by a trusted key. The first blocks nothing.
#[test]
fn of_two_results_the_trusted_one_comes_in() {
    let two = Two::new([]);
    two.fine("cache", &["push", "fig4", "--to", "./shared"]);
    let public = two.fine("signed", &["keys", "generate"]);
    two.fine("signed", &["make", "fig4"]);
    let sent = two.json("signed", &["push", "fig4", "--to", "./shared"]);
    assert!(number(&sent, "records") > 0, "signed records are different ones: {sent}");
    let pull = ["pull", "fig4", "--all", "--from", "./shared"];
    assert_eq!(two.run("other", &pull).code, Some(1));
    two.fine("other", &["keys", "trust", "ann", public.trim()]);
    two.fine("other", &pull);
    let made = two.json("other", &["make", "fig4"]);
    assert_eq!(number(&made, "stages_run"), 0);
    let again = two.json("other", &[&pull[..], &["--accept", "unsigned"]].concat());
    assert!(number(&again, "records") > 0, "now the other result is accepted too: {again}");
}

/// A connection with some failures loses nothing, and wrong bytes are never stored.
#[test]
fn a_wire_that_fails() {
    let two = Two::new([]);
    two.fine("cache", &["cache", "catalogue"]);
    let Some(server) = servers::web(&two.environment.path("cache")) else { return };
    let faults = [Fault::Cut(700), Fault::Cut(20_000), Fault::Error, Fault::Slow];
    for (number, fault) in faults.into_iter().enumerate() {
        let port = servers::wire(server.port, fault, 12);
        let url = format!("http://127.0.0.1:{port}");
        let cache = format!("other{number}");
        let pull = ["pull", "fig4", "--all", "--from", &url, "--accept", "unsigned"];
        // A run can give up; the next run continues.
        let ended = (0..5).map(|_| two.run(&cache, &pull)).find(|ended| ended.code == Some(0));
        assert!(ended.is_some(), "{fault:?}");
        let made = two.json(&cache, &["make", "fig4"]);
        assert_eq!(crate::environment::number(&made, "stages_run"), 0, "{fault:?}");
        two.fine(&cache, &["cache", "check"]);
    }
    let port = servers::wire(server.port, Fault::Wrong, usize::MAX);
    let url = format!("http://127.0.0.1:{port}");
    let ended = two.run("wrong", &["pull", "fig4", "--all", "--from", &url, "--accept", "unsigned"]);
    assert_eq!(ended.code, Some(4), "{}", ended.stderr);
    assert!(ended.stderr.contains("nothing of it was used"), "{}", ended.stderr);
    two.fine("wrong", &["cache", "check"]);
}

#[test]
fn an_s3_server_behind_a_wire_that_fails() {
    let Some(server) = servers::s3() else { return };
    for (name, fault) in [("cut", Fault::Cut(150)), ("error", Fault::Error), ("slow", Fault::Slow)] {
        let port = servers::wire(server.port, fault, 6);
        let two = Two::new(servers::s3_variables(port));
        let url = format!("s3://cache/{name}");
        let push = ["push", "fig4", "--to", &url];
        assert!((0..5).any(|_| two.run("cache", &push).code == Some(0)), "{fault:?}");
        let made = two.json("other", &["make", "fig4", &format!("--remote={url}"), "--accept", "unsigned"]);
        assert_eq!(number(&made, "stages_run"), 0, "{fault:?}");
        two.fine("other", &["cache", "check"]);
    }
}
