//! The environment variables by which libtorch and its libraries choose how to compute.
//!
//! They are settled once, by the thread that is about to start others: setting a variable while another thread reads one
//! is undefined in C, and each library reads its own at some moment of its choosing.

use std::sync::OnceLock;

use crate::work::Policy;

static SETTLED: OnceLock<Policy> = OnceLock::new();

/// The variables of a policy, each with its value, or with nothing if it must not be set.
fn variables(policy: Policy) -> Vec<(&'static str, Option<&'static str>)> {
    // cuBLAS repeats only with a workspace of fixed size, and libtorch refuses strict mode without this variable.
    let mut variables = vec![("CUBLAS_WORKSPACE_CONFIG", Some(":4096:8"))];
    if policy == Policy::Portable {
        // MKL has no setting for AVX2 that processors of other makers follow, but one that is the same on all.
        variables.extend([
            ("ATEN_CPU_CAPABILITY", Some("avx2")),
            ("ONEDNN_MAX_CPU_ISA", Some("AVX2")),
            ("MKL_CBWR", Some("COMPATIBLE")),
        ]);
    }
    variables
}

/// Sets the variables of a policy; says whether it is the one that holds. The first one holds for the whole process, so a
/// later call changes nothing. To be called before other threads start, if they may compute.
pub fn settle(policy: Policy) -> bool {
    let held = SETTLED.get_or_init(|| {
        for (name, value) in variables(policy) {
            // SAFETY: no other thread reads the environment: stages run on threads that start after this call.
            match value {
                Some(value) => unsafe { std::env::set_var(name, value) },
                None => unsafe { std::env::remove_var(name) },
            }
        }
        policy
    });
    *held == policy
}

/// The policy whose variables are set, if one was settled.
pub fn settled() -> Option<Policy> {
    SETTLED.get().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_policy_holds_for_the_process() {
        let first = settled().unwrap_or(Policy::Native);
        assert!(settle(first) && settled() == Some(first));
        let other = if first == Policy::Native { Policy::Portable } else { Policy::Native };
        assert!(!settle(other) && settled() == Some(first));
        for (name, value) in variables(first) {
            assert_eq!(std::env::var(name).ok().as_deref(), value, "{name}");
        }
    }
}
