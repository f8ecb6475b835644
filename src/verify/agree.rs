//! Compares recomputed outputs with recorded ones.

use super::numbers::Farthest;
use crate::engine::Again;
use base::record::{Output, Record};
use base::table::Table;
use base::work::{Command, Contract, Work};

/// The result of comparing recomputed outputs.
#[derive(Debug, Clone, PartialEq)]
pub enum Agreement {
    /// All bits are equal.
    Equal,
    /// The bits differ, as the contract of the stage allows between classes of machines, or as a command that is not
    /// deterministic declares, and all numbers are within their tolerances. The text describes the number with the largest
    /// deviation.
    Within(String),
    /// The bits differ where they must be equal, or numbers exceed their tolerances.
    Differs(Vec<String>),
    /// The bits differ, and the recorded numbers are not available.
    Unjudged(String),
}

/// Compares recomputed outputs with a record; `read` returns the bytes of a recorded output.
pub fn agreement(record: &Record, work: &Work, again: &Again, read: &dyn Fn(&Output) -> Option<Vec<u8>>) -> Agreement {
    let made = |name: &str| again.made.outputs.iter().find(|product| product.name == name);
    let [then, now] = [record.outputs.len(), again.made.outputs.len()];
    if then != now {
        return Agreement::Differs(vec![format!("it has {now} outputs, but {then} recorded")]);
    }
    let differs = |output: &&Output| made(&output.name).is_none_or(|product| product.object != output.object);
    let others: Vec<&Output> = record.outputs.iter().filter(differs).collect();
    if others.is_empty() {
        return Agreement::Equal;
    }
    if let Work::Command(command) = work {
        return of_command(command, (record, again), &others, read);
    }
    let same_class = again.machine == record.provenance.machine;
    if work.contract() == Contract::Everywhere || same_class {
        return Agreement::Differs(others.iter().map(|output| other_bytes(output)).collect());
    }
    let kind = work.kind_name();
    let (mut beyond, mut worst) = (Vec::new(), Farthest::default());
    for output in others {
        let Some(old) = read(output) else { return Agreement::Unjudged(format!("`{}` is not available", output.name)) };
        // Weights are not compared themselves, but by the numbers that were measured on them.
        let (Ok(old), Some(Ok(new))) =
            (Table::from_bytes(&old), made(&output.name).map(|made| Table::from_bytes(&made.bytes)))
        else {
            continue;
        };
        match Farthest::of_tables(&old, &new, &|column| kind.tolerance(column)) {
            Err(what) => beyond.push(format!("`{}`: {what}", output.name)),
            Ok(found) if found.is_beyond => beyond.push(found.words),
            Ok(found) => worst = worst.or(found),
        }
    }
    match (beyond.is_empty(), worst.words.is_empty()) {
        (true, false) => Agreement::Within(worst.words),
        (true, true) => Agreement::Within("the weights differ, but no number with a tolerance does".to_owned()),
        (false, _) => Agreement::Differs(beyond),
    }
}

fn other_bytes(output: &Output) -> String {
    format!("`{}` has different bytes", output.name)
}

