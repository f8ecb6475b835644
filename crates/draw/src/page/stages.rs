//! The stages of a figure: totals of those with one name and kind, then each stage.

use std::collections::BTreeSet;

use super::StageInfo;
use super::flow::groups;
use super::text::{esc, time};

/// Largest number of stages that are listed. If there are more, only totals are shown.
pub(super) const MOST_ROWS: usize = 2000;
/// Number of digits of a hash that are shown. The tooltip of a key shows the whole key. That of an output would make the page
/// a fifth larger, and the lock has these hashes.
const DIGITS: usize = 12;
/// Largest number of devices or machines that are named for a kind.
const MOST_NAMES: usize = 4;

/// Returns the stages, folded under a summary with their number and total time.
pub(super) fn stages(stages: &[StageInfo], figure: &str, anchor: &str) -> String {
    if stages.is_empty() {
        return String::new();
    }
    let took = match total(stages.iter()) {
        unknown if unknown.is_nan() => "of unknown time".to_owned(),
        seconds => format!("{} in all", time(seconds)),
    };
    let count = stages.len();
    let rows = match stages.len() {
        1..=MOST_ROWS => rows(stages, figure),
        many => format!("<p>{many} stages are too many to list here, so only the totals are shown.</p>\n"),
    };
    let totals = totals(stages, figure, anchor);
    format!("<details>\n<summary>Stages: {count}, {took}</summary>\n{totals}{rows}</details>\n")
}

/// Returns the sum of the known times; NaN if none is known.
fn total<'a>(stages: impl Iterator<Item = &'a StageInfo>) -> f64 {
    stages.map(|stage| stage.seconds).filter(|seconds| seconds.is_finite()).reduce(|a, b| a + b).unwrap_or(f64::NAN)
}

/// Returns the totals. The picture of the graph links to their rows.
fn totals(stages: &[StageInfo], figure: &str, anchor: &str) -> String {
    let headings = ["Stage", "Kind", "Stages", "Time", "Longest", "Devices", "Machines"];
    let mut out = table(figure, "Totals", &headings);
    for (index, group) in groups(stages).iter().enumerate() {
        let all: Vec<&StageInfo> = group.stages.iter().filter_map(|&stage| stages.get(stage)).collect();
        let longest = all.iter().map(|stage| stage.seconds).fold(f64::NAN, f64::max);
        out.push_str(&format!(
            "<tr id=\"{anchor}-stages-{index}\"><th scope=\"row\">{}</th><td>{}</td><td class=\"number\">{}</td>\
             <td class=\"number\">{}</td><td class=\"number\">{}</td><td>{}</td><td class=\"machine\">{}</td></tr>\n",
            esc(group.name),
            esc(group.kind),
            all.len(),
            time(total(all.iter().copied())),
            time(longest),
            names(all.iter().map(|stage| stage.device.as_str())),
            names(all.iter().map(|stage| stage.machine.as_str())),
        ));
    }
    out.push_str("</tbody>\n</table>\n</div>\n");
    out
}

fn rows(stages: &[StageInfo], figure: &str) -> String {
    let mut out = table(figure, "Each stage", &["Stage", "Kind", "Time", "Device", "Machine", "Key", "Outputs"]);
    for stage in stages {
        let outputs: Vec<String> = stage
            .outputs
            .iter()
            .map(|(name, digits)| format!("{} <code>{}</code>", esc(name), short(digits)))
            .collect();
        out.push_str(&format!(
            "<tr><th scope=\"row\">{}</th><td>{}</td><td class=\"number\">{}</td><td>{}</td>\
             <td class=\"machine\">{}</td><td>{}</td>\
             <td class=\"outputs\">{}</td></tr>\n",
            // Long names break at commas first.
            esc(&stage.name).to_string().replace(',', ",<wbr>"),
            esc(&stage.kind),
            time(stage.seconds),
            esc(&stage.device),
            esc(&stage.machine),
            format_args!("<code title=\"{}\">{}</code>", esc(&stage.key), short(&stage.key)),
            outputs.join("<br>"),
        ));
    }
    out.push_str("</tbody>\n</table>\n</div>\n");
    out
}

/// Returns the beginning of a table in a scrollable box that the keyboard can reach.
fn table(figure: &str, caption: &str, headings: &[&str]) -> String {
    let cell = |heading: &&str| match ["Stages", "Time", "Longest"].contains(heading) {
        true => format!("<th scope=\"col\" class=\"number\">{heading}</th>"),
        false => format!("<th scope=\"col\">{heading}</th>"),
    };
    let cells: String = headings.iter().map(cell).collect();
    format!(
        "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{caption}, {}\">\n<table>\n\
         <caption>{caption}</caption>\n<thead><tr>{cells}</tr></thead>\n<tbody>\n",
        esc(figure),
    )
}

/// Returns the different names in alphabetical order. If there are too many, returns only the first names.
fn names<'a>(all: impl Iterator<Item = &'a str>) -> String {
    let different: BTreeSet<&str> = all.collect();
    let more = different.len().saturating_sub(MOST_NAMES);
    let mut shown: Vec<String> = different.iter().take(MOST_NAMES).map(|name| esc(name).to_string()).collect();
    if more > 0 {
        shown.push(format!("{more} more"));
    }
    shown.join("; ")
}

fn short(digits: &str) -> String {
    esc(&digits.chars().take(DIGITS).collect::<String>()).to_string()
}
