//! The terms that the page uses, with their meaning.

/// Terms and definitions. The id of a term is `word-` and the term, with dashes for spaces.
const WORDS: &[(&str, &str)] = &[
    ("reproduced", "Every comparison of the claim is significant in the claimed direction."),
    ("not reproduced", "At least one comparison is significant in the opposite direction."),
    ("undecided", "Neither: the runs are too few or too scattered to tell. It does not mean that the claim is false."),
    ("claim", "A statement of the paper about curves, as a test that the recorded numbers can pass or fail."),
    (
        "seed",
        "The number that all randomness of a run comes from. Runs that differ only in it show the spread by chance.",
    ),
    ("record", "What one computation yielded: the hashes of its outputs, and where, when and with what it ran."),
    ("lock", "A committed file beside a figure that lists everything the figure was made from."),
    (
        "root",
        "One hash of everything behind a figure, from the data to the drawing. Every copy of the figure carries it.",
    ),
    ("EMA", "Exponential moving average: the mean of the weights of past steps, later steps counting more."),
    ("trace", "Tr(∇²L), the sum of the curvatures of the loss in all directions: small in a flat minimum."),
];

/// Returns the definitions of the page's terms.
pub(super) fn definitions() -> String {
    let one = |(word, meaning): &(&str, &str)| {
        let id = id(word);
        format!("<div><dt id=\"{id}\"><dfn>{word}</dfn></dt><dd>{meaning}</dd></div>\n")
    };
    let all: String = WORDS.iter().map(one).collect();
    format!(
        "<section class=\"words\" aria-labelledby=\"words-heading\">\n\
         <h2 id=\"words-heading\">Words on this page</h2>\n<dl>\n{all}</dl>\n</section>\n"
    )
}

/// Returns the id of a term's definition.
fn id(word: &str) -> String {
    format!("word-{}", word.replace(' ', "-"))
}

/// Returns a link to the definition of a term, with this content in HTML; only the content if the term is not defined.
pub(super) fn defined(word: &str, content: &str, class: &str) -> String {
    match WORDS.iter().any(|(known, _)| *known == word) {
        true => format!("<a class=\"{class}\" href=\"#{}\">{content}</a>", id(word)),
        false => format!("<span class=\"{class}\">{content}</span>"),
    }
}
