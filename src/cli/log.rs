//! Log of the program's work, to find out why it hangs or is slow: `-vv`, or `WDPIPE_LOG=wdpipe_store=debug`.

use std::io;

use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::project::Failure;

/// Prefix of the names of our crates; `-vv` does not show the events of other libraries.
const OURS: &str = "wdpipe";

/// Starts the log on standard error, if the command line or `WDPIPE_LOG` requests it.
///
/// # Errors
/// If `WDPIPE_LOG` is not a list of levels.
pub fn install(verbose: u8) -> Result<(), Failure> {
    let targets = match std::env::var("WDPIPE_LOG") {
        Ok(text) if !text.is_empty() => text.parse().map_err(|error| {
            let hint = "set WDPIPE_LOG to a level (error, warn, info, debug, trace) or to levels by crate, such as \
                        wdpipe_store=debug";
            Failure::usage(format!("WDPIPE_LOG={text}: {error}"), hint)
        })?,
        _ if verbose > 1 => Targets::new().with_target(OURS, LevelFilter::DEBUG),
        _ => return Ok(()),
    };
    let lines = tracing_subscriber::fmt::layer().with_writer(io::stderr).with_ansi(false).with_thread_ids(true);
    // Only the first of several calls in one process counts.
    let _ = tracing_subscriber::registry().with(lines.with_filter(targets)).try_init();
    Ok(())
}
