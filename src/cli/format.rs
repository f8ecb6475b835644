//! Numbers and texts in a form for people.

pub use crate::project::{count, date, short};

/// Formats a duration: `0.4 s`, `12 s`, `3 min 20 s`, `5 h 10 min`, `4 d 3 h`.
pub fn duration(seconds: f64) -> String {
    if seconds < 10.0 {
        return format!("{seconds:.1} s");
    }
    let whole = seconds.round() as u64;
    match (whole / 3600, whole / 60 % 60, whole % 60) {
        (0, 0, s) => format!("{s} s"),
        (0, min, 0) => format!("{min} min"),
        (0, min, s) => format!("{min} min {s} s"),
        (h, ..) if h >= 72 => format!("{} d {} h", h / 24, h % 24),
        (h, min, _) => format!("{h} h {min} min"),
    }
}

/// Formats a number of bytes: `512 B`, `1.5 MiB`.
pub fn bytes(count: u64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB"];
    let mut value = count as f64;
    let mut unit = "B";
    for larger in units {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = larger;
    }
    if unit == "B" { format!("{count} B") } else { format!("{value:.1} {unit}") }
}

/// Formats a share in percent: `22 %`, `3.1 %`, `2e-5 %`.
pub fn percent(share: f64) -> String {
    let percent = 100.0 * share;
    match percent.abs() {
        0.0 => "0 %".to_owned(),
        size if size < 0.01 => format!("{percent:.0e} %"),
        size if size < 9.95 => format!("{percent:.1} %"),
        _ => format!("{percent:.0} %"),
    }
}

/// Replaces characters that control a terminal in a text that others wrote, such as a stage's name in an archive.
pub fn plain(text: &str) -> String {
    text.replace(char::is_control, "\u{fffd}")
}

/// Returns a path for JSON, which must be Unicode: other bytes become replacement characters.
pub fn shown(path: &std::path::Path) -> String {
    path.display().to_string()
}

/// Breaks a text between words into lines of at most `width` characters; longer words stay whole.
pub fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let last = lines.len() - 1;
        let line = &mut lines[last];
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > width {
            lines.push(word.to_owned());
        } else {
            line.push_str(if line.is_empty() { "" } else { " " });
            line.push_str(word);
        }
    }
    lines
}

/// Aligns the cells of rows in columns that are as wide as necessary; the last column is not padded.
pub fn columns(rows: &[Vec<String>]) -> Vec<String> {
    let count = rows.iter().map(Vec::len).max().unwrap_or_default();
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..count).map(|column| width(column).unwrap_or_default()).collect();
    let line = |row: &Vec<String>| {
        let cell = |(column, cell): (usize, &String)| format!("{cell:<width$}", width = widths[column]);
        row.iter().enumerate().map(cell).collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        let durations: Vec<_> = [0.04, 9.96, 59.6, 200.0, 18_600.0].map(duration).into();
        assert_eq!(durations, ["0.0 s", "10.0 s", "1 min", "3 min 20 s", "5 h 10 min"]);
        let sizes: Vec<_> = [0, 1023, 1536, 45 << 20, 3 << 40].map(bytes).into();
        assert_eq!(sizes, ["0 B", "1023 B", "1.5 KiB", "45.0 MiB", "3.0 TiB"]);
        let percents: Vec<_> = [0.0, 0.2249, 0.0312, 2e-7, f64::INFINITY].map(percent).into();
        assert_eq!(percents, ["0 %", "22 %", "3.1 %", "2e-5 %", "inf %"]);
        assert_eq!([0.12345, 1e-9, 2.0].map(short), ["0.1235", "1e-9", "2"]);
        assert_eq!(plain("a\x1b[2Jb\nc"), "a\u{fffd}[2Jb\u{fffd}c");
        assert_eq!(wrapped("one two three", 7), ["one two", "three"]);
        assert_eq!(wrapped("a-long-word b", 3), ["a-long-word", "b"]);
        assert_eq!(count(1, "stage") + &count(2, "stage"), "1 stage2 stages");
        // Checked with date -u -d @N.
        let dates: Vec<_> = [0, 951_782_400, 1_795_418_100, 4_107_542_399].map(date).into();
        let wanted = ["1970-01-01 00:00:00Z", "2000-02-29 00:00:00Z", "2026-11-23 07:15:00Z", "2100-02-28 23:59:59Z"];
        assert_eq!(dates, wanted);
    }

    #[test]
    fn columns_line_up() {
        let rows = [vec!["a".to_owned(), "long".into()], vec!["ηλ2".into(), "b".into(), "c".into()]];
        assert_eq!(columns(&rows), ["a    long", "ηλ2  b     c"]);
    }
}
