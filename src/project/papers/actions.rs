//! The stages in the metadata of a packed figure: each is an action that created its outputs from inputs and parameters.

use serde_json::{Value, json};

use super::metadata::{Described, Entities, address, reference, several};
use crate::project::text::date;
use base::closure::Member;
use base::digest::ObjectDigest;
use base::record::Output;
use base::value::{self, Map};
use store::lockfile::extension;

/// Adds all stages with what they read and wrote, in their order; returns references to them.
pub fn add(described: &Described<'_>, entities: &mut Entities) -> Vec<Value> {
    let Some((figure, others)) = described.closure.members.split_last() else { return Vec::new() };
    // An object has the name of the first stage that yields it.
    for member in others {
        member.record.outputs.iter().for_each(|output| object(output, member, described, entities));
    }
    let mut actions: Vec<Value> = others.iter().map(|member| action(member, false, described, entities)).collect();
    actions.push(action(figure, true, described, entities));
    actions
}

/// Formats seconds since 1970 as ISO 8601 does, in UTC.
pub fn instant(seconds: u64) -> String {
    date(seconds).replace(' ', "T").replace('Z', "+00:00")
}

/// Adds a stage. The figure's stage created files of the folder; the others created objects.
fn action(member: &Member, is_figure: bool, described: &Described<'_>, entities: &mut Entities) -> Value {
    let (parts, made) = (&member.record.parts, &member.record.provenance);
    let mut read: Vec<Value> = parts.inputs.values().map(|object| reference(&object_id(object))).collect();
    read.sort_by_key(ToString::to_string);
    read.dedup();
    let written = if is_figure {
        // The parameters of a figure are all of its panels and curves, which the pipeline describes.
        read.push(reference(&address(described.pipeline)));
        let outputs = member.record.outputs.iter();
        outputs.map(|output| reference(&address(&described.path(extension(&output.name))))).collect()
    } else {
        read.extend(parameters(&parts.parameters, entities));
        let mut written: Vec<Value> =
            member.record.outputs.iter().map(|output| reference(&object_id(&output.object))).collect();
        written.dedup();
        written
    };
    let version = &made.wdpipe;
    let program = json!({ "name": "wdpipe", "softwareVersion": version });
    let program = entities.add(&format!("#wdpipe-{}", address(version)), "SoftwareApplication", program);
    let agent = (!made.who.is_empty()).then(|| {
        let fields = json!({ "name": made.who, "description": "The account and the machine that ran stages" });
        entities.add(&format!("#account-{}", address(&made.who)), "Person", fields)
    });
    let verb = if parts.is_import() { "Imported by the user" } else { "Computed" };
    let device = if made.device.is_empty() { String::new() } else { format!(", device {}", made.device) };
    let machine = if made.machine.is_empty() { String::new() } else { format!(", on {}", made.machine) };
    let took = made.seconds.max(0.0).round() as u64;
    let fields = json!({
        "name": member.name,
        "description": format!("{verb}: stage of kind {}, version {}{device}{machine}", parts.kind, parts.version),
        "identifier": format!("wdpipe:key:{}", member.key),
        "startTime": instant(made.finished.saturating_sub(took)),
        "endTime": instant(made.finished),
        "actionStatus": "http://schema.org/CompletedActionStatus",
        "instrument": program,
        "agent": agent,
        "object": several(read),
        "result": several(written),
    });
    entities.add(&format!("#stage-{}", member.key), "CreateAction", fields)
}

fn object_id(object: &ObjectDigest) -> String {
    format!("#object-{object}")
}

/// Adds an output. Its bytes are in an archive of the folder, or were not kept.
fn object(output: &Output, member: &Member, described: &Described<'_>, entities: &mut Entities) {
    let archives = described.archives.iter().filter(|(_, held)| held.contains(&output.object));
    let archives: Vec<Value> = archives.map(|(path, _)| reference(&address(path))).collect();
    let kept = if archives.is_empty() { "not in this folder" } else { "in an archive of this folder" };
    let fields = json!({
        "name": format!("{} of {}", output.name, member.name),
        "description": format!("{} bytes, {kept}", output.bytes),
        "identifier": format!("blake3:{}", output.object),
        "contentSize": output.bytes.to_string(),
        "isPartOf": several(archives),
    });
    entities.add(&object_id(&output.object), "CreativeWork", fields);
}

/// Adds the parameters of a stage, each once for all stages that have it, and returns references to them.
fn parameters(map: &Map, entities: &mut Entities) -> Vec<Value> {
    let mut found = Vec::new();
    collect("", map, &mut found);
    let mut add = |(name, value): (String, Value)| {
        let digest = ObjectDigest::of(format!("{name}={value}").as_bytes());
        entities.add(
            &format!("#parameter-{}", digest.short()),
            "PropertyValue",
            json!({ "name": name, "value": value }),
        )
    };
    found.into_iter().map(&mut add).collect()
}

/// Collects parameters with their names, those in maps as `map.name`.
fn collect(prefix: &str, map: &Map, found: &mut Vec<(String, Value)>) {
    for (name, value) in map {
        let name = format!("{prefix}{name}");
        match value {
            value::Value::Map(map) => collect(&format!("{name}."), map, found),
            value::Value::Bool(value) => found.push((name, json!(value))),
            value::Value::Int(value) => found.push((name, json!(value))),
            value::Value::Float(value) => found.push((name, json!(value))),
            value::Value::Text(value) => found.push((name, json!(value))),
            value::Value::List(_) => found.push((name, json!(value.to_string()))),
        }
    }
}
