//! Destinations of answers: files that the user names, and a standard output that is full, closed or not read.

use std::ffi::CString;
use std::fs::{self, File, OpenOptions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::Stdio;
#[cfg(target_os = "linux")]
use std::ptr::{null, null_mut};

use super::environment::{Ended, Environment, ended};

const STAGE: &str = "fig4/valley[seed=0]";

/// Makes a folder with Figure 4.
fn made() -> Environment {
    let environment = Environment::new();
    let ended = environment.run(&["make", "fig4", "-q"]);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    environment
}

fn fine(ended: &Ended) {
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
}

/// The commands that write a file which the user names, without the file name.
const WRITERS: [&[&str]; 2] = [&["show", STAGE, "--output", "optimum", "--to"], &["cache", "export", "fig4"]];

fn write(environment: &Environment, command: &[&str], file: &str) {
    fine(&environment.run(&[command, &[file]].concat()));
}

fn make_node(path: &Path, kind: libc::mode_t, device: libc::dev_t) -> bool {
    let path = CString::new(path.as_os_str().as_bytes()).unwrap();
    // SAFETY: a system call that reads a terminated string.
    unsafe { libc::mknod(path.as_ptr(), kind | 0o600, device) == 0 }
}

#[test]
fn files_that_the_user_names_are_written_as_what_they_are() {
    let environment = made();
    let at = |name: &str| environment.path(name);
    symlink("target", at("link")).unwrap();
    symlink("/proc/self/fd/1", at("to-stdout")).unwrap();
    assert!(make_node(&at("pipe"), libc::S_IFIFO, 0));
    let null = make_node(&at("null"), libc::S_IFCHR, libc::makedev(1, 3));
    let null = null && OpenOptions::new().write(true).open(at("null")).is_ok();
    if !null {
        println!("skipped: this account may not make devices");
    }
    for command in WRITERS {
        write(&environment, command, "plain");
        let expected = fs::read(at("plain")).unwrap();
        fs::set_permissions(at("plain"), fs::Permissions::from_mode(0o640)).unwrap();
        write(&environment, command, "plain");
        assert_eq!(fs::metadata(at("plain")).unwrap().permissions().mode() & 0o777, 0o640);

        // The link is dangling at first, and then leads to a file.
        for _ in 0..2 {
            write(&environment, command, "link");
            assert!(fs::symlink_metadata(at("link")).unwrap().is_symlink());
            assert!(fs::read(at("target")).unwrap() == expected);
        }
        fs::remove_file(at("target")).unwrap();

        let pipe = at("pipe");
        let reader = std::thread::spawn(move || fs::read(pipe).unwrap());
        write(&environment, command, "pipe");
        assert!(reader.join().unwrap() == expected);
        assert!(fs::symlink_metadata(at("pipe")).unwrap().file_type().is_fifo());

        if null {
            write(&environment, command, "null");
            assert!(fs::symlink_metadata(at("null")).unwrap().file_type().is_char_device());
        }
        for name in ["-", "to-stdout"] {
            let output = environment.command(&[command, &[name]].concat()).output().unwrap();
            assert!(output.status.success() && output.stdout == expected, "{name}");
            // If the shell appends to a file, its previous content stays.
            fs::write(at("log"), "before ").unwrap();
            let log = OpenOptions::new().append(true).open(at("log")).unwrap();
            assert!(environment.command(&[command, &[name]].concat()).stdout(log).status().unwrap().success());
            assert!(fs::read(at("log")).unwrap() == [b"before ", &expected[..]].concat(), "{name}");
        }
        assert!(fs::symlink_metadata(at("to-stdout")).unwrap().is_symlink());

        let refused = environment.run(&[command, &["cache"]].concat());
        assert_eq!(refused.code, Some(4));
        assert!(refused.stderr.contains("it is a folder: name a file in it"), "{}", refused.stderr);
    }
    let left = fs::read_dir(environment.folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(left.into_iter().all(|name| !name.to_string_lossy().starts_with('.')), "no temporary files are left");
}

/// Runs a command whose standard output is a terminal.
#[cfg(target_os = "linux")]
fn on_a_terminal(environment: &Environment, command: &[&str]) -> Ended {
    use std::os::fd::FromRawFd;
    let (mut ours, mut theirs) = (-1, -1);
    // SAFETY: only the two descriptors are written; names, modes and sizes are null.
    assert_eq!(unsafe { libc::openpty(&raw mut ours, &raw mut theirs, null_mut(), null(), null()) }, 0);
    // SAFETY: both descriptors were opened just now and have no other owner.
    let (mut ours, theirs) = unsafe { (File::from_raw_fd(ours), File::from_raw_fd(theirs)) };
    let mut child = environment.command(command).stdout(theirs).stderr(Stdio::piped()).spawn().unwrap();
    let reader = std::thread::spawn(move || {
        let mut seen = Vec::new();
        // Reading ends with an error when no process has the terminal open any more.
        let _ = std::io::Read::read_to_end(&mut ours, &mut seen);
        String::from_utf8_lossy(&seen).into_owned()
    });
    let mut stderr = String::new();
    std::io::Read::read_to_string(&mut child.stderr.take().unwrap(), &mut stderr).unwrap();
    Ended { code: child.wait().unwrap().code(), stdout: reader.join().unwrap(), stderr }
}

#[test]
#[cfg(target_os = "linux")]
fn a_terminal_is_shown_text_only() {
    let environment = made();
    let refused: [(&[&str], &str); 5] = [
        (&["show", "fig4", "--output", "png"], "name a file"),
        (&["show", "fig4", "--output", "png", "--to", "-"], "name a file"),
        (&["show", "fig4", "--output", "pdf", "--to", "/proc/self/fd/1"], "name a file"),
        (&["show", STAGE, "--output", "optimum"], "use --csv or --json"),
        (&["cache", "export", "fig4", "-"], "name a file"),
    ];
    for (command, hint) in refused {
        let ended = on_a_terminal(&environment, command);
        assert_eq!(ended.code, Some(2), "{command:?}: {}", ended.stderr);
        assert!(ended.stderr.contains("binary"), "{}", ended.stderr);
        assert!(ended.stderr.contains(hint) && ended.stdout.is_empty(), "{}{}", ended.stderr, ended.stdout);
    }
    let shown: [(&[&str], &str); 3] = [
        (&["show", "fig4", "--output", "svg"], "<svg"),
        (&["show", STAGE, "--output", "optimum", "--csv"], "x,y"),
        (&["--version"], "wdpipe"),
    ];
    for (command, text) in shown {
        let ended = on_a_terminal(&environment, command);
        assert!(ended.code == Some(0) && ended.stdout.contains(text), "{command:?}: {}{}", ended.stderr, ended.stdout);
    }
}

#[test]
fn a_pipe_is_not_waited_for_where_a_file_is_imported() {
    let environment = Environment::new();
    assert!(make_node(&environment.path("pipe"), libc::S_IFIFO, 0));
    for command in [&["import", "pipe"][..], &["cache", "import", "pipe"]] {
        let ended = environment.run(command);
        assert!(ended.code == Some(3) && ended.stderr.contains("it is not a regular file"), "{}", ended.stderr);
    }
}

#[test]
fn lists_behind_links_are_edited_where_they_lie() {
    let environment = Environment::new();
    symlink("shared.toml", environment.path("remotes.toml")).unwrap();
    fine(&environment.run(&["remote", "add", "lab", "./lab"]));
    assert!(fs::symlink_metadata(environment.path("remotes.toml")).unwrap().is_symlink());
    assert!(fs::read_to_string(environment.path("shared.toml")).unwrap().contains("lab"));
}

/// Commands that print, after `make fig4`.
const PRINTERS: [&[&str]; 14] = [
    &["--help"],
    &["--version"],
    &["help", "make"],
    &["make", "--help"],
    &["show", STAGE],
    &["show", STAGE, "--csv"],
    &["show", STAGE, "--output", "optimum"],
    &["show", STAGE, "--output", "optimum", "--to", "-"],
    &["cache", "export", "fig4", "-"],
    &["graph", "fig4"],
    &["make", "fig4", "--json", "-q"],
    &["make", "fig4", "-n"],
    &["status", "fig4"],
    &["cache", "stats"],
];

#[test]
#[cfg(target_os = "linux")]
fn an_answer_that_cannot_be_written_is_an_error() {
    let environment = made();
    for command in PRINTERS {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let full = ended(
            &environment
                .command(command)
                .stdout(full)
                .stderr(Stdio::piped())
                .spawn()
                .unwrap()
                .wait_with_output()
                .unwrap(),
        );
        let message = "error: cannot write standard output: No space left on device";
        assert!(full.code == Some(4) && full.stderr.contains(message), "{command:?}: {:?} {}", full.code, full.stderr);

        let mut shell = std::process::Command::new("sh");
        shell.args(["-c", "exec \"$@\" >&-", "sh", env!("CARGO_BIN_EXE_wdpipe")]).args(command);
        let run = environment.command(&[]);
        shell.current_dir(environment.folder.path()).env_clear();
        shell.envs(run.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let closed = ended(&shell.output().unwrap());
        let message = "error: cannot write standard output: Bad file descriptor";
        assert!(closed.code == Some(4) && closed.stderr.contains(message), "{command:?}: {}", closed.stderr);
    }
    // If nothing is to be printed, a full standard output is not an error.
    let full = File::options().write(true).open("/dev/full").unwrap();
    let quiet = environment.command(&["make", "fig4", "-q"]).stdout(full).status().unwrap();
    assert!(quiet.success());
}

#[test]
fn a_reader_that_went_away_is_no_error() {
    let environment = made();
    for command in PRINTERS {
        let mut child = environment.command(command).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let gone = ended(&child.wait_with_output().unwrap());
        assert!(gone.code == Some(0) && !gone.stderr.contains("error"), "{command:?}: {:?} {}", gone.code, gone.stderr);
    }
}

/// Commands that only read, and report an error if there is no store.
const READERS: [&[&str]; 18] = [
    &["cache", "check"],
    &["cache", "check", "--repair"],
    &["cache", "du"],
    &["cache", "stats"],
    &["cache", "pins"],
    &["cache", "pin", "fig4"],
    &["cache", "unpin", "fig4@smoke"],
    &["cache", "gc"],
    &["cache", "catalogue"],
    &["cache", "export", "fig4", "x"],
    &["show", STAGE],
    &["export", "fig3/init[seed=0]"],
    &["compare", "fig4"],
    &["diff", "fig4", "--set-b", "seed=[1]"],
    &["bisect", "0123456789"],
    &["report"],
    &["lock", "fig4"],
    &["push", "fig4", "--to", "./there"],
];

#[test]
fn what_only_reads_makes_no_store() {
    let environment = Environment::new();
    fs::create_dir(environment.path("empty")).unwrap();
    for cache in ["cahce", "no/such", "empty"] {
        let all = if cache == "cahce" { &READERS[..] } else { &READERS[..1] };
        for command in all {
            let ended = environment.run(&[command, &["--cache", cache][..]].concat());
            let (code, message) = (3, format!("there is no store at {cache}"));
            assert!(
                ended.code == Some(code) && ended.stderr.contains(&message),
                "{command:?}: {:?} {}",
                ended.code,
                ended.stderr
            );
        }
        for command in [&["make", "fig4", "-n"][..], &["status"], &["explain", STAGE], &["data", "list"], &["doctor"]] {
            let ended = environment.run(&[command, &["--cache", cache]].concat());
            // The doctor can report other problems of this machine.
            let fits = ended.code == Some(0) || command == ["doctor"];
            assert!(fits && !ended.stderr.contains("error: there is no"), "{command:?}: {}", ended.stderr);
        }
    }
    let ended = environment.run(&["doctor"]);
    assert!(ended.stdout.contains("cache does not exist yet"), "{}", ended.stdout);
    assert_eq!(fs::read_dir(environment.path("empty")).unwrap().count(), 0);
    assert_eq!(names(&environment), ["empty"], "nothing was created");
}

#[test]
fn a_wrong_folder_or_command_leaves_no_store_behind() {
    let environment = Environment::new();
    let wrong = |arguments: &[&str]| {
        let ended = environment.run(arguments);
        assert_ne!(ended.code, Some(0), "{arguments:?}: {}", ended.stderr);
    };
    wrong(&["make", "fig4", "--pipelines", "."]);
    wrong(&["make", "nosuch"]);
    wrong(&["make", "fig4", "--set", "nosuch=1"]);
    wrong(&["data", "import", "nowhere"]);
    wrong(&["import", "nowhere"]);
    wrong(&["cache", "import", "nowhere"]);
    wrong(&["pull", "fig4", "--from", "nosuch"]);
    assert!(names(&environment).is_empty(), "{:?}", names(&environment));
}

fn names(environment: &Environment) -> Vec<String> {
    let entries = fs::read_dir(environment.folder.path()).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).filter(|name| name != "home").collect()
}
