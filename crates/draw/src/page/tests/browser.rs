//! Tests of the page in a real browser: `drive.js` acts like a reader and writes its observations into the page.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;

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
    // Without a screen there are hardly any frames.
    window.requestAnimationFrame = (act) => setTimeout(act, 1);
    window.cancelAnimationFrame = clearTimeout;
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
    command.args(["--virtual-time-budget=20000", "--dump-dom"]).arg(format!("file://{}", page.display()));
    let output = command.output().expect("the browser starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("the page is UTF-8")
}

/// Returns the observations of `drive.js` on a page.
fn drive(chromium: &Path, page: &Page) -> serde_json::Value {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("index.html");
    let html = html(page).replacen("<head>", &format!("<head>{WATCH}"), 1);
    let html =
        html.replacen("</body>\n</html>", &format!("<script type=\"module\">{DRIVE}</script></body>\n</html>"), 1);
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
    is("troubles", json!([]));
    is("requests", json!([]));
    is("hidden before", true.into());
    is("panels", json!(["a", "b", "c", "d", "e", "f"]));
    is("drawings hidden", json!([true, false]));
    is("curves", json!([0, 1, 2, 3, 4, 5]));
    is("dashes", json!([false, false, false, true, true, true]));

    is("ticks as drawn", json!(["0", "5", "10", "15", "20", "6", "8", "10", "20", "30"]));

    // The values of the CSV: panel a, LR 0.1, fifth and fourth row. The averages have a value only every fourth epoch.
    let read = |key: &str| seen[key].as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect::<Vec<_>>();
    assert_eq!(read("hover")[..2], ["Epoch: 4, n = 3", "LR 0.123.136 ± 0.093"]);
    assert_eq!(read("hover").len(), 7);
    assert_eq!(read("hover between")[..2], ["Epoch: 3, n = 3", "LR 0.124.85 ± 0.063"]);
    assert!(read("hover between")[4].ends_with(" at 4"), "{seen:#}");
    is("hover linked", "Epoch: 3, n = 3".into());
    is("tip inside", true.into());
    is("hover nothing", true.into());
    is("key right", json!(["Epoch: 1, n = 3", "LR 0.1 28.792 ± 0.039"]));
    is("key end", "Epoch: 22, n = 3".into());

    is("isolated", json!([[0], [0, 3], [3], [0, 1, 2, 3, 4, 5]]));
    is("pressed", "false".into());
    // Two runs of one curve; the others have none and stay as they are.
    is("seeds", json!([[0, 0], [1, 2, 3, 4, 5], "LR 0.131.045 ± 0.031: 30.5, 31.5"]));
    is("linear", json!(["false", true, true]));
    is("log x", json!(["true", true]));

    is("wheel scrolls", json!([false, [false, false, true]]));
    is("wheel zooms", json!([true, [true, true, true]]));
    for how in ["buttons", "keys", "pinch"] {
        is(how, json!([true, true, true]));
    }
    is("drag", json!([20, 10]));
    is("saved", json!([["fig3-a.csv", "text/csv"], ["fig3-a.svg", "image/svg+xml"], ["fig3-a.png", "image/png"]]));
    let csv: Vec<&str> = seen["csv"].as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect();
    let file: Vec<&str> = CSV.lines().collect();
    assert_eq!(csv[0], format!("{},seed 0,seed 1", file[0]));
    assert_eq!(csv[1..3], [format!("{},30.5,31.5", file[1]), format!("{},NaN,NaN", file[2])]);
    is("image", json!(["svg", true]));

    // Bars, gaps, crosses, error bars and the rest of the marks.
    is("bars", json!([3, 2]));
    is("hover bar", json!(["Count, n = 2", "up5 ± 9, 1 diverged"]));
    is("bars are named", json!(["up", "down"]));
    is("no log", true.into());
    is("cloud", json!([2, 1]));
    is("way", json!([3, true]));
    is("error bars", true.into());
    is("no NaN", true.into());
    is("closed", json!([true, false, "false"]));
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
    assert_eq!(seen["troubles"], json!([]), "{seen:#}");
    assert_eq!(seen["requests"], json!([]), "{seen:#}");
    assert_eq!(seen["panels"], json!([HOSTILE, HOSTILE]), "{seen:#}");
    assert_eq!((&seen["failure"], &seen["images"]), (&json!(null), &json!(["svg", "svg"])), "{seen:#}");
}
