//! Arguments that several commands have.

use clap::Args;

use crate::project::{Accepted, Variant};
use base::name::{PLAIN, is_plain};

/// Profile and settings.
#[derive(Debug, Clone, Args)]
pub struct VariantArgs {
    /// Profile of the pipelines: how large and how long the runs are.
    #[arg(long, default_value = "smoke", value_name = "NAME", value_parser = plain)]
    pub profile: String,
    /// Change a setting or a stage's parameter, such as 'lr=[0.1,0.25]' or trunk.wd=0.01. Repeatable.
    #[arg(long, value_name = "PATH=VALUE")]
    pub set: Vec<String>,
}

impl VariantArgs {
    /// Returns the variant that the arguments select.
    pub fn to_variant(&self) -> Variant {
        Variant { profile: self.profile.clone(), set: self.set.clone() }
    }
}

/// Records to accept beyond those that the project trusts.
#[derive(Debug, Clone, Default, Args)]
pub struct AcceptArgs {
    /// Accept records without a trusted signature: `unsigned` for records without a valid one, or the public key
    /// (ed25519:…) of the signer. Repeatable.
    #[arg(long, value_name = "WHOSE")]
    pub accept: Vec<Accepted>,
}

/// Reads a name that becomes part of a path.
///
/// # Errors
/// If the name could lead to another folder.
pub fn plain(name: &str) -> Result<String, String> {
    if is_plain(name) { Ok(name.to_owned()) } else { Err(format!("invalid name: {PLAIN}")) }
}
