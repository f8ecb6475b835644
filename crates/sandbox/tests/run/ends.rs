//! How programs end, and that nothing of them is left.

use std::cell::Cell;
use std::time::{Duration, Instant};

use sandbox::{How, SandboxError};

use super::{levels, order, processes, run, script};

#[test]
fn the_status_and_the_log_are_returned() {
    for level in levels() {
        let (ended, log) = script(level, "echo out; echo err >&2; exit 3");
        assert_eq!((ended.how, log.as_str(), ended.level), (How::Exited(3), "out\nerr\n", level), "{level}");
        let (ended, log) = script(level, "true");
        assert_eq!((ended.how, log.as_str()), (How::Exited(0), ""), "{level}");
        let (ended, _) = script(level, "kill -SEGV $$");
        assert_eq!(ended.how, How::Signal(libc::SIGSEGV), "{level}");
    }
}

#[test]
fn an_empty_command_is_quick() {
    for level in levels() {
        let folder = tempfile::tempdir().unwrap();
        let mut order = order(level, &folder, "");
        order.program = vec!["true".into()];
        let mut times: Vec<f64> = (0..31).map(|_| run(&order).seconds).collect();
        times.sort_by(f64::total_cmp);
        println!("{level}: an empty command takes {:.4} s ({:.4} s at best)", times[15], times[0]);
        // A machine that is busy can be slow, but not everything can be.
        assert!(times[0] < 1.0, "{level}");
    }
}

#[test]
fn a_missing_program_is_said() {
    for level in levels() {
        let folder = tempfile::tempdir().unwrap();
        let mut order = order(level, &folder, "");
        order.program = vec!["no-such-program".into()];
        match sandbox::run(&order, &|| false) {
            Ok(ended) => assert!(String::from_utf8_lossy(&ended.log).contains("no-such-program"), "{level}"),
            Err(error) => assert!(matches!(error, SandboxError::Start { .. }), "{level}: {error}"),
        }
    }
}

#[test]
fn time_runs_out() {
    for level in levels() {
        let folder = tempfile::tempdir().unwrap();
        let mut order = order(level, &folder, "trap '' TERM INT HUP; echo begun; while :; do sleep 7001; done");
        order.limits.seconds = 0.4;
        let started = Instant::now();
        let ended = run(&order);
        assert_eq!((ended.how, &ended.log[..]), (How::TimedOut, &b"begun\n"[..]), "{level}");
        assert!(started.elapsed() < Duration::from_secs(5), "{level}");
        assert!(processes("sleep 7001").is_empty(), "{level}");
    }
}

#[test]
fn a_run_can_be_cancelled() {
    for level in levels() {
        let folder = tempfile::tempdir().unwrap();
        let questions = Cell::new(0);
        let cancelled = || {
            questions.set(questions.get() + 1);
            questions.get() > 3
        };
        let ended = sandbox::run(&order(level, &folder, "sleep 7002"), &cancelled).unwrap();
        assert_eq!(ended.how, How::Cancelled, "{level}");
        assert!(processes("sleep 7002").is_empty(), "{level}");
    }
}

#[test]
fn no_process_outlives_the_program() {
    for level in levels() {
        // The last one has no parent, no session and no open log.
        let daemons =
            "sleep 7003 & (setsid sleep 7003 &) ; setsid sh -c 'setsid sleep 7003 >/dev/null 2>&1 &' ; echo ok";
        let (ended, log) = script(level, daemons);
        assert_eq!((ended.how, log.as_str()), (How::Exited(0), "ok\n"), "{level}");
        assert!(ended.seconds < 10.0, "{level}");
        assert!(processes("sleep 7003").is_empty(), "{level}");
    }
}

