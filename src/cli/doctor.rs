//! `wdpipe doctor`: checks whether everything that a run needs is present, and says what to do if not.

use std::path::Path;

use clap::Args;
use serde::{Deserialize, Serialize};

use super::cluster::NodeArgs;
use super::format::{columns, count};
use super::share;
use super::ui::Ui;
use crate::engine::Import;
use crate::project::{CheckedPipelines, ExitCode, Failure, Project, is_imported};
use crate::stages::{self, Device};
use base::work::{Policy, Source};
use sandbox::Level;
use store::{Store, StoreError};

/// Check what a run needs: libtorch, devices, cache, pipelines, data.
#[derive(Debug, Args)]
pub struct DoctorCommand {
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    node: NodeArgs,
}

/// Output of `doctor --json`.
#[derive(Serialize)]
struct DoctorAnswer<'a> {
    fine: bool,
    findings: &'a [Finding],
}

/// Result of one check.
#[derive(Debug, Serialize, Deserialize)]
pub struct Finding {
    name: String,
    /// Whether nothing that a run needs is missing.
    fine: bool,
    text: String,
}

impl Finding {
    /// Makes the finding of a check that succeeded or failed.
    pub fn new(name: &str, result: Result<String, String>) -> Self {
        let fine = result.is_ok();
        Self { name: name.to_owned(), fine, text: result.unwrap_or_else(|text| text) }
    }
}

impl DoctorCommand {
    /// Runs the command.
    ///
    /// # Errors
    /// If something is missing that `make fig3` in the smoke profile needs.
    pub fn run(&self, project: &Project, ui: &Ui) -> Result<(), Failure> {
        if let Some(folder) = &self.node.on_node {
            return self.node.answer(folder);
        }
        if self.node.executor.is_some() {
            return self.print(&self.node.ask(project, ui)?, ui);
        }
        let mut findings = of_machine();
        let mut found = |name, result| findings.push(Finding::new(name, result));
        let policy = "native: bits agree between machines of that class; policy = \"portable\" in a pipeline makes them \
                      agree on every x86-64 processor with AVX2";
        found("policy", Ok(policy.to_owned()));
        let ignored = stages::variables_without_effect();
        if !ignored.is_empty() {
            found("variables", Ok(format!("set, but ignored so that results repeat: {}", ignored.join(", "))));
        }
        found("sandbox", Ok(sandboxed()));
        found("pipelines", pipelines(project));
        let store = project.store();
        found("cache", cache(&project.cache, &store));
        if let Ok(store) = &store {
            for finding in store.sharing()? {
                let text = share::lines(std::slice::from_ref(&finding)).join(": ").replace(":   ", ": ");
                found("sharing", if finding.is_fault { Err(text) } else { Ok(text) });
            }
            for source in [Source::Cifar10, Source::Cifar100] {
                // Data that was not imported is not a fault: the smoke profile needs none.
                let text = match is_imported(store, Import::Data(source)) {
                    true => "imported".to_owned(),
                    false => format!("not here; `wdpipe data fetch {0}` or `data import` imports it", source.name()),
                };
                found(source.name(), Ok(text));
            }
        }
        self.print(&findings, ui)
    }

    fn print(&self, findings: &[Finding], ui: &Ui) -> Result<(), Failure> {
        let fine = findings.iter().all(|finding| finding.fine);
        if self.json {
            ui.json(&DoctorAnswer { fine, findings });
        } else {
            let row = |f: &Finding| vec![if f.fine { "ok" } else { "!!" }.to_owned(), f.name.clone(), f.text.clone()];
            columns(&findings.iter().map(row).collect::<Vec<_>>()).iter().for_each(|line| ui.answer(line));
        }
        let faults = findings.iter().filter(|finding| !finding.fine).map(|finding| finding.name.as_str());
        match faults.collect::<Vec<_>>()[..] {
            [] => Ok(()),
            ref names => Err(Failure::new(ExitCode::Missing, format!("not in order: {}", names.join(", ")), "")),
        }
    }
}

/// Checks the program and the devices of this machine.
pub fn of_machine() -> Vec<Finding> {
    vec![
        Finding::new("wdpipe", Ok(format!("{}, {}", env!("CARGO_PKG_VERSION"), stages::built_with()))),
        Finding::new("libtorch", stages::libraries()),
        Finding::new("GPUs", Ok(stages::gpus())),
        Finding::new("device", stages::describe(&Device::Auto, Policy::Native)),
    ]
}

/// Describes the sandbox of commands.
fn sandboxed() -> String {
    let level = sandbox::available().first().copied().unwrap_or(Level::None);
    match sandbox::why_not(Level::Namespaces) {
        Some(why) => format!("commands run at the level {level}; namespaces are stricter, but {why}"),
        None => format!("commands run at the level {level}"),
    }
}

fn pipelines(project: &Project) -> Result<String, String> {
    let CheckedPipelines { mistakes, pipelines, .. } = project.check().map_err(|failure| failure.message)?;
    match &mistakes[..] {
        [] => {
            Ok(format!("{} in {}, right in every profile", count(pipelines, "pipeline"), project.pipelines.display()))
        }
        [first, ..] => Err(format!("{first} ({}: `wdpipe check` lists them)", count(mistakes.len(), "mistake"))),
    }
}

fn cache(root: &Path, store: &Result<Store, StoreError>) -> Result<String, String> {
    match store {
        Ok(store) => {
            store.put(b"wdpipe doctor").map_err(|error| error.to_string())?;
            Ok(format!("{} can be written", root.display()))
        }
        // The first command that writes creates the store, if it can.
        Err(StoreError::NoStore(_)) => {
            let there = |folder: &&Path| !folder.as_os_str().is_empty() && folder.exists();
            let above = root.ancestors().find(there).unwrap_or(Path::new("."));
            match above.is_dir() && files::may_add(above) {
                true => Ok(format!("{} does not exist yet; `wdpipe make all` creates it", root.display())),
                false => {
                    Err(format!("{} does not exist, and cannot be created in {}", root.display(), above.display()))
                }
            }
        }
        Err(error) => Err(error.to_string()),
    }
}
