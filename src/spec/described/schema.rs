//! The JSON schema of pipelines, for editors.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::files::compare;
use super::{Absent, Field, forms, places};
use crate::spec::accepts::Accepts;
use crate::spec::pipeline::KEYS;
use base::work::{KindName, OutputFormat, Policy, Width};

/// The pattern of a reference to a setting.
const SETTING: &str = "^\\$";

#[test]
fn the_schema_of_pipelines_says_what_the_code_does() {
    let places = places();
    let properties: Map<String, Value> = KEYS.iter().map(|key| ((*key).to_owned(), top(key, &places))).collect();
    let mut definitions = Map::new();
    for (place, fields) in &places {
        let schema = match place.strip_prefix("stage ") {
            Some(kind) => stage(KindName::named(kind).unwrap(), fields),
            None => closed(place, fields),
        };
        definitions.insert(reference_name(place), schema);
    }
    let schema = json!({
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "A pipeline of wdpipe",
        "type": "object",
        "additionalProperties": false,
        "properties": properties,
        "definitions": definitions,
    });
    compare("schemas/pipeline.json", &format!("{}\n", serde_json::to_string_pretty(&schema).unwrap()));
}

/// Returns the schema of a key of a pipeline file.
fn top(key: &str, places: &BTreeMap<String, Vec<Field>>) -> Value {
    let list = |place: &str| json!({ "type": "array", "items": reference(place) });
    let scalar = json!({ "type": ["number", "string", "boolean"] });
    let integer = json!({ "type": "integer" });
    let setting = json!({ "anyOf": [
        scalar,
        { "type": "array", "minItems": 1, "items": { "type": ["number", "string", "boolean"] } },
        { "type": "object", "required": ["from", "to"], "additionalProperties": false,
          "properties": { "from": integer, "to": integer, "step": { "type": "integer", "minimum": 1 } } },
    ] });
    match key {
        "title" => json!({ "type": "string", "description": "Title of the figure" }),
        "policy" => json!({ "enum": Policy::ALL.map(|(name, _)| name) }),
        "settings" => json!({ "type": "object", "additionalProperties": setting,
            "description": "Values that stages use as $name; a list is a sweep" }),
        "stage" => json!({ "type": "object", "additionalProperties": any_stage(places) }),
        "figure" => {
            let mut sheet = closed("figure", &places["figure"]);
            sheet["additionalProperties"] = reference("figure");
            sheet
        }
        "panel" => list("a panel"),
        "claim" => list("a claim"),
        "published" => list("a table of published values"),
        "profile" => json!({ "type": "object", "additionalProperties": {
            "type": "object",
            "properties": { "about": { "type": "string", "description": "Description, for the foot of the figure" } },
            "additionalProperties": { "anyOf": [setting, { "type": "object" }] },
        } }),
        _ => panic!("describe the key `{key}` of pipelines here"),
    }
}

/// Returns the schema of a stage: its kind decides which fields it has.
fn any_stage(places: &BTreeMap<String, Vec<Field>>) -> Value {
    let kinds: Vec<&str> =
        KindName::ALL.iter().filter(|kind| forms::form(**kind).is_some()).map(|k| k.name()).collect();
    let one = |kind: &&str| {
        json!({
            "if": { "required": ["kind"], "properties": { "kind": { "const": kind } } },
            "then": reference(&format!("stage {kind}")),
        })
    };
    let all: Vec<Value> = kinds.iter().map(one).collect();
    // Editors complete the names of fields from this list.
    let fields = places.iter().filter(|(place, _)| place.starts_with("stage ")).flat_map(|(_, fields)| fields);
    let mut properties: Map<String, Value> = fields.map(|field| (field.name.to_owned(), json!({}))).collect();
    properties.insert("kind".to_owned(), json!({ "enum": kinds }));
    json!({ "type": "object", "required": ["kind"], "properties": properties, "allOf": all })
}

