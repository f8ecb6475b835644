//! Editing a file of trusted keys like its owner would: all other lines, comments and spaces stay unchanged.

use std::path::Path;

use super::key::PublicKey;
use super::name::KeyName;
use super::trust::{Located, Standing, Trust, TrustError, TrustedKey, fault};

/// Returns the text with an added `[[key]]`; `None` if the key is already there.
pub(super) fn add(file: &Path, text: &str, name: &KeyName, public: &PublicKey) -> Result<Option<String>, TrustError> {
    let refused = |message: String| Err(TrustError::Refused { file: file.to_owned(), message });
    let mut trust = Trust::parse(file, text)?;
    match trust.standing(public) {
        Standing::Trusted(known) if known == name => return Ok(None),
        Standing::Trusted(known) => return refused(format!("this key is already trusted as `{known}`")),
        Standing::Revoked(known, reason) => {
            return refused(format!("this key was revoked as `{known}`: {reason}"));
        }
        Standing::Unknown => {}
    }
    if trust.keys().iter().any(|key| key.name == *name) {
        return refused(format!("`{name}` already names another key: choose another name"));
    }
    trust.keys_mut().push(TrustedKey { name: name.clone(), public: *public, revoked: None });
    let end = line_end(text);
    let mut new = text.to_owned();
    if !new.is_empty() {
        // Ends an unfinished last line, and adds an empty line.
        new.push_str(if new.ends_with('\n') { "" } else { end });
        new.push_str(end);
    }
    new.push_str(&format!("[[key]]{end}name = \"{name}\"{end}public = \"{public}\"{end}"));
    checked(file, new, &trust, || format!("add the key by hand: name = \"{name}\", public = \"{public}\""))
}

/// Returns the text with a line `revoked` after the key's `public`; `None` if the key is already revoked.
pub(super) fn revoke(file: &Path, text: &str, name: &KeyName, reason: &str) -> Result<Option<String>, TrustError> {
    let refused = |message: String| Err(TrustError::Refused { file: file.to_owned(), message });
    if let Some(fault) = fault(reason) {
        return refused(fault.to_owned());
    }
    let Located { mut trust, public_ends } = Located::parse(file, text)?;
    let found = trust.keys_mut().iter_mut().zip(public_ends).find(|(key, _)| key.name == *name);
    let Some((key, public_end)) = found else {
        return refused(format!("there is no key `{name}`; run `wdpipe keys list` to see the existing keys"));
    };
    if key.revoked.is_some() {
        return Ok(None);
    }
    key.revoked = Some(reason.to_owned());
    let line_start = text[..public_end].rfind('\n').map_or(0, |feed| feed + 1);
    let indent: String = text[line_start..].chars().take_while(|c| [' ', '\t'].contains(c)).collect();
    let line = format!("{indent}revoked = {}{}", toml::Value::String(reason.to_owned()), line_end(text));
    let new = match text[public_end..].find('\n') {
        Some(feed) => [&text[..=public_end + feed], &line, &text[public_end + feed + 1..]].concat(),
        None => [text, line_end(text), &line].concat(),
    };
    checked(file, new, &trust, || format!("revoke the key by hand: add revoked = \"…\" to `{name}`"))
}

/// Returns the new text if it means what is wanted: TOML can be written so that an inserted line means something
/// else.
fn checked(
    file: &Path,
    new: String,
    wanted: &Trust,
    by_hand: impl Fn() -> String,
) -> Result<Option<String>, TrustError> {
    if Trust::parse(file, &new).is_ok_and(|trust| trust == *wanted) {
        return Ok(Some(new));
    }
    let message = format!("the file cannot be edited line by line; {}", by_hand());
    Err(TrustError::Refused { file: file.to_owned(), message })
}

