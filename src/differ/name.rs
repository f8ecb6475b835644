//! The parts of a stage's name: pipeline, family, point of the sweep, epoch.

/// The parts of the name of a stage, such as `fig3/trunk[lr=0.1,seed=0]@3`. Any text can be parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Name<'a> {
    /// The part before the sweep: `fig3/trunk`.
    pub stage: &'a str,
    /// The values of the sweep: `lr` is `0.1`, `seed` is `0`.
    pub axes: Vec<(&'a str, &'a str)>,
    /// The part after the sweep: `@3`.
    pub epoch: &'a str,
}

impl<'a> Name<'a> {
    pub fn of(name: &'a str) -> Self {
        if let Some((stage, rest)) = name.split_once('[')
            && let Some((axes, epoch)) = rest.rsplit_once(']')
        {
            let axes = axes.split(',').map(|axis| axis.split_once('=').unwrap_or((axis, ""))).collect();
            return Self { stage, axes, epoch };
        }
        let (stage, epoch) = name.split_at(name.rfind('@').unwrap_or(name.len()));
        Self { stage, axes: Vec::new(), epoch }
    }

    /// Returns the stage without its pipeline: `trunk`.
    pub fn family(&self) -> &'a str {
        self.stage.rsplit('/').next().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fall_into_parts() {
        let name = |stage, axes: &[(&'static str, &'static str)], epoch| Name { stage, axes: axes.to_vec(), epoch };
        let whole = Name::of("fig3/trunk[lr=0.1,seed=0]@3");
        assert_eq!(whole, name("fig3/trunk", &[("lr", "0.1"), ("seed", "0")], "@3"));
        assert_eq!(whole.family(), "trunk");
        assert_eq!(Name::of("fig1/run@21"), name("fig1/run", &[], "@21"));
        assert_eq!(Name::of("fig3"), name("fig3", &[], ""));
        assert_eq!(Name::of("a[b,c=d"), name("a[b,c=d", &[], ""));
        assert_eq!(Name::of("a[b,c=d=e]"), name("a", &[("b", ""), ("c", "d=e")], ""));
        assert_eq!(Name::of(""), name("", &[], ""));
    }
}
