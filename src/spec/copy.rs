//! Renames the figures in the text of a pipeline, for a copy beside the original. The rest of the text stays as it is.

use std::ops::Range;

use super::node::{Data, Diagnostic, Node, Origin, parse_file};
use super::pipeline::{list, table};

/// Returns the name of a figure in the copy `copy` of the pipeline `original`.
pub fn renamed(figure: &str, original: &str, copy: &str) -> String {
    if figure == original { copy.to_owned() } else { format!("{copy}-{figure}") }
}

/// Returns the text of the copy `copy` of the pipeline `original`, in which no figure has its old name.
///
/// # Errors
/// If the text is not TOML, or a name is in a place where it cannot be changed.
pub fn with_figures_renamed(file: &str, text: &str, original: &str, copy: &str) -> Result<String, Diagnostic> {
    let root = parse_file(file, text)?;
    let tables = ["panel", "claim", "published"].into_iter().flat_map(|name| list(table(&root).get(name)));
    let mut changes: Vec<(Range<usize>, String)> =
        tables.filter_map(|node| named(text, table(&node).get("figure")?)).collect();
    let headings = text.match_indices("[figure.").filter(|(at, _)| text[..*at].ends_with('\n'));
    changes.extend(headings.filter_map(|(at, heading)| {
        let start = at + heading.len();
        let end = start + text[start..].find(']')?;
        Some((start..end, text[start..end].to_owned()))
    }));
    changes.sort_by_key(|(range, _)| range.start);
    let mut out = text.to_owned();
    for (range, figure) in changes.into_iter().rev() {
        out.replace_range(range, &renamed(&figure, original, copy));
    }
    match kept(&parse_file(file, &out)?, copy) {
        Some(heading) => {
            Err(heading.complain("this name of a figure cannot be changed: write `[figure.NAME]` on a line of its own"))
        }
        None => Ok(out),
    }
}

/// Returns a table of a figure whose name is none of the copy's.
fn kept<'a>(root: &'a Node, copy: &str) -> Option<&'a Node> {
    let profiles = table(root).get("profile").into_iter().flat_map(|profiles| table(profiles).values());
    let figures = std::iter::once(root).chain(profiles).filter_map(|of| table(of).get("figure"));
    let is_kept = |name: &str| name != copy && !name.starts_with(&format!("{copy}-"));
    let sheets = figures.flat_map(table).filter(|(_, node)| matches!(node.data, Data::Table(_)));
    sheets.filter(|(name, _)| is_kept(name)).map(|(_, node)| node).next()
}

/// Returns a name and its place between the quotes. The origin of a value is its key.
fn named(text: &str, node: &Node) -> Option<(Range<usize>, String)> {
    let (Data::Text(name), Origin::File(_, key)) = (&node.data, &node.origin) else { return None };
    let start = key.end + text[key.end..].find(['"', '\''])? + 1;
    text[start..].starts_with(name).then(|| (start..start + name.len(), name.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_names_of_figures_change() {
        let text = "# fig3, and other\n[figure] # fig3\ncolumns = 2\n\n[figure.other]\ntitle = \"other\"\n\n\
            [[panel]]\nid = 'a' # of fig3\n\n[[panel]]\nid = 'a'\nfigure = 'other' # figure = 'other'\n\n\
            [[claim]]\nfigure = \"fig3\"\n\n[[published]]\nfigure=\"other\"\n";
        let wanted = text
            .replace("[figure.other]", "[figure.mine-other]")
            .replace("figure = 'other' #", "figure = 'mine-other' #")
            .replace("figure = \"fig3\"", "figure = \"mine\"")
            .replace("figure=\"other\"", "figure=\"mine-other\"");
        assert_eq!(with_figures_renamed("p", text, "fig3", "mine").unwrap(), wanted);
        for kept in [
            "[figure]\nother.width = 100\n",
            "[profile.smoke]\nfigure.other.width = 100\n",
            " [figure.other]\nwidth = 100\n",
        ] {
            let refused = with_figures_renamed("p", kept, "fig3", "mine").unwrap_err().to_string();
            assert!(refused.contains("on a line of its own"), "{refused}");
        }
        assert!(with_figures_renamed("p", "x =", "fig3", "mine").unwrap_err().to_string().starts_with("p:1: "));
    }
}
