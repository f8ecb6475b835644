//! Where stages run, and how many at a time.

use std::num::NonZeroUsize;

use crate::stages::Device;
use base::work::Policy;

/// At most so many stages share the GPUs, unless the user gives a number.
const SHARE_GPUS: NonZeroUsize = NonZeroUsize::new(8).unwrap();

/// Where stages run, and how many at a time.
#[derive(Debug, Clone)]
pub struct Workers {
    /// The device that was chosen: it may be left to the machine.
    pub chosen: Device,
    /// The device that this should come to.
    pub likely: Device,
    /// Stages at a time, as far as that is known beforehand: what a plan should take is told for these.
    pub jobs: NonZeroUsize,
    /// Whether the number that shares the device is found out while stages run.
    pub grow: bool,
}

impl Workers {
    /// Chooses a device that can keep a numeric policy. Without a number of jobs, small networks run best side by side,
    /// one to a core; how many share a GPU is found out while they run.
    ///
    /// # Errors
    /// If the device cannot keep the policy.
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

    /// Returns the largest number of stages at a time.
    pub fn most(&self) -> NonZeroUsize {
        if self.grow { SHARE_GPUS } else { self.jobs }
    }
}

/// Returns the number of threads that the machine runs at a time.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, NonZeroUsize::get)
}
