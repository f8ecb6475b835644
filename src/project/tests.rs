//! Tests that use this repository as a project: its pipelines and committed figures, with a store of their own.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::path::Path;

use super::*;
use crate::cost::gpus::Gpu;
use crate::plan::{Knowledge, MissReason};
use crate::stages::Device;
use base::work::Policy;
use store::archive::{self, Admission};

fn smoke(set: &[&str]) -> Variant {
    Variant { profile: "smoke".to_owned(), set: set.iter().map(ToString::to_string).collect() }
}

/// Makes a project of this repository, with an empty store.
fn repository() -> (tempfile::TempDir, Project) {
    let folder = tempfile::tempdir().unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let project = Project {
        cache: folder.path().join("cache"),
        reports: root.join("reports"),
        pipelines: root.join("pipelines"),
        trust: folder.path().join("trust.toml"),
        remotes: folder.path().join("remotes.toml"),
        cluster: folder.path().join("cluster.toml"),
        options: Options::default(),
    };
    (folder, project)
}

/// Imports the records and numbers from the file beside a committed figure.
fn bring(project: &Project, figure: &str) -> Store {
    let store = project.store_to_fill().unwrap();
    let admission = Admission { admitted: &|_, _, _| Ok(()), keep: &|_| Ok(false) };
    archive::import(&project.reports.join(format!("smoke/{figure}.wdpipe")), &store, &admission, false).unwrap();
    store
}

fn message<T>(result: Result<T, Failure>) -> (String, ExitCode) {
    result.map(drop).map_err(|failure| (failure.message, failure.code)).unwrap_err()
}

#[test]
fn what_is_locked_is_resolved_to_the_keys_of_the_lock() {
    let (_folder, project) = repository();
    let store = bring(&project, "fig3");
    let selection = project.select(&smoke(&[]), &["fig3".to_owned()]).unwrap();
    let lock = selection.place("fig3").lock().unwrap().unwrap();
    let resolved = selection.resolve(&store).unwrap();
    assert_eq!(resolved.stages().count(), lock.stages.len());
    assert!(resolved.plan().run.iter().all(|run| !matches!(run.reason, MissReason::Waits(_))));
    let closure = resolved.closure(selection.targets[0], &store).unwrap();
    assert_eq!(closure.root(), lock.root());

    let explained = project.explain(&smoke(&[]), &selection, &store, 1).unwrap().remove(0);
    assert_eq!(explained.key.map(|(key, _)| key), lock.drawing().map(|drawing| drawing.key));
    assert!(matches!(explained.knowledge, Knowledge::Known { .. }) && explained.record.is_some());

    let roots = project.roots(&["smoke".to_owned()], &store).unwrap();
    assert!(lock.stages.iter().all(|stage| roots.keys.contains_key(&stage.key)));
    let figure = roots.figures.iter().find(|figure| figure.name == "fig3").unwrap();
    assert_eq!((figure.stages, figure.known), (lock.stages.len(), lock.stages.len()));
    assert!(selection.departures(&resolved.knowledge, &store).is_empty(), "the figure is the locked one");
}

#[test]
fn a_forecast_tells_what_a_plan_costs_by_family_and_target() {
    let (_folder, project) = repository();
    let store = Store::absent(&project.cache);
    let selection = project.select(&smoke(&[]), &["fig3".to_owned(), "fig4".to_owned()]).unwrap();
    let workers = Workers::choose(&Device::Cpu, Policy::Native, NonZeroUsize::new(2)).unwrap();
    let forecast = selection.forecast(selection.plan(&store).unwrap(), &store, &workers, None).unwrap();
    assert!(forecast.unknown.is_none() && !forecast.is_measured(), "nothing was measured in an empty store");
    let bills = forecast.bills();
    let targets: Vec<_> = bills.iter().map(|bill| bill.target.as_str()).collect();
    assert_eq!(targets, ["fig3", "fig4", "together"]);
    assert!(bills.iter().all(|bill| bill.stages == bill.to_run && bill.gpu_bytes.is_none()));
    assert_eq!(bills[2].stages, bills[0].stages + bills[1].stages, "they share no stage");
    // The whole plan is the last bill, spread over two jobs.
    let (all, total) = (bills[2].seconds.unwrap(), forecast.total().unwrap());
    assert!((all / total - 1.0).abs() < 1e-9, "{all} {total}");
    let families = forecast.families();
    assert_eq!(families.iter().map(|family| family.stages).sum::<usize>(), bills[2].stages);
    assert!(families.iter().any(|family| family.name == "fig4/valley" && family.to_run == family.stages));
    assert!(families.iter().all(|family| family.reason.is_some()));

    let gpu = Gpu::named("h100").unwrap();
    let assumed = selection.forecast(selection.plan(&store).unwrap(), &store, &workers, Some(gpu)).unwrap();
    assert!(assumed.bills()[0].gpu_bytes > Some(1 << 20) && assumed.gpu().is_some());
}

#[test]
fn jobs_are_those_of_the_device_unless_they_are_given() {
    let choose = |device, jobs| Workers::choose(&device, Policy::Native, NonZeroUsize::new(jobs)).unwrap();
    let (cpu, gpu) = (choose(Device::Cpu, 0), choose(Device::Cuda(0), 0));
    assert_eq!((cpu.jobs.get(), cpu.grow), (cores(), false));
    assert_eq!((gpu.jobs.get(), gpu.grow, gpu.most().get()), (1, true, 8));
    let given = choose(Device::Cuda(0), 3);
    assert_eq!((given.jobs.get(), given.grow, given.most().get()), (3, false, 3));
}

