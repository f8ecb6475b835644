//! Figures in papers: folders to deposit, captions, badges, and the documents that include figures.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::commands::{Own, SCRIPT};
use super::environment::{Ended, Environment, ended};

/// Copies the committed files of a figure to the reports folder of an environment.
fn committed(figure: &str) -> Environment {
    let environment = Environment::new();
    let (from, to) = (checkout("reports/smoke"), environment.path("reports/smoke"));
    std::fs::create_dir_all(&to).unwrap();
    for extension in ["svg", "png", "pdf", "csv", "lock", "wdpipe"] {
        let name = format!("{figure}.{extension}");
        std::fs::copy(from.join(&name), to.join(&name)).unwrap();
    }
    environment
}

fn checkout(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn fine(environment: &Environment, arguments: &[&str]) -> Ended {
    let ended = environment.run(arguments);
    assert_eq!(ended.code, Some(0), "{arguments:?}: {}", ended.stderr);
    ended
}

fn json(environment: &Environment, arguments: &[&str]) -> Value {
    serde_json::from_str(&fine(environment, arguments).stdout).unwrap()
}

/// Returns the bytes of all files in a folder by their paths.
fn contents(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = walkdir::WalkDir::new(folder).into_iter().map(Result::unwrap);
    let file = |entry: walkdir::DirEntry| {
        let path = entry.path().strip_prefix(folder).unwrap().to_str().unwrap().to_owned();
        (path, std::fs::read(entry.path()).unwrap())
    };
    entries.filter(|entry| entry.file_type().is_file()).map(file).collect()
}

/// Collects what entities refer to.
fn references<'a>(value: &'a Value, found: &mut BTreeSet<&'a str>) {
    match value {
        Value::Object(fields) if fields.len() == 1 && fields.contains_key("@id") => {
            found.insert(fields["@id"].as_str().unwrap());
        }
        Value::Object(fields) => fields.values().for_each(|value| references(value, found)),
        Value::Array(values) => values.iter().for_each(|value| references(value, found)),
        _ => {}
    }
}

/// Returns what a property refers to: one entity or several.
fn ids(property: &Value) -> BTreeSet<&str> {
    let mut found = BTreeSet::new();
    references(property, &mut found);
    found
}

#[test]
fn a_packed_figure_describes_all_its_files_and_stages_and_verifies_by_itself() {
    let environment = committed("fig3");
    let answer = json(&environment, &["crate", "fig3", "packed", "--json"]);
    let files = contents(&environment.path("packed"));
    assert_eq!((answer["stages"].as_u64(), answer["files"].as_u64()), (Some(185), Some(files.len() as u64)));
    let metadata: Value = serde_json::from_slice(&files["ro-crate-metadata.json"]).unwrap();
    let graph = metadata["@graph"].as_array().unwrap();
    let entities: BTreeMap<&str, &Value> = graph.iter().map(|one| (one["@id"].as_str().unwrap(), one)).collect();
    assert_eq!(entities.len(), graph.len(), "an identifier is used twice");
    let mut wanted = BTreeSet::new();
    graph.iter().for_each(|entity| references(entity, &mut wanted));
    let unknown: Vec<_> = wanted.into_iter().filter(|id| !entities.contains_key(id)).collect();
    assert_eq!(unknown, ["https://w3id.org/ro/crate/1.1"], "only the specification is no entity");

    let root = entities["./"];
    let own: BTreeSet<&str> =
        files.keys().map(String::as_str).filter(|name| *name != "ro-crate-metadata.json").collect();
    assert_eq!(ids(&root["hasPart"]), own);
    for name in own {
        let (file, bytes) = (entities[name], &files[name]);
        let sha256: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(file["@type"], "File");
        assert_eq!(
            (file["contentSize"].as_str(), file["sha256"].as_str()),
            (Some(&*bytes.len().to_string()), Some(&*sha256))
        );
    }
    let actions: Vec<&Value> = graph.iter().filter(|entity| entity["@type"] == "CreateAction").collect();
    assert_eq!((actions.len(), ids(&root["mentions"]).len()), (185, 185));
    let drawn = actions.last().unwrap();
    assert!(ids(&drawn["result"]).contains("reports/smoke/fig3.pdf"), "{drawn}");
    assert!(ids(&drawn["object"]).contains("pipelines/fig3.toml"), "{drawn}");
    assert_eq!(root["license"][0]["@id"], "https://spdx.org/licenses/MIT");

    // The same figure gives the same bytes; other choices change only the metadata. No folder is written twice.
    fine(&environment, &["crate", "fig3", "again"]);
    assert_eq!(contents(&environment.path("again")), files);
    fine(&environment, &["crate", "fig3", "later", "--date", "2030-01-02", "--license", "CC-BY-4.0"]);
    let later = contents(&environment.path("later"));
    let differ: Vec<_> = files.iter().filter(|(name, bytes)| later[*name] != **bytes).map(|(name, _)| name).collect();
    assert_eq!(differ, ["ro-crate-metadata.json"]);
    let refused = environment.run(&["crate", "fig3", "packed"]);
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
    assert!(refused.stderr.contains("packed already exists"), "{}", refused.stderr);

    let mut verify = environment.command(&["verify", "--render"]);
    let verified =
        ended(&verify.env_remove("WDPIPE_PIPELINES").current_dir(environment.path("packed")).output().unwrap());
    assert_eq!(verified.code, Some(0), "{}{}", verified.stdout, verified.stderr);
    assert!(verified.stdout.contains("drawn again"), "{}", verified.stdout);
}

