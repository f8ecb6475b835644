//! Signing what this user makes.

use std::collections::BTreeSet;
use std::env;
use std::path::PathBuf;

use super::environment::who;
use super::format::count;
use super::select::Selection;
use super::ui::Ui;
use super::{ExitCode, Failure};
use crate::engine::Preference;
use base::digest::RecordDigest;
use store::Store;
use store::sign::{Batch, KeyName, Keyring, SecretKey};

/// Signs records, all with one signature.
///
/// # Errors
/// If there are too many, or the store cannot be written.
pub fn sign(store: &Store, records: impl IntoIterator<Item = RecordDigest>, key: &SecretKey) -> Result<(), Failure> {
    let batch = Batch::sign(key, records);
    let batch = batch.map_err(|error| Failure::new(ExitCode::Storage, error.to_string(), "name fewer targets"))?;
    store.publish_signatures(&batch)?;
    Ok(())
}

/// Signs something that this user has just imported, if there is a key to do it with.
///
/// # Errors
/// If the key cannot be used, or the store cannot be written.
pub fn sign_import(store: &Store, record: RecordDigest, ui: &Ui) -> Result<(), Failure> {
    if let Some((name, key)) = signing_key()? {
        sign(store, [record], &key)?;
        ui.say(&format!("signed by `{name}`"));
    }
    Ok(())
}

/// Signs what this user computed here before and did not sign, before there was a key or in a run that was cut off: where a
/// project uses only what is signed, it would be computed again.
///
/// # Errors
/// If the store cannot be read or written.
pub fn catch_up(store: &Store, (name, key): &(KeyName, SecretKey), ui: &Ui) -> Result<(), Failure> {
    let unsigned = unsigned(store, key)?;
    if !unsigned.is_empty() {
        let records = count(unsigned.len(), "record");
        sign(store, unsigned, key)?;
        ui.say(&format!("{records} that you computed here before had no signature; signed by `{name}`"));
    }
    Ok(())
}

/// What this user computed here and did not sign with this key.
fn unsigned(store: &Store, key: &SecretKey) -> Result<BTreeSet<RecordDigest>, Failure> {
    let (mut unsigned, me) = (BTreeSet::new(), who());
    for (stage, digest) in store.made_here()? {
        if !store.signers(&digest)?.contains(&key.public())
            && let Some(record) = store.recorded(&stage, &digest)?
            // What was brought in is vouched for as it comes, or by name.
            && !record.parts.is_import()
            && record.provenance.who == me
        {
            unsigned.insert(digest);
        }
    }
    Ok(unsigned)
}

/// Why a project that uses only what is signed would not use what this user computes; nothing if it would.
pub fn obstacle(selection: &Selection, signing: Option<&(KeyName, SecretKey)>) -> Option<Failure> {
    if !selection.preference.is_strict() || signing.is_some_and(|(_, key)| selection.preference.counts(&key.public())) {
        return None;
    }
    let message = "the project uses only what a key that it trusts signed (use = \"signed\"), and ";
    let hint = "; until then whatever you compute would be computed again by the next run";
    let (message, cure) = match signing {
        None => {
            let cure = "`wdpipe keys generate` makes one and says how the project trusts it; of several, WDPIPE_KEY=NAME chooses";
            (format!("{message}you have no key that signs"), cure.to_owned())
        }
        Some((name, key)) => {
            let (known_as, public) = (trusted_name(name), key.public());
            let cure = format!("`wdpipe keys trust {known_as} {public}` makes it");
            (format!("{message}it does not trust your key `{name}`"), cure)
        }
    };
    Some(Failure::new(ExitCode::Missing, message, cure + hint))
}

/// What a project is to call a key of this user's.
pub fn trusted_name(name: &KeyName) -> KeyName {
    let owner = who().split('@').next().and_then(|user| user.parse().ok());
    owner.filter(|_| name.as_str() == "default").unwrap_or_else(|| name.clone())
}

/// The key that signs what this user computes, and what the user calls it; `None` if nothing is to be signed.
///
/// # Errors
/// If WDPIPE_KEY names none that is there, or the key's file is open to others or holds something else.
pub fn signing_key() -> Result<Option<(KeyName, SecretKey)>, Failure> {
    let Some(keyring) = keyring() else { return Ok(None) };
    let Some(name) = keyring.chosen(wanted()?.as_ref())? else { return Ok(None) };
    let key = keyring.load(&name)?;
    Ok(Some((name, key)))
}

/// Where this user's keys lie, as far as the environment tells.
pub fn keyring() -> Option<Keyring> {
    let folder = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    // The standard for XDG_CONFIG_HOME says that a relative path is to be ignored.
    let config = folder("XDG_CONFIG_HOME").filter(|path| path.is_absolute());
    let config = config.or_else(|| folder("HOME").map(|home| home.join(".config")));
    folder("WDPIPE_KEYS").or_else(|| config.map(|config| config.join("wdpipe/keys"))).map(Keyring::new)
}

/// The key that the environment asks for.
///
/// # Errors
/// If it is no name.
pub fn wanted() -> Result<Option<KeyName>, Failure> {
    let Some(name) = env::var_os("WDPIPE_KEY").filter(|name| !name.is_empty()) else { return Ok(None) };
    let name = name.to_string_lossy().parse();
    name.map(Some).map_err(|error| Failure::usage(format!("WDPIPE_KEY: {error}"), ""))
}
