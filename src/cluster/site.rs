//! Settings for running workers at a site: the file `cluster.toml`, and changes from the command line.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::flags;
use crate::project::Failure;
use crate::spec::{Data, Diagnostic, Node, did_you_mean, parse_file};

/// Maximum number of bytes of a site file.
const LIMIT: u64 = 1 << 20;
/// Maximum number of workers at a time, and of processors of a worker.
const MOST: i64 = 100_000;
/// Keys of the table `[slurm]`.
const KEYS: [&str; 12] = [
    "partition",
    "account",
    "qos",
    "gpus",
    "cpus",
    "memory",
    "time",
    "workers",
    "prelude",
    "prefix",
    "flags",
    "scratch",
];

/// Settings of Slurm jobs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SlurmSite {
    /// Partition, or several partitions separated by commas.
    pub partition: Option<String>,
    /// Account that is charged.
    pub account: Option<String>,
    /// Quality of service.
    pub qos: Option<String>,
    /// GPUs of a worker, in the format of `--gpus`: `1` or `h200:1`.
    pub gpus: Option<String>,
    /// Processors of a worker.
    pub cpus: Option<u32>,
    /// Memory of a worker, in the format of `--mem`: `32G`.
    pub memory: Option<String>,
    /// Time limit of a worker, such as `4h` or `90min`.
    pub time: Option<String>,
    /// Largest number of workers at a time.
    pub workers: Option<u32>,
    /// Shell commands at the beginning of every job, such as `module load cuda`.
    pub prelude: Vec<String>,
    /// Words before the program, such as `["apptainer", "exec", "--nv", "wdpipe.sif"]`.
    pub prefix: Vec<String>,
    /// Further options of `sbatch`.
    pub flags: Vec<String>,
    /// Folder on a node's own disk for files that only the worker needs. `$NAME` stands for a variable of the job.
    pub scratch: Option<String>,
    /// Absolute path of the folder in which jobs start: the folder of the site file, if there is one.
    pub folder: Option<PathBuf>,
}

impl SlurmSite {
    /// Reads the table `[slurm]` of a site file, and applies the `KEY=VALUE` changes from the command line. A missing
    /// file counts as empty.
    ///
    /// # Errors
    /// If the file cannot be read, or a setting is wrong. The error lists all wrong settings with their lines.
    pub fn load(path: &Path, changes: &[String]) -> Result<Self, Failure> {
        let mut complaints = Vec::new();
        let mut folder = None;
        let mut fields = BTreeMap::new();
        match files::read_text(path, LIMIT) {
            Ok(text) => {
                folder = files::canonical(path)?.parent().map(Path::to_owned);
                fields = table(&path.display().to_string(), &text, &mut complaints);
            }
            Err(error) if error.is_missing() => {}
            Err(error) => return Err(error.into()),
        }
        for change in changes {
            fields.extend(changed(change, &mut complaints));
        }
        let mut reader = Reader { fields, complaints };
        let site = Self {
            partition: reader.word("partition"),
            account: reader.word("account"),
            qos: reader.word("qos"),
            gpus: reader.checked("gpus", "a number or TYPE:NUMBER, such as 1 or h200:1", is_gpus),
            cpus: reader.number("cpus"),
            memory: reader.checked("memory", "a number and K, M, G or T, such as \"32G\"", is_memory),
            time: reader
                .checked("time", "a time, such as \"4h\", \"90min\" or \"1-12:00:00\"", |text| seconds(text).is_some()),
            workers: reader.number("workers"),
            prelude: reader.lines("prelude"),
            prefix: reader.lines("prefix"),
            flags: reader.flags(),
            scratch: reader.checked("scratch", "an absolute path, or a path that begins with $NAME", is_scratch),
            folder,
        };
        match reader.finish() {
            complaints if complaints.is_empty() => Ok(site),
            complaints => Err(complaints.into()),
        }
    }

    /// Returns the time limit of a worker in seconds.
    pub fn seconds(&self) -> Option<u64> {
        self.time.as_deref().and_then(seconds)
    }

