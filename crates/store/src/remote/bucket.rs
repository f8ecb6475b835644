//! A remote in a bucket of Amazon S3 (or a compatible service), Google or Azure.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::path::Path;
use object_store::{
    ClientOptions, Error, GetOptions, GetRange, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload,
    RetryConfig, WriteMultipart,
};
use tokio::runtime::Runtime;

use super::credentials::Environment;
use super::location::Service;
use super::{Outgoing, RemoteError, Take, Transport};

/// Part size in bytes; larger files are sent in parts.
const PART: usize = 8 << 20;

/// Number of parts of one file sent at a time.
const PARTS: usize = 3;

/// Hosts from which machines in a cloud get their credentials.
const METADATA: [&str; 3] = ["169.254.169.254", "fd00:ec2::254", "metadata.google.internal"];

/// Message shown if there are no credentials.
const NO_CREDENTIALS: &str = "no credentials were found: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE \
                              for a profile of ~/.aws/credentials (for Google, set GOOGLE_APPLICATION_CREDENTIALS; for Azure, \
                              AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY); to read a public bucket of \
                              Amazon, set AWS_SKIP_SIGNATURE=true";

/// A bucket.
pub struct Bucket {
    store: Arc<dyn ObjectStore>,
    prefix: String,
    name: String,
    runtime: Runtime,
    requests: AtomicU64,
    /// Address that the client asks for credentials if there are none in the environment.
    metadata: Option<String>,
}

impl Bucket {
    /// Finds the credentials; sends no request yet.
    pub fn new(
        service: Service,
        bucket: &str,
        prefix: &str,
        name: String,
        around: &Environment,
    ) -> Result<Self, RemoteError> {
        let refused = |reason: String| RemoteError::Refused { at: name.clone(), reason };
        // The only cryptography provider of this program; it can be installed already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.map_err(|error| refused(error.to_string()))?;
        let store = match service {
            Service::S3 => amazon(bucket, around).map(|store| Arc::new(store) as Arc<dyn ObjectStore>),
            Service::Google => google(bucket, around).map(|store| Arc::new(store) as Arc<dyn ObjectStore>),
            Service::Azure => azure(bucket, around).map(|store| Arc::new(store) as Arc<dyn ObjectStore>),
        };
        let store = store.map_err(|error| refused(without_queries(&error.to_string())))?;
        let metadata = around.get("AWS_METADATA_ENDPOINT").map(str::to_owned);
        Ok(Self { store, prefix: prefix.to_owned(), name, runtime, requests: AtomicU64::new(0), metadata })
    }

    fn path(&self, path: &str) -> Result<Path, RemoteError> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let whole = if self.prefix.is_empty() { path.to_owned() } else { format!("{}/{path}", self.prefix) };
        Path::parse(whole).map_err(|error| self.error(path, error.into()))
    }

    fn error(&self, path: &str, error: Error) -> RemoteError {
        let (at, path) = (self.name.clone(), path.to_owned());
        let reason = without_queries(&error.to_string());
        if METADATA.iter().copied().chain(self.metadata.as_deref()).any(|service| reason.contains(service)) {
            // The client asks this service only if it finds no credentials elsewhere.
            return RemoteError::Refused { at, reason: NO_CREDENTIALS.to_owned() };
        }
        match error {
            Error::NotFound { .. } => RemoteError::Missing { at, path },
            Error::Generic { .. } | Error::JoinError { .. } => RemoteError::Unreachable { at, reason },
            _ => RemoteError::Refused { at, reason },
        }
    }
}

/// Returns the options of the client: it retries only a few times, since its caller retries too and resumes
/// transfers.
fn client() -> (ClientOptions, RetryConfig) {
    let options = ClientOptions::new()
        .with_connect_timeout(Duration::from_secs(10))
        .with_read_timeout(Duration::from_secs(30))
        .with_timeout_disabled();
    let retry = RetryConfig { max_retries: 2, retry_timeout: Duration::from_secs(30), ..RetryConfig::default() };
    (options, retry)
}

