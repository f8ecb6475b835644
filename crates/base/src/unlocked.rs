//! Results of programs that ran in whatever a machine had: neither a lock file nor an image names what they used.

use std::collections::BTreeSet;

use crate::record::KeyParts;

/// Maximum number of stages that are named.
const NAMED: usize = 5;

/// Whether the parts of a key are those of a command that ran with the programs of the machine.
pub fn is_unlocked(parts: &KeyParts) -> bool {
    parts.kind == "command" && !["lock", "image"].iter().any(|name| parts.parameters.contains_key(*name))
}

/// Describes the commands among some stages that ran with the programs of the machine. The instances of a stage are
/// named once. Returns `None` if there are none.
pub fn host_programs<'a>(stages: impl IntoIterator<Item = (&'a str, &'a KeyParts)>) -> Option<String> {
    let unlocked = stages.into_iter().filter(|(_, parts)| is_unlocked(parts)).map(|(name, _)| name);
    let (mut count, mut names) = (0, BTreeSet::new());
    for name in unlocked {
        count += 1;
        names.insert(name.split(['[', '@']).next().unwrap_or(name));
    }
    let more = names.len().saturating_sub(NAMED);
    let mut shown: Vec<String> = names.into_iter().take(NAMED).map(str::to_owned).collect();
    if more > 0 {
        shown.push(format!("{more} more"));
    }
    let stages = if count == 1 { "stage" } else { "stages" };
    (count > 0).then(|| format!("{count} {stages} ran programs of the host, which nothing locks: {}", shown.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::{Map, Value};

    fn parts(kind: &str, fields: &[&str]) -> KeyParts {
        let parameters = fields.iter().map(|name| ((*name).to_owned(), Value::Map(Map::new()))).collect();
        KeyParts { kind: kind.to_owned(), version: 1, parameters, inputs: [].into(), policy: Map::new() }
    }

    #[test]
    fn only_commands_of_the_host_are_named_each_once() {
        let (host, locked, image) = (parts("command", &[]), parts("command", &["lock"]), parts("command", &["image"]));
        let other = parts("valley", &[]);
        let all = [("a/x", &locked), ("a/y[i=1]", &image), ("a/v", &other)];
        assert_eq!(host_programs(all), None);
        let some = [("a/z[i=1]@5", &host), ("a/x", &locked), ("a/z[i=2]@5", &host), ("a/b@3", &host)];
        let wanted = "3 stages ran programs of the host, which nothing locks: a/b, a/z";
        assert_eq!(host_programs(some).as_deref(), Some(wanted));
        let names: Vec<String> = (1..=7).map(|number| format!("s{number}")).collect();
        let many = host_programs(names.iter().map(|name| (name.as_str(), &host))).unwrap();
        assert!(many.ends_with("s4, s5, 2 more"), "{many}");
    }
}
