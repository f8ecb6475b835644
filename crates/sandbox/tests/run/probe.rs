//! A program that tries to get at something. It is this test binary, run in the sandbox.

use std::hash::{BuildHasher, RandomState};
use std::io::{self, Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::{SocketAddr, UnixStream};
use std::time::{SystemTime, UNIX_EPOCH};

/// Text before the answer of the probe.
pub const ANSWER: &str = "ANSWER ";

#[test]
#[ignore = "a program for the sandbox, not a test"]
fn probe() {
    let Ok(words) = std::env::var("PROBE") else { return };
    let words: Vec<&str> = words.split('|').collect();
    let answer = attempt(&words).unwrap_or_else(|error| format!("refused: {error}"));
    println!("\n{ANSWER}{answer}");
}

/// Tries something, and returns what it got.
fn attempt(words: &[&str]) -> io::Result<String> {
    let path = words.get(1).copied().unwrap_or_default();
    let number = || path.parse::<i32>().map_err(io::Error::other);
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).trim().replace(['\n', '\0'], " ");
    Ok(match words[0] {
        "read" => text(std::fs::read(path)?),
        "exists" => std::fs::metadata(path)?.len().to_string(),
        "list" => std::fs::read_dir(path)?.count().to_string(),
        "write" => std::fs::write(path, "changed").map(|()| "written".to_owned())?,
        "chmod" => std::fs::set_permissions(path, PermissionsExt::from_mode(0o600)).map(|()| "changed".to_owned())?,
        "tcp" => TcpStream::connect(path)?.peer_addr()?.to_string(),
        "udp" => UdpSocket::bind("127.0.0.1:0")?.send_to(b"hello", path)?.to_string(),
        "unix" => UnixStream::connect(path).map(|_| "connected".to_owned())?,
        "abstract" => {
            UnixStream::connect_addr(&SocketAddr::from_abstract_name(path)?).map(|_| "connected".to_owned())?
        }
        "kill" | "ptrace" | "shm" | "vsock" | "keys" | "session" | "uid" | "umask" | "privileges" | "descriptor" => {
            by_number(words[0], number().unwrap_or_default())?
        }
        "host" => text(std::fs::read("/proc/sys/kernel/hostname")?),
        "input" => io::read_to_string(io::stdin())? + "empty",
        "variable" => std::env::var(path).map_err(io::Error::other)?,
        "cores" => std::thread::available_parallelism()?.to_string(),
        "time" => SystemTime::now().duration_since(UNIX_EPOCH).map_err(io::Error::other)?.as_secs().to_string(),
        "random" => {
            let mut bytes = [0u8; 8];
            std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
            u64::from_ne_bytes(bytes).to_string()
        }
        "hash" => RandomState::new().hash_one("x").to_string(),
        "modified" => std::fs::metadata(path)?.mtime().to_string(),
        "changed" => std::fs::metadata(path)?.ctime().to_string(),
        "address" => format!("{:p}", attempt as *const ()),
        "folder" => std::env::current_dir()?.display().to_string(),
        "daemon" => {
            let mut daemon = std::process::Command::new("sh");
            daemon.args(["-c", &format!("setsid sleep {path} >/dev/null 2>&1 &")]);
            daemon.status()?.to_string()
        }
        other => return Err(io::Error::other(format!("unknown probe {other}"))),
    })
    .inspect(|_| drop(io::stdout().flush()))
}

/// Makes a system call that takes only numbers, and returns its result.
fn by_number(call: &str, number: i32) -> io::Result<String> {
    // SAFETY: these calls take only numbers.
    let result = unsafe {
        match call {
            "kill" => libc::kill(number, libc::SIGKILL).into(),
            "ptrace" => libc::ptrace(libc::PTRACE_SEIZE, number, 0, 0),
            "shm" => libc::shmget(number, 1, 0).into(),
            "vsock" => libc::socket(libc::AF_VSOCK, libc::SOCK_STREAM, 0).into(),
            // The keyring of the session.
            "keys" => libc::syscall(libc::SYS_keyctl, 0, -3, 0),
            "session" => libc::getsid(0).into(),
            "uid" => libc::getuid().into(),
            "umask" => libc::umask(0).into(),
            "privileges" => libc::prctl(libc::PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0).into(),
            _ => libc::fcntl(number, libc::F_GETFD).into(),
        }
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result.to_string()) }
}
