//! Layout: sizes of margins from measured text, and the grid of panels.

use super::font::Font;
use super::legend::{self, Legend};
use super::scale::Scale;
use super::series::Point;
use super::svg::{Px, Writer};
use super::ticks::{Tick, ticks};
use super::{FigureError, caption, marks, style};
use base::work::{Axis, Figure, Mark, Panel, Scale as Kind};

/// A rectangle; y grows downwards.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Rect {
    pub x: f64,
    pub y: f64,
    pub width: f64,
    pub height: f64,
}

impl Rect {
    pub fn grown(self, by: f64) -> Self {
        Self { x: self.x - by, y: self.y - by, width: self.width + 2.0 * by, height: self.height + 2.0 * by }
    }

    pub fn draw(&self, out: &mut Writer, look: &[(&str, &dyn std::fmt::Display)]) {
        let (x, y, width, height) = (Px(self.x), Px(self.y), Px(self.width), Px(self.height));
        let place: [(&str, &dyn std::fmt::Display); 4] = [("x", &x), ("y", &y), ("width", &width), ("height", &height)];
        out.leaf("rect", &[&place, look].concat());
    }
}

/// The area between a panel's axes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plot {
    pub area: Rect,
    pub x: Scale,
    pub y: Scale,
}

impl Plot {
    /// Returns where a value is drawn, possibly outside the area, or `None` if the axes have no position for it.
    pub fn at(&self, x: f64, y: f64) -> Option<(f64, f64)> {
        Some((self.across(self.x.place(x)?), self.down(self.y.place(y)?)))
    }

    /// Returns the upper and lower edge of the band. An edge without a place on the axis is far outside.
    pub fn band(&self, point: &Point) -> (f64, f64) {
        let high = self.y.place(point.high).unwrap_or(11.0);
        let low = self.y.place(point.low).unwrap_or(-10.0);
        (self.down(high), self.down(low))
    }

    pub fn across(&self, place: f64) -> f64 {
        self.area.x + place * self.area.width
    }

    pub fn down(&self, place: f64) -> f64 {
        self.area.y + (1.0 - place) * self.area.height
    }

    fn moved(self, x: f64, y: f64) -> Self {
        Self { area: Rect { x, y, ..self.area }, ..self }
    }
}

/// A panel with everything that its drawing needs.
pub(super) struct Cell<'a> {
    pub panel: &'a Panel,
    pub series: &'a [Vec<Point>],
    pub plot: Plot,
    pub x_ticks: Vec<Tick>,
    pub y_ticks: Vec<Tick>,
    pub title: Vec<String>,
    pub x_label: Vec<String>,
    pub y_label: Vec<String>,
    /// The panel's own legend and its place.
    pub legend: Option<(Legend, (f64, f64))>,
    /// Distance from the frame to the far side of the y label, the same in all panels of a column.
    pub left: f64,
    /// Distance from the frame to the far end of the last tick label.
    right: f64,
    /// Height of guides' labels above the frame.
    pub over: f64,
}

/// A figure's parts and their places.
pub(super) struct Layout<'a> {
    /// CSS pixels (1/96 inch) on paper per unit of the drawing.
    pub unit: f64,
    pub width: f64,
    pub height: f64,
    pub title: Vec<String>,
    pub cells: Vec<Cell<'a>>,
    /// Lines at the foot, and the baseline of the first line.
    pub caption: (Vec<String>, f64),
    /// The legend of all panels, if they share one.
    pub legend: Option<(Legend, (f64, f64))>,
}

fn lines_height(lines: &[String], size: f64) -> f64 {
    lines.len() as f64 * style::LINE * size
}

/// Panels in columns of equal plot areas.
struct Grid<'a> {
    cells: Vec<Cell<'a>>,
    /// Left edge of each column's plot areas, and the room that labels need to the left of it.
    lefts: Vec<(f64, f64)>,
    size: (f64, f64),
    /// Width of the drawing.
    width: f64,
}

