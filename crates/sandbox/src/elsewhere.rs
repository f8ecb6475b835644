//! The same functions on systems other than Linux, which have no level at all.

use std::path::PathBuf;

use super::order::{Access, Ended, How, Level, Order, SandboxError};

/// Path of the program's folder as the program sees it at the level of namespaces.
pub const INSIDE: &str = "/wdpipe";

const WHY: &str = "commands run only on Linux";

fn unavailable<T>(order: &Order) -> Result<T, SandboxError> {
    Err(SandboxError::Unavailable { level: order.level, why: WHY.to_owned() })
}

/// Returns no level.
pub fn available() -> Vec<Level> {
    Vec::new()
}

/// Returns the reason why there is no level.
pub fn why_not(_: Level) -> Option<String> {
    Some(WHY.to_owned())
}

/// Refuses the order.
///
/// # Errors
/// Always.
pub fn prepare(order: &Order) -> Result<(), SandboxError> {
    unavailable(order)
}

/// Refuses the order.
///
/// # Errors
/// Always.
pub fn run(order: &Order, _: &dyn Fn() -> bool) -> Result<Ended, SandboxError> {
    unavailable(order)
}

/// Refuses the order.
///
/// # Errors
/// Always.
pub fn trace(order: &Order, _: &[(PathBuf, PathBuf)], _: &dyn Fn() -> bool) -> Result<Vec<Access>, SandboxError> {
    unavailable(order)
}

/// Refuses the order.
///
/// # Errors
/// Always.
pub fn shell(order: &Order) -> Result<How, SandboxError> {
    unavailable(order)
}
