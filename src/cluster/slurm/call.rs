//! Calls Slurm's commands as child processes. Their output is untrusted, and bounded in size and time.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

/// Maximum number of bytes of an answer.
const LIMIT: u64 = 64 << 20;
/// Shortest and longest time between two looks at a running command.
const PAUSES: [Duration; 2] = [Duration::from_millis(2), Duration::from_millis(50)];
/// Variables that change what the commands do or print.
const STEERING: [&str; 11] = [
    "SACCT_",
    "SQUEUE_",
    "SCANCEL_",
    "SBATCH_WAIT",
    "SBATCH_ARRAY",
    "SBATCH_REQUEUE",
    "SBATCH_NO_REQUEUE",
    "SBATCH_EXPORT",
    "SBATCH_CLUSTERS",
    "SLURM_TIME_FORMAT",
    "SLURM_BITSTR_LEN",
];
/// Words of Slurm when its controller does not answer.
const UNREACHABLE: [&str; 9] = [
    "unable to contact slurm controller",
    "unable to contact the controller",
    "socket timed out",
    "connection refused",
    "zero bytes were transmitted",
    "transport endpoint is not connected",
    "backup controller in standby",
    "resource temporarily unavailable",
    "slurmctld daemon is not responding",
];
/// Words of Slurm on a machine that belongs to no cluster.
const NOT_SET_UP: [&str; 3] = ["configuration source", "unable to process configuration file", "dns srv lookup failed"];

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoAnswer {
    /// There is no such command, or it cannot be started.
    NoCommand(String),
    /// This machine belongs to no cluster.
    NotSetUp,
    /// The controller cannot be reached, or is too slow. The request may have been received.
    Unreachable(String),
    /// Slurm refuses the request, in its own words.
    Refused(String),
}

impl NoAnswer {
    /// Whether no node has what a request needs, or no node that can be used now.
    pub fn is_about_nodes(&self) -> bool {
        matches!(self, Self::Refused(words) if words.contains("node configuration is not available"))
    }
}

/// Where Slurm's commands are, and what they are given.
#[derive(Debug, Clone, Default)]
pub struct Commands {
    /// Folder of the commands, if they are not found by their names.
    pub folder: Option<PathBuf>,
    /// Further variables.
    pub variables: Vec<(String, String)>,
}

impl Commands {
    /// Runs a command, and returns its standard output.
    ///
    /// # Errors
    /// If it cannot be run, fails, or takes longer than the limit.
    pub fn call(&self, name: &str, arguments: &[String], input: &str, limit: Duration) -> Result<String, NoAnswer> {
        let program = self.folder.as_ref().map_or_else(|| PathBuf::from(name), |folder| folder.join(name));
        let mut command = Command::new(&program);
        for (name, _) in std::env::vars_os() {
            if name.to_str().is_some_and(|name| STEERING.iter().any(|prefix| name.starts_with(prefix))) {
                command.env_remove(name);
            }
        }
        command.args(arguments).env("LC_ALL", "C").envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // A Ctrl-C at the terminal must not kill the command, because a half-made submission has no name.
        command.process_group(0);
        let begun = Instant::now();
        let mut child = command.spawn().map_err(|error| match error.kind() {
            ErrorKind::NotFound => NoAnswer::NoCommand(format!("there is no command `{name}`")),
            _ => NoAnswer::NoCommand(format!("`{name}` cannot be started: {error}")),
        })?;
        if let (Some(mut stdin), input) = (child.stdin.take(), input.to_owned()) {
            // A command that ends before it has read everything says why.
            thread::spawn(move || stdin.write_all(input.as_bytes()));
        }
        let (output, errors) = (read(child.stdout.take()), read(child.stderr.take()));
        let late = || NoAnswer::Unreachable(format!("`{name}` did not answer within {} s", limit.as_secs()));
        let mut pause = PAUSES[0];
        let status = loop {
            match child.try_wait() {
                Ok(Some(status)) => break status,
                Ok(None) if begun.elapsed() < limit => thread::sleep(pause),
                _ => {
                    let _ = child.kill();
                    let _ = child.wait();
                    return Err(late());
                }
            }
            pause = (pause * 2).min(PAUSES[1]);
        };
        let left = || limit.saturating_sub(begun.elapsed()).max(Duration::from_secs(1));
        let text =
            |bytes: Result<Vec<u8>, RecvTimeoutError>| bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        let (output, errors) = (output.recv_timeout(left()), errors.recv_timeout(left()));
        let (output, errors) = (text(output).map_err(|_| late())?, text(errors).unwrap_or_default());
        tracing::debug!(command = name, ?arguments, seconds = begun.elapsed().as_secs_f64(), %status, "called");
        match status.success() {
            true => Ok(output),
            false => Err(refusal(name, &errors)),
        }
    }
}

