//! Every committed figure, drawn from its committed numbers at both widths: the sizes of all its texts and lines on paper, as
//! its PDF says them.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use super::graph_named;
use base::table::{Column, Table, Values};
use base::work::{Figure, Work};
use draw::figure;

/// Sizes in points, in the order of their occurrence.
#[derive(Default)]
struct Sizes {
    texts: Vec<f64>,
    lines: Vec<f64>,
}

/// A word of a page's content: an operator, an operand, or a string, whose content does not matter.
fn words(content: &[u8]) -> Vec<String> {
    let (mut words, mut word) = (Vec::new(), String::new());
    let mut bytes = content.iter().map(|&byte| char::from(byte));
    let mut depth = 0;
    while let Some(byte) = bytes.next() {
        match byte {
            '\\' if depth > 0 => drop(bytes.next()),
            '(' => depth += 1,
            ')' => depth -= 1,
            _ if depth > 0 => {}
            '[' | ']' | ' ' | '\n' => words.extend(Some(std::mem::take(&mut word)).filter(|word| !word.is_empty())),
            _ => word.push(byte),
        }
    }
    words
}

type Matrix = [f64; 6];

/// Returns the matrix that applies `inner` first (ISO 32000-1, 8.3.4).
fn after(inner: Matrix, outer: Matrix) -> Matrix {
    let [a, b, c, d, e, f] = outer;
    let apply = |x: f64, y: f64| (a * x + c * y, b * x + d * y);
    let ((p, q), (r, s), (t, u)) = (apply(inner[0], inner[1]), apply(inner[2], inner[3]), apply(inner[4], inner[5]));
    [p, q, r, s, t + e, u + f]
}

/// Returns the factor of lengths across the direction of text.
fn height(matrix: Matrix) -> f64 {
    matrix[2].hypot(matrix[3])
}

/// Returns the sizes of what one page of ours shows: font sizes and line widths, times the matrices in force.
fn sizes(content: &[u8]) -> Sizes {
    const START: Matrix = [1.0, 0.0, 0.0, 1.0, 0.0, 0.0];
    let mut found = Sizes::default();
    let (mut page, mut text, mut font, mut width) = (START, START, 0.0, 1.0);
    let mut saved = Vec::new();
    let mut operands: Vec<f64> = Vec::new();
    for word in words(content) {
        if let Ok(number) = word.parse() {
            operands.push(number);
            continue;
        }
        let matrix = || operands[operands.len() - 6..].try_into().unwrap();
        match word.as_str() {
            "q" => saved.push((page, width)),
            "Q" => (page, width) = saved.pop().unwrap(),
            "cm" => page = after(matrix(), page),
            "Tm" => text = matrix(),
            "Tf" => font = operands[operands.len() - 1],
            "TJ" | "Tj" => found.texts.push(font * height(after(text, page))),
            "w" => width = operands[operands.len() - 1],
            "S" | "B" | "B*" => found.lines.push(width * height(page)),
            _ => {}
        }
        operands.clear();
    }
    found
}

/// Returns the content of the page, which is the first stream of our PDFs.
fn content(pdf: &[u8]) -> Vec<u8> {
    let start = pdf.windows(7).position(|window| window == b"stream\n").unwrap() + 7;
    let mut content = Vec::new();
    flate2::read::ZlibDecoder::new(&pdf[start..]).read_to_end(&mut content).unwrap();
    content
}

/// Reads the numbers of a figure, of the panels that another figure has.
fn numbers(csv: &str, of: &Figure) -> Table {
    let fields = |line: &str| {
        let mut quoted = false;
        let split = line.split(|c: char| {
            quoted ^= c == '"';
            c == ',' && !quoted
        });
        split.map(|field| field.trim_matches('"').to_owned()).collect::<Vec<_>>()
    };
    let mut lines = csv.lines().map(fields);
    let names = lines.next().unwrap();
    let rows: Vec<Vec<String>> = lines.filter(|row| of.panels.iter().any(|panel| panel.id == row[0])).collect();
    let column = |(at, name): (usize, String)| {
        let texts = rows.iter().map(|row| row[at].clone());
        let values = match name.as_str() {
            "panel" | "curve" => Values::Text(texts.collect()),
            _ => Values::Float(texts.map(|text| text.parse().unwrap()).collect()),
        };
        Column { name, values }
    };
    Table::new(names.into_iter().enumerate().map(column).collect()).unwrap()
}

#[test]
fn nothing_in_print_is_smaller_than_6_points_or_thinner_than_0_6() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut drawn: BTreeMap<&str, u32> = BTreeMap::new();
    for (file, csv_of) in [
        ("fig1", &["fig1", "fig5"][..]),
        ("fig2", &["fig2", "fig6b", "fig7", "fine-tuned"]),
        ("fig3", &["fig3", "fig6a", "effective-lr"]),
        ("fig4", &["fig4"]),
        ("grid", &["grid"]),
        ("momentum", &["momentum"]),
        ("prop3", &["prop3"]),
    ] {
        let text = std::fs::read_to_string(root.join(format!("pipelines/{file}.toml"))).unwrap();
        for (width, inches) in [("text", 5.5), ("column", 3.25)] {
            let graph = graph_named(file, &text, "smoke", &[&format!("figure.width={width}")]).unwrap();
            for (name, place) in &graph.figures {
                assert!(csv_of.contains(&place.figure.as_str()), "{name} is not in the table above");
                let Work::Figure(work) = &graph.stages[place.stage].work else { panic!("{name}") };
                let csv = root.join(format!("reports/smoke/{}.csv", place.figure));
                let numbers = numbers(&std::fs::read_to_string(csv).unwrap(), work);
                let svg = figure::svg(work, &numbers).unwrap();
                let pdf = figure::pdf(&svg).unwrap();
                let page = format!("/MediaBox [0 0 {} ", 72.0 * inches);
                assert!(
                    pdf.windows(page.len()).any(|window| window == page.as_bytes()),
                    "{name} is not {inches} in wide"
                );
                let Sizes { texts, lines } = sizes(&content(&pdf));
                let least = |sizes: &[f64]| sizes.iter().copied().fold(f64::INFINITY, f64::min);
                assert!(texts.len() > 10 && least(&texts) > 5.999, "{name}, {width}: a text of {} pt", least(&texts));
                assert!(lines.len() > 4 && least(&lines) > 0.599, "{name}, {width}: a line of {} pt", least(&lines));
                *drawn.entry(width).or_default() += 1;
            }
        }
    }
    assert!(drawn.values().all(|count| *count >= 40) && drawn.len() == 2, "{drawn:?}");
}

#[test]
fn sizes_are_measured_through_all_matrices() {
    let content = b"q\n2 0 0 2 0 0 cm\n0.5 w\n0 0 m\n1 1 l\nS\nq\n0 -3 3 0 5 5 cm\nBT\n/F 4 Tf\n1 0 0 -1 7 8 Tm\n\
        [(a\\)(b)) -3 (S 9 w)] TJ\nET\nQ\nS\nQ\n";
    let found = sizes(content);
    assert_eq!((found.texts, found.lines), (vec![24.0], vec![1.0, 1.0]));
}
