//! The weakest isolation in which the commands of a project may run.

use crate::graph::Graph;
use base::isolation::Isolation;
use base::work::Work;

/// Completes the terms of all commands. A pipeline that does not say it requires a sandbox in a store that several accounts
/// share, because others use the results. The project's policy cannot be undercut: its results would not be used.
pub fn isolate(graph: &mut Graph, is_shared: bool, policy: Isolation) {
    let default = if is_shared { Isolation::Landlock } else { Isolation::None };
    for stage in &mut graph.stages {
        if let Work::Command(command) = &mut stage.work {
            let weakest = command.terms.isolation.unwrap_or(default).max(policy);
            command.terms.isolation = Some(weakest);
        }
    }
}
