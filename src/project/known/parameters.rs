//! Lists the parameters of a stage, each with its value and the place where the value was written.

use std::collections::{BTreeMap, BTreeSet};

use crate::spec::{Told, is_reference};
use base::value::{Map, Value};

/// A parameter of a stage.
pub struct Parameter {
    /// Name, such as `model.width`.
    pub name: String,
    /// Value.
    pub value: String,
    /// Place where the value was written, in words.
    pub origin: String,
}

/// Lists the parameters of a stage, each with the place where its pipeline sets it. The parameters of a figure come
/// from many places, so they are listed without places.
pub fn parameters(all: &Map, told: &BTreeMap<String, Told>) -> Vec<Parameter> {
    if told.is_empty() {
        let whole = |(name, value): (&String, &Value)| (name.clone(), value.to_string(), String::new());
        let parameter = |(name, value, origin)| Parameter { name, value, origin };
        return all.iter().map(whole).map(parameter).collect();
    }
    let mut flat = Vec::new();
    flatten("", all, &mut flat);
    let mut used = BTreeSet::new();
    let mut listed = Vec::new();
    for (name, value) in flat {
        let origin = match fields(&name).into_iter().find(|field| told.contains_key(*field)) {
            Some(field) => {
                used.insert(field.to_owned());
                origin(field, &value, &told[field])
            }
            // These parameters follow from the place of the stage in its chain.
            None if ["first_epoch", "after"].contains(&name.as_str()) => {
                "from its place among the checkpoints".to_owned()
            }
            None => "default".to_owned(),
        };
        listed.push(Parameter { name, value, origin });
    }
    // Fields that are not parameters, such as `variant` or `checkpoint_every`, still have an effect.
    let others = told
        .iter()
        .filter(|(field, told)| told.handed_down_by.is_none() && !used.contains(*field) && !is_reference(field));
    listed.extend(others.map(|(field, told)| {
        let value = told.value.trim_matches('"').to_owned();
        Parameter { name: field.clone(), origin: origin(field, &value, told), value }
    }));
    listed
}

fn flatten(prefix: &str, map: &Map, flat: &mut Vec<(String, String)>) {
    for (name, value) in map {
        match value {
            Value::Map(fields) => flatten(&format!("{prefix}{name}."), fields, flat),
            value => flat.push((format!("{prefix}{name}"), value.to_string())),
        }
    }
}

/// Returns the names that pipelines use for a parameter.
fn fields(name: &str) -> Vec<&str> {
    let renamed = [
        ("model.name", "model"),
        ("model.input", "input_norm"),
        ("sphere.every", "projection"),
        ("loss.batch", "chunk"),
        ("numerics.float32_logits", "precision"),
        ("stop.standard_error", "stderr"),
        ("stop.settled", "settled"),
    ];
    match renamed.iter().find(|(ours, _)| name == *ours || name.ends_with(&format!(".{ours}"))) {
        Some((_, theirs)) => vec![theirs],
        None => name.rsplit('.').collect(),
    }
}

fn origin(field: &str, value: &str, told: &Told) -> String {
    let Told { value: written, origin, instead_of, handed_down_by } = told;
    // A segment has only some of the epochs, and a number can be written in different ways.
    let is_same = written.trim_matches('"') == value || written.parse::<f64>().ok() == value.parse().ok();
    let mut text = if is_same { origin.clone() } else { format!("{field} = {written}, {origin}") };
    if let Some((other, place)) = instead_of {
        text += &format!(", instead of {other} at {place}");
    }
    if let Some(stage) = handed_down_by {
        text += &format!(", from the stage `{stage}`");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{Pipeline, expand};

    #[test]
    fn every_parameter_of_every_kind_has_an_origin() {
        let text = include_str!("../../../tests/fixtures/pipelines/kinds.toml");
        let pipeline = Pipeline::read("kinds", "kinds.toml", text, "smoke", &[]).unwrap();
        let graph = expand(&pipeline).unwrap();
        let mut kinds = std::collections::BTreeSet::new();
        for stage in graph.stages.iter().filter(|stage| stage.work.kind() != "figure") {
            kinds.insert(stage.work.kind());
            let (all, told) = (stage.work.parameters().unwrap(), pipeline.told(&stage.name));
            let listed = parameters(&all, &told);
            assert!(!listed.is_empty() && listed.iter().all(|parameter| !parameter.origin.is_empty()));
            // Every field of the stage's table is listed.
            for (field, of) in told.iter().filter(|(field, of)| of.handed_down_by.is_none() && !is_reference(field)) {
                let is_listed = listed.iter().any(|parameter| parameter.origin.contains(&of.origin));
                assert!(is_listed, "{}: {field}", stage.name);
            }
        }
        assert!(kinds.len() >= 10, "{kinds:?}");
    }

    #[test]
    fn a_part_of_a_value_and_what_is_overridden_are_told() {
        let text = "[settings]\nseed = [0]\n[stage.a]\nkind = \"valley\"\nseed = \"$seed\"\nsteps = 100\n\
            [profile.smoke]\nseed = [7]\n[profile.paper]\n";
        let pipeline = Pipeline::read("p", "p.toml", text, "smoke", &["a.steps=50".to_owned()]).unwrap();
        let told = pipeline.told("p/a[seed=7]");
        let all: Map = [("seed", 7), ("steps", 25), ("every", 100)].map(|(n, v)| (n.to_owned(), Value::Int(v))).into();
        let lines: Vec<_> =
            parameters(&all, &told).into_iter().map(|p| format!("{} {}: {}", p.name, p.value, p.origin)).collect();
        assert_eq!(
            lines,
            [
                "every 100: default",
                "seed 7: profile smoke at p.toml:8, instead of [0] at p.toml:2",
                "steps 25: steps = 50, --set 'a.steps=50', instead of 100 at p.toml:6",
            ]
        );
    }
}