fn amazon(bucket: &str, around: &Environment) -> object_store::Result<object_store::aws::AmazonS3> {
    let (options, retry) = client();
    let mut builder = AmazonS3Builder::new().with_client_options(options).with_retry(retry);
    let files = around.amazon();
    let files = files.iter().map(|(name, value)| (name.clone(), value.clone()));
    let variables = around.beginning("AWS_").map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()));
    // Variables come last, so they take precedence over files.
    for (name, value) in files.chain(variables) {
        if name.contains("endpoint") && value.starts_with("http://") {
            builder = builder.with_allow_http(true);
        }
        if let Ok(key) = name.parse::<AmazonS3ConfigKey>() {
            builder = builder.with_config(key, value);
        }
    }
    builder.with_bucket_name(bucket).build()
}

fn google(bucket: &str, around: &Environment) -> object_store::Result<object_store::gcp::GoogleCloudStorage> {
    let (options, retry) = client();
    let mut builder = GoogleCloudStorageBuilder::new().with_client_options(options).with_retry(retry);
    for (name, value) in around.beginning("GOOGLE_").chain(around.beginning("SERVICE_ACCOUNT")) {
        if let Ok(key) = name.to_ascii_lowercase().parse::<GoogleConfigKey>() {
            builder = builder.with_config(key, value);
        }
    }
    builder.with_bucket_name(bucket).build()
}

fn azure(container: &str, around: &Environment) -> object_store::Result<object_store::azure::MicrosoftAzure> {
    let (options, retry) = client();
    let mut builder = MicrosoftAzureBuilder::new().with_client_options(options).with_retry(retry);
    for (name, value) in around.beginning("AZURE_") {
        if name.contains("ENDPOINT") && value.starts_with("http://") {
            builder = builder.with_allow_http(true);
        }
        if let Ok(key) = name.to_ascii_lowercase().parse::<AzureConfigKey>() {
            builder = builder.with_config(key, value);
        }
    }
    builder.with_container_name(container).build()
}

/// Returns a text without the query strings of URLs, which can contain signatures.
fn without_queries(text: &str) -> String {
    let mut clean = String::new();
    for word in text.split_inclusive(char::is_whitespace) {
        match (word.contains("://"), word.split_once('?')) {
            (true, Some((before, _))) => clean.extend([before, " "]),
            _ => clean.push_str(word),
        }
    }
    clean.trim_end().to_owned()
}

impl Transport for Bucket {
    fn name(&self) -> &str {
        &self.name
    }

    fn list(&self, folder: &str) -> Result<Option<Vec<String>>, RemoteError> {
        let prefix = self.path(folder)?;
        let found = self.runtime.block_on(self.store.list_with_delimiter(Some(&prefix)));
        let found = found.map_err(|error| self.error(folder, error))?;
        // The client requests pages of a thousand entries.
        self.requests.fetch_add(found.objects.len() as u64 / 1000, Ordering::Relaxed);
        Ok(Some(found.objects.iter().filter_map(|object| Some(object.location.filename()?.to_owned())).collect()))
    }

