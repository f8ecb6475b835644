//! A web server for this machine's user only.
//!
//! It listens on 127.0.0.1, which every account of the machine and every page in a browser can reach. So the address has a
//! random part, and requests that a page of another origin could cause get nothing. Nothing can be changed through it.

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use hyper::header::{self, HeaderName, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::runtime::Builder;
use tokio::sync::Semaphore;
use tokio::task::{LocalSet, spawn_local};
use tokio::time::{sleep, timeout};

/// Maximum number of connections at a time.
const CONNECTIONS: usize = 32;
/// Maximum number of bytes of a request.
const REQUEST: usize = 16 << 10;
/// Maximum time for the head of a request.
const PATIENCE: Duration = Duration::from_secs(10);
/// Maximum time of a connection, so that clients that do not read cannot keep all of them. The page connects again.
const CONNECTION: Duration = Duration::from_secs(60);
/// Time between two checks whether to end.
const PAUSE: Duration = Duration::from_millis(100);

/// What a page may do: use the files of this server, and nothing else.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'";

/// Headers of every answer.
const HEADERS: [(HeaderName, &str); 6] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::CACHE_CONTROL, "no-store"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
];

/// The content of an address.
#[derive(Debug)]
pub struct Content {
    /// Its media type.
    pub kind: &'static str,
    /// Its text.
    pub text: String,
}

/// An open port with a secret address.
#[derive(Debug)]
pub struct Door {
    listener: TcpListener,
    rules: Rules,
}

/// Which requests are answered.
#[derive(Debug)]
struct Rules {
    port: u16,
    token: String,
}

impl Door {
    /// Opens a port of 127.0.0.1, a free one if it is 0.
    ///
    /// # Errors
    /// If the port is in use, or the system has no random numbers.
    pub fn open(port: u16) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        let mut secret = [0; 16];
        getrandom::fill(&mut secret)?;
        let token = secret.iter().map(|byte| format!("{byte:02x}")).collect();
        let port = listener.local_addr()?.port();
        Ok(Self { listener, rules: Rules { port, token } })
    }

    /// Returns the address of the page.
    pub fn address(&self) -> String {
        let Rules { port, token } = &self.rules;
        format!("http://127.0.0.1:{port}/{token}/")
    }

    /// Answers requests until `is_over` returns true. `routes` returns the content of an address by its end.
    pub(super) fn serve(
        self,
        routes: impl Fn(&str) -> Option<Content> + 'static,
        is_over: impl Fn() -> bool,
    ) -> io::Result<()> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let Self { listener, rules } = self;
        listener.set_nonblocking(true)?;
        let (rules, routes, seats) = (Rc::new(rules), Rc::new(routes), Arc::new(Semaphore::new(CONNECTIONS)));
        LocalSet::new().block_on(&runtime, async move {
            let listener = tokio::net::TcpListener::from_std(listener)?;
            while !is_over() {
                let stream = match timeout(PAUSE, listener.accept()).await {
                    Ok(Ok((stream, _))) => stream,
                    // The process has too many open files, for example.
                    Ok(Err(_)) => {
                        sleep(PAUSE).await;
                        continue;
                    }
                    Err(_) => continue,
                };
                let Ok(seat) = Arc::clone(&seats).try_acquire_owned() else { continue };
                let (rules, routes) = (Rc::clone(&rules), Rc::clone(&routes));
                let service = service_fn(move |request| {
                    let answer = rules.answer(&request, &*routes);
                    async move { Ok::<_, Infallible>(answer) }
                });
                spawn_local(async move {
                    let mut http = http1::Builder::new();
                    http.timer(TokioTimer::new()).header_read_timeout(PATIENCE).max_buf_size(REQUEST);
                    // A connection that breaks concerns only the browser.
                    let _ = timeout(CONNECTION, http.serve_connection(TokioIo::new(stream), service)).await;
                    drop(seat);
                });
            }
            Ok(())
        })
    }
}

