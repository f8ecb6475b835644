//! Running stages as lines of a terminal: their names, their latest values, and a small curve of the training loss.

use super::format::columns;
use super::ui::plain;
use crate::engine::{Reading, Trail};

/// Heights of the columns of a small curve.
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Indentation of the lines that continue the one of a stage.
const INDENT: usize = 8;

/// Width and height of a terminal, in characters.
#[derive(Debug, Clone, Copy)]
pub struct Screen {
    /// Number of columns.
    pub width: usize,
    /// Number of lines.
    pub height: usize,
}

impl Default for Screen {
    fn default() -> Self {
        Self { width: 80, height: 24 }
    }
}

/// Returns lines for running stages, each with the name of the worker that runs it, which can be empty. On a wide screen each
/// stage has a line, in columns; on a narrow one its line is broken between values. If the lines do not fit, only the start of
/// each is shown, and if that does not fit either, only the first stages.
pub fn lines(stages: &[(Reading, &str)], screen: Screen) -> Vec<String> {
    // One line is for the whole run, and one stays free for the cursor.
    let height = screen.height.saturating_sub(2).max(1);
    let curve = (screen.width / 8).min(24);
    let rows: Vec<Vec<String>> = stages.iter().map(|(reading, worker)| row(reading, worker, curve)).collect();
    let wide = aligned(&rows);
    if wide.len() <= height && wide.iter().all(|line| line.chars().count() <= screen.width) {
        return wide;
    }
    let folded: Vec<String> = rows.iter().flat_map(|row| folded(row, screen.width)).collect();
    if folded.len() <= height {
        return folded;
    }
    let mut short: Vec<String> = rows.iter().map(|row| folded_start(row, screen.width)).collect();
    if short.len() > height {
        let left = short.len() - (height - 1);
        short.truncate(height - 1);
        short.push(format!("{:INDENT$}… and {left} more", ""));
    }
    short
}

/// Returns the values of a stage in words, as far as they are known.
pub fn values(reading: &Reading) -> Vec<String> {
    let Reading { epoch, loss, test_error, images_per_second, .. } = reading;
    let all = [
        epoch.map(|epoch| format!("epoch {epoch:.1}")),
        loss.map(|loss| format!("loss {loss:.3}")),
        test_error.map(|error| format!("test error {error:.1} %")),
        images_per_second.map(|rate| format!("{rate:.0} images/s")),
    ];
    all.into_iter().flatten().collect()
}

/// Returns the cells of a stage's line; those of unknown values are empty.
fn row(reading: &Reading, worker: &str, curve: usize) -> Vec<String> {
    let Reading { stage, done, epoch, loss, test_error, images_per_second, .. } = reading;
    let only = |reading: Reading| values(&reading).pop().unwrap_or_default();
    let none = Reading::default;
    vec![
        format!("  {:>3.0} % {}", 100.0 * done, plain(stage)),
        only(Reading { epoch: *epoch, ..none() }),
        only(Reading { loss: *loss, ..none() }),
        only(Reading { test_error: *test_error, ..none() }),
        only(Reading { images_per_second: *images_per_second, ..none() }),
        sparkline(&reading.losses, curve),
        plain(worker).into_owned(),
    ]
}

/// Returns a line for each row, in columns. Empty columns are left out.
fn aligned(rows: &[Vec<String>]) -> Vec<String> {
    let is_used = |column: usize| rows.iter().any(|row| !row[column].is_empty());
    let used: Vec<usize> = (0..rows.first().map_or(0, Vec::len)).filter(|column| is_used(*column)).collect();
    let chosen = |row: &Vec<String>| used.iter().map(|column| row[*column].clone()).collect();
    columns(&rows.iter().map(chosen).collect::<Vec<_>>())
}

/// Breaks a row between its cells into lines of at most `width` columns.
fn folded(row: &[String], width: usize) -> Vec<String> {
    let mut lines = vec![shortened(&row[0], width)];
    for cell in row[1..].iter().filter(|cell| !cell.is_empty()) {
        let at = lines.len() - 1;
        if lines[at].chars().count() + 2 + cell.chars().count() <= width {
            lines[at] += &format!("  {cell}");
        } else {
            lines.push(shortened(&format!("{:INDENT$}{cell}", ""), width));
        }
    }
    lines
}

fn folded_start(row: &[String], width: usize) -> String {
    folded(row, width).swap_remove(0)
}

