//! Keys are made, trusted, revoked and used; keys that others can read or replace are refused.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use super::environment::{Ended, Environment, ended};

/// A folder in which the user `ann` has a home.
struct Home(Environment);

impl Home {
    fn new() -> Self {
        Self(Environment::new())
    }

    fn keys(&self) -> std::path::PathBuf {
        self.0.path("home/.config/wdpipe/keys")
    }

    fn run(&self, arguments: &[&str]) -> Ended {
        self.run_as("ann", &[], arguments)
    }

    fn run_as(&self, user: &str, variables: &[(&str, &str)], arguments: &[&str]) -> Ended {
        let mut command = self.0.command(arguments);
        command.env("HOME", self.0.path("home")).env("USER", user).envs(variables.iter().copied());
        ended(&command.output().unwrap())
    }

    /// Runs a command that must succeed; returns its output.
    fn says(&self, arguments: &[&str]) -> String {
        let ended = self.run(arguments);
        assert_eq!(ended.code, Some(0), "{arguments:?}: {}", ended.stderr);
        ended.stdout + &ended.stderr
    }

    /// Makes a key; returns its public part.
    fn generate(&self, name: &str) -> String {
        let ended = self.run(&["keys", "generate", name]);
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        ended.stdout.trim().to_owned()
    }

