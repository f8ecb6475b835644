//! Level *render*: draws the figure again from the recorded tables.

use super::{Check, Evidence, Level, Verdict};
use crate::engine::Rerunner;
use crate::reports::{Place, stamp_of, stamped};
use crate::stages::{Device, Product, StageError};
use base::table::Table;
use store::StoreError;

/// The layers in the order in which they are reported: the plotted numbers, then the appearance.
const LAYERS: [(&str, &str); 4] =
    [("numbers", "the plotted numbers"), ("svg", "the drawing"), ("png", "the pixels"), ("pdf", "the page")];

/// Aggregates and draws a figure from its recorded tables, and compares the outputs with the lock and with the committed
/// files.
///
/// # Errors
/// If the store or a file cannot be read.
pub fn render(evidence: &Evidence<'_>, place: &Place) -> Result<Check, files::FsError> {
    let mut check = Check::new(Level::Render);
    let Some(record) = evidence.drawing() else {
        check.found(Verdict::Missing, "the record of the drawing is neither beside the lock nor in the store");
        return Ok(check.summed_up("not drawn"));
    };
    let mut rerunner = Rerunner::new(Device::Cpu);
    let again = match rerunner.rerun(record, &|object| evidence.read(object), &mut |_| true) {
        Ok(again) => again,
        Err(error) => {
            let missing = matches!(
                &error,
                crate::engine::RerunError::Stage(StageError::Store(StoreError::Missing(_)))
                    | crate::engine::RerunError::Work(_)
            );
            check.found(if missing { Verdict::Missing } else { Verdict::Differs }, error.to_string());
            return Ok(check.summed_up("not drawn"));
        }
    };
    let made = &again.made.outputs;
    for (name, words) in LAYERS {
        let drawn = made.iter().find(|product| product.name == name).map(|product| product.object);
        if drawn != evidence.lock.output(name) {
            check.found(Verdict::Differs, format!("{words} come out differently from the recorded tables"));
        }
    }
    let stamp = stamp_of(evidence.lock);
    for Product { name, bytes, .. } in made {
        let (extension, expected) = match (*name, Table::from_bytes(bytes)) {
            ("numbers", Ok(table)) => ("csv", Some(table.to_csv().into_bytes())),
            _ => (*name, stamp.as_ref().and_then(|stamp| stamped(name, bytes, stamp).ok())),
        };
        let Some(file) = place.read(extension)? else {
            check.found(Verdict::Missing, format!("{} is not there", place.path(extension).display()));
            continue;
        };
        if expected.as_deref() != Some(&file) {
            check.found(Verdict::Differs, format!("{} differs from the new drawing", place.path(extension).display()));
        }
    }
    let tables = record.parts.inputs.len();
    let count = made.len();
    if record.parts.parameters.contains_key("drawn") {
        return Ok(check.summed_up(format!(
            "drawn by a command: {count} of its outputs compared; only `--rebuild` runs the command again"
        )));
    }
    Ok(check.summed_up(format!("drawn again from {tables} recorded tables, {count} outputs compared")))
}
