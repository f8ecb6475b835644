//! `wdpipe keys`: manages your own keys and those that the project trusts, and signs earlier results.

use std::collections::BTreeSet;

use clap::{Args, Subcommand};
use serde::Serialize;

use super::arguments::VariantArgs;
use super::environment::{keyring, signer, wanted_key, who};
use super::format::{columns, count, shown};
use super::ui::Ui;
use crate::project::{ExitCode, Failure, Project, Signable, sign, trusted_name};
use base::isolation::Isolation;
use store::sign::{KeyName, PublicKey, Trust};

/// Manage your keys, which sign results, and those that are trusted.
///
/// If you have a key, `make` signs what it computes. If you have several, WDPIPE_KEY=NAME chooses one; otherwise the
/// key named `default` signs. Keys are stored in $WDPIPE_KEYS, or in wdpipe/keys in $XDG_CONFIG_HOME or ~/.config.
#[derive(Debug, Subcommand)]
pub enum KeysCommand {
    Generate(GenerateKeyCommand),
    List(ListKeysCommand),
    Trust(TrustKeyCommand),
    Revoke(RevokeKeyCommand),
    Sign(SignCommand),
}

/// Create a key of your own; existing keys are never replaced.
#[derive(Debug, Args)]
pub struct GenerateKeyCommand {
    /// Name of the key.
    #[arg(default_value = "default", value_name = "NAME")]
    name: KeyName,
}

/// List your own keys and those that the project trusts.
#[derive(Debug, Args)]
pub struct ListKeysCommand {
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Add a key to those that the project trusts.
///
/// The owner of its secret part can then vouch for any result. Get the public part from the key's owner, not from the
/// sender of the results.
#[derive(Debug, Args)]
pub struct TrustKeyCommand {
    /// Name of the key in the project.
    #[arg(value_name = "NAME")]
    name: KeyName,
    /// Public part of the key: ed25519: and 64 hexadecimal digits.
    #[arg(value_name = "PUBLIC")]
    public: PublicKey,
}

/// Revoke a key that the project trusts.
///
/// None of its signatures counts after that, not even old ones: only the signer knows when a signature was made.
#[derive(Debug, Args)]
pub struct RevokeKeyCommand {
    /// Name of the key in the project.
    #[arg(value_name = "NAME")]
    name: KeyName,
    /// Reason, for people who find results that no longer count.
    #[arg(long, value_name = "TEXT")]
    reason: String,
}

/// Sign results that you computed earlier without a key.
///
/// These are results from before you had a key, or of an interrupted run. Only results that this account computed or
/// imported in this cache count as yours; the cache's index remembers them. Results from a remote or an archive count
/// as computed by others, whatever their records say. If the index was deleted, all results count as computed by
/// others.
#[derive(Debug, Args)]
pub struct SignCommand {
    /// Figures, panels or stages, or all; everything they were made from is signed too.
    #[arg(required = true, value_name = "TARGET")]
    targets: Vec<String>,
    #[command(flatten)]
    variant: VariantArgs,
    /// Also sign results that others computed: you vouch for them.
    #[arg(long)]
    all: bool,
}

/// Output of `keys list --json`.
#[derive(Serialize)]
struct KeysAnswer<'a> {
    own: Vec<OwnKeyAnswer<'a>>,
    trust: TrustAnswer<'a>,
}

#[derive(Serialize)]
struct OwnKeyAnswer<'a> {
    name: &'a str,
    public: &'a PublicKey,
    path: String,
    signs: bool,
}

#[derive(Serialize)]
struct TrustAnswer<'a> {
    file: String,
    #[serde(rename = "use")]
    using: &'static str,
    import: &'static str,
    sandbox: &'static str,
    keys: Vec<TrustedKeyAnswer<'a>>,
}

#[derive(Serialize)]
struct TrustedKeyAnswer<'a> {
    name: &'a str,
    public: &'a PublicKey,
    revoked: Option<&'a str>,
}

impl KeysCommand {
    /// Runs the command.
    ///
    /// # Errors
    /// If a key or file cannot be read or written, or the request is invalid.
    pub fn run(&self, project: &Project, ui: &Ui) -> Result<(), Failure> {
        match self {
            Self::Generate(command) => command.run(ui),
            Self::List(command) => command.run(project, ui),
            Self::Trust(TrustKeyCommand { name, public }) => {
                let (file, shown) = (&project.trust, project.trust.display());
                match Trust::add(file, name, public)? {
                    true => ui.say(&format!("{shown} trusts `{name}`; its signatures count from now on")),
                    false => ui.say(&format!("{shown} already trusts `{name}`")),
                }
                Ok(())
            }
            Self::Revoke(RevokeKeyCommand { name, reason }) => {
                let (file, shown) = (&project.trust, project.trust.display());
                match Trust::revoke(file, name, reason)? {
                    true => ui.say(&format!("{shown} no longer trusts `{name}`; none of its signatures counts")),
                    false => ui.say(&format!("`{name}` is already revoked in {shown}")),
                }
                Ok(())
            }
            Self::Sign(command) => command.run(project, ui),
        }
    }
}

