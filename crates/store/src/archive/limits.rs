//! Limits for the parts of an archive, in the file and in memory.

use base::record::{Provenance, Record};
use base::value::{Map, Value};

/// Maximum number of unpacked bytes of an archive's numbers.
pub const NUMBERS_LIMIT: u64 = 64 << 20;

/// Maximum number of bytes of a batch of signatures.
pub const BATCH_LIMIT: u64 = 64 << 20;

/// Maximum number of entries of an archive.
pub const ENTRY_LIMIT: u64 = 10_000_000;

/// Maximum memory of all records of an archive (estimated, see [`weight`]): in the worst case, records take 27 times
/// their bytes.
pub(super) const MEMORY_LIMIT: u64 = 64 << 20;

/// Maximum number of bytes of a header.
pub(super) const HEADER_LIMIT: u64 = 4 << 10;

/// Largest zstd window accepted for unpacking (8 MiB); numbers are packed with this window.
pub(super) const WINDOW_LOG: u32 = 23;

/// Returns the approximate number of bytes of memory that a record takes.
pub(super) fn weight(record: &Record) -> u64 {
    let Record { parts, outputs, tensors, provenance } = record;
    let Provenance { stage, wdpipe, who, device, machine, log, .. } = provenance;
    let made = [stage, wdpipe, who, device, machine, log];
    let inline = |output: &base::record::Output| output.inline.as_ref().map_or(0, Vec::len) as u64;
    size_of::<Record>() as u64
        + map(&parts.parameters)
        + map(&parts.policy)
        + nodes(parts.inputs.len())
        + parts.inputs.keys().map(|role| text(role)).sum::<u64>()
        + outputs.iter().map(|output| 120 + text(&output.name) + inline(output)).sum::<u64>()
        + tensors.iter().map(|(name, _)| 80 + text(name)).sum::<u64>()
        + made.into_iter().map(|made| text(made)).sum::<u64>()
}

/// Returns the memory of the nodes of a map with this many entries: a node has room for 11 entries, and holds 6 after
/// insertion in order.
fn nodes(entries: usize) -> u64 {
    entries.div_ceil(6) as u64 * 700
}

fn text(text: &str) -> u64 {
    text.len() as u64 + 32
}

fn map(values: &Map) -> u64 {
    nodes(values.len()) + values.iter().map(|(name, of)| text(name) + value(of)).sum::<u64>()
}

/// Returns the memory that a value takes in addition to its slot.
fn value(of: &Value) -> u64 {
    match of {
        Value::Bool(_) | Value::Int(_) | Value::Float(_) => 0,
        Value::Text(of) => text(of),
        Value::List(values) => values.iter().map(|of| 40 + value(of)).sum(),
        Value::Map(values) => map(values),
    }
}
