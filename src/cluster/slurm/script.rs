//! What is submitted: the options of `sbatch`, and the script.

use super::super::executor::Launch;
use super::super::flags::quoted;
use super::super::site::SlurmSite;
use super::job::{ELAPSED, SCRATCH};

/// How long before the end of its time a worker is asked to end, in seconds. Slurm may ask a minute earlier.
const NOTICE: u32 = 120;

/// Returns the options that say where a worker runs, and with what.
pub fn resources(site: &SlurmSite) -> Vec<String> {
    let mut options = Vec::new();
    let mut add =
        |option: &str, value: Option<String>| options.extend(value.map(|value| format!("--{option}={value}")));
    add("partition", site.partition.clone());
    add("account", site.account.clone());
    add("qos", site.qos.clone());
    add("gpus", site.gpus.clone());
    add("cpus-per-task", site.cpus.map(|cpus| cpus.to_string()));
    add("mem", site.memory.clone());
    add("time", site.seconds().map(time));
    add("chdir", site.folder.as_ref().map(|folder| folder.display().to_string()));
    options.extend(site.flags.iter().cloned());
    options
}

/// Returns the options of an array of `tasks` tasks, of which `width` run at a time, and which begins when other arrays
/// have ended.
pub fn options(
    site: &SlurmSite,
    launch: &Launch,
    (tasks, width): (usize, Option<usize>),
    after: Option<&str>,
) -> Vec<String> {
    let width = width.map(|width| format!("%{width}")).unwrap_or_default();
    let mut options = vec![
        "--parsable".to_owned(),
        format!("--array=0-{}{width}", tasks - 1),
        "--requeue".to_owned(),
        "--open-mode=append".to_owned(),
        format!("--signal=B:TERM@{NOTICE}"),
        // Percent signs stand for parts of the name.
        format!("--output={}/%A_%a.log", launch.logs.display().to_string().replace('%', "%%")),
        format!("--job-name=wdpipe-{}", launch.run),
    ];
    options.extend(after.map(|job| format!("--dependency=afterany:{job}")));
    options.extend(resources(site));
    options
}

/// Returns the script of a worker. The worker takes the place of the shell, so that Slurm's signals reach it.
pub fn script(site: &SlurmSite, launch: &Launch) -> String {
    let mut lines = vec!["#!/bin/bash".to_owned()];
    lines.extend(site.scratch.as_deref().map(|folder| format!("export {SCRATCH}={}", expanded(folder))));
    lines.extend(site.prelude.iter().cloned());
    // The shell began with the job, or a moment later.
    lines.push(format!("export {ELAPSED}=$SECONDS"));
    let program = launch.program.display().to_string();
    let words = site.prefix.iter().chain([&program]).chain(&launch.arguments).map(|word| quoted(word));
    lines.push(format!("exec {}", words.collect::<Vec<_>>().join(" ")));
    lines.join("\n") + "\n"
}

/// Quotes a path in which `$NAME` and `${NAME}` stand for variables.
fn expanded(path: &str) -> String {
    let mut text = String::from("\"");
    let mut rest = path;
    while let Some(character) = rest.chars().next() {
        let after = &rest[character.len_utf8()..];
        let name = after.strip_prefix('{').unwrap_or(after);
        let is_name = character == '$' && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        if !is_name && matches!(character, '$' | '`' | '"' | '\\') {
            text.push('\\');
        }
        text.push(character);
        if is_name && after.starts_with('{') {
            // Only a name may be between the braces.
            let length = name.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(name.len());
            if name[length..].starts_with('}') {
                text += &after[..length + 2];
                rest = &after[length + 2..];
                continue;
            }
            text.insert(text.len() - 1, '\\');
        }
        rest = after;
    }
    text + "\""
}

/// Returns a time in Slurm's form.
fn time(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    format!("{days}-{:02}:{:02}:{:02}", rest / 3600, rest / 60 % 60, rest % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn launch() -> Launch {
        let arguments = ["work", "7f3a", "--set", "lr=[0.1, $x]"].map(str::to_owned).to_vec();
        Launch { run: "7f3a".to_owned(), program: "/my bin/wdpipe".into(), arguments, logs: "/c/50%/logs".into() }
    }

    #[test]
    fn a_worker_takes_the_place_of_the_shell() {
        let site = SlurmSite {
            prelude: vec!["module load cuda".to_owned()],
            prefix: vec!["apptainer".to_owned(), "exec".to_owned(), "it's.sif".to_owned()],
            scratch: Some("$SLURM_TMPDIR/a\"b$(x)${HOME}`c`${a:-$(y)}".to_owned()),
            ..SlurmSite::default()
        };
        let wanted = "#!/bin/bash\n\
            export WDPIPE_SCRATCH=\"$SLURM_TMPDIR/a\\\"b\\$(x)${HOME}\\`c\\`\\${a:-\\$(y)}\"\n\
            module load cuda\n\
            export WDPIPE_JOB_ELAPSED=$SECONDS\n\
            exec apptainer exec 'it'\\''s.sif' '/my bin/wdpipe' work 7f3a --set 'lr=[0.1, $x]'\n";
        assert_eq!(script(&site, &launch()), wanted);
    }

    #[test]
    fn options_name_the_tasks_and_what_they_need() {
        let site = SlurmSite {
            gpus: Some("h200:1".to_owned()),
            time: Some("36h".to_owned()),
            flags: vec!["--exclusive".to_owned()],
            ..SlurmSite::default()
        };
        assert_eq!(
            options(&site, &launch(), (48, Some(16)), Some("4711")),
            [
                "--parsable",
                "--array=0-47%16",
                "--requeue",
                "--open-mode=append",
                "--signal=B:TERM@120",
                "--output=/c/50%%/logs/%A_%a.log",
                "--job-name=wdpipe-7f3a",
                "--dependency=afterany:4711",
                "--gpus=h200:1",
                "--time=1-12:00:00",
                "--exclusive",
            ]
        );
        assert_eq!(options(&SlurmSite::default(), &launch(), (1, None), None)[1], "--array=0-0");
    }
}
