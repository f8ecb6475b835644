//! The GPU that a command can use.

use std::path::{Path, PathBuf};

use crate::stages::Device;

/// Variable that lists the GPUs that CUDA shows to a program.
const VISIBLE: &str = "CUDA_VISIBLE_DEVICES";
/// Variable that says in which order CUDA counts GPUs.
const ORDER: &str = "CUDA_DEVICE_ORDER";

/// Maximum size of a file of the driver in bytes.
const LIMIT: u64 = 1 << 16;

/// What a command gets of the machine's GPUs.
#[derive(Debug, Default)]
pub struct GpuAccess {
    /// The device files.
    pub files: Vec<PathBuf>,
    /// Environment variables.
    pub variables: Vec<(&'static str, String)>,
    /// The models of the GPUs and the version of the driver, for the record.
    words: Option<String>,
}

impl GpuAccess {
    /// Returns what a command gets on a device. Only a chosen GPU is handed over: on `auto`, a program would use a GPU
    /// on some machines that its author did not think of.
    ///
    /// # Errors
    /// If the machine does not have the chosen GPU.
    pub fn of(device: &Device) -> Result<Self, String> {
        let Device::Cuda(number) = device else {
            return Ok(Self { variables: vec![(VISIBLE, String::new())], ..Self::default() });
        };
        let variable = |name: &str| std::env::var(name).ok();
        Self::numbered(*number, Path::new("/"), (variable(VISIBLE), variable(ORDER)))
    }

    /// Returns a GPU by its number among those that the user lets CUDA see. `root` is the folder above `/dev` and
    /// `/proc`.
    fn numbered(number: usize, root: &Path, set: (Option<String>, Option<String>)) -> Result<Self, String> {
        let absent =
            |why: String| format!("the device cuda:{number} is not there: {why}; --device cpu works everywhere");
        let name = match set.0 {
            None => number.to_string(),
            Some(list) => match list.split(',').nth(number).map(str::trim).filter(|name| !name.is_empty()) {
                Some(name) => name.to_owned(),
                None => return Err(absent(format!("{VISIBLE} is `{list}`"))),
            },
        };
        let dev = root.join("dev");
        let is_gpu = |name: &String| name.starts_with("nvidia") || name == "dxg";
        // Which file belongs to which number is known only to the driver.
        let files: Vec<_> = files::list(&dev).unwrap_or_default().into_iter().filter(is_gpu).collect();
        if files.is_empty() {
            return Err(absent("there is no device file (/dev/nvidia*, /dev/dxg)".to_owned()));
        }
        let order = set.1.map(|order| (ORDER, order));
        Ok(Self {
            files: files.into_iter().map(|name| dev.join(name)).collect(),
            variables: order.into_iter().chain([(VISIBLE, name)]).collect(),
            words: Some(words(&root.join("proc/driver/nvidia"))),
        })
    }

    /// Whether a GPU is handed over.
    pub fn is_some(&self) -> bool {
        !self.files.is_empty()
    }

    /// Describes the GPU for the record, if there is one.
    pub fn words(&self) -> Option<&str> {
        self.words.as_deref()
    }
}

/// Describes the GPUs of a machine and their driver, from the driver's files.
fn words(driver: &Path) -> String {
    let read = |path: PathBuf| {
        let bytes = files::read_regular(&path, LIMIT).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let gpus = driver.join("gpus");
    let model = |slot: String| {
        let text = read(gpus.join(slot).join("information"));
        text.lines().find_map(|line| Some(line.strip_prefix("Model:")?.trim().to_owned()))
    };
    let mut models: Vec<String> = files::list(&gpus).unwrap_or_default().into_iter().filter_map(model).collect();
    models.sort();
    models.dedup();
    let models = if models.is_empty() { "of an unknown model".to_owned() } else { models.join(" or ") };
    let version = read(driver.join("version"));
    let is_version = |word: &&str| word.contains('.') && word.starts_with(|c: char| c.is_ascii_digit());
    let version = version.lines().next().and_then(|line| line.split_whitespace().find(is_version));
    format!("GPU {models}{}", version.map(|version| format!(", driver {version}")).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes the files of a machine with two GPUs, as NVIDIA's driver makes them.
    fn machine() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        let put = |path: &str, text: &str| {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        for name in ["nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm", "nvidia-caps/nvidia-cap1", "null", "dri/card0"] {
            put(&format!("dev/{name}"), "");
        }
        for slot in ["0000:01:00.0", "0000:02:00.0"] {
            let text = "Model: \t\t NVIDIA H200\nIRQ:   \t\t 42\n";
            put(&format!("proc/driver/nvidia/gpus/{slot}/information"), text);
        }
        let version = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  Tue Mar  5 22:23:56 UTC 2024\nGCC\n";
        put("proc/driver/nvidia/version", version);
        root
    }

    #[test]
    fn a_chosen_gpu_is_handed_over_with_its_files() {
        let root = machine();
        let gpu = GpuAccess::numbered(1, root.path(), (None, None)).unwrap();
        let mut names: Vec<_> = gpu.files.iter().map(|path| path.file_name().unwrap().to_str().unwrap()).collect();
        names.sort_unstable();
        assert_eq!(names, ["nvidia-caps", "nvidia-uvm", "nvidia0", "nvidia1", "nvidiactl"]);
        assert_eq!(gpu.variables, [(VISIBLE, "1".to_owned())]);
        assert_eq!(gpu.words(), Some("GPU NVIDIA H200, driver 550.54.15"));
        // It counts among those that the user shows.
        let shown = |number, list: &str| {
            let set = (Some(list.to_owned()), Some("PCI_BUS_ID".to_owned()));
            GpuAccess::numbered(number, root.path(), set).map(|gpu| gpu.variables)
        };
        let wanted = |name: &str| vec![(ORDER, "PCI_BUS_ID".to_owned()), (VISIBLE, name.to_owned())];
        assert_eq!(shown(1, "2, GPU-8f1b"), Ok(wanted("GPU-8f1b")));
        assert_eq!(shown(0, "3"), Ok(wanted("3")));
        for (number, list) in [(1, "3"), (0, ""), (0, ",1")] {
            assert!(shown(number, list).unwrap_err().contains("cuda:"), "{number} {list}");
        }
        let empty = tempfile::tempdir().unwrap();
        let error = GpuAccess::numbered(0, empty.path(), (None, None)).unwrap_err();
        assert!(error.starts_with("the device cuda:0 is not there: there is no device file"), "{error}");
    }

    #[test]
    fn no_gpu_is_handed_over_unasked() {
        for device in [Device::Auto, Device::Cpu] {
            let none = GpuAccess::of(&device).unwrap();
            assert!(!none.is_some() && none.words().is_none());
            assert_eq!(none.variables, [(VISIBLE, String::new())], "no program may find one by itself");
        }
    }
}
