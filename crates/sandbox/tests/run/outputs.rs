//! What programs write, and how it is read.

use std::path::Path;
use std::time::Instant;

use sandbox::{How, collect};

use super::{levels, order, processes, run, script};

#[test]
fn declared_files_are_copied_in_and_outputs_are_read() {
    for level in levels() {
        let (outside, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let input = outside.path().join("numbers.csv");
        std::fs::write(&input, "1\n2\n").unwrap();
        std::fs::create_dir_all(outside.path().join("lib/deep")).unwrap();
        std::fs::write(outside.path().join("lib/deep/a.py"), "code").unwrap();
        let large = outside.path().join("large");
        std::fs::write(&large, vec![b'y'; 17 << 20]).unwrap();
        let script = "cat in/numbers.csv lib/deep/a.py > out.txt; wc -c < big/large >> out.txt
                      chmod u+w in/numbers.csv; echo 9 > in/numbers.csv; echo 9 > big/large; pwd >&2; true";
        let mut order = order(level, &folder, script);
        let reads =
            [(input.clone(), "in/numbers.csv"), (outside.path().join("lib"), "lib"), (large.clone(), "big/large")];
        order.reads = reads.into_iter().map(|(from, to)| (from, to.into())).collect();
        let ended = run(&order);
        assert_eq!(ended.how, How::Exited(0), "{level}: {}", String::from_utf8_lossy(&ended.log));
        let written = collect(folder.path(), Path::new("out.txt"), 1000).unwrap();
        assert_eq!(String::from_utf8(written).unwrap(), format!("1\n2\ncode{}\n", 17 << 20), "{level}");
        assert_eq!(std::fs::read(&input).unwrap(), b"1\n2\n", "{level}");
        assert_eq!(std::fs::metadata(&large).unwrap().len(), 17 << 20, "{level}");
    }
}

#[test]
fn links_of_an_earlier_run_are_not_followed() {
    for level in levels() {
        let (outside, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::fs::write(outside.path().join("a.txt"), "declared").unwrap();
        let there = outside.path().display();
        let mut order = order(level, &folder, &format!("ln -s {there} in; rm -rf .tmp; ln -s {there} .tmp"));
        run(&order);
        assert!(sandbox::run(&order, &|| false).unwrap_err().to_string().contains("use an empty folder"), "{level}");
        std::fs::remove_file(folder.path().join(".tmp")).unwrap();
        order.reads = vec![(outside.path().join("a.txt"), "in/b.txt".into())];
        assert!(sandbox::prepare(&order).unwrap_err().to_string().contains("use an empty folder"), "{level}");
        assert!(!outside.path().join("b.txt").exists(), "{level}");
    }
}

#[test]
fn what_cannot_be_measured_is_too_much_and_is_removed() {
    for level in levels() {
        let top = tempfile::tempdir().unwrap();
        let folder = tempfile::tempdir_in(top.path()).unwrap();
        let script = "mkdir -p a/b; i=0; n=$(printf '%200s' | tr ' ' x)
                      while [ $i -lt 40 ]; do mkdir $n && cd $n; i=$((i + 1)); done; cd /; chmod 000 $HOME/../a";
        let ended = run(&order(level, &folder, script));
        assert_eq!(ended.how, How::TooMuchOutput, "{level}: {}", String::from_utf8_lossy(&ended.log));
        sandbox::remove(folder.path()).unwrap();
        assert!(!folder.path().exists(), "{level}");
    }
}

/// Runs a script in a shell's sandbox, and prints what it prints. It is a test of its own, because `shell` ends all
/// children of its caller.
#[test]
#[ignore = "is started by another test"]
fn by_hand() {
    let Ok(level) = std::env::var("LEVEL") else { return };
    let level = levels().into_iter().find(|one| one.to_string() == level).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut order = order(level, &folder, &std::env::var("SCRIPT").unwrap());
    order.reads = vec![(std::env::var("FILE").unwrap().into(), "in/a.txt".into())];
    println!("{:?}", sandbox::shell(&order).unwrap());
}

#[test]
fn a_shell_is_in_the_same_sandbox() {
    for level in levels() {
        let (outside, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let file = outside.path().join("a.txt");
        std::fs::write(&file, "declared").unwrap();
        let script = "cat in/a.txt; env | sed s,=/.*,=, | sort; cat < /etc/hostname; sleep 7113 & exit 9";
        let mut order = order(level, &folder, script);
        order.reads = vec![(file.clone(), "in/a.txt".into())];
        let by_run = run(&order);
        let mut by_hand = std::process::Command::new(std::env::current_exe().unwrap());
        by_hand.args(["--exact", "outputs::by_hand", "--ignored", "--nocapture"]);
        by_hand.env("LEVEL", level.to_string()).env("SCRIPT", script).env("FILE", file);
        let by_hand = by_hand.output().unwrap();
        let said = String::from_utf8_lossy(&[by_hand.stdout, by_hand.stderr].concat()).into_owned();
        for line in String::from_utf8_lossy(&by_run.log).lines() {
            assert!(said.contains(line), "{level}: {line}: {said}");
        }
        assert!(said.contains("Exited(9)") && by_run.how == How::Exited(9), "{level}: {said}");
        assert!(processes("sleep 7113").is_empty(), "{level}");
    }
}

#[test]
fn a_chatty_program_is_cut_in_the_middle() {
    for level in levels() {
        let (ended, log) = script(level, "echo first; yes | head -c 1000000000; echo last");
        assert_eq!(ended.how, How::Exited(0), "{level}");
        assert!(log.starts_with("first\ny\n") && log.ends_with("y\nlast\n"), "{level}");
        assert!(log.len() < 10_100 && log.contains("bytes left out"), "{level}");
    }
}

#[test]
fn writing_too_much_is_stopped_near_the_limit() {
    let limit = 64 << 20;
    for level in levels() {
        for script in [
            "head -c 10000000000 /dev/zero > big",
            "i=0; while :; do i=$((i + 1)); head -c 1000000 /dev/zero > $i; done",
            "exec 3> a 4> b 5> c; rm a b c; for n in 3 4 5; do head -c 60000000 /dev/zero >&$n; done; sleep 7200",
            "head -c 10000000000 /dev/zero > /tmp/big || head -c 10000000000 /dev/zero > $TMPDIR/big",
        ] {
            let folder = tempfile::tempdir().unwrap();
            let mut order = order(level, &folder, script);
            (order.limits.output_bytes, order.limits.output_files) = (limit, 1 << 20);
            if level == sandbox::Level::None && script.contains("/tmp/big") {
                continue;
            }
            let started = Instant::now();
            let ended = run(&order);
            assert_eq!(ended.how, How::TooMuchOutput, "{level}: {script}");
            let bytes = files::usage(folder.path(), u64::MAX).bytes;
            println!("{level}: {bytes} bytes after {:.2} s", started.elapsed().as_secs_f64());
            assert!(bytes < 40 * limit, "{level}: {bytes}");
        }
        let (ended, _) = script(level, "i=0; while [ $i -lt 5000 ]; do i=$((i + 1)); : > $i; done");
        assert_eq!(ended.how, How::TooMuchOutput, "{level}");
    }
}

#[test]
fn links_and_other_files_are_not_read_as_outputs() {
    for level in levels() {
        let (outside, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::fs::write(outside.path().join("secret"), "secret").unwrap();
        let secret = outside.path().join("secret");
        let secret = secret.display();
        let script = format!(
            "ln -s {secret} link; ln {secret} hard 2>/dev/null; ln -s .. up; ln -s /usr dir; mkfifo fifo; mkdir folder"
        );
        let ended = run(&order(level, &folder, &script));
        assert!(matches!(ended.how, How::Exited(0)), "{level}");
        for name in ["link", "hard", "up/secret", "dir/bin/sh", "fifo", "folder", "none", "../secret", "/etc/passwd"] {
            assert!(collect(folder.path(), Path::new(name), 1 << 20).is_err(), "{level}: {name}");
        }
    }
}