    /// Returns the settings that run as code on nodes, one per line, in the form in which the user is asked to allow
    /// them.
    pub fn code(&self) -> Vec<String> {
        let prelude = self.prelude.iter().map(|line| format!("prelude: {line}"));
        let prefix = Some(&self.prefix).filter(|words| !words.is_empty());
        let prefix = prefix.map(|words| {
            format!("prefix: {}", words.iter().map(|word| flags::quoted(word)).collect::<Vec<_>>().join(" "))
        });
        let flags = self.flags.iter().map(|flag| format!("sbatch flag: {}", flags::quoted(flag)));
        prelude.chain(prefix).chain(flags).collect()
    }
}

/// Reads the table `[slurm]` of a file.
fn table(name: &str, text: &str, complaints: &mut Vec<Diagnostic>) -> BTreeMap<String, Node> {
    let file = match parse_file(name, text) {
        Ok(file) => file,
        Err(complaint) => {
            complaints.push(complaint);
            return BTreeMap::new();
        }
    };
    let mut fields = BTreeMap::new();
    let Data::Table(tables) = file.data else { return fields };
    for (name, node) in tables {
        match node.data {
            Data::Table(inner) if name == "slurm" => fields = inner,
            _ if KEYS.contains(&name.as_str()) => {
                complaints.push(node.complain(format!("`{name}` belongs below a line `[slurm]`")));
            }
            _ => complaints.push(node.complain(format!("there is only the table `[slurm]` here, no `{name}`"))),
        }
    }
    fields
}

/// Reads `KEY=VALUE` from the command line. A value that is not valid TOML is read as text, so that users can omit
/// quotes.
fn changed(change: &str, complaints: &mut Vec<Diagnostic>) -> BTreeMap<String, Node> {
    let name = "--slurm";
    let quoted = change.split_once('=').map(|(key, value)| format!("{key}={}", toml::Value::from(value)));
    let is_bare =
        change.split_once('=').is_some_and(|(_, value)| !value.trim_start().starts_with(['[', '"', '\'', '{']));
    let read = match (parse_file(name, change), quoted) {
        (Err(_), Some(quoted)) if is_bare => parse_file(name, &quoted),
        (read, _) => read,
    };
    match read {
        Ok(Node { data: Data::Table(fields), .. }) if !fields.is_empty() => return fields,
        Ok(node) => complaints.push(node.complain("write KEY=VALUE, such as partition=gpu")),
        Err(complaint) => complaints.push(complaint),
    }
    BTreeMap::new()
}

/// Reads and removes fields one by one. Fields that remain at the end are unknown.
struct Reader {
    fields: BTreeMap<String, Node>,
    complaints: Vec<Diagnostic>,
}

impl Reader {
    fn checked(&mut self, key: &str, wanted: &str, is_fine: impl Fn(&str) -> bool) -> Option<String> {
        let node = self.fields.remove(key)?;
        let text = match &node.data {
            Data::Text(text) => Some(text.clone()),
            Data::Int(number) => Some(number.to_string()),
            _ => None,
        };
        let fine = text.filter(|text| is_fine(text) && is_printable(text));
        if fine.is_none() {
            self.complaints.push(node.complain(format!("`{key}` must be {wanted}, not {}", node.describe())));
        }
        fine
    }

    fn word(&mut self, key: &str) -> Option<String> {
        self.checked(key, "a name", |text| !text.is_empty() && !text.contains(char::is_whitespace))
    }

    fn number(&mut self, key: &str) -> Option<u32> {
        let node = self.fields.remove(key)?;
        match node.data {
            Data::Int(number @ 1..=MOST) => u32::try_from(number).ok(),
            _ => {
                let found = node.describe();
                self.complaints
                    .push(node.complain(format!("`{key}` must be an integer from 1 to {MOST}, not {found}")));
                None
            }
        }
    }

    /// Reads a list of texts. A single text is split into its lines.
    fn lines(&mut self, key: &str) -> Vec<String> {
        self.items(key).into_iter().map(|(text, _)| text).collect()
    }

    fn items(&mut self, key: &str) -> Vec<(String, Node)> {
        let Some(node) = self.fields.remove(key) else { return Vec::new() };
        let nodes = match node.data {
            Data::List(nodes) => nodes,
            _ => vec![node],
        };
        let mut items = Vec::new();
        for node in nodes {
            match &node.data {
                Data::Text(text) if text.lines().all(is_printable) => {
                    items.extend(text.lines().map(|line| (line.to_owned(), node.clone())));
                }
                _ => {
                    let found = node.describe();
                    let message = format!("`{key}` must be a list of texts without control characters, not {found}");
                    self.complaints.push(node.complain(message));
                }
            }
        }
        items
    }

