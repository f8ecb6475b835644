//! Writes figures from the store to the reports folder.

use std::path::PathBuf;

use crate::engine;
use crate::plan::Knowledge;
use crate::project::targets::select::Selection;
use crate::project::{ExitCode, Failure};
use crate::reports::{VariantSettings, stamped};
use base::digest::ObjectDigest;
use base::table::Table;
use base::work::Work;
use draw::figure;
use draw::stamp::Stamp;
use store::Store;

/// A file of the reports folder.
pub struct Exported {
    /// Path of the file.
    pub path: PathBuf,
    /// Hash of its bytes.
    pub digest: ObjectDigest,
    /// Whether the file was written. Otherwise it was already correct.
    pub changed: bool,
}

impl Selection {
    /// Writes the files of every figure among the targets that was made: SVG, PNG, PDF and numbers (CSV). Beside a variant,
    /// writes the settings that the variant was made with.
    ///
    /// # Errors
    /// If the store cannot be read or the folder cannot be written.
    pub fn export(&self, knowledge: &[Knowledge], store: &Store) -> Result<Vec<Exported>, Failure> {
        let failed = |error: files::FsError| {
            Failure::new(ExitCode::Storage, error.to_string(), "give --reports DIR to write to another folder")
        };
        let mut exported = Vec::new();
        for (figure, id) in self.figures() {
            let Knowledge::Known { key, outline, .. } = &knowledge[id] else { continue };
            let place = self.place(figure);
            // The files contain their key and root.
            let root = engine::closure_root(&self.graph, knowledge, id, store)?;
            let stamp = Stamp { figure: figure.to_owned(), key: *key, root };
            for output in &outline.outputs {
                let bytes = store.output(output)?;
                let (extension, bytes) = match output.name.as_str() {
                    "numbers" => match Table::from_bytes(&bytes) {
                        Ok(table) => ("csv", table.to_csv().into_bytes()),
                        Err(error) => return Err(Failure::new(ExitCode::Storage, error.to_string(), "")),
                    },
                    name => {
                        let damaged = |error| Failure::new(ExitCode::Storage, format!("{figure}: {error}"), "");
                        (name, stamped(name, &bytes, &stamp).map_err(damaged)?)
                    }
                };
                let path = place.path(extension);
                files::create_folder(&place.folder).map_err(failed)?;
                let changed = files::replace(&path, &bytes).map_err(failed)?;
                exported.push(Exported { digest: ObjectDigest::of(&bytes), path, changed });
            }
            if place.name != figure {
                let (profile, set) = (self.profile.clone(), self.variants.set(figure).to_vec());
                let settings = VariantSettings { figure: figure.to_owned(), profile, set, key: *key };
                settings.write(&place).map_err(failed)?;
            }
        }
        Ok(exported)
    }

    /// Lists facts that readers of the figures among the targets should know: numbers that are not drawn at their true place,
    /// and curves that look alike.
    ///
    /// # Errors
    /// If the store cannot be read, or numbers do not fit their figure.
    pub fn notices(&self, knowledge: &[Knowledge], store: &Store) -> Result<Vec<String>, Failure> {
        let damaged = |error: String| Failure::new(ExitCode::Storage, error, "");
        let mut notices = Vec::new();
        for &id in &self.targets {
            let (Work::Figure(figure), Knowledge::Known { outline, .. }) =
                (&self.graph.stages[id].work, &knowledge[id])
            else {
                continue;
            };
            let Some(output) = outline.output("numbers").filter(|_| !figure.is_of_command()) else { continue };
            let numbers = Table::from_bytes(&store.output(output)?).map_err(|error| damaged(error.to_string()))?;
            let found =
                figure::notices(figure, &numbers).map_err(|error| damaged(format!("{}: {error}", figure.name)))?;
            notices.extend(found.into_iter().map(|notice| format!("{}: {notice}", figure.name)));
        }
        Ok(notices)
    }
}
