//! Runs the commands in README and docs/, and follows the links of all documents. CONTRIBUTING.md has the convention
//! for `console` blocks.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Component, Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;

use tempfile::TempDir;

/// A command of a page, and what it must print.
#[derive(Debug, Default, PartialEq)]
struct Step {
    /// Line of the page.
    line: usize,
    command: String,
    code: i32,
    output: Vec<String>,
}

/// Reads the commands of all `console` blocks of a page.
fn steps(page: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    // The indentation of the block that is open.
    let mut block: Option<usize> = None;
    for (line, text) in page.lines().enumerate().map(|(index, text)| (index + 1, text)) {
        let Some(indent) = block else {
            block = (text.trim() == "```console").then(|| text.len() - text.trim_start().len());
            continue;
        };
        let text = text.get(indent..).unwrap_or_default().trim_end();
        if text == "```" {
            block = None;
        } else if let Some(command) = text.strip_prefix("$ ") {
            steps.push(Step { line, command: command.to_owned(), ..Step::default() });
        } else {
            let step = steps.last_mut().unwrap_or_else(|| panic!("line {line}: output without a command"));
            match (text.strip_prefix("> "), text.strip_prefix("? ")) {
                (Some(more), _) if step.output.is_empty() => step.command = format!("{}\n{more}", step.command),
                (_, Some(code)) => step.code = code.parse().unwrap(),
                _ => step.output.push(text.to_owned()),
            }
        }
    }
    assert!(block.is_none(), "a block has no end");
    for step in &mut steps {
        let end = step.output.iter().rposition(|line| !line.is_empty()).map_or(0, |last| last + 1);
        step.output.truncate(end);
    }
    steps
}

/// Checks whether printed lines match the shown ones, in which `...` is any number of lines.
fn is_shown(shown: &[String], printed: &[&str]) -> bool {
    match shown.split_first() {
        None => printed.is_empty(),
        Some((first, rest)) if first == "..." => (0..=printed.len()).any(|from| is_shown(rest, &printed[from..])),
        Some((first, rest)) => {
            let is_next = |(line, others): (&&str, &[&str])| is_line(first, line) && is_shown(rest, others);
            printed.split_first().is_some_and(is_next)
        }
    }
}

/// Checks whether a printed line matches a shown one, in which `[..]` is any text.
fn is_line(shown: &str, printed: &str) -> bool {
    match shown.split_once("[..]") {
        None => shown == printed,
        Some((before, after)) => printed.strip_prefix(before).is_some_and(|rest| {
            rest.char_indices().map(|(at, _)| at).chain([rest.len()]).any(|at| is_line(after, &rest[at..]))
        }),
    }
}

/// The folder in which a page's commands run: a copy of the checkout, no home, and the program in a folder of `PATH`.
struct Place {
    folder: TempDir,
}

impl Place {
    fn new() -> Self {
        let (folder, from) = (tempfile::tempdir().unwrap(), root());
        for name in tracked() {
            let to = folder.path().join("wdpipe").join(&name);
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            fs::copy(from.join(name), to).unwrap();
        }
        fs::create_dir(folder.path().join("bin")).unwrap();
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_wdpipe"), folder.path().join("bin/wdpipe")).unwrap();
        Self { folder }
    }

