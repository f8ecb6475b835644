//! Reads what Slurm's commands print. The forms are those of release 22.05; later releases add states. The text forms
//! have been stable for many releases, unlike the JSON forms.

use std::collections::BTreeMap;

use super::super::executor::{State, TaskEnd};

/// Largest index of a task that is read.
const LARGEST: usize = 4_000_000;

/// Format of `squeue`: number of the array, index, state, nodes, reason.
pub const SQUEUE: &str = "%F|%K|%T|%N|%r";
/// Format of `sacct`.
pub const SACCT: &str = "JobID,State";

/// States of the tasks of one array.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Array {
    /// States by index.
    pub tasks: BTreeMap<usize, State>,
    /// State of the tasks that have no row of their own, if the array has a row for them.
    pub rest: Option<State>,
}

impl Array {
    /// Returns the state of a task.
    pub fn state(&self, index: usize) -> State {
        self.tasks.get(&index).or(self.rest.as_ref()).cloned().unwrap_or(State::Unknown)
    }

    /// Adds what the accounting knows about tasks that have no row of their own.
    pub fn add_past(&mut self, past: Self) {
        for (index, state) in past.tasks {
            self.tasks.entry(index).or_insert(state);
        }
        self.rest = self.rest.take().or(past.rest);
    }

    /// Adds a row about some tasks. A row about a single task counts more than one about several, because arrays keep
    /// the row of their beginning.
    fn add(&mut self, indices: &str, state: State) {
        match indices.parse::<usize>() {
            Ok(index) if index <= LARGEST => {
                self.tasks.insert(index, state);
            }
            _ => self.rest = Some(state),
        }
    }
}

/// Reads the answer of `squeue`, as arrays by number.
pub fn squeue(text: &str) -> BTreeMap<String, Array> {
    let mut arrays = BTreeMap::<String, Array>::new();
    for line in text.lines() {
        let fields: Vec<_> = line.splitn(5, '|').map(str::trim).collect();
        if let [array, index, word, node, reason] = fields[..]
            && let Some(state) = state(word, node, reason)
        {
            arrays.entry(array.to_owned()).or_default().add(index, state);
        }
    }
    arrays
}

/// Reads the answer of `sacct`. Only ends count: the accounting is behind, and it shows a job that the controller has
/// lost as waiting for ever.
pub fn sacct(text: &str) -> BTreeMap<String, Array> {
    let mut arrays = BTreeMap::<String, Array>::new();
    for line in text.lines() {
        if let Some((id, word)) = line.split_once('|')
            && let Some(state @ State::Ended(_)) = state(word.trim_end_matches('|'), "", "")
        {
            let (array, index) = id.split_once('_').unwrap_or((id, ""));
            arrays.entry(array.to_owned()).or_default().add(index, state);
        }
    }
    arrays
}

/// Returns the state that a word of Slurm stands for; `None` for a word of another release.
fn state(word: &str, node: &str, reason: &str) -> Option<State> {
    // `CANCELLED by 1000`; short forms are cut with a plus sign.
    let word = word.split_whitespace().next().unwrap_or_default().trim_end_matches('+');
    let waiting = || State::Waiting(if reason == "None" { String::new() } else { reason.to_owned() });
    Some(match word {
        "PENDING" | "CONFIGURING" | "POWER_UP_NODE" | "REQUEUED" | "REQUEUE_FED" | "REQUEUE_HOLD" | "RESV_DEL_HOLD"
        | "SPECIAL_EXIT" => waiting(),
        // The processes of a job that is completing may still be there.
        "RUNNING" | "COMPLETING" | "SUSPENDED" | "STOPPED" | "SIGNALING" | "STAGE_OUT" | "RESIZING" => {
            State::Running(node.to_owned())
        }
        "COMPLETED" => State::Ended(TaskEnd::Done),
        "FAILED" => State::Ended(TaskEnd::Failed),
        "OUT_OF_MEMORY" => State::Ended(TaskEnd::OutOfMemory),
        "TIMEOUT" | "DEADLINE" => State::Ended(TaskEnd::TimeLimit),
        "PREEMPTED" => State::Ended(TaskEnd::Preempted),
        "NODE_FAIL" | "BOOT_FAIL" | "LAUNCH_FAILED" | "RECONFIG_FAIL" => State::Ended(TaskEnd::NodeLost),
        "CANCELLED" | "REVOKED" => State::Ended(TaskEnd::Cancelled),
        _ => return None,
    })
}