    fn refuses(&self, arguments: &[&str], code: i32, message: &str) {
        let ended = self.run(arguments);
        assert_eq!(ended.code, Some(code), "{arguments:?}: {}", ended.stderr);
        assert!(ended.stderr.contains(message) && !ended.stderr.contains("panicked"), "{}", ended.stderr);
    }
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

#[test]
fn keys_are_made_listed_trusted_and_revoked() {
    let home = Home::new();
    assert!(home.says(&["keys", "list"]).contains("you have no key"));
    let ended = home.run(&["keys", "generate"]);
    let public = ended.stdout.trim().to_owned();
    assert!(public.starts_with("ed25519:") && public.len() == 8 + 64, "{public}");
    assert!(ended.stderr.contains(&format!("wdpipe keys trust ann {public}")), "{}", ended.stderr);
    let file = home.keys().join("default.key");
    let secret = fs::read_to_string(&file).unwrap();
    assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
    assert_eq!(fs::metadata(home.keys()).unwrap().mode() & 0o777, 0o700);
    home.refuses(&["keys", "generate"], 2, "there is already a key `default`");
    home.refuses(&["keys", "generate", "../x"], 2, "is not a valid key name");
    assert_eq!(fs::read_to_string(&file).unwrap(), secret);

    let trust = home.0.path("trust.toml");
    fs::write(&trust, "# Whom we trust\n[policy]\nuse = \"signed\"\n").unwrap();
    home.says(&["keys", "trust", "ann", &public]);
    home.says(&["keys", "trust", "ann", &public]);
    home.refuses(&["keys", "trust", "bob", &public], 2, "already trusted as `ann`");
    home.refuses(&["keys", "trust", "bob", "ed25519:00"], 2, "not a public key");
    let listed: serde_json::Value = serde_json::from_str(&home.says(&["keys", "list", "--json"])).unwrap();
    let own = serde_json::json!([{ "name": "default", "public": public, "path": file, "signs": true }]);
    let keys = serde_json::json!([{ "name": "ann", "public": public, "revoked": null }]);
    assert_eq!(listed["own"], own);
    let wanted = serde_json::json!({
        "file": "trust.toml", "use": "signed", "import": "signed", "sandbox": "none", "keys": keys
    });
    assert_eq!(listed["trust"], wanted);

    home.refuses(&["keys", "revoke", "ann"], 2, "--reason");
    home.refuses(&["keys", "revoke", "bob", "--reason", "lost"], 2, "there is no key `bob`");
    home.says(&["keys", "revoke", "ann", "--reason", "laptop lost"]);
    let text = fs::read_to_string(&trust).unwrap();
    assert_eq!(
        text,
        format!(
            "# Whom we trust\n[policy]\nuse = \"signed\"\n\n[[key]]\nname = \"ann\"\npublic = \"{public}\"\nrevoked = \"laptop lost\"\n"
        )
    );
    assert!(home.says(&["keys", "list"]).contains("revoked: laptop lost"));
    home.refuses(&["keys", "trust", "ann", &public], 2, "was revoked");
    fs::write(&trust, "[policy]\nuse = \"sined\"\n").unwrap();
    home.refuses(&["keys", "list"], 2, "trust.toml:2: ");
    assert!(home.says(&["keys", "list", "--trust", "other.toml"]).contains("0 keys in other.toml"));
}

#[test]
fn keys_that_lie_open_are_refused() {
    let home = Home::new();
    home.generate("default");
    let file = home.keys().join("default.key");
    for mode in [0o644, 0o640] {
        chmod(&file, mode);
        home.refuses(&["keys", "sign", "fig3/init"], 4, "chmod 600");
    }
    chmod(&file, 0o600);
    chmod(&home.keys(), 0o777);
    home.refuses(&["keys", "sign", "fig3/init"], 4, "chmod 700");
    home.refuses(&["keys", "generate", "second"], 4, "chmod 700");
    chmod(&home.keys(), 0o700);
    fs::rename(&file, home.0.path("elsewhere")).unwrap();
    symlink(home.0.path("elsewhere"), &file).unwrap();
    home.refuses(&["keys", "list"], 4, "it is a link");
}

#[test]
fn results_from_before_there_was_a_key_are_signed_once() {
    let home = Home::new();
    home.refuses(&["keys", "sign", "fig3/init"], 3, "no key to sign with");
    let one_seed = ["--set", "seed=[0]", "--set", "init.width=1"];
    home.says(&[&["make", "fig3/init"], &one_seed[..]].concat());
    let by_bob = home.run_as("bob", &[], &[&["make", "fig3/data"], &one_seed[..]].concat());
    assert_eq!(by_bob.code, Some(0), "{}", by_bob.stderr);
    let public = home.generate("default");
    let sign = |more: &[&str]| home.says(&[&["keys", "sign", "fig3/init", "fig3/data"], &one_seed[..], more].concat());
    let count = || home.0.files("signatures").len();

    let said = sign(&[]);
    assert!(said.contains("signed 1 record with `default`; 0 signed already"), "{said}");
    assert!(said.contains("1 record computed by others, not signed"), "{said}");
    assert_eq!(count(), 1);
    assert!(sign(&[]).contains("nothing to sign; 1 record signed already"));
    let said = sign(&["--all"]);
    assert!(said.contains("signed 1 record") && said.contains("you vouch for these too"), "{said}");
    assert_eq!(count(), 2);
    assert!(sign(&["--all"]).contains("nothing to sign; 2 records signed already"));

    // Another key signs the record again; WDPIPE_KEY selects the key.
    home.generate("second");
    let init = [&["keys", "sign", "fig3/init"], &one_seed[..]].concat();
    let wanted = |name| home.run_as("ann", &[("WDPIPE_KEY", name)], &init);
    assert!(wanted("second").stderr.contains("signed 1 record with `second`"));
    assert_eq!((wanted("third").code, wanted("a/b").code, count()), (Some(3), Some(2), 3));

    let check = || home.run(&["cache", "check", "--json"]);
    let report: serde_json::Value = serde_json::from_str(&check().stdout).unwrap();
    assert_eq!((&report["signatures"], &report["damaged_signatures"]), (&3.into(), &serde_json::json!([])));
    let files = home.0.files("signatures");
    let ours = |file: &&std::path::PathBuf| fs::read(file).unwrap()[6..38] == public_bytes(&public);
    let damaged = files.iter().find(ours).unwrap();
    let mut bytes = fs::read(damaged).unwrap();
    bytes[50] ^= 1;
    chmod(damaged, 0o644);
    fs::write(damaged, bytes).unwrap();
    let ended = check();
    assert_eq!(ended.code, Some(4));
    assert!(ended.stderr.contains("`wdpipe keys sign all` signs your records again"), "{}", ended.stderr);
    assert_eq!(count(), 2);
    assert!(sign(&["--all"]).contains("signed 1 record"));
    assert_eq!((check().code, count()), (Some(0), 3));
}

fn public_bytes(text: &str) -> Vec<u8> {
    let digits = text.strip_prefix("ed25519:").unwrap();
    (0..32).map(|i| u8::from_str_radix(&digits[2 * i..2 * i + 2], 16).unwrap()).collect()
}