impl GenerateKeyCommand {
    fn run(&self, ui: &Ui) -> Result<(), Failure> {
        let Some(keyring) = keyring() else {
            let message = "the folder of your keys is unknown: HOME is not set";
            return Err(Failure::new(ExitCode::Missing, message, "name a folder with WDPIPE_KEYS=DIR"));
        };
        let public = keyring.generate(&self.name)?;
        let name = trusted_name(&self.name, &who());
        ui.answer(&public.to_string());
        ui.say(&format!("the secret part is in {}: keep it to yourself", keyring.path(&self.name).display()));
        ui.say(&format!("to make a project trust it, run there\n  `wdpipe keys trust {name} {public}`"));
        Ok(())
    }
}

impl ListKeysCommand {
    fn run(&self, project: &Project, ui: &Ui) -> Result<(), Failure> {
        let (keyring, trust) = (keyring(), Trust::load(&project.trust)?);
        let mut own = Vec::new();
        let mut signs = None;
        if let Some(keyring) = &keyring {
            signs = keyring.chosen(wanted_key()?.as_ref())?;
            for name in keyring.names()? {
                let public = keyring.load(&name)?.public();
                own.push((public, keyring.path(&name), signs.as_ref() == Some(&name), name));
            }
        }
        let policy = trust.policy;
        if self.json {
            let own = own.iter().map(|(public, path, signs, name)| OwnKeyAnswer {
                name: name.as_str(),
                public,
                path: shown(path),
                signs: *signs,
            });
            let keys = trust.keys().iter().map(|key| TrustedKeyAnswer {
                name: key.name.as_str(),
                public: &key.public,
                revoked: key.revoked.as_deref(),
            });
            let trust = TrustAnswer {
                file: shown(&project.trust),
                using: policy.using.name(),
                import: policy.import.name(),
                sandbox: policy.sandbox.name(),
                keys: keys.collect(),
            };
            ui.json(&KeysAnswer { own: own.collect(), trust });
            return Ok(());
        }
        match &keyring {
            Some(keyring) if !own.is_empty() => ui.answer(&format!("your keys, in {}", keyring.folder().display())),
            _ => ui.answer("you have no key; `wdpipe keys generate` makes one"),
        }
        let row = |(public, _, signs, name): &(_, _, bool, KeyName)| {
            vec![format!("  {name}"), PublicKey::to_string(public), if *signs { "signs" } else { "" }.to_owned()]
        };
        columns(&own.iter().map(row).collect::<Vec<_>>()).iter().for_each(|line| ui.answer(line));
        if !own.is_empty() && signs.is_none() {
            ui.answer("  none of them signs: choose one with WDPIPE_KEY=NAME");
        }
        let (file, using, import) = (project.trust.display(), policy.using.name(), policy.import.name());
        let sandbox = match policy.sandbox {
            Isolation::None => String::new(),
            level => format!(", sandbox: {level}"),
        };
        ui.answer(&format!("{} in {file} (use: {using}, import: {import}{sandbox})", count(trust.keys().len(), "key")));
        let rows = trust.keys().iter().map(|key| {
            let standing = key.revoked.as_ref().map_or("trusted".to_owned(), |reason| format!("revoked: {reason}"));
            vec![format!("  {}", key.name), key.public.to_string(), standing]
        });
        columns(&rows.collect::<Vec<_>>()).iter().for_each(|line| ui.answer(line));
        Ok(())
    }
}

impl SignCommand {
    fn run(&self, project: &Project, ui: &Ui) -> Result<(), Failure> {
        let selection = project.select(&self.variant.to_variant(), &self.targets)?;
        let Some(signer) = signer()? else {
            let hint = "`wdpipe keys generate` makes one; if you have several, choose one with WDPIPE_KEY=NAME";
            return Err(Failure::new(ExitCode::Missing, "there is no key to sign with", hint));
        };
        let store = project.store()?;
        let (name, me) = (&signer.name, who());
        let Signable { signed, own, others, claimed } = selection.signable(&store, &signer.key.public(), &me)?;
        let left = if self.all { 0 } else { others.len() };
        let chosen: BTreeSet<_> = if self.all { own.union(&others).copied().collect() } else { own };
        if chosen.is_empty() {
            ui.say(&format!("nothing to sign; {} signed already with `{name}`", count(signed.len(), "record")));
        } else {
            let total = chosen.len();
            sign(&store, chosen, &signer)?;
            ui.say(&format!("signed {} with `{name}`; {} signed already", count(total, "record"), signed.len()));
        }
        if self.all && !others.is_empty() {
            ui.say(&format!("{} of them were computed by others: you vouch for these too", others.len()));
        }
        if left > 0 {
            ui.say(&format!("{} computed by others, not signed; --all vouches for them", count(left, "record")));
            if claimed > 0 {
                ui.say(&format!(
                    "{claimed} of them say that {me} computed them, but this cache does not know that you did"
                ));
            }
        }
        Ok(())
    }
}
