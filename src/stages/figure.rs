//! The stage `figure`.

use std::collections::BTreeMap;

use super::{Outputs, Read, StageError};
use base::digest::ObjectDigest;
use base::table::Table;
use base::work::Figure;
use draw::figure;

/// Draws a figure from its tables.
pub fn run(work: &Figure, objects: &BTreeMap<String, ObjectDigest>, read: &Read<'_>) -> Result<Outputs, StageError> {
    let table = |role: &String| Ok((role.clone(), Table::from_bytes(&read(role)?)?));
    let tables = objects.keys().map(table).collect::<Result<BTreeMap<_, _>, StageError>>()?;
    let drawing = figure::draw(work, &tables)?;
    let numbers = drawing.numbers.to_bytes()?;
    let outputs = [("svg", drawing.svg.into_bytes()), ("png", drawing.png), ("pdf", drawing.pdf), ("numbers", numbers)];
    Ok(Outputs::whole(outputs))
}
