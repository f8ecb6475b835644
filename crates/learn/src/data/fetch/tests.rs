use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::sync::Mutex;
use std::sync::mpsc;

use super::*;

/// The test server's answer to one request.
#[derive(Debug, Clone, Copy)]
enum Answer {
    /// A correct answer, including ranges.
    Well,
    /// The answer of a server without support for ranges.
    WholeAlways,
    /// An answer that ends after this number of the announced bytes, when the server closes the connection.
    Drops(usize),
    /// An incomplete answer without a length: the client cannot see that something is missing.
    NoLength,
    /// A range that was not requested.
    WrongRange,
    /// An answer that has only a status.
    Status(u16),
    /// No answer, on a connection that stays open until the client closes it.
    Silence,
}

/// A real HTTP server on this machine that gives the answers one after another, and repeats the last one.
struct Server {
    url: String,
    requests: mpsc::Receiver<Option<String>>,
}

impl Server {
    fn new(content: &[u8], answers: &[Answer]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let (sender, requests) = mpsc::channel();
        let (content, answers) = (content.to_vec(), answers.to_vec());
        std::thread::spawn(move || {
            for (turn, stream) in listener.incoming().enumerate() {
                let answer = answers[turn.min(answers.len() - 1)];
                // A client that closes the connection early is part of the tests.
                let _ = serve(stream.unwrap(), &content, answer, &sender);
            }
        });
        Self { url, requests }
    }

    /// Returns the `Range` header of each request since the last call.
    fn ranges(&self) -> Vec<Option<String>> {
        self.requests.try_iter().collect()
    }
}

type Note = mpsc::Sender<Option<String>>;

fn serve(mut stream: TcpStream, content: &[u8], answer: Answer, note: &Note) -> io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let first = lines.next().transpose()?.unwrap_or_default();
    assert_eq!(first, "GET /a.tar.gz HTTP/1.1");
    let headers: Vec<String> = lines.by_ref().map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
    let header = |name: &str| {
        let fields = headers.iter().filter_map(|line| line.split_once(": "));
        fields.clone().find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned())
    };
    assert_eq!(header("accept-encoding").as_deref(), Some("identity"));
    let range = header("range");
    // Record the request before answering, so that the record exists when the client receives the answer.
    let _ = note.send(range.clone());
    let start: usize = range.as_deref().map_or(0, |range| range[6..range.len() - 1].parse().unwrap());
    let total = content.len();
    let whole = format!("200 OK\r\nContent-Length: {total}");
    let (head, body) = match answer {
        Answer::Well | Answer::Drops(_) if range.is_none() => (whole, content),
        Answer::WholeAlways => (whole, content),
        Answer::Well | Answer::Drops(_) if start >= total => {
            (format!("416 Range Not Satisfiable\r\nContent-Range: bytes */{total}\r\nContent-Length: 0"), &[][..])
        }
        Answer::Well | Answer::Drops(_) => {
            let length = total - start;
            let range = format!("bytes {start}-{}/{total}", total - 1);
            (format!("206 Partial Content\r\nContent-Range: {range}\r\nContent-Length: {length}"), &content[start..])
        }
        Answer::NoLength => ("200 OK".to_owned(), content),
        Answer::WrongRange => {
            (format!("206 Partial Content\r\nContent-Range: bytes 1-2/{total}\r\nContent-Length: 2"), &content[1..3])
        }
        Answer::Status(status) => (format!("{status} Because\r\nContent-Length: 0"), &[][..]),
        Answer::Silence => {
            let _ = lines.next();
            return Ok(());
        }
    };
    let sent = if let Answer::Drops(count) = answer { &body[..count.min(body.len())] } else { body };
    write!(stream, "HTTP/1.1 {head}\r\nConnection: close\r\n\r\n")?;
    stream.write_all(sent)
}

/// Returns content that is larger than one piece and has no repeated parts.
fn content() -> Vec<u8> {
    (0..200_000_u32).flat_map(|i| i.wrapping_mul(2_654_435_761).to_le_bytes()).collect()
}

/// `md5sum` of [`content`], computed by another program.
const MD5: &str = "730de1b41504eab6b62536d2cb5722c3";

const ARCHIVE: Archive = Archive { file: "a.tar.gz", md5: MD5, bytes: 800_000 };

fn options(server: &Server) -> Options {
    let pause = Duration::from_millis(1);
    Options {
        base_url: server.url.clone(),
        timeout: Duration::from_millis(500),
        attempts: 3,
        pause,
        ..Options::default()
    }
}

fn fetch_from(server: &Server, folder: &Path) -> Result<PathBuf, FetchError> {
    fetch(&ARCHIVE, folder, &options(server), &AtomicBool::new(false), &mut |_, _| {})
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Lets a server give these answers and checks that the archive arrives complete. Returns the requested ranges.
fn arrives(answers: &[Answer], part: &[u8]) -> Vec<Option<String>> {
    let folder = tempfile::tempdir().unwrap();
    if !part.is_empty() {
        std::fs::write(folder.path().join("a.tar.gz.part"), part).unwrap();
    }
    let server = Server::new(&content(), answers);
    let path = fetch_from(&server, folder.path()).unwrap();
    assert_eq!(std::fs::read(path).unwrap(), content());
    assert_eq!(names(folder.path()), ["a.tar.gz"]);
    server.ranges()
}

fn from(start: usize) -> Option<String> {
    Some(format!("bytes={start}-"))
}

#[test]
fn an_archive_comes_whole_and_is_not_fetched_again() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::new(&content(), &[Answer::Well]);
    let told = Mutex::new(Vec::new());
    let mut progress = |bytes, total| told.lock().unwrap().push((bytes, total));
    // The folder is created.
    let inside = folder.path().join("down/load");
    fetch(&ARCHIVE, &inside, &options(&server), &AtomicBool::new(false), &mut progress).unwrap();
    let told = told.into_inner().unwrap();
    assert_eq!((told[0], told[told.len() - 1]), ((0, 800_000), (800_000, 800_000)));
    assert!(told.is_sorted());
    fetch_from(&server, &inside).unwrap();
    assert_eq!(server.ranges(), [None]);
    // A damaged archive is replaced.
    std::fs::write(inside.join("a.tar.gz"), b"damaged").unwrap();
    fetch_from(&server, &inside).unwrap();
    assert_eq!(server.ranges(), [None]);
}

