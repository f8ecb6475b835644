//! A badge for web pages and README files: the figure's name, the first digits of its root, and what is recorded about it. It
//! is an SVG that loads nothing and has no fonts, and it carries the figure's stamp, so `whois` finds the figure.

use super::CitedFigure;

/// Sizes in pixels.
const HEIGHT: u32 = 20;
const MARGIN: u32 = 7;
/// Width that two characters get: the text is stretched to it, whatever font there is.
const TWO: u32 = 13;

/// Colours of the background, on which white text has a contrast of at least 4.5 to 1.
const NAME: &str = "#3a3f45";
const LOCKED: &str = "#1a6b3c";
const UNLOCKED: &str = "#8a4b00";

impl CitedFigure {
    /// Returns the badge as SVG.
    pub fn badge(&self) -> String {
        let (name, root, standing) = (&self.subject.place.name, self.stamp.root.to_string(), self.standing());
        let (left, right) = (format!("wdpipe {name}"), format!("root {} · {standing}", &root[..8]));
        let width = |text: &str| 2 * MARGIN + (TWO * text.chars().count() as u32).div_ceil(2);
        let (first, whole) = (width(&left), width(&left) + width(&right));
        let colour = if self.lock.is_some() { LOCKED } else { UNLOCKED };
        let text = |text: &str, x: u32| {
            let (x, length) = (x + MARGIN, width(text) - 2 * MARGIN);
            format!("<text x=\"{x}\" y=\"14\" textLength=\"{length}\">{}</text>\n", escaped(text))
        };
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{whole}\" height=\"{HEIGHT}\" role=\"img\" \
             aria-label=\"{title}\">\n\
             <title>{title}</title>\n\
             <desc>Figure {figure}, profile {profile}, root {root}</desc>\n\
             <metadata>{stamp}</metadata>\n\
             <path d=\"M{first} 0h-{outer}a3 3 0 0 0-3 3v14a3 3 0 0 0 3 3h{outer}z\" fill=\"{NAME}\"/>\n\
             <path d=\"M{first} 0h{inner}a3 3 0 0 1 3 3v14a3 3 0 0 1-3 3h-{inner}z\" fill=\"{colour}\"/>\n\
             <g fill=\"#ffffff\" font-family=\"Verdana, DejaVu Sans, sans-serif\" font-size=\"11\">\n{left}{right}</g>\n\
             </svg>\n",
            title = escaped(&format!("{left}, {}", right.replace(" · ", ", "))),
            figure = escaped(&self.stamp.figure),
            profile = escaped(&self.subject.profile),
            stamp = self.stamp,
            outer = first - 3,
            inner = whole - first - 3,
            left = text(&left, 0),
            right = text(&right, first),
        )
    }
}

/// Writes a text for XML.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::project::papers::caption::tests::cited;

    #[test]
    fn a_badge_says_what_is_recorded_and_can_be_traced() {
        let figure = cited("fig3");
        let badge = figure.badge();
        assert!(badge.contains("<title>wdpipe fig3, root abababab, not locked</title>"), "{badge}");
        assert_eq!(draw::stamp::find(badge.as_bytes()), std::slice::from_ref(&figure.stamp));
        let addresses = badge.matches("http").count();
        assert_eq!(addresses, 1, "only the name of the namespace is an address: {badge}");
        assert!(cited("a<b").badge().contains("wdpipe a&lt;b"));
    }

    #[test]
    fn white_text_can_be_read_on_every_background() {
        for colour in [NAME, LOCKED, UNLOCKED] {
            let linear = |at: usize| {
                let value = f64::from(u8::from_str_radix(&colour[at..at + 2], 16).unwrap()) / 255.0;
                if value <= 0.040_45 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
            };
            let luminance = 0.2126 * linear(1) + 0.7152 * linear(3) + 0.0722 * linear(5);
            let contrast = 1.05 / (luminance + 0.05);
            assert!(contrast >= 4.5, "{colour}: {contrast}");
        }
    }
}
