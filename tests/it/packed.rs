//! The archives of a pipeline's figures are packed against that of the figure with the pipeline's name.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::Stdio;

use super::environment::{Ended, Environment};

/// A pipeline with three figures of the same stages.
const TEXT: &str = r#"
title = "A toy"

[settings]
noise = 0.5
seed  = { from = 0, to = 9 }

[stage.valley]
kind  = "valley"
noise = "$noise"
steps = 40
every = 20
seed  = "$seed"

[figure.after]
[figure.before]

[[panel]]
id = "a"
x  = { label = "step" }
y  = { label = "trace" }

[[panel.curve]]
from  = "valley"
table = "tuned"
x     = "step"
y     = "trace"

[[panel]]
figure = "after"
id = "a"
x  = { label = "step" }
y  = { label = "loss" }

[[panel.curve]]
from  = "valley"
table = "tuned"
x     = "step"
y     = "loss"

[[panel]]
figure = "before"
id = "a"
x  = { label = "step" }
y  = { label = "loss" }

[[panel.curve]]
from  = "valley"
x     = "step"
y     = "loss"

[profile.smoke]
"#;

const ALL: [&str; 3] = ["after", "before", "main"];

struct Project(Environment);

impl Project {
    fn made() -> Self {
        let project = Self(Environment::new());
        std::fs::create_dir(project.0.path("pipelines")).unwrap();
        std::fs::write(project.0.path("pipelines/main.toml"), TEXT).unwrap();
        project.fine("make all -q");
        project
    }

    fn run(&self, line: &str) -> Ended {
        let arguments: Vec<&str> = line.split(' ').collect();
        self.0.run_with(&self.0.path("pipelines"), &arguments)
    }

    fn fine(&self, line: &str) -> Ended {
        let ended = self.run(line);
        assert_eq!(ended.code, Some(0), "{line}: {}{}", ended.stdout, ended.stderr);
        ended
    }

    fn path(&self, figure: &str) -> PathBuf {
        self.0.path(&format!("reports/smoke/{figure}.wdpipe"))
    }

    /// Returns the archives of [`ALL`].
    fn archives(&self) -> [Vec<u8>; 3] {
        ALL.map(|figure| std::fs::read(self.path(figure)).unwrap_or_default())
    }
}

#[test]
fn whatever_is_locked_first_the_same_small_archives_result() {
    let project = Project::made();
    project.fine("lock main before after -q");
    let packed = project.archives();
    assert!(
        packed[0].len() * 4 < packed[2].len() && packed[1].len() * 4 < packed[2].len(),
        "{:?}",
        packed.map(|a| a.len())
    );
    for order in ["after before main", "before main after", "all"] {
        ALL.iter().for_each(|figure| std::fs::remove_file(project.path(figure)).unwrap());
        for figure in order.split(' ') {
            project.fine(&format!("lock {figure} -q"));
            project.fine(&format!("verify {figure} --render"));
        }
        assert!(project.archives() == packed, "{order}");
        let said = project.fine("lock all").stderr;
        assert!(project.archives() == packed && !said.contains("locked "), "{said}");
    }

    // A new result of the main figure leaves the others whole.
    project.fine("make main --cache other -q");
    let said = project.fine("lock main --anew --cache other").stderr;
    let also = "packed again: reports/smoke/after.wdpipe, which needs the archive of main; commit both";
    assert!(said.contains(also), "{said}");
    assert_ne!(project.archives()[2], packed[2]);
    project.fine("verify --render");
    project.fine("cache import reports/smoke/after.wdpipe --cache third --accept unsigned");
    let said = project.fine("make after --cache third --dry-run --json").stdout;
    assert!(said.contains("\"stages_cached\":10,\"stages_to_run\":1"), "only the drawing: {said}");
    project.fine("diff reports/smoke/before.wdpipe reports/smoke/before.lock");
    // A folder to deposit has only this figure's archive.
    project.fine("crate after deposit --license CC-BY-4.0");
    project.fine("cache import deposit/reports/smoke/after.wdpipe --cache fourth --accept unsigned");
}

#[test]
fn without_the_main_archive_the_others_are_missing_not_right() {
    let project = Project::made();
    project.fine("lock all -q");
    let packed = project.archives();
    let needs = "it holds only what main.wdpipe in the same folder does not hold, and main.wdpipe";
    std::fs::remove_file(project.path("main")).unwrap();
    for command in [
        "verify after",
        "cache import reports/smoke/after.wdpipe",
        "diff reports/smoke/after.wdpipe reports/smoke/after.lock",
    ] {
        let ended = project.run(command);
        let said = ended.stdout + &ended.stderr;
        assert!(ended.code == Some(3) && said.contains(&format!("{needs} is missing")), "{command}: {said}");
    }
    // Without the cache nothing can be locked, and nothing is replaced.
    let said = project.run("lock after --cache none");
    assert_eq!((said.code, &project.archives()[0]), (Some(3), &packed[0]));
    let said = project.run("lock after");
    assert!(
        said.code == Some(3) && said.stderr.contains("`wdpipe lock after --anew"),
        "signatures may be in it: {}",
        said.stderr
    );
    assert_eq!(&project.archives()[0], &packed[0]);
    project.fine("lock after --anew -q");
    project.fine("verify after --render");
    assert!(project.archives()[0].len() > packed[0].len());
    project.fine("lock main -q");
    assert!(project.archives() == packed);

    let before = &packed[1];
    std::fs::write(project.path("main"), before).unwrap();
    let said = project.run("verify after").stdout;
    assert!(said.contains(&format!("{needs} cannot be used: ")), "{said}");
}

#[test]
fn processes_lock_one_after_another() {
    let project = Project::made();
    // What another process holds while it locks.
    let folder = File::open(project.0.path("reports/smoke")).unwrap();
    folder.lock().unwrap();
    let mut command = project.0.command(&["lock", "all"]);
    command.env("WDPIPE_PIPELINES", project.0.path("pipelines")).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    said.read_line(&mut line).unwrap();
    assert_eq!(line, "waiting for another process that locks figures in reports/smoke\n");
    assert!(project.archives().iter().all(Vec::is_empty), "nothing is written");
    folder.unlock().unwrap();
    said.read_to_string(&mut line).unwrap();
    assert!(child.wait().unwrap().success(), "{line}");
    project.fine("verify --render");
}
