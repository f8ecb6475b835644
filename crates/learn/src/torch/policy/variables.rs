//! Environment variables that change how libtorch and the libraries below it compute.
//!
//! None of them is in a key or a record, so none may change a bit: each is removed, or set to the policy's value,
//! before the first of these libraries is opened. Whole families are removed, because a list of names would be out of
//! date with the next version of a library, and no run needs any of them. Variables are left unchanged if they only
//! determine memory, time or the device, or if their effect is part of the recorded class of machine.
//! docs/determinism.md describes this for users.

use std::ffi::{OsStr, OsString};
use std::sync::OnceLock;

use base::work::Policy;

/// What happens to a variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// The variable keeps the user's value.
    Left,
    /// The variable is unset.
    Removed,
    /// The variable gets this value, whether it was set or not.
    Set(&'static str),
}
use Fate::{Left, Removed, Set};

/// The fate of variables with one name, or with one prefix (written with `*` at the end).
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    names: &'static str,
    native: Fate,
    portable: Fate,
}

const fn rule(names: &'static str, native: Fate, portable: Fate) -> Rule {
    Rule { names, native, portable }
}

/// The rules. The first rule that matches a name applies.
const RULES: [Rule; 18] = [
    // Instruction sets. libtorch reports the set it uses, so under `native` the recorded class shows it; oneDNN and MKL
    // do not report it. MKL has no setting for AVX2 that works on processors of all vendors, but one code path that is the
    // same on all of them.
    rule("ATEN_CPU_CAPABILITY", Left, Set("avx2")),
    rule("ONEDNN_MAX_CPU_ISA", Removed, Set("AVX2")),
    rule("MKL_CBWR", Removed, Set("COMPATIBLE")),
    // oneDNN: instruction sets and hints, products of float32 in 16 bits. oneDNN reads each name in two forms.
    rule("ONEDNN_*", Removed, Removed),
    rule("DNNL_*", Removed, Removed),
    rule("_ONEDNN_*", Removed, Removed),
    rule("_DNNL_*", Removed, Removed),
    // MKL: instruction sets, threads by domain (which override the number that libtorch sets), other algorithms.
    rule("MKL_*", Removed, Removed),
    // Generated code for 16-bit and quantised products.
    rule("FBGEMM_*", Removed, Removed),
    // libtorch's own choices of library, algorithm and precision. Variables for error traces are harmless.
    rule("TORCH_SHOW_*", Left, Left),
    rule("TORCH_*", Removed, Removed),
    // cuBLAS is deterministic only with a workspace of fixed size, and libtorch refuses strict mode without this variable.
    rule("CUBLAS_WORKSPACE_CONFIG", Set(":4096:8"), Set(":4096:8")),
    // cuBLAS and cuDNN: emulated precision, tables of algorithms, workspace limits that affect the choice of algorithm.
    rule("CUBLAS_*", Removed, Removed),
    rule("CUBLASLT_*", Removed, Removed),
    rule("CUDNN_*", Removed, Removed),
    rule("CUDA_EMULATION_*", Removed, Removed),
    rule("NVIDIA_TF32_OVERRIDE", Removed, Removed),
    // Kernels compiled by the driver instead of the shipped ones.
    rule("CUDA_FORCE_*", Removed, Removed),
];

/// A variable, and its new value; `None` if it is to be unset.
pub type Change = (OsString, Option<&'static str>);

/// Returns the changes that a policy requires in an environment with these variables.
pub fn changes(policy: Policy, present: impl IntoIterator<Item = OsString>) -> Vec<Change> {
    let set = RULES.iter().filter_map(|rule| match rule.fate(policy) {
        Set(value) => Some((rule.names.into(), Some(value))),
        Left | Removed => None,
    });
    let removed = present.into_iter().filter(|name| fate(policy, name) == Removed).map(|name| (name, None));
    set.chain(removed).collect()
}

/// Returns the user's variables that this process has removed or set to another value.
pub fn without_effect() -> &'static [String] {
    WITHOUT_EFFECT.get().map_or(&[], Vec::as_slice)
}

static WITHOUT_EFFECT: OnceLock<Vec<String>> = OnceLock::new();

