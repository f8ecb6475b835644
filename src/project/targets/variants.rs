//! Variants: figures that are made with other settings than their pipelines have. Finds them, and names their files.

use std::collections::BTreeMap;

use crate::graph::{Drawn, Graph};
use crate::reports;
use base::digest::Description;
use base::value::ValueError;
use base::work::Work;

/// The figures of a selection whose files have another name than the figure: figures made with other settings, and a figure
/// that the user named.
#[derive(Debug, Default)]
pub struct Variants(BTreeMap<String, Renamed>);

#[derive(Debug)]
struct Renamed {
    /// Name of its files.
    name: String,
    /// The `--set`s that change the figure.
    set: Vec<String>,
}

impl Variants {
    /// Returns the name of a figure's files.
    pub fn name<'a>(&'a self, figure: &'a str) -> &'a str {
        self.0.get(figure).map_or(figure, |variant| &variant.name)
    }

    /// Returns the `--set`s that a figure is made with; empty if they do not change it.
    pub fn set(&self, figure: &str) -> &[String] {
        self.0.get(figure).map_or(&[], |variant| &variant.set)
    }

    /// Gives a figure another name.
    pub fn call(&mut self, figure: &str, name: &str) {
        let variant = self.0.entry(figure.to_owned());
        name.clone_into(&mut variant.or_insert(Renamed { name: String::new(), set: Vec::new() }).name);
    }

    /// Finds the figures of `graph` that differ from those of `default`, the same pipeline without `--set`s. A figure that does
    /// not differ gets the default's note, so that its drawing is the same too.
    ///
    /// # Errors
    /// If a parameter is NaN.
    pub fn add(&mut self, graph: &mut Graph, default: Option<&Graph>, set: &[String]) -> Result<(), ValueError> {
        let of = graph.descriptions()?;
        let of_default = default.map(Graph::descriptions).transpose()?;
        for (name, Drawn { stage, .. }) in &graph.figures {
            if let (Some(default), Some(of_default)) = (default, &of_default)
                && let Some(drawn) = default.figures.get(name)
                && unnoted(default, drawn.stage, of_default)? == unnoted(graph, *stage, &of)?
            {
                graph.stages[*stage].work = default.stages[drawn.stage].work.clone();
                continue;
            }
            let variant = Renamed { name: reports::variant(name, &of[*stage]), set: set.to_vec() };
            self.0.insert(name.clone(), variant);
        }
        Ok(())
    }
}

/// Describes a figure without its note, which states the settings in words.
fn unnoted(graph: &Graph, stage: usize, of: &[Description]) -> Result<Description, ValueError> {
    let mut work = graph.stages[stage].work.clone();
    if let Work::Figure(figure) = &mut work {
        figure.note.clear();
    }
    graph.described(&work, &graph.stages[stage].inputs, of)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{Pipeline, expand};

    const TEXT: &str = "[settings]\nnoise = 0.5\nseed = [0, 1]\n[stage.valley]\nkind = \"valley\"\nnoise = \"$noise\"\n\
        seed = \"$seed\"\n[profile.smoke]\n[profile.quick]\nnoise = 0.3\n\
        [[panel]]\nid = \"a\"\nx = { label = \"x\" }\ny = { label = \"y\" }\n\
        [[panel.curve]]\nfrom = \"valley\"\ntable = \"tuned\"\nx = \"step\"\ny = \"loss\"\n";

    fn graph(profile: &str, set: &[String]) -> (Graph, Vec<String>) {
        let pipeline = Pipeline::read("f", "f.toml", TEXT, profile, set).unwrap();
        (expand(&pipeline).unwrap(), pipeline.sets)
    }

    /// Returns the name of the figure's files and its note.
    fn named(profile: &str, set: &[&str]) -> (String, String) {
        let set: Vec<String> = set.iter().map(ToString::to_string).collect();
        let (mut graph, sets) = graph(profile, &set);
        let mut variants = Variants::default();
        variants.add(&mut graph, Some(&super::tests::graph(profile, &[]).0), &sets).unwrap();
        let Work::Figure(figure) = &graph.stages[graph.figures["f"].stage].work else { panic!() };
        (variants.name("f").to_owned(), figure.note.clone())
    }

    #[test]
    fn a_figure_with_the_default_settings_is_no_variant_however_they_are_said() {
        let default = ("f".to_owned(), "Profile smoke: 1,600 steps; 2 seeds.".to_owned());
        for same in [
            &[][..],
            &["noise=0.5"],
            &["valley.lr=0.1"],
            &["noise=0.1", "noise=0.5"],
            &["seed=[0,1]"],
            &["figure.width=text"],
        ] {
            assert_eq!(named("smoke", same), default, "{same:?}");
        }
        assert_ne!(named("smoke", &["figure.width=column"]).0, "f");
        // The policy `portable` does not affect stages without libtorch.
        assert_eq!(named("smoke", &["policy=portable"]), default);
        assert_eq!(named("quick", &["noise=0.3"]).0, "f");
    }

    #[test]
    fn other_settings_give_a_name_that_is_always_the_same() {
        let (name, note) = named("smoke", &["noise=0.3"]);
        assert!(reports::is_variant(&name) && name.starts_with("f@"), "{name}");
        assert_eq!(note, "Profile smoke with noise=0.3: 1,600 steps; 2 seeds.");
        assert_eq!(
            named("smoke", &["seed=[0,1]", "noise=0.3"]).0,
            name,
            "a setting that changes nothing does not count"
        );
        let others = [named("smoke", &["noise=0.4"]), named("smoke", &["seed=0"]), named("quick", &["noise=0.5"])];
        let mut names: Vec<_> = others.into_iter().map(|(other, _)| other).chain([name]).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), 4);
    }
}
