//! Checks files with the schemas in schemas/, as editors do. Runs taplo, which `ci/servers` installs.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::servers::needed;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A project that holds the schemas and their configuration.
struct Checked {
    taplo: PathBuf,
    folder: tempfile::TempDir,
}

impl Checked {
    /// Returns nothing if there is no taplo.
    fn new() -> Option<Self> {
        let taplo = needed("taplo")?;
        let folder = tempfile::tempdir().unwrap();
        std::fs::copy(root().join(".taplo.toml"), folder.path().join(".taplo.toml")).unwrap();
        std::fs::create_dir(folder.path().join("schemas")).unwrap();
        for entry in std::fs::read_dir(root().join("schemas")).unwrap().map(|entry| entry.unwrap()) {
            std::fs::copy(entry.path(), folder.path().join("schemas").join(entry.file_name())).unwrap();
        }
        Some(Self { taplo, folder })
    }

    /// Checks a file of the project with this text, and returns what taplo says if it is not valid.
    fn complaint(&self, name: &str, text: &str) -> Option<String> {
        let path = self.folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        let ended = Command::new(&self.taplo).args(["check", name]).current_dir(self.folder.path()).output().unwrap();
        (!ended.status.success()).then(|| String::from_utf8_lossy(&ended.stderr).into_owned())
    }
}

/// A valid pipeline.
const FINE: &str = r#"
title = "x"
[settings]
seed = [0]
[stage.valley]
kind = "valley"
steps = 10
seed = "$seed"
[[panel]]
id = "a"
x = { label = "Step" }
y = { label = "Loss" }
[[panel.curve]]
from = "valley"
x = "step"
y = "loss"
[profile.smoke]
valley.steps = 5
"#;

#[test]
fn schemas_accept_every_pipeline() {
    let Some(checked) = Checked::new() else { return };
    let folders = ["pipelines", "examples/commands/pipelines", "tests/fixtures/pipelines", "tests/fixtures/fields"];
    let files = folders.into_iter().flat_map(|folder| std::fs::read_dir(root().join(folder)).unwrap());
    let mut paths: Vec<PathBuf> = files.map(|entry| entry.unwrap().path()).collect();
    paths.push(root().join("src/cli/new.toml"));
    for path in paths {
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(checked.complaint("pipelines/checked.toml", &text), None, "{}", path.display());
    }
    assert_eq!(checked.complaint("pipelines/checked.toml", FINE), None);
}

#[test]
fn schemas_report_mistakes_in_pipelines() {
    let Some(checked) = Checked::new() else { return };
    for (from, to, said) in [
        ("steps = 10", "stesp = 10", "'stesp' was unexpected"),
        ("steps = 10", "steps = \"10\"", "\"10\""),
        ("steps = 10", "steps = 0", "0 is less than the minimum of 1"),
        ("kind = \"valley\"", "kind = \"vally\"", "\"vally\" is not one of"),
        ("title", "titel", "'titel' was unexpected"),
        ("from = \"valley\"\n", "", "\"from\" is a required property"),
        ("from = \"valley\"", "from = \"valley\"\nmark = \"lines\"", "\"lines\" is not one of"),
        ("label = \"Step\"", "label = \"Step\", scale = \"ln\"", "\"ln\" is not one of"),
        ("seed = [0]", "seed = []", "[] is not valid under any of the schemas"),
    ] {
        let complaint = checked.complaint("pipelines/checked.toml", &FINE.replacen(from, to, 1));
        assert!(complaint.as_ref().is_some_and(|complaint| complaint.contains(said)), "{to}: {complaint:?}");
    }
}

#[test]
fn schemas_report_mistakes_in_the_other_files() {
    let Some(checked) = Checked::new() else { return };
    for (name, text, said) in [
        ("trust.toml", "[policy]\nuse = \"signed\"\n[[key]]\nname = \"a\"\npublic = \"ed25519:0\"\n", None),
        ("trust.toml", "[policy]\nuse = \"sinned\"\n", Some("\"sinned\" is not one of")),
        ("trust.toml", "[[key]]\nname = \"a\"\n", Some("\"public\" is a required property")),
        ("remotes.toml", "[lab]\nurl = \"s3://b\"\naccept = [\"unsigned\"]\n", None),
        ("remotes.toml", "[lab]\nulr = \"s3://b\"\n", Some("'ulr' was unexpected")),
        ("cluster.toml", "[slurm]\npartition = \"gpu\"\ncpus = 4\nflags = [\"--x\"]\n", None),
        ("cluster.toml", "[slurm]\ncpus = \"four\"\n", Some("\"four\"")),
        ("cluster.toml", "partition = \"gpu\"\n", Some("'partition' was unexpected")),
    ] {
        let complaint = checked.complaint(name, text);
        let fine = match said {
            None => complaint.is_none(),
            Some(said) => complaint.as_ref().is_some_and(|complaint| complaint.contains(said)),
        };
        assert!(fine, "{name}: {text}: {complaint:?}");
    }
}
