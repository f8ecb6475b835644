//! Breaks lines that are wider than the terminal.

use std::borrow::Cow;

/// Narrowest terminal for which lines are broken.
const NARROWEST: usize = 20;

/// Breaks each line of a text between words so that it fits into `width` columns, and indents its continuation by two more
/// columns. Commands between backquotes stay whole, so that they can be copied.
pub fn folded(text: &str, width: Option<usize>) -> Cow<'_, str> {
    match width.filter(|width| *width >= NARROWEST) {
        Some(width) if text.lines().any(|line| line.chars().count() > width) => {
            text.split('\n').map(|line| one(line, width)).collect::<Vec<_>>().join("\n").into()
        }
        _ => text.into(),
    }
}

/// Breaks one line.
fn one(line: &str, width: usize) -> String {
    let own = line.chars().take_while(|c| *c == ' ').count();
    let indent = (own + 2).min(width / 2);
    let (mut out, mut column) = (String::new(), 0);
    for piece in pieces(line) {
        let length = piece.chars().count();
        if column > own && column + length > width {
            let word = piece.trim_start();
            out += &format!("\n{:indent$}{word}", "");
            column = indent + word.chars().count();
        } else {
            out += piece;
            column += length;
        }
    }
    out
}

/// Splits a line into words with the spaces before them. Spaces between backquotes do not split.
fn pieces(line: &str) -> Vec<&str> {
    let has_quotes = line.matches('`').count().is_multiple_of(2);
    let (mut pieces, mut start, mut quoted, mut before) = (Vec::new(), 0, false, ' ');
    for (at, letter) in line.char_indices() {
        if letter == ' ' && before != ' ' && !quoted {
            pieces.push(&line[start..at]);
            start = at;
        }
        quoted ^= letter == '`' && has_quotes;
        before = letter;
    }
    pieces.push(&line[start..]);
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_broken_between_words_and_commands_stay_whole() {
        let text = "  undecided: with the large learning rate, weight decay lowers it\nshort";
        let folded_text = "  undecided: with the large\n    learning rate, weight decay\n    lowers it\nshort";
        assert_eq!(folded(text, Some(32)), folded_text);
        assert_eq!(
            folded("not locked; `wdpipe lock toy --profile smoke --set seed=0` locks it", Some(30)),
            "not locked;\n  `wdpipe lock toy --profile smoke --set seed=0`\n  locks it"
        );
        // Words that are too long, and columns, keep their places.
        assert_eq!(folded("  0123456789012345678901234 x", Some(20)), "  0123456789012345678901234\n    x");
        assert_eq!(folded("a      b      c      d", Some(20)), "a      b      c\n  d");
        assert_eq!(folded("it`s a line with one quote", Some(20)), "it`s a line with one\n  quote");
    }

    #[test]
    fn what_fits_or_is_no_terminal_is_left_alone() {
        for width in [None, Some(0), Some(12), Some(22)] {
            assert!(matches!(folded("a text of 22 columns ..", width.filter(|w| *w != 22)), Cow::Borrowed(_)));
            assert!(matches!(folded("a text of 22 columns .", width), Cow::Borrowed(_)));
        }
    }
}