    /// Runs a command; describes the difference if it does not end or print as it is shown.
    fn check(&self, step: &Step) -> Result<(), String> {
        let path = format!("{}:/usr/bin:/bin", self.folder.path().join("bin").display());
        let mut command = Command::new("bash");
        command.args(["-c", &format!("exec 2>&1\n{}", step.command)]).stdin(Stdio::null()).env_clear();
        command.current_dir(self.folder.path().join("wdpipe")).env("PATH", path).env("LANG", "C.UTF-8");
        command.env("HOME", self.folder.path().join("home")).env("WDPIPE_LIBTORCH", "/nonexistent");
        let ended = command.output().unwrap();
        let printed = String::from_utf8_lossy(&ended.stdout);
        let lines: Vec<&str> = printed.trim_end().lines().map(str::trim_end).collect();
        match ended.status.code() == Some(step.code) && is_shown(&step.output, &lines) {
            true => Ok(()),
            false => {
                let (shown, printed) = (step.output.join("\n    "), lines.join("\n    "));
                let Step { line, command, code, .. } = step;
                let ended = ended.status;
                let (shown, printed) = (format!("exit code {code}:\n    {shown}"), format!("{ended}:\n    {printed}"));
                Err(format!("line {line}: {command}\n  shown, {shown}\n  printed, {printed}\n"))
            }
        }
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Lists the files of the checkout that git tracks, or would track.
fn tracked() -> Vec<PathBuf> {
    let mut git = Command::new("git");
    git.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]).current_dir(root());
    let listed = git.output().unwrap();
    assert!(listed.status.success(), "git: {}", String::from_utf8_lossy(&listed.stderr));
    let names = String::from_utf8(listed.stdout).unwrap();
    names.split('\0').map(PathBuf::from).filter(|name| root().join(name).is_file()).collect()
}

/// Lists the documents at the top and in docs/, as paths in the checkout.
fn documents() -> Vec<PathBuf> {
    let is_document = |name: &PathBuf| {
        let folder = name.parent().unwrap();
        name.extension().is_some_and(|extension| extension == "md")
            && (folder == Path::new("") || folder == Path::new("docs"))
    };
    tracked().into_iter().filter(is_document).collect()
}

