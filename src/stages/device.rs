//! Devices on which numeric stages run, and their names on the command line.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use base::work::Policy;

/// A choice of device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Device {
    /// The first GPU if there is one, else the processor.
    Auto,
    /// The processor.
    Cpu,
    /// A GPU by its number.
    Cuda(usize),
}

impl FromStr for Device {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda(0)),
            _ => match text.strip_prefix("cuda:").and_then(|number| number.parse().ok()) {
                Some(number) => Ok(Self::Cuda(number)),
                None => Err(format!("there is no device `{text}`: choose auto, cpu, cuda or cuda:N")),
            },
        }
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(number) => write!(f, "cuda:{number}"),
        }
    }
}

impl Device {
    /// Restricts the choice to the devices that a policy allows: the portable policy does not constrain GPUs, so it allows only
    /// the processor.
    ///
    /// # Errors
    /// If a GPU is chosen under the portable policy.
    pub fn under(&self, policy: Policy) -> Result<Self, String> {
        match (policy, self) {
            (Policy::Portable, Self::Auto) => Ok(Self::Cpu),
            (Policy::Portable, Self::Cuda(_)) => {
                Err(format!("the policy `portable` supports only processors; {self} needs the policy `native`"))
            }
            _ => Ok(self.clone()),
        }
    }

    /// Returns the device that `auto` most likely resolves to, without loading anything.
    pub fn guess(&self) -> Self {
        match self {
            Self::Auto if cfg!(feature = "torch") && may_have_gpu(Path::new("/dev"), visible().as_deref()) => {
                Self::Cuda(0)
            }
            Self::Auto => Self::Cpu,
            other => other.clone(),
        }
    }
}

/// Returns the list of devices that the user lets CUDA see.
fn visible() -> Option<OsString> {
    std::env::var_os("CUDA_VISIBLE_DEVICES")
}

/// Checks whether a machine with these device files most likely has a usable GPU. Asking the driver would be exact, but takes
/// longer than a whole `make` that has nothing to do.
fn may_have_gpu(dev: &Path, visible: Option<&OsStr>) -> bool {
    // CUDA sees the devices of the list before the first invalid one, so `-1` and an empty list hide all devices.
    let hidden = visible.is_some_and(|list| list.is_empty() || list.as_bytes().starts_with(b"-"));
    !hidden && device_files(dev).next().is_some()
}

/// Lists the existing device files of GPUs: those of NVIDIA's driver, of which a container can have any, and that of the Windows
/// Subsystem for Linux.
fn device_files(dev: &Path) -> impl Iterator<Item = PathBuf> {
    let names = (0..MOST_GPUS).map(|number| format!("nvidia{number}")).chain(["dxg".to_owned()]);
    names.map(move |name| dev.join(name)).filter(|path| path.exists())
}

/// Maximum number of GPUs whose device files are checked.
const MOST_GPUS: u32 = 64;

/// Describes the GPUs that were found, and their device files, for `doctor`.
pub fn gpus() -> String {
    let files: Vec<_> = device_files(Path::new("/dev")).map(|path| path.display().to_string()).collect();
    let files = if files.is_empty() { "no device file (/dev/nvidia*, /dev/dxg)".to_owned() } else { files.join(", ") };
    let visible = visible().map(|list| format!("; CUDA_VISIBLE_DEVICES={}", list.display())).unwrap_or_default();
    #[cfg(feature = "torch")]
    let driver = match learn::torch::devices() {
        Ok(names) if names.is_empty() => "the driver sees none".to_owned(),
        Ok(names) => format!("the driver sees {}: {}", names.len(), names.join(", ")),
        Err(why) => format!("no usable driver ({why})"),
    };
    #[cfg(not(feature = "torch"))]
    let driver = "not used, since this wdpipe was built without libtorch";
    format!("{driver}; {files}{visible}")
}

/// Returns whether the program was built with libtorch, in words, for `doctor`.
pub fn built_with() -> &'static str {
    if cfg!(feature = "torch") { "with libtorch" } else { "without libtorch" }
}

