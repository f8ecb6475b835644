//! What a site needs to run workers: the file `cluster.toml`, and what the command line adds to it.

use serde::{Deserialize, Serialize};

/// Settings of Slurm jobs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SlurmSite {
    /// Partition.
    pub partition: Option<String>,
    /// Account to be charged.
    pub account: Option<String>,
    /// Quality of service.
    pub qos: Option<String>,
    /// GPUs of a worker, as `--gpus` takes them: `1` or `h200:1`.
    pub gpus: Option<String>,
    /// Processors of a worker.
    pub cpus: Option<u32>,
    /// Memory of a worker, as `--mem` takes it: `32G`.
    pub memory: Option<String>,
    /// Time of a worker, such as `4h` or `90min`.
    pub time: Option<String>,
    /// Largest number of workers at a time.
    pub workers: Option<u32>,
    /// Lines of shell that come first in every job, such as `module load cuda`.
    pub prelude: Vec<String>,
    /// Words before the program, such as `["apptainer", "exec", "--nv", "wdpipe.sif"]`.
    pub prefix: Vec<String>,
    /// Further options of `sbatch`.
    pub flags: Vec<String>,
    /// Folder on a node's own disk for what a worker keeps for itself. `$NAME` stands for a variable of the job.
    pub scratch: Option<String>,
}
