//! Remotes that lost files, invalid addresses, and stores that were copied without their empty folders.

use std::path::{Path, PathBuf};

use crate::environment::{Ended, Environment, ended, number};
use crate::servers;

/// A project whose cache has Figure 4, with several seeds.
struct Project {
    environment: Environment,
    variables: Vec<(&'static str, String)>,
}

const SEEDS: [&str; 3] = ["seed=[0]", "seed=[1]", "seed=[2]"];

impl Project {
    fn new(variables: impl IntoIterator<Item = (&'static str, String)>) -> Self {
        let project = Self { environment: Environment::new(), variables: variables.into_iter().collect() };
        project.fine(&["make", "fig4"]);
        project
    }

    fn path(&self, name: &str) -> PathBuf {
        self.environment.path(name)
    }

    fn run(&self, arguments: &[&str]) -> Ended {
        let mut command = self.environment.command(arguments);
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        ended(&command.output().unwrap())
    }

    /// Runs a command that must end with this code; returns its output.
    fn ends(&self, code: i32, arguments: &[&str]) -> String {
        let ended = self.run(arguments);
        assert_eq!(ended.code, Some(code), "{arguments:?}: {}{}", ended.stdout, ended.stderr);
        assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
        ended.stdout + &ended.stderr
    }

    fn fine(&self, arguments: &[&str]) -> String {
        self.ends(0, arguments)
    }

    fn json(&self, arguments: &[&str]) -> serde_json::Value {
        let ended = self.run(&[arguments, &["--json"]].concat());
        assert_eq!(ended.code, Some(0), "{arguments:?}: {}", ended.stderr);
        serde_json::from_str(&ended.stdout).unwrap()
    }

    /// Pushes the figure; returns how many records and objects were sent, and how many of these the remote should have
    /// had.
    fn pushes(&self, url: &str, more: &[&str]) -> (u64, u64, u64) {
        let sent = self.json(&[&["push", "fig4", "--to", url], more].concat());
        (number(&sent, "records"), number(&sent, "objects"), number(&sent, "mended"))
    }

    /// Checks that a new cache gets the complete figure from the remote.
    fn is_whole(&self, url: &str) {
        let _ = std::fs::remove_dir_all(self.path("new"));
        self.fine(&["pull", "fig4", "--all", "--from", url, "--accept", "unsigned", "--cache", "new"]);
        assert_eq!(number(&self.json(&["make", "fig4", "--cache", "new"]), "stages_run"), 0);
    }

    /// Checks that a figure can be made in a new cache through an incomplete remote, with a warning.
    fn makes_through(&self, url: &str) {
        let _ = std::fs::remove_dir_all(self.path("new"));
        let said = self.fine(&["make", "fig4", &format!("--remote={url}"), "--accept", "unsigned", "--cache", "new"]);
        assert!(said.contains("warning") && said.contains("are computed here"), "{said}");
    }
}

/// Access to the files of a remote, as its owner has it.
enum Door {
    Folder(PathBuf),
    /// Port, and prefix in the bucket.
    Bucket(u16, String),
}

impl Door {
    /// Lists the files below a folder, sorted.
    fn files(&self, folder: &str) -> Vec<String> {
        let mut files: Vec<String> = match self {
            Self::Folder(root) => walkdir::WalkDir::new(root.join(folder))
                .into_iter()
                .map(|entry| entry.unwrap())
                .filter(|entry| entry.file_type().is_file())
                .map(|entry| entry.path().strip_prefix(root).unwrap().to_str().unwrap().to_owned())
                .collect(),
            Self::Bucket(port, prefix) => {
                let path = format!("/cache?list-type=2&prefix={prefix}/{folder}/");
                let answer = servers::s3_ask(*port, "GET", &path, "", b"");
                let text = String::from_utf8_lossy(&answer).into_owned();
                let keys = text.split("<Key>").skip(1).map(|rest| rest.split("</Key>").next().unwrap());
                keys.map(|key| key.strip_prefix(&format!("{prefix}/")).unwrap().to_owned()).collect()
            }
        };
        files.sort();
        files
    }

