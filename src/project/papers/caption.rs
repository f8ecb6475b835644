//! A sentence for the caption of a figure. It says which root the figure has, what is recorded about it, and how to check it.

use super::CitedFigure;
use draw::stamp::Stamp;

/// The form of a caption.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Markup {
    /// Plain text.
    Text,
    /// LaTeX. A line before the sentence keeps the root in papers that XeLaTeX makes.
    Latex,
    /// Markdown.
    Markdown,
}

impl CitedFigure {
    /// Returns the sentence for a figure. `repository` is the address where its lock can be found.
    pub fn caption(&self, markup: Markup, repository: Option<&str>) -> String {
        let code = |text: &str| match markup {
            Markup::Text => text.to_owned(),
            Markup::Latex => format!("\\texttt{{{}}}", latex(text)),
            Markup::Markdown => format!("`{text}`"),
        };
        let root = self.stamp.root.short();
        let place = match (repository, markup) {
            (Some(address), Markup::Markdown) => format!(" in <{address}>"),
            (Some(address), Markup::Latex) => format!(" in {}", code(address).replace('/', "/\\allowbreak{}")),
            (Some(address), Markup::Text) => format!(" in {address}"),
            (None, _) => String::new(),
        };
        let sentence = format!(
            "Made by wdpipe: {}, profile {}, root {} ({}). To check it, run {}{place}.",
            code(&self.subject.place.name),
            code(&self.subject.profile),
            code(&root),
            self.standing(),
            code(&format!("wdpipe whois {root}")),
        );
        if markup == Markup::Latex { format!("{}\n{sentence}", keep(&self.stamp)) } else { sentence }
    }
}

/// Returns a line of LaTeX that puts a stamp into the information of the paper's PDF. pdfLaTeX and LuaLaTeX copy the stamp of an
/// included drawing; XeLaTeX drops it, and does what the line says.
fn keep(stamp: &Stamp) -> String {
    // In a stamp, the only character with a meaning in LaTeX is the percent sign.
    let text = stamp.to_string().replace('%', "\\csname @percentchar\\endcsname ");
    format!("\\ifdefined\\XeTeXversion\\special{{pdf:docinfo <</Wdpipe{} ({text})>>}}\\fi", stamp.root.short())
}

/// Writes a text so that LaTeX prints it.
fn latex(text: &str) -> String {
    let mut out = String::new();
    for symbol in text.chars() {
        match symbol {
            '\\' => out += "\\textbackslash{}",
            '~' => out += "\\textasciitilde{}",
            '^' => out += "\\textasciicircum{}",
            '#' | '$' | '%' | '&' | '_' | '{' | '}' => out.extend(['\\', symbol]),
            symbol => out.push(symbol),
        }
    }
    out
}

#[cfg(test)]
pub mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::project::Subject;
    use crate::reports::Place;
    use base::digest::{ClosureRoot, StageKey};

    /// Returns a figure without a lock.
    pub fn cited(figure: &str) -> CitedFigure {
        let place = Place { folder: PathBuf::new(), name: figure.to_owned() };
        let (key, root) = (StageKey::from_bytes([7; 32]), ClosureRoot::from_bytes([0xab; 32]));
        let stamp = Stamp { figure: figure.to_owned(), key, root };
        CitedFigure { subject: Subject { profile: "smoke".to_owned(), place }, stamp, lock: None }
    }

    #[test]
    fn captions_name_the_root_and_how_to_check_it() {
        let (figure, address) = (cited("fig3"), Some("https://example.org/a_b#c"));
        assert_eq!(
            figure.caption(Markup::Text, None),
            "Made by wdpipe: fig3, profile smoke, root abababababab (not locked). To check it, run wdpipe whois \
             abababababab."
        );
        assert_eq!(
            figure.caption(Markup::Markdown, address),
            "Made by wdpipe: `fig3`, profile `smoke`, root `abababababab` (not locked). To check it, run `wdpipe whois \
             abababababab` in <https://example.org/a_b#c>."
        );
        let latex = figure.caption(Markup::Latex, address);
        let (kept, sentence) = latex.split_once('\n').unwrap();
        assert!(kept.contains(&figure.stamp.to_string()), "{kept}");
        assert_eq!(
            sentence,
            "Made by wdpipe: \\texttt{fig3}, profile \\texttt{smoke}, root \\texttt{abababababab} (not locked). To check it, \
             run \\texttt{wdpipe whois abababababab} in \
             \\texttt{https:/\\allowbreak{}/\\allowbreak{}example.org/\\allowbreak{}a\\_b\\#c}."
        );
    }

    #[test]
    fn no_character_of_a_name_ends_a_line_of_latex() {
        let kept = keep(&cited("a b").stamp);
        assert!(kept.contains("name=a\\csname @percentchar\\endcsname 20b") && !kept.contains('%'), "{kept}");
        assert_eq!(latex("a\\b~^_{"), "a\\textbackslash{}b\\textasciitilde{}\\textasciicircum{}\\_\\{");
    }
}
