//! The numeric policy: the only place that determines how numbers are computed.
//!
//! The policy is part of the keys of all stages that compute (`engine::policy`): with any change here that could
//! change the bits of a result, raise the version there.
//!
//! **Strict.** Only deterministic algorithms are used; an operation without one is an error. cuDNN
//! does not benchmark, because the fastest of several algorithms can be another one next time. The cuBLAS
//! workspace has a fixed size. Sums of 16-bit products are accumulated in float32.
//!
//! **One thread per operation.** The bits of a convolution's gradients depend on the number of threads that
//! share the work, so this number is always one, and stages run side by side instead. This also avoids idle OpenMP
//! threads, which spin at barriers and slow down everything else on the machine. OpenMP keeps this number per
//! thread: in a new thread it is the number of processors, until [`enter_thread`] or [`apply`] is called there.
//!
//! **Precision** is chosen per stage ([`Precision`]). On CUDA it is a setting of the whole process, so
//! [`apply`] lets stages run side by side only if they agree on it; the others wait.
//!
//! **No environment variable** influences results, see [`variables`].

pub mod variables;

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use super::shim;
use base::work::Precision;

/// All settings of the policy, as reported by `wdpipe_torch_policy` in `shim.cpp`.
const ALL: i32 = 63;
/// The settings that TF32 turns off.
const IEEE: i32 = 8 + 16;
/// The settings that are off where results need not be deterministic.
const STRICT: i32 = 1 + 2 + 4;

/// A setting that libtorch refused, with libtorch's message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("libtorch refused the numeric policy: {0}")]
pub struct PolicyError(String);

/// Sets the policy of the calling thread: one thread per operation, and denormal numbers are kept. Every thread that
/// computes must call this function first; [`apply`] calls it.
///
/// # Errors
/// If libtorch refuses.
pub fn enter_thread() -> Result<(), PolicyError> {
    shim::enter_thread().map_err(PolicyError)
}

/// Puts a precision in force for the calling thread's computations, until the session is dropped. Waits for running
/// sessions of an incompatible precision (TF32 and other precisions exclude each other), so a thread that holds a
/// session must not request another.
///
/// # Errors
/// If libtorch refuses.
pub fn apply(precision: Precision) -> Result<Session, PolicyError> {
    let tf32 = precision == Precision::Tf32;
    let mut running = lock();
    while running.sessions > 0 && running.tf32 != tf32 {
        running = CHANGED.wait(running).unwrap_or_else(PoisonError::into_inner);
    }
    enter_thread()?;
    if running.sessions == 0 {
        shim::set_policy(tf32, !running.relaxed).map_err(PolicyError)?;
        running.tf32 = tf32;
    }
    let off = if tf32 { IEEE } else { 0 } + if running.relaxed { STRICT } else { 0 };
    let (found, expected) = (shim::policy(), ALL - off);
    if found != expected {
        return Err(PolicyError(format!("the settings {found:#08b} are in force instead of {expected:#08b}")));
    }
    running.sessions += 1;
    Ok(Session { precision, float32_logits: true })
}

/// Lets sessions use nondeterministic algorithms until the value is dropped. The only use is to measure the cost of
/// determinism. Waits for running sessions, so a thread that holds a session must not call this function.
pub fn relax() -> Relaxed {
    let mut running = lock();
    while running.sessions > 0 || running.relaxed {
        running = CHANGED.wait(running).unwrap_or_else(PoisonError::into_inner);
    }
    running.relaxed = true;
    Relaxed(())
}

/// A guard: while it lives, results need not be deterministic.
#[derive(Debug)]
#[must_use = "results can be nondeterministic only while it lives"]
pub struct Relaxed(());

impl Drop for Relaxed {
    fn drop(&mut self) {
        lock().relaxed = false;
        CHANGED.notify_all();
    }
}

/// A precision in force. Dropping it lets stages of other precisions run.
#[derive(Debug)]
#[must_use = "the precision is in force only while the session lives"]
pub struct Session {
    precision: Precision,
    float32_logits: bool,
}

