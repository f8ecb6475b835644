//! Checks the names in a command that comes from a record, because anybody can write a record.

use std::path::{Component, Path};

use super::Command;
use crate::name::is_plain;

impl Command {
    /// Checks that all names stay inside the folders that they belong to: declared files in the project's folder, inputs
    /// in `in`, and outputs in `out`.
    ///
    /// # Errors
    /// If one does not. The message names it.
    pub fn check_names(&self) -> Result<(), String> {
        let is_inside = |path: &str| {
            let is_plain = |part| matches!(part, Component::Normal(_));
            !path.is_empty() && Path::new(path).components().all(is_plain)
        };
        let mut files = self.code.keys().chain(self.lock.iter().map(|lock| &lock.path));
        let wrong = files.find(|path| !is_inside(path));
        let wrong = wrong.or_else(|| self.inputs.iter().find(|name| !name.split('/').all(is_plain)));
        let wrong = wrong.or_else(|| self.out.keys().find(|name| !is_plain(name)));
        wrong.map_or(Ok(()), |name| Err(format!("`{name}` is not a name inside the command's folder")))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{LockFile, Out, OutputFormat, Terms};
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        let command = |[code, lock, input, out]: [&str; 4]| Command {
            run: vec!["sh".into()],
            inputs: vec![input.into()],
            code: [(code.into(), String::new())].into(),
            lock: Some(LockFile { path: lock.into(), hash: String::new() }),
            out: [(out.into(), Out { format: OutputFormat::File, columns: Vec::new() })].into(),
            parameters: BTreeMap::new(),
            variables: BTreeMap::new(),
            after: None,
            image: None,
            collected: BTreeMap::new(),
            tolerance: None,
            terms: Terms::default(),
        };
        assert_eq!(command(["a/b c.py", "uv.lock", "data/train.safetensors", "x"]).check_names(), Ok(()));
        for names in [
            ["/etc/passwd", "l", "i", "o"],
            ["../x", "l", "i", "o"],
            ["", "l", "i", "o"],
            ["c", "../l", "i", "o"],
            ["c", "l", "../../i", "o"],
            ["c", "l", "/i", "o"],
            ["c", "l", "i", "../o"],
            ["c", "l", "i", "a/o"],
        ] {
            let said = command(names).check_names().unwrap_err();
            assert!(said.contains("is not a name inside"), "{said}");
        }
    }
}
