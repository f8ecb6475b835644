//! Tables: reading and writing preserves the bytes, and the CSV form has all rows.
#![no_main]

use libfuzzer_sys::fuzz_target;
use base::table::Table;

fuzz_target!(|bytes: &[u8]| {
    let Ok(table) = Table::from_bytes(bytes) else { return };
    assert_eq!(table.to_bytes().expect("a parsed value can be written"), bytes);
    let csv = table.to_csv();
    // Line breaks in text are between quotes, and the number of quotes is even at the end of every row.
    let (mut rows, mut quoted) = (0, false);
    for byte in csv.bytes() {
        match byte {
            b'"' => quoted = !quoted,
            b'\n' if !quoted => rows += 1,
            _ => {}
        }
    }
    assert_eq!((rows, quoted), (table.rows() + 1, false));
    for column in table.columns() {
        assert!(table.numbers(&column.name).is_none_or(|numbers| numbers.len() == table.rows()));
    }
});
