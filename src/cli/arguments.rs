//! Arguments that several commands have.

use clap::Args;

use crate::project::{Accepted, Variant};
use base::name::{PLAIN, is_plain};

/// The profile and the settings that hold.
#[derive(Debug, Clone, Args)]
pub struct VariantArgs {
    /// The scale: smoke (two CPU cores, minutes), quick (one GPU), paper (the paper's own).
    #[arg(long, default_value = "smoke", value_name = "NAME", value_parser = plain)]
    pub profile: String,
    /// Changes a setting or a stage's parameter, such as 'lr=[0.1,0.25]' or trunk.wd=0.01. Repeatable.
    #[arg(long, value_name = "PATH=VALUE")]
    pub set: Vec<String>,
}

impl VariantArgs {
    /// Returns what was said.
    pub fn to_variant(&self) -> Variant {
        Variant { profile: self.profile.clone(), set: self.set.clone() }
    }
}

/// What is accepted beyond what the project trusts.
#[derive(Debug, Clone, Default, Args)]
pub struct AcceptArgs {
    /// Accept records that nobody who is trusted signed: `unsigned`, or the public key (ed25519:…) of who signed them.
    /// Repeatable.
    #[arg(long, value_name = "WHOSE")]
    pub accept: Vec<Accepted>,
}

/// Reads a name that becomes part of a path.
///
/// # Errors
/// If it would lead elsewhere.
pub fn plain(name: &str) -> Result<String, String> {
    if is_plain(name) { Ok(name.to_owned()) } else { Err(format!("this is no name: {PLAIN}")) }
}
