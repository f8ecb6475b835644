//! Tests of stamped PDFs with other programs, where they are installed.

use std::path::Path;
use std::process::Command;

use super::*;

/// Returns the output of a program in a folder; if it is not installed, prints a note and returns `None`.
fn run(folder: &Path, program: &str, arguments: &[&str]) -> Option<String> {
    match Command::new(program).args(arguments).current_dir(folder).output() {
        Ok(output) => {
            let text = [output.stdout, output.stderr].concat().escape_ascii().to_string();
            assert!(output.status.success(), "{program} {arguments:?}: {text}");
            Some(text)
        }
        Err(error) => {
            println!("skipped: {program}: {error}");
            None
        }
    }
}

/// Returns a folder with `bare.pdf` and `stamped.pdf`.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let [.., (_, bare)] = drawings();
    std::fs::write(folder.path().join("stamped.pdf"), stamp(Format::Pdf, &bare, &sample("fig3")).unwrap()).unwrap();
    std::fs::write(folder.path().join("bare.pdf"), bare).unwrap();
    folder
}

fn read(folder: &Path, name: &str) -> Vec<u8> {
    std::fs::read(folder.join(name)).unwrap()
}

#[test]
fn poppler_sees_title_stamp_and_the_same_pixels() {
    let folder = folder();
    let folder = folder.path();
    let title = |text: String| text.split("\\n").find(|line| line.starts_with("Title:")).map(str::to_owned);
    let (Some(bare), Some(stamped)) = (run(folder, "pdfinfo", &["bare.pdf"]), run(folder, "pdfinfo", &["stamped.pdf"]))
    else {
        return;
    };
    assert!(title(bare.clone()).is_some());
    assert_eq!(title(stamped), title(bare));
    if let Some(custom) = run(folder, "pdfinfo", &["-custom", "stamped.pdf"]) {
        assert!(custom.contains(&sample("fig3").to_string()), "{custom}");
    }
    for name in ["bare", "stamped"] {
        run(folder, "pdftoppm", &["-r", "50", &format!("{name}.pdf"), name]);
    }
    assert!(read(folder, "bare-1.ppm") == read(folder, "stamped-1.ppm"));
}

#[test]
fn qpdf_finds_no_fault_and_does_not_lose_it() {
    let folder = folder();
    let folder = folder.path();
    let Some(report) = run(folder, "qpdf", &["--check", "stamped.pdf"]) else { return };
    assert!(report.contains("No syntax or stream encoding errors"), "{report}");
    for mode in ["generate", "disable"] {
        run(folder, "qpdf", &[&format!("--object-streams={mode}"), "stamped.pdf", "saved.pdf"]);
        let saved = read(folder, "saved.pdf");
        assert_eq!(position(&saved, b"wdpipe-figure").is_none(), mode == "generate");
        assert_eq!(find(&saved), [sample("fig3")], "{mode}");
    }
}

#[test]
fn latex_carries_it_into_the_paper() {
    let folder = folder();
    let folder = folder.path();
    let paper = "\\documentclass{article}\\usepackage{graphicx}\\begin{document}\
                 \\includegraphics[width=\\textwidth]{stamped.pdf}\\end{document}";
    std::fs::write(folder.join("paper.tex"), paper).unwrap();
    if run(folder, "pdflatex", &["-interaction=nonstopmode", "paper.tex"]).is_some() {
        assert_eq!(find(&read(folder, "paper.pdf")), [sample("fig3")]);
    }
}
