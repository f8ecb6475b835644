//! How large the parts of an archive may be, in the file and in memory.

use base::record::Record;
use base::value::{Map, Value};

/// The numbers of an archive have no more bytes when unpacked.
pub const NUMBERS_LIMIT: u64 = 64 << 20;

/// No batch of signatures has more bytes.
pub const BATCH_LIMIT: u64 = 64 << 20;

/// No archive has more entries.
pub const ENTRY_LIMIT: u64 = 10_000_000;

/// All records of an archive together take no more memory (estimated, see [`weight`]): records that make the most of
/// theirs would take 27 times their bytes.
pub(super) const MEMORY_LIMIT: u64 = 64 << 20;

/// No header has more bytes.
pub(super) const HEADER_LIMIT: u64 = 4 << 10;

/// The greatest window that is unpacked with (8 MiB), and the one that numbers are packed with.
pub(super) const WINDOW_LOG: u32 = 23;

/// About how many bytes of memory a record takes.
pub(super) fn weight(record: &Record) -> u64 {
    let Record { parts, outputs, tensors, provenance } = record;
    let made = [&provenance.stage, &provenance.wdpipe, &provenance.who, &provenance.device, &provenance.machine];
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

/// The nodes of a map of so many entries: 11 fit into one, and 6 are in it after insertion in order.
fn nodes(entries: usize) -> u64 {
    entries.div_ceil(6) as u64 * 700
}

fn text(text: &str) -> u64 {
    text.len() as u64 + 32
}

fn map(values: &Map) -> u64 {
    nodes(values.len()) + values.iter().map(|(name, of)| text(name) + value(of)).sum::<u64>()
}

/// What a value takes beside its place.
fn value(of: &Value) -> u64 {
    match of {
        Value::Bool(_) | Value::Int(_) | Value::Float(_) => 0,
        Value::Text(of) => text(of),
        Value::List(values) => values.iter().map(|of| 40 + value(of)).sum(),
        Value::Map(values) => map(values),
    }
}