#[test]
fn documents_show_what_the_program_prints() {
    let pages: Vec<(PathBuf, Vec<Step>)> = documents()
        .into_iter()
        .map(|name| (name.clone(), steps(&fs::read_to_string(root().join(name)).unwrap())))
        .filter(|(_, steps)| !steps.is_empty())
        .collect();
    assert!(pages.len() > 5, "the documents have no console blocks");
    let (queue, wrong) = (Mutex::new(pages), Mutex::new(Vec::new()));
    let work = || {
        while let Some((page, steps)) = { queue.lock().unwrap().pop() } {
            let place = Place::new();
            let differences = steps.iter().filter_map(|step| place.check(step).err());
            wrong.lock().unwrap().extend(differences.map(|difference| format!("{}, {difference}", page.display())));
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(work);
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn documents_with_wrong_output_fail() {
    let place = Place::new();
    let wrong = |page: &str| steps(page).iter().map(|step| place.check(step).is_err()).collect::<Vec<bool>>();
    let block = |text: &str| wrong(&format!("Text\n\n```console\n{text}\n```\n"));
    assert_eq!(block("$ echo one two; echo three\none [..]\nthree"), [false]);
    assert_eq!(block("$ echo one two; echo three\n...\nthree"), [false]);
    assert_eq!(block("$ echo one; echo three >&2\none\nthree"), [false]);
    assert_eq!(block("$ echo one |\n> cat\none\n\n$ exit 3\n? 3"), [false, false]);
    assert_eq!(block("$ wdpipe --version\nwdpipe [..]"), [false]);
    assert_eq!(block("$ echo one two\none"), [true], "a longer line");
    assert_eq!(block("$ echo one\none\ntwo"), [true], "a line that is not printed");
    assert_eq!(block("$ echo one; echo two\none"), [true], "a line that is not shown");
    assert_eq!(block("$ echo one\n"), [true], "no output is shown");
    assert_eq!(block("$ echo one\n...\ntwo"), [true], "any lines, but not this one");
    assert_eq!(block("$ echo one\n[..]two"), [true], "any text, but not this one");
    assert_eq!(block("$ false"), [true], "an exit code that is not shown");
    assert_eq!(block("$ true\n? 1"), [true], "another exit code");
    assert_eq!(block("$ wdpipe make nothing-like-it\n? 1\n..."), [true], "a usage error has exit code 2");
    assert_eq!(wrong("- item\n\n  ```console\n  $ echo one\n  two\n  ```\n"), [true], "an indented block");
    assert_eq!(wrong("```sh\n$ false\n```\n"), [false; 0], "other blocks are not run");
}

/// Returns the anchor of a heading, as GitHub and mdBook make it.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().to_lowercase().replace(' ', "-");
    kept.chars().filter(|c| c.is_alphanumeric() || *c == '-' || *c == '_').collect()
}

/// Returns the lines of a page that are not in code blocks.
fn prose(page: &str) -> Vec<&str> {
    let mut code = false;
    let is_prose = |line: &&str| {
        let fence = line.trim_start().starts_with("```");
        code ^= fence;
        !code && !fence
    };
    page.lines().filter(is_prose).collect()
}

fn anchors(page: &str) -> BTreeSet<String> {
    let heading = |line: &str| line.starts_with('#').then(|| anchor(line.trim_start_matches('#')));
    prose(page).into_iter().filter_map(heading).collect()
}

/// Returns the targets of a page's links that are not addresses of other sites.
fn links(page: &str) -> Vec<String> {
    let text = prose(page).join("\n");
    let target = |rest: &str| rest.split_once(')').map(|(target, _)| target.to_owned());
    let targets = text.split("](").skip(1).filter_map(target);
    targets.filter(|target| !target.contains("://") && !target.starts_with("mailto:")).collect()
}

/// Returns the path in the checkout to which a link of a document leads.
fn leads_to(document: &Path, target: &str) -> PathBuf {
    let mut path = document.parent().unwrap().to_owned();
    for part in Path::new(target).components() {
        match part {
            Component::ParentDir => drop(path.pop()),
            part => path.push(part),
        }
    }
    path
}

/// Says where the links of a document lead to nothing, or out of the book.
fn dead_links(document: &Path, page: &str) -> Vec<String> {
    let problem = |link: &String| {
        let (target, anchor) = link.split_once('#').unwrap_or((link, ""));
        let path = if target.is_empty() { document.to_owned() } else { leads_to(document, target) };
        if !root().join(&path).exists() {
            Some("leads to no file")
        } else if document.starts_with("docs") && !path.starts_with("docs") {
            Some("leads out of docs/, where mdBook has no page")
        } else if !anchor.is_empty() && !anchors(&fs::read_to_string(root().join(&path)).ok()?).contains(anchor) {
            Some("has an anchor to which no heading belongs")
        } else {
            None
        }
    };
    let described = |link: String| problem(&link).map(|problem| format!("{}: {link} {problem}", document.display()));
    links(page).into_iter().filter_map(described).collect()
}

#[test]
fn documents_have_no_dead_links() {
    let read = |document: &PathBuf| fs::read_to_string(root().join(document)).unwrap();
    let documents = documents();
    let dead: Vec<String> = documents.iter().flat_map(|document| dead_links(document, &read(document))).collect();
    assert!(dead.is_empty(), "{}", dead.join("\n"));
    let listed: BTreeSet<PathBuf> = links(&read(&"docs/SUMMARY.md".into()))
        .iter()
        .map(|link| leads_to(Path::new("docs/SUMMARY.md"), link))
        .collect();
    let pages = documents.into_iter().filter(|page| page.starts_with("docs") && !page.ends_with("SUMMARY.md"));
    assert_eq!(listed, pages.collect(), "docs/SUMMARY.md lists every page");
}

#[test]
fn documents_with_dead_links_fail() {
    let dead = |page: &str| dead_links(Path::new("docs/faq.md"), page).len();
    assert_eq!(dead("[a](faq.md) [b](https://nowhere.invalid/x) [c](#faq)\n# Other\n```\n[d](none.md)\n```\n"), 0);
    assert_eq!(dead("[a](none.md)"), 1);
    assert_eq!(dead("[a](../README.md)"), 1);
    assert_eq!(dead("[a](glossary.md#none)"), 1);
    assert_eq!(dead("[a](#none)"), 1);
    assert_eq!(anchor(" The trace of `L`, by Hutchinson's *method*"), "the-trace-of-l-by-hutchinsons-method");
}
