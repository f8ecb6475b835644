//! Looks that distinguish curves: a colour, a dash and a marker each, so that curves differ in print without colour too.
//!
//! | index | colour | line | dashed line | marker |
//! | --- | --- | --- | --- | --- |
//! | 0 | navy | solid | short strokes | circle |
//! | 1 | teal | long strokes | dots | square |
//! | 2 | amber | long stroke, dot | short stroke, dot | triangle |
//! | 3 | crimson | long stroke, two dots | short stroke, two dots | diamond |
//! | 4 to 7 | green, purple, pink, grey | those of the next index | | those of 0 to 3 |
//! | 8 to 23 | the same colours | others | | others |
//!
//! Markers of dashed curves are hollow.

use super::style;

/// Number of different looks of curves. Indices past the end wrap around to the first look.
pub const LOOKS: u32 = 3 * style::PALETTE.len() as u32;

/// The shape drawn at a curve's points.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Marker {
    /// A disc.
    Circle,
    /// A square.
    Square,
    /// A triangle that points up.
    Triangle,
    /// A square on its corner.
    Diamond,
}

impl Marker {
    const ALL: [Self; 4] = [Self::Circle, Self::Square, Self::Triangle, Self::Diamond];

    /// Returns the name of the marker.
    pub fn name(self) -> &'static str {
        match self {
            Self::Circle => "circle",
            Self::Square => "square",
            Self::Triangle => "triangle",
            Self::Diamond => "diamond",
        }
    }
}

/// The look of a curve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Look {
    /// Colour as `#rrggbb`.
    pub colour: &'static str,
    /// Lengths of strokes and gaps, as in SVG; empty for a solid line.
    pub dash: &'static str,
    /// Marker at the points.
    pub marker: Marker,
}

impl Look {
    /// Returns the look for an index, solid or dashed.
    pub fn of(index: u32, dashed: bool) -> Self {
        let index = (index % LOOKS) as usize;
        let (colour, round) = (index % style::PALETTE.len(), index / style::PALETTE.len());
        let (long, short) = style::DASHES[(colour + colour / 4 + 2 * round) % style::DASHES.len()];
        Self {
            colour: style::PALETTE[colour],
            dash: if dashed { short } else { long },
            marker: Marker::ALL[(colour + round) % Marker::ALL.len()],
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::colour::{contrast, linear, luminance};
    use super::*;

    #[test]
    fn no_two_looks_are_the_same() {
        let looks: BTreeSet<Look> =
            (0..LOOKS).flat_map(|index| [false, true].map(|dashed| Look::of(index, dashed))).collect();
        assert_eq!(looks.len(), 48);
        let markers: BTreeSet<_> =
            (0..LOOKS).map(|index| Look::of(index, false)).map(|l| (l.colour, l.marker)).collect();
        assert_eq!(markers.len(), 24, "dots have no dash");
        assert_eq!(Look::of(0, false), Look { colour: "#1d3557", dash: "", marker: Marker::Circle });
        assert_eq!(Look::of(u32::MAX, true), Look::of(u32::MAX % LOOKS, true));
    }

    #[test]
    fn what_carries_meaning_stands_out_from_the_paper() {
        for colour in style::PALETTE {
            let found = contrast(colour, style::BACKGROUND);
            assert!(found >= 3.0, "{colour} has a contrast of {found:.2}");
        }
        for ink in [style::INK, style::PALE_INK] {
            let found = contrast(ink, style::BACKGROUND);
            assert!(found >= 4.5, "the text {ink} has a contrast of {found:.2}");
        }
    }

    /// Linear light as people without red or without green receptors see it (Viénot, Brettel and Mollon 1999), and in grey.
    const EYES: [(&str, [[f64; 3]; 3]); 4] = [
        ("all receptors", [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]),
        ("protanopia", [[0.112_38, 0.887_62, 0.0], [0.112_38, 0.887_62, 0.0], [0.004_01, -0.004_01, 1.0]]),
        ("deuteranopia", [[0.292_75, 0.707_25, 0.0], [0.292_75, 0.707_25, 0.0], [-0.022_34, 0.022_34, 1.0]]),
        ("grey", [[0.2126, 0.7152, 0.0722]; 3]),
    ];

    /// Returns the coordinates of a colour in CIELAB, as an eye sees it.
    fn seen(colour: &str, eye: &[[f64; 3]; 3]) -> [f64; 3] {
        let light = linear(colour);
        let light = eye.map(|row| row.iter().zip(light).map(|(a, b)| a * b).sum::<f64>().clamp(0.0, 1.0));
        let [red, green, blue] = light;
        let x = (0.4124 * red + 0.3576 * green + 0.1805 * blue) / 0.9505;
        let z = (0.0193 * red + 0.1192 * green + 0.9505 * blue) / 1.0888;
        let [x, y, z] =
            [x, luminance(light), z].map(|t| if t > 0.008_856 { t.cbrt() } else { 7.787 * t + 16.0 / 116.0 });
        [116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)]
    }

    #[test]
    fn curves_differ_for_the_colour_blind_and_in_grey() {
        for (name, eye) in &EYES {
            for a in 0..8 {
                for b in 0..a {
                    let (one, other) = (Look::of(a, false), Look::of(b, false));
                    let (p, q) = (seen(one.colour, eye), seen(other.colour, eye));
                    let distance = p.iter().zip(q).map(|(p, q)| (p - q) * (p - q)).sum::<f64>().sqrt();
                    let shapes = [one.dash != other.dash, one.marker != other.marker];
                    assert!(shapes.contains(&true), "{a} and {b} differ in colour only");
                    // In grey, only shapes tell all eight apart. The first four, which most figures use, differ in everything.
                    let least = match (*name, a < 4) {
                        ("grey", false) => 0.0,
                        ("grey", true) => 6.0,
                        (_, false) => 9.0,
                        (_, true) => 20.0,
                    };
                    assert!(distance >= least, "{name}: {a} and {b} are {distance:.1} apart");
                    assert!(a >= 4 || !shapes.contains(&false), "{a} and {b} share a dash or a marker");
                }
            }
        }
    }
}
