//! Reads `[figure]` and every `[figure.NAME]`: titles, columns, and the size on paper.

use std::collections::{BTreeMap, BTreeSet};

use super::fields::Fields;
use super::node::{Data, Diagnostic, Node};
use super::panels::check_name;
use super::pipeline::Pipeline;
use base::work::{FontSize, Width};

/// The layout of a figure.
#[derive(Clone)]
pub struct Layout {
    /// Title above the panels; can be empty.
    pub title: String,
    /// Largest number of panels per row.
    pub columns: u32,
    /// Width on paper.
    pub width: Width,
    /// Size of labels on paper.
    pub font_size: FontSize,
}

impl Default for Layout {
    fn default() -> Self {
        Self { title: String::new(), columns: 2, width: Width::default(), font_size: FontSize::default() }
    }
}

/// Returns the layout of every drawn figure and of every table, by name. `[figure]` describes the figure with the pipeline's name;
/// its width and font size are those of all figures of the file that set none.
pub fn read(pipeline: &Pipeline, drawn: &BTreeSet<&str>, complaints: &mut Vec<Diagnostic>) -> BTreeMap<String, Layout> {
    let none = Node { origin: pipeline.root.origin.clone(), data: Data::Table(BTreeMap::new()) };
    let node = pipeline.figure.as_ref().unwrap_or(&none);
    let Data::Table(table) = &node.data else {
        complaints.push(node.complain("`figure` must be a table"));
        return BTreeMap::new();
    };
    let is_layout = |node: &Node| matches!(node.data, Data::Table(_));
    let own = table.iter().filter(|(_, node)| !is_layout(node)).map(|(name, node)| (name.clone(), node.clone()));
    let own = Node { origin: node.origin.clone(), data: Data::Table(own.collect()) };
    let usual = Layout { title: pipeline.title.clone(), ..Layout::default() };
    let own = layout(&pipeline.name, &own, &usual, pipeline, complaints);
    let usual = Layout { title: String::new(), columns: 2, ..own };
    let mut layouts: BTreeMap<String, Layout> = drawn.iter().map(|name| ((*name).to_owned(), usual.clone())).collect();
    for (name, node) in table.iter().filter(|(_, node)| is_layout(node)) {
        layouts.insert(name.clone(), layout(name, node, &usual, pipeline, complaints));
    }
    layouts.insert(pipeline.name.clone(), own);
    layouts
}

fn layout(name: &str, node: &Node, usual: &Layout, pipeline: &Pipeline, complaints: &mut Vec<Diagnostic>) -> Layout {
    let none = BTreeMap::new();
    let fields = Fields::new(node, &none);
    let layout = Layout {
        title: fields.drawn_text("title", Some(&usual.title)),
        columns: fields.integer("columns", Some(usual.columns), 1..=8),
        width: width(&fields, usual.width),
        font_size: FontSize(fields.number("font_size", Some(usual.font_size.0), FontSize::RANGE)),
    };
    if fields.has("drawing") {
        fields.text("drawing", None);
        check_name(&fields, name, &pipeline.name);
    }
    complaints.extend(fields.finish("the table `figure`"));
    layout
}

/// Reads a width: one with a name, or a number of millimetres.
fn width(fields: &Fields<'_>, usual: Width) -> Width {
    let Some(node) = fields.node("width") else { return usual };
    let in_range = |width: f64| Width::RANGE.contains(&width).then_some(Width::Mm(width));
    let width = match &node.data {
        Data::Text(text) if text == "text" => Some(Width::Text),
        Data::Text(text) if text == "column" => Some(Width::Column),
        Data::Int(width) => in_range(*width as f64),
        Data::Float(width) => in_range(*width),
        _ => None,
    };
    width.unwrap_or_else(|| {
        let message = format!(
            "`width` must be \"text\" ({} inches), \"column\" ({} inches), or a number of millimetres from {} to {}, not {}",
            Width::Text.inches(),
            Width::Column.inches(),
            Width::RANGE.start(),
            Width::RANGE.end(),
            node.describe()
        );
        fields.complain("width", message);
        usual
    })
}

#[cfg(test)]
mod tests {
    use base::work::Work;

    use super::super::{Pipeline, expand};
    use super::*;

    const FIG3: &str = include_str!("../../pipelines/fig3.toml");

    /// Returns the width and font size of a figure, and its note; or the complaints.
    fn size(text: &str, figure: &str, sets: &[&str]) -> Result<(Width, f64, String), String> {
        let sets: Vec<String> = sets.iter().map(ToString::to_string).collect();
        let read = Pipeline::read("fig3", "fig3.toml", text, "smoke", &sets);
        let graph = read.and_then(|pipeline| expand(&pipeline));
        let graph = graph.map_err(|all| all.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))?;
        let Work::Figure(work) = &graph.stages[graph.figures[figure].stage].work else { panic!() };
        Ok((work.width, work.font_size.0, work.note.clone()))
    }

    #[test]
    fn width_and_font_size_hold_for_all_figures_of_the_file_that_set_none() {
        let usual = size(FIG3, "fig3", &[]).unwrap();
        assert_eq!((usual.0, usual.1), (Width::Text, 8.0));
        let text = FIG3.replacen("[figure.effective-lr]", "[figure.effective-lr]\nwidth = 180", 1);
        let sets = ["figure.width=column", "figure.font_size=9.5"];
        for (figure, width) in [
            ("fig3", Width::Column),
            ("fig3c", Width::Column),
            ("fig6a", Width::Column),
            ("effective-lr", Width::Mm(180.0)),
        ] {
            let (found, font, note) = size(&text, figure, &sets).unwrap();
            assert_eq!((found, font), (width, 9.5), "{figure}");
            assert!(note.starts_with("Profile smoke: "), "the runs are those of the profile: {note}");
        }
        let (one, ..) = size(&text, "effective-lr", &["figure.effective-lr.width=text"]).unwrap();
        assert_eq!(one, Width::Text);
        let in_profile = FIG3.replacen("[profile.smoke]", "[profile.smoke]\nfigure.width = 100.5", 1);
        assert_eq!(size(&in_profile, "fig3", &[]).unwrap().0, Width::Mm(100.5));
    }

    #[test]
    fn other_sizes_are_refused_with_what_is_possible() {
        for (set, wanted) in [
            (
                "figure.width=page",
                "`width` must be \"text\" (5.5 inches), \"column\" (3.25 inches), or a number of millimetres from 60 to 600, \
                 not \"page\"",
            ),
            ("figure.width=20", "millimetres from 60 to 600, not 20"),
            ("figure.font_size=5", "`font_size` must be a number from 8 to 24, not 5"),
            ("figure.widht=column", "the table `figure` has no `widht`; did you mean `width`?"),
            ("figure=3", "`figure` is a table: say figure.FIELD = …"),
        ] {
            let refused = size(FIG3, "fig3", &[set]).unwrap_err();
            assert!(refused.contains(wanted) && refused.contains(&format!("--set '{set}'")), "{refused}");
        }
    }
}
