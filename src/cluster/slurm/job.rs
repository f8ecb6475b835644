//! What a worker can know about the job that it runs in.

use std::time::Duration;

use super::super::site::{SlurmSite, seconds};
use super::call::Commands;

/// Variable with the worker's own folder on the node.
pub const SCRATCH: &str = "WDPIPE_SCRATCH";
/// Variable with the number of seconds that the job had been running when the worker began.
pub const ELAPSED: &str = "WDPIPE_JOB_ELAPSED";

/// Returns the name of the task that this process belongs to, as [`WorkerTask`](super::super::WorkerTask) has it.
pub fn task_name(variable: impl Fn(&str) -> Option<String>) -> Option<String> {
    let number = |name: &str| variable(name).filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    Some(format!("{}_{}", number("SLURM_ARRAY_JOB_ID")?, number("SLURM_ARRAY_TASK_ID")?))
}

/// Returns how long the job of this process may still run, if that is limited. This is asked once, when the worker
/// begins; from then on the worker's own clock counts. Clocks of two machines are never compared.
pub fn time_left(site: &SlurmSite, variable: impl Fn(&str) -> Option<String>) -> Option<Duration> {
    let number = |name: &str| variable(name).and_then(|text| text.parse::<u64>().ok());
    // The controller wrote both.
    let given = number("SLURM_JOB_END_TIME").zip(number("SLURM_JOB_START_TIME"));
    let given = given.and_then(|(end, start)| end.checked_sub(start)).or_else(|| site.seconds());
    let elapsed = number(ELAPSED).unwrap_or_default();
    let left = given.map(|given| given.saturating_sub(elapsed)).or_else(|| asked(variable("SLURM_JOB_ID")?));
    left.map(Duration::from_secs)
}

/// Asks Slurm how long a job may still run.
fn asked(job: String) -> Option<u64> {
    let arguments = ["--noheader", "--format=%L", "--jobs"].map(str::to_owned).into_iter().chain([job]);
    let answer = Commands::default().call("squeue", &arguments.collect::<Vec<_>>(), "", super::QUESTION);
    answer.ok().and_then(|text| seconds(text.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_a_job_comes_from_its_variables_or_from_the_site() {
        let site = SlurmSite { time: Some("10min".to_owned()), ..SlurmSite::default() };
        let none = |_: &str| None;
        assert_eq!(time_left(&site, none), Some(Duration::from_secs(600)));
        assert_eq!(time_left(&SlurmSite::default(), none), None);
        let later = |name: &str| (name == ELAPSED).then(|| "45".to_owned());
        assert_eq!(time_left(&site, later), Some(Duration::from_secs(555)));
        let given = |name: &str| match name {
            "SLURM_JOB_START_TIME" => Some("1000".to_owned()),
            "SLURM_JOB_END_TIME" => Some("1120".to_owned()),
            _ => later(name),
        };
        assert_eq!(time_left(&site, given), Some(Duration::from_secs(75)));
    }

    #[test]
    fn a_worker_knows_its_name() {
        let variable = |name: &str| match name {
            "SLURM_ARRAY_JOB_ID" => Some("4711".to_owned()),
            "SLURM_ARRAY_TASK_ID" => Some("3".to_owned()),
            _ => None,
        };
        assert_eq!(task_name(variable).as_deref(), Some("4711_3"));
        assert_eq!(task_name(|_| None), None);
        assert_eq!(task_name(|_| Some("../x".to_owned())), None);
    }
}
