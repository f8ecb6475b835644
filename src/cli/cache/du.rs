//! `wdpipe cache du`: disk usage by stage, kind or figure.

use std::collections::{BTreeMap, HashMap};

use clap::{Args, ValueEnum};
use serde::Serialize;

use super::ProfileArgs;
use crate::cli::format::{bytes, columns, count, plain};
use crate::cli::parse::whole;
use crate::cli::ui::Ui;
use crate::project::family;
use crate::project::{Failure, Project};
use base::digest::ObjectDigest;
use store::{Occupied, Store};

/// Print disk usage by stage, kind or figure, largest first.
///
/// An object that several stages yielded counts for the first of them in order. With --by figure, an object counts for
/// every figure that has it, so the rows can add up to more than the total.
#[derive(Debug, Args)]
pub struct DuCommand {
    /// Grouping of the rows.
    #[arg(long, value_enum, default_value_t = By::Stage)]
    by: By,
    #[command(flatten)]
    profiles: ProfileArgs,
    /// Number of rows; 0 prints all.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = whole(0..=usize::MAX))]
    rows: usize,
    /// Print one JSON object, with all rows.
    #[arg(long)]
    json: bool,
}

/// Grouping of the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum By {
    /// Stages of one name, without sweep values and epochs.
    Stage,
    /// Kinds of stages.
    Kind,
    /// Figures of the pipelines.
    Figure,
}

/// Number of objects of a row, and their bytes.
#[derive(Default, Serialize)]
struct Sum {
    objects: usize,
    bytes: u64,
}

/// Output of `cache du --json`.
#[derive(Serialize)]
struct DuAnswer<'a> {
    #[serde(flatten)]
    sum: &'a Sum,
    rows: Vec<DuRow<'a>>,
}

#[derive(Serialize)]
struct DuRow<'a> {
    name: &'a str,
    #[serde(flatten)]
    sum: &'a Sum,
}

impl DuCommand {
    /// Runs the command.
    ///
    /// # Errors
    /// If the store cannot be read, or a pipeline is wrong and rows are figures.
    pub fn run(&self, project: &Project, store: &Store, ui: &Ui) -> Result<(), Failure> {
        let occupied = store.occupied()?;
        let mut figures: HashMap<ObjectDigest, Vec<String>> = HashMap::new();
        if self.by == By::Figure {
            for figure in project.roots(&self.profiles.profile, store)?.figures {
                let name = format!("{} ({})", figure.name, figure.profile);
                figure.objects.into_iter().for_each(|object| figures.entry(object).or_default().push(name.clone()));
            }
        }
        let mut sums: BTreeMap<String, Sum> = BTreeMap::new();
        let (mut objects, mut total) = (0, 0);
        for Occupied { object, bytes, kind, stage } in &occupied {
            let or = |name: &str, otherwise: &str| if name.is_empty() { otherwise.to_owned() } else { plain(name) };
            let names = match self.by {
                By::Stage => vec![or(family(stage), "of no stage")],
                By::Kind => vec![or(kind, "of no stage")],
                By::Figure => figures.remove(object).unwrap_or_else(|| vec!["of no current figure".to_owned()]),
            };
            for name in names {
                let sum = sums.entry(name).or_default();
                (sum.objects, sum.bytes) = (sum.objects + 1, sum.bytes + bytes);
            }
            (objects, total) = (objects + 1, total + bytes);
        }
        let mut sums: Vec<_> = sums.into_iter().collect();
        sums.sort_by_key(|(_, sum)| std::cmp::Reverse(sum.bytes));
        if self.json {
            let rows = sums.iter().map(|(name, sum)| DuRow { name, sum }).collect();
            ui.json(&DuAnswer { sum: &Sum { objects, bytes: total }, rows });
            return Ok(());
        }
        let shown = if self.rows == 0 { sums.len() } else { self.rows };
        let row = |(name, sum): &(String, Sum)| vec![bytes(sum.bytes), count(sum.objects, "object"), name.clone()];
        let mut rows: Vec<_> = sums.iter().take(shown).map(row).collect();
        let rest = sums.iter().skip(shown).fold(Sum::default(), |all, (_, sum)| Sum {
            objects: all.objects + sum.objects,
            bytes: all.bytes + sum.bytes,
        });
        if sums.len() > shown {
            rows.push(row(&(format!("{} more (--rows 0 lists them)", sums.len() - shown), rest)));
        }
        rows.push(row(&("in all".to_owned(), Sum { objects, bytes: total })));
        columns(&rows).iter().for_each(|line| ui.answer(line));
        Ok(())
    }
}
