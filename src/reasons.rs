//! Words for the reasons why a stage runs and for the differences between two keys. No other module has these words.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::plan::{MissReason, Refusal};
use base::changes::{Change, How, Part};

impl fmt::Display for MissReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::New => f.write_str("never run here"),
            Self::Changed(changes) => f.write_str(&listed(changes)),
            Self::Waits(stage) => write!(f, "waits for {stage}"),
            Self::NotHere => f.write_str("not imported here yet"),
            Self::Dropped(output) => write!(f, "the bytes of `{output}` are needed and not in this cache"),
            Self::Damaged(output) => write!(f, "the bytes of `{output}` were damaged and are needed"),
            Self::Refused(refusal) => write!(f, "its result here is not used: {refusal}"),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsigned => f.write_str("no trusted key signed it"),
            Self::Sandbox { ran, wanted } => {
                write!(f, "it was made with sandbox level {ran}, and trust.toml asks for {wanted}")
            }
        }
    }
}

/// A reason as `--json` writes it, with each change as a text.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Written<'a> {
    New,
    Changed(Vec<String>),
    Waits(&'a str),
    NotHere,
    Dropped(&'a str),
    Damaged(&'a str),
    Refused(String),
}

impl Serialize for MissReason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let written = match self {
            Self::New => Written::New,
            Self::Changed(changes) => Written::Changed(changes.iter().map(change).collect()),
            Self::Waits(stage) => Written::Waits(stage),
            Self::NotHere => Written::NotHere,
            Self::Dropped(output) => Written::Dropped(output),
            Self::Damaged(output) => Written::Damaged(output),
            Self::Refused(refusal) => Written::Refused(refusal.to_string()),
        };
        written.serialize(serializer)
    }
}

/// The number of inputs that a reason names. A figure can have hundreds.
const INPUTS: usize = 3;

/// Returns changes in words, in one line: all parameters, but only the first inputs.
fn listed(changes: &[Change]) -> String {
    let (inputs, other): (Vec<_>, Vec<_>) = changes.iter().partition(|change| matches!(change.part, Part::Input(_)));
    let mut words: Vec<String> = other.into_iter().chain(inputs.iter().copied().take(INPUTS)).map(change).collect();
    match inputs.len().saturating_sub(INPUTS) {
        0 => {}
        1 => words.push("one more input differs".to_owned()),
        more => words.push(format!("{more} more inputs differ")),
    }
    words.join("; ")
}

/// Returns a change in words: `lr: 0.1 → 0.2`.
pub fn change(Change { part, how }: &Change) -> String {
    let part = match part {
        Part::Kind => "kind".to_owned(),
        Part::Version(kind) => format!("version of {kind}"),
        Part::Parameter(path) => path.clone(),
        Part::Policy(name) => format!("policy.{name}"),
        Part::Input(role) => format!("input {role}"),
    };
    match how {
        How::To(old, new) => format!("{part}: {old} → {new}"),
        How::New(Some(new)) => format!("{part}: {new} is new"),
        How::New(None) => format!("{part} is new"),
        How::Gone => format!("{part} is gone"),
        How::Changed => format!("{part} changed"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::isolation::Isolation;

    fn to(old: &str, new: &str) -> How {
        How::To(old.into(), new.into())
    }

    fn lr(how: How) -> Change {
        Change { part: Part::Parameter("lr".into()), how }
    }

    #[test]
    fn every_reason_has_its_words_and_its_json() {
        let changed = vec![lr(to("0.1", "0.2")), Change { part: Part::Input("ema".into()), how: How::Gone }];
        for (reason, words, json) in [
            (MissReason::New, "never run here", r#""new""#),
            (
                MissReason::Changed(changed),
                "lr: 0.1 → 0.2; input ema is gone",
                r#"{"changed":["lr: 0.1 → 0.2","input ema is gone"]}"#,
            ),
            (MissReason::Waits("fig3/trunk@1".into()), "waits for fig3/trunk@1", r#"{"waits":"fig3/trunk@1"}"#),
            (MissReason::NotHere, "not imported here yet", r#""not_here""#),
            (
                MissReason::Dropped("weights".into()),
                "the bytes of `weights` are needed and not in this cache",
                r#"{"dropped":"weights"}"#,
            ),
            (
                MissReason::Damaged("weights".into()),
                "the bytes of `weights` were damaged and are needed",
                r#"{"damaged":"weights"}"#,
            ),
            (
                MissReason::Refused(Refusal::Unsigned),
                "its result here is not used: no trusted key signed it",
                r#"{"refused":"no trusted key signed it"}"#,
            ),
            (
                MissReason::Refused(Refusal::Sandbox { ran: Isolation::None, wanted: Isolation::Landlock }),
                "its result here is not used: it was made with sandbox level none, and trust.toml asks for landlock",
                r#"{"refused":"it was made with sandbox level none, and trust.toml asks for landlock"}"#,
            ),
        ] {
            assert_eq!(reason.to_string(), words);
            assert_eq!(serde_json::to_string(&reason).unwrap(), json);
        }
    }

    #[test]
    fn of_many_inputs_a_reason_names_the_first() {
        let input = |role: usize| Change { part: Part::Input(format!("run {role}")), how: How::New(None) };
        let words = |inputs: usize| {
            let changes = (0..inputs).map(input).chain([lr(to("0.1", "0.2"))]).collect();
            MissReason::Changed(changes).to_string()
        };
        assert_eq!(words(1), "lr: 0.1 → 0.2; input run 0 is new");
        assert!(words(4).ends_with("input run 2 is new; one more input differs"), "{}", words(4));
        assert!(words(516).ends_with("input run 2 is new; 513 more inputs differ"), "{}", words(516));
    }

    #[test]
    fn every_part_and_every_way_to_differ_has_its_words() {
        let part = |part| Change { part, how: to("1", "2") };
        for (of, words) in [
            (part(Part::Kind), "kind: 1 → 2"),
            (part(Part::Version("train".into())), "version of train: 1 → 2"),
            (part(Part::Parameter("model.width".into())), "model.width: 1 → 2"),
            (part(Part::Policy("threads".into())), "policy.threads: 1 → 2"),
            (part(Part::Input("weights".into())), "input weights: 1 → 2"),
            (lr(How::New(Some("0.1".into()))), "lr: 0.1 is new"),
            (lr(How::New(None)), "lr is new"),
            (lr(How::Gone), "lr is gone"),
            (lr(How::Changed), "lr changed"),
        ] {
            assert_eq!(change(&of), words);
        }
    }
}
