//! Recorded numbers as tables for other programs.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use super::environment::{Ended, Environment};

/// Makes a folder whose cache holds the committed records of Figure 3.
fn recorded() -> Environment {
    let environment = Environment::new();
    let archive = Path::new(env!("CARGO_MANIFEST_DIR")).join("reports/smoke/fig3.wdpipe");
    fine(&environment, &["cache", "import", archive.to_str().unwrap(), "--accept", "unsigned"]);
    environment
}

fn fine(environment: &Environment, arguments: &[&str]) -> Ended {
    let ended = environment.run(arguments);
    assert_eq!(ended.code, Some(0), "{arguments:?}: {}", ended.stderr);
    ended
}

#[test]
fn a_stage_has_one_table_over_its_instances() {
    let environment = recorded();
    let csv = fine(&environment, &["show", "fig3/trunk", "--csv"]).stdout;
    let mut lines = csv.lines();
    let header = "checkpoint,lr,seed,epoch,recorded_lr,train_loss,train_error,test_loss,test_error,norm";
    assert_eq!(lines.next(), Some(header));
    let rows: Vec<Vec<&str>> = lines.map(|line| line.split(',').collect()).collect();
    // Nine runs of 21 epochs.
    assert_eq!(rows.len(), 9 * 21);
    assert!(rows.iter().flatten().all(|cell| cell.parse::<f64>().is_ok()), "{csv}");
    let one = fine(&environment, &["show", "fig3/trunk[lr=0.1,seed=0]@5", "--csv"]).stdout;
    assert!(one.starts_with("epoch,lr,train_loss,train_error,test_loss,test_error,norm\n"), "{one}");
    for line in one.lines().skip(1) {
        let (epoch, rest) = line.split_once(',').unwrap();
        assert!(csv.contains(&format!("\n5,0.1,0,{epoch},{rest}\n")), "{line}");
    }
    // JSON, and a file, hold the same.
    let written = fine(&environment, &["show", "fig3/trunk", "--json", "--to", "trunk.json"]);
    assert!(written.stdout.is_empty() && written.stderr.contains("wrote"), "{}", written.stderr);
    let text = std::fs::read_to_string(environment.path("trunk.json")).unwrap();
    let json: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
    assert_eq!(json.len(), rows.len());
    assert_eq!(json[7]["test_loss"].as_f64(), rows[7][7].parse().ok());
    assert_eq!((json[7]["seed"].as_i64(), json[7]["lr"].as_f64()), (Some(0), Some(0.05)));
}

#[test]
fn what_a_table_lacks_is_said() {
    let environment = recorded();
    let set = ["--set", "lr=[0.1,0.3]"];
    let ended = fine(&environment, &[&["show", "fig3/trunk", "--csv"], &set[..]].concat());
    assert_eq!(ended.stdout.lines().count(), 1 + 3 * 21);
    let said = "the table lacks 18 stages without a record, such as fig3/trunk[lr=0.3,seed=0]@1";
    assert!(ended.stderr.contains(said), "{}", ended.stderr);
    for (arguments, code, said) in [
        (&["show", "fig3/trunk", "--csv", "--set", "lr=[0.3]"][..], 3, "was not run yet"),
        (&["show", "fig3/trunk", "--csv", "--output", "weights"], 2, "its tables are metrics"),
        (&["show", "fig3/init", "--json"], 2, "has no table"),
        (&["show", "fig3/trunk", "--to", "file"], 2, "--csv"),
    ] {
        let ended = environment.run(arguments);
        assert!(ended.code == Some(code) && ended.stderr.contains(said), "{arguments:?}: {}", ended.stderr);
    }
}

