//! Slurm's refusals as failures that say which setting to change.

use super::super::site::SlurmSite;
use super::call::NoAnswer;
use crate::project::{ExitCode, Failure};

/// How settings are changed.
const SET: &str = "in `[slurm]` of cluster.toml or with --slurm";

impl NoAnswer {
    /// Returns the failure of a request that is made with the settings of a site.
    pub fn failure(self, site: &SlurmSite) -> Failure {
        match self {
            Self::NoCommand(reason) => Failure::new(
                ExitCode::Missing,
                format!("Slurm cannot be used here: {reason}"),
                "run wdpipe on a login node of the cluster, or use --executor local:N on this machine",
            ),
            Self::NotSetUp => Failure::new(
                ExitCode::Missing,
                "Slurm cannot be used here: its commands do not find the configuration of a cluster",
                "run wdpipe on a login node of the cluster, or set SLURM_CONF",
            ),
            Self::Unreachable(words) => Failure::new(
                ExitCode::Missing,
                format!("the controller of Slurm does not answer: {words}"),
                "submitted jobs are not affected; try again in some minutes (`scontrol ping` shows when it answers)",
            ),
            Self::Refused(words) => refused(&words, site),
        }
    }
}

/// Returns the failure for the words with which Slurm refuses a request.
fn refused(words: &str, site: &SlurmSite) -> Failure {
    let small = words.to_lowercase();
    let has = |part: &str| small.contains(part);
    let named = |kind: &str, name: &Option<String>| match name {
        Some(name) => format!("{kind} `{name}`"),
        None => format!("the default {kind}"),
    };
    let partition = named("partition", &site.partition);
    let (message, hint) = if has("partition specified") || has("partition name") || has("invalid partition") {
        (format!("there is no {partition}"), format!("`sinfo -s` lists the partitions; set `partition` {SET}"))
    } else if has("group not permitted") || has("not permitted to use this partition") {
        (format!("you may not use {partition}"), format!("ask for access, or set `partition` {SET}"))
    } else if has("account") && (has("invalid") || has("unspecified") || has("must specify")) {
        let hint = "`sacctmgr show associations user=$USER format=account,partition,qos` lists what you may use; set";
        (
            format!("{} cannot be used in {partition}", named("account", &site.account)),
            format!("{hint} `account` {SET}"),
        )
    } else if has("qos specification") || has("invalid qos") {
        let hint = "`sacctmgr show associations user=$USER format=account,qos` lists what you may use; set";
        (format!("{} cannot be used", named("qos", &site.qos)), format!("{hint} `qos` {SET}"))
    } else if has("generic resource") || has("node configuration is not available") || has("--mem specification") {
        let asked = [("gpus", &site.gpus), ("cpus", &site.cpus.map(|cpus| cpus.to_string())), ("memory", &site.memory)];
        let asked = asked.iter().filter_map(|(key, value)| Some(format!("{key} = {}", value.as_ref()?)));
        let asked: Vec<_> = asked.chain(site.flags.iter().cloned()).collect();
        let asked = if asked.is_empty() { "the request".to_owned() } else { asked.join(", ") };
        let hint = "`sinfo -o '%P %G %c %m %f'` lists GPUs, processors, memory (MB) and features; set";
        (
            format!("no node of {partition} has what a worker needs: {asked}"),
            format!("{hint} `gpus`, `cpus` or `memory` {SET}"),
        )
    } else if has("requested time limit") || has("--time specification") {
        (format!("{partition} does not allow the time of a worker"), format!("set `time` {SET}"))
    } else if has("feature") || has("reservation") || has("license") || has("unrecognized option") || has("constraint")
    {
        (format!("Slurm refuses a flag: {words}"), format!("correct `flags` {SET}"))
    } else if has("job submit limit") || has("policy") || has("limit") {
        (format!("the rules of the cluster do not allow these jobs: {words}"), format!("set `workers` or `time` {SET}"))
    } else if has("permission denied") || has("user id") {
        (format!("you may not use this cluster: {words}"), "ask its administrators for access".to_owned())
    } else {
        (format!("Slurm refuses the request: {words}"), format!("the settings are {SET}"))
    };
    // Slurm's own words may say more.
    let message = if message.contains(words) { message } else { format!("{message} (Slurm: {words})") };
    Failure::new(ExitCode::Usage, message, hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Refusals of release 22.05, recorded.
    #[test]
    fn each_refusal_names_the_setting_to_change() {
        let site = SlurmSite {
            partition: Some("gpu".to_owned()),
            account: Some("lab".to_owned()),
            qos: Some("high".to_owned()),
            gpus: Some("h200:1".to_owned()),
            flags: vec!["--constraint=zz".to_owned()],
            ..SlurmSite::default()
        };
        for (words, message, key) in [
            (
                "invalid partition specified: gpu; Invalid partition name specified",
                "there is no partition `gpu`",
                "`partition`",
            ),
            ("User's group not permitted to use this partition", "you may not use partition `gpu`", "`partition`"),
            (
                "Invalid account or account/partition combination specified",
                "account `lab` cannot be used in partition `gpu`",
                "`account`",
            ),
            ("Invalid qos specification", "qos `high` cannot be used", "`qos`"),
            ("Invalid generic resource (gres) specification", "gpus = h200:1", "`gpus`"),
            ("Requested node configuration is not available", "no node of partition `gpu`", "`gpus`"),
            ("Requested time limit is invalid (missing or exceeds some limit)", "does not allow the time", "`time`"),
            ("Invalid feature specification", "refuses a flag", "`flags`"),
            ("unrecognized option '--nosuchflag'", "--nosuchflag", "`flags`"),
            (
                "Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)",
                "rules",
                "`workers`",
            ),
            ("Something new", "Slurm refuses the request: Something new", "cluster.toml"),
        ] {
            let failure = NoAnswer::Refused(words.to_owned()).failure(&site);
            assert!(failure.message.contains(message), "{}", failure.message);
            assert!(failure.hint.contains(key), "{}: {}", failure.message, failure.hint);
            assert!(failure.code == ExitCode::Usage && failure.message.contains(words), "{}", failure.message);
        }
    }
}
