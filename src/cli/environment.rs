//! Who runs the program, and when.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use base::record::Provenance;

/// Seconds since 1970.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map(|since| since.as_secs()).unwrap_or_default()
}

/// `user@host`, as far as the environment tells.
pub fn who() -> String {
    let number = || std::fs::metadata("/proc/self").map(|own| std::os::unix::fs::MetadataExt::uid(&own));
    let named = |name| std::env::var(name).ok().filter(|user| !user.is_empty());
    let user = named("USER").or_else(|| named("LOGNAME"));
    let user = user.unwrap_or_else(|| number().map_or("unknown".to_owned(), |number| format!("uid{number}")));
    let host = files::read(std::path::Path::new("/etc/hostname"), 256).unwrap_or_default();
    let host = String::from_utf8_lossy(&host).trim().to_owned();
    if host.is_empty() { user } else { format!("{user}@{host}") }
}

/// The circumstances of something that was brought into the store since `started`, rather than computed.
pub fn brought(stage: String, started: Instant) -> Provenance {
    Provenance {
        stage,
        wdpipe: env!("CARGO_PKG_VERSION").to_owned(),
        finished: now(),
        seconds: started.elapsed().as_secs_f64(),
        who: who(),
        device: "cpu".to_owned(),
        ..Provenance::default()
    }
}
