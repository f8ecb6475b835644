//! Macros of LaTeX with the numbers of a figure, for the sentences of a paper.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::engine;
use crate::graph::{Carry, StageId};
use crate::project::figures::judged::{tables, unfit};
use crate::project::figures::published::{ComparedValue, Relation};
use crate::project::known::resolved::Resolved;
use crate::project::text::{command, short};
use crate::project::{Compared, ExitCode, Failure, Judged};
use base::work::Figure;
use draw::figure::replica_values;
use store::Store;

/// Macros under construction: comments, and the names with their values.
struct Macros {
    /// Start of every name.
    figure: String,
    text: String,
    /// How often each name was wanted.
    taken: BTreeMap<String, usize>,
}

impl Macros {
    fn comment(&mut self, text: &str) {
        let _ = writeln!(self.text, "% {}", text.replace(char::is_control, " "));
    }

    fn define(&mut self, name: &str, value: &str) {
        let mut name = format!("{}{name}", self.figure);
        let count = self.taken.entry(name.clone()).or_default();
        *count += 1;
        if *count > 1 {
            name += &format!("No{}", letters(&count.to_string()));
        }
        let _ = writeln!(self.text, "\\newcommand{{\\{name}}}{{{value}}}");
    }

    /// Defines a number, if it is known.
    fn number(&mut self, name: &str, value: f64) {
        if value.is_finite() {
            self.define(name, &tex(value));
        }
    }
}

impl Resolved<'_> {
    /// Returns the macros of a figure: its root, the last numbers of every curve, the verdicts and p-values of its claims, and
    /// what is compared with published values. The same records give the same text.
    ///
    /// # Errors
    /// If the figure was not made, or the store cannot be read.
    pub fn macros(&self, id: StageId, figure: &Figure, store: &Store) -> Result<String, Failure> {
        let (selection, name) = (self.selection, figure.name.as_str());
        if self.known(id).is_none() {
            let message = format!("`{name}` was not made yet with these settings");
            return Err(Failure::new(ExitCode::Missing, message, selection.ways_to_result(name)));
        }
        let root = engine::closure_root(&selection.graph, &self.knowledge, id, store)?;
        let mut macros = Macros { figure: letters(name), text: String::new(), taken: BTreeMap::new() };
        let again = command(&["numbers", name, "--tex"], &selection.profile, selection.variants.set(name));
        macros.comment(&format!("Written by `{again}`. Do not edit it: write it again."));
        macros.comment(&format!("root {root}"));
        macros.define("Root", &root.to_string());
        // In a sentence, the whole root would run over the edge of the page.
        macros.define("RootShort", &root.short());
        macros.define("Profile", &selection.profile.replace('_', "\\_"));
        self.curves(id, figure, store, &mut macros)?;
        let of_figure = selection.graph.figures.get(name).is_some_and(|drawn| drawn.whole);
        let figures = Vec::from_iter(of_figure.then(|| name.to_owned()));
        for Compared { claims, published, .. } in selection.compare(&figures, store)? {
            claims.iter().for_each(|judged| claim(judged, &mut macros));
            published.values.iter().for_each(|value| self::value(value, &mut macros));
            published.relations.iter().for_each(|both| relation(both, &mut macros));
        }
        Ok(macros.text)
    }

    /// Defines the number at the last x of every curve of means.
    fn curves(&self, id: StageId, figure: &Figure, store: &Store, macros: &mut Macros) -> Result<(), Failure> {
        let inputs = &self.selection.graph.stages[id].inputs;
        let Ok(tables) = tables(inputs, &self.knowledge, store)? else { return Ok(()) };
        let values = replica_values(figure, &tables).map_err(unfit)?;
        for panel in &figure.panels {
            for curve in panel.curves.iter().filter(|curve| curve.mark.is_mean()) {
                let own = values.iter().filter(|one| std::ptr::eq(one.curve, curve)).map(|one| one.point);
                let Some(last) = own.max_by(|a, b| a.x.total_cmp(&b.x)) else { continue };
                let dashed = if curve.dashed { ", dashed" } else { "" };
                macros.comment(&format!("panel {}, {}{dashed}: the last x and its number", panel.id, curve.label));
                let name = letters(&format!("{} {} {}", panel.id, curve.label, dashed));
                macros.number(&format!("{name}LastX"), last.x);
                macros.number(&format!("{name}Last"), last.mean);
                macros.number(&format!("{name}LastStd"), last.std);
                macros.number(&format!("{name}LastRuns"), last.n as f64);
            }
        }
        Ok(())
    }
}

fn claim(Judged { claim, outcome }: &Judged<'_>, macros: &mut Macros) {
    macros.comment(&format!("claim {}: {}", claim.id, claim.text));
    let name = format!("Claim{}", letters(&claim.id));
    macros.define(&format!("{name}Verdict"), outcome.verdict.name());
    macros.number(&format!("{name}P"), outcome.p.unwrap_or(f64::NAN));
}