/// Returns the user's variables that a policy changes.
fn overruled(policy: Policy, present: impl IntoIterator<Item = (OsString, OsString)>) -> Vec<String> {
    let overruled = |(name, value): &(OsString, OsString)| match fate(policy, name) {
        Left => false,
        Removed => true,
        Set(own) => value != own,
    };
    let mut names: Vec<_> = present.into_iter().filter(overruled).map(|(name, _)| name).collect();
    names.sort_unstable();
    names.iter().map(|name| name.to_string_lossy().into_owned()).collect()
}

/// Changes the process's environment so that it no longer influences results. Call this function before other threads start,
/// and before the libraries are opened ([`crate::torch::settle`]).
pub fn put_in_force(policy: Policy) {
    WITHOUT_EFFECT.get_or_init(|| overruled(policy, std::env::vars_os()));
    for (name, value) in changes(policy, std::env::vars_os().map(|(name, _)| name)) {
        // SAFETY: no other thread reads the environment: stages run on threads that start after this call.
        unsafe {
            match value {
                Some(value) => std::env::set_var(name, value),
                None => std::env::remove_var(name),
            }
        }
    }
}

fn fate(policy: Policy, name: &OsStr) -> Fate {
    let Some(name) = name.to_str() else { return Left };
    RULES.iter().find(|rule| rule.fits(name)).map_or(Left, |rule| rule.fate(policy))
}

impl Rule {
    fn fits(&self, name: &str) -> bool {
        self.names.strip_suffix('*').map_or(name == self.names, |beginning| name.starts_with(beginning))
    }

    fn fate(&self, policy: Policy) -> Fate {
        match policy {
            Policy::Native => self.native,
            Policy::Portable => self.portable,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn removed(policy: Policy, name: &str) -> bool {
        changes(policy, [name.into()]).contains(&(name.into(), None))
    }

    #[test]
    fn what_changes_bits_unseen_is_removed_and_the_rest_is_left() {
        for name in [
            "MKL_ENABLE_INSTRUCTIONS",
            "DNNL_MAX_CPU_ISA",
            "ONEDNN_CPU_ISA_HINTS",
            "ONEDNN_DEFAULT_FPMATH_MODE",
            "MKL_DOMAIN_NUM_THREADS",
            "NVIDIA_TF32_OVERRIDE",
            "CUDNN_CONV_WSCAP_DBG",
            "CUBLASLT_HEURISTICS_LUT_FILE",
            "CUBLAS_EMULATE_SINGLE_PRECISION",
            "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE",
            "FBGEMM_NO_AUTOVEC",
        ] {
            assert!(removed(Policy::Native, name) && removed(Policy::Portable, name), "{name}");
        }
        for name in ["PATH", "OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES", "PYTORCH_CUDA_ALLOC_CONF", "MKLX", "A_MKL_CBWR"]
        {
            assert!(!removed(Policy::Native, name) && !removed(Policy::Portable, name), "{name}");
        }
    }

    #[test]
    fn the_portable_policy_sets_what_native_removes() {
        let value = |policy, name: &str| changes(policy, [name.into()]).into_iter().find(|change| change.0 == name);
        for (name, own) in [("MKL_CBWR", "COMPATIBLE"), ("ONEDNN_MAX_CPU_ISA", "AVX2")] {
            assert_eq!(value(Policy::Native, name), Some((name.into(), None)));
            assert_eq!(value(Policy::Portable, name), Some((name.into(), Some(own))));
        }
        // The recorded class shows the effect of this variable.
        assert_eq!(value(Policy::Native, "ATEN_CPU_CAPABILITY"), None);
        assert_eq!(value(Policy::Portable, "ATEN_CPU_CAPABILITY"), Some(("ATEN_CPU_CAPABILITY".into(), Some("avx2"))));
    }

    #[test]
    fn only_variables_that_say_something_else_are_overruled() {
        let present =
            [("MKL_CBWR", "AVX2"), ("HOME", "/"), ("CUBLAS_WORKSPACE_CONFIG", ":4096:8"), ("DNNL_VERBOSE", "1")];
        let present = || present.map(|(name, value)| (name.into(), value.into()));
        assert_eq!(overruled(Policy::Native, present()), ["DNNL_VERBOSE", "MKL_CBWR"]);
        let own = [("MKL_CBWR".into(), "COMPATIBLE".into())];
        assert!(overruled(Policy::Portable, own).is_empty());
    }
}
