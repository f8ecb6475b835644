//! Things outside the sandbox that a program can try to get at.

use std::fs::File;
use std::net::{TcpListener, UdpSocket};
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use sandbox::{How, Level};
use tempfile::TempDir;

use super::probe::ANSWER;
use super::{order, run};

/// Everything that attempts need, for one level.
pub struct Host {
    level: Level,
    /// A folder that is not declared, outside `/tmp`.
    pub undeclared: TempDir,
    /// A file in it.
    pub file: PathBuf,
    /// A file in it that attempts may change.
    pub victim: PathBuf,
    /// A folder in `/tmp` with the file `file`.
    pub temporary: TempDir,
    /// A folder that the order declares as the system, and a file in it.
    system: TempDir,
    pub system_file: PathBuf,
    pub tcp: String,
    pub udp: UdpSocket,
    pub socket: PathBuf,
    pub abstract_name: String,
    pub shared: PathBuf,
    /// Key and number of shared memory.
    pub key: i32,
    memory: i32,
    pub descriptor: i32,
    sleeper: Child,
    _open: (TcpListener, UnixListener, UnixListener, File),
}

impl Host {
    pub fn new(level: Level) -> Self {
        let undeclared = tempfile::tempdir_in("/var/tmp").unwrap();
        let (temporary, system) = (tempfile::tempdir_in("/tmp").unwrap(), tempfile::tempdir_in("/var/tmp").unwrap());
        let [file, victim] = ["file", "victim"].map(|name| undeclared.path().join(name));
        let system_file = system.path().join("file");
        for path in [&file, &victim, &temporary.path().join("file"), &system_file] {
            std::fs::write(path, "secret").unwrap();
        }
        let (tcp, udp) = (TcpListener::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
        udp.set_nonblocking(true).unwrap();
        let socket = undeclared.path().join("socket");
        let by_path = UnixListener::bind(&socket).unwrap();
        let name = undeclared.path().display().to_string();
        let by_name = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        let shared = Path::new("/dev/shm").join(undeclared.path().file_name().unwrap());
        std::fs::write(&shared, "secret").unwrap();
        let key = tcp.as_raw_fd() + std::process::id() as i32 * 100;
        // SAFETY: both calls take only numbers; the new descriptor belongs to nobody else.
        let (memory, open) = unsafe {
            let memory = libc::shmget(key, 4096, libc::IPC_CREAT | 0o600);
            // A descriptor that is inherited, unlike those of the standard library.
            (memory, File::from_raw_fd(libc::dup(File::open(&file).unwrap().as_raw_fd())))
        };
        Self {
            level,
            tcp: tcp.local_addr().unwrap().to_string(),
            abstract_name: name,
            descriptor: open.as_raw_fd(),
            sleeper: Command::new("sleep").arg("7101").spawn().unwrap(),
            _open: (tcp, by_path, by_name, open),
            udp,
            undeclared,
            file,
            victim,
            temporary,
            system,
            system_file,
            socket,
            shared,
            key,
            memory,
        }
    }

    pub fn path(&self, attempt: &str, path: &Path) -> String {
        format!("{attempt}|{}", path.display())
    }

    pub fn sleeper(&self) -> u32 {
        self.sleeper.id()
    }

    /// Runs an attempt in the sandbox, and returns what it got, or why it was refused.
    pub fn ask(&self, attempt: &str) -> Result<String, String> {
        let folder = tempfile::tempdir().unwrap();
        let mut order = order(self.level, &folder, "");
        let program = std::env::current_exe().unwrap();
        order.system.extend([program.clone(), self.system.path().to_owned()]);
        order.program = vec![program.into()];
        order.program.extend(["probe::probe", "--exact", "--ignored", "--nocapture"].map(Into::into));
        order.reads = vec![(self.file.clone(), "declared".into())];
        order.variables.insert("PROBE".to_owned(), attempt.to_owned());
        let ended = run(&order);
        let log = String::from_utf8_lossy(&ended.log);
        assert_eq!(ended.how, How::Exited(0), "{}: {log}", self.level);
        let answer = log.lines().find_map(|line| line.strip_prefix(ANSWER));
        let answer = answer.unwrap_or_else(|| panic!("{}: no answer: {log}", self.level));
        match answer.strip_prefix("refused: ") {
            Some(why) => Err(why.to_owned()),
            None => Ok(answer.to_owned()),
        }
    }

    /// Whether two runs give the same answer.
    pub fn repeats(&self, attempt: &str) -> bool {
        self.ask(attempt).unwrap() == self.ask(attempt).unwrap()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.sleeper.kill();
        let _ = self.sleeper.wait();
        let _ = std::fs::remove_file(&self.shared);
        // SAFETY: the call takes only numbers.
        unsafe { libc::shmctl(self.memory, libc::IPC_RMID, std::ptr::null_mut()) };
    }
}
