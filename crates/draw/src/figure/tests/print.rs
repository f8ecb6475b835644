//! Tests of drawings on paper: their size, their rows, their colours, and exponents and indices in them.

use super::*;

/// Returns the width and height of a drawing on paper, in inches.
fn inches(svg: &str) -> (f64, f64) {
    let document = roxmltree::Document::parse(svg).unwrap();
    let length = |name: &str| document.root_element().attribute(name).unwrap().parse::<f64>().unwrap() / 96.0;
    (length("width"), length("height"))
}

/// Returns the number of panels in the first row.
fn columns(svg: &str) -> usize {
    let document = roxmltree::Document::parse(svg).unwrap();
    let frames = document.descendants().filter(|node| node.has_tag_name("clipPath"));
    let tops: Vec<&str> = frames.filter_map(|node| node.first_element_child()?.attribute("y")).collect();
    tops.iter().filter(|top| *top == &tops[0]).count()
}

#[test]
fn a_drawing_has_its_width_on_paper_and_as_many_columns_as_fit() {
    let (figure, tables) = sample();
    let mm = Width::Mm;
    for (width, font, panels, wanted, columns_wanted, inches_wanted) in [
        (Width::Text, 8.0, 4, 2, 2, 5.5),
        (Width::Text, 8.0, 4, 4, 2, 5.5),
        (Width::Text, 8.0, 3, 3, 2, 5.5),
        (Width::Text, 12.0, 3, 3, 1, 5.5),
        (Width::Column, 8.0, 4, 2, 1, 3.25),
        (Width::Column, 8.0, 1, 1, 1, 3.25),
        (mm(254.0), 8.0, 4, 4, 4, 10.0),
        (mm(254.0), 8.0, 4, 3, 3, 10.0),
    ] {
        let mut figure = Figure { width, font_size: FontSize(font), columns: wanted, ..figure.clone() };
        figure.panels.truncate(panels);
        check_labels(&figure, &tables);
        let svg = drawn(&figure, &tables);
        let found = inches(&svg);
        assert!((found.0 - inches_wanted).abs() < 2e-4, "{width:?}: {found:?}");
        assert_eq!(columns(&svg), columns_wanted, "{width:?}, {panels} panels of {font} points in {wanted} columns");
        let page = pdf(&svg).unwrap();
        let box_ = format!("/MediaBox [0 0 {} ", 72.0 * inches_wanted);
        assert!(page.windows(box_.len()).any(|window| window == box_.as_bytes()), "{box_}");
    }
}

#[test]
fn everything_with_a_meaning_stands_out_from_the_paper() {
    for (figure, tables) in [sample(), marked()] {
        let svg = drawn(&figure, &tables);
        let document = roxmltree::Document::parse(&svg).unwrap();
        let mut seen = 0;
        for node in document.descendants().filter(|node| node.is_element()) {
            // The cells of a heat map have a number in them, in a colour of its own.
            let has_number = node.next_sibling_element().is_some_and(|next| next.has_tag_name("text"));
            let is_cell =
                node.has_tag_name("rect") && (node.attribute("stroke") == Some(style::BACKGROUND) || has_number);
            for colour in ["fill", "stroke"].into_iter().filter_map(|name| node.attribute(name)) {
                if colour == "none"
                    || [style::BACKGROUND, style::GRID, style::CELL_INKS[1]].contains(&colour)
                    || is_cell
                {
                    continue;
                }
                let least = if node.has_tag_name("text") { 4.5 } else { 3.0 };
                let found = colour::contrast(colour, style::BACKGROUND);
                assert!(found >= least, "{colour} of <{}> has a contrast of {found:.2}", node.tag_name().name());
                seen += 1;
            }
            assert!(!node.has_attribute("stroke-opacity"), "lines are never pale");
        }
        assert!(seen > 30, "{seen}");
    }
}

#[test]
fn exponents_and_indices_are_small_and_shifted_and_remain_text() {
    let (mut figure, tables) = sample();
    figure.panels[0].title = "L(w̃_t) of ‖w‖² × 10⁻³".into();
    figure.panels[0].y.label = "η_{LR}".into();
    let svg = drawn(&figure, &tables);
    let document = roxmltree::Document::parse(&svg).unwrap();
    let all =
        |node: roxmltree::Node| node.descendants().filter_map(|n| n.text().filter(|_| n.is_text())).collect::<String>();
    let title =
        document.descendants().find(|node| node.has_tag_name("text") && all(*node).starts_with("(a) ")).unwrap();
    assert_eq!(all(title), "(a) L(w̃t) of ‖w‖2 × 10−3");
    let parts: Vec<(&str, Option<&str>, Option<&str>)> = title
        .children()
        .filter(roxmltree::Node::is_element)
        .map(|part| (part.text().unwrap(), part.attribute("dy"), part.attribute("font-size")))
        .collect();
    let wanted = [
        ("t", Some("1.95"), Some("9")),
        (") of ‖w‖", Some("-1.95"), None),
        ("2", Some("-3.9"), Some("9")),
        (" × 10", Some("3.9"), None),
        ("−3", Some("-3.9"), Some("9")),
    ];
    assert_eq!(parts, wanted);
    // The description is read aloud.
    let words = document.descendants().find(|node| node.has_tag_name("desc")).and_then(|node| node.text()).unwrap();
    assert!(words.starts_with("Panel a: L(w̃ sub t) of ‖w‖² × 10⁻³. η sub LR (logarithmic)"), "{words}");
    check_labels(&figure, &tables);
}
