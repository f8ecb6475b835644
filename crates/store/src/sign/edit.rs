//! Edits a file of trusted keys like its owner would in an editor: everything else in the file, including comments and spaces,
//! stays as it is.

use std::path::Path;

use toml_edit::{ArrayOfTables, InlineTable, Item, Table, TableLike, value};

use super::key::PublicKey;
use super::name::KeyName;
use super::trust::{Standing, Trust, TrustError, TrustedKey, fault};
use crate::document::Document;

/// Returns the text with one more `[[key]]`, or `None` if the key is already in it.
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
    let mut document = parsed(file, text)?;
    let fill = |table: &mut dyn TableLike| {
        table.insert("name", value(name.to_string()));
        table.insert("public", value(public.to_string()));
    };
    match document.entry("key").or_insert_with(|| Item::ArrayOfTables(ArrayOfTables::new())) {
        Item::ArrayOfTables(keys) => {
            let mut key = Table::new();
            fill(&mut key);
            // Only the first table of an empty file has no line above it.
            key.decor_mut().set_prefix(if text.trim().is_empty() { "" } else { "\n" });
            keys.push(key);
        }
        other => {
            let mut key = InlineTable::new();
            fill(&mut key);
            if let Some(keys) = other.as_array_mut() {
                keys.push(key);
            }
        }
    }
    checked(file, &document, &trust)
}

/// Returns the text with `revoked` in the table of a key, or `None` if the key is already revoked.
pub(super) fn revoke(file: &Path, text: &str, name: &KeyName, reason: &str) -> Result<Option<String>, TrustError> {
    let refused = |message: String| Err(TrustError::Refused { file: file.to_owned(), message });
    if let Some(fault) = fault(reason) {
        return refused(fault.to_owned());
    }
    let mut trust = Trust::parse(file, text)?;
    let Some((place, key)) = trust.keys_mut().iter_mut().enumerate().find(|(_, key)| key.name == *name) else {
        return refused(format!("there is no key `{name}`; run `wdpipe keys list` to see the existing keys"));
    };
    if key.revoked.is_some() {
        return Ok(None);
    }
    key.revoked = Some(reason.to_owned());
    let mut document = parsed(file, text)?;
    let table: Option<&mut dyn TableLike> = match document.get_mut("key") {
        Some(Item::ArrayOfTables(keys)) => keys.get_mut(place).map(|table| table as &mut dyn TableLike),
        Some(other) => other
            .as_array_mut()
            .and_then(|keys| keys.get_mut(place)?.as_inline_table_mut())
            .map(|table| table as &mut dyn TableLike),
        None => None,
    };
    if let Some(table) = table {
        let indent = table.key("public").and_then(|key| key.leaf_decor().prefix()?.as_str().map(last_line));
        table.insert("revoked", value(reason));
        if let (Some(indent), Some(mut key)) = (indent, table.key_mut("revoked")) {
            key.leaf_decor_mut().set_prefix(indent);
        }
    }
    checked(file, &document, &trust)
}

/// Returns the spaces at the beginning of a key's line, given the key's prefix, which includes comments and spaces above it.
fn last_line(prefix: &str) -> String {
    prefix.rsplit('\n').next().unwrap_or_default().to_owned()
}

fn parsed(file: &Path, text: &str) -> Result<Document, TrustError> {
    Document::parse(text).map_err(|error| TrustError::Refused { file: file.to_owned(), message: error.to_string() })
}

/// Returns the edited text, after checking that it parses to the wanted keys and policy.
fn checked(file: &Path, document: &Document, wanted: &Trust) -> Result<Option<String>, TrustError> {
    let new = document.text();
    if Trust::parse(file, &new).is_ok_and(|trust| trust == *wanted) {
        return Ok(Some(new));
    }
    let message = "the program cannot edit this file: edit it by hand".to_owned();
    Err(TrustError::Refused { file: file.to_owned(), message })
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
            // The comment at the end of the file stays there.
            let key = format!("\n[[key]]\nname = \"bob\"\npublic = \"{bob}\"\n# end").replace('\n', end);
            assert_eq!(added, text.replace("# end", &key));
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
        assert!(!Trust::add(&file, &name("ann"), &ann).unwrap(), "the key is already there");
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
        let cases = [
            (add(file(), &text, &name("ann"), &bob), "`ann` already names another key"),
            (add(file(), &text, &name("ann2"), &ann), "already trusted as `ann`"),
            (add(file(), &gone, &name("ann"), &ann), "revoked as `ann`: left"),
            (add(file(), &gone, &name("ann"), &bob), "`ann` already names another key"),
            (add(file(), "[[key]", &name("bob"), &bob), "trust.toml:1"),
            (revoke(file(), &text, &name("bob"), "left"), "there is no key `bob`"),
            (revoke(file(), &text, &name("ann"), " "), "say why"),
            (revoke(file(), &text, &name("ann"), "a\nb"), "one line"),
        ];
        for (result, message) in cases {
            let error = result.unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
    }

    #[test]
    fn inline_and_dotted_tables_are_edited_too() {
        let [ann, bob] = keys();
        let inline = format!("key = [{{ name = \"ann\", public = \"{ann}\" }}] # ours\npolicy.use = \"any\"\n");
        let added = add(file(), &inline, &name("bob"), &bob).unwrap().unwrap();
        let revoked = revoke(file(), &added, &name("ann"), "left").unwrap().unwrap();
        let trust = Trust::parse(file(), &revoked).unwrap();
        assert_eq!(trust.standing(&ann), Standing::Revoked(&name("ann"), "left"));
        assert_eq!(trust.standing(&bob), Standing::Trusted(&name("bob")));
        assert!(revoked.ends_with("] # ours\npolicy.use = \"any\"\n"), "{revoked}");
    }

    #[test]
    fn a_key_is_added_in_front_of_what_follows_the_keys() {
        let [ann, bob] = keys();
        let text =
            format!("[[key]]\nname = \"ann\"\npublic = \"{ann}\"\n\n# How strict we are.\n[policy]\nuse = \"any\"\n");
        let added = add(file(), &text, &name("bob"), &bob).unwrap().unwrap();
        assert_eq!(added.replace(&format!("\n[[key]]\nname = \"bob\"\npublic = \"{bob}\"\n"), ""), text);
    }
}
