//! A remote on a web server that serves the folder of a store unchanged. It is read-only.

use std::io::{self, Read};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ureq::http::{Response, StatusCode, header};
use ureq::{Agent, Body};

use super::{Outgoing, RemoteError, Take, Transport};

/// Timeout of every step of a request.
const PATIENCE: Duration = Duration::from_secs(30);

/// A remote on a web server.
pub struct Http {
    agent: Agent,
    url: String,
    requests: AtomicU64,
}

impl Http {
    /// Returns the remote for the URL of a store's folder.
    pub fn new(url: &str) -> Self {
        let patience = Some(PATIENCE);
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_resolve(patience)
            .timeout_connect(patience)
            .timeout_send_request(patience)
            .timeout_recv_response(patience)
            .timeout_per_read(patience)
            .user_agent(concat!("wdpipe/", env!("CARGO_PKG_VERSION")))
            .build();
        Self { agent: config.into(), url: url.to_owned(), requests: AtomicU64::new(0) }
    }

    fn missing(&self, path: &str) -> RemoteError {
        RemoteError::Missing { at: self.url.clone(), path: path.to_owned() }
    }

    fn broken(&self, error: &dyn std::fmt::Display) -> RemoteError {
        RemoteError::Unreachable { at: self.url.clone(), reason: error.to_string() }
    }

    /// Converts an unexpected status of a response into an error.
    fn status(&self, path: &str, status: StatusCode) -> RemoteError {
        let reason = format!("{path}: {status}");
        match status {
            StatusCode::NOT_FOUND | StatusCode::GONE => self.missing(path),
            status if status.is_server_error() => self.broken(&reason),
            StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => self.broken(&reason),
            _ => RemoteError::Refused { at: self.url.clone(), reason },
        }
    }

    fn answer(&self, answer: Result<Response<Body>, ureq::Error>) -> Result<Response<Body>, RemoteError> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        answer.map_err(|error| match error {
            ureq::Error::BadUri(_) | ureq::Error::Http(_) | ureq::Error::TooManyRedirects => {
                RemoteError::Refused { at: self.url.clone(), reason: error.to_string() }
            }
            error => self.broken(&error),
        })
    }
}

impl Transport for Http {
    fn name(&self) -> &str {
        &self.url
    }

    fn list(&self, _: &str) -> Result<Option<Vec<String>>, RemoteError> {
        Ok(None)
    }

    fn size(&self, path: &str) -> Result<Option<u64>, RemoteError> {
        let answer = self.answer(self.agent.head(format!("{}/{path}", self.url)).call())?;
        match answer.status() {
            StatusCode::OK => Ok(Some(length(&answer).unwrap_or(0))),
            status => match self.status(path, status) {
                RemoteError::Missing { .. } => Ok(None),
                error => Err(error),
            },
        }
    }

    fn get(&self, path: &str, from: u64, take: &mut Take<'_>) -> Result<(), RemoteError> {
        let mut request = self.agent.get(format!("{}/{path}", self.url));
        // Compression would not help, since objects are compressed, and lengths must be those of the file.
        request = request.header(header::ACCEPT_ENCODING, "identity");
        if from > 0 {
            request = request.header(header::RANGE, format!("bytes={from}-"));
        }
        let answer = self.answer(request.call())?;
        let start = match answer.status() {
            StatusCode::PARTIAL_CONTENT => from,
            // Servers without support for ranges send the file from the start.
            StatusCode::OK => 0,
            status => return Err(self.status(path, status)),
        };
        let expected = length(&answer);
        let mut counted = Counted { body: answer.into_body().into_reader(), bytes: 0 };
        let broken = |error: io::Error| self.broken(&error);
        super::transfer::pieces(&mut counted, &broken, start, take)?;
        match expected {
            Some(expected) if counted.bytes < expected => Err(self.broken(&"the connection ended too soon")),
            _ => Ok(()),
        }
    }

    fn put(&self, _: &Outgoing<'_>) -> Result<(), RemoteError> {
        Err(RemoteError::ReadOnly(self.url.clone()))
    }

    fn create(&self, _: &str, _: &[u8]) -> Result<bool, RemoteError> {
        Err(RemoteError::ReadOnly(self.url.clone()))
    }

    fn remove(&self, _: &str) -> Result<(), RemoteError> {
        Err(RemoteError::ReadOnly(self.url.clone()))
    }

    fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }
}

/// Returns the length that a response declares in bytes.
fn length(answer: &Response<Body>) -> Option<u64> {
    answer.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok())
}

/// A reader that counts the bytes read.
struct Counted<R> {
    body: R,
    bytes: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.body.read(buffer)?;
        self.bytes += read as u64;
        Ok(read)
    }
}