#[test]
fn weights_are_packed_on_demand_and_only_a_figure_that_verifies_is_packed() {
    let environment = committed("fig4");
    fine(&environment, &["make", "fig4"]);
    let answer = json(&environment, &["crate", "fig4", "packed", "--all", "--json"]);
    assert_eq!(answer["files"], 10, "{answer}");
    let metadata = std::fs::read(environment.path("packed/ro-crate-metadata.json")).unwrap();
    let metadata: Value = serde_json::from_slice(&metadata).unwrap();
    let graph = metadata["@graph"].as_array().unwrap();
    let in_all = |entity: &&Value| ids(&entity["isPartOf"]).contains("fig4-all.wdpipe");
    assert!(graph.iter().filter(in_all).count() > 0);
    fine(&environment, &["cache", "import", "packed/fig4-all.wdpipe", "--cache", "other", "--accept", "unsigned"]);

    let lock = environment.path("reports/smoke/fig4.lock");
    std::fs::rename(&lock, environment.path("away")).unwrap();
    let unlocked = environment.run(&["crate", "fig4", "second"]);
    assert_eq!(unlocked.code, Some(3), "{}", unlocked.stderr);
    assert!(unlocked.stderr.contains("`wdpipe lock fig4 --profile smoke` locks it"), "{}", unlocked.stderr);
    std::fs::rename(environment.path("away"), &lock).unwrap();
    let svg = environment.path("reports/smoke/fig4.svg");
    let changed = std::fs::read_to_string(&svg).unwrap() + "\n";
    std::fs::write(&svg, changed).unwrap();
    for arguments in [&["crate", "fig4", "second"][..], &["cite", "fig4"]] {
        let differs = environment.run(arguments);
        assert_eq!(differs.code, Some(1), "{}", differs.stderr);
        assert!(differs.stderr.contains("`wdpipe verify fig4 --profile smoke` says where"), "{}", differs.stderr);
    }
    let left: Vec<String> = std::fs::read_dir(environment.folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert!(!left.iter().any(|name| name.contains("second")), "{left:?}");
}

#[test]
fn files_that_commands_declare_are_packed() {
    let own = Own::new(SCRIPT);
    own.make(&[]);
    let folder = own.environment.path("packed");
    let pack = || own.run(&["crate", "own", folder.to_str().unwrap(), "--license", "MIT"]);
    assert_eq!(own.run(&["lock", "own"]).code, Some(0));
    // Without --license nothing names one: the project has no CITATION.cff.
    let refused = own.run(&["crate", "own", folder.to_str().unwrap()]);
    assert_eq!(refused.code, Some(2), "{}", refused.stderr);
    assert!(refused.stderr.contains("give --license"), "{}", refused.stderr);
    own.write("code/count.sh", "exit 0\n");
    let changed = pack();
    assert_eq!(changed.code, Some(1), "{}", changed.stderr);
    assert!(!folder.exists());
    own.write("code/count.sh", SCRIPT);
    assert_eq!(pack().code, Some(0));
    assert_eq!(contents(&folder)["code/count.sh"], SCRIPT.as_bytes());
    let mut verify = own.environment.command(&["verify"]);
    let verified = ended(&verify.env_remove("WDPIPE_PIPELINES").current_dir(&folder).output().unwrap());
    assert_eq!(verified.code, Some(0), "{}{}", verified.stdout, verified.stderr);
}

#[test]
fn captions_and_badges_lead_back_to_the_figure() {
    let environment = committed("fig4");
    let cited =
        json(&environment, &["cite", "fig4", "--url", "https://example.org/lab", "--badge", "badge.svg", "--json"]);
    let root = cited["root"].as_str().unwrap();
    let text = format!(
        "Made by wdpipe: fig4, profile smoke, root {} (locked). To check it, run wdpipe whois {} in https://example.org/lab.",
        &root[..12],
        &root[..12]
    );
    assert_eq!(cited["text"], text);
    assert_eq!(
        fine(&environment, &["cite", "fig4", "--format", "text", "--url", "https://example.org/lab"]).stdout,
        text + "\n"
    );
    // The words of the caption and of the badge are found again, and so is the badge itself.
    for operand in [&root[..12], &root[..8], root, "badge.svg"] {
        let found = json(&environment, &["whois", operand, "--json"]);
        assert_eq!((&found[0]["figure"], &found[0]["root"]), (&"fig4".into(), &cited["root"]), "{operand}");
    }
    let found = fine(&environment, &["whois", &root[..12]]).stdout;
    assert!(found.contains("wdpipe verify fig4 --profile smoke"), "{found}");
    for (operand, code) in [("0123456789ab", 3), ("0123", 2), ("missing.png", 2)] {
        assert_eq!(environment.run(&["whois", operand]).code, Some(code), "{operand}");
    }
    // Without a lock, the drawing says its root, and the caption does not claim more.
    std::fs::remove_file(environment.path("reports/smoke/fig4.lock")).unwrap();
    let unlocked = json(&environment, &["cite", "fig4", "--json"]);
    assert_eq!((&unlocked["root"], &unlocked["locked"]), (&cited["root"], &false.into()));
    assert!(unlocked["text"].as_str().unwrap().contains("(not locked)"));
    assert_eq!(json(&environment, &["whois", &root[..8], "--json"])[0]["root"], cited["root"]);
}

/// Returns whether a program can be started; prints that its check is skipped if not.
fn is_here(program: &str) -> bool {
    let here = Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success());
    if !here {
        println!("skipped: there is no {program}");
    }
    here
}

