//! One figure's part of the page.

use super::text::{esc, json, link, plural};
use super::words::defined;
use super::{CheckInfo, Checks, ClaimInfo, Listing, Section, data, flow, stages, svg};

/// The verdicts, with the class of their badge and a sign, so that they do not differ only in colour.
pub(super) const VERDICTS: [(&str, &str, &str); 3] =
    [("reproduced", "yes", "✓"), ("not reproduced", "no", "✗"), ("undecided", "open", "?")];

/// Returns the section of a figure; `anchor` is its id.
pub(super) fn section(figure: &Section, anchor: &str) -> String {
    let title = match figure.title.trim() {
        "" => String::new(),
        title => format!(": {}", esc(title)),
    };
    let mut out = format!("<section id=\"{anchor}\" aria-labelledby=\"{anchor}-heading\">\n");
    out.push_str(&format!("<h2 id=\"{anchor}-heading\">{}{title}</h2>\n", esc(&figure.name)));
    out.push_str(&drawing(figure, anchor));
    out.push_str(&origin(figure));
    out.push_str(&claims(&figure.claims));
    if !figure.published.is_empty() {
        out.push_str("<h3>Published values</h3>\n");
        figure.published.iter().for_each(|listing| out.push_str(&listed(listing, &figure.name)));
    }
    out.push_str("<h3>Files</h3>\n");
    out.push_str(&producer(figure));
    out.push_str(&pipeline(&figure.pipeline, &figure.name));
    if let Some(unlocked) = &figure.unlocked {
        out.push_str(&format!("<p class=\"unlocked\">{}.</p>\n", esc(unlocked)));
    }
    if !figure.stages.is_empty() {
        out.push_str("<h3>Stages</h3>\n");
        out.push_str(&flow::picture(&figure.stages, &figure.name, anchor));
        out.push_str(&stages::stages(&figure.stages, &figure.name, anchor));
    }
    out.push_str("<p class=\"back\"><a href=\"#contents\">Back to the contents</a></p>\n</section>\n");
    out
}

/// Returns a few words on whether a figure was checked against its lock.
pub(super) fn standing(checks: &Checks) -> String {
    let (class, words) = match checks {
        Checks::NotLocked => ("open", "not locked"),
        Checks::Done(levels) if levels.iter().all(|level| level.holds) => ("yes", "matches its lock"),
        Checks::Done(levels) if levels.iter().all(|level| level.holds || level.verdict == "missing") => {
            ("open", "not complete")
        }
        Checks::Done(_) => ("no", "differs from its lock"),
    };
    format!("<span class=\"state {class}\">{words}</span>")
}

/// Returns the root, the date, and what was checked.
fn origin(figure: &Section) -> String {
    let mut out = "<dl class=\"origin\">\n".to_owned();
    let mut fact = |word: &str, html: String| out.push_str(&format!("<div><dt>{word}</dt><dd>{html}</dd></div>\n"));
    if !figure.root.is_empty() {
        fact(&defined("root", "Root", "term"), format!("<code>{}</code>", esc(&figure.root)));
    }
    if !figure.newest.is_empty() {
        fact("Newest result", esc(&figure.newest).to_string());
    }
    let level = |check: &CheckInfo| {
        let [name, verdict, summary] = [&check.level, &check.verdict, &check.summary].map(|text| esc(text));
        format!("<li title=\"{}\">{name} {verdict}: {summary}</li>", esc(&check.meaning))
    };
    let found = match &figure.checks {
        Checks::NotLocked => " there was no lock to compare with".to_owned(),
        Checks::Done(levels) => format!("<ul>{}</ul>", levels.iter().map(level).collect::<String>()),
    };
    fact("<code>verify</code>, when this was written", format!("{}{found}", standing(&figure.checks)));
    out.push_str("</dl>\n");
    out
}

