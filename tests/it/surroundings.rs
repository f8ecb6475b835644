//! What commands run in: images, how they are started and isolated, GPUs, and what the records say.

use std::path::{Path, PathBuf};

use super::commands::{Own, PIPELINE, SCRIPT};

const ONE: [&str; 4] = ["--set", "factor=[1]", "--set", "seed=[0]"];

fn digest() -> String {
    format!("sha256:{}", "0a".repeat(32))
}

/// Writes the pipeline with another environment.
fn runs_in(own: &Own, environment: &str) {
    own.write("pipelines/own.toml", &PIPELINE.replace("env = \"host\"", &format!("env = {environment}")));
}

/// Returns what `explain` says about a count, with the machine of its record.
fn explained(own: &Own) -> String {
    let ended = own.run(&[&["explain", "own/count[factor=1,seed=0]", "-v"][..], &ONE].concat());
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    ended.stdout
}

#[test]
fn a_mistake_in_an_image_is_found_before_anything_runs() {
    let own = Own::new(SCRIPT);
    let (digest, with) = (digest(), "with = [\"sh\", \"{image}\"]");
    for (environment, wanted) in [
        (format!("{{ image = \"debian:12\", {with} }}"), "does not name one image for ever: write its digest"),
        (format!("{{ image = \"debian@sha256:0a\", {with} }}"), "does not name one image for ever"),
        (format!("{{ image = \"debian@{digest}\" }}"), "`env` needs `with`"),
        (format!("{{ image = \"debian@{digest}\", with = [] }}"), "`with` must be a list of words"),
        (format!("{{ image = \"debian@{digest}\", with = [1] }}"), "`with` must be a list of words"),
        (format!("{{ image = \"debian@{digest}\", with = [\"sh\"] }}"), "write {image} where"),
        (
            format!("{{ image = \"debian@{digest}\", with = [\"sh\", \"{{image}}\", \"{{folde}}\"] }}"),
            "`{folde}` names nothing in `with`; did you mean `folder`?",
        ),
        (format!("{{ image = \"debian@{digest}\", {with}, lock = \"uv.lock\" }}"), "`env` must say"),
    ] {
        runs_in(&own, &environment);
        let ended = own.run(&["make", "own", "--yes"]);
        assert_eq!(ended.code, Some(2), "{environment}: {}", ended.stderr);
        assert!(ended.stderr.contains(wanted), "{environment}: {}", ended.stderr);
        assert!(ended.stderr.contains("own.toml:20"), "{}", ended.stderr);
    }
}

#[test]
fn the_words_before_a_command_start_its_image() {
    let own = Own::new("[ \"$IMAGE\" = \"$WANTED\" ] && [ \"$FOLDER\" = \"$PWD\" ] || exit 9\n. code/real.sh\n");
    own.write("code/real.sh", SCRIPT);
    let image = format!("debian@{}", digest());
    let with = r#"["env", "IMAGE={image}", "FOLDER={folder}"]"#;
    runs_in(&own, &format!("{{ image = \"{image}\", with = {with} }}\nvariables = {{ WANTED = \"{image}\" }}"));
    // The user is asked about the whole command.
    let asked = own.run(&["make", "own"]);
    let wanted = ["IMAGE={image}", "sh code/count.sh", &format!("image {image}")];
    assert!(asked.code == Some(3) && wanted.iter().all(|text| asked.stderr.contains(text)), "{}", asked.stderr);
    assert_eq!(own.make(&ONE), 3);
    let level = sandbox::available()[0];
    let said = explained(&own);
    assert!(said.contains(&format!("sandbox {level}, image {image} by /usr/bin/env")), "{said}");
    // Another image or another prefix is another key.
    assert_eq!(own.make(&ONE), 0);
    let text = std::fs::read_to_string(own.path("pipelines/own.toml")).unwrap();
    own.write("pipelines/own.toml", &text.replace("0a0a", "0b0b"));
    assert_eq!(own.make(&ONE), 1);
    own.write("pipelines/own.toml", &text.replace("\"FOLDER=", "\"X=\", \"FOLDER="));
    assert_eq!(own.make(&ONE), 1);
}

