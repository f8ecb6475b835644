//! Signatures: Ed25519 signatures of results, and the keys that a project trusts.
//!
//! A record does not contain its own signature: it is named by its hash, and one signature of many such names
//! ([`Batch`]) costs as much as one of a single name. So results can also be signed later, and by several people.

mod batch;
mod edit;
mod key;
mod keyring;
mod name;
mod trust;

pub use batch::{BATCH_LIMIT, Batch, BatchError};
pub use key::{NotAKey, NotASignature, PublicKey, Purpose, SecretKey, Signature};
pub use keyring::{Keyring, KeyringError};
pub use name::{KeyName, NotAName};
pub use trust::{Accept, Policy, Standing, Trust, TrustError, TrustedKey};