    fn size(&self, path: &str) -> Result<Option<u64>, RemoteError> {
        let at = self.path(path)?;
        match self.runtime.block_on(self.store.head(&at)).map_err(|error| self.error(path, error)) {
            Ok(found) => Ok(Some(found.size)),
            Err(RemoteError::Missing { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn walk(&self, folder: &str) -> Result<Option<HashMap<String, u64>>, RemoteError> {
        let prefix = self.path(folder)?;
        let above = if self.prefix.is_empty() { String::new() } else { format!("{}/", self.prefix) };
        let mut files = HashMap::new();
        self.runtime.block_on(async {
            let mut found = self.store.list(Some(&prefix));
            while let Some(file) = found.next().await {
                let file = file.map_err(|error| self.error(folder, error))?;
                if let Some(path) = file.location.as_ref().strip_prefix(&above) {
                    files.insert(path.to_owned(), file.size);
                }
            }
            Ok::<_, RemoteError>(())
        })?;
        self.requests.fetch_add(files.len() as u64 / 1000, Ordering::Relaxed);
        Ok(Some(files))
    }

    fn get(&self, path: &str, from: u64, take: &mut Take<'_>) -> Result<(), RemoteError> {
        let at = self.path(path)?;
        let range = (from > 0).then_some(GetRange::Offset(from));
        self.runtime.block_on(async {
            let options = GetOptions { range, ..GetOptions::default() };
            let found = self.store.get_opts(&at, options).await.map_err(|error| self.error(path, error))?;
            let (mut place, end) = (found.range.start, found.range.end);
            let mut stream = found.into_stream();
            while let Some(piece) = stream.next().await {
                let piece = piece.map_err(|error| self.error(path, error))?;
                take(place, &piece)?;
                place += piece.len() as u64;
            }
            let reason = || "the connection ended too soon".to_owned();
            match place >= end {
                true => Ok(()),
                false => Err(RemoteError::Unreachable { at: self.name.clone(), reason: reason() }),
            }
        })
    }

    fn put(&self, file: &Outgoing<'_>) -> Result<(), RemoteError> {
        let at = self.path(file.path)?;
        let mut source = (file.open)()?;
        let unreadable = |error: std::io::Error| RemoteError::Refused {
            at: file.path.to_owned(),
            reason: format!("it cannot be read here: {error}"),
        };
        if file.length <= PART as u64 {
            let mut bytes = Vec::new();
            std::io::Read::read_to_end(&mut source, &mut bytes).map_err(unreadable)?;
            let sent = self.runtime.block_on(self.store.put(&at, bytes.into()));
            return sent.map(drop).map_err(|error| self.error(file.path, error));
        }
        let upload = self.runtime.block_on(self.store.put_multipart(&at));
        let upload = upload.map_err(|error| self.error(file.path, error))?;
        let mut writer = WriteMultipart::new_with_chunk_size(upload, PART);
        let mut write = |piece: &[u8]| {
            // Inside the runtime, because full parts are sent from there.
            self.runtime.block_on(async {
                writer.wait_for_capacity(PARTS).await?;
                writer.write(piece);
                Ok::<_, Error>(())
            })
        };
        let written = super::transfer::pieces(&mut source, &unreadable, 0, &mut |_, piece| {
            write(piece).map_err(|error| self.error(file.path, error))
        });
        let ended = match &written {
            Ok(()) => self.runtime.block_on(writer.finish()).map(drop),
            Err(_) => self.runtime.block_on(writer.abort()),
        };
        self.requests.fetch_add(file.length / PART as u64 + 2, Ordering::Relaxed);
        written?;
        ended.map_err(|error| self.error(file.path, error))
    }

    fn create(&self, path: &str, bytes: &[u8]) -> Result<bool, RemoteError> {
        let at = self.path(path)?;
        let payload = || PutPayload::from(bytes.to_vec());
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        match self.runtime.block_on(self.store.put_opts(&at, payload(), options)) {
            Ok(_) => Ok(true),
            Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => Ok(false),
            Err(Error::NotImplemented { .. } | Error::NotSupported { .. }) if self.has(path)? => Ok(false),
            Err(Error::NotImplemented { .. } | Error::NotSupported { .. }) => {
                self.runtime.block_on(self.store.put(&at, payload())).map_err(|error| self.error(path, error))?;
                Ok(true)
            }
            Err(error) => Err(self.error(path, error)),
        }
    }

    fn remove(&self, path: &str) -> Result<(), RemoteError> {
        let at = self.path(path)?;
        self.runtime.block_on(self.store.delete(&at)).map_err(|error| self.error(path, error))
    }

    fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_a_signature_is_not_shown() {
        let text = "error for https://a.blob.core.windows.net/c/x?sv=1&sig=SECRET after 2 tries?";
        assert_eq!(without_queries(text), "error for https://a.blob.core.windows.net/c/x after 2 tries?");
    }
}