    fn flags(&mut self) -> Vec<String> {
        let mut fine = Vec::new();
        for (flag, node) in self.items("flags") {
            match flags::check(&flag) {
                Ok(()) => fine.push(flag),
                Err(reason) => self.complaints.push(node.complain(reason)),
            }
        }
        fine
    }

    fn finish(self) -> Vec<Diagnostic> {
        let mut complaints = self.complaints;
        for (name, node) in self.fields {
            let hint = did_you_mean(&name, KEYS);
            let known = if hint.is_empty() { format!("; known: {}", KEYS.join(", ")) } else { hint };
            complaints.push(node.complain(format!("`[slurm]` has no `{name}`{known}")));
        }
        complaints
    }
}

/// Checks whether a text contains no control characters except tabs.
fn is_printable(text: &str) -> bool {
    !text.contains(|c: char| c.is_control() && c != '\t')
}

fn is_gpus(text: &str) -> bool {
    let one = |part: &str| {
        let (kind, number) = part.rsplit_once(':').unwrap_or(("gpu", part));
        let is_kind = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        !kind.is_empty() && kind.chars().all(is_kind) && number.parse::<u32>().is_ok_and(|number| number > 0)
    };
    text.split(',').all(one)
}

fn is_memory(text: &str) -> bool {
    let number = text.strip_suffix(['K', 'M', 'G', 'T']).unwrap_or(text);
    number.parse::<u64>().is_ok_and(|number| number > 0)
}

fn is_scratch(text: &str) -> bool {
    text.starts_with('/') || text.starts_with('$') && text.len() > 1
}