/// Compares the outputs of a command that have other bytes now.
fn of_command(
    command: &Command,
    (record, again): (&Record, &Again),
    others: &[&Output],
    read: &dyn Fn(&Output) -> Option<Vec<u8>>,
) -> Agreement {
    let Some(tolerance) = command.tolerance else {
        let mut differs: Vec<_> = others.iter().map(|output| other_bytes(output)).collect();
        if again.machine != record.provenance.machine {
            differs.push(format!("it ran in `{}` then, and in `{}` now", record.provenance.machine, again.machine));
        }
        differs.push("if it cannot give the same bits twice, declare `deterministic = false` and a `tolerance`".into());
        return Agreement::Differs(differs);
    };
    let (mut beyond, mut worst, mut not_judged) = (Vec::new(), Farthest::default(), Vec::new());
    for output in others {
        let made = again.made.outputs.iter().find(|product| product.name == output.name);
        let declared = command.outputs().find(|(recorded, ..)| *recorded == output.name);
        let (Some(made), Some((.., out))) = (made, declared) else {
            return Agreement::Differs(vec![other_bytes(output)]);
        };
        let Some(old) = read(output) else { return Agreement::Unjudged(format!("`{}` is not available", output.name)) };
        match Farthest::of(out.format, &old, &made.bytes, tolerance) {
            None => not_judged.push(format!("`{}` has different bytes and no numbers: it is not judged", output.name)),
            Some(Err(what)) => beyond.push(format!("`{}`: {what}", output.name)),
            Some(Ok(found)) if found.is_beyond => beyond.push(format!("`{}`: {}", output.name, found.words)),
            Some(Ok(found)) => worst = worst.or(found),
        }
    }
    if !beyond.is_empty() {
        return Agreement::Differs(beyond);
    }
    let is_judged = command.out.values().any(|out| out.format.has_numbers());
    let words: Vec<_> = Some(worst.words).filter(|words| !words.is_empty()).into_iter().chain(not_judged).collect();
    let words = if words.is_empty() { "all numbers are equal".to_owned() } else { words.join("; ") };
    if is_judged { Agreement::Within(words) } else { Agreement::Unjudged(words) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stages::Outputs;
    use base::digest::ObjectDigest;
    use base::record::{KeyParts, Provenance};
    use base::table::{Column, Values};
    use base::work::{Dataset, METRICS, Model, ModelName, Out, OutputFormat, Predictions, Source, Terms, Tolerance};

    fn metrics(norm: f64) -> Vec<u8> {
        Table::of_rows(METRICS, &[[0.0, 0.1, 1.0, 20.0, 1.0, 20.0, norm]]).to_bytes().unwrap()
    }

    fn compare(old: f64, new: f64, machine: &str, work: &Work) -> Agreement {
        let table = metrics(old);
        let output = Output {
            name: "metrics".into(),
            object: ObjectDigest::of(&table),
            bytes: table.len() as u64,
            inline: Some(table),
        };
        let parts = KeyParts {
            kind: work.kind().into(),
            version: 1,
            parameters: Default::default(),
            inputs: Default::default(),
            policy: Default::default(),
        };
        let provenance = Provenance { machine: "a".into(), ..Provenance::default() };
        let record = Record { parts, outputs: vec![output], tensors: Vec::new(), provenance };
        let made = Outputs::new([("metrics", metrics(new))], 1.0);
        agreement(&record, work, &Again { made, machine: machine.into() }, &|output| output.inline.clone())
    }

    #[test]
    fn bits_within_a_class_and_tolerances_across_classes() {
        let model = Model::new(ModelName::PreactResnet18, 1, 10);
        let torch = &Work::Predictions(Predictions { model });
        let data = Dataset { source: Source::Shapes10, train: 1, test: 1, classes: None, seed: 0 };
        assert_eq!(compare(30.0, 30.0, "a", torch), Agreement::Equal);
        assert!(matches!(compare(30.0, 30.000_001, "a", torch), Agreement::Differs(_)), "the same class");
        assert!(matches!(compare(30.0, 30.000_001, "b", torch), Agreement::Within(_)), "another class");
        assert!(matches!(compare(30.0, 40.0, "b", torch), Agreement::Differs(_)), "too far off");
        assert!(matches!(compare(30.0, f64::NAN, "b", torch), Agreement::Differs(_)), "diverged");
        assert!(
            matches!(compare(30.0, 30.000_001, "b", &Work::Dataset(data)), Agreement::Differs(_)),
            "the same everywhere"
        );
    }

    /// Compares the outputs of a command with a table and a file; those in `recorded` and `made` by name and bytes.
    fn command(tolerance: Option<f64>, recorded: &[(&str, &[u8])], made: &[(&'static str, &[u8])]) -> Agreement {
        let out = |format| Out { format, columns: Vec::new() };
        let work = Work::Command(Command {
            run: vec!["x".into()],
            inputs: Vec::new(),
            code: Default::default(),
            lock: None,
            out: [("t".to_owned(), out(OutputFormat::Table)), ("f".to_owned(), out(OutputFormat::File))].into(),
            parameters: Default::default(),
            variables: Default::default(),
            image: None,
            collected: Default::default(),
            after: None,
            tolerance: tolerance.map(|relative| Tolerance { absolute: 0.0, relative }),
            terms: Terms::default(),
        });
        let output = |(name, bytes): &(&str, &[u8])| Output {
            name: (*name).into(),
            object: ObjectDigest::of(bytes),
            bytes: bytes.len() as u64,
            inline: Some(bytes.to_vec()),
        };
        let (kind, parameters) = ("command".into(), work.parameters().unwrap());
        let parts = KeyParts { kind, version: 1, parameters, inputs: Default::default(), policy: Default::default() };
        let outputs = recorded.iter().map(output).collect();
        let record = Record { parts, outputs, tensors: Vec::new(), provenance: Provenance::default() };
        let made = Outputs::new(made.iter().map(|(name, bytes)| (*name, bytes.to_vec())), 1.0);
        agreement(&record, &work, &Again { made, machine: String::new() }, &|output| output.inline.clone())
    }

    #[test]
    fn commands_are_compared_as_they_declare() {
        let table = |value: f64| Table::of_rows(["x"], &[[value]]).to_bytes().unwrap();
        let (one, near, far) = (table(1.0), table(1.001), table(2.0));
        let whole = Table::new(vec![Column { name: "x".into(), values: Values::Int(vec![1]) }]).unwrap();
        let whole = whole.to_bytes().unwrap();
        let of = |tolerance, now: &[u8], file: &[u8]| {
            command(tolerance, &[("f.bin", b"a"), ("t", &one)], &[("f.bin", file), ("t", now)])
        };
        assert_eq!(of(None, &one, b"a"), Agreement::Equal);
        assert!(matches!(of(None, &near, b"a"), Agreement::Differs(said) if said[1].contains("deterministic = false")));
        assert!(
            matches!(of(Some(0.01), &near, b"a"), Agreement::Within(said) if said == "x in row 0: 1 recorded, 1.001 now")
        );
        assert!(matches!(of(Some(0.01), &near, b"b"), Agreement::Within(said) if said.ends_with("it is not judged")));
        assert!(matches!(of(Some(0.01), &far, b"b"), Agreement::Differs(_)));
        assert_eq!(of(Some(0.01), &whole, b"a"), Agreement::Within("all numbers are equal".into()));
        // A record cannot hide an output.
        let fewer = command(Some(0.01), &[("f.bin", b"a")], &[("f.bin", b"a"), ("t", &one)]);
        assert_eq!(fewer, Agreement::Differs(vec!["it has 2 outputs, but 1 recorded".into()]));
    }
}
