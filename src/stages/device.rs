//! Where numeric stages run, as a user names it.

use std::fmt;
use std::str::FromStr;

use crate::work::Policy;

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
                None => Err(format!("there is no device `{text}`: say auto, cpu, cuda or cuda:N")),
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
    /// The choice that a policy leaves: the portable one fixes the processor's instructions, and binds no GPU.
    ///
    /// # Errors
    /// If a GPU is asked for under it.
    pub fn under(&self, policy: Policy) -> Result<Self, String> {
        match (policy, self) {
            (Policy::Portable, Self::Auto) => Ok(Self::Cpu),
            (Policy::Portable, Self::Cuda(_)) => Err(format!(
                "the policy `portable` is for processors, so that their results agree; {self} needs the policy `native`"
            )),
            _ => Ok(self.clone()),
        }
    }

    /// What `auto` will most likely come to, found without loading anything.
    pub fn guess(&self) -> Self {
        match self {
            Self::Auto if std::path::Path::new("/dev/nvidia0").exists() => Self::Cuda(0),
            Self::Auto => Self::Cpu,
            other => other.clone(),
        }
    }
}

/// With what the program was built, for `doctor`.
pub fn built_with() -> &'static str {
    if cfg!(feature = "torch") { "with libtorch" } else { "without libtorch" }
}

/// Which libtorch is loaded, or why none is.
///
/// # Errors
/// If there is none.
pub fn libraries() -> Result<String, String> {
    #[cfg(feature = "torch")]
    return libtorch(Policy::Native).map(|loaded| {
        let cuda = loaded.cuda().map_or("without CUDA".to_owned(), |path| format!("CUDA from {}", path.display()));
        format!("{} from {}, {}", loaded.version(), loaded.folder().display(), cuda)
    });
    #[cfg(not(feature = "torch"))]
    return Ok("not built in: what is cached can be drawn, nothing can be trained".to_owned());
}

/// Variables that the user has set and that have no effect, so that no result depends on them. None before libtorch is loaded.
pub fn variables_without_effect() -> &'static [String] {
    #[cfg(feature = "torch")]
    return crate::torch::policy::variables::without_effect();
    #[cfg(not(feature = "torch"))]
    return &[];
}

/// What a choice of device comes to under a policy. A process is bound to the first policy that it asks for.
///
/// # Errors
/// If the device is not to be had.
pub fn describe(choice: &Device, policy: Policy) -> Result<String, String> {
    #[cfg(feature = "torch")]
    return open(choice, policy, 0).map(|(loaded, device)| machine(loaded, device));
    #[cfg(not(feature = "torch"))]
    return match choice.under(policy)? {
        Device::Cuda(_) => Err(format!("this wdpipe was built without libtorch, so it has no {choice}")),
        device => Ok(format!("{device}, unused")),
    };
}

/// Sets what must be set before the first thread that computes under a policy starts. Nothing is loaded.
///
/// # Errors
/// If another policy holds in this process.
pub fn prepare(policy: Policy) -> Result<(), String> {
    #[cfg(feature = "torch")]
    if !crate::torch::settle(policy) {
        return Err(crate::torch::LoadError::OtherPolicy.to_string());
    }
    let _ = policy;
    Ok(())
}

/// Whether the memory of a device holds another stage like the `running` ones that share it; where that cannot be known it
/// does.
pub fn has_room(choice: &Device, running: usize) -> bool {
    #[cfg(feature = "torch")]
    if let (Device::Auto | Device::Cuda(_), Ok(gpu)) = (choice, crate::torch::gpu()) {
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
    use crate::torch::{Libraries, Loaded, load};
    use crate::work::Policy;

    /// Loads libtorch, with its CUDA half where there is a GPU.
    pub fn libtorch(policy: Policy) -> Result<&'static Loaded, String> {
        let libraries = Libraries {
            chosen: std::env::var_os("WDPIPE_LIBTORCH").filter(|value| !value.is_empty()).map(Into::into),
            program: std::env::current_exe().ok(),
            policy,
        };
        let loaded = load(&libraries).map_err(|error| error.to_string())?;
        // A machine without a GPU is no error.
        let _ = loaded.load_cuda();
        Ok(loaded)
    }

    /// Opens a device for the worker of a number: where it may be any, workers take turns among the GPUs.
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

    /// The class of machines within which the same stage gives the same bytes: what computes, and with
    /// which instructions and libtorch; on a GPU also the libraries that choose its kernels, on a processor its caches. Under
    /// the portable policy which processor it is makes no difference.
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
            assert!(parse(text).is_err_and(|error| error.contains("say auto")), "{text}");
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