#[test]
fn latex_compiles_the_macros_and_keeps_the_root_of_an_included_figure() {
    let engines: Vec<&str> = ["pdflatex", "lualatex", "xelatex"].into_iter().filter(|engine| is_here(engine)).collect();
    if engines.is_empty() {
        return;
    }
    let environment = committed("fig4");
    fine(&environment, &["make", "fig4"]);
    fine(&environment, &["numbers", "fig4", "--tex", "--to", "numbers.tex"]);
    let macros = std::fs::read_to_string(environment.path("numbers.tex")).unwrap();
    let names = macros.lines().filter_map(|line| line.strip_prefix("\\newcommand{")?.split_once('}'));
    let used: String = names.map(|(name, _)| format!("{name} and ${name}$.\n\n")).collect();
    assert!(used.contains("\\FigFourRootShort"), "{macros}");
    let cited = fine(&environment, &["cite", "fig4", "--format", "latex"]).stdout;
    let (kept, sentence) = cited.trim_end().split_once('\n').unwrap();
    let paper = format!(
        "\\documentclass{{article}}\n\\usepackage{{graphicx}}\n\\input{{numbers.tex}}\n\\begin{{document}}\n{used}\
         \\begin{{figure}}\n\\includegraphics[width=\\linewidth]{{reports/smoke/fig4.pdf}}\n{kept}\n\
         \\caption{{A figure. {sentence}}}\n\\end{{figure}}\n\\end{{document}}\n"
    );
    std::fs::write(environment.path("paper.tex"), paper).unwrap();
    for engine in engines {
        let mut command = Command::new(engine);
        command
            .args(["-interaction=nonstopmode", "-halt-on-error", "paper.tex"])
            .current_dir(environment.folder.path());
        let made = ended(&command.output().unwrap());
        assert_eq!(made.code, Some(0), "{engine}: {}", made.stdout);
        let found = json(&environment, &["whois", "paper.pdf", "--json"]);
        assert_eq!(found[0]["figure"], "fig4", "{engine}");
        std::fs::remove_file(environment.path("paper.pdf")).unwrap();
    }
}