/// Returns the schema of a stage of a kind. Its fields can be references to settings. None is required, since a profile can
/// add it.
fn stage(kind: KindName, fields: &[Field]) -> Value {
    let mut properties: Map<String, Value> =
        fields.iter().map(|field| (field.name.to_owned(), described(field, of_stage(field)))).collect();
    properties.insert("kind".to_owned(), json!({ "const": kind.name() }));
    properties.insert(
        "only".to_owned(),
        json!({ "type": "object", "description": "Settings and their values for which the stage exists" }),
    );
    let form = forms::form(kind).unwrap();
    for field in form.references.iter().filter(|field| **field != "in") {
        let kinds: Vec<&str> = match *field {
            "data" => vec![KindName::Dataset.name()],
            _ => form.starts_from.iter().map(|kind| kind.name()).collect(),
        };
        let mut schema = values(&Accepts::Texts);
        schema["description"] = format!("Name of a stage of kind {}", kinds.join(", ")).into();
        properties.insert((*field).to_owned(), schema);
    }
    let others = match kind {
        KindName::Command => {
            json!({ "type": ["number", "string", "boolean"], "description": "Parameter of the command" })
        }
        _ => json!(false),
    };
    json!({ "type": "object", "properties": properties, "additionalProperties": others })
}

/// Returns the schema of a table with these fields only.
fn closed(place: &str, fields: &[Field]) -> Value {
    let schema = |field: &Field| match &field.accepts {
        Some(Accepts::Tables) => json!({ "type": "array", "items": reference(&format!("a {}", field.name)) }),
        Some(accepts) => values(accepts),
        None => untyped(place, field.name),
    };
    let properties: Map<String, Value> =
        fields.iter().map(|field| (field.name.to_owned(), described(field, schema(field)))).collect();
    let required: Vec<&str> = fields
        .iter()
        .filter(|field| field.absent == Absent::Refused && field.only_if.is_none())
        .map(|field| field.name)
        .collect();
    json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": false })
}

/// Adds the description of a field to its schema.
fn described(field: &Field, mut schema: Value) -> Value {
    let value = field.accepts.as_ref().map_or_else(|| description(&schema), ToString::to_string);
    let absent = match &field.absent {
        Absent::Refused => Some("required".to_owned()),
        Absent::Inherited => Some("inherited if it is absent".to_owned()),
        Absent::Values(values) if values.len() == 1 => values.first().map(|value| format!("default {value}")),
        Absent::Values(_) => Some("the default depends on other fields".to_owned()),
        Absent::Nothing => Some("optional".to_owned()),
    };
    let only = field.only_if.as_ref().map(|(choice, words)| format!("only with {choice} = {}", words.join(", ")));
    let parts: Vec<String> = [Some(value), absent, only].into_iter().flatten().collect();
    // Validators ignore what is beside a reference.
    if schema.get("$ref").is_none() {
        schema["description"] = parts.join("; ").into();
    }
    schema
}

/// Returns the schema of a field of a stage, whose value can be a reference to a setting.
fn of_stage(field: &Field) -> Value {
    let Some(accepts) = &field.accepts else { return untyped("stage command", field.name) };
    let setting = json!({ "type": "string", "pattern": SETTING });
    let mut schema = values(accepts);
    match schema["type"].as_str() {
        Some("string") => schema,
        // Constraints of numbers do not apply to strings, and the other way round. One schema gives better messages than
        // two.
        Some(kind) => {
            schema["type"] = json!([kind, "string"]);
            schema["pattern"] = SETTING.into();
            schema
        }
        None => json!({ "anyOf": [schema, setting] }),
    }
}

/// Returns the schema of the values that a reader accepts.
fn values(accepts: &Accepts) -> Value {
    let list = |item: Value| json!({ "anyOf": [item, { "type": "array", "items": item }] });
    match accepts {
        Accepts::Integer(range) => {
            json!({ "type": "integer", "minimum": range.start(), "maximum": range.end() })
        }
        Accepts::Seed => json!({ "type": "integer", "minimum": 0 }),
        Accepts::Number(range) => json!({ "type": "number", "minimum": range.start(), "maximum": range.end() }),
        Accepts::Positive(most) => json!({ "type": "number", "exclusiveMinimum": 0, "maximum": most }),
        Accepts::Truth => json!({ "type": "boolean" }),
        Accepts::Text | Accepts::Expression => json!({ "type": "string" }),
        Accepts::Words(words) => json!({ "enum": words }),
        Accepts::Integers => list(json!({ "type": "integer", "minimum": 0 })),
        Accepts::Texts => list(json!({ "type": "string" })),
        Accepts::Numbers => json!({ "type": "array", "items": { "type": "number" } }),
        Accepts::Tables => json!({ "type": "array", "items": { "type": "object" } }),
    }
}

