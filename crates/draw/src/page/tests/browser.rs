//! Tests of the page in a real browser: `drive.js` acts like a reader and writes its observations into the page.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::*;

const DRIVE: &str = include_str!("drive.js");
/// Script that records every error and warning, installed before the page's own script.
const WATCH: &str = "<script>
    window.troubles = [];
    const note = (what) => window.troubles.push(String(what));
    addEventListener('error', (event) => note(event.message ?? event.target), true);
    addEventListener('unhandledrejection', (event) => note(event.reason));
    addEventListener('securitypolicyviolation', (event) => note(event.blockedURI));
    for (const name of ['error', 'warn']) console[name] = note;
    window.hostile = () => note('hostile text ran');
    </script>";

/// Returns the path of a Chromium, if there is one; `WDPIPE_TEST_BROWSER` names another browser.
fn chromium() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("WDPIPE_TEST_BROWSER") {
        return Some(PathBuf::from(named));
    }
    let path = std::env::var_os("PATH")?;
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let found = names.iter().flat_map(|name| std::env::split_paths(&path).map(move |folder| folder.join(name)));
    found.into_iter().find(|file| file.is_file())
}

/// Checks whether a folder that was just created belongs to root, and so this process runs as root, where Chromium has no
/// sandbox.
fn is_root(folder: &Path) -> bool {
    std::fs::metadata(folder).is_ok_and(|metadata| metadata.uid() == 0)
}

fn browse(chromium: &Path, folder: &Path, page: &Path) -> String {
    let mut command = Command::new(chromium);
    command.args([
        "--headless",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--no-first-run",
        "--window-size=1000,900",
    ]);
    if is_root(folder) {
        command.arg("--no-sandbox");
    }
    command.arg(format!("--user-data-dir={}", folder.join("profile").display()));
    command.args(["--virtual-time-budget=5000", "--dump-dom"]).arg(format!("file://{}", page.display()));
    let output = command.output().expect("the browser starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("the page is UTF-8")
}

/// Returns the observations of `drive.js` on a page.
fn drive(chromium: &Path, page: &Page) -> serde_json::Value {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("index.html");
    let html = html(page).replacen("<head>", &format!("<head>{WATCH}"), 1);
    let html = html.replacen("</body>\n</html>", &format!("<script>{DRIVE}</script></body>\n</html>"), 1);
    std::fs::write(&file, html).unwrap();
    let seen = browse(chromium, folder.path(), &file);
    let (_, result) = seen.rsplit_once("<pre id=\"test-result\">").expect("the driver reached its end");
    let text = result.split_once("</pre>").unwrap().0;
    let text = text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{e}: {text}"))
}

macro_rules! browser_or_skip {
    () => {
        match chromium() {
            Some(browser) => browser,
            None => {
                println!("skipped: no Chromium found; apt-get install chromium");
                return;
            }
        }
    };
}

#[test]
fn a_reader_explores_a_figure() {
    let browser = browser_or_skip!();
    let mut page = smoke();
    page.figures.push(marks());
    let seen = drive(&browser, &page);
    let is = |key: &str, value: serde_json::Value| assert_eq!(seen[key], value, "{key} in {seen:#}");
    is("failure", serde_json::Value::Null);
    is("troubles", serde_json::json!([]));
    is("requests", serde_json::json!([]));
    is("hidden before", true.into());
    is("panels", serde_json::json!(["a", "b", "c", "d", "e", "f"]));
    is("drawings hidden", serde_json::json!([true, false]));
    is("curves", serde_json::json!([0, 1, 2, 3, 4, 5]));
    is("dashes", serde_json::json!([false, false, false, true, true, true]));

    // The values of the CSV: panel a, LR 0.1, first and fourth row.
    is("hover first", serde_json::json!(["LR 0.1", "Epoch: 0", "‖w‖: 31.045 ± 0.030784", "n = 3"]));
    is("hover fourth", serde_json::json!(["LR 0.1", "Epoch: 3", "‖w‖: 24.85 ± 0.063428", "n = 3"]));
    is("tip inside", true.into());
    is("hover nothing", true.into());
    is("key right", "LR 0.1, Epoch: 1, ‖w‖: 28.792 ± 0.038636, n = 3".into());
    is("key down", "LR 0.15, Epoch: 1, ‖w‖: 26.75 ± 0.012115, n = 3".into());

    is("toggled", serde_json::json!(["false", [1, 2, 3, 4, 5]]));
    is("toggled back", serde_json::json!(["true", [0, 1, 2, 3, 4, 5]]));
    is("ticks log", serde_json::json!(true));
    is("linear", serde_json::json!(["false", true, true]));
    is("log x", serde_json::json!(["true", true]));

    for how in ["wheel", "drag", "keys"] {
        is(how, serde_json::json!({ "narrower": true, "back": true }));
    }
    is("a click is no zoom", true.into());
    is("escape ends a drag", true.into());

    // Bars, gaps, crosses, error bars and the rest of the marks.
    is("bars", serde_json::json!([3, 2]));
    is("hover bar", serde_json::json!(["up", "Class: 4", "Count: 5 ± 9", "n = 2", "1 diverged"]));
    is("hover lost", serde_json::json!(["up", "Class: 2", "Count: –", "n = 0", "3 diverged"]));
    is("log disabled", serde_json::json!([false, false]));
    is("cloud", serde_json::json!([2, 1]));
    is("way", serde_json::json!([3, true]));
    is("error bars", true.into());
    is("no NaN", true.into());
    is("closed", serde_json::json!([true, false, "false"]));
}

#[test]
fn hostile_text_does_not_run() {
    let browser = browser_or_skip!();
    let mut page = hostile();
    for figure in &mut page.figures {
        // A drawing that a browser can show, but whose scripts must not run.
        figure.drawing = Picture::Svg(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" onload=\"parent.hostile()\"><script>parent.hostile()</script>\
            <rect width=\"9\" height=\"9\"/></svg>"
                .into(),
        );
    }
    let seen = drive(&browser, &page);
    assert_eq!(seen["troubles"], serde_json::json!([]), "{seen:#}");
    assert_eq!(seen["requests"], serde_json::json!([]), "{seen:#}");
    assert_eq!(seen["panels"], serde_json::json!([HOSTILE, HOSTILE]), "{seen:#}");
}
