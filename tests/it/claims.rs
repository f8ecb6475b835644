//! Claims of processes that are killed or stopped, also where files cannot be locked. `ci/nfs` does the same on NFS.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::environment::{Ended, Environment, ended};

/// One stage of about a second.
const PIPELINE: &str = r#"
[stage.valley]
kind = "valley"
steps = 20000
every = 4
seed = 0

[[panel]]
id = "a"
x = { label = "step" }
y = { label = "trace" }

[[panel.curve]]
from = "valley"
table = "tuned"
x = "step"
y = "trace"

[profile.smoke]
"#;

/// A project with one slow stage, and a library that the program is started with.
struct Project {
    environment: Environment,
    library: Option<PathBuf>,
}

impl Project {
    fn new() -> Self {
        let environment = Environment::new();
        fs::create_dir(environment.path("pipelines")).unwrap();
        fs::write(environment.path("pipelines/slow.toml"), PIPELINE).unwrap();
        Self { environment, library: None }
    }

    /// A project where files cannot be locked; `None` without a C compiler.
    fn without_locks() -> Option<Self> {
        let mut project = Self::new();
        let (source, library) = (project.environment.path("locks.c"), project.environment.path("locks.so"));
        let text = "#include <errno.h>\nint flock(int f, int o) { (void)f; (void)o; errno = ENOSYS; return -1; }\n";
        fs::write(&source, text).unwrap();
        let compiled = Command::new("cc").args(["-shared", "-fPIC", "-o"]).args([&library, &source]).status();
        if !compiled.is_ok_and(|status| status.success()) {
            println!("skipped: there is no C compiler");
            return None;
        }
        project.library = Some(library);
        Some(project)
    }

    fn command(&self) -> Command {
        let mut command = self.environment.command(&["make", "slow/valley"]);
        command.env_remove("WDPIPE_PIPELINES").env("WDPIPE_HEARTBEAT", "0.05s").env("SLURM_JOB_ID", "4711");
        command.envs(self.library.as_ref().map(|library| ("LD_PRELOAD", library)));
        command
    }

    /// Starts a process and waits until it computes the stage.
    fn start(&self) -> Child {
        let child = self.command().stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (begun, claims) = (Instant::now(), self.environment.path("cache/claims"));
        while !fs::read_dir(&claims).is_ok_and(|mut names| names.next().is_some()) {
            assert!(begun.elapsed() < Duration::from_secs(60));
            std::thread::sleep(Duration::from_millis(5));
        }
        child
    }

    fn run(&self) -> Ended {
        ended(&self.command().output().unwrap())
    }

    /// Checks that the store is sound and nothing is left over.
    fn check(&self) {
        let checked = self.environment.run(&["cache", "check"]);
        assert_eq!(checked.code, Some(0), "{}", checked.stderr);
        for folder in ["claims", "tmp"] {
            assert!(self.environment.files(folder).is_empty(), "{folder}");
        }
    }
}

fn signal(child: &Child, signal: i32) {
    // SAFETY: the process is ours and was not waited for.
    assert_eq!(unsafe { libc::kill(child.id().cast_signed(), signal) }, 0);
}

#[test]
fn a_stopped_process_is_waited_for_by_name_and_then_followed() {
    for project in [Some(Project::new()), Project::without_locks()].into_iter().flatten() {
        let stopped = project.start();
        signal(&stopped, libc::SIGSTOP);
        let next = project.run();
        assert_eq!(next.code, Some(0), "{}", next.stderr);
        let waits = format!("waiting slow/valley: process {} on ", stopped.id());
        assert!(
            next.stderr.contains(&waits) && next.stderr.contains("(job 4711) is computing it since"),
            "{}",
            next.stderr
        );
        assert!(next.stderr.contains("1 stage run, 0 cached"), "{}", next.stderr);
        let objects = project.environment.files("objects");
        signal(&stopped, libc::SIGCONT);
        let stopped = ended(&stopped.wait_with_output().unwrap());
        assert_eq!(stopped.code, Some(0), "{}", stopped.stderr);
        assert_eq!(project.environment.files("objects"), objects);
        project.check();
    }
}

#[test]
fn without_locks_stages_are_shared_and_a_killed_process_is_followed_at_once() {
    let Some(project) = Project::without_locks() else { return };
    let warning =
        |said: &Ended| said.stderr.matches("which has no file locks: if a process is killed, others wait 1 s").count();
    let first = project.start();
    let second = project.run();
    let first = ended(&first.wait_with_output().unwrap());
    assert_eq!((first.code, second.code), (Some(0), Some(0)), "{}{}", first.stderr, second.stderr);
    assert!(second.stderr.contains("0 stages run, 1 cached"), "{}", second.stderr);
    assert_eq!((warning(&first), warning(&second)), (1, 1), "{}{}", first.stderr, second.stderr);
    project.check();

    fs::remove_dir_all(project.environment.path("cache")).unwrap();
    let mut killed = project.start();
    killed.kill().unwrap();
    killed.wait().unwrap();
    assert_eq!(project.environment.files("claims").len(), 1);
    let next = project.run();
    assert!(next.code == Some(0) && !next.stderr.contains("waiting"), "{}", next.stderr);
    project.check();
}

#[test]
fn a_file_system_without_locks_passes_the_test_of_what_is_needed() {
    let Some(project) = Project::without_locks() else { return };
    let mut command = project.environment.command(&["cache", "stress-test", "place", "--seconds", "2"]);
    let tested = ended(&command.env("LD_PRELOAD", project.library.as_ref().unwrap()).output().unwrap());
    assert_eq!(tested.code, Some(0), "{}{}", tested.stdout, tested.stderr);
    assert_eq!(tested.stdout.matches("there are no locks").count(), 2, "{}", tested.stdout);
}

#[test]
fn a_heartbeat_that_is_no_time_is_refused() {
    let environment = Environment::new();
    for text in ["often", "0s", "2h"] {
        let mut command = environment.command(&["status"]);
        let refused = ended(&command.env("WDPIPE_HEARTBEAT", text).output().unwrap());
        let wanted = format!("WDPIPE_HEARTBEAT={text} is no time from 0.05s to 1h");
        assert!(refused.code == Some(2) && refused.stderr.contains(&wanted), "{}", refused.stderr);
    }
}