impl<'a> Grid<'a> {
    /// Arranges panels within a width: in at most the wanted number of columns, and in fewer if plot areas would be too narrow.
    fn of(figure: &'a Figure, series: &'a [Vec<Vec<Point>>], font: &Font, width: f64) -> Result<Self, FigureError> {
        let count = figure.panels.len().max(1);
        let wanted = (figure.columns.max(1) as usize).min(count);
        let mut grid = Self::in_columns(wanted, figure, series, font, width)?;
        while grid.lefts.len() > 1 && grid.size.0 < style::NARROWEST {
            // As many rows as that takes, as full as possible.
            let rows = count.div_ceil(grid.lefts.len() - 1);
            grid = Self::in_columns(count.div_ceil(rows), figure, series, font, width)?;
        }
        Ok(grid)
    }

    /// Arranges panels in columns. The labels' room depends on the ticks and thus on the size of the plot areas, and the size on
    /// the room, so both are found in turns.
    fn in_columns(
        columns: usize,
        figure: &'a Figure,
        series: &'a [Vec<Vec<Point>>],
        font: &Font,
        width: f64,
    ) -> Result<Self, FigureError> {
        const TURNS: u32 = 8;
        let mut across = width / columns as f64 - 60.0;
        let mut turn = 0;
        loop {
            let (share, least, most) = style::HEIGHT;
            across = across.max(least);
            let size = (across, (share * across).clamp(least, most));
            let cells = figure.panels.iter().zip(series).map(|(panel, series)| Cell::of(panel, series, font, size));
            let cells: Vec<Cell<'a>> = cells.collect::<Result<_, _>>()?;
            let of_column = |c: usize, measure: fn(&Cell) -> f64| {
                cells.iter().skip(c).step_by(columns).map(measure).fold(0.0, f64::max)
            };
            let mut lefts = Vec::new();
            let mut x = style::MARGIN;
            for c in 0..columns {
                let left = of_column(c, |cell| cell.left);
                x += left + if c > 0 { style::GAP.0 } else { 0.0 };
                lefts.push((x, left));
                x += size.0 + of_column(c, |cell| cell.right);
            }
            let spare = width - (x + style::MARGIN);
            turn += 1;
            // Ticks can come and go with the size. So the last turns only make plot areas smaller, and the rest is shared out.
            let change = if turn > TURNS / 2 { spare.min(0.0) } else { spare } / columns as f64;
            if change.abs() < 0.01 || turn == TURNS || (change < 0.0 && across <= least) {
                let gap = spare.max(0.0) / columns as f64;
                lefts.iter_mut().zip(1..).for_each(|((x, _), c)| *x += gap * f64::from(c));
                // Only labels that leave no room for plot areas make the drawing wider.
                let over = if spare < -1.0 { -spare } else { 0.0 };
                return Ok(Self { cells, lefts, size, width: width + over });
            }
            across += change;
        }
    }
}

impl<'a> Layout<'a> {
    pub fn of(figure: &'a Figure, series: &'a [Vec<Vec<Point>>], font: &Font) -> Result<Self, FigureError> {
        let unit = figure.font_size.0 / 72.0 * 96.0 / style::AXIS_LABEL;
        let Grid { mut cells, lefts, size, width } =
            Grid::of(figure, series, font, figure.width.inches() * 96.0 / unit)?;
        let columns = lefts.len();

        let entries: Vec<_> = figure.panels.iter().zip(series).map(|(p, s)| legend::entries(p, s)).collect();
        let shared = if figure.panels.len() > 1 { legend::shared(entries.clone()) } else { None };
        let mut below: Vec<f64> = Vec::new();
        for (cell, entries) in cells.iter_mut().zip(entries) {
            let mut under = cell.under();
            if shared.is_none() && !is_bars(cell.panel) {
                cell.place_legend(entries, font, &mut under);
            }
            below.push(under);
        }

        let most = |values: &mut dyn Iterator<Item = f64>| values.fold(0.0, f64::max);
        let title = font.wrap(&figure.title, style::FIGURE_TITLE, width - 2.0 * style::MARGIN);
        let mut y = style::MARGIN + lines_height(&title, style::FIGURE_TITLE);
        y += if title.is_empty() { 0.0 } else { style::PAD };
        for (row, (cells, below)) in cells.chunks_mut(columns).zip(below.chunks(columns)).enumerate() {
            y += if row > 0 { style::GAP.1 } else { 0.0 };
            y += most(&mut cells.iter().map(Cell::above));
            y = y.ceil();
            for (cell, &(x, left)) in cells.iter_mut().zip(&lefts) {
                cell.move_to(x, y);
                cell.left = left;
            }
            y += size.1 + most(&mut below.iter().copied());
        }
        let legend = shared.and_then(|all| {
            let all_columns = all.len();
            Legend::set(all, font, all_columns, width - 2.0 * style::MARGIN)
        });
        let legend = legend.map(|legend| {
            y += 1.5 * style::PAD;
            let at = ((width - legend.width()) / 2.0, y);
            y += legend.height();
            (legend, at)
        });
        let caption = font.wrap(&caption::caption(figure, series), style::CAPTION, width - 2.0 * style::MARGIN);
        y += if caption.is_empty() { 0.0 } else { style::PAD };
        let baseline = y + style::ASCENT * style::CAPTION;
        y += lines_height(&caption, style::CAPTION);
        Ok(Self { unit, width, height: (y + style::MARGIN).ceil(), title, cells, caption: (caption, baseline), legend })
    }

