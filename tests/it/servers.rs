//! Real servers, which are started for a test on this machine and stopped with it, and a wire between client and server that
//! can fail on purpose.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// A server, which stops when it is dropped.
pub struct Server {
    child: Child,
    /// Port on which the server listens.
    pub port: u16,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Finds a program: in a folder that `ci/servers` made, or in the system's folders.
fn program(name: &str) -> Option<PathBuf> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join(".servers/bin").join(name);
    let path = std::env::var("PATH").unwrap_or_default();
    let folders = path.split(':').map(Path::new).chain([Path::new("/usr/sbin"), Path::new("/sbin")]);
    std::iter::once(own).chain(folders.map(|folder| folder.join(name))).find(|path| path.is_file())
}

/// Finds a program, or prints why the test is skipped.
pub fn needed(name: &str) -> Option<PathBuf> {
    let found = program(name);
    if found.is_none() {
        println!("skipped: there is no {name} (`ci/servers` installs it)");
    }
    found
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn wait_for(port: u16) {
    let until = Instant::now() + Duration::from_secs(60);
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(Instant::now() < until, "the server on port {port} does not start");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Starts Python's own web server, which cannot serve parts of a file.
pub fn web(folder: &Path) -> Option<Server> {
    let python = needed("python3")?;
    let mut child = Command::new(python)
        .args(["-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "--directory"])
        .arg(folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let port = line.split_whitespace().skip_while(|word| *word != "port").nth(1).unwrap().parse().unwrap();
    Some(Server { child, port })
}

/// Starts an S3 server with an empty bucket `cache`.
pub fn s3() -> Option<Server> {
    let moto = needed("moto_server")?;
    let port = free_port();
    let child = Command::new(moto)
        .args(["-H", "127.0.0.1", "-p", &port.to_string()])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let server = Server { child, port };
    wait_for(port);
    s3_put(port, "/cache", "");
    Some(server)
}

/// Makes a file of the bucket readable without a signature, as on a web server.
pub fn s3_open(port: u16, path: &str) {
    s3_put(port, &format!("/cache/{path}?acl"), "x-amz-acl: public-read\r\n");
}

fn s3_put(port: u16, path: &str, header: &str) {
    s3_ask(port, "PUT", path, header, b"");
}

/// Sends a request with full rights to the S3 server; returns the answer with its head.
pub fn s3_ask(port: u16, method: &str, path: &str, header: &str, body: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: AWS4-HMAC-SHA256 \
         Credential=test/20260101/us-east-1/s3/aws4_request\r\n{header}Content-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).unwrap();
    stream.write_all(body).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let status = String::from_utf8_lossy(&answer[..answer.len().min(40)]).into_owned();
    assert!(status.contains(" 200 ") || status.contains(" 204 "), "{status}");
    answer
}

/// Returns the variables for access to an S3 server.
pub fn s3_variables(port: u16) -> [(&'static str, String); 4] {
    [
        ("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{port}")),
        ("AWS_ACCESS_KEY_ID", "test".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "very-secret".to_owned()),
        ("AWS_REGION", "us-east-1".to_owned()),
    ]
}

/// Starts an ssh server; returns it and the settings with which `ssh` reaches it as `there`.
pub fn ssh(folder: &Path) -> Option<(Server, PathBuf)> {
    let (sshd, keygen) = (needed("sshd")?, needed("ssh-keygen")?);
    needed("ssh")?;
    let path = |name: &str| folder.join(name).display().to_string();
    std::fs::create_dir_all(folder).unwrap();
    for key in ["host", "id"] {
        let made = Command::new(&keygen).args(["-qt", "ed25519", "-N", "", "-f", &path(key)]).status().unwrap();
        assert!(made.success());
    }
    std::fs::copy(path("id.pub"), path("allowed")).unwrap();
    // sshd needs this folder when it runs as root.
    let _ = std::fs::create_dir_all("/run/sshd");
    let port = free_port();
    let settings = format!(
        "ListenAddress 127.0.0.1:{port}\nHostKey {}\nPidFile none\nAuthorizedKeysFile {}\nStrictModes no\nUsePAM no\n\
         PasswordAuthentication no\nSubsystem sftp internal-sftp\n",
        path("host"),
        path("allowed")
    );
    std::fs::write(path("sshd_config"), settings).unwrap();
    let host = std::fs::read_to_string(path("host.pub")).unwrap();
    std::fs::write(path("known"), format!("[127.0.0.1]:{port} {host}")).unwrap();
    let user = Command::new("id").arg("-un").output().unwrap();
    let client = format!(
        "Host there\nHostName 127.0.0.1\nPort {port}\nUser {}\nIdentityFile {}\nIdentitiesOnly yes\n\
         UserKnownHostsFile {}\n",
        String::from_utf8_lossy(&user.stdout).trim(),
        path("id"),
        path("known")
    );
    std::fs::write(path("ssh_config"), client).unwrap();
    let child =
        Command::new(sshd).args(["-D", "-e", "-f", &path("sshd_config")]).stderr(Stdio::null()).spawn().unwrap();
    let server = Server { child, port };
    wait_for(port);
    Some((server, folder.join("ssh_config")))
}

/// Fault that a wire applies to the answers of the server.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Fault {
    /// No fault.
    None,
    /// Every connection ends after this number of bytes.
    Cut(usize),
    /// Every other connection is answered 500 and closed.
    Error,
    /// Bytes come a few at a time.
    Slow,
    /// One byte of every answer with a long body is changed.
    Wrong,
}

/// Starts a wire to a server on this machine. It listens on a separate port as long as the process lives, and breaks at
/// most `times` connections. Returns the port.
pub fn wire(server: u16, fault: Fault, times: usize) -> u16 {
    counting_wire(server, fault, times).0
}

/// Starts a wire like [`wire`]; also returns a counter of the bytes that came from the server.
pub fn counting_wire(server: u16, fault: Fault, times: usize) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (left, carried) = (Arc::new(AtomicUsize::new(times)), Arc::new(AtomicUsize::new(0)));
    let count = Arc::clone(&carried);
    std::thread::spawn(move || {
        for (number, client) in listener.incoming().enumerate() {
            let Ok(client) = client else { continue };
            let (left, count) = (Arc::clone(&left), Arc::clone(&count));
            std::thread::spawn(move || {
                let hit = |fault: Fault| fault != Fault::None && (fault != Fault::Error || number % 2 == 0);
                let breaks = hit(fault)
                    && left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok();
                let _ = carry(client, server, if breaks { fault } else { Fault::None }, &count);
            });
        }
    });
    (port, carried)
}

fn carry(mut client: TcpStream, server: u16, fault: Fault, count: &AtomicUsize) -> std::io::Result<()> {
    if fault == Fault::Error {
        let mut request = [0; 4096];
        let _ = client.read(&mut request)?;
        let answer = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        return client.write_all(answer);
    }
    let mut there = TcpStream::connect(("127.0.0.1", server))?;
    let (mut from_client, mut to_server) = (client.try_clone()?, there.try_clone()?);
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut from_client, &mut to_server);
        let _ = to_server.shutdown(std::net::Shutdown::Write);
    });
    let (mut buffer, mut carried) = ([0; 8192], 0);
    loop {
        let wanted = if fault == Fault::Slow { 700 } else { buffer.len() };
        let read = there.read(&mut buffer[..wanted])?;
        if read == 0 {
            break;
        }
        let mut piece = buffer[..read].to_vec();
        match fault {
            Fault::Cut(after) if carried + read > after => {
                let rest = after.saturating_sub(carried);
                client.write_all(&piece[..rest])?;
                count.fetch_add(rest, Ordering::Relaxed);
                break;
            }
            Fault::Slow => std::thread::sleep(Duration::from_millis(3)),
            Fault::Wrong if carried + read > 1500 => {
                if let Some(byte) = piece.last_mut() {
                    *byte ^= 0x10;
                }
            }
            _ => {}
        }
        client.write_all(&piece)?;
        carried += read;
        count.fetch_add(read, Ordering::Relaxed);
    }
    let _ = client.shutdown(std::net::Shutdown::Both);
    let _ = there.shutdown(std::net::Shutdown::Both);
    Ok(())
}
