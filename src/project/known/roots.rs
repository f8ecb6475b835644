//! The roots of garbage collection, which are the current results: the figures of the pipelines under some profiles, and
//! the locked figures.

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

/// A figure of a pipeline under a profile, and how many of its stages are known.
pub struct CurrentFigure {
    /// Name of the figure.
    pub name: String,
    /// Name of the profile.
    pub profile: String,
    /// Number of stages that the figure depends on, including itself.
    pub stages: usize,
    /// Number of these stages that were run.
    pub known: usize,
    /// Number of these stages whose bytes are all present.
    pub present: usize,
    /// Outputs of the known stages, except outputs that records contain.
    pub objects: BTreeSet<ObjectDigest>,
}

/// The current results.
#[derive(Default)]
pub struct Roots {
    /// The figures of the pipelines.
    pub figures: Vec<CurrentFigure>,
    /// The keys of stages of pipelines and locks, run or not, each with a name for people.
    pub keys: BTreeMap<StageKey, String>,
    /// Outputs of the stages of locks, inline or not.
    pub locked: BTreeSet<ObjectDigest>,
    /// Objects that locked figures themselves consist of, each with a name for people.
    pub locked_figures: BTreeMap<ObjectDigest, String>,
    /// Objects that the pipelines' figures themselves consist of, each with a name for people.
    pub figures_of_pipelines: BTreeMap<ObjectDigest, String>,
}

impl Project {
    /// Finds the current results: the stages of the pipelines under some profiles (all profiles if none is given), and the
    /// stages of the locks.
    ///
    /// # Errors
    /// If a pipeline is wrong, or the store or a lock cannot be read, so that it is not known which objects are needed.
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
        // A stage that needs data that was never imported was never run either, so it counts as waiting.
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
            // Only folders contain locks; there are other files here too.
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

/// Lists the objects that a record names but does not contain.
fn objects(outline: &Outline) -> impl Iterator<Item = ObjectDigest> + '_ {
    outline.outputs.iter().filter(|output| output.inline.is_none()).map(|output| output.object)
}
