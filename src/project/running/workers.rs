//! The device on which stages run, and how many run in parallel.

use std::num::NonZeroUsize;

use crate::stages::Device;
use base::work::Policy;

/// Maximum number of stages that share the GPUs, unless the user gives a number.
const SHARE_GPUS: NonZeroUsize = NonZeroUsize::new(8).unwrap();

/// The device on which stages run, and how many run in parallel.
#[derive(Debug, Clone)]
pub struct Workers {
    /// The chosen device, which can be `auto`.
    pub chosen: Device,
    /// The device that the choice most likely resolves to.
    pub likely: Device,
    /// Number of stages in parallel, as far as it is known in advance. Durations of plans are estimated for it.
    pub jobs: NonZeroUsize,
    /// Whether the number of stages that share the device is found out while stages run.
    pub grow: bool,
}

impl Workers {
    /// Chooses a device that supports a numeric policy. Without a number of jobs, runs one stage per core, which is fastest for
    /// small networks; the number of stages that share a GPU is found out while they run.
    ///
    /// # Errors
    /// If the device does not support the policy.
    pub fn choose(device: &Device, policy: Policy, jobs: Option<NonZeroUsize>) -> Result<Self, String> {
        let chosen = device.under(policy)?;
        let likely = chosen.guess();
        let is_gpu = matches!(likely, Device::Cuda(_));
        let jobs_of_device = || match is_gpu {
            true => NonZeroUsize::MIN,
            false => std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
        };
        let grow = jobs.is_none() && is_gpu;
        Ok(Self { jobs: jobs.unwrap_or_else(jobs_of_device), chosen, likely, grow })
    }

    /// Returns the maximum number of stages that run in parallel.
    pub fn most(&self) -> NonZeroUsize {
        if self.grow { SHARE_GPUS } else { self.jobs }
    }
}

/// Returns the number of threads that the machine can run in parallel.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, NonZeroUsize::get)
}