fn line_end(text: &str) -> &'static str {
    if text.contains("\r\n") { "\r\n" } else { "\n" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sign::SecretKey;

    fn keys<const N: usize>() -> [PublicKey; N] {
        [0; N].map(|_| SecretKey::generate().unwrap().public())
    }

    fn name(text: &str) -> KeyName {
        text.parse().unwrap()
    }

    fn file() -> &'static Path {
        Path::new("trust.toml")
    }

    #[test]
    fn keys_are_added_and_revoked_and_all_else_stays() {
        let [ann, bob] = keys();
        for end in ["\n", "\r\n"] {
            let text = format!(
                "# Our lab.\n[policy]\nuse='signed'   # strict\n\n  [[key]] # Ann\n  public = \"{ann}\" # by phone\n  name = \"ann\"\n# end"
            )
            .replace('\n', end);
            let added = add(file(), &text, &name("bob"), &bob).unwrap().unwrap();
            assert_eq!(
                added,
                format!("{text}\n\n[[key]]\nname = \"bob\"\npublic = \"{bob}\"\n")
                    .replace("\r\n", "\n")
                    .replace('\n', end)
            );
            let revoked = revoke(file(), &added, &name("ann"), "lost \"it\" in C:\\x").unwrap().unwrap();
            let trust = Trust::parse(file(), &revoked).unwrap();
            assert_eq!(trust.standing(&ann), Standing::Revoked(&name("ann"), "lost \"it\" in C:\\x"));
            assert_eq!(trust.standing(&bob), Standing::Trusted(&name("bob")));
            let (kept, new): (Vec<_>, Vec<_>) =
                revoked.split_inclusive('\n').partition(|line| !line.contains("revoked"));
            assert_eq!(kept.concat(), added);
            assert!(new.len() == 1 && new[0].starts_with("  revoked = ") && new[0].ends_with(end), "{new:?}");
        }
    }

    #[test]
    fn a_file_is_begun_and_changed_on_disk() {
        let [ann] = keys();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("trust.toml");
        assert!(Trust::add(&file, &name("ann"), &ann).unwrap());
        assert!(!Trust::add(&file, &name("ann"), &ann).unwrap(), "it is there");
        assert!(Trust::load(&file).unwrap().vouches(&[ann]));
        assert!(Trust::revoke(&file, &name("ann"), "left").unwrap());
        assert!(!Trust::revoke(&file, &name("ann"), "left again").unwrap());
        assert_eq!(Trust::load(&file).unwrap().standing(&ann), Standing::Revoked(&name("ann"), "left"));
        assert_eq!(files::list(folder.path()).unwrap(), ["trust.toml"]);
    }

    #[test]
    fn a_key_without_a_line_end_behind_it_is_revoked() {
        let [ann] = keys();
        let text = format!("[[key]]\nname = \"ann\"\npublic = \"{ann}\"");
        let revoked = revoke(file(), &text, &name("ann"), "left").unwrap().unwrap();
        assert_eq!(revoked, format!("{text}\nrevoked = \"left\"\n"));
    }

    #[test]
    fn changes_that_make_no_sense_are_refused() {
        let [ann, bob] = keys();
        let text = add(file(), "", &name("ann"), &ann).unwrap().unwrap();
        let gone = revoke(file(), &text, &name("ann"), "left").unwrap().unwrap();
        let inline = format!("key = [{{ name = \"ann\", public = \"{ann}\" }}]\n");
        let cases = [
            (add(file(), &text, &name("ann"), &bob), "`ann` already names another key"),
            (add(file(), &text, &name("ann2"), &ann), "already trusted as `ann`"),
            (add(file(), &gone, &name("ann"), &ann), "revoked as `ann`: left"),
            (add(file(), &gone, &name("ann"), &bob), "`ann` already names another key"),
            (add(file(), &inline, &name("bob"), &bob), "add the key by hand"),
            (add(file(), "[[key]", &name("bob"), &bob), "trust.toml:1"),
            (revoke(file(), &text, &name("bob"), "left"), "there is no key `bob`"),
            (revoke(file(), &inline, &name("ann"), "left"), "revoke the key by hand"),
            (revoke(file(), &text, &name("ann"), " "), "say why"),
            (revoke(file(), &text, &name("ann"), "a\nb"), "one line"),
        ];
        for (result, message) in cases {
            let error = result.unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
    }
}
