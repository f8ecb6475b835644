//! External data: the refused files with the advice for each, and real CIFAR-10 through the same commands, if
//! available.

use std::fs;

use super::environment::{Environment, number};

/// Variable that names a folder or file with CIFAR-10.
const VARIABLE: &str = "WDPIPE_TEST_CIFAR10";

#[test]
fn real_images_run_through_the_same_commands() {
    let Some(folder) = std::env::var_os(VARIABLE) else {
        println!("skipped: {VARIABLE} does not name a folder or file with CIFAR-10");
        return;
    };
    let environment = Environment::new();
    let imported = environment.run(&["data", "import", folder.to_str().unwrap()]);
    assert_eq!(imported.code, Some(0), "{}", imported.stderr);
    assert!(imported.stderr.contains("50000 training and 10000 test images"), "{}", imported.stderr);
    assert!(
        imported.stderr.contains("all images and labels are those that wdpipe knows as cifar10"),
        "{}",
        imported.stderr
    );
    let sets = ["--set", "data.source=cifar10", "--set", "data.train=200", "--set", "data.test=100"];
    let made = environment.make("fig3", &sets);
    assert_eq!(number(&made, "stages_run"), number(&made, "stages_total"));
    assert_eq!(number(&environment.make("fig3", &sets), "stages_run"), 0);
}

#[test]
fn advice_is_by_data_set_and_by_fault() {
    let environment = Environment::new();
    let write = |name: &str, bytes: &[u8]| {
        let path = environment.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    };
    write("hf/plain_text/train-00000-of-00001.parquet", b"PAR1");
    write("cifar100.tar.gz", b"\x1f\x8b\x08");
    write("batches/data_batch_1", b"\x80\x02cos\nsystem\n.");
    write("half/data_batch_1.bin", b"short");
    write("some/train", b"\x80\x02}.");
    write("files/cifar-10-python.tar.gz", b"");
    fs::create_dir(environment.path("empty")).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(environment.path("pipe")).status().unwrap().success());
    let cases: [(&str, i32, &[&str]); 14] = [
        ("nowhere", 3, &["check the path", "`wdpipe data fetch cifar10` and `wdpipe data fetch cifar100`"]),
        ("CIFAR-100/nowhere", 3, &["check the path; `wdpipe data fetch cifar100` downloads it"]),
        ("/dev/zero", 4, &["cannot open `/dev/zero`: it is a device, not a file"]),
        ("pipe", 4, &["it is a pipe, not a file"]),
        ("empty", 3, &["holds no CIFAR data", "supported: a folder, .tar"]),
        ("files", 3, &["`wdpipe data import files/cifar-10-python.tar.gz`"]),
        ("hf", 4, &["`python3 -c \"$(wdpipe data import hf)\"`", "`wdpipe data import cifar.npz`"]),
        ("hf/plain_text/train-00000-of-00001.parquet", 4, &["is a Parquet file", "`python3 -c"]),
        ("cifar100.tar.gz", 4, &["is truncated", "`wdpipe data fetch cifar100` downloads it"]),
        ("batches", 4, &["`os.system`", "nothing in it was run", "`wdpipe data fetch cifar10` downloads it"]),
        (
            "half",
            4,
            &["`data_batch_1.bin` has 5 bytes instead of 30730000", "`wdpipe data fetch cifar10` downloads it"],
        ),
        ("batches/data_batch_1", 4, &["is only one pickle", "name the folder that holds all files"]),
        ("cifar-10/0/nowhere", 3, &["`wdpipe data fetch cifar10` downloads it"]),
        ("some", 4, &["in `train`, it has no `fine_labels`", "`wdpipe data fetch cifar100` downloads it"]),
    ];
    for (path, code, messages) in cases {
        let ended = environment.run(&["data", "import", path]);
        assert_eq!(ended.code, Some(code), "{path}: {}", ended.stderr);
        for message in messages {
            assert!(ended.stderr.contains(message), "{path}: {message}: {}", ended.stderr);
        }
        assert_eq!(ended.stdout.contains("pandas.read_parquet"), path.starts_with("hf"), "{path}: {}", ended.stdout);
    }
}