/// Cuts a text that is wider than `width` columns in its middle: the names of stages differ at their ends.
fn shortened(text: &str, width: usize) -> String {
    let symbols: Vec<char> = text.chars().collect();
    if symbols.len() <= width {
        return text.to_owned();
    }
    let kept = width.saturating_sub(1);
    let (start, end) = (kept - kept / 2, kept / 2);
    symbols[..start].iter().chain(['…'].iter()).chain(&symbols[symbols.len() - end..]).collect()
}

/// Draws a trail in one line of at most `width` columns; empty if there are fewer than two points.
fn sparkline(trail: &Trail, width: usize) -> String {
    let numbers: Vec<f64> = trail.points.iter().map(|(_, number)| *number).collect();
    if numbers.len() < 2 || width == 0 {
        return String::new();
    }
    // A column shows the mean of several points if there are more points than columns.
    let columns = numbers.len().min(width);
    let means: Vec<f64> = (0..columns)
        .map(|column| {
            let part = &numbers[column * numbers.len() / columns..(column + 1) * numbers.len() / columns];
            part.iter().sum::<f64>() / part.len() as f64
        })
        .collect();
    let (low, high) = means.iter().fold((f64::MAX, f64::MIN), |(low, high), mean| (low.min(*mean), high.max(*mean)));
    let bar = |mean: &f64| {
        let share = if high > low { (mean - low) / (high - low) } else { 0.0 };
        BARS[((share * BARS.len() as f64) as usize).min(BARS.len() - 1)]
    };
    means.iter().map(bar).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trail(count: u32) -> Trail {
        Trail { points: (1..=count).map(|epoch| (f64::from(epoch), 2.3 / f64::from(epoch))).collect() }
    }

    fn training(lr: &str, epoch: f64, count: u32) -> Reading {
        Reading {
            stage: format!("fig3/trunk[lr={lr},seed=0]@20"),
            done: epoch / 20.0,
            epoch: Some(epoch),
            loss: Some(2.3 / epoch),
            test_error: (count > 0).then_some(90.0 / epoch),
            images_per_second: Some(812.0),
            losses: trail(count),
            ..Reading::default()
        }
    }

    fn some() -> Vec<(Reading, &'static str)> {
        let trace = Reading { stage: "fig3/trace[lr=0.1,seed=0]@5".into(), done: 0.25, ..Reading::default() };
        vec![(training("0.1", 13.4, 13), ""), (training("0.15", 1.0, 0), ""), (trace, "")]
    }

    fn shown(width: usize, height: usize) -> String {
        let lines = lines(&some(), Screen { width, height });
        assert!(lines.len() <= height - 2, "{lines:#?}");
        assert!(lines.iter().all(|line| line.chars().count() <= width), "{lines:#?}");
        lines.join("\n")
    }

    #[test]
    fn a_wide_screen_has_a_line_in_columns_for_each_stage() {
        insta::assert_snapshot!(shown(200, 24));
    }

    #[test]
    fn a_usual_screen_breaks_lines_between_values() {
        insta::assert_snapshot!(shown(80, 24));
    }

    #[test]
    fn a_narrow_screen_breaks_lines_more_often() {
        insta::assert_snapshot!(shown(40, 24));
    }

    #[test]
    fn a_low_screen_shows_the_starts_of_lines_and_then_the_first_stages() {
        insta::assert_snapshot!([shown(40, 5), shown(80, 4)].join("\n---\n"));
    }

    #[test]
    fn a_worker_is_named_last_and_a_name_is_cut_in_its_middle() {
        let stages = [(Reading { stage: "a-very-long-pipeline/x[lr=0.1]@5".into(), ..Reading::default() }, "12_3")];
        let narrow = Screen { width: 30, height: 24 };
        assert_eq!(lines(&stages, narrow), ["    0 % a-very-…ne/x[lr=0.1]@5", "        12_3"]);
        assert_eq!(lines(&stages, Screen::default()), ["    0 % a-very-long-pipeline/x[lr=0.1]@5  12_3"]);
    }

    #[test]
    fn small_curves_show_the_course() {
        assert_eq!(sparkline(&trail(1), 8), "");
        assert_eq!(sparkline(&trail(4), 8), "█▃▁▁");
        assert_eq!(sparkline(&Trail { points: vec![(1.0, 2.0), (2.0, 2.0)] }, 8), "▁▁");
        let rising = Trail { points: (0..240).map(|at| (f64::from(at), f64::from(at))).collect() };
        assert_eq!(sparkline(&rising, 8), "▁▂▃▄▅▆▇█");
    }
}