/// Loads libtorch and describes it.
///
/// # Errors
/// If libtorch cannot be loaded; the message says why.
pub fn libraries() -> Result<String, String> {
    #[cfg(feature = "torch")]
    return libtorch(Policy::Native).map(|loaded| {
        let cuda = loaded.cuda().map_or("without CUDA".to_owned(), |path| format!("CUDA from {}", path.display()));
        format!("{} from {}, {}", loaded.version(), loaded.folder().display(), cuda)
    });
    #[cfg(not(feature = "torch"))]
    return Ok("not built in: cached results can be drawn, but nothing can be trained".to_owned());
}

/// Returns the folder in which `wdpipe setup` installs libtorch for this user, if the environment shows it.
pub fn own_libtorch() -> Option<PathBuf> {
    let folder = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let data = folder("XDG_DATA_HOME").or_else(|| folder("HOME").map(|home| home.join(".local/share")));
    data.map(|data| data.join("wdpipe/libtorch"))
}

/// Returns the script that installs libtorch, and the names and contents of its files; `None` if this program does not use
/// libtorch.
pub fn libtorch_setup() -> Option<(&'static str, &'static [(&'static str, &'static str)])> {
    #[cfg(feature = "torch")]
    return Some((learn::torch::SCRIPT, &learn::torch::SETUP));
    #[cfg(not(feature = "torch"))]
    return None;
}

/// Returns the environment variables that the user has set but that are ignored, so that no result depends on them. The list is
/// empty until libtorch is loaded.
pub fn variables_without_effect() -> &'static [String] {
    #[cfg(feature = "torch")]
    return learn::torch::policy::variables::without_effect();
    #[cfg(not(feature = "torch"))]
    return &[];
}

/// Resolves a choice of device under a policy, and describes the machine. A process can use only the first policy that it
/// requests.
///
/// # Errors
/// If the device is not available.
pub fn describe(choice: &Device, policy: Policy) -> Result<String, String> {
    #[cfg(feature = "torch")]
    return open(choice, policy, 0).map(|(loaded, device)| machine(loaded, device));
    #[cfg(not(feature = "torch"))]
    return match choice.under(policy)? {
        Device::Cuda(_) => Err(format!("this wdpipe was built without libtorch, so it has no {choice}")),
        device => Ok(format!("{device}, unused")),
    };
}

/// Makes the settings that a policy needs before the first computing thread starts. Loads nothing.
///
/// # Errors
/// If this process already uses another policy.
pub fn prepare(policy: Policy) -> Result<(), String> {
    #[cfg(feature = "torch")]
    if !learn::torch::settle(policy) {
        return Err(learn::torch::LoadError::OtherPolicy.to_string());
    }
    let _ = policy;
    Ok(())
}

/// Checks whether a device has enough free memory for another stage like the `running` ones that share it. Returns true if that
/// cannot be known.
pub fn has_room(choice: &Device, running: usize) -> bool {
    #[cfg(feature = "torch")]
    if let (Device::Auto | Device::Cuda(_), Ok(gpu)) = (choice, learn::torch::gpu()) {
        let number = if let Device::Cuda(number) = choice { *number } else { 0 };
        return gpu.memory(number).is_none_or(|(free, total)| free >= (total - free) / running.max(1) as u64);
    }
    let _ = (choice, running);
    true
}

#[cfg(feature = "torch")]
pub(crate) use with_torch::{libtorch, machine, open};

#[cfg(feature = "torch")]
mod with_torch {
    use super::Device;
    use base::work::Policy;
    use learn::torch::{Libraries, Loaded, load};

