//! `wdpipe watch`: who gets an answer, and curves that move while another process trains.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use super::environment::Environment;

/// A time for what never takes this long.
const PATIENCE: Duration = Duration::from_secs(120);

/// A running `wdpipe watch`.
struct Watching {
    process: Child,
    port: String,
    token: String,
}

impl Watching {
    fn start(environment: &Environment) -> Self {
        let mut command = environment.command(&["watch"]);
        let mut process = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let place = line.trim().strip_prefix("http://127.0.0.1:").unwrap_or_else(|| panic!("{line}"));
        let (port, token) = place.trim_end_matches('/').split_once('/').unwrap();
        Self { port: port.to_owned(), token: token.to_owned(), process }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(format!("127.0.0.1:{}", self.port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// Sends bytes and returns everything that comes back. A server that has heard enough can close the connection early.
    fn sends(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect();
        let _ = stream.write_all(bytes);
        if bytes.is_empty() {
            let _ = stream.shutdown(std::net::Shutdown::Write);
        }
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// Sends a request with this start and these headers, and returns the status, the head and the body.
    fn asks(&self, line: &str, headers: &str) -> (u16, String, String) {
        let answer = self.sends(format!("{line}\r\n{headers}Connection: close\r\n\r\n").as_bytes());
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{line}: {answer:?}"));
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap();
        (status, head.to_lowercase(), body.to_owned())
    }

    fn host(&self) -> String {
        format!("Host: 127.0.0.1:{}\r\n", self.port)
    }

    fn gets(&self, name: &str) -> (u16, String, String) {
        self.asks(&format!("GET /{}/{name} HTTP/1.1", self.token), &self.host())
    }

    #[cfg(feature = "torch")]
    fn runs(&self) -> Vec<serde_json::Value> {
        let (status, _, body) = self.gets("state.json");
        assert_eq!(status, 200);
        serde_json::from_str::<serde_json::Value>(&body).unwrap()["runs"].as_array().unwrap().clone()
    }

    /// Ends it as Ctrl-C does, and returns its exit code.
    fn ends(mut self) -> Option<i32> {
        // SAFETY: plain values; the process is this test's.
        unsafe { libc::kill(self.process.id() as i32, libc::SIGINT) };
        self.process.wait().unwrap().code()
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn requests_of_others_get_nothing() {
    let environment = Environment::new();
    let watching = Watching::start(&environment);
    let (token, port, host) = (watching.token.clone(), watching.port.clone(), watching.host());
    for (name, kind, part) in [
        ("", "text/html", "<!DOCTYPE html>"),
        ("watch.js", "text/javascript", "state.json"),
        ("watch.css", "text/css", "prefers-color-scheme"),
        ("state.json", "application/json", "{\"runs\":[]}"),
    ] {
        let (status, head, body) = watching.gets(name);
        assert!(
            status == 200 && head.contains(&format!("content-type: {kind}")) && body.contains(part),
            "{head}{body}"
        );
        for header in ["content-security-policy: default-src 'none'", "cache-control: no-store", "nosniff"] {
            assert!(head.contains(header), "{head}");
        }
        assert!(!head.contains("access-control"), "{head}");
        let (status, _, body) = watching.asks(&format!("HEAD /{token}/{name} HTTP/1.1"), &host);
        assert_eq!((status, &*body), (200, ""));
    }
    let page = format!("/{token}/");
    let foreign = |header: &str| format!("{host}{header}\r\n");
    for (line, headers) in [
        // Another name of this machine, as DNS rebinding uses it.
        (format!("GET {page} HTTP/1.1"), format!("Host: evil.example:{port}\r\n")),
        (format!("GET {page} HTTP/1.1"), format!("Host: 127.0.0.1:{port}.evil.example\r\n")),
        (format!("GET {page} HTTP/1.1"), "Host: 127.0.0.1\r\n".to_owned()),
        (format!("GET {page} HTTP/1.0"), String::new()),
        (format!("GET http://evil.example{page} HTTP/1.1"), host.clone()),
        // Pages of other origins.
        (format!("GET {page} HTTP/1.1"), foreign("Origin: http://evil.example")),
        (format!("GET {page} HTTP/1.1"), foreign("Origin: null")),
        (format!("GET {page}state.json HTTP/1.1"), foreign("Sec-Fetch-Site: cross-site")),
        (format!("OPTIONS {page}state.json HTTP/1.1"), foreign("Origin: http://evil.example")),
        // Other methods.
        (format!("POST {page} HTTP/1.1"), foreign("Content-Length: 0")),
        (format!("PUT {page} HTTP/1.1"), foreign("Content-Length: 0")),
        (format!("DELETE {page} HTTP/1.1"), host.clone()),
        (format!("CONNECT 127.0.0.1:{port} HTTP/1.1"), host.clone()),
        // Other tokens and addresses.
        ("GET / HTTP/1.1".to_owned(), host.clone()),
        ("GET /state.json HTTP/1.1".to_owned(), host.clone()),
        (format!("GET /{}/ HTTP/1.1", "0".repeat(32)), host.clone()),
        (format!("GET /{}/state.json HTTP/1.1", &token[..31]), host.clone()),
        (format!("GET {page}?x=1 HTTP/1.1"), host.clone()),
        (format!("GET {page}../../etc/passwd HTTP/1.1"), host.clone()),
        (format!("GET {page}page.html HTTP/1.1"), host.clone()),
    ] {
        let (status, head, body) = watching.asks(&line, &headers);
        assert!(matches!(status, 403..=405), "{line} {headers}: {head}");
        assert!(body.is_empty() && !head.contains("access-control"), "{line} {headers}: {head}{body}");
    }
    // What is no request, is too long, or never comes does not stop the server.
    for bytes in [&b"\0\xff\r\n\r\n"[..], &[b'x'; 100_000], b"GET / HTTP/9.9\r\n\r\n", b""] {
        assert!(!watching.sends(bytes).contains("200 OK"));
    }
    let waiting: Vec<TcpStream> = (0..100).map(|_| watching.connect()).collect();
    drop(waiting);
    let begun = Instant::now();
    while !watching
        .sends(format!("GET {page} HTTP/1.1\r\n{host}Connection: close\r\n\r\n").as_bytes())
        .contains("200 OK")
    {
        assert!(begun.elapsed() < PATIENCE);
    }
    assert!(!environment.path("cache").exists(), "it changes nothing");
    assert_eq!(watching.ends(), Some(0));
}

#[test]
fn a_port_in_use_is_named() {
    let environment = Environment::new();
    let watching = Watching::start(&environment);
    let second = environment.run(&["watch", "--port", &watching.port]);
    assert_eq!(second.code, Some(1), "{}", second.stderr);
    assert!(second.stderr.contains(&format!("port {}", watching.port)), "{}", second.stderr);
    assert!(second.stderr.contains("--port"), "{}", second.stderr);
}

#[cfg(feature = "torch")]
mod training {
    use std::collections::BTreeSet;
    use std::path::PathBuf;

    use serde_json::Value;

    use super::super::environment::{Ended, ended};
    use super::*;

    /// Number of epochs of a segment: some seconds of training.
    const SEGMENT: usize = 100;
    const STAGE: &str = "fig3/trunk[lr=0.1,seed=0]";

    /// Two segments of training at the smallest size.
    fn make<'a>(target: &'a str, more: &[&'a str]) -> Vec<&'a str> {
        let sets =
            ["lr=[0.1]", "after=[100]", "trunk.epochs=200", "trunk.checkpoint_first=100", "trunk.checkpoint_every=100"];
        let mut arguments = Environment::tiny(target, more);
        arguments.extend(sets.iter().flat_map(|set| ["--set", *set]));
        arguments
    }

    /// Waits until `see` returns a value; `made` must go on until then.
    fn wait<T>(what: &str, made: &mut Child, mut see: impl FnMut() -> Option<T>) -> T {
        let begun = Instant::now();
        loop {
            if let Some(seen) = see() {
                return seen;
            }
            assert!(begun.elapsed() < PATIENCE, "{what}");
            assert_eq!(made.try_wait().unwrap(), None, "it ended before {what}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn start(environment: &Environment, arguments: &[&str]) -> Child {
        let mut command = environment.command(arguments);
        // Notes are written as often as claims are renewed.
        command.env("WDPIPE_HEARTBEAT", "0.1s").env("WDPIPE_TIMES", "beat=0.1s,patience=1s,ask=0.2s,top-up=0.2s");
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    fn end(made: Child) -> Ended {
        let made = ended(&made.wait_with_output().unwrap());
        assert_eq!(made.code, Some(0), "{}", made.stderr);
        made
    }

    fn points(run: &Value, name: &str) -> usize {
        run[name].as_array().unwrap().len()
    }

    /// Returns the names of all objects and records. Names of records depend on time, so only their keys count.
    fn results(environment: &Environment) -> BTreeSet<PathBuf> {
        let root = environment.path("cache");
        let records = environment.files("records").into_iter().map(|path| path.parent().unwrap().to_owned());
        let all = environment.files("objects").into_iter().chain(records);
        all.map(|path| path.strip_prefix(&root).unwrap().to_owned()).collect()
    }

    /// Counts the frames of an event file.
    fn frames(environment: &Environment, checkpoint: usize) -> usize {
        let file = format!("board/{STAGE}/events.out.tfevents.{checkpoint:0>10}.wdpipe");
        let bytes = std::fs::read(environment.path(&file)).unwrap_or_default();
        let (mut rest, mut count) = (&bytes[..], 0);
        while let Some((length, after)) = rest.split_first_chunk() {
            let Some(next) = after.get(4 + u64::from_le_bytes(*length) as usize + 4..) else { break };
            (rest, count) = (next, count + 1);
        }
        count
    }

    #[test]
    fn curves_move_while_another_process_trains_and_change_nothing() {
        let (environment, alone) = (Environment::new(), Environment::new());
        let target = format!("{STAGE}@200");
        let watching = Watching::start(&environment);
        let mut made = start(&environment, &make(&target, &["--tensorboard", "board"]));
        let trunk = || watching.runs().into_iter().find(|run| run["name"] == STAGE);
        let first = wait("a curve begins", &mut made, || trunk().filter(|run| points(run, "losses") > 1));
        assert_eq!(
            (&first["is_running"], first["process"].as_u64()),
            (&true.into(), Some(made.id().into())),
            "{first}"
        );
        assert!(first["loss"].is_number() && first["test_error"].is_number() && points(&first, "test_errors") > 1);
        let epoch = |run: &Value| run["epoch"].as_f64().unwrap();
        let second = wait("it moves", &mut made, || trunk().filter(|run| epoch(run) > epoch(&first)));
        assert!(epoch(&second) < SEGMENT as f64 && second["done"].as_f64() > first["done"].as_f64(), "{second}");
        // Rows are in the event file before the segment has a record.
        let rows = wait("rows are written", &mut made, || Some(frames(&environment, 100)).filter(|rows| *rows > 1));
        assert!(rows < SEGMENT, "{rows}");
        let next = format!("{STAGE}@200");
        let third = wait("the next segment runs", &mut made, || trunk().filter(|run| run["stage"] == *next));
        assert!(
            points(&third, "losses") > SEGMENT / 2 && third["losses"][0][0].as_f64() < Some(10.0),
            "it keeps its curve"
        );
        end(made);
        assert_eq!([100, 200].map(|checkpoint| frames(&environment, checkpoint)), [SEGMENT + 1; 2]);
        for folder in ["claims", "tmp"] {
            assert_eq!(environment.files(folder), Vec::<PathBuf>::new());
        }
        assert_eq!(watching.ends(), Some(0));
        end(start(&alone, &make(&target, &[])));
        assert_eq!(results(&environment), results(&alone));
    }

    #[test]
    fn stages_of_several_workers_are_shown_and_listed() {
        let environment = Environment::new();
        let watching = Watching::start(&environment);
        let mut made = start(&environment, &make(&format!("{STAGE}@100"), &["--executor", "local:2"]));
        let run = wait("a worker trains", &mut made, || {
            watching.runs().into_iter().find(|run| run["name"] == STAGE && points(run, "losses") > 1)
        });
        assert!(run["job"].is_string() && run["process"].as_u64() != Some(made.id().into()), "{run}");
        let listed = environment.run(&["jobs", "--json"]);
        let name = serde_json::from_str::<Value>(&listed.stdout).unwrap()[0]["run"].as_str().unwrap().to_owned();
        let told = |text: &str| text.contains(STAGE) && text.contains(", epoch ") && text.contains(", loss ");
        wait("the values are listed", &mut made, || told(&environment.run(&["jobs", &name]).stdout).then_some(()));
        end(made);
    }
}