/// Returns the drawing, with the elements that the script needs to draw its panels. The script shows the button, because
/// without the script the button would do nothing.
fn drawing(figure: &Section, anchor: &str) -> String {
    let drawing = svg::drawing(&figure.drawing, &format!("{} {}", figure.name, figure.title));
    let caption = match figure.caption.trim() {
        "" => String::new(),
        caption => format!("<figcaption>{}</figcaption>\n", esc(caption)),
    };
    let mut out = format!("<figure>\n<div class=\"card drawing\">\n{drawing}\n</div>\n{caption}</figure>\n");
    if let Some(panels) = data::explorable(figure) {
        out.push_str(&format!(
            "<p class=\"controls\"><button type=\"button\" class=\"explore\" aria-expanded=\"false\" \
             aria-controls=\"{anchor}-panels\" hidden>Explore <span class=\"unseen\">{}</span></button></p>\n\
             <div class=\"panels\" id=\"{anchor}-panels\" hidden></div>\n\
             <script type=\"application/json\" class=\"numbers\">{}</script>\n",
            esc(&figure.name),
            json(&panels),
        ));
    }
    out
}

fn claims(claims: &[ClaimInfo]) -> String {
    if claims.is_empty() {
        return String::new();
    }
    let mut out = "<h3>Claims</h3>\n<ul class=\"claims\">\n".to_owned();
    for claim in claims {
        let known = VERDICTS.iter().find(|verdict| verdict.0 == claim.verdict);
        let (class, sign) = known.map_or(("open", "?"), |&(_, class, sign)| (class, sign));
        let statistics = match claim.statistics.trim() {
            "" => String::new(),
            lines => format!("<p class=\"statistics\">{}</p>\n", esc(lines)),
        };
        out.push_str(&format!(
            "<li>\n<p>{} {} <span class=\"note\">{}</span></p>\n{statistics}</li>\n",
            defined(
                &claim.verdict,
                &format!("<span aria-hidden=\"true\">{sign}</span> {}", esc(&claim.verdict)),
                &format!("badge {class}"),
            ),
            esc(&claim.text),
            esc(&claim.id),
        ));
    }
    out.push_str("</ul>\n");
    out
}

/// Returns a table that the reader can unfold.
fn listed(listing: &Listing, figure: &str) -> String {
    let cells = |cells: &[String], [start, end]: [&str; 2]| -> String {
        cells.iter().map(|cell| format!("<{start}>{}</{end}>", esc(cell))).collect()
    };
    let row = |row: &Vec<String>| format!("<tr>{}</tr>\n", cells(row, ["td"; 2]));
    let rows: String = listing.rows.iter().map(row).collect();
    let title = esc(&listing.title);
    let open = if listing.open { " open" } else { "" };
    let note = match listing.note.trim() {
        "" => String::new(),
        note => format!("<p class=\"hint\">{}</p>\n", esc(note)),
    };
    format!(
        "<details{open}>\n<summary>{title}</summary>\n\
         <div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"{title}, {}\">\n<table>\n\
         <thead><tr>{}</tr></thead>\n<tbody>\n{rows}</tbody>\n</table>\n</div>\n{note}</details>\n",
        esc(figure),
        cells(&listing.heading, ["th scope=\"col\"", "th"]),
    )
}

/// Returns links to the files, and the command that makes them again.
fn producer(figure: &Section) -> String {
    let mut out = String::new();
    if !figure.files.is_empty() {
        let anchor = |(label, path): &(String, String)| format!("<a href=\"{}\">{}</a>", esc(&link(path)), esc(label));
        let links: Vec<String> = figure.files.iter().map(anchor).collect();
        out.push_str(&format!("<p class=\"files\">{}</p>\n", links.join(" · ")));
    }
    if !figure.command.trim().is_empty() {
        let command = esc(&figure.command);
        out.push_str(&format!("<p class=\"command\">To make it anew: <code>{command}</code></p>\n"));
    }
    out
}

fn pipeline((name, text): &(String, String), figure: &str) -> String {
    if text.is_empty() {
        return String::new();
    }
    let (name, lines) = (esc(name), plural(text.lines().count(), "line"));
    format!(
        "<details>\n<summary>Pipeline: {name}, {lines}</summary>\n\
         <pre class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Text of {name}, {}\"><code>{}</code></pre>\n\
         </details>\n",
        esc(figure),
        esc(text),
    )
}