#[test]
fn a_figure_has_a_row_for_every_seed_beside_what_is_drawn() {
    let environment = recorded();
    let csv = fine(&environment, &["numbers", "fig3"]).stdout;
    let mut lines = csv.lines();
    assert_eq!(lines.next(), Some("panel,curve,dashed,x,after,lr,seed,value,mean,std,low,high,n,diverged"));
    let rows: Vec<Vec<&str>> = lines.map(|line| line.split(',').collect()).collect();
    // The means are those of the committed file, and of the values beside them.
    let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join("reports/smoke/fig3.csv");
    let drawn = std::fs::read_to_string(committed).unwrap();
    assert_eq!(rows.len(), 3 * (drawn.lines().count() - 1));
    for line in drawn.lines().skip(1) {
        let [place, numbers] = [&line.split(',').collect::<Vec<_>>()[..4], &line.split(',').collect::<Vec<_>>()[4..]];
        let own: Vec<_> = rows.iter().filter(|row| row[..4] == *place).collect();
        assert!(own.len() == 3 && own.iter().all(|row| row[8..] == *numbers), "{line}");
        let number = |text: &str| -> f64 { text.parse().unwrap() };
        let mean = own.iter().map(|row| number(row[7])).sum::<f64>() / 3.0;
        assert!((mean / number(numbers[0]) - 1.0).abs() < 1e-12, "{line}");
        assert_eq!(own.iter().map(|row| row[6]).collect::<Vec<_>>(), ["0", "1", "2"], "{line}");
    }
    let json: Vec<serde_json::Value> =
        serde_json::from_str(&fine(&environment, &["numbers", "fig3", "--json"]).stdout).unwrap();
    assert_eq!((json.len(), &json[0]["curve"]), (rows.len(), &"LR 0.05".into()));
    for (target, code, said) in [
        ("fig3/trunk", 2, "not a figure or a panel"),
        ("fig6", 2, "the target names 2 figures"),
        ("fig4", 3, "are not recorded yet"),
    ] {
        let ended = environment.run(&["numbers", target]);
        assert!(ended.code == Some(code) && ended.stderr.contains(said), "{target}: {}", ended.stderr);
    }
}

#[test]
fn the_macros_of_a_paper_are_checked_like_its_figures() {
    let environment = recorded();
    let tex = fine(&environment, &["numbers", "fig3", "--tex"]).stdout;
    let mut names = std::collections::BTreeSet::new();
    for line in tex.lines().filter(|line| !line.starts_with("% ")) {
        let (name, value) = line.strip_prefix("\\newcommand{\\").unwrap().split_once("}{").unwrap();
        assert!(!name.is_empty() && name.chars().all(|c| c.is_ascii_alphabetic()), "{line}");
        assert!(names.insert(name.to_owned()), "twice: {line}");
        // The last brace ends the value, and no earlier one does.
        let mut depth = 1;
        for (at, symbol) in value.char_indices() {
            assert!(depth > 0 && !"%#&$_~".contains(symbol), "{line}");
            depth += match symbol {
                '{' => 1,
                '}' => -1,
                _ => 0,
            };
            assert_eq!(depth == 0, at + 1 == value.len(), "{line}");
        }
    }
    for part in [
        "\\newcommand{\\FigThreeRoot}{240d5eb4a1b82feefe562f65438c8e84a86b5431385977e681f3738b6b630a9f}\n",
        "\\newcommand{\\FigThreeALRZeroPointOneLast}{10.69}\n",
        "ClaimNormSettlesVerdict}{not reproduced}\n",
        "ClaimNormSettlesP}{\\ensuremath{2.278\\cdot10^{-4}}}\n",
    ] {
        assert!(tex.contains(part), "{part}: {tex}");
    }
    let check = ["numbers", "fig3", "--tex", "--check", "numbers.tex"];
    fine(&environment, &["numbers", "fig3", "--tex", "--to", "numbers.tex"]);
    fine(&environment, &check);
    let changed = std::fs::read_to_string(environment.path("numbers.tex")).unwrap().replace("{10.69}", "{10.68}");
    std::fs::write(environment.path("numbers.tex"), changed).unwrap();
    let ended = environment.run(&check);
    assert!(ended.code == Some(1) && ended.stdout.contains("Last}{10.68}"), "{}{}", ended.stdout, ended.stderr);
    assert_eq!(environment.run(&["numbers", "fig3", "--tex", "--check", "none.tex"]).code, Some(3));
}

/// Lists the files of TensorBoard in a folder, each with the number of its events after the first.
fn event_files(environment: &Environment, folder: &str) -> BTreeMap<String, usize> {
    let root = environment.path(folder);
    let mut found = BTreeMap::new();
    for entry in walkdir::WalkDir::new(&root).into_iter().map(Result::unwrap).filter(|entry| entry.path().is_file()) {
        let bytes = std::fs::read(entry.path()).unwrap();
        let (mut at, mut frames) = (0, 0);
        while at < bytes.len() {
            at += 16 + u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap()) as usize;
            frames += 1;
        }
        assert_eq!(at, bytes.len());
        found.insert(entry.path().strip_prefix(&root).unwrap().to_str().unwrap().to_owned(), frames - 1);
    }
    found
}

