//! Looks that distinguish curves: eight colours, then the same colours with another dash and another marker.

use super::style;

/// Number of different looks of curves. Indices past the end wrap around to the first look.
pub const LOOKS: u32 = (style::PALETTE.len() * style::ROUNDS.len()) as u32;

/// The shape drawn at a curve's points.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Marker {
    /// A disc.
    Circle,
    /// A square.
    Square,
    /// A square on its corner.
    Diamond,
}

impl Marker {
    /// Returns the name of the marker.
    pub fn name(self) -> &'static str {
        match self {
            Self::Circle => "circle",
            Self::Square => "square",
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
    /// Returns the look for an index into the palette, solid or dashed.
    pub fn of(index: u32, dashed: bool) -> Self {
        let index = (index % LOOKS) as usize;
        let (marker, solid, broken) = style::ROUNDS[index / style::PALETTE.len()];
        let dash = if dashed { broken } else { solid };
        Self { colour: style::PALETTE[index % style::PALETTE.len()], dash, marker }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

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
}