impl Rules {
    fn answer<T>(&self, request: &Request<T>, routes: &dyn Fn(&str) -> Option<Content>) -> Response<String> {
        let found = self.route(request).and_then(|route| routes(route).ok_or(StatusCode::NOT_FOUND));
        let (status, kind, text) = match found {
            Ok(Content { kind, text }) => (StatusCode::OK, Some(kind), text),
            Err(status) => (status, None, String::new()),
        };
        let mut response = Response::new(text);
        *response.status_mut() = status;
        let kind = kind.map(|kind| (header::CONTENT_TYPE, kind));
        for (name, value) in HEADERS.into_iter().chain(kind) {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        response
    }

    /// Returns the end of the address, if the request may be answered.
    fn route<'r, T>(&self, request: &'r Request<T>) -> Result<&'r str, StatusCode> {
        let all = |name: &HeaderName| -> Vec<&[u8]> {
            request.headers().get_all(name).iter().map(HeaderValue::as_bytes).collect()
        };
        // Browsers leave out port 80.
        let port = if self.port == 80 { String::new() } else { format!(":{}", self.port) };
        let hosts = ["127.0.0.1", "localhost"].map(|host| format!("{host}{port}"));
        // A page that makes its own name lead to this machine (DNS rebinding) sends that name.
        let [host] = all(&header::HOST)[..] else { return Err(StatusCode::FORBIDDEN) };
        let is_own = |text: &[u8]| hosts.iter().any(|own| own.as_bytes() == text);
        if !is_own(host) || request.uri().authority().is_some() {
            return Err(StatusCode::FORBIDDEN);
        }
        // Browsers name the page that causes a request.
        let is_from_here = |origin: &[u8]| origin.strip_prefix(b"http://").is_some_and(is_own);
        let is_same = |site: &[u8]| site == b"same-origin" || site == b"none";
        let site = HeaderName::from_static("sec-fetch-site");
        if !all(&header::ORIGIN).into_iter().all(is_from_here) || !all(&site).into_iter().all(is_same) {
            return Err(StatusCode::FORBIDDEN);
        }
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return Err(StatusCode::METHOD_NOT_ALLOWED);
        }
        let (token, route) =
            request.uri().path().strip_prefix('/').and_then(|path| path.split_once('/')).unwrap_or_default();
        // Hashes are compared in constant time, so that the time of an answer says nothing about the token.
        let is_right = blake3::hash(token.as_bytes()) == blake3::hash(self.token.as_bytes());
        if is_right && request.uri().query().is_none() { Ok(route) } else { Err(StatusCode::NOT_FOUND) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: (&str, &str) = ("host", "127.0.0.1:8000");

    fn status(method: &str, uri: &str, headers: &[(&str, &str)]) -> u16 {
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let rules = Rules { port: 8000, token: "secret".into() };
        let routes = |name: &str| (name.is_empty()).then(|| Content { kind: "text/html", text: "page".into() });
        let answer = rules.answer(&request.body(()).unwrap(), &routes);
        assert!(!answer.headers().keys().any(|name| name.as_str().starts_with("access-control")));
        assert!(answer.headers().contains_key("content-security-policy"));
        assert_eq!(answer.body().is_empty(), answer.status() != StatusCode::OK);
        answer.status().as_u16()
    }

    #[test]
    fn only_requests_of_this_page_are_answered() {
        let own = [HOST, ("origin", "http://127.0.0.1:8000"), ("sec-fetch-site", "same-origin")];
        let local = [("host", "localhost:8000"), ("origin", "http://localhost:8000"), ("sec-fetch-site", "none")];
        for headers in [&own[..], &local, &[HOST]] {
            assert_eq!([status("GET", "/secret/", headers), status("HEAD", "/secret/", headers)], [200, 200]);
        }
        for (uri, wanted) in [
            ("/", 404),
            ("/secret", 404),
            ("/secre/", 404),
            ("/secret1/", 404),
            ("/wrong/", 404),
            ("/secret/other", 404),
            ("/secret/../secret/", 404),
            ("/secret/?x", 404),
            ("http://127.0.0.1:8000/secret/", 403),
            ("http://evil.example/secret/", 403),
        ] {
            assert_eq!(status("GET", uri, &[HOST]), wanted, "{uri}");
        }
        for method in ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "X"] {
            assert_eq!(status(method, "/secret/", &[HOST]), 405, "{method}");
        }
        for headers in [
            &[][..],
            &[HOST, HOST],
            &[("host", "evil.example:8000")],
            &[("host", "127.0.0.1")],
            &[("host", "127.0.0.1:80")],
            &[("host", "127.0.0.1:8000.evil.example")],
            &[HOST, ("origin", "http://evil.example")],
            &[HOST, ("origin", "https://127.0.0.1:8000")],
            &[HOST, ("origin", "http://127.0.0.1:8001")],
            &[HOST, ("origin", "null")],
            &[HOST, ("sec-fetch-site", "cross-site")],
            &[HOST, ("sec-fetch-site", "same-site")],
            &[HOST, ("origin", "http://127.0.0.1:8000"), ("origin", "http://evil.example")],
        ] {
            assert_eq!(status("GET", "/secret/", headers), 403, "{headers:?}");
        }
    }

    #[test]
    fn every_address_has_its_own_token() {
        let (one, other) = (Door::open(0).unwrap(), Door::open(0).unwrap());
        assert!(one.rules.token.len() == 32 && one.rules.token != other.rules.token);
        assert!(Door::open(one.rules.port).is_err(), "the port is in use");
    }
}