#[test]
fn broken_downloads_go_on_where_they_were() {
    assert_eq!(arrives(&[Answer::Drops(300_000), Answer::Well], b""), [None, from(300_000)]);
    assert_eq!(arrives(&[Answer::Well], &content()[..123]), [from(123)]);
    // There are more drops than attempts, but each attempt receives something.
    let drops = [Answer::Drops(150_000); 6];
    assert_eq!(arrives(&drops, b"").last(), Some(&from(750_000)));
    // All bytes were on disk, only the check was missing.
    assert_eq!(arrives(&[Answer::Well], &content()), [from(800_000)]);
}

#[test]
fn servers_that_know_no_ranges_start_over() {
    assert_eq!(arrives(&[Answer::Drops(300_000), Answer::WholeAlways], b""), [None, from(300_000)]);
    assert_eq!(arrives(&[Answer::WrongRange, Answer::Well], &content()[..50]), [from(50), None]);
    assert_eq!(arrives(&[Answer::NoLength], b""), [None]);
    // More bytes on disk than on the server: it was another file.
    let longer = [content(), vec![0]].concat();
    assert_eq!(arrives(&[Answer::Well], &longer), [from(800_001), None]);
}

#[test]
fn passing_failures_are_tried_again_and_lasting_ones_reported() {
    assert_eq!(arrives(&[Answer::Status(500), Answer::Status(429), Answer::Well], b"").len(), 3);
    assert_eq!(arrives(&[Answer::Silence, Answer::Well], b"").len(), 2);
    let folder = tempfile::tempdir().unwrap();
    let gone = Server::new(b"", &[Answer::Status(404)]);
    assert!(matches!(fetch_from(&gone, folder.path()), Err(FetchError::Status { status: 404, .. })));
    assert_eq!(gone.ranges().len(), 1);
    let ill = Server::new(b"", &[Answer::Status(503)]);
    let error = fetch_from(&ill, folder.path()).unwrap_err();
    assert!(error.to_string().contains("503"), "{error}");
    assert!(matches!(error, FetchError::Unreachable { attempts: 3, .. }));
    assert_eq!(ill.ranges().len(), 3);
    let nobody = Options { base_url: "http://127.0.0.1:1".into(), ..options(&ill) };
    let error = fetch(&ARCHIVE, folder.path(), &nobody, &AtomicBool::new(false), &mut |_, _| {});
    assert!(matches!(error, Err(FetchError::Unreachable { .. })));
    for base_url in ["no address", "", "ftp://a"] {
        let options = Options { base_url: base_url.into(), ..options(&ill) };
        let error = fetch(&ARCHIVE, folder.path(), &options, &AtomicBool::new(false), &mut |_, _| {});
        assert!(matches!(error, Err(FetchError::Address { .. })), "{base_url}: {error:?}");
    }
}

#[test]
fn wrong_content_is_removed() {
    let folder = tempfile::tempdir().unwrap();
    let mut wrong = content();
    wrong[5] ^= 1;
    let error = fetch_from(&Server::new(&wrong, &[Answer::Well]), folder.path()).unwrap_err();
    assert!(matches!(error, FetchError::Checksum { expected: MD5, .. }), "{error}");
    assert!(names(folder.path()).is_empty());
    let endless = vec![0; 1_700_000];
    let error = fetch_from(&Server::new(&endless, &[Answer::NoLength]), folder.path()).unwrap_err();
    assert!(matches!(error, FetchError::TooLarge { limit: 1_600_000, .. }), "{error}");
    assert!(names(folder.path()).is_empty());
}

#[test]
fn a_cancelled_download_keeps_what_has_come_and_another_waits_for_none() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::new(&content(), &[Answer::Well]);
    let cancel = AtomicBool::new(false);
    let mut other = None;
    let mut progress = |bytes, _| {
        if bytes > 100_000 && other.is_none() {
            other = Some(fetch_from(&server, folder.path()));
            cancel.store(true, Ordering::Relaxed);
        }
    };
    let stopped = fetch(&ARCHIVE, folder.path(), &options(&server), &cancel, &mut progress);
    assert!(matches!(stopped, Err(FetchError::Cancelled)));
    assert!(matches!(other, Some(Err(FetchError::Busy(_)))));
    assert_eq!(names(folder.path()), ["a.tar.gz.part"]);
    fetch_from(&server, folder.path()).unwrap();
    let start = |range: &Option<String>| range.as_deref().map(|range| range.len() > "bytes=100000".len());
    assert_eq!(server.ranges().iter().map(start).collect::<Vec<_>>(), [None, Some(true)]);
}

#[test]
fn published_archives_are_named_by_their_source() {
    assert_eq!(archive(Source::Cifar10).map(|a| a.file), Some("cifar-10-binary.tar.gz"));
    assert_eq!(archive(Source::Cifar100).map(|a| a.md5.len()), Some(32));
    assert_eq!(archive(Source::Shapes10), None);
}