#[test]
fn figures_are_compared_with_the_paper_by_what_is_recorded() {
    let (_folder, project) = repository();
    let store = bring(&project, "fig3");
    let selection = project.select(&smoke(&[]), &["fig3a".to_owned()]).unwrap();
    assert_eq!(selection.whole_figures(), ["fig3"]);
    let compared = selection.compare(&selection.whole_figures(), &store).unwrap().remove(0);
    let without =
        selection.compare(&["fig3".to_owned()], &Store::absent(&project.cache.join("none"))).unwrap().remove(0);
    assert!(!compared.claims.is_empty() && compared.claims.len() == without.claims.len());
    assert!(compared.published.values.iter().any(|value| value.ours.is_some()));
    assert!(without.published.values.iter().all(|value| value.ours.is_none()));
}

#[test]
fn operands_and_pins_name_targets_locks_archives_and_hashes() {
    let (_folder, project) = repository();
    let store = bring(&project, "fig3");
    let selection = project.select(&smoke(&[]), &["fig3".to_owned()]).unwrap();
    let lock = selection.place("fig3").lock().unwrap().unwrap();
    let key = lock.drawing().unwrap().key.to_string();
    let path = |extension| selection.place("fig3").path(extension).display().to_string();
    for operand in ["fig3", &path("lock"), &path("wdpipe"), &key[..12]] {
        let loaded = project.load(&smoke(&[]), operand, Extent::Whole).map_err(|failure| failure.message).unwrap();
        assert_eq!(loaded.closure.root(), lock.root(), "{operand}");
    }
    for target in ["fig3", &key[..8]] {
        let (closure, objects) = project.behind(target, &smoke(&[]), &store).unwrap();
        assert_eq!((closure.root(), objects), (lock.root(), BTreeSet::new()), "{target}");
    }
    let (found, code) = message(project.behind("00000000", &smoke(&[]), &store));
    assert!(found.starts_with("no key, record or object in "), "{found}");
    assert_eq!(code, ExitCode::Missing);
    assert_eq!(message(project.load(&smoke(&["lr=9"]), "fig3", Extent::Whole)).1, ExitCode::Missing);
}

#[test]
fn committed_figures_are_found_with_what_lies_beside_them() {
    let (_folder, project) = repository();
    let (subjects, _) = project.committed(Some("smoke"), &["fig3".to_owned()]).unwrap();
    assert_eq!(subjects.len(), 1);
    let nothing = VerifyLevels { objects: false, render: false, rebuild: None, statistics: false };
    let checks = project.verify(&subjects[0], None, &nothing, &|_| {}).unwrap();
    let wrong: Vec<_> = checks.iter().filter(|check| check.verdict == crate::verify::Verdict::Differs).collect();
    assert!(checks.len() > 3 && wrong.is_empty(), "{wrong:?}");
    let (found, code) = message(project.committed(Some("smoke"), &["fig99".to_owned()]));
    assert!(found.starts_with("there is no locked figure `fig99` in "), "{found}");
    assert_eq!(code, ExitCode::Usage);
}

/// A pipeline with a command; its line `sandbox` is to be filled in.
const COMMAND: &str = r#"
title = "One command"
[stage.one]
kind = "command"
run = ["true", "{out.x}"]
code = []
env = "host"
out = { x = ["a", "b"] }
SANDBOX
[[panel]]
id = "a"
x = { label = "a" }
y = { label = "b" }
[[panel.curve]]
from = "one"
x = "a"
y = "b"
[profile.smoke]
"#;

#[test]
fn commands_need_a_sandbox_in_a_shared_store_unless_the_pipeline_says_otherwise() {
    use std::os::unix::fs::PermissionsExt;

    use base::isolation::Isolation::{self, Landlock, Namespaces, None as No};

    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let project = Project { cache: at("cache"), pipelines: at("pipelines"), trust: at("trust.toml"), ..repository().1 };
    std::fs::create_dir(&project.pipelines).unwrap();
    let isolation = |sandbox: &str| -> Option<Isolation> {
        std::fs::write(project.pipelines.join("own.toml"), COMMAND.replace("SANDBOX", sandbox)).unwrap();
        let selection = project.select(&smoke(&[]), &["own/one".to_owned()]).unwrap();
        let (_, command) = selection.only_command().unwrap();
        command.terms.isolation
    };
    let mode = |mode| std::fs::set_permissions(&project.cache, std::fs::Permissions::from_mode(mode)).unwrap();
    assert_eq!(isolation(""), Some(No), "there is no store yet");
    project.store_to_fill().unwrap();
    mode(0o700);
    assert_eq!(["", "sandbox = \"require\""].map(isolation), [Some(No), Some(Landlock)]);
    mode(0o777);
    assert_eq!(
        ["", "sandbox = \"require\"", "sandbox = \"try\""].map(isolation),
        [Some(Landlock), Some(Landlock), Some(No)]
    );
    std::fs::write(&project.trust, "[policy]\nuse = \"signed\"\nsandbox = \"namespaces\"").unwrap();
    assert_eq!(isolation("sandbox = \"try\""), Some(Namespaces), "the project's policy comes first");
}