#[test]
fn a_fork_bomb_is_stopped() {
    for level in levels() {
        // It does not end by itself, but is bounded in depth for the sake of the machine.
        let bomb = "f() { [ $1 -gt 11 ] || { f $(($1 + 1)) & f $(($1 + 1)) & } ; sleep 7004; }; f 0";
        let started = Instant::now();
        let (ended, _) = script(level, bomb);
        assert_eq!(ended.how, How::TooManyProcesses, "{level}");
        println!("{level}: a fork bomb ended after {:.2} s", started.elapsed().as_secs_f64());
        assert!(processes("sleep 7004").is_empty(), "{level}");
    }
}

#[test]
fn a_program_ends_with_its_caller() {
    for level in levels() {
        let ready = tempfile::tempdir().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let order = order(level, &folder, "(setsid sleep 7005 &); touch ready; sleep 7005");
        // SAFETY: the child only runs the program, and ends with it.
        let caller = unsafe { libc::fork() };
        if caller == 0 {
            let _ = sandbox::run(&order, &|| false);
            // SAFETY: the call only ends this process.
            unsafe { libc::_exit(0) };
        }
        let started = Instant::now();
        while !folder.path().join("ready").exists() && started.elapsed() < Duration::from_secs(20) {
            std::thread::sleep(Duration::from_millis(10));
        }
        assert!(!processes("sleep 7005").is_empty(), "{level}");
        // SAFETY: the calls take numbers; the process is a child that was not reaped yet.
        unsafe {
            libc::kill(caller, libc::SIGKILL);
            libc::waitpid(caller, std::ptr::null_mut(), 0);
        }
        let started = Instant::now();
        while !processes("sleep 7005").is_empty() {
            assert!(started.elapsed() < Duration::from_secs(10), "{level}");
            std::thread::sleep(Duration::from_millis(10));
        }
        drop(ready);
    }
}

#[test]
fn memory_is_bounded() {
    for level in levels() {
        let folder = tempfile::tempdir().unwrap();
        // The shell keeps what it has read.
        let mut order = order(level, &folder, "x=$(head -c 300000000 /dev/zero | tr '\\0' x); sleep 7006");
        order.limits.memory = Some(100 << 20);
        let ended = run(&order);
        assert_eq!(ended.how, How::OutOfMemory, "{level}");
        assert!(ended.peak_memory.unwrap() > 100 << 20, "{level}");
        assert!(processes("sleep 7006").is_empty(), "{level}");
    }
}

#[test]
fn a_program_that_kills_its_supervisor_gains_nothing() {
    for level in levels() {
        let folder = tempfile::tempdir().unwrap();
        let mut order = order(level, &folder, "(sleep 7007 &) ; kill -9 $PPID; sleep 7007");
        order.limits.seconds = 0.5;
        match sandbox::run(&order, &|| false) {
            Ok(ended) => assert_eq!(ended.how, How::TimedOut, "{level}"),
            Err(error) => assert!(matches!(error, SandboxError::Lost), "{level}: {error}"),
        }
        let started = Instant::now();
        while !processes("sleep 7007").is_empty() {
            assert!(started.elapsed() < Duration::from_secs(5), "{level}");
        }
    }
}

#[test]
fn the_supervisor_does_not_keep_the_memory_of_its_caller() {
    for level in levels() {
        let folder = tempfile::tempdir().unwrap();
        let mine = std::hint::black_box(vec![1u8; 200 << 20]);
        let (kept, started) = (Cell::new(u64::MAX), Instant::now());
        let cancelled = || {
            let supervisor = std::fs::read_to_string("/proc/thread-self/children").unwrap();
            let status = std::fs::read_to_string(format!("/proc/{}/status", supervisor.trim())).unwrap();
            let line = status.lines().find(|line| line.starts_with("RssAnon:")).unwrap();
            kept.set(line.split_whitespace().nth(1).unwrap().parse().unwrap());
            kept.get() < 20 << 10 || started.elapsed() > Duration::from_secs(10)
        };
        sandbox::run(&order(level, &folder, "sleep 7008"), &cancelled).unwrap();
        assert!(kept.get() < 20 << 10, "{level}: {} kB", kept.get());
        drop(mine);
    }
}