/// Parses a time and returns it in seconds: `90s`, `20min`, `4h`, `2d`, or Slurm's `MM:SS`, `HH:MM:SS`, `D-HH`,
/// `D-HH:MM` or `D-HH:MM:SS`. A bare number is refused: Slurm reads it as minutes, other programs as seconds.
pub fn seconds(text: &str) -> Option<u64> {
    let number = |text: &str| text.parse::<u64>().ok().filter(|number| *number < 1 << 32);
    let numbers = |text: &str| text.split(':').map(number).collect::<Option<Vec<_>>>();
    let (days, clock) = match text.split_once('-') {
        Some((days, clock)) => (Some(number(days)?), clock),
        None => (None, text),
    };
    let seconds = match (days, clock.contains(':')) {
        (None, false) => {
            let (number, unit) = text.split_at(text.find(|c: char| c.is_ascii_alphabetic())?);
            let factor = match unit {
                "s" => 1.0,
                "min" | "m" => 60.0,
                "h" => 3600.0,
                "d" => 86_400.0,
                _ => return None,
            };
            let seconds = number.parse::<f64>().ok()? * factor;
            // A time below a second or above a century is a mistake.
            return (1.0..4e9).contains(&seconds).then_some(seconds as u64);
        }
        (None, true) => match numbers(clock)?[..] {
            [minutes, seconds] => minutes * 60 + seconds,
            [hours, minutes, seconds] => hours * 3600 + minutes * 60 + seconds,
            _ => return None,
        },
        (Some(days), _) => match numbers(clock)?[..] {
            [hours] => days * 86_400 + hours * 3600,
            [hours, minutes] => days * 86_400 + hours * 3600 + minutes * 60,
            [hours, minutes, seconds] => days * 86_400 + hours * 3600 + minutes * 60 + seconds,
            _ => return None,
        },
    };
    Some(seconds).filter(|seconds| *seconds > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str, changes: &[&str]) -> Result<SlurmSite, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cluster.toml");
        files::replace(&path, text.as_bytes()).unwrap();
        let changes: Vec<_> = changes.iter().map(|change| (*change).to_owned()).collect();
        let replace = |failure: Failure| failure.message.replace(&*path.to_string_lossy(), "cluster.toml");
        SlurmSite::load(&path, &changes).map_err(replace)
    }

    #[test]
    fn the_command_line_replaces_settings_of_the_file() {
        let text = "[slurm]\npartition = \"gpu\"\ngpus = \"h200:1\"\ncpus = 8\nmemory = \"32G\"\ntime = \"4h\"\n\
                    workers = 16\nprelude = [\"module load cuda\", \"ulimit -c 0\"]\n\
                    prefix = [\"apptainer\", \"exec\", \"--nv\", \"wd pipe.sif\"]\n\
                    flags = [\"--constraint=a100|h200\", \"--exclusive\"]\nscratch = \"$SLURM_TMPDIR/wdpipe\"\n";
        let site = load(text, &["partition=long", "time=1-00:00:00", "gpus=1", "workers = 4"]).unwrap();
        assert_eq!(site.partition.as_deref(), Some("long"));
        assert_eq!((site.seconds(), site.workers, site.cpus), (Some(86_400), Some(4), Some(8)));
        assert_eq!(site.gpus.as_deref(), Some("1"));
        assert!(site.folder.is_some_and(|folder| folder.is_absolute()));
        let site = load(text, &["prelude=[]", "prefix=[]"]).unwrap();
        assert_eq!(site.code(), ["sbatch flag: '--constraint=a100|h200'", "sbatch flag: --exclusive"]);
        assert_eq!(SlurmSite::load(Path::new("/no/such/cluster.toml"), &[]).unwrap(), SlurmSite::default());
        let several = load("[slurm]\nprelude = '''\nmodule load a\nmodule load b'''\n", &[]).unwrap();
        assert_eq!(several.prelude, ["module load a", "module load b"]);
    }

    #[test]
    fn mistakes_are_shown_with_their_lines() {
        for (text, changes, wanted) in [
            (
                "[slurm]\npartitoin = \"gpu\"\n",
                &[][..],
                "cluster.toml:2: `[slurm]` has no `partitoin`; did you mean `partition`?",
            ),
            ("partition = \"gpu\"\n", &[], "cluster.toml:1: `partition` belongs below a line `[slurm]`"),
            ("[slrum]\n", &[], "cluster.toml:1: there is only the table `[slurm]` here, no `slrum`"),
            ("[slurm]\ntime = \"four\"\n", &[], "`time` must be a time, such as"),
            ("[slurm]\ntime = 60\n", &[], "not 60"),
            ("[slurm]\nworkers = 0\n", &[], "`workers` must be an integer from 1 to 100000, not 0"),
            ("[slurm]\nmemory = \"32 gigs\"\n", &[], "`memory` must be"),
            ("[slurm]\nscratch = \"tmp\"\n", &[], "`scratch` must be an absolute path"),
            ("[slurm]\nflags = [\"--array=0-9\"]\n", &[], "wdpipe sets `--array` itself"),
            ("[slurm]\nflags = [\"--time=9\"]\n", &[], "write `time = …` instead of `--time`"),
            ("[slurm]\nprelude = [\"a\\u001b[2J\"]\n", &[], "without control characters"),
            ("[slurm\n", &[], "this is not TOML"),
            (
                "",
                &["gpus=many"],
                "--slurm:1: `gpus` must be a number or TYPE:NUMBER, such as 1 or h200:1, not \"many\"",
            ),
            ("", &["time"], "--slurm:1: this is not TOML"),
            ("", &["memroy=3G"], "did you mean `memory`?"),
            ("", &[""], "write KEY=VALUE"),
            ("", &["prelude=[\"a\""], "this is not TOML"),
        ] {
            let message = load(text, changes).unwrap_err();
            assert!(message.contains(wanted), "{message}");
        }
        let message = load("[slurm]\n  tiem = \"4h\" # mine\n", &[]).unwrap_err();
        assert!(message.ends_with("2 |   tiem = \"4h\" # mine\n  |   ^^^^"), "{message}");
    }

    #[test]
    fn times_are_read_in_our_form_and_in_that_of_slurm() {
        for (text, wanted) in [
            ("90s", 90),
            ("20min", 1200),
            ("2h", 7200),
            ("1.5h", 5400),
            ("2d", 172_800),
            ("90:30", 5430),
            ("4:00:00", 14_400),
            ("1-0", 86_400),
            ("1-12:30", 131_400),
            ("7-00:00:01", 604_801),
        ] {
            assert_eq!(seconds(text), Some(wanted), "{text}");
        }
        for text in ["", "90", "h", "-1h", "4 weeks", "1:2:3:4", "x-1", "0s", "0:00", "infh", "nan", "99999999999-00"] {
            assert_eq!(seconds(text), None, "{text}");
        }
    }
}