/// Settings of the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterSettings {
    /// Number of indices that an array can have: the largest index is one less.
    pub array: usize,
}

/// Reads the answer of `scontrol show config`.
pub fn settings(text: &str) -> ClusterSettings {
    let value = |name: &str| {
        let is = |line: &&str| line.split('=').next().is_some_and(|key| key.trim() == name);
        text.lines().find(is).and_then(|line| line.split_once('=')).map(|(_, value)| value.trim())
    };
    // 1001 is Slurm's default.
    ClusterSettings { array: value("MaxArraySize").and_then(|size| size.parse().ok()).unwrap_or(1001) }
}

/// A partition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Partition {
    /// Name.
    pub name: String,
    /// Whether jobs that name no partition go there.
    pub is_default: bool,
    /// Longest time of a job, in seconds, if it is limited.
    pub longest: Option<u64>,
    /// Time of a job that names none, in seconds, if there is one.
    pub usual: Option<u64>,
    /// Whether it starts jobs.
    pub is_up: bool,
    /// Accounts that may use it, if not all may.
    pub accounts: Option<Vec<String>>,
    /// Qualities of service that may use it, if not all may.
    pub qos: Option<Vec<String>>,
}

/// Reads the answer of `scontrol show partition --oneliner`.
pub fn partitions(text: &str) -> Vec<Partition> {
    let read = |line: &str| {
        let fields: BTreeMap<_, _> = line.split_whitespace().filter_map(|field| field.split_once('=')).collect();
        let list = |name: &str| {
            let names = fields.get(name).filter(|names| !matches!(**names, "ALL" | "(null)" | ""));
            names.map(|names| names.split(',').map(str::to_owned).collect())
        };
        let time = |name: &str| fields.get(name).and_then(|time| super::super::site::seconds(time));
        Some(Partition {
            name: (*fields.get("PartitionName")?).to_owned(),
            is_default: fields.get("Default") == Some(&"YES"),
            longest: time("MaxTime"),
            usual: time("DefaultTime"),
            is_up: fields.get("State").is_none_or(|state| *state == "UP"),
            accounts: list("AllowAccounts"),
            qos: list("AllowQos"),
        })
    };
    text.lines().filter_map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn running(node: &str) -> State {
        State::Running(node.to_owned())
    }

    /// Answers of release 22.05, recorded.
    #[test]
    fn answers_of_22_05_are_read() {
        let text = "21|2|PENDING||JobArrayTaskLimit\n21|3|PENDING||JobArrayTaskLimit\n21|1|RUNNING|n1|None\n\
                    21|0|RUNNING|n[1-2]|None\n20|0|COMPLETED|n1|None\n";
        let arrays = squeue(text);
        let array = &arrays["21"];
        assert_eq!(array.state(0), running("n[1-2]"));
        assert_eq!(array.state(1), running("n1"));
        assert_eq!(array.state(3), State::Waiting("JobArrayTaskLimit".to_owned()));
        assert_eq!(array.state(4), State::Unknown);
        assert_eq!(arrays["20"].state(0), State::Ended(TaskEnd::Done));

        // The rest of an array whose waiting tasks were cancelled has one row.
        let text = "21|N/A|CANCELLED||JobArrayTaskLimit\n21|1|RUNNING|n1|None\n21|0|CANCELLED|n1|None\n";
        let array = &squeue(text)["21"];
        assert_eq!(
            [0, 1, 5].map(|index| array.state(index)),
            [State::Ended(TaskEnd::Cancelled), running("n1"), State::Ended(TaskEnd::Cancelled)]
        );

        let text = "21_0|CANCELLED by 0\n21_1|NODE_FAIL\n21_[0-5%2]|CANCELLED by 0\n22_[0-5%2]|PENDING\n23|FAILED|\n";
        let arrays = sacct(text);
        assert_eq!(arrays["21"].state(1), State::Ended(TaskEnd::NodeLost));
        assert_eq!(arrays["21"].state(3), State::Ended(TaskEnd::Cancelled));
        assert!(!arrays.contains_key("22"), "what is not ended is not known from the accounting");
        assert_eq!(arrays["23"].state(0), State::Ended(TaskEnd::Failed));

        let text =
            "Configuration data as of 2026-11-30T13:08:25\nMaxArraySize            = 10001\nMaxDBDMsgs = 20008\n";
        assert_eq!(settings(text).array, 10_001);
        assert_eq!(settings("").array, 1001);

        let text = "PartitionName=short AllowGroups=ALL AllowAccounts=staff,lab AllowQos=ALL AllocNodes=ALL Default=YES \
                    DefaultTime=NONE MaxTime=00:10:00 State=UP\n\
                    PartitionName=long AllowAccounts=ALL AllowQos=gpuq Default=NO DefaultTime=01:00:00 \
                    MaxTime=7-00:00:00 State=DOWN\nPartitionName=main MaxTime=UNLIMITED State=UP\n";
        let all = partitions(text);
        assert_eq!((all[0].longest, all[0].usual, all[0].is_default, all[0].is_up), (Some(600), None, true, true));
        assert_eq!(all[0].accounts, Some(vec!["staff".to_owned(), "lab".to_owned()]));
        assert_eq!((all[1].longest, all[1].usual, all[1].is_up), (Some(604_800), Some(3600), false));
        assert_eq!((all[1].accounts.as_ref(), all[1].qos.as_deref()), (None, Some(&["gpuq".to_owned()][..])));
        assert_eq!((all[2].name.as_str(), all[2].longest), ("main", None));
    }

    #[test]
    fn every_state_of_every_release_is_known() {
        use TaskEnd::*;
        for (words, end) in [
            ("COMPLETED", Done),
            ("FAILED", Failed),
            ("OUT_OF_MEMORY", OutOfMemory),
            ("TIMEOUT", TimeLimit),
            ("DEADLINE", TimeLimit),
            ("PREEMPTED", Preempted),
            ("NODE_FAIL", NodeLost),
            ("BOOT_FAIL", NodeLost),
            ("LAUNCH_FAILED", NodeLost),
            ("RECONFIG_FAIL", NodeLost),
            ("CANCELLED by 1000", Cancelled),
            ("CANCELLED+", Cancelled),
            ("REVOKED", Cancelled),
        ] {
            assert_eq!(state(words, "", ""), Some(State::Ended(end)), "{words}");
        }
        for word in ["RUNNING", "COMPLETING", "SUSPENDED", "STOPPED", "SIGNALING", "STAGE_OUT", "RESIZING"] {
            assert_eq!(state(word, "n1", "None"), Some(running("n1")), "{word}");
        }
        for word in
            ["PENDING", "CONFIGURING", "POWER_UP_NODE", "REQUEUED", "REQUEUE_HOLD", "SPECIAL_EXIT", "RESV_DEL_HOLD"]
        {
            assert_eq!(state(word, "", "None"), Some(State::Waiting(String::new())), "{word}");
        }
        assert_eq!(state("SOMETHING_NEW", "", ""), None);
    }

    #[test]
    fn what_is_not_an_answer_is_left_out() {
        for text in
            ["", "|", "||||", "a|b|c|d|e", "21|99999999999999999999|SOMETHING||", "CLUSTER: dev\n", "21|0|RUNNING"]
        {
            assert!(squeue(text).is_empty(), "{text}");
            assert!(sacct(text).is_empty(), "{text}");
            assert!(partitions(text).is_empty(), "{text}");
        }
        let array = &squeue("21|3|RUNNING|n1|a|b|c\n")["21"];
        assert_eq!(array.state(3), running("n1"));
    }
}
