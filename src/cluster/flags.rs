//! Checks the options of `sbatch` that a site adds, and quotes words for a shell.

/// Options that wdpipe sets itself, and options that change how `sbatch` answers or what it runs.
const OWN: [&str; 21] = [
    "array",
    "chdir",
    "clusters",
    "dependency",
    "error",
    "help",
    "hold",
    "input",
    "job-name",
    "no-requeue",
    "open-mode",
    "output",
    "parsable",
    "quiet",
    "requeue",
    "signal",
    "test-only",
    "usage",
    "version",
    "wait",
    "wrap",
];
/// Options that have their own key in `[slurm]`, with this key.
const KEYED: [(&str, &str); 7] = [
    ("account", "account"),
    ("cpus-per-task", "cpus"),
    ("gpus", "gpus"),
    ("mem", "memory"),
    ("partition", "partition"),
    ("qos", "qos"),
    ("time", "time"),
];

/// Checks an option that a site adds.
///
/// # Errors
/// If the text is not an option, or is one that wdpipe sets itself. `sbatch` also accepts abbreviated names, so these
/// are refused too.
pub fn check(flag: &str) -> Result<(), String> {
    let name = flag.strip_prefix("--").map(|rest| rest.split_once('=').map_or(rest, |(name, _)| name));
    let is_name = |name: &&str| {
        name.starts_with(|c: char| c.is_ascii_lowercase())
            && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
    };
    let Some(name) = name.filter(is_name) else {
        return Err(format!("write options of sbatch as --name or --name=value, not `{flag}`"));
    };
    if let Some((_, key)) = KEYED.iter().find(|(option, _)| option.starts_with(name)) {
        return Err(format!("write `{key} = …` instead of `--{name}`"));
    }
    match OWN.iter().find(|option| option.starts_with(name)) {
        Some(option) => Err(format!("wdpipe sets `--{option}` itself")),
        None => Ok(()),
    }
}

/// Quotes a word for a shell, if it needs quotes.
pub fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,+@%".contains(c);
    match !word.is_empty() && word.chars().all(is_plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_that_wdpipe_sets_are_refused_however_short() {
        for fine in [
            "--constraint=a100",
            "--exclusive",
            "--gres=gpu:h200:1",
            "--gpus-per-node=1",
            "--mem-per-cpu=4G",
            "--nodelist=n1",
            "--time-min=9",
        ] {
            assert_eq!(check(fine), Ok(()), "{fine}");
        }
        for wrong in [
            "--array=0",
            "--arr=0",
            "--mem=4G",
            "--gpus=1",
            "--o=x",
            "--wait",
            "-p",
            "x",
            "",
            "--",
            "--A b",
            "--constraint a",
            "--x\n",
        ] {
            assert!(check(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn words_are_quoted_for_a_shell() {
        for (word, wanted) in
            [("a/b-c=1", "a/b-c=1"), ("", "''"), ("a b", "'a b'"), ("$x", "'$x'"), ("it's", r"'it'\''s'"), ("~", "'~'")]
        {
            assert_eq!(quoted(word), wanted);
        }
    }
}