impl Session {
    /// Checks whether the loss must be scaled, which is necessary for float16.
    pub fn scales_loss(&self) -> bool {
        self.precision == Precision::Fp16
    }

    /// Sets whether the last layer stays in float32 if the precision has 16 bits. This is the default.
    pub fn with_float32_logits(mut self, float32_logits: bool) -> Self {
        self.float32_logits = float32_logits;
        self
    }

    /// Returns the setting of [`Session::with_float32_logits`].
    pub fn float32_logits(&self) -> bool {
        self.float32_logits
    }

    /// Runs a forward pass, in 16 bits if the precision requires it. Loss and backward pass belong outside: the backward pass
    /// follows the types of the forward pass.
    pub fn autocast<T>(&self, device: tch::Device, forward: impl FnOnce() -> T) -> T {
        let _autocast =
            self.precision.is_16_bits().then(|| Autocast::enter(device.is_cuda(), self.precision == Precision::Fp16));
        forward()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        lock().sessions -= 1;
        CHANGED.notify_all();
    }
}

/// Autocast of the calling thread, ended on drop.
struct Autocast {
    cuda: bool,
    before: bool,
}

impl Autocast {
    fn enter(cuda: bool, half: bool) -> Self {
        Self { cuda, before: shim::autocast_enter(cuda, half) }
    }
}

impl Drop for Autocast {
    fn drop(&mut self) {
        shim::autocast_leave(self.cuda, self.before);
    }
}

/// The number of running sessions, whether they use TF32, and whether the policy is relaxed.
struct Running {
    sessions: usize,
    tf32: bool,
    relaxed: bool,
}

static RUNNING: Mutex<Running> = Mutex::new(Running { sessions: 0, tf32: false, relaxed: false });
static CHANGED: Condvar = Condvar::new();

fn lock() -> MutexGuard<'static, Running> {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::time::Duration;

    use tch::{Device, Kind, Tensor};

    use super::*;
    use crate::torch::{Libraries, load};

    #[test]
    fn the_policy_is_in_force_and_tf32_waits_for_ieee() {
        load(&Libraries::default()).unwrap();
        let session = apply(Precision::Fp32).unwrap();
        assert_eq!(shim::policy(), ALL);
        let beside = std::thread::spawn(|| {
            let _session = apply(Precision::Bf16).unwrap();
            shim::policy()
        });
        assert_eq!(beside.join().unwrap(), ALL);

        let (send, receive) = channel();
        let waiting = std::thread::spawn(move || {
            let _session = apply(Precision::Tf32).unwrap();
            send.send(shim::policy()).unwrap();
        });
        assert!(receive.recv_timeout(Duration::from_millis(50)).is_err());
        drop(session);
        assert_eq!(receive.recv().unwrap(), ALL - IEEE);
        waiting.join().unwrap();

        let relaxed = relax();
        let session = apply(Precision::Fp32).unwrap();
        assert_eq!(shim::policy(), ALL - STRICT);
        drop((session, relaxed));
        let session = apply(Precision::Fp32).unwrap();
        assert_eq!(shim::policy(), ALL);
        drop(session);
    }

    #[test]
    fn autocast_rounds_products_to_16_bits_and_ends_with_its_scope() {
        load(&Libraries::default()).unwrap();
        let a = Tensor::from_slice(&[1.0_f32 + 1.0 / 4096.0]).reshape([1, 1]);
        let product = || a.matmul(&a);
        for (precision, kind) in [(Precision::Bf16, Kind::BFloat16), (Precision::Fp16, Kind::Half)] {
            let session = apply(precision).unwrap();
            let inside = session.autocast(Device::Cpu, product);
            assert_eq!((inside.kind(), inside.double_value(&[0, 0])), (kind, 1.0));
        }
        let outside = product();
        assert_eq!(outside.kind(), Kind::Float);
        assert!(outside.double_value(&[0, 0]) > 1.0);
    }
}