#[test]
fn tensorboard_has_a_run_for_every_instance_of_a_stage() {
    let environment = recorded();
    fine(&environment, &["show", "fig3/trunk", "--tensorboard", "board"]);
    let files = event_files(&environment, "board");
    assert_eq!((files.len(), files.values().sum::<usize>()), (54, 9 * 21));
    assert_eq!(files["fig3/trunk[lr=0.1,seed=0]/events.out.tfevents.0000000005.wdpipe"], 4);
    // The same records give the same bytes.
    let file = environment.path("board/fig3/trunk[lr=0.15,seed=2]/events.out.tfevents.0000000021.wdpipe");
    let before = std::fs::read(&file).unwrap();
    fine(&environment, &["show", "fig3", "--tensorboard", "board"]);
    assert_eq!(std::fs::read(&file).unwrap(), before);
    let all = event_files(&environment, "board");
    assert!(all.len() > 140 && files.keys().all(|file| all.contains_key(file)), "{all:?}");
    // `make` writes the same runs as `show`.
    fine(&environment, &["make", "fig4", "--tensorboard", "live"]);
    fine(&environment, &["show", "fig4", "--tensorboard", "later"]);
    let live = event_files(&environment, "live");
    assert_eq!((live.len(), &live), (3, &event_files(&environment, "later")));
    let ended = environment.run(&["show", "fig2/trunk", "--tensorboard", "none"]);
    assert!(ended.code == Some(3) && !environment.path("none").exists(), "{}", ended.stderr);
}

/// Names a Python with pandas, polars and tensorboard.
const READERS: &str = "WDPIPE_TEST_READERS";

/// Checks event files: each scalar of a run must be that of the table.
const BOARD: &str = "\
import pandas as pd
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
table = pd.read_csv('trunk.csv')
assert all(kind in 'if' for kind in (table[name].dtype.kind for name in table)), table.dtypes
for (lr, seed), rows in table.groupby(['lr', 'seed']):
    run = EventAccumulator(f'board/fig3/trunk[lr={lr:g},seed={seed}]', size_guidance={'scalars': 0}).Reload()
    for column in ['train_loss', 'test_error', 'norm']:
        scalars = run.Scalars('metrics/' + column)
        assert [scalar.step for scalar in scalars] == list(rows.epoch), scalars
        assert all(abs(s.value - v) <= 1e-6 * abs(v) for s, v in zip(scalars, rows[column])), scalars
        assert sorted(s.wall_time for s in scalars) == [s.wall_time for s in scalars], scalars
print('ok')
";

#[test]
fn the_documented_programs_read_the_numbers() {
    let environment = recorded();
    fine(&environment, &["show", "fig3/trunk", "--csv", "--to", "trunk.csv"]);
    fine(&environment, &["numbers", "fig3", "--to", "fig3.csv"]);
    fine(&environment, &["show", "fig3/trunk", "--tensorboard", "board"]);
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/analysis.md")).unwrap();
    let blocks = |language: &str| -> Vec<String> {
        let fence = format!("```{language}\n");
        page.split(&fence).skip(1).map(|block| block.split("```").next().unwrap().to_owned()).collect()
    };
    let printed = |program: &mut Command, wanted: &str| {
        let ended = super::environment::ended(&program.current_dir(environment.folder.path()).output().unwrap());
        assert!(ended.code == Some(0) && ended.stdout.contains(wanted), "{}{}", ended.stdout, ended.stderr);
    };
    assert_eq!((blocks("python").len(), blocks("r").len()), (2, 1));
    match std::env::var_os(READERS) {
        // The norm for lr = 0.1, and a test error.
        Some(python) => {
            for block in blocks("python") {
                for number in ["10.88526", "4.375"] {
                    printed(Command::new(&python).args(["-c", &block]), number);
                }
            }
            printed(Command::new(&python).args(["-c", BOARD]), "ok");
        }
        None => println!("skipped: {READERS} does not name a Python with pandas, polars and tensorboard"),
    }
    match Command::new("Rscript").arg("--version").output() {
        Ok(_) => printed(Command::new("Rscript").args(["-e", &blocks("r")[0]]), "10.88526"),
        Err(_) => println!("skipped: there is no Rscript"),
    }
}
