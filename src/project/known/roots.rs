//! The roots of garbage collection: what is current, which is the figures that the pipelines have under some profiles,
//! and those that have a lock.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::plan::{Bytes, Knowledge};
use crate::project::targets::select::Selection;
use crate::project::{Failure, Project};
use crate::reports::{Place, ReportError};
use base::digest::{ObjectDigest, StageKey};
use base::record::Outline;
use base::work::Work;
use store::Store;

/// A figure of a pipeline under a profile, and how much of what is behind it is known.
pub struct CurrentFigure {
    /// Its name.
    pub name: String,
    /// The profile.
    pub profile: String,
    /// Stages behind it, itself counted.
    pub stages: usize,
    /// Of those, the ones that were run.
    pub known: usize,
    /// Of those, the ones whose bytes are all here.
    pub present: usize,
    /// The objects that the known ones yielded, besides those that lie in records.
    pub objects: BTreeSet<ObjectDigest>,
}

/// What is current.
#[derive(Default)]
pub struct Roots {
    /// The figures of the pipelines.
    pub figures: Vec<CurrentFigure>,
    /// The keys of stages of pipelines and locks, run or not, each with a name for people.
    pub keys: BTreeMap<StageKey, String>,
    /// What the stages of locks yielded, inline or not.
    pub locked: BTreeSet<ObjectDigest>,
    /// What locked figures themselves consist of, with a name for people.
    pub locked_figures: BTreeMap<ObjectDigest, String>,
    /// What the pipelines' figures themselves consist of, with a name for people.
    pub figures_of_pipelines: BTreeMap<ObjectDigest, String>,
}

impl Project {
    /// Finds what is current: what the pipelines have under some profiles (all that they have, if none is given), and
    /// what the locks hold.
    ///
    /// # Errors
    /// If a pipeline is wrong, or the store or a lock cannot be read: then it is not known what is needed.
    pub fn roots(&self, profiles: &[String], store: &Store) -> Result<Roots, Failure> {
        let mut roots = Roots::default();
        for (profile, selection) in self.select_each(profiles)? {
            roots.add_pipeline(&profile, &selection, store)?;
        }
        roots.add_locks(&self.reports)?;
        Ok(roots)
    }
}

impl Roots {
    fn add_pipeline(&mut self, profile: &str, selection: &Selection, store: &Store) -> Result<(), Failure> {
        let graph = &selection.graph;
        // What needs data that was never imported was never run either, and waits here.
        let all: Vec<_> = (0..graph.stages.len()).collect();
        let knowledge = selection.resolve_targets(store, &all)?.knowledge;
        for (stage, known) in graph.stages.iter().zip(&knowledge) {
            if let Knowledge::Known { key, .. } | Knowledge::Absent { key, .. } = known {
                self.keys.entry(*key).or_insert_with(|| stage.name.clone());
            }
            if let (Work::Figure(figure), Knowledge::Known { outline, .. }) = (&stage.work, known) {
                let name = format!("{} ({profile})", figure.name);
                self.figures_of_pipelines.extend(objects(outline).map(|object| (object, name.clone())));
            }
        }
        for (name, drawn) in graph.figures.iter().filter(|(_, drawn)| drawn.whole) {
            let (name, profile) = (name.clone(), profile.to_owned());
            let (stages, known, present) = (0, 0, 0);
            let mut figure = CurrentFigure { name, profile, stages, known, present, objects: BTreeSet::new() };
            let needed = graph.closure(&[drawn.stage]);
            for (_, known) in needed.iter().zip(&knowledge).filter(|(needed, _)| **needed) {
                figure.stages += 1;
                let Knowledge::Known { outline, bytes, .. } = known else { continue };
                figure.known += 1;
                figure.present += usize::from(bytes.iter().all(|bytes| *bytes == Bytes::Present));
                figure.objects.extend(objects(outline));
            }
            self.figures.push(figure);
        }
        Ok(())
    }

    fn add_locks(&mut self, reports: &Path) -> Result<(), Failure> {
        for profile in files::list(reports).map_err(ReportError::from)? {
            let folder = reports.join(&profile);
            // Files lie here too; only folders have locks in them.
            if !folder.is_dir() {
                continue;
            }
            for place in Place::all(&folder).map_err(ReportError::from)? {
                let Some(lock) = place.lock()? else { continue };
                for stage in &lock.stages {
                    self.keys.entry(stage.key).or_insert_with(|| stage.name.clone());
                    self.locked.extend(stage.outputs.values());
                }
                let drawn = lock.drawing().into_iter().flat_map(|drawing| drawing.outputs.values());
                let name = format!("{} (locked, {profile})", lock.figure);
                self.locked_figures.extend(drawn.map(|object| (*object, name.clone())));
            }
        }
        Ok(())
    }
}

/// Lists the objects that a record names and does not contain.
fn objects(outline: &Outline) -> impl Iterator<Item = ObjectDigest> + '_ {
    outline.outputs.iter().filter(|output| output.inline.is_none()).map(|output| output.object)
}
