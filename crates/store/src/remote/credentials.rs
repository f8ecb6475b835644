//! Credentials for buckets: taken from the variables and files that the services' own programs use. They are passed
//! to the client, and neither stored nor displayed.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// Maximum number of bytes of a configuration file.
const LIMIT: u64 = 1 << 20;

/// The environment variables passed to the program.
#[derive(Clone, Default)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    /// Creates an environment from named variables.
    pub fn new(variables: impl IntoIterator<Item = (String, String)>) -> Self {
        Self(variables.into_iter().collect())
    }

    /// Returns a variable that is set and not empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// Returns the variables whose names start with a prefix.
    pub fn beginning(&self, prefix: &str) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .filter(move |(name, _)| name.starts_with(prefix))
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    fn path(&self, variable: &str, in_home: &str) -> Option<PathBuf> {
        let given = self.get(variable).map(PathBuf::from);
        given.or_else(|| Some(PathBuf::from(self.get("HOME")?).join(in_home)))
    }

    /// Returns the settings in Amazon's files for the chosen profile (`AWS_PROFILE`, or `default`), by name, such as
    /// `aws_access_key_id`. Environment variables take precedence; see the caller.
    pub fn amazon(&self) -> BTreeMap<String, String> {
        let profile = self.get("AWS_PROFILE").unwrap_or("default");
        let mut settings = BTreeMap::new();
        let files = [
            (self.path("AWS_CONFIG_FILE", ".aws/config"), format!("profile {profile}")),
            (self.path("AWS_SHARED_CREDENTIALS_FILE", ".aws/credentials"), profile.to_owned()),
        ];
        for (path, section) in files {
            // A missing or unreadable file is treated as empty.
            let text = path.and_then(|path| files::read_text(&path, LIMIT).ok()).unwrap_or_default();
            let mut sections = vec![section];
            if profile == "default" {
                sections.push("default".to_owned());
            }
            settings.extend(read(&text, &sections));
        }
        settings
    }
}

/// Returns the settings in some sections of an INI file.
fn read(text: &str, sections: &[String]) -> BTreeMap<String, String> {
    let (mut settings, mut inside) = (BTreeMap::new(), false);
    for line in text.lines() {
        // Indented lines belong to nested settings, which are not needed.
        let deeper = line.starts_with([' ', '\t']);
        let line = line.trim();
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            inside = sections.iter().any(|section| section == name.trim());
        } else if let (true, false, Some((name, value))) = (inside, deeper, line.split_once('='))
            && !line.starts_with(['#', ';'])
        {
            settings.insert(name.trim().to_ascii_lowercase(), value.trim().to_owned());
        }
    }
    settings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chosen_profile_is_read_from_both_files() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = folder.path().join(name);
            files::replace(&path, text.as_bytes()).unwrap();
            path.display().to_string()
        };
        let config = write("config", "[default]\nregion = one\n[profile lab]\nregion=two\ns3 =\n  region = no\n");
        let keys = write("keys", "[default]\naws_access_key_id = a\n# x = y\n[lab]\naws_access_key_id=b\n");
        let with = |profile: Option<&str>| {
            let files = [("AWS_CONFIG_FILE", config.as_str()), ("AWS_SHARED_CREDENTIALS_FILE", &keys)];
            let all = files.into_iter().chain(profile.map(|profile| ("AWS_PROFILE", profile)));
            Environment::new(all.map(|(name, value)| (name.to_owned(), value.to_owned()))).amazon()
        };
        assert_eq!(with(None)["aws_access_key_id"], "a");
        assert_eq!(with(None)["region"], "one");
        assert_eq!(with(Some("lab"))["aws_access_key_id"], "b");
        assert_eq!(with(Some("lab"))["region"], "two");
        assert!(Environment::default().amazon().is_empty());
    }
}