/// Returns the description of a value in its schema.
pub fn description(schema: &Value) -> String {
    schema["description"].as_str().unwrap_or("an axis").to_owned()
}

/// Returns the schema of a field whose reader looks at the value itself.
pub fn untyped(place: &str, field: &str) -> Value {
    let text = json!({ "type": "string" });
    let texts = json!({ "type": "array", "minItems": 1, "items": { "type": "string" } });
    let tolerance = json!({ "type": "number", "minimum": 0, "maximum": 1e9 });
    let (description, mut schema) = match (place, field) {
        ("a panel", "x" | "y" | "z") => return reference("the axis"),
        ("figure", "width") => {
            let range = Width::RANGE;
            (
                "`text` (5.5 inches), `column` (3.25 inches), or a number of millimetres from 60 to 600",
                json!({ "anyOf": [{ "enum": ["text", "column"] },
                    { "type": "number", "minimum": range.start(), "maximum": range.end() }] }),
            )
        }
        ("a curve", "pick") => (
            "a table of settings and indices into their lists; -1 is the last value",
            json!({ "type": "object", "additionalProperties": { "type": "integer" } }),
        ),
        ("a table of published values", "values") => (
            "a list of `[\"curve\", x, mean]` or `[\"curve\", x, mean, std]`; x is a number or `[from, to]`",
            json!({ "type": "array", "items": { "type": "array", "minItems": 3, "maxItems": 4 } }),
        ),
        ("stage command", "in") => {
            let gathered = table(json!({ "from": text, "over": texts }), json!(["from", "over"]));
            (
                "a table of names and stages; `{ from = \"STAGE\", over = [\"SETTING\"] }` collects instances",
                json!({ "type": "object", "additionalProperties": { "anyOf": [text, gathered] } }),
            )
        }
        ("stage command", "env") => {
            let lock = table(json!({ "lock": text }), json!(["lock"]));
            let image = table(json!({ "image": text, "with": texts }), json!(["image", "with"]));
            (
                "`{ lock = \"uv.lock\" }`, `{ image = \"…@sha256:…\", with = [\"podman\", …] }` or `\"host\"`",
                json!({ "anyOf": [{ "const": "host" }, lock, image] }),
            )
        }
        ("stage command", "out") => {
            let formats = json!({ "enum": OutputFormat::ALL.map(|(name, _)| name) });
            (
                "a table of names and formats, or lists of a table's columns",
                json!({ "type": "object", "minProperties": 1, "additionalProperties": { "anyOf": [formats, texts] } }),
            )
        }
        ("stage command", "variables") => (
            "a table of environment variables",
            json!({ "type": "object", "additionalProperties": { "type": ["number", "string", "boolean"] } }),
        ),
        ("stage command", "tolerance") => {
            let both = table(json!({ "relative": tolerance, "absolute": tolerance }), json!([]));
            ("a relative tolerance, or `{ relative = 1e-6, absolute = 1e-9 }`", json!({ "anyOf": [tolerance, both] }))
        }
        _ => panic!(
            "{place}: no sample has the field `{field}`: add one to tests/fixtures/fields/fields.toml, or describe the \
             field here"
        ),
    };
    schema["description"] = description.into();
    schema
}

/// Returns the schema of a table with these properties only.
fn table(properties: Value, required: Value) -> Value {
    json!({ "type": "object", "properties": properties, "required": required, "additionalProperties": false })
}

fn reference(place: &str) -> Value {
    json!({ "$ref": format!("#/definitions/{}", reference_name(place)) })
}

/// Returns the name of a definition.
fn reference_name(place: &str) -> String {
    let name = place.strip_prefix("a ").or_else(|| place.strip_prefix("the ")).unwrap_or(place);
    name.replace(' ', "-")
}