/// Reads a stream to its end on a thread of its own. Bytes beyond the limit end the command that writes them.
fn read(stream: Option<impl Read + Send + 'static>) -> Receiver<Vec<u8>> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(stream) = stream {
            let _ = stream.take(LIMIT).read_to_end(&mut bytes);
        }
        let _ = sender.send(bytes);
    });
    receiver
}

/// Tells a refusal from a controller that does not answer.
fn refusal(name: &str, errors: &str) -> NoAnswer {
    let small = errors.to_lowercase();
    let is = |words: &[&str]| words.iter().any(|words| small.contains(words));
    let words = words(errors);
    match words.is_empty() {
        _ if is(&NOT_SET_UP) => NoAnswer::NotSetUp,
        _ if is(&UNREACHABLE) => NoAnswer::Unreachable(words),
        true => NoAnswer::Refused(format!("`{name}` failed and gave no reason")),
        false => NoAnswer::Refused(words),
    }
}

/// Returns the last lines of Slurm's messages without their prefixes.
fn words(errors: &str) -> String {
    let line = |line: &str| {
        let mut rest = line.trim();
        for prefix in
            ["sbatch:", "squeue:", "scancel:", "scontrol:", "sacct:", "error:", "fatal:", "allocation failure:"]
        {
            rest = rest.strip_prefix(prefix).unwrap_or(rest).trim_start();
        }
        rest.chars().take(300).collect::<String>()
    };
    let lines: Vec<_> = errors.lines().map(line).filter(|line| !line.is_empty()).collect();
    lines[lines.len().saturating_sub(3)..].join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, limit: f64) -> Result<String, NoAnswer> {
        let arguments = ["-c", script].map(str::to_owned);
        Commands::default().call("sh", &arguments, "in", Duration::from_secs_f64(limit))
    }

    #[test]
    fn answers_are_bounded_in_time_and_size() {
        assert_eq!(shell("cat; echo out", 60.0), Ok("inout\n".to_owned()));
        assert!(
            matches!(shell("sleep 60", 0.1), Err(NoAnswer::Unreachable(words)) if words.contains("did not answer"))
        );
        // A process that outlives the command keeps the output open.
        assert!(matches!(shell("sleep 60 & exit 0", 0.1), Err(NoAnswer::Unreachable(_))));
        let missing = Commands { folder: Some("/no/such".into()), ..Commands::default() };
        let answer = missing.call("sbatch", &[], "", Duration::from_secs(1));
        assert_eq!(answer, Err(NoAnswer::NoCommand("there is no command `sbatch`".to_owned())));
    }

    #[test]
    fn refusals_are_told_from_silence() {
        for (errors, wanted) in [
            ("sbatch: error: Batch job submission failed: Unable to contact slurm controller (connect failure)", false),
            ("slurm_load_jobs error: Unable to contact slurm controller (connect failure)", false),
            ("squeue: error: slurm_receive_msg: Socket timed out on send/recv operation", false),
            (
                "sbatch: error: invalid partition specified: nope\nallocation failure: Invalid partition name specified",
                true,
            ),
            ("", true),
        ] {
            assert_eq!(matches!(refusal("sbatch", errors), NoAnswer::Refused(_)), wanted, "{errors}");
        }
        let lost = "sinfo: error: fetch_config: DNS SRV lookup failed\nsinfo: fatal: Could not establish a configuration source";
        assert_eq!(refusal("sinfo", lost), NoAnswer::NotSetUp);
        let twice =
            "sbatch: error: invalid partition specified: nope\nallocation failure: Invalid partition name specified\n";
        let wanted = "invalid partition specified: nope; Invalid partition name specified";
        assert_eq!(refusal("sbatch", twice), NoAnswer::Refused(wanted.to_owned()));
    }
}
