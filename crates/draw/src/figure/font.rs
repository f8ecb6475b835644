//! The bundled font: DejaVu Sans, reduced to Latin-1, Greek and the signs that figures use.

use super::{FigureError, script};

/// The font file. Its licence is `font/LICENSE.txt`.
pub(super) const BYTES: &[u8] = include_bytes!("font/DejaVuSans-subset.ttf");

/// Metrics of the bundled font, without kerning, which would make text only a little narrower.
pub(super) struct Font(ttf_parser::Face<'static>);

impl Font {
    pub fn bundled() -> Result<Self, FigureError> {
        ttf_parser::Face::parse(BYTES, 0).map(Self).map_err(|e| FigureError::Pixels(format!("bundled font: {e}")))
    }

    /// Refuses a text with a character that the font lacks. These include all characters that XML cannot hold.
    pub fn check(&self, text: &str) -> Result<(), FigureError> {
        let parts = script::parts(text);
        let mut drawn = parts.iter().flat_map(|(_, part)| part.chars());
        match drawn.find(|&character| self.0.glyph_index(character).is_none()) {
            Some(character) => Err(FigureError::Glyph { character, text: text.to_owned() }),
            None => Ok(()),
        }
    }

    /// Returns the width of a text at a size.
    pub fn width(&self, text: &str, size: f64) -> f64 {
        script::parts(text).iter().map(|(script, part)| self.of_part(part) * script.size(size)).sum()
    }

    /// Returns the width of characters at size 1.
    fn of_part(&self, text: &str) -> f64 {
        let advance = |character| self.0.glyph_index(character).and_then(|glyph| self.0.glyph_hor_advance(glyph));
        // Combining accents are above the letter before them.
        let units: u64 = text
            .chars()
            .filter(|character| !('\u{300}'..'\u{370}').contains(character))
            .map(|character| u64::from(advance(character).unwrap_or(0)))
            .sum();
        units as f64 / f64::from(self.0.units_per_em())
    }

    /// Breaks a text into lines of at most `width`: between words, and inside words that are longer. Lines
    /// are never empty; an empty text has no lines.
    pub fn wrap(&self, text: &str, size: f64, width: f64) -> Vec<String> {
        let mut lines: Vec<String> = Vec::new();
        for word in text.split(' ').filter(|word| !word.is_empty()) {
            let joined = lines.last().map(|line| format!("{line} {word}"));
            match (joined, lines.last_mut()) {
                (Some(joined), Some(line)) if self.width(&joined, size) <= width => *line = joined,
                _ => self.break_word(word, size, width, &mut lines),
            }
        }
        lines
    }

    fn break_word(&self, word: &str, size: f64, width: f64, lines: &mut Vec<String>) {
        let (mut line, mut used) = (String::new(), 0.0);
        for character in word.chars() {
            let advance = self.width(character.encode_utf8(&mut [0; 4]), size);
            if used + advance > width && !line.is_empty() {
                lines.push(std::mem::take(&mut line));
                used = 0.0;
            }
            line.push(character);
            used += advance;
        }
        lines.push(line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_font_has_what_the_paper_writes() {
        let font = Font::bundled().unwrap();
        font.check("(c) Tr(∇²L) of fine-tuned iterates, ‖w̃‖ ± 1 std, 2·10⁻⁷ × λη − µσθ ℓ ≤ ≈ … “é”").unwrap();
        for (text, character) in [("日", '日'), ("a\u{0}b", '\u{0}'), ("a\nb", '\n'), ("\u{202e}", '\u{202e}')] {
            assert_eq!(font.check(text), Err(FigureError::Glyph { character, text: text.to_owned() }));
        }
        // Digits are 1303 of 2048 units wide, according to the font's own table; accents have no width.
        assert_eq!(font.width("w̃ ", 2048.0), font.width("w ", 2048.0));
        assert_eq!(font.width("00", 2048.0), 2606.0);
    }

    #[test]
    fn wrapped_lines_fit_and_lose_nothing() {
        let font = Font::bundled().unwrap();
        let text = "test error of fine-tuned iterates averagedoverallthetrainingexamplesandmore  ‖w‖ ".repeat(3);
        for width in [0.0, 40.0, 90.0, 1000.0] {
            let lines = font.wrap(&text, 12.0, width);
            let fits = |line: &String| font.width(line, 12.0) <= width || line.chars().count() == 1;
            assert!(lines.iter().all(fits), "{width}: {lines:?}");
            assert_eq!(lines.concat().replace(' ', ""), text.replace(' ', ""));
        }
        assert!(font.wrap("  ", 12.0, 50.0).is_empty());
    }
}
