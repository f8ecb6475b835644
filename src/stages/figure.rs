//! The stage `figure`.

use std::collections::BTreeMap;

use super::{Outputs, Read, StageError};
use base::digest::ObjectDigest;
use base::table::Table;
use base::work::Figure;
use draw::figure;

/// Draws a figure from its tables. If a command has drawn it, returns the command's outputs unchanged.
pub fn run(work: &Figure, objects: &BTreeMap<String, ObjectDigest>, read: &Read<'_>) -> Result<Outputs, StageError> {
    if work.is_of_command() {
        let specs =
            base::work::KindName::Figure.outputs().iter().filter(|spec| work.drawn.iter().any(|of| of == spec.name));
        let outputs = specs.map(|spec| Ok((spec.name, read(spec.name)?))).collect::<Result<Vec<_>, StageError>>()?;
        return Ok(Outputs::whole(outputs));
    }
    let table = |role: &String| Ok((role.clone(), Table::from_bytes(&read(role)?)?));
    let tables = objects.keys().map(table).collect::<Result<BTreeMap<_, _>, StageError>>()?;
    let drawing = figure::draw(work, &tables)?;
    let numbers = drawing.numbers.to_bytes()?;
    let outputs = [("svg", drawing.svg.into_bytes()), ("png", drawing.png), ("pdf", drawing.pdf), ("numbers", numbers)];
    Ok(Outputs::whole(outputs))
}