    /// Returns the width and height in CSS pixels.
    pub fn on_paper(&self) -> (f64, f64) {
        (self.width * self.unit, self.height * self.unit)
    }
}

impl<'a> Cell<'a> {
    /// Measures a panel whose plot area has the given size. The area's corner is the origin until it is moved.
    fn of(panel: &'a Panel, series: &'a [Vec<Point>], font: &Font, size: (f64, f64)) -> Result<Self, FigureError> {
        let points =
            || panel.curves.iter().zip(series).flat_map(|(curve, points)| points.iter().map(move |p| (curve, p)));
        let bars = is_bars(panel);
        let x_axis = Axis { range: bars.then(|| bar_range(panel)).or(panel.x.range), ..panel.x.clone() };
        let mut x = Scale::of(&x_axis, "x", &panel.id, points().map(|(_, point)| point.x))?;
        let foot = (bars && panel.y.scale == Kind::Linear).then_some(0.0);
        let heights = points().flat_map(|(curve, point)| visible(curve.mark, point)).chain(foot);
        let mut y = Scale::of(&panel.y, "y", &panel.id, heights)?;
        let cells = || points().filter(|(curve, _)| curve.mark == Mark::Heat).map(|(_, point)| point);
        let has_cells = cells().next().is_some();
        for (axis, scale, value) in [(&panel.x, &mut x, column as fn(&Point) -> f64), (&panel.y, &mut y, row)] {
            if axis.range.is_none() && has_cells {
                *scale = scale.around_cells(cells().map(value));
            }
            if axis.scale == Kind::Log && cells().any(|point| value(point) == 0.0) {
                *scale = scale.with_zero(distinct(cells().map(value).filter(|&at| at > 0.0)));
            }
        }
        if bars && panel.y.range.is_none() && y.values.0 == 0.0 {
            // Bars stand on the frame.
            y.low = 0.0;
        }
        let plot = Plot { area: Rect { x: 0.0, y: 0.0, width: size.0, height: size.1 }, x, y };
        let width = |tick: &Tick| font.width(&tick.label, style::TICK_LABEL);
        let beside = |a: &Tick, b: &Tick| (b.place - a.place) * size.0 >= (width(a) + width(b)) / 2.0 + style::TICK_GAP;
        let above = |a: &Tick, b: &Tick| (b.place - a.place) * size.1 >= 1.4 * style::TICK_LABEL;
        // The rows and columns of cells have ticks at their own places.
        let named = |axis: &Axis, scale: &Scale, value: fn(&Point) -> f64| match &axis.ticks {
            None if has_cells => Axis { ticks: Some(cells().map(value).collect()), ..axis.clone() },
            Some(wanted) if scale.zero.is_some() && !wanted.is_empty() => {
                Axis { ticks: Some([&wanted[..], &[0.0]].concat()), ..axis.clone() }
            }
            _ => axis.clone(),
        };
        let (x_axis, y_axis) = (named(&panel.x, &x, column), named(&panel.y, &y, row));
        let x_ticks = if bars { bar_names(panel, &x) } else { ticks(&x_axis, &x, has_cells, beside) };
        let y_ticks = ticks(&y_axis, &y, has_cells, above);

        let title = if panel.id.is_empty() { panel.title.clone() } else { format!("({}) {}", panel.id, panel.title) };
        let y_label = font.wrap(&panel.y.label, style::AXIS_LABEL, size.1);
        let widest = y_ticks.iter().map(width).fold(0.0, f64::max);
        let label = lines_height(&y_label, style::AXIS_LABEL) + if y_label.is_empty() { 0.0 } else { style::PAD };
        let overhang = |from_end: fn(f64) -> f64| {
            let over = |tick: &Tick| width(tick) / 2.0 - from_end(tick.place) * size.0;
            x_ticks.iter().map(over).fold(0.0, f64::max)
        };
        let outside = panel.guides.iter().filter(|_| !has_cells);
        let guides = || outside.clone().filter_map(|guide| Some((marks::guide(&plot, guide)?, &guide.label)));
        let beside_guides = guides()
            .filter(|((_, at, _), _)| at.0 > size.0)
            .map(|(_, label)| 4.0 + font.width(label, style::CAPTION))
            .fold(0.0, f64::max);
        let above_guides = guides().any(|((_, at, _), label)| at.1 < 0.0 && !label.is_empty());
        Ok(Self {
            panel,
            series,
            plot,
            over: if above_guides { style::LINE * style::CAPTION } else { 0.0 },
            title: font.wrap(&title, style::PANEL_TITLE, size.0),
            x_label: font.wrap(&panel.x.label, style::AXIS_LABEL, size.0),
            y_label,
            left: (style::TICK + 3.0 + widest + label).max(overhang(|place| place)),
            right: overhang(|place| 1.0 - place).max(beside_guides),
            x_ticks,
            y_ticks,
            legend: None,
        })
    }

