//! The two sides of a comparison, as arguments.

use std::path::PathBuf;

use clap::Args;

use super::advice::InForce;
use super::arguments::VariantArgs;
use crate::project::{Extent, Failure, Loaded, Project, Variant};

/// The arguments of the commands that compare two closures.
#[derive(Debug, Args)]
pub struct OperandArgs {
    /// A figure, a panel or stages of the pipelines; a lock (FILE.lock); an archive of numbers (FILE.wdpipe); or at least 8
    /// digits of a record's digest or key.
    #[arg(value_name = "A")]
    a: String,
    /// The other side, named in the same way [default: A, if --set-b, --cache-b or --pipelines-b is given].
    #[arg(value_name = "B")]
    b: Option<String>,
    #[command(flatten)]
    variant: VariantArgs,
    /// Change a setting for B only. Repeatable.
    #[arg(long, value_name = "PATH=VALUE")]
    set_b: Vec<String>,
    /// Folder of the cache of B, such as that of another checkout [default: that of A].
    #[arg(long, value_name = "DIR")]
    cache_b: Option<PathBuf>,
    /// Folder of the pipelines of B [default: that of A].
    #[arg(long, value_name = "DIR")]
    pipelines_b: Option<PathBuf>,
}

impl OperandArgs {
    /// Loads both sides.
    ///
    /// # Errors
    /// If a side names nothing, or names a target that was not made.
    pub fn load(&self, project: &Project, extent: Extent) -> Result<[Loaded; 2], Failure> {
        let elsewhere = self.cache_b.is_some() || self.pipelines_b.is_some() || !self.set_b.is_empty();
        if self.b.is_none() && !elsewhere {
            return Err(self.one_alone(project)?);
        }
        let mut of_b = project.clone();
        if let Some(cache) = &self.cache_b {
            if files::identity(cache).map_err(|error| Failure::usage(error.to_string(), ""))?.is_none() {
                return Err(Failure::usage(format!("there is no store {}", cache.display()), ""));
            }
            of_b.cache.clone_from(cache);
        }
        if let Some(pipelines) = &self.pipelines_b {
            of_b.pipelines.clone_from(pipelines);
        }
        let of_a = self.variant.to_variant();
        let set = [&of_a.set[..], &self.set_b].concat();
        let variant = Variant { profile: of_a.profile.clone(), set };
        let on = |side: &str, Failure { message, hint, code }| Failure::new(code, format!("{side}: {message}"), hint);
        let mut a = project.load(&of_a, &self.a, extent).map_err(|failure| on("A", failure))?;
        let mut b = of_b.load(&variant, self.b.as_ref().unwrap_or(&self.a), extent).map_err(|failure| {
            // A command that is recommended for B needs B's options, not those of A.
            let path = |id, path: &Option<PathBuf>| path.as_ref().map(|path| (id, path.display().to_string()));
            let folders = [path("cache", &self.cache_b), path("pipelines", &self.pipelines_b)];
            let in_force = InForce::new(&variant.profile, &variant.set, folders.into_iter().flatten());
            let hint = in_force.complete(&failure.hint).into_owned();
            on("B", Failure { hint, ..failure })
        })?;
        if self.cache_b.is_some() {
            a.title += &format!(" in {}", project.cache.display());
            b.title += &format!(" in {}", of_b.cache.display());
        }
        if let Some(pipelines) = &self.pipelines_b {
            b.title += &format!(" of {}", pipelines.display());
        }
        if !self.set_b.is_empty() {
            b.title += &format!(" with {}", self.set_b.join(", "));
        }
        Ok([a, b])
    }

    /// Returns the failure for A without B, which lists the outcomes if A is a key with several.
    fn one_alone(&self, project: &Project) -> Result<Failure, Failure> {
        if let Some(several) = project.several_outcomes(&self.a)? {
            return Ok(several);
        }
        let hint =
            "name B, or another store (--cache-b DIR), other pipelines (--pipelines-b DIR) or settings (--set-b)";
        Ok(Failure::usage(format!("there is nothing to compare `{}` with", self.a), hint))
    }
}
