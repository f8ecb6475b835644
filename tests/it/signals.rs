//! Effects of signals: one ends a run in order, two end it at once, and ignored signals stay ignored.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::process::{Child, Stdio};

use super::environment::Environment;

const INT: i32 = libc::SIGINT;
const TERM: i32 = libc::SIGTERM;
const HUP: i32 = libc::SIGHUP;

/// A run of the program, and its output line by line.
struct Run {
    child: Child,
    said: BufReader<std::process::ChildStderr>,
    all: String,
}

impl Run {
    /// Starts the program with one signal ignored and the others not, whatever the test inherited.
    fn start(environment: &Environment, arguments: &[&str], ignored: Option<i32>) -> Self {
        let mut command = environment.command(arguments);
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        let dispositions = move || {
            for signal in [INT, TERM, HUP] {
                let how = if ignored == Some(signal) { libc::SIG_IGN } else { libc::SIG_DFL };
                // SAFETY: plain values; this process has one thread.
                unsafe { libc::signal(signal, how) };
            }
            Ok(())
        };
        // SAFETY: between fork and exec, the closure only calls functions that are allowed there.
        unsafe { command.pre_exec(dispositions) };
        let mut child = command.spawn().unwrap();
        let said = BufReader::new(child.stderr.take().unwrap());
        Self { child, said, all: String::new() }
    }

    /// Reads until a line contains all of `words`; returns whether there was one.
    fn until(&mut self, words: &[&str]) -> bool {
        loop {
            let start = self.all.len();
            if self.said.read_line(&mut self.all).unwrap() == 0 {
                return false;
            }
            if words.iter().all(|word| self.all[start..].contains(word)) {
                return true;
            }
        }
    }

    fn send(&self, signal: i32) {
        // SAFETY: a signal to our own child, which was not waited for yet.
        assert_eq!(unsafe { libc::kill(self.child.id() as i32, signal) }, 0);
    }

    /// Returns the exit code (`None` if a signal killed the run), and the whole output.
    fn end(mut self) -> (Option<i32>, String) {
        self.said.read_to_string(&mut self.all).unwrap();
        (self.child.wait().unwrap().code(), self.all)
    }
}

/// Figure 3 at the smallest size, but with long training.
fn long<'a>(jobs: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    Environment::tiny("fig3", &[&["-v", "--jobs", jobs, "--set", "trunk.epochs=500"], more].concat())
}

#[test]
fn two_signals_end_training_at_once_and_leave_a_whole_cache() {
    let environment = Environment::new();
    // The signals come while libtorch loads and the first step runs, after one checkpoint, and after several checkpoints.
    let moments = [["start", "@1"], ["trunk", "@1  "], ["trunk", "@3  "]];
    for (number, [first, second]) in [[INT, INT], [TERM, TERM], [INT, TERM]].into_iter().enumerate() {
        for (moment, words) in moments.iter().enumerate() {
            let jobs = if (number + moment) % 2 == 0 { "1" } else { "2" };
            // Another seed, so that no stage is cached yet.
            let seed = format!("seed=[{}]", 3 * number + moment);
            let mut run = Run::start(&environment, &long(jobs, &["--set", &seed]), None);
            assert!(run.until(words), "{}", run.all);
            run.send(first);
            run.send(second);
            let (code, said) = run.end();
            assert_eq!(code, Some(130), "{moment} {first} {second}: {said}");
        }
    }
    let check = environment.run(&["cache", "check"]);
    assert_eq!(check.code, Some(0), "{}{}", check.stdout, check.stderr);
}

#[test]
fn two_signals_end_every_command_that_computes() {
    let environment = Environment::new();
    environment.make("fig3", &[]);
    let sets = super::environment::TINY.iter().flat_map(|set| ["--set", *set]);
    let lock: Vec<_> = ["lock", "fig3"].into_iter().chain(sets).collect();
    assert_eq!(environment.run(&lock).code, Some(0));
    let variant = environment.file("fig3", "lock");
    let variant = variant.file_stem().unwrap().to_str().unwrap();
    assert_eq!(environment.run(&["keys", "generate", "me"]).code, Some(0));
    let commands: [&[&str]; 3] = [
        &["verify", variant, "--profile", "smoke", "--rebuild", "all"],
        &["audit", variant, "--segments", "9"],
        &["bench", "train", "--seconds", "60", "--device", "cpu"],
    ];
    for arguments in commands {
        for signal in [INT, TERM] {
            let run = Run::start(&environment, arguments, None);
            // Wait until libtorch is being loaded.
            while std::fs::read_to_string(format!("/proc/{}/maps", run.child.id()))
                .is_ok_and(|maps| !maps.is_empty() && !maps.contains("libtorch_cpu"))
            {
                std::thread::yield_now();
            }
            run.send(signal);
            run.send(signal);
            let (code, said) = run.end();
            assert_eq!(code, Some(130), "{arguments:?}: {said}");
        }
    }
}

#[test]
fn one_signal_ends_a_run_in_order() {
    let environment = Environment::new();
    for signal in [INT, TERM, HUP] {
        let mut run = Run::start(&environment, &long("1", &[]), None);
        assert!(run.until(&["start", "@1"]), "{}", run.all);
        run.send(signal);
        let (code, said) = run.end();
        assert_eq!(code, Some(130), "{signal}: {said}");
        assert!(said.contains("interrupted"), "{signal}: {said}");
    }
}

#[test]
fn what_is_ignored_stays_ignored() {
    let environment = Environment::new();
    for ignored in [HUP, INT] {
        let mut run = Run::start(&environment, &long("1", &[]), Some(ignored));
        assert!(run.until(&["start", "@1"]), "{}", run.all);
        // If the first signal had an effect, the third would end the run without a message.
        run.send(ignored);
        run.send(ignored);
        run.send(TERM);
        let (code, said) = run.end();
        assert_eq!(code, Some(130), "{ignored}: {said}");
        assert!(said.contains("interrupted"), "{ignored}: {said}");
    }
}
