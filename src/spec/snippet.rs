//! Shows mistakes like a compiler: the line, and a mark under the wrong words.

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

use super::node::{Diagnostic, Origin};

impl Diagnostic {
    /// Returns the message after its place on one line, followed by the wrong line.
    pub fn with_snippet(&self) -> String {
        let (text, bytes) = match &self.origin {
            Origin::File(file, bytes) => (file.text.as_str(), bytes),
            Origin::Set(text, bytes) => (&**text, bytes),
        };
        // An empty file, or a mistake that is in no line, has nothing to show.
        if bytes.is_empty() && bytes.start == 0 || text.get(bytes.clone()).is_none() {
            return self.to_string();
        }
        let snippet = Snippet::source(text).annotation(AnnotationKind::Primary.span(bytes.clone()));
        let group = Group::with_level(Level::ERROR).element(snippet);
        format!("{self}\n{}", Renderer::plain().render(&[group]))
    }
}

#[cfg(test)]
mod tests {
    use super::super::node::{parse_file, parse_set};
    use super::*;

    fn shown(result: Result<super::super::node::Node, Diagnostic>) -> String {
        result.unwrap_err().with_snippet()
    }

    #[test]
    fn the_wrong_words_are_marked() {
        let text = "[settings]\nlr = 0.1 # fine\nwd = 2026-01-01\n";
        let wanted = "p.toml:3: dates are not allowed here\n  |\n3 | wd = 2026-01-01\n  |      ^^^^^^^^^^";
        assert_eq!(shown(parse_file("p.toml", text)), wanted);
        let wanted = "--set 'lr=[0.1, 1979-05-27]': dates are not allowed here\n  |\n1 | lr=[0.1, 1979-05-27]\n  |          ^^^^^^^^^^";
        assert_eq!(shown(parse_set("lr=[0.1, 1979-05-27]", "[0.1, 1979-05-27]")), wanted);
    }

    #[test]
    fn nothing_is_shown_of_what_has_no_line() {
        let origin = Origin::whole_set("");
        assert_eq!(Diagnostic { origin, message: "empty".to_owned() }.with_snippet(), "--set '': empty");
    }

    #[test]
    fn every_text_can_be_shown() {
        for text in
            ["a = [", "a = \"\u{1F600}", "\u{feff}a = 1\na = 2\n", "a = 1\r\nb = \r\n", "\ta = \x1b[2J\n", "é = ü"]
        {
            let shown = shown(parse_file("p.toml", text));
            assert!(shown.starts_with("p.toml:") && !shown.contains('\x1b'), "{shown:?}");
        }
    }
}
