//! Settles the environment variables that determine how libtorch and its libraries compute.
//!
//! This is done once, by the thread that is about to start others: setting a variable while another thread reads one
//! is undefined in C, and each library can read its variables at any time.

use std::sync::OnceLock;

use super::policy::variables;
use base::work::Policy;

static SETTLED: OnceLock<Policy> = OnceLock::new();

/// Sets the variables of a policy, and returns whether this policy is in force. The first policy is in force for the whole
/// process, so a later call changes nothing. Call this function before starting other threads that can compute.
pub fn settle(policy: Policy) -> bool {
    let held = SETTLED.get_or_init(|| {
        variables::put_in_force(policy);
        policy
    });
    *held == policy
}

/// Returns the policy whose variables are set, if one was settled.
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
        assert_eq!(std::env::var("CUBLAS_WORKSPACE_CONFIG").as_deref(), Ok(":4096:8"));
    }
}
