//! Facts from the environment: who runs the program, when, with which key and which credentials.

use std::env;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::cluster::{SCRATCH, TASK, host};
use crate::project::{Failure, Signer, sign};
use base::digest::RecordDigest;
use base::record::Provenance;
use store::remote;
use store::sign::{KeyName, Keyring};
use store::{HolderName, Options, Store};

use super::ui::Ui;

/// Returns the number of seconds since 1970.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map(|since| since.as_secs()).unwrap_or_default()
}

/// Returns the program as the user called it. A path is made absolute, so that it can be called from every folder.
pub fn program() -> String {
    let called = PathBuf::from(env::args_os().next().unwrap_or_else(|| "wdpipe".into()));
    let is_path = called.components().count() > 1;
    let program = env::current_dir().ok().filter(|_| is_path).map_or(called.clone(), |here| here.join(&called));
    program.to_string_lossy().into_owned()
}

/// Returns `user@host`, as far as the environment shows them.
pub fn who() -> String {
    let named = |name| std::env::var(name).ok().filter(|user| !user.is_empty());
    let user = named("USER").or_else(|| named("LOGNAME"));
    let user = user.unwrap_or_else(|| format!("uid{}", files::Account::current().user));
    let host = files::read(std::path::Path::new("/etc/hostname"), 256).unwrap_or_default();
    let host = String::from_utf8_lossy(&host).trim().to_owned();
    if host.is_empty() { user } else { format!("{user}@{host}") }
}

/// Returns the provenance of a record whose outputs were imported since `started` rather than computed.
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

/// Signs a record that this user has just imported, if the user has a key.
///
/// # Errors
/// If the key cannot be used, or the store cannot be written.
pub fn sign_import(store: &Store, record: RecordDigest, ui: &Ui) -> Result<(), Failure> {
    if let Some(signer) = signer()? {
        sign(store, [record], &signer)?;
        ui.say(&format!("signed by `{}`", signer.name));
    }
    Ok(())
}

/// Loads the key that signs what this user computes; `None` if nothing is to be signed.
///
/// # Errors
/// If WDPIPE_KEY names no key, or the key's file is open to others or does not contain a key.
pub fn signer() -> Result<Option<Signer>, Failure> {
    let Some(keyring) = keyring() else { return Ok(None) };
    let Some(name) = keyring.chosen(wanted_key()?.as_ref())? else { return Ok(None) };
    let key = keyring.load(&name)?;
    Ok(Some(Signer { name, key }))
}

/// Returns this user's keys, if the environment shows their folder.
pub fn keyring() -> Option<Keyring> {
    folder("WDPIPE_KEYS").or_else(|| own_settings().map(|own| own.join("keys"))).map(Keyring::new)
}

/// Returns the folder with what this user allowed to be run, if the environment shows it.
pub fn consents() -> Option<PathBuf> {
    own_settings().map(|own| own.join("consent"))
}

/// Returns the type of the terminal, if the environment names it.
pub fn terminal() -> Option<String> {
    env::var("TERM").ok()
}

/// Returns the folder of this user's own settings.
fn own_settings() -> Option<PathBuf> {
    // The standard for XDG_CONFIG_HOME says that relative paths must be ignored.
    let config = folder("XDG_CONFIG_HOME").filter(|path| path.is_absolute());
    config.or_else(|| folder("HOME").map(|home| home.join(".config"))).map(|config| config.join("wdpipe"))
}

/// Returns the name of the key that WDPIPE_KEY selects.
///
/// # Errors
/// If the value is not a valid name.
pub fn wanted_key() -> Result<Option<KeyName>, Failure> {
    let Some(name) = env::var_os("WDPIPE_KEY").filter(|name| !name.is_empty()) else { return Ok(None) };
    let name = name.to_string_lossy().parse();
    name.map(Some).map_err(|error| Failure::usage(format!("WDPIPE_KEY: {error}"), ""))
}

/// Returns how this account opens a store.
///
/// # Errors
/// If WDPIPE_HEARTBEAT is not a time.
pub fn of_store() -> Result<Options, Failure> {
    let array = variable("SLURM_ARRAY_JOB_ID").zip(variable("SLURM_ARRAY_TASK_ID"));
    let array = array.map(|(job, task)| format!("{job}_{task}"));
    // The worker of a run is known by this name.
    let job = variable(TASK).or(array).or_else(|| variable("SLURM_JOB_ID"));
    let holder = HolderName { host: host(), process: std::process::id(), job };
    let options = Options { private: private_caches(), holder, ..Options::default() };
    let Some(text) = variable("WDPIPE_HEARTBEAT") else { return Ok(options) };
    match heartbeat(&text) {
        Some(heartbeat) => Ok(Options { heartbeat, ..options }),
        None => {
            let hint = "set it to a time such as 30s: others take over the stages of a process that shows no sign of life \
                        for 20 times as long";
            Err(Failure::usage(format!("WDPIPE_HEARTBEAT={text} is no time from 0.05s to 1h"), hint))
        }
    }
}

fn heartbeat(text: &str) -> Option<Duration> {
    super::parse::time(text).ok().filter(|seconds| (0.05..=3600.0).contains(seconds)).map(Duration::from_secs_f64)
}

/// Returns folders where this account can keep indexes of stores that others write to, best first. All but the first are
/// for homes on a network file system. Jobs on a cluster have a folder on the disk of their node.
fn private_caches() -> Vec<PathBuf> {
    // The standard for XDG_CACHE_HOME says that relative paths must be ignored.
    let absolute = |name| folder(name).filter(|path| path.is_absolute());
    let home = absolute("XDG_CACHE_HOME").or_else(|| folder("HOME").map(|home| home.join(".cache")));
    let own = format!("wdpipe-{}", files::Account::current().user);
    let local = [absolute("TMPDIR"), Some("/tmp".into()), Some("/dev/shm".into())].into_iter().flatten();
    let local = local.filter(|folder| folder.is_dir()).map(|folder| folder.join(&own));
    absolute(SCRATCH).into_iter().chain(home.map(|cache| cache.join("wdpipe"))).chain(local).collect()
}

/// Returns the text of a variable; `None` if it is unset, empty or not Unicode.
fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|text| !text.is_empty())
}

/// Collects the variables that hold credentials and addresses of remotes.
pub fn of_remotes() -> remote::Environment {
    let variables = env::vars_os();
    remote::Environment::new(
        variables.filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))),
    )
}

/// Returns the folder that a variable names, if it names one.
pub fn folder(name: &str) -> Option<PathBuf> {
    env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_heartbeat_is_a_time_within_bounds() {
        for (text, seconds) in [("30s", 30.0), ("0.2s", 0.2), ("0.05", 0.05), ("1h", 3600.0), (" 2min", 120.0)] {
            assert_eq!(heartbeat(text), Some(Duration::from_secs_f64(seconds)), "{text}");
        }
        for text in ["", "0s", "0.04s", "2h", "-1s", "nan", "often"] {
            assert_eq!(heartbeat(text), None, "{text}");
        }
    }

    #[test]
    fn an_index_has_a_place_of_this_account_on_a_local_disk() {
        let places = private_caches();
        let own = format!("wdpipe-{}", files::Account::current().user);
        assert!(places.iter().all(|place| place.ends_with("wdpipe") || place.ends_with(&own)), "{places:?}");
        assert!(places.contains(&PathBuf::from("/tmp").join(own)), "{places:?}");
    }
}