    fn remove(&self, file: &str) {
        match self {
            Self::Folder(root) => std::fs::remove_file(root.join(file)).unwrap(),
            Self::Bucket(port, prefix) => {
                servers::s3_ask(*port, "DELETE", &format!("/cache/{prefix}/{file}"), "", b"");
            }
        }
    }

    /// Cuts off some bytes at the end, and changes the last remaining byte.
    fn damage(&self, file: &str, cut: usize) {
        let mut bytes = match self {
            Self::Folder(root) => std::fs::read(root.join(file)).unwrap(),
            Self::Bucket(port, prefix) => {
                let answer = servers::s3_ask(*port, "GET", &format!("/cache/{prefix}/{file}"), "", b"");
                let head = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
                answer[head + 4..].to_vec()
            }
        };
        bytes.truncate(bytes.len() - cut);
        *bytes.last_mut().unwrap() ^= 1;
        match self {
            Self::Folder(root) => {
                std::fs::remove_file(root.join(file)).unwrap();
                std::fs::write(root.join(file), bytes).unwrap();
            }
            Self::Bucket(port, prefix) => {
                servers::s3_ask(*port, "PUT", &format!("/cache/{prefix}/{file}"), "", &bytes);
            }
        }
    }
}

/// Removes or damages files of a writable remote, one after the other. Each time, results through the remote must be
/// right, and `push` must repair it. `sees_all`: whether `push` finds all damage without `--check`.
fn is_mended(project: &Project, url: &str, door: &Door, sees_all: bool) {
    let (records, objects, _) = project.pushes(url, &[]);
    assert!(records > 0 && objects > 0);
    assert_eq!(project.pushes(url, &[]), (0, 0, 0));
    project.is_whole(url);

    for file in [door.files("records").remove(0), door.files("records").pop().unwrap()] {
        door.remove(&file);
        let _ = std::fs::remove_dir_all(project.path("partly"));
        project.ends(3, &["pull", "fig4", "--from", url, "--accept", "unsigned", "--cache", "partly"]);
        project.makes_through(url);
        assert_eq!(project.pushes(url, &[]), (1, 0, 1), "{file}");
        project.is_whole(url);
    }
    let object = door.files("objects").remove(0);
    door.remove(&object);
    assert_eq!(project.pushes(url, &[]), (0, 1, 1));
    project.is_whole(url);

    // All objects are damaged, because not all are fetched.
    door.files("objects").iter().for_each(|file| door.damage(file, 1));
    project.makes_through(url);
    assert_eq!(project.pushes(url, &[]), (0, objects, objects));
    project.is_whole(url);
    let file = door.files("records").remove(0);
    door.damage(&file, 0);
    door.damage(&object, 0);
    project.makes_through(url);
    let found = if sees_all { project.pushes(url, &[]) } else { project.pushes(url, &["--check"]) };
    assert_eq!(found, (1, 1, 2));
    project.is_whole(url);
    assert_eq!(project.pushes(url, &["--check"]), (0, 0, 0));
}

/// Does the same with parts of the catalogue, each time in another remote.
fn catalogue_is_mended(project: &Project, remote: &dyn Fn(&str) -> (String, Door)) {
    for lost in ["gone", "damaged", "last"] {
        let (url, door) = remote(lost);
        for seed in SEEDS {
            project.fine(&["make", "fig4", "--set", seed]);
            project.fine(&["push", "fig4", "--set", seed, "--to", &url]);
        }
        let parts = door.files("catalogue");
        // The third part does not repeat the content of the second.
        assert!(parts.len() == 3, "{parts:?}");
        match lost {
            "gone" => door.remove(&parts[1]),
            "damaged" => door.damage(&parts[1], 0),
            _ => door.remove(&parts[2]),
        }
        let pull = |seed: &'static str| {
            let _ = std::fs::remove_dir_all(project.path("new"));
            ["pull", "fig4", "--set", seed, "--from", &url, "--accept", "unsigned", "--cache", "new"].map(str::to_owned)
        };
        let pulls = |seed, code| {
            let words = pull(seed);
            project.ends(code, &words.iter().map(String::as_str).collect::<Vec<_>>())
        };
        match lost {
            "last" => drop(pulls(SEEDS[2], 3)),
            _ => assert!(pulls(SEEDS[0], 4).contains("part 2 of its catalogue")),
        }
        for seed in SEEDS {
            project.fine(&["push", "fig4", "--set", seed, "--to", &url]);
        }
        for seed in SEEDS {
            pulls(seed, 0);
        }
    }
}

#[test]
fn a_folder_that_lost_something_is_mended() {
    let project = Project::new([]);
    let door = Door::Folder(project.path("rem"));
    is_mended(&project, "./rem", &door, true);

    // The owner of the remote is told, and the advice works.
    let check = ["cache", "check", "--cache", "rem"];
    project.fine(&check);
    let lost = door.files("records").remove(0);
    door.remove(&lost);
    let said = project.ends(4, &check);
    assert!(said.contains("1 record that the catalogue lists") && said.contains("push TARGET --to ./rem"), "{said}");
    project.fine(&["push", "fig4", "--to", "./rem"]);
    project.fine(&check);
    for seed in SEEDS {
        project.fine(&["make", "fig4", "--set", seed, "-q"]);
        project.fine(&["push", "fig4", "--set", seed, "--to", "./parts", "-q"]);
    }
    let parts = Door::Folder(project.path("parts")).files("catalogue");
    let (door, check) = (Door::Folder(project.path("parts")), ["cache", "check", "--cache", "parts"]);
    assert_eq!(parts.len(), 3, "{parts:?}");
    for is_gone in [true, false] {
        if is_gone {
            door.remove(&parts[1])
        } else {
            door.damage(&parts[1], 0)
        }
        let said = project.ends(4, &check);
        assert!(said.contains("part 2 of the catalogue"), "{said}");
        project.fine(&["cache", "catalogue", "--cache", "parts"]);
        project.fine(&check);
    }
}

#[test]
fn a_bucket_that_lost_something_is_mended() {
    let Some(server) = servers::s3() else { return };
    let project = Project::new(servers::s3_variables(server.port));
    is_mended(&project, "s3://cache/lab", &Door::Bucket(server.port, "lab".to_owned()), false);
    catalogue_is_mended(&project, &|name| (format!("s3://cache/{name}"), Door::Bucket(server.port, name.to_owned())));
}

#[test]
fn a_folder_behind_ssh_that_lost_something_is_mended() {
    let folder = tempfile::tempdir().unwrap();
    let Some((_server, settings)) = servers::ssh(&folder.path().join("sshd")) else { return };
    let project = Project::new([("WDPIPE_SSH", format!("ssh -F {}", settings.display()))]);
    let url = |name: &str| format!("ssh://there{}", project.path(name).display());
    is_mended(&project, &url("rem"), &Door::Folder(project.path("rem")), false);
    catalogue_is_mended(&project, &|name| (url(name), Door::Folder(project.path(name))));
    // The remote is copied without its empty folders.
    drop_empty_folders(&project.path("rem"));
    project.fine(&["make", "fig4", "--set", "seed=[7]"]);
    project.fine(&["push", "fig4", "--set", "seed=[7]", "--to", &url("rem")]);
}

#[test]
fn what_a_web_server_lost_is_computed() {
    let project = Project::new([]);
    project.fine(&["push", "fig4", "--to", "./rem"]);
    let Some(server) = servers::web(&project.path("rem")) else { return };
    let (url, door) = (format!("http://127.0.0.1:{}", server.port), Door::Folder(project.path("rem")));
    project.is_whole(&url);
    door.remove(&door.files("records")[0]);
    door.files("objects").iter().for_each(|file| door.damage(file, 0));
    project.makes_through(&url);
    let said = project.ends(3, &["pull", "fig4", "--from", &url, "--accept", "unsigned", "--cache", "partly"]);
    assert!(said.contains("has no records/"), "{said}");
    door.damage(&door.files("catalogue")[0], 0);
    let said = project.ends(4, &["pull", "fig4", "--from", &url, "--accept", "unsigned", "--cache", "partly"]);
    assert!(said.contains("part 1 of its catalogue"), "{said}");
    project.makes_through(&url);
}

#[test]
fn what_an_earlier_attempt_left_is_not_blamed_on_the_remote() {
    let project = Project::new([]);
    project.fine(&["push", "fig4", "--to", "./rem"]);
    project.fine(&["status", "--cache", "other"]);
    std::fs::create_dir_all(project.path("other/tmp")).unwrap();
    for (number, file) in (Door::Folder(project.path("rem"))).files("objects").iter().enumerate() {
        let digest: String = file.split('/').skip(1).collect();
        let size = std::fs::metadata(project.path("rem").join(file)).unwrap().len() as usize;
        // The leftover is shorter than the object, as long, or longer.
        let stale = vec![7; [size / 2, size, size + 10][number % 3]];
        std::fs::write(project.path("other/tmp").join(format!("incoming-{digest}")), stale).unwrap();
    }
    project.fine(&["pull", "fig4", "--all", "--from", "./rem", "--accept", "unsigned", "--cache", "other"]);
    assert_eq!(number(&project.json(&["make", "fig4", "--cache", "other"]), "stages_run"), 0);
    project.fine(&["cache", "check", "--cache", "other"]);
}

#[test]
fn addresses_that_look_like_something_else_are_refused() {
    let project = Project::new([]);
    let before = std::fs::read_dir(project.environment.folder.path()).unwrap().count();
    for (url, meant) in [
        ("me@lab:/data/cache", "ssh://me@lab/data/cache"),
        ("lab:cache", "ssh://lab/~/cache"),
        ("~/cache", "\"$HOME/cache\""),
        ("~", "whole path"),
        ("file://lab/x", "ssh://lab/x"),
        ("s3:bucket/x", "s3://bucket/x"),
        ("C:\\x", "/mnt/c/x"),
        ("example.org/cache", "https://example.org/cache"),
        ("shared", "./shared"),
    ] {
        for command in [
            &["push", "fig4", "--to", url][..],
            &["pull", "fig4", "--from", url],
            &["make", "fig4", &format!("--remote={url}")],
            &["remote", "test", url],
        ] {
            let said = project.ends(2, command);
            assert!(said.contains(meant), "{command:?}: {said}");
        }
        if meant != "./shared" {
            assert!(project.ends(2, &["remote", "add", "lab", url]).contains(meant), "{url}");
        }
    }
    assert_eq!(std::fs::read_dir(project.environment.folder.path()).unwrap().count(), before, "nothing was created");
}

#[test]
fn a_listed_folder_lies_where_the_list_does() {
    let project = Project::new([]);
    std::fs::create_dir_all(project.path("sub/deeper")).unwrap();
    let cache = project.path("cache").display().to_string();
    let inside = |arguments: &[&str]| {
        let mut command = project.environment.command(arguments);
        command.current_dir(project.path("sub")).env("WDPIPE_CACHE", &cache).env("WDPIPE_REMOTES", "../remotes.toml");
        let ended = ended(&command.output().unwrap());
        assert_eq!(ended.code, Some(0), "{arguments:?}: {}", ended.stderr);
    };
    project.fine(&["remote", "add", "lab", "shared"]);
    inside(&["push", "fig4", "--to", "lab"]);
    assert!(project.path("shared/wdpipe-store").is_file());
    // A path on the command line is relative to the current folder.
    inside(&["push", "fig4", "--to", "./own"]);
    assert!(project.path("sub/own/wdpipe-store").is_file());
    inside(&["remote", "add", "here", "deeper/store"]);
    project.fine(&["push", "fig4", "--to", "here"]);
    assert!(project.path("sub/deeper/store/wdpipe-store").is_file());
}

/// Removes empty folders, as copies through buckets, archives and CI do.
fn drop_empty_folders(root: &Path) {
    for entry in walkdir::WalkDir::new(root).contents_first(true).into_iter().map(|entry| entry.unwrap()) {
        if entry.file_type().is_dir() {
            let _ = std::fs::remove_dir(entry.path());
        }
    }
}

#[test]
fn a_store_without_its_empty_folders_is_used() {
    let project = Project::new([]);
    project.fine(&["push", "fig4", "--to", "./rem"]);
    for store in ["cache", "rem"] {
        drop_empty_folders(&project.path(store));
        assert!(!project.path(store).join("claims").exists());
    }
    // Commands that only read create nothing.
    project.fine(&["status"]);
    project.fine(&["pull", "fig4", "--from", "./rem", "--accept", "unsigned", "--cache", "other"]);
    assert!(!project.path("cache/claims").exists() && !project.path("rem/claims").exists());
    project.fine(&["make", "fig4", "--set", "seed=[7]"]);
    project.fine(&["push", "fig4", "--set", "seed=[7]", "--to", "./rem"]);
    assert!(project.path("cache/claims").is_dir() && project.path("rem/tmp").is_dir());
    drop_empty_folders(&project.path("other"));
    project.fine(&[
        "pull", "fig4", "--set", "seed=[7]", "--all", "--from", "./rem", "--accept", "unsigned", "--cache", "other",
    ]);
    drop_empty_folders(&project.path("cache"));
    project.fine(&["cache", "pin", "fig4"]);
    for store in ["cache", "rem", "other"] {
        project.fine(&["cache", "check", "--cache", store]);
    }
}

#[test]
fn push_says_what_it_sends_unsigned() {
    let project = Project::new([]);
    let push = ["push", "fig4", "--to", "./rem"];
    let sent = project.json(&push);
    let records = number(&sent, "unsigned");
    assert_eq!((records, number(&sent, "not_admitted")), (number(&sent, "stages"), number(&sent, "stages")));
    let said = project.fine(&push);
    assert!(said.contains("are unsigned") && said.contains("`--accept unsigned`"), "{said}");
    // The advice works as printed.
    let public = project.run(&["keys", "generate"]).stdout.trim().to_owned();
    let advice: Vec<_> =
        said.split('`').find(|part| part.starts_with("wdpipe keys sign")).unwrap().split(' ').collect();
    project.fine(&advice[1..]);
    let said = project.fine(&push);
    assert!(said.contains(&format!("--accept {public}")) && !said.contains("unsigned"), "{said}");
    project.fine(&["keys", "trust", "ann", &public]);
    let said = project.fine(&push);
    assert!(!said.contains("--accept"), "{said}");
    project.fine(&["pull", "fig4", "--from", "./rem", "--cache", "other"]);
}

#[test]
fn what_is_no_remote_or_store_is_said() {
    // An unused port.
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let variables = [("AWS_METADATA_ENDPOINT", format!("http://{nobody}")), ("AWS_REGION", "us-east-1".to_owned())];
    let project = Project::new(variables);
    let said = project.ends(3, &["push", "fig4", "--to", "s3://bucket/x"]);
    assert!(said.contains("AWS_ACCESS_KEY_ID") && !said.contains(&nobody.to_string()), "{said}");
    assert!(!said.contains("run the command again"), "{said}");

    std::fs::create_dir(project.path("empty")).unwrap();
    if let Some(server) = servers::web(&project.path("empty")) {
        let url = format!("http://127.0.0.1:{}/wrong", server.port);
        for command in [&["pull", "fig4", "--from", &url][..], &["make", "fig4", &format!("--remote={url}")]] {
            let said = project.ends(3, command);
            assert!(said.contains("holds no store") && said.contains("address"), "{said}");
        }
    }
    std::fs::write(project.path("file"), "x").unwrap();
    for cache in ["file", "file/below"] {
        let said = project.ends(4, &["make", "fig4", "--cache", cache]);
        assert!(said.contains("file is a file") && said.contains("--cache DIR"), "{said}");
    }
    let said = project.ends(3, &["push", "fig4", "--to", "./file"]);
    assert!(said.contains("is a file") && !said.contains("--cache"), "{said}");
}

#[test]
fn what_has_no_end_is_not_read_to_the_end() {
    let project = Project::new([]);
    let pipe = project.path("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    for file in ["/dev/zero", pipe.to_str().unwrap()] {
        let said = project.ends(3, &["cache", "import", file]);
        assert!(said.contains("not a regular file"), "{said}");
        let said = project.ends(3, &["import", file, "--name", "x"]);
        assert!(said.contains("not a regular file"), "{said}");
    }
    for option in ["--remotes", "--trust"] {
        let said = project.ends(4, &["pull", "fig4", "--from", "./rem", option, "/dev/zero"]);
        assert!(said.contains("/dev/zero: it is larger than"), "{said}");
    }
}
