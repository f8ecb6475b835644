//! Compares recomputed outputs with recorded ones.

use crate::engine::Again;
use base::record::{Output, Record};
use base::table::{Table, Values};
use base::work::{Contract, KindName, Work};

/// The result of comparing recomputed outputs.
#[derive(Debug, Clone, PartialEq)]
pub enum Agreement {
    /// All bits are equal.
    Equal,
    /// The bits differ, as the stage's contract allows between classes of machines, and all numbers are within their
    /// tolerances. The text describes the number with the largest deviation.
    Within(String),
    /// The bits differ where they must be equal, or numbers exceed their tolerances.
    Differs(Vec<String>),
    /// The bits differ, and the recorded numbers are not available.
    Unjudged(String),
}

/// Compares recomputed outputs with a record; `read` returns the bytes of a recorded output.
pub fn agreement(record: &Record, work: &Work, again: &Again, read: &dyn Fn(&Output) -> Option<Vec<u8>>) -> Agreement {
    let made = |name: &str| again.made.outputs.iter().find(|product| product.name == name);
    let differs = |output: &&Output| made(&output.name).is_none_or(|product| product.object != output.object);
    let others: Vec<&Output> = record.outputs.iter().filter(differs).collect();
    if others.is_empty() && record.outputs.len() == again.made.outputs.len() {
        return Agreement::Equal;
    }
    let names = || others.iter().map(|output| format!("`{}` has different bytes", output.name)).collect();
    let same_class = again.machine == record.provenance.machine;
    if work.contract() == Contract::Everywhere || same_class || others.is_empty() {
        return Agreement::Differs(names());
    }
    let kind = work.kind_name();
    let (mut beyond, mut worst) =
        (Vec::new(), (0.0, String::from("the weights differ, but no number with a tolerance does")));
    for output in others {
        let Some(old) = read(output) else { return Agreement::Unjudged(format!("`{}` is not available", output.name)) };
        // Weights are not compared themselves, but by the numbers that were measured on them.
        let (Ok(old), Some(Ok(new))) =
            (Table::from_bytes(&old), made(&output.name).map(|made| Table::from_bytes(&made.bytes)))
        else {
            continue;
        };
        match farthest(kind, &old, &new) {
            Err(what) => beyond.push(format!("`{}`: {what}", output.name)),
            Ok(found) => {
                if let Some((column, row, a, b)) = found {
                    let off = (a - b).abs() / a.abs().max(b.abs());
                    let text = format!("{column} in row {row}: {a} recorded, {b} now");
                    if kind.tolerance(&column).is_some_and(|tolerance| !tolerance.holds(a, b)) {
                        beyond.push(text);
                    } else if off > worst.0 {
                        worst = (off, text);
                    }
                }
            }
        }
    }
    if beyond.is_empty() { Agreement::Within(worst.1) } else { Agreement::Differs(beyond) }
}

/// A number of a table: column, row, value recorded, value now.
type Number = (String, usize, f64, f64);

/// Returns the number with the largest relative deviation; numbers beyond their tolerance come first. `None` if all are
/// equal.
fn farthest(kind: KindName, old: &Table, new: &Table) -> Result<Option<Number>, String> {
    let names = |table: &Table| table.columns().iter().map(|column| column.name.clone()).collect::<Vec<_>>();
    if names(old) != names(new) || old.rows() != new.rows() {
        return Err(format!("{} rows recorded, {} now, or the columns differ", old.rows(), new.rows()));
    }
    let mut found: Option<(bool, f64, Number)> = None;
    for (a, b) in old.columns().iter().zip(new.columns()) {
        if let (Values::Text(a_texts), Values::Text(b_texts)) = (&a.values, &b.values) {
            if a_texts != b_texts {
                return Err(format!("the texts of `{}` differ", a.name));
            }
            continue;
        }
        let (Some(olds), Some(news)) = (old.numbers(&a.name), new.numbers(&b.name)) else {
            return Err(format!("the types of `{}` differ", a.name));
        };
        let Some(tolerance) = kind.tolerance(&a.name) else { continue };
        for (row, (a_value, b_value)) in olds.into_iter().zip(news).enumerate() {
            if a_value.to_bits() == b_value.to_bits() {
                continue;
            }
            let beyond = !tolerance.holds(a_value, b_value);
            let off = (a_value - b_value).abs() / a_value.abs().max(b_value.abs());
            if found.as_ref().is_none_or(|(was, share, _)| (beyond, off) > (*was, *share)) {
                found = Some((beyond, off, (a.name.clone(), row, a_value, b_value)));
            }
        }
    }
    Ok(found.map(|(_, _, found)| found))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stages::Outputs;
    use base::digest::ObjectDigest;
    use base::record::{KeyParts, Provenance};
    use base::work::{Dataset, METRICS, Model, ModelName, Predictions, Source};

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
}