    /// Loads libtorch, with its CUDA half where there is a GPU.
    pub fn libtorch(policy: Policy) -> Result<&'static Loaded, String> {
        let libraries = Libraries {
            chosen: std::env::var_os("WDPIPE_LIBTORCH").filter(|value| !value.is_empty()).map(Into::into),
            program: std::env::current_exe().ok(),
            own: super::own_libtorch(),
            policy,
        };
        let loaded = load(&libraries).map_err(|error| error.to_string())?;
        // A machine without a GPU is no error.
        let _ = loaded.load_cuda();
        Ok(loaded)
    }

    /// Opens a device for a worker. With `auto`, the worker's number selects one of the GPUs in turn.
    pub fn open(choice: &Device, policy: Policy, worker: usize) -> Result<(&'static Loaded, tch::Device), String> {
        let choice = &choice.under(policy)?;
        let loaded = libtorch(policy)?;
        let gpus = if *choice == Device::Cpu { 0 } else { loaded.cuda_devices() };
        match choice {
            Device::Auto if gpus > 0 => Ok((loaded, tch::Device::Cuda(worker % gpus))),
            Device::Auto | Device::Cpu => Ok((loaded, tch::Device::Cpu)),
            Device::Cuda(number) if *number < gpus => Ok((loaded, tch::Device::Cuda(*number))),
            Device::Cuda(number) => {
                let why = match loaded.load_cuda() {
                    Err(error) => error.to_string(),
                    Ok(_) => format!("there are {gpus} GPUs"),
                };
                Err(format!("the device cuda:{number} is not there: {why}; --device cpu works everywhere"))
            }
        }
    }

    /// Returns the class of machines within which the same stage gives the same bytes: the device, its instruction set and the
    /// version of libtorch; on a GPU also the libraries that choose its kernels, and on a processor its model and caches. Under
    /// the portable policy, the model of the processor does not matter.
    pub fn machine(loaded: &Loaded, device: tch::Device) -> String {
        let version = loaded.version();
        match device {
            tch::Device::Cuda(number) => {
                let name = loaded.cuda_name(number).unwrap_or_else(|| "GPU".to_owned());
                format!("{name}, libtorch {version}, {}", loaded.cuda_versions())
            }
            _ => {
                let which = match loaded.policy() {
                    Policy::Portable => "portable".to_owned(),
                    Policy::Native => crate::stages::describe_processor(),
                };
                format!("{} {}, {which}, libtorch {version}", std::env::consts::ARCH, loaded.cpu_capability())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_parsed() {
        let parse = |text: &str| text.parse::<Device>();
        assert_eq!(parse("auto"), Ok(Device::Auto));
        assert_eq!(parse("cuda"), Ok(Device::Cuda(0)));
        assert_eq!(parse("cuda:3"), Ok(Device::Cuda(3)));
        for text in ["gpu", "cuda:", "cuda:x", "cuda:-1", ""] {
            assert!(parse(text).is_err_and(|error| error.contains("choose auto")), "{text}");
        }
    }

    #[test]
    fn a_gpu_is_guessed_from_any_device_file_that_is_not_hidden() {
        let folder = tempfile::tempdir().unwrap();
        let found = |visible: Option<&str>| may_have_gpu(folder.path(), visible.map(OsStr::new));
        assert!(!found(None));
        for name in ["nvidiactl", "nvidia-uvm", "nvidia"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        assert!(!found(None), "these files exist without a GPU too");
        for name in ["nvidia3", "nvidia12", "dxg"] {
            let path = folder.path().join(name);
            std::fs::write(&path, "").unwrap();
            for (visible, wanted) in [
                (None, true),
                (Some("0"), true),
                (Some("GPU-8f1b"), true),
                (Some("2,3"), true),
                (Some(""), false),
                (Some("-1"), false),
            ] {
                assert_eq!(found(visible), wanted, "{name} {visible:?}");
            }
            std::fs::remove_file(path).unwrap();
        }
    }

    #[test]
    fn the_portable_policy_stays_on_the_processor() {
        assert_eq!(Device::Auto.under(Policy::Portable), Ok(Device::Cpu));
        assert_eq!(Device::Cpu.under(Policy::Portable), Ok(Device::Cpu));
        assert!(Device::Cuda(1).under(Policy::Portable).is_err_and(|error| error.contains("cuda:1 needs")));
        for device in [Device::Auto, Device::Cuda(1)] {
            assert_eq!(device.under(Policy::Native), Ok(device));
        }
    }
}
