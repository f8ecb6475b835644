//! Devices: a program can use those of its order, and no others.

use std::path::{Path, PathBuf};
use std::process::Command;

use sandbox::Level;
use tempfile::TempDir;

use super::{levels, order, run};

/// Makes a device file that yields zeros, as a GPU's file lies in `/dev`. Returns `None` if this account cannot.
fn device(folder: &TempDir) -> Option<PathBuf> {
    let path = folder.path().join("nvidia0");
    let made = Command::new("mknod").args(["--mode=666".as_ref(), path.as_os_str()]).args(["c", "1", "5"]).output();
    let is_open = |path: &Path| std::fs::File::open(path).is_ok();
    made.is_ok_and(|made| made.status.success() && is_open(&path)).then_some(path)
}

#[test]
fn a_program_uses_the_devices_of_its_order_and_no_others() {
    let folder = tempfile::tempdir().unwrap();
    let Some(device) = device(&folder) else {
        println!("skipped: this account cannot make device files");
        return;
    };
    let name = device.display();
    // It reads, writes and sends a request, which this device does not understand.
    let script = format!("head -c 1 {name} && echo > {name} || exit 9; stty -F {name}; true");
    for level in levels() {
        let own = tempfile::tempdir().unwrap();
        let mut order = order(level, &own, &script);
        let refused = run(&order);
        let code = if level == Level::None { 0 } else { 9 };
        assert_eq!(refused.how, sandbox::How::Exited(code), "{level}: {}", String::from_utf8_lossy(&refused.log));
        order.devices.push(device.clone());
        let ended = run(&order);
        let log = String::from_utf8_lossy(&ended.log).into_owned();
        assert_eq!(ended.how, sandbox::How::Exited(0), "{level}: {log}");
        assert!(log.contains("Inappropriate ioctl"), "{level}: {log}");
    }
}
