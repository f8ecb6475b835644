//! Exponents and indices: the parts of a text that are drawn smaller, above or below the line.
//!
//! `10⁻³` and `10^{-3}` have an exponent, `w_t` and `η_{LR}` an index. The base of `_` is a letter that stands alone, so that
//! `test_error` is a word.

use super::style;

/// Where a part of a text stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Script {
    /// On the line.
    Line,
    /// Above it, as an exponent.
    Above,
    /// Below it, as an index.
    Below,
}

impl Script {
    /// Returns the size of a part of a text.
    pub fn size(self, of_text: f64) -> f64 {
        if self == Self::Line { of_text } else { style::SCRIPT.min(of_text) }
    }

    /// Returns how far below the line a part stands.
    pub fn drop(self, of_text: f64) -> f64 {
        match self {
            Self::Line => 0.0,
            Self::Above => -0.3 * of_text,
            Self::Below => 0.15 * of_text,
        }
    }
}

/// Characters that are exponents, and what they are on the line.
const ABOVE: [(char, char); 14] = [
    ('⁰', '0'),
    ('¹', '1'),
    ('²', '2'),
    ('³', '3'),
    ('⁴', '4'),
    ('⁵', '5'),
    ('⁶', '6'),
    ('⁷', '7'),
    ('⁸', '8'),
    ('⁹', '9'),
    ('⁺', '+'),
    ('⁻', '−'),
    ('ⁿ', 'n'),
    ('ⁱ', 'i'),
];

/// Returns a text as parts on different levels.
pub(super) fn parts(text: &str) -> Vec<(Script, String)> {
    let mut parts: Vec<(Script, String)> = Vec::new();
    let mut add = |level: Script, text: &str| match parts.last_mut() {
        Some((last, before)) if *last == level => before.push_str(text),
        _ => parts.push((level, text.to_owned())),
    };
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        let before = &text[..text.len() - rest.len()];
        if let Some((level, script, after)) = script(before, rest) {
            add(level, &script);
            rest = after;
        } else {
            let end = character.len_utf8();
            add(Script::Line, &rest[..end]);
            rest = &rest[end..];
        }
    }
    parts
}

/// Returns the exponent or index at the start of a text, and the text after it.
fn script<'a>(before: &str, text: &'a str) -> Option<(Script, String, &'a str)> {
    let first = text.chars().next()?;
    if let Some((_, plain)) = ABOVE.iter().find(|(raised, _)| *raised == first) {
        return Some((Script::Above, plain.to_string(), &text[first.len_utf8()..]));
    }
    let level = match first {
        '^' if before.chars().next_back().is_some_and(|base| !base.is_whitespace()) => Script::Above,
        '_' if is_symbol(before) => Script::Below,
        _ => return None,
    };
    let rest = &text[1..];
    let (inner, after) = match rest.strip_prefix('{') {
        Some(inner) => inner.split_once('}')?,
        None => {
            let sign = usize::from(level == Script::Above && rest.starts_with('-'));
            let length = rest[sign..].find(|c: char| !c.is_alphanumeric()).unwrap_or(rest.len() - sign);
            if length == 0 {
                return None;
            }
            rest.split_at(sign + length)
        }
    };
    (!inner.is_empty()).then(|| (level, inner.replace('-', "−"), after))
}

/// Checks whether a text ends with a letter that stands alone, with or without an accent.
fn is_symbol(text: &str) -> bool {
    let mut letters = text.chars().rev().filter(|character| !('\u{300}'..'\u{370}').contains(character));
    letters.next().is_some_and(char::is_alphabetic) && !letters.next().is_some_and(char::is_alphanumeric)
}

/// Returns a text as it is read aloud: `w_t` as `w sub t`. Screen readers know the exponents of Unicode.
pub(super) fn spoken(text: &str) -> String {
    let raise =
        |character: char| ABOVE.iter().find(|(_, plain)| *plain == character).map_or(character, |(raised, _)| *raised);
    let say = |(level, part): (Script, String)| match level {
        Script::Line => part,
        Script::Above if part.chars().all(|character| raise(character) != character) => {
            part.chars().map(raise).collect()
        }
        Script::Above => format!(" to the power of {part}"),
        Script::Below => format!(" sub {part}"),
    };
    parts(text).into_iter().map(say).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns a text with its exponents in `<>` and its indices in `[]`.
    fn marked(text: &str) -> String {
        let mark = |(level, part): (Script, String)| match level {
            Script::Line => part,
            Script::Above => format!("<{part}>"),
            Script::Below => format!("[{part}]"),
        };
        parts(text).into_iter().map(mark).collect()
    }

    #[test]
    fn exponents_and_indices_are_found_and_words_stay_words() {
        for (text, wanted) in [
            ("2·10⁻³", "2·10<−3>"),
            ("‖w‖²·Tr(∇²L)", "‖w‖<2>·Tr(∇<2>L)"),
            ("10^{-3} and x^-2y", "10<−3> and x<−2y>"),
            ("L(w̃_t), w_{t+1}", "L(w̃[t]), w[t+1]"),
            ("η_LR, η_", "η[LR], η_"),
            ("test_error of lr_a at a 2_b", "test_error of lr_a at a 2_b"),
            ("w_{", "w_{"),
            ("w_{}^", "w_{}^"),
            ("^2 ⁿ", "^2 <n>"),
            ("", ""),
        ] {
            assert_eq!(marked(text), wanted);
        }
    }

    #[test]
    fn texts_are_spoken_as_they_are_read() {
        assert_eq!(spoken("Tr(∇²L(w̃_t)) of 10^{-3}"), "Tr(∇²L(w̃ sub t)) of 10⁻³");
        assert_eq!(spoken("x^{2k}"), "x to the power of 2k");
    }
}