    /// Puts the legend into a free corner, or below the axis if no corner is free.
    fn place_legend(&mut self, entries: Vec<legend::Entry>, font: &Font, under: &mut f64) {
        let area = self.plot.area;
        let inside = Legend::set(entries.clone(), font, 1, 0.6 * area.width);
        let corner = inside.as_ref().and_then(|legend| legend.corner(&self.plot, self.panel, self.series));
        self.legend = match (inside, corner) {
            (Some(legend), Some(at)) => Some((legend, at)),
            _ => {
                let all = entries.len();
                Legend::set(entries, font, all, area.width).map(|legend| {
                    *under += style::PAD;
                    let at = ((area.width - legend.width()) / 2.0, area.height + *under);
                    *under += legend.height();
                    (legend, at)
                })
            }
        };
    }

    /// Returns the height of the title and labels above the plot area.
    fn above(&self) -> f64 {
        lines_height(&self.title, style::PANEL_TITLE) + style::PAD + self.over
    }

    /// Returns the height of the tick labels and the name of the horizontal axis.
    fn under(&self) -> f64 {
        style::TICK + 5.0 + style::LINE * style::TICK_LABEL + lines_height(&self.x_label, style::AXIS_LABEL)
    }

    fn move_to(&mut self, x: f64, y: f64) {
        self.plot = self.plot.moved(x, y);
        if let Some((_, at)) = &mut self.legend {
            *at = (at.0 + x, at.1 + y);
        }
    }
}

/// Returns the horizontal value of a cell.
fn column(cell: &Point) -> f64 {
    cell.x
}

/// Returns the vertical value of a cell.
fn row(cell: &Point) -> f64 {
    cell.y
}

/// Returns the number of different values.
fn distinct(values: impl Iterator<Item = f64>) -> usize {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.dedup();
    values.len()
}

/// Checks whether a panel shows only bars; its horizontal axis then names them.
fn is_bars(panel: &Panel) -> bool {
    !panel.curves.is_empty() && panel.curves.iter().all(|curve| curve.mark == Mark::Bars)
}

fn bar_range(panel: &Panel) -> [f64; 2] {
    [-0.6, panel.curves.len() as f64 - 0.4]
}

fn bar_names(panel: &Panel, scale: &Scale) -> Vec<Tick> {
    let name = |(i, curve): (usize, &base::work::Curve)| {
        Some(Tick { place: scale.inside(i as f64)?, label: curve.label.clone() })
    };
    panel.curves.iter().enumerate().filter_map(name).collect()
}

/// Returns the values of a point that its axis should show. A band with an end that is not finite is shown as far as the axis
/// goes.
fn visible(mark: Mark, point: &Point) -> impl Iterator<Item = f64> {
    let all = if mark == Mark::Heat { [point.y; 3] } else { [point.mean, point.low, point.high] };
    all.into_iter().filter(|value| value.is_finite())
}
