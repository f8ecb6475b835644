//! Heat maps: cells, their colours and the numbers in them.

use super::colour::contrast;
use super::font::Font;
use super::layout::{Plot, Rect};
use super::scale::Scale;
use super::series::Point;
use super::style;
use super::svg::Writer;
use super::ticks::short;
use base::work::Scale as Kind;

/// A cell of a heat map.
pub(super) struct Tile {
    area: Rect,
    fill: String,
    ink: &'static str,
    text: String,
}

/// Returns the cells around the places of the points, coloured and labelled by their means.
pub(super) fn tiles(plot: &Plot, points: &[Point], scale: Kind) -> Vec<Tile> {
    let across = cells_along(&plot.x, points.iter().map(|point| point.x));
    let down = cells_along(&plot.y, points.iter().map(|point| point.y));
    let height = |value: f64| match scale {
        Kind::Linear => Some(value).filter(|value| value.is_finite()),
        Kind::Log => (value > 0.0 && value.is_finite()).then(|| base::rng::ln(value)),
    };
    let heights = || points.iter().filter_map(|point| height(point.mean));
    let (least, most) = (heights().fold(f64::INFINITY, f64::min), heights().fold(f64::NEG_INFINITY, f64::max));
    let tile = |point: &Point| {
        let (left, right) = edge(&across, plot.x.place(point.x)?)?;
        let (low, high) = edge(&down, plot.y.place(point.y)?)?;
        let (x, y) = (plot.across(left), plot.down(high));
        let area = Rect { x, y, width: plot.across(right) - x, height: plot.down(low) - y };
        let share = height(point.mean).map(|height| if most > least { (height - least) / (most - least) } else { 0.5 });
        let (fill, ink) = match share {
            Some(share) => {
                let fill = shade(share);
                let ink = ink(&fill);
                (fill, ink)
            }
            // A value of 0 or less is below all colours of a logarithmic scale.
            None if point.mean.is_finite() => (style::BACKGROUND.to_owned(), style::INK),
            None => (style::GRID.to_owned(), style::PALE_INK),
        };
        let text = match (point.mean.is_finite(), point.diverged > 0) {
            (true, false) => short(point.mean),
            (true, true) => format!("{} ×", short(point.mean)),
            (false, _) => "×".to_owned(),
        };
        Some(Tile { area, fill, ink, text })
    };
    points.iter().filter_map(tile).collect()
}

impl Tile {
    /// Draws the cell without its number.
    pub fn draw(&self, out: &mut Writer) {
        let frame = super::svg::Px(style::FRAME);
        self.area.draw(out, &[("fill", &self.fill), ("stroke", &style::BACKGROUND), ("stroke-width", &frame)]);
    }

    /// Draws the number on a patch of the cell's colour, which keeps guides away from the digits.
    pub fn number(&self, out: &mut Writer, font: &Font) {
        let (x, y) = (self.area.x + self.area.width / 2.0, self.area.y + self.area.height / 2.0);
        let width = (font.width(&self.text, style::CELL_LABEL) + style::PAD).min(self.area.width);
        let height = (1.2 * style::CELL_LABEL).min(self.area.height);
        Rect { x: x - width / 2.0, y: y - height / 2.0, width, height }.draw(out, &[("fill", &self.fill)]);
        let at = (x, y + style::MIDDLE * style::CELL_LABEL);
        out.tinted(at, "middle", style::CELL_LABEL, self.ink, &self.text);
    }
}

/// Returns the start, place and end of the cells around values along an axis.
fn cells_along(scale: &Scale, values: impl Iterator<Item = f64>) -> Vec<(f64, f64, f64)> {
    let Some((low, top, floor)) = scale.zero_row() else {
        return edges(values.filter_map(|value| scale.place(value)));
    };
    let above = edges(values.filter(|value| *value != 0.0).filter_map(|value| scale.place(value)));
    let kept = above.into_iter().map(|(from, at, to)| (from.max(floor), at, to.min(1.0)));
    kept.chain([(low, (low + top) / 2.0, top)]).collect()
}

/// Returns the start, place and end of the cells around places. Neighbours meet halfway, and the outer cells are symmetric.
fn edges(places: impl Iterator<Item = f64>) -> Vec<(f64, f64, f64)> {
    let mut places: Vec<f64> = places.collect();
    places.sort_by(f64::total_cmp);
    places.dedup_by(|a, b| (*a - *b).abs() < 1e-9);
    let count = places.len();
    let cell = |i: usize| {
        let here = places[i];
        let before = (i > 0).then(|| (here - places[i - 1]) / 2.0);
        let after = (i + 1 < count).then(|| (places[i + 1] - here) / 2.0);
        let alone = 0.5;
        let (before, after) = (before.or(after).unwrap_or(alone), after.or(before).unwrap_or(alone));
        (here - before, here, here + after)
    };
    (0..count).map(cell).collect()
}

fn edge(edges: &[(f64, f64, f64)], place: f64) -> Option<(f64, f64)> {
    edges.iter().find(|(_, here, _)| (here - place).abs() < 1e-9).map(|(low, _, high)| (*low, *high))
}

/// Returns the colour of a share from 0 to 1.
fn shade(share: f64) -> String {
    let steps = style::HEAT.len() - 1;
    let at = share.clamp(0.0, 1.0) * steps as f64;
    let i = (at.floor() as usize).min(steps - 1);
    let mix = |c: usize| {
        let (from, to) = (f64::from(style::HEAT[i][c]), f64::from(style::HEAT[i + 1][c]));
        (from + (at - i as f64) * (to - from)).round() as u8
    };
    format!("#{:02x}{:02x}{:02x}", mix(0), mix(1), mix(2))
}

/// Returns the colour of text with the most contrast on a cell.
fn ink(fill: &str) -> &'static str {
    let [dark, light] = style::CELL_INKS;
    if contrast(dark, fill) >= contrast(light, fill) { dark } else { light }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_meet_and_colours_go_from_light_to_dark() {
        let edges = edges([0.0, 1.0, 3.0, 1.0].into_iter());
        assert_eq!(edges, [(-0.5, 0.0, 0.5), (0.5, 1.0, 2.0), (2.0, 3.0, 4.0)]);
        assert_eq!(super::edges([2.0].into_iter()), [(1.5, 2.0, 2.5)]);
        assert_eq!(
            ["#fff3d6", "#8fcbcf", "#1d3557"],
            [shade(0.0), shade(0.5), shade(1.0)].each_ref().map(String::as_str)
        );
    }

    #[test]
    fn numbers_stand_out_from_their_cells() {
        for fill in (0..=500).map(|step| shade(f64::from(step) / 500.0)).chain([style::GRID.to_owned()]) {
            let found = contrast(ink(&fill), &fill);
            assert!(found >= 4.5, "{} on {fill} has a contrast of {found:.2}", ink(&fill));
        }
        assert!(contrast(style::PALE_INK, style::GRID) >= 4.5);
    }
}
