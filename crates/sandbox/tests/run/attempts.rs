//! What programs at each level can get at. Prints the table of docs/commands.md.

use std::fmt;

use sandbox::Level;

use super::host::Host;
use super::levels;

/// How an attempt ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Verdict {
    /// The program gets at it.
    NotStopped,
    /// The program gets a constant.
    NoEffect,
    /// The attempt fails.
    Stopped,
}

use Verdict::{NoEffect, NotStopped, Stopped};

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            NotStopped => "**not stopped**",
            NoEffect => "no effect",
            Stopped => "stopped",
        })
    }
}

/// An attempt, how it must end at the levels of namespaces, Landlock and none at least, and how it is measured.
type Attempt = (&'static str, [Verdict; 3], fn(&Host) -> Verdict);

const ATTEMPTS: [Attempt; 38] = [
    ("read an undeclared file", [Stopped, Stopped, NotStopped], |host| reached(host, host.path("read", &host.file))),
    ("see that an undeclared file exists", [Stopped, NotStopped, NotStopped], |host| {
        reached(host, host.path("exists", &host.file))
    }),
    ("list an undeclared folder", [Stopped, Stopped, NotStopped], |host| {
        reached(host, host.path("list", host.undeclared.path()))
    }),
    ("read a file in others' /tmp", [Stopped, Stopped, NotStopped], |host| {
        reached(host, host.path("read", &host.temporary.path().join("file")))
    }),
    ("write a file outside its folder", [Stopped, Stopped, NotStopped], |host| {
        let _ = host.ask(&host.path("write", &host.victim));
        verdict(std::fs::read(&host.victim).unwrap() == b"changed")
    }),
    ("create a file in an undeclared folder", [Stopped, Stopped, NotStopped], |host| {
        let new = host.undeclared.path().join("new");
        let _ = host.ask(&host.path("write", &new));
        verdict(new.exists())
    }),
    ("change the mode of an undeclared file", [Stopped, NotStopped, NotStopped], |host| {
        reached(host, host.path("chmod", &host.file))
    }),
    ("write a file of the system", [Stopped, Stopped, NotStopped], |host| {
        reached(host, host.path("write", &host.system_file))
    }),
    ("connect by TCP", [Stopped, Stopped, NotStopped], |host| reached(host, format!("tcp|{}", host.tcp))),
    ("send by UDP", [Stopped, Stopped, NotStopped], |host| {
        // In a network of its own, the program can send, but nobody receives it.
        let _ = host.ask(&format!("udp|{}", host.udp.local_addr().unwrap()));
        verdict(host.udp.recv(&mut [0; 8]).is_ok())
    }),
    ("connect to a UNIX socket", [Stopped, Stopped, NotStopped], |host| reached(host, host.path("unix", &host.socket))),
    ("connect to an abstract socket", [Stopped, Stopped, NotStopped], |host| {
        reached(host, format!("abstract|{}", host.abstract_name))
    }),
    ("make a socket to a virtual machine's host", [Stopped, Stopped, NotStopped], |host| {
        reached(host, "vsock".to_owned())
    }),
    ("read /proc of another process", [Stopped, Stopped, NotStopped], |host| {
        let answer = host.ask(&format!("read|/proc/{}/cmdline", host.sleeper()));
        verdict(answer.is_ok_and(|words| words.contains("sleep")))
    }),
    ("kill another process", [Stopped, NotStopped, NotStopped], |host| {
        reached(host, format!("kill|{}", host.sleeper()))
    }),
    ("debug another process", [Stopped, Stopped, NotStopped], |host| {
        reached(host, format!("ptrace|{}", host.sleeper()))
    }),
    ("open POSIX shared memory", [Stopped, Stopped, NotStopped], |host| reached(host, host.path("read", &host.shared))),
    ("open System V shared memory", [Stopped, Stopped, NotStopped], |host| reached(host, format!("shm|{}", host.key))),
    ("read the session's kernel keys", [Stopped; 3], |host| reached(host, "keys".to_owned())),
    ("gain privileges by a setuid program", [Stopped; 3], |host| verdict(is(host, "privileges", "0"))),
    ("use an inherited descriptor", [Stopped; 3], |host| reached(host, format!("descriptor|{}", host.descriptor))),
    ("read standard input", [NoEffect; 3], |host| constant(is(host, "input", "empty"))),
    ("read an undeclared environment variable", [Stopped; 3], |host| {
        reached(host, "variable|CARGO_MANIFEST_DIR".to_owned())
    }),
    ("type into the caller's terminal", [Stopped; 3], |host| {
        // SAFETY: the call takes only numbers.
        let own = unsafe { libc::getsid(0) };
        verdict(is(host, "session", &own.to_string()))
    }),
    ("leave a process behind", [Stopped; 3], |host| {
        host.ask("daemon|7100").unwrap();
        verdict(!super::processes("sleep 7100").is_empty())
    }),
    ("depend on the umask", [NoEffect; 3], |host| constant(is(host, "umask", &0o22.to_string()))),
    ("depend on memory addresses", [NoEffect; 3], |host| constant(host.repeats("address"))),
    ("depend on times of declared files", [NoEffect; 3], |host| constant(is(host, "modified|declared", "1"))),
    ("depend on when declared files were copied (ctime)", [NotStopped; 3], |host| {
        constant(is(host, "changed|declared", "1"))
    }),
    ("depend on the path of its folder", [NoEffect, NotStopped, NotStopped], |host| {
        constant(is(host, "folder", sandbox::INSIDE))
    }),
    ("depend on the name of the machine", [NoEffect, NotStopped, NotStopped], |host| {
        constant(is(host, "host", "wdpipe"))
    }),
    ("depend on the user's number", [NoEffect, NotStopped, NotStopped], |host| constant(is(host, "uid", "1000"))),
    ("read /sys", [Stopped, Stopped, NotStopped], |host| reached(host, "list|/sys".to_owned())),
    ("read /proc/cpuinfo", [NotStopped; 3], |host| reached(host, "read|/proc/cpuinfo".to_owned())),
    ("depend on the number of cores", [NotStopped; 3], |host| {
        let cores = std::thread::available_parallelism().unwrap().to_string();
        constant(cores != "1" && !is(host, "cores", &cores))
    }),
    ("depend on the time of day", [NotStopped; 3], |host| {
        constant(host.ask("time").unwrap().parse::<u64>().unwrap() < 1_700_000_000)
    }),
    ("depend on /dev/urandom", [NotStopped; 3], |host| constant(host.repeats("random"))),
    ("depend on random hash seeds", [NotStopped; 3], |host| constant(host.repeats("hash"))),
];

fn verdict(is_reached: bool) -> Verdict {
    if is_reached { NotStopped } else { Stopped }
}

fn constant(is_constant: bool) -> Verdict {
    if is_constant { NoEffect } else { NotStopped }
}

fn reached(host: &Host, probe: String) -> Verdict {
    verdict(host.ask(&probe).is_ok())
}

fn is(host: &Host, probe: &str, value: &str) -> bool {
    host.ask(probe).is_ok_and(|answer| answer == value)
}

#[test]
fn attempts_end_as_documented() {
    let levels = levels();
    println!("| attempt | namespaces | landlock | none |\n| --- | --- | --- | --- |");
    let mut wrong = Vec::new();
    for (name, least, measure) in ATTEMPTS {
        let mut cells = Vec::new();
        for (level, least) in Level::ALL.into_iter().zip(least) {
            if !levels.contains(&level) {
                cells.push("?".to_owned());
                continue;
            }
            let found = measure(&Host::new(level));
            if found < least {
                wrong.push(format!("{level}: {name}: {found}, not {least}"));
            }
            cells.push(found.to_string());
        }
        println!("| {name} | {} |", cells.join(" | "));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