/// Defines a value of ours that has a published counterpart, such as a plateau.
fn value(ComparedValue { published, value, ours, standing }: &ComparedValue<'_>, macros: &mut Macros) {
    let Some(ours) = ours else { return };
    let place = place(value.x);
    macros.comment(&format!("panel {}, {}: our value where {place} is published", published.panel, value.curve));
    let (name, sample) = (letters(&format!("{} {} {place}", published.panel, value.curve)), ours.sample());
    macros.number(&name, sample.mean);
    macros.number(&format!("{name}Std"), sample.std);
    macros.number(&format!("{name}Runs"), sample.n as f64);
    macros.number(&format!("{name}Published"), value.mean);
    macros.define(&format!("{name}Verdict"), standing.name());
}

fn relation(Relation { published, kind, values: [low, high], ours, standing }: &Relation<'_>, macros: &mut Macros) {
    let (place, word) = (place(low.x), if *kind == Carry::Ratio { "over" } else { "below" });
    let text = format!("{} {} {word} {} {place}", published.panel, low.curve, high.curve);
    macros.comment(&format!("panel {text}"));
    let name = letters(&text);
    if *kind == Carry::Ratio {
        macros.number(&name, ours[0].sample().mean / ours[1].sample().mean);
    }
    macros.define(&format!("{name}Verdict"), standing.name());
}

/// Names a place on the horizontal axis.
fn place(x: [f64; 2]) -> String {
    if x[0] == x[1] { format!("at {}", short(x[0])) } else { format!("from {} to {}", short(x[0]), short(x[1])) }
}

/// Formats a number with four significant digits for LaTeX, in text and in formulas.
fn tex(value: f64) -> String {
    let text = short(value);
    match text.split_once('e') {
        Some((digits, exponent)) => format!("\\ensuremath{{{digits}\\cdot10^{{{exponent}}}}}"),
        None if text.starts_with('-') => format!("\\ensuremath{{{text}}}"),
        None => text,
    }
}

/// Turns a text into a name of letters, since LaTeX allows nothing else: `LR 0.1` becomes `LRZeroPointOne`.
fn letters(text: &str) -> String {
    const DIGITS: [&str; 10] = ["Zero", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine"];
    let symbols: Vec<char> = text.chars().collect();
    let is_digit = |at: Option<usize>| at.and_then(|at| symbols.get(at)).is_some_and(char::is_ascii_digit);
    let is_letter = |at: Option<usize>| at.and_then(|at| symbols.get(at)).is_some_and(char::is_ascii_alphabetic);
    let mut name = String::new();
    for (at, &symbol) in symbols.iter().enumerate() {
        let (before, next) = (at.checked_sub(1), Some(at + 1));
        // The e of an exponent, as in 5e-4.
        let exponent = before.is_some_and(|e| symbols[e] == 'e') && is_digit(at.checked_sub(2));
        match symbol {
            '0'..='9' => name += DIGITS[symbol as usize - '0' as usize],
            '.' if is_digit(next) => name += "Point",
            '-' | '−' if is_digit(next) && (exponent || !is_letter(before)) => name += "Minus",
            'a'..='z' if !is_letter(before) => name.push(symbol.to_ascii_uppercase()),
            'a'..='z' | 'A'..='Z' => name.push(symbol),
            _ => {}
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_letters_only() {
        for (text, name) in [
            ("fig3", "FigThree"),
            ("LR 0.1", "LRZeroPointOne"),
            ("ema-below-sgd", "EmaBelowSgd"),
            ("λ = 5e-4, Tr(∇²L)", "FiveEMinusFourTrL"),
            ("cifar-10 at -1", "CifarOneZeroAtMinusOne"),
            ("from 10 to 95.", "FromOneZeroToNineFive"),
            ("", ""),
        ] {
            assert_eq!(letters(text), name);
        }
    }

    #[test]
    fn numbers_are_written_for_latex() {
        let written = [0.12345, -2.0, 1e-9, 1234.0].map(tex);
        assert_eq!(written, ["0.1235", "\\ensuremath{-2}", "\\ensuremath{1\\cdot10^{-9}}", "1234"]);
    }

    #[test]
    fn a_name_is_defined_only_once() {
        let mut macros = Macros { figure: "F".into(), text: String::new(), taken: BTreeMap::new() };
        macros.number("A", 1.0);
        macros.number("B", f64::NAN);
        macros.number("A", 2.0);
        assert_eq!(macros.text, "\\newcommand{\\FA}{1}\n\\newcommand{\\FANoTwo}{2}\n");
    }
}