#[test]
fn an_image_that_starts_only_without_a_sandbox_is_recorded_so_or_refused() {
    if sandbox::available()[0] == sandbox::Level::None {
        println!("skipped: this machine has no sandbox");
        return;
    }
    let own = Own::new(SCRIPT);
    // The program that starts the image needs a file that no sandbox shows.
    own.write("storage", "");
    let storage = own.path("storage").display().to_string();
    let image = format!("debian@{}", digest());
    let with = format!(r#"["sh", "-c", "cat {storage} && exec \"$@\"", "{{image}}"]"#);
    let environment = format!("{{ image = \"{image}\", with = {with} }}");
    runs_in(&own, &format!("{environment}\nsandbox = \"require\""));
    let ended = own.run(&[&["make", "own", "--yes"], &ONE[..]].concat());
    assert_eq!(ended.code, Some(3), "{}", ended.stderr);
    let wanted = format!(
        "`sh` cannot run `true` in the image {image} in a sandbox of level landlock or stricter, which the stage needs"
    );
    assert!(ended.stderr.contains(&wanted) && ended.stderr.contains("storage"), "{}", ended.stderr);
    runs_in(&own, &environment);
    assert_eq!(own.make(&ONE), 2);
    assert!(explained(&own).contains(&format!("sandbox none, image {image} by /usr/bin/")), "{}", explained(&own));
    // An image that never starts says what its program printed.
    runs_in(
        &own,
        &format!("{{ image = \"{image}\", with = [\"sh\", \"-c\", \"echo no such image; exit 3\", \"{{image}}\"] }}"),
    );
    let ended = own.run(&[&["make", "own", "--yes"], &ONE[..]].concat());
    assert!(ended.code == Some(3) && ended.stderr.contains("no such image"), "{}", ended.stderr);
}

/// Makes an image for Charliecloud, which shows the programs of this machine. Returns its folder.
fn image_of_this_machine(folder: &Path) -> PathBuf {
    let image = folder.join(digest());
    for name in ["dev", "proc", "sys", "etc", "tmp", "home", "usr", "work"] {
        std::fs::create_dir_all(image.join(name)).unwrap();
    }
    for name in ["passwd", "group", "hosts", "resolv.conf", "only-in-the-image"] {
        std::fs::write(image.join("etc").join(name), "").unwrap();
    }
    for name in ["bin", "lib", "lib64"] {
        std::os::unix::fs::symlink(Path::new("usr").join(name), image.join(name)).unwrap();
    }
    image
}

#[test]
fn charliecloud_runs_a_command_in_an_image_at_a_level_that_the_record_names() {
    let script = format!(
        "[ -e /etc/only-in-the-image ] && [ ! -e /etc/ld.so.cache ] || exit 9\n\
         [ -n \"$SECRET\" ] && [ ! -e \"$SECRET\" ] || exit 8\n{SCRIPT}"
    );
    // Landlock refuses all mounts. Without bubblewrap in PATH, there are no namespaces.
    let strictest = sandbox::available().into_iter().find(|level| *level != sandbox::Level::Landlock).unwrap();
    for (path, level) in [(None, strictest), (Some("/nowhere"), sandbox::Level::None)] {
        let own = Own::new(&script);
        let folder = own.environment.path("images");
        let image = image_of_this_machine(&folder);
        let mut attempt = std::process::Command::new("ch-run");
        attempt.arg("--bind=/usr:/usr").arg(&image).args(["--", "true"]).env("USER", "x");
        if !attempt.output().is_ok_and(|output| output.status.success()) {
            println!("skipped: there is no `ch-run` that works");
            return;
        }
        let with = format!(
            r#"["ch-run", "--bind=/usr:/usr", "--bind={{folder}}:/work", "--cd=/work", "{}/{{image}}", "--"]"#,
            folder.display()
        );
        own.write("secret.txt", "");
        let variables = format!("variables = {{ SECRET = \"{}\" }}", own.path("secret.txt").display());
        runs_in(&own, &format!("{{ image = \"{}\", with = {with} }}\n{variables}", digest()));
        let mut command = own.environment.command(&[&["make", "own", "--yes"], &ONE[..]].concat());
        let made = command.env("WDPIPE_PIPELINES", own.path("pipelines")).envs(path.map(|path| ("PATH", path)));
        let ended = made.output().unwrap();
        assert!(ended.status.success(), "{level}: {}", String::from_utf8_lossy(&ended.stderr));
        let said = explained(&own);
        let wanted = format!("sandbox {level}, image {} by /usr/bin/ch-run", digest());
        assert!(said.contains(&wanted), "{said}");
    }
}

#[test]
fn a_command_gets_no_gpu_unasked() {
    let own = Own::new(&format!("[ \"${{CUDA_VISIBLE_DEVICES-unset}}\" = \"\" ] || exit 9\n{SCRIPT}"));
    assert_eq!(own.make(&ONE), 3);
    assert!(!explained(&own).contains("GPU"), "{}", explained(&own));
    if Path::new("/dev/nvidiactl").exists() || Path::new("/dev/dxg").exists() {
        println!("skipped: this machine may have a GPU");
        return;
    }
    let ended = own.run(&["make", "own", "--yes", "--device", "cuda:1"]);
    assert_eq!(ended.code, Some(3), "{}", ended.stderr);
    assert!(ended.stderr.contains("cuda:1"), "{}", ended.stderr);
    assert!(own.environment.files("records").len() == 3, "nothing more ran");
}

#[test]
fn programs_of_the_host_are_named_wherever_a_figure_is_judged() {
    let mut places = ["/usr/local/bin", "/usr/bin"].iter().map(|folder| Path::new(folder).join("python3"));
    let Some(program) = places.find(|program| program.exists()) else {
        println!("skipped: this machine has no Python");
        return;
    };
    let own = Own::new(SCRIPT);
    let python = r#"run = ["python3", "code/count.py", "{in.path}", "{factor}", "{out.rows}"]"#;
    let script = "import sys\nopen(sys.argv[3], 'w').write(f'step,rows\\n1,{sys.argv[2]}\\n')\n";
    own.write("code/count.py", script);
    let shell = r#"run = ["sh", "code/count.sh", "{in.path}", "{factor}", "{out.rows}"]"#;
    own.write("pipelines/own.toml", &PIPELINE.replace(shell, python).replace("code/*.sh", "code/*.py"));
    own.make(&ONE);
    let version = std::process::Command::new(&program).arg("--version").output().unwrap();
    let version = String::from_utf8_lossy(&version.stdout).trim().to_owned();
    let said = explained(&own);
    assert!(said.contains(", host /") && said.contains(&format!("), {version})")), "{said}");
    // The figure of all runs.
    own.make(&[]);
    let sentence = "4 stages ran programs of the host, which nothing locks: own/count";
    let locked = own.run(&["lock", "own"]);
    assert!(locked.code == Some(0) && locked.stderr.contains(sentence), "{}", locked.stderr);
    let verified = own.run(&["verify", "own"]);
    assert!(verified.code == Some(0), "{}{}", verified.stdout, verified.stderr);
    assert!(verified.stdout.contains(&format!("own (smoke): {sentence}")), "{}", verified.stdout);
    let told = own.run(&["verify", "own", "--json"]).stdout;
    assert!(told.contains(&format!("\"caveat\":\"{sentence}\"")), "{told}");
    assert_eq!(own.run(&["report", "own"]).code, Some(0));
    let page = std::fs::read_to_string(own.environment.path("reports/smoke/index.html")).unwrap();
    assert!(page.contains(&format!("<p class=\"unlocked\">{sentence}.</p>")), "not on the page");
}
