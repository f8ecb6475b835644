//! Several accounts share one folder. These tests need root to act as other accounts; without root they say so and
//! pass.

use std::fs::{self, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;
use std::time::Duration;

use super::environment::{hashes, number};
use super::lab::{ALICE, BOB, GROUP, GUEST, Lab, Person, ROOT, finished, make, mode, run};

#[test]
fn two_accounts_work_on_one_folder_at_the_same_time_whatever_their_umasks() {
    for umasks in [[0o077, 0o022], [0o022, 0o077], [0o077, 0o077], [0o002, 0o000]] {
        let Some(lab) = Lab::new() else { return };
        let (alice, bob) = (Person { umask: umasks[0], ..ALICE }, Person { umask: umasks[1], ..BOB });
        // Root is not involved: alice owns the folder in which she creates the cache.
        chown(lab.folder.path(), Some(alice.user), None).unwrap();
        let cache = lab.cache();
        let share = ["cache", "share", cache.to_str().unwrap(), "--group", "61000"];
        lab.runs(alice, &share);
        let [one, two] = [lab.starts(alice, 1), lab.starts(bob, 2)].map(finished);
        assert!(run(&one) == 2 && run(&two) == 2 && hashes(&one) != hashes(&two));
        // With the same seed, the second process waits and uses the results of the first.
        let same = [lab.starts(alice, 3), lab.starts(bob, 3)].map(finished);
        assert_eq!(same.each_ref().map(run).iter().sum::<u64>(), 2);
        assert_eq!(hashes(&same[0]), hashes(&same[1]));
        for (person, seed, made) in [(bob, 1, &one), (alice, 2, &two)] {
            let again = lab.makes(person, seed);
            assert_eq!((run(&again), hashes(&again)), (0, hashes(made)));
        }
        for person in [alice, bob] {
            lab.runs(person, &["cache", "check"]);
            let index = walkdir::WalkDir::new(lab.path(&format!("home{}/.cache/wdpipe", person.user)));
            let modes: Vec<_> = index.into_iter().map(|entry| mode(entry.unwrap().path())).collect();
            assert!(modes.len() > 1 && modes[0] == 0o700 && modes[1..].iter().all(|mode| *mode == 0o600), "{modes:?}");
        }
        assert!(!lab.cache().join("index.sqlite").exists());
        for entry in walkdir::WalkDir::new(lab.cache()).into_iter().map(|entry| entry.unwrap()) {
            let (path, about) = (entry.path(), entry.metadata().unwrap());
            let wanted = if about.is_dir() { 0o3775 } else { 0o444 };
            assert_eq!((mode(path), about.gid()), (wanted, GROUP), "{}", path.display());
        }
        let again = lab.runs(alice, &share);
        assert!(again.contains("0 folders and 0 files corrected"), "{again}");
    }
}

/// Tries everything that an account could do to another's file, and returns the results; each attempt must fail.
fn attack(path: &Path) -> Vec<(&'static str, io::Result<()>)> {
    let folder = path.parent().unwrap();
    let own = folder.join("own");
    fs::write(&own, "wrong").unwrap();
    let tried = vec![
        ("append", OpenOptions::new().append(true).open(path).map(drop)),
        ("truncate", OpenOptions::new().write(true).truncate(true).open(path).map(drop)),
        ("create over", fs::File::create(path).map(drop)),
        ("rename over", fs::rename(&own, path)),
        ("link over", fs::hard_link(&own, path)),
        ("rename away", fs::rename(path, folder.join("away"))),
        ("rename into another folder", fs::rename(path, folder.parent().unwrap().join("ff/away"))),
        ("chmod", fs::set_permissions(path, Permissions::from_mode(0o666))),
        ("chown", chown(path, None, Some(GROUP))),
        ("delete", fs::remove_file(path)),
        ("delete the folder", fs::remove_dir_all(folder)),
        ("rename the folder", fs::rename(folder, folder.with_file_name("gone"))),
        ("chmod the folder", fs::set_permissions(folder, Permissions::from_mode(0o777))),
    ];
    let _ = fs::remove_file(own);
    tried
}

#[test]
fn neither_can_damage_what_the_other_wrote() {
    let Some(lab) = Lab::shared() else { return };
    let made = [lab.makes(ALICE, 1), lab.makes(BOB, 2)];
    for (writer, attacker) in [(ALICE, BOB), (BOB, ALICE), (ALICE, GUEST)] {
        for folder in ["objects", "records"] {
            let path = lab.files(folder, writer).into_iter().next().unwrap();
            let before = fs::read(&path).unwrap();
            let is_member = attacker.is_member;
            let tried =
                attacker.does(|| if is_member { attack(&path) } else { vec![("delete", fs::remove_file(&path))] });
            for (what, result) in tried {
                assert!(result.is_err(), "{what} of {} by {}", path.display(), attacker.user);
            }
            assert_eq!((fs::read(&path).unwrap(), mode(&path)), (before, 0o444));
        }
    }
    // All results are still there, and each account uses the other's.
    for (person, seed, made) in [(BOB, 1, &made[0]), (ALICE, 2, &made[1])] {
        assert_eq!(hashes(&lab.makes(person, seed)), hashes(made));
    }
}

#[test]
fn without_the_sticky_bit_the_same_attempts_succeed() {
    let Some(lab) = Lab::shared() else { return };
    lab.makes(ALICE, 1);
    let path = lab.files("objects", ALICE).remove(0);
    fs::set_permissions(path.parent().unwrap(), Permissions::from_mode(0o2775)).unwrap();
    let tried = BOB.does(|| attack(&path));
    let worked: Vec<_> = tried.iter().filter(|(_, result)| result.is_ok()).map(|(what, _)| *what).collect();
    assert!(worked.contains(&"rename over"), "{worked:?}");
}

#[test]
fn wrong_bytes_under_a_right_name_are_served_to_nobody_else() {
    let (Some(honest), Some(lab)) = (Lab::shared(), Lab::shared()) else { return };
    let right = honest.makes(ALICE, 1);
    // Bob publishes nonsense under the names that alice's results will have.
    let names: Vec<_> = honest.files("objects", ALICE);
    assert!(!names.is_empty());
    let places: Vec<_> =
        names.iter().map(|path| lab.folder.path().join(path.strip_prefix(honest.folder.path()).unwrap())).collect();
    BOB.does(|| {
        for place in &places {
            fs::write(place, b"WDob\x01\0\0\0\x05\0\0\0\0\0\0\0wrong").unwrap();
            fs::set_permissions(place, Permissions::from_mode(0o444)).unwrap();
        }
    });
    let refused = lab.tries(ALICE, &make("seed=[1]"));
    assert_eq!(refused.code, Some(4), "{}", refused.stderr);
    for part in ["belongs to user number 61002", "ask user number 61002 (or root, who owns the store)", "cache check"] {
        assert!(refused.stderr.contains(part), "{part}: {}", refused.stderr);
    }
    // Alice's own check reports it too, but cannot do more.
    let check = lab.tries(ALICE, &["cache", "check"]);
    assert!(check.code == Some(4) && check.stderr.contains("could not be moved"), "{}", check.stderr);
    assert_eq!(lab.tries(BOB, &["cache", "check"]).code, Some(4));
    assert_eq!(hashes(&lab.makes(ALICE, 1)), hashes(&right));

    // Bob changes his own files, which alice has used.
    let made = lab.makes(BOB, 2);
    assert_eq!(run(&lab.makes(ALICE, 2)), 0);
    let own = lab.files("objects", BOB);
    BOB.does(|| {
        for path in &own {
            let mut bytes = fs::read(path).unwrap();
            *bytes.last_mut().unwrap() ^= 1;
            fs::set_permissions(path, Permissions::from_mode(0o644)).unwrap();
            fs::write(path, bytes).unwrap();
            fs::set_permissions(path, Permissions::from_mode(0o444)).unwrap();
        }
    });
    let refused = lab.tries(ALICE, &make("seed=[2]"));
    assert_eq!(refused.code, Some(4), "{}", refused.stderr);
    assert!(refused.stderr.contains("belongs to user number 61002"), "{}", refused.stderr);
    // The owner of the store can help too.
    assert_eq!(lab.tries(ROOT, &["cache", "check"]).code, Some(4));
    assert_eq!(hashes(&lab.makes(ALICE, 2)), hashes(&made));
}

#[test]
fn what_a_crash_leaves_stops_nobody() {
    let (Some(other), Some(lab)) = (Lab::shared(), Lab::shared()) else { return };
    let right = other.makes(BOB, 1);
    for milliseconds in [20, 60, 120, 200, 300] {
        let mut child = lab.starts(ALICE, 1);
        std::thread::sleep(Duration::from_millis(milliseconds));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    // In addition, alice leaves claims on all keys, and unfinished files that others cannot open.
    let keys: Vec<_> = other
        .files("records", BOB)
        .iter()
        .map(|path| {
            let folder = path.parent().unwrap();
            let part = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
            part(folder.parent().unwrap()) + &part(folder)
        })
        .collect();
    assert_eq!(keys.len(), 2);
    ALICE.does(|| {
        for key in &keys {
            let claim = lab.cache().join("claims").join(key);
            fs::write(&claim, "").unwrap();
            fs::set_permissions(&claim, Permissions::from_mode(0o660)).unwrap();
        }
        fs::create_dir(lab.cache().join("tmp/folder-1-2-3")).unwrap();
        for name in ["tmp/folder-1-2-3", "tmp/1-2-3"] {
            let path = lab.cache().join(name);
            if !path.exists() {
                fs::write(&path, "").unwrap();
            }
            fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        }
    });
    assert_eq!(hashes(&lab.makes(BOB, 1)), hashes(&right));
    lab.runs(BOB, &["cache", "check"]);
    lab.runs(BOB, &["cache", "gc", "--recent", "0", "--grace", "0"]);
    // The leftovers do not stop alice either.
    assert_eq!(hashes(&lab.makes(ALICE, 1)), hashes(&right));
}

#[test]
fn gc_removes_nothing_of_others() {
    let Some(lab) = Lab::shared() else { return };
    let made = lab.makes(ALICE, 7);
    lab.makes(BOB, 8);
    let (alices, bobs) = (lab.files("objects", ALICE), lab.files("objects", BOB));
    assert!(!alices.is_empty() && !bobs.is_empty());
    // The unchanged pipeline uses neither seed.
    std::thread::sleep(Duration::from_millis(1100));
    lab.runs(BOB, &["cache", "gc", "--recent", "0", "--grace", "0"]);
    assert!(alices.iter().all(|path| path.exists()) && !bobs.iter().any(|path| path.exists()));
    lab.runs(ROOT, &["cache", "gc", "--recent", "0", "--grace", "0"]);
    let again = lab.makes(ALICE, 7);
    assert_eq!((run(&again), hashes(&again)), (0, hashes(&made)));
    // Even with --others, bob cannot remove alice's objects; the owner of the store can.
    let others = ["cache", "gc", "--recent", "0", "--grace", "0", "--others"];
    let refused = lab.tries(BOB, &others);
    assert!(refused.stderr.contains("could not be removed") && alices.iter().all(|path| path.exists()));
    lab.runs(ROOT, &others);
    assert!(!alices.iter().any(|path| path.exists()));
    let again = lab.makes(BOB, 7);
    assert_eq!(hashes(&again), hashes(&made));
}

#[test]
fn what_is_wrong_with_a_folder_is_said_and_mended() {
    let Some(lab) = Lab::shared() else { return };
    let made = lab.makes(ALICE, 1);
    let cache = lab.cache();
    let share = format!("wdpipe cache share {} --group 61000", cache.display());
    let faults = [
        ("objects/00", 0o2775, "no sticky bit"),
        ("objects", 0o1775, "no setgid bit"),
        ("claims", 0o3755, "the group cannot add"),
        ("tmp", 0o3777, "anyone on this machine can write"),
    ];
    for (name, wrong, said) in faults {
        let folder = cache.join(name);
        fs::set_permissions(&folder, Permissions::from_mode(wrong)).unwrap();
        for command in [&["cache", "check"][..], &["doctor"]] {
            let ended = lab.tries(BOB, command);
            assert!(matches!(ended.code, Some(3 | 4)), "{command:?}: {}", ended.stderr);
            for part in [said, folder.to_str().unwrap(), "ask root to run", &share] {
                assert!(ended.stdout.contains(part), "{part}: {}", ended.stdout);
            }
        }
        let warned = lab.tries(BOB, &make("seed=[1]"));
        assert!(warned.stderr.contains(said), "{}", warned.stderr);
        assert!(lab.runs(ROOT, &["cache", "share", cache.to_str().unwrap(), "--group", "61000"]).contains("1 folder"));
        lab.runs(BOB, &["cache", "check"]);
    }
    // Faults that only a walk over all files finds.
    let record = lab.files("records", ALICE).remove(0);
    let wrong: [(&Path, u32, &str); 2] =
        [(&record, 0o644, "the file can be changed"), (record.parent().unwrap(), 0o700, "the folder cannot be read")];
    for (path, wrong, said) in wrong {
        let right = mode(path);
        ALICE.does(|| fs::set_permissions(path, Permissions::from_mode(wrong)).unwrap());
        let ended = lab.tries(if wrong == 0o700 { ALICE } else { BOB }, &["cache", "check"]);
        assert_eq!(ended.code, Some(4), "{}", ended.stdout);
        assert!(wrong == 0o700 || ended.stdout.contains(said), "{}", ended.stdout);
        lab.runs(ALICE, &["cache", "share", cache.to_str().unwrap(), "--group", "61000"]);
        assert_eq!(mode(path), right);
    }
    // A user outside the group can read, and is told how to get more access.
    assert!(lab.tries(GUEST, &["doctor"]).stdout.contains("`newgrp 61000`"));
    lab.runs(GUEST, &["status"]);
    lab.runs(GUEST, &["cache", "check"]);
    let again = lab.makes(GUEST, 1);
    assert_eq!((run(&again), hashes(&again)), (0, hashes(&made)));
    let refused = lab.tries(GUEST, &make("seed=[2]"));
    assert_eq!(refused.code, Some(4), "{}", refused.stderr);
    assert!(refused.stderr.contains("you are not in the group") && refused.stderr.contains("newgrp"));
    let refused = lab.tries(GUEST, &["cache", "share", "mine", "--group", "61000"]);
    assert!(refused.code == Some(4) && refused.stderr.contains("you are not in the group"), "{}", refused.stderr);
    let refused = lab.tries(BOB, &["cache", "share", "mine", "--group", "nosuchgroup"]);
    assert!(refused.code == Some(2) && refused.stderr.contains("groupadd"), "{}", refused.stderr);
}

#[test]
fn a_cache_of_one_becomes_one_of_several() {
    let Some(lab) = Lab::new() else { return };
    chown(lab.folder.path(), Some(ALICE.user), None).unwrap();
    let made = lab.makes(ALICE, 1);
    assert_eq!(mode(&lab.cache()), 0o700);
    assert!(lab.cache().join("index.sqlite").exists());
    let shared = lab.runs(ALICE, &["cache", "share", lab.cache().to_str().unwrap(), "--group", "61000", "--json"]);
    let shared: serde_json::Value = serde_json::from_str(&shared).unwrap();
    assert!(number(&shared, "folders_set") > 512 && shared["findings"].as_array().unwrap().is_empty(), "{shared}");
    let again = lab.makes(BOB, 1);
    assert_eq!((run(&again), hashes(&again)), (0, hashes(&made)));
    // `cache check` notices a parent folder that others cannot pass.
    fs::set_permissions(lab.folder.path(), Permissions::from_mode(0o700)).unwrap();
    let check = lab.tries(ALICE, &["cache", "check"]);
    assert_eq!(check.code, Some(4));
    assert!(check.stdout.contains("chmod o+x"), "{}", check.stdout);
}

#[test]
fn where_no_thread_can_be_had_it_says_so_and_with_one_worker_it_works() {
    let Some(lab) = Lab::new() else { return };
    let newcomer = lab.newcomer();
    let cache = lab.path(&format!("home{}/cache", newcomer.user)).display().to_string();
    let reports = lab.path(&format!("home{}/reports", newcomer.user)).display().to_string();
    let arguments = ["--cache", &cache, "--reports", &reports, "make", "fig4", "--jobs", "4"];
    // The program needs three threads: the main thread, one that stores, and one worker.
    for (threads, code) in [(1, 3), (2, 3), (3, 0)] {
        let ended = lab.tries_with_threads(newcomer, threads, &arguments);
        assert_eq!(ended.code, Some(code), "{threads}: {}", ended.stderr);
        assert!(code == 0 || ended.stderr.contains("cannot start a thread"), "{threads}: {}", ended.stderr);
    }
}
