//! Addresses of remotes, as users write them.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use super::mistake;

/// Address of a remote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// A folder, possibly on a network file system.
    Folder(PathBuf),
    /// A web server that serves the folder of a store; read-only.
    Http(String),
    /// A bucket, and a prefix in it that is empty or does not end with a slash.
    Bucket {
        /// Service that hosts the bucket.
        service: Service,
        /// Name of the bucket (a container, for Azure).
        bucket: String,
        /// Folder in the bucket.
        prefix: String,
    },
    /// A folder on a machine that can be reached with `ssh`.
    Ssh {
        /// `HOST` or `USER@HOST`, as `ssh` takes it.
        host: String,
        /// Port, if it differs from the one that `ssh` would use.
        port: Option<u16>,
        /// Path of the folder: absolute, or below the home folder if it starts with `~/`.
        folder: String,
    },
}

/// A service that hosts buckets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// Amazon S3 and compatible services.
    S3,
    /// Google Cloud Storage.
    Google,
    /// Azure Blob Storage.
    Azure,
}

impl Service {
    const ALL: [(Self, &'static str); 3] = [(Self::S3, "s3"), (Self::Google, "gs"), (Self::Azure, "az")];

    fn scheme(self) -> &'static str {
        Self::ALL.iter().find(|(service, _)| *service == self).map_or("", |(_, scheme)| scheme)
    }
}

/// The text is not the address of a remote.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a remote: {reason}")]
pub struct LocationError {
    text: String,
    reason: String,
}

impl FromStr for Location {
    type Err = LocationError;

    fn from_str(text: &str) -> Result<Self, LocationError> {
        let wrong = |reason: &str| LocationError { text: text.to_owned(), reason: reason.to_owned() };
        if text.trim().is_empty() || text.contains(char::is_control) {
            return Err(wrong("write a folder or a URL"));
        }
        if let Some(reason) = mistake::of(text) {
            return Err(wrong(&reason));
        }
        let Some((scheme, rest)) = text.split_once("://") else { return Ok(Self::Folder(text.into())) };
        let (head, path) = rest.split_once('/').unwrap_or((rest, ""));
        let path = path.trim_end_matches('/');
        if scheme != "file" && (head.is_empty() || head.starts_with('-')) {
            return Err(wrong("the name of a host or bucket is missing"));
        }
        if scheme != "ssh" && head.contains('@') {
            return Err(wrong("do not write credentials here: put them into the environment or into files"));
        }
        let service = Service::ALL.iter().find(|(_, name)| *name == scheme);
        match (scheme, service) {
            ("file", _) => Ok(Self::Folder(format!("/{path}").into())),
            ("http" | "https", _) => Ok(Self::Http(text.trim_end_matches('/').to_owned())),
            ("ssh", _) => {
                let (host, port) = match head.rsplit_once(':') {
                    Some((host, port)) => (host, Some(port.parse().map_err(|_| wrong("the port is not a number"))?)),
                    None => (head, None),
                };
                let folder = if path.starts_with("~/") { path.to_owned() } else { format!("/{path}") };
                Ok(Self::Ssh { host: host.to_owned(), port, folder })
            }
            (_, Some((service, _))) => {
                let prefix = path.trim_matches('/').to_owned();
                Ok(Self::Bucket { service: *service, bucket: head.to_owned(), prefix })
            }
            _ => Err(wrong("write a folder, s3://, gs://, az://, https://, http:// or ssh://")),
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let below = |folder: &str| if folder.is_empty() { String::new() } else { format!("/{folder}") };
        match self {
            Self::Folder(path) => write!(f, "{}", path.display()),
            Self::Http(url) => f.write_str(url),
            Self::Bucket { service, bucket, prefix } => {
                write!(f, "{}://{bucket}{}", service.scheme(), below(prefix))
            }
            Self::Ssh { host, port, folder } => {
                let port = port.map_or(String::new(), |port| format!(":{port}"));
                write!(f, "ssh://{host}{port}{}", below(folder.trim_start_matches('/')))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_what_is_not_a_remote_is_refused() {
        for text in [
            "/data/cache",
            "../cache",
            "s3://bucket",
            "s3://bucket/a/b",
            "gs://bucket/x",
            "az://container/x",
            "https://example.org/cache",
            "http://127.0.0.1:8000",
            "ssh://host/data/cache",
            "ssh://me@host:2222/~/cache",
        ] {
            let location: Location = text.parse().unwrap();
            assert_eq!(location.to_string(), text);
        }
        assert_eq!("file:///x".parse(), Ok(Location::Folder("/x".into())));
        assert_eq!("file://localhost/x/y".parse(), Ok(Location::Folder("/x/y".into())));
        assert_eq!("s3://b/x/".parse::<Location>().unwrap().to_string(), "s3://b/x");
        for wrong in
            ["", "ftp://x/y", "s3://", "ssh://-oProxyCommand=x/y", "ssh://h:x/y", "https://me:secret@host/", "a\nb"]
        {
            assert!(wrong.parse::<Location>().is_err(), "{wrong}");
        }
    }
}
