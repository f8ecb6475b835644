//! Text for HTML: escaping, links, and readable numbers.

use std::fmt::{self, Display, Write};

/// Text that is safe in an element and in a quoted attribute.
pub(super) struct Escaped<'a>(&'a str);

/// Escapes text.
pub(super) fn esc(text: &str) -> Escaped<'_> {
    Escaped(text)
}

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character {
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '&' => f.write_str("&amp;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                '\n' | '\t' => f.write_char(character)?,
                // Browsers alter or drop other control characters.
                other if other.is_control() => f.write_char('\u{fffd}')?,
                other => f.write_char(other)?,
            }
        }
        Ok(())
    }
}

/// Returns JSON for a `<script>`: no part of it can end the element or begin a comment.
pub(super) fn json(value: &serde_json::Value) -> String {
    let mut out = String::new();
    for character in value.to_string().chars() {
        match character {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                let _ = write!(out, "\\u{:04x}", u32::from(character));
            }
            other => out.push(other),
        }
    }
    out
}

/// Returns the address of a file relative to the page. It cannot point elsewhere: characters that would make it a scheme, a
/// host or an absolute path are encoded or preceded by a dot.
pub(super) fn link(path: &str) -> String {
    let dot = if path.starts_with('/') { "." } else { "" };
    format!("{dot}{}", encode(path.as_bytes(), b"-._~/"))
}

/// Percent-encodes all bytes except ASCII letters, digits and those in `keep`.
pub(super) fn encode(bytes: &[u8], keep: &[u8]) -> String {
    let mut out = String::new();
    for &byte in bytes {
        if byte.is_ascii_alphanumeric() || keep.contains(&byte) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

/// Formats a count with its noun: `1 stage`, `2 stages`.
pub(super) fn plural(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// Formats a time in its two largest units; a dash if it is not finite or negative.
pub(super) fn time(seconds: f64) -> String {
    if !seconds.is_finite() || seconds < 0.0 {
        return "–".to_owned();
    }
    if seconds < 9.95 {
        return format!("{seconds:.1} s");
    }
    let whole = seconds.round() as u64;
    let (hours, minutes, rest) = (whole / 3600, whole / 60 % 60, whole % 60);
    match (hours, minutes) {
        (0, 0) => format!("{rest} s"),
        (0, _) => format!("{minutes} min {rest} s"),
        _ => format!("{hours} h {minutes} min"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_json_and_links_are_safe() {
        assert_eq!(esc("a<b> & \"c\" 'd'\u{0}\u{7f}\n").to_string(), "a&lt;b&gt; &amp; &quot;c&quot; &#39;d&#39;��\n");
        let value = serde_json::json!({ "a": "</script><!--&\u{2028}", "b": f64::NAN, "c": f64::INFINITY });
        let text = json(&value);
        assert_eq!(text, r#"{"a":"\u003c/script\u003e\u003c!--\u0026\u2028","b":null,"c":null}"#);
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), value);
        let links = [
            ("fig3.svg", "fig3.svg"),
            ("a b/ü#?.svg", "a%20b/%C3%BC%23%3F.svg"),
            ("javascript:alert(1)", "javascript%3Aalert%281%29"),
            ("//host/x", ".//host/x"),
            ("\\\\host", "%5C%5Chost"),
            ("a%2fb\"", "a%252fb%22"),
        ];
        links.into_iter().for_each(|(path, address)| assert_eq!(link(path), address));
    }

    #[test]
    fn times_and_counts_are_words() {
        let times = [
            (0.0, "0.0 s"),
            (0.34, "0.3 s"),
            (9.96, "10 s"),
            (59.4, "59 s"),
            (59.6, "1 min 0 s"),
            (3599.7, "1 h 0 min"),
            (7384.0, "2 h 3 min"),
            (f64::NAN, "–"),
            (f64::INFINITY, "–"),
            (-1.0, "–"),
        ];
        times.into_iter().for_each(|(seconds, words)| assert_eq!(time(seconds), words));
        assert_eq!((plural(1, "run"), plural(0, "run")), ("1 run".into(), "0 runs".into()));
    }
}
